// Handlebars over the prose of a notebook: strict, without prototype access, with a short list of
// helpers. What a helper gives is put in as a slot, so no value can act as markup or template.
import Handlebars, { type HelperOptions } from "handlebars";
import { messageOf, UserError } from "../errors.ts";
import { nearest } from "../experiment/nearest.ts";
import type { CellContext } from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import type { Block, Inline } from "./document.ts";
import { markInline, phraseInlines, pointMark } from "./phrase.ts";
import { proseBlocks, slotMark, slotOf, withoutSlots } from "./prose.ts";
import type { PointData } from "./record-parts.ts";
import { metricOfPoint } from "./results-table.ts";
import { visible } from "./typography.ts";

/** Turns a piece of prose, beginning at a line of the notebook, into blocks. */
export type ProseRenderer = (text: string, line: number) => readonly Block[];

const helperNames = ["value", "fact", "section", "word", "point", "verdict", "command"] as const;
const blockNames = ["if", "unless", "each"];

/** A renderer for one document: its slots and helpers. */
export function proseRenderer(context: CellContext): ProseRenderer {
  const handlebars = Handlebars.create();
  for (const name of ["log", "lookup", "with"]) handlebars.unregisterHelper(name);
  const slots: (readonly Inline[])[] = [];
  const slot = (content: readonly Inline[]): string => slotMark(slots.push(content) - 1);
  let place = { path: context.path, line: 1 };
  const where = (options: HelperOptions): string =>
    `${place.path}:${place.line + lineOf(options) - 1}`;

  const helpers = helpersOf(context, where, (text) => {
    const index = slotOf(text);
    return index === undefined ? text : plain(slots[index] ?? []);
  });
  for (const name of helperNames) {
    handlebars.registerHelper(name, (...all: unknown[]) => {
      const options = all.at(-1) as HelperOptions;
      return slot(helpers[name](all.slice(0, -1), options));
    });
  }
  const scope = scopeOf(context, slot);
  return (text, line) => {
    place = { path: context.path, line };
    const filled = render(handlebars, withoutSlots(text), scope, place);
    return proseBlocks(filled, context.language, (index) => slots[index] ?? []);
  };
}

