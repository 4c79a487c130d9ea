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
import { wordOf } from "./dictionary.ts";
import type { Block } from "./document.ts";
import { fieldInlines, fieldName, fieldsBlock } from "./field-inlines.ts";
import { gpuBlocks } from "./gpu-cells.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { ChangedField } from "./record-environment.ts";
import type { StartData } from "./record-parts.ts";
import { visible } from "./typography.ts";

/** Fields by group; what is each GPU's own follows the groups of the machine. */
export function environmentFields(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { groups } = context.data.environment;
  const below = gpuBlocks(context);
  const { dictionary, language } = context;
  const block = (shown: typeof groups): Block =>
    fieldsBlock(
      shown.map(({ group, about, rows }) => ({
        title: about ?? wordOf(dictionary, "field_groups", group, language),
        rows,
      })),
      wordOf(dictionary, "sections", "system", language),
      context,
    );
  if (below.length === 0) return [block(groups)];
  const machine = groups.filter(({ group }) => group === "host" || group === "gpu");
  const rest = groups.filter((one) => !machine.includes(one));
  return [block(machine), ...below, ...(rest.length === 0 ? [] : [block(rest)])];
}

export function environmentDifferences(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { takenAfterAt, differences } = context.data.environment;
  if (takenAfterAt === undefined) return [paragraph(word(context, "no_after"), context)];
  if (differences.length === 0) return [paragraph(word(context, "no_differences"), context)];
  return [changesTable("differences", differences, context)];
}

/** What changed from one snapshot of the run to the next, and between which trials. */
export function environmentDrift(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { drift } = context.data.environment;
  if (drift.length === 0) return [paragraph(word(context, "no_drift"), context)];
  return [changesTable("drift", drift, context)];
}

function changesTable(
  name: "differences" | "drift",
  changes: readonly ChangedField[],
  context: CellContext,
): Block {
  const { dictionary, language } = context;
  const isDrift = name === "drift";
  const heads = isDrift
    ? ["field", "from", "to", "when", "class"]
    : ["field", "before", "after", "class"];
  return {
    ...noTable,
    id: "",
    label: titled(name, context),
    layout: "plain",
    head: simpleHead(
      heads.map((head) => column(context, head)),
      context,
    ),
    bodies: changes.map((change) => [
      plainRow([
        textCell(fieldName(change, context), context, { head: true }),
        inlineCell(fieldInlines(change.before, context), { wide: true }),
        inlineCell(fieldInlines(change.after, context), { wide: true }),
        ...(isDrift
          ? [
              textCell(change.when?.[language] ?? word(context, "within_run"), context, {
                wide: true,
              }),
            ]
          : []),
        textCell(wordOf(dictionary, "classes", change.class, language), context),
      ]),
    ]),
  };
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
