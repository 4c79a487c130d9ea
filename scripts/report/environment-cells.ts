// Cells of the system under test: fields with their sources, differences, what was started and how it
// was configured, the probes' own words.
import { formatDuration } from "../units.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  paragraph,
  plainRow,
  simpleHead,
  textCell,
  titled,
  word,
} from "./cell-context.ts";
import { fieldLabel, translated, wordOf } from "./dictionary.ts";
import type { Block, Inline } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { EnvironmentRow, PrintedField } from "./record-environment.ts";
import type { StartData } from "./record-parts.ts";
import { visible } from "./typography.ts";

export function environmentFields(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, dictionary, language } = context;
  return [
    {
      kind: "fields",
      label: wordOf(dictionary, "sections", "system", language),
      groups: data.environment.groups.map(({ group, rows }) => ({
        title: wordOf(dictionary, "field_groups", group, language),
        rows: mergeAbsent(rows, context).map(({ label, value, source }) => ({
          label: textInlines(label, language),
          value: fieldInlines(value, context),
          source: wordOf(dictionary, "sources", source, language),
        })),
      })),
    },
  ];
}

interface LabelledRow {
  readonly label: string;
  readonly value: PrintedField;
  readonly source: EnvironmentRow["source"];
}

/** Three rows or more in a group that are absent for one reason become one row that names them all. */
function mergeAbsent(
  rows: readonly EnvironmentRow[],
  context: CellContext,
): readonly LabelledRow[] {
  const labelled = rows.map(({ labels, instance, value, source }): LabelledRow => {
    return { label: labelOf(labels, instance, context), value, source };
  });
  const keyOf = ({ value, source }: LabelledRow): string =>
    value.state === "value" ? "" : JSON.stringify([value, source]);
  const merged = new Map<string, LabelledRow[]>();
  for (const row of labelled) {
    const key = keyOf(row);
    if (key !== "") merged.set(key, [...(merged.get(key) ?? []), row]);
  }
  const done = new Set<string>();
  return labelled.flatMap((row): readonly LabelledRow[] => {
    const key = keyOf(row);
    const same = merged.get(key) ?? [];
    if (key === "" || same.length < 3) return [row];
    if (done.has(key)) return [];
    done.add(key);
    return [
      { ...row, label: same.map(({ label }) => label).join(word(context, "list_separator")) },
    ];
  });
}

/** "权重摘要 · fp32": which of several the field is about. */
function labelOf(
  labels: readonly string[],
  instance: string | undefined,
  { dictionary, language }: CellContext,
): string {
  const name = fieldLabel(dictionary, labels, language);
  return instance === undefined ? name : `${name} · ${instance}`;
}

function fieldInlines(value: PrintedField, context: CellContext): readonly Inline[] {
  if (value.state === "value") {
    const text = translated(context.dictionary, "values", value.text, context.language);
    return [{ kind: "data", text: visible(text) }];
  }
  const state = word(context, value.state);
  if (value.reason === "") return [{ kind: "absent", text: state }];
  const reason = translated(context.dictionary, "reasons", value.reason, context.language);
  return [
    { kind: "absent", text: `${state}${word(context, "title_separator")}${visible(reason)}` },
  ];
}

export function environmentDifferences(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, dictionary, language } = context;
  if (data.environment.takenAfterAt === undefined)
    return [paragraph(word(context, "no_after"), context)];
  if (data.environment.differences.length === 0) {
    return [paragraph(word(context, "no_differences"), context)];
  }
  const value = (field: PrintedField | undefined) =>
    field === undefined
      ? [{ kind: "absent" as const, text: word(context, "gone") }]
      : fieldInlines(field, context);
  return [
    {
      ...noTable,
      id: "",
      label: titled("differences", context),
      layout: "plain",
      head: simpleHead(
        ["field", "before", "after", "class"].map((name) => column(context, name)),
        context,
      ),
      bodies: data.environment.differences.map((difference) => [
        plainRow([
          textCell(labelOf(difference.labels, difference.instance, context), context, {
            head: true,
          }),
          inlineCell(value(difference.before), { wide: true }),
          inlineCell(value(difference.after), { wide: true }),
          textCell(wordOf(dictionary, "classes", difference.class, language), context),
        ]),
      ]),
    },
  ];
}