function render(
  handlebars: typeof Handlebars,
  text: string,
  scope: object,
  { path, line }: { readonly path: string; readonly line: number },
): string {
  try {
    const template = handlebars.compile(text, {
      strict: true,
      noEscape: true,
      knownHelpersOnly: true,
      knownHelpers: Object.fromEntries(
        [...helperNames, ...blockNames, "log", "lookup", "with"].map((name) => [
          name,
          !["log", "lookup", "with"].includes(name),
        ]),
      ),
    });
    return template(scope, {
      allowProtoMethodsByDefault: false,
      allowProtoPropertiesByDefault: false,
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw describe(error, path, line);
  }
}

/** Handlebars says the line within the piece in one of two ways, and the name within quotes or after a colon. */
function describe(error: unknown, path: string, line: number): UserError {
  const message = messageOf(error);
  const inside = /(?:line |- )(\d+)(?::\d+)?/.exec(message)?.[1];
  const at = line + Number(inside ?? "1") - 1;
  const name =
    /unknown helper (\S+)/.exec(message)?.[1] ?? /^"?([\w.]+)"? not defined/.exec(message)?.[1];
  const known = [...helperNames, ...blockNames, "variants", "has"];
  const near = name === undefined ? undefined : nearest(name, known);
  return new UserError(
    {
      what:
        name === undefined
          ? `the notebook's template cannot be read: ${message.split("\n")[0] ?? ""}`
          : `the notebook uses ${name}, which is neither a helper nor a value`,
      where: `${path}:${at}`,
      mend: near === undefined ? `use one of ${known.join(", ")}` : `write ${near}`,
    },
    { cause: error },
  );
}

type Helper = (words: readonly unknown[], options: HelperOptions) => readonly Inline[];

function helpersOf(
  context: CellContext,
  where: (options: HelperOptions) => string,
  unslot: (text: string) => string,
): Readonly<Record<(typeof helperNames)[number], Helper>> {
  const { data, language, dictionary } = context;
  const first = (words: readonly unknown[], options: HelperOptions, what: string): string => {
    const [given] = words;
    if (typeof given === "string" && words.length === 1) return unslot(given);
    throw new UserError({
      what: `this helper takes one name, ${what}`,
      where: where(options),
      mend: `write it in quotes, once`,
    });
  };
  const pointNamed = (name: string, options: HelperOptions): PointData => {
    const point = data.points.find((one) => one.name === name);
    if (point !== undefined) return point;
    const names = data.points.map((one) => one.name);
    const near = nearest(name, names);
    throw new UserError({
      what: `unknown point ${JSON.stringify(name)}`,
      where: where(options),
      mend: near === undefined ? `use one of ${names.join(", ")}` : `write ${near}`,
    });
  };
  return {
    value: (words, options) => {
      const key = first(words, options, "a metric such as ttft.p90");
      const hash: Readonly<Record<string, unknown>> = options.hash;
      const asked = hash["point"];
      if (typeof asked !== "string") {
        throw new UserError({
          what: `value ${JSON.stringify(key)} does not say of which point`,
          where: where(options),
          mend: `write {{value "${key}" point="${data.points[0]?.name ?? "variant/c1"}"}}`,
        });
      }
      const point = pointNamed(unslot(asked), options);
      const known = Object.keys(point.numbers);
      const near = nearest(key, known);
      const number = metricOfPoint(key, point, where(options), near === undefined ? known : [near]);
      return [{ kind: "number", number, unit: true }];
    },
    fact: (words, options) => {
      const name = first(words, options, "a fact");
      const phrase = Object.hasOwn(data.facts, name) ? data.facts[name] : undefined;
      if (phrase === undefined)
        throw unknownName("fact", name, Object.keys(data.facts), where(options));
      return phraseInlines(phrase, language, dictionary);
    },
    section: (words, options) => {
      const name = first(words, options, "a section");
      if (!Object.hasOwn(dictionary.sections, name)) {
        throw unknownName("section", name, Object.keys(dictionary.sections), where(options));
      }
      return [{ kind: "text", text: wordOf(dictionary, "sections", name, language) }];
    },
    word: (words, options) => {
      const name = first(words, options, "a word of the dictionary");
      if (!Object.hasOwn(dictionary.words, name)) {
        throw unknownName("word", name, Object.keys(dictionary.words), where(options));
      }
      return [{ kind: "text", text: wordOf(dictionary, "words", name, language) }];
    },
    point: (words, options) => {
      const point = pointNamed(first(words, options, "a point"), options);
      return [{ kind: "data", text: point.label[language] }];
    },
    verdict: (words, options) => {
      if (words.length === 0) return [markInline(data.verdict, language, dictionary)];
      const point = pointNamed(first(words, options, "a point"), options);
      return [pointMark(point, language, dictionary)];
    },
    command: () => [{ kind: "code", text: data.reproduction.command }],
  };
}

function unknownName(
  what: string,
  name: string,
  known: readonly string[],
  where: string,
): UserError {
  const near = nearest(name, known);
  return new UserError({
    what: `unknown ${what} ${JSON.stringify(name)}`,
    where,
    mend: near === undefined ? `use one of ${known.join(", ")}` : `write ${near}`,
  });
}

/** What `each` and `if` see: variants with their first and last load, and what holds of the run. */
function scopeOf(context: CellContext, slot: (content: readonly Inline[]) => string): object {
  const { data, language } = context;
  const text = (value: string): string => slot([{ kind: "data", text: visible(value) }]);
  return bare({
    has: bare(data.flags),
    variants: data.variants.map((variant) => {
      const points = data.points.filter((point) => point.variant === variant.name);
      const usable = points.filter((point) => point.mark === "valid" || point.mark === "qualified");
      const lowest = usable[0];
      const highest = usable.at(-1);
      const of = (point: PointData | undefined): object | undefined =>
        point === undefined
          ? undefined
          : bare({ name: text(point.name), label: text(point.shortLabel[language]) });
      return bare({
        name: text(variant.name),
        title: text(variant.title[language]),
        model: text(variant.model),
        usable: usable.length > 0,
        several: usable.length > 1,
        lowest: of(lowest),
        highest: of(highest),
        points: points.map((point) =>
          bare({
            name: text(point.name),
            label: text(point.shortLabel[language]),
            usable: usable.includes(point),
          }),
        ),
      });
    }),
  });
}

/** An object without a prototype: what it was not given is not in it, `constructor` neither. */
function bare(object: object): object {
  return Object.assign(Object.create(null) as object, object);
}

function plain(content: readonly Inline[]): string {
  return content.map((inline) => ("text" in inline ? inline.text : "")).join("");
}

/** Line of the helper's call within the piece, from 1; Handlebars keeps it in `loc`. */
function lineOf(options: HelperOptions): number {
  const { loc } = options as { readonly loc?: { readonly start?: { readonly line?: number } } };
  return loc?.start?.line ?? 1;
}