/** One block per variant; starts that were started alike are shown once. */
export function engineArguments(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  return perVariant(context, "argv_of", ({ argv, env }) => {
    if (argv === undefined) return undefined;
    const variables = Object.entries(env)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${quote(value)}`);
    return [...variables, ...argv.map(quote)].join(" ");
  });
}

export function engineConfigs(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  return perVariant(context, "config_of", ({ config }) =>
    config?.map(([key, value]) => `${key} = ${value}`).join("\n"),
  );
}

function perVariant(
  context: CellContext,
  title: "argv_of" | "config_of",
  textOfStart: (start: StartData) => string | undefined,
): readonly Block[] {
  const { data, language } = context;
  return data.variants.flatMap(({ name }) => {
    const starts = data.starts.filter((start) => start.variant === name && start.ready);
    const texts = [...new Set(starts.map((start) => textOfStart(start)))];
    return texts.map((text): Block => {
      const alike = starts.filter((start) => textOfStart(start) === text);
      const digest = title === "config_of" ? digestOf(alike[0]) : "";
      const which = word(context, "starts_of", {
        starts: alike.map(({ start }) => start).join(word(context, "list_separator")),
      });
      return {
        kind: "folded",
        title: textInlines(word(context, title, { variant: name }), language),
        detail: [texts.length > 1 ? which : "", digest].filter((part) => part !== "").join(" · "),
        blocks: [
          text === undefined
            ? paragraph(word(context, title === "argv_of" ? "attached" : "engine_none"), context)
            : { kind: "code", text: visible(text), command: false },
        ],
      };
    });
  });
}

function digestOf(start: StartData | undefined): string {
  return start?.configDigest === undefined ? "" : `sha256 ${start.configDigest.slice(0, 12)}`;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function rawProbes(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  return context.data.environment.raw.map((probe): Block => {
    const read = probe.failure === undefined && probe.exitCode === undefined;
    const detail = read
      ? formatDuration(probe.durationMs)
      : probe.failure === undefined
        ? word(context, "exit_code", {
            code: String(probe.exitCode ?? "–"),
            duration: formatDuration(probe.durationMs),
          })
        : word(context, "no_exit", { why: probe.failure });
    const errors: readonly Block[] =
      probe.stderr === ""
        ? []
        : [
            paragraph(word(context, "stderr"), context),
            { kind: "code", text: visible(probe.stderr), command: false },
          ];
    return {
      kind: "folded",
      title: [{ kind: "code", text: visible(probe.command) }],
      detail: visible(detail),
      blocks: [{ kind: "code", text: visible(probe.stdout), command: false }, ...errors],
    };
  });
}

/** Settings that the experiment file leaves out, with the values that were used. */
export function filledDefaults(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { experimentDefaults } = context.data;
  if (experimentDefaults.length === 0) return [];
  const reasons = experimentDefaults.some(({ reason }) => reason !== undefined);
  const heads = ["setting", "value", ...(reasons ? ["derived_from"] : [])];
  return [
    {
      kind: "folded",
      title: textInlines(word(context, "filled_defaults"), context.language),
      detail: word(context, "items", { count: String(experimentDefaults.length) }),
      blocks: [
        {
          ...noTable,
          id: "",
          label: word(context, "filled_defaults"),
          layout: "plain",
          head: simpleHead(
            heads.map((name) => column(context, name)),
            context,
          ),
          bodies: experimentDefaults.map(({ path, value, reason }) => [
            plainRow([
              inlineCell([{ kind: "code", text: visible(path) }], { head: true }),
              inlineCell([{ kind: "code", text: visible(value) }], { wide: true }),
              ...(reasons ? [textCell(visible(reason ?? "–"), context, { wide: true })] : []),
            ]),
          ]),
        },
      ],
    },
  ];
}

export function experimentFile(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  return [
    {
      kind: "folded",
      title: textInlines(word(context, "experiment_file"), context.language),
      detail: "",
      blocks: [{ kind: "code", text: visible(context.data.experimentSource), command: false }],
    },
  ];
}
