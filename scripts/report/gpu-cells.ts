// The cells about GPUs: what each one is, where they differ, how they are cut up and joined, and what
// they did while points were measured.

import { formatNumber } from "../units.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  numberedCaption,
  paragraph,
  plainRow,
  pointHead,
  pointsOf,
  simpleHead,
  textCell,
  titled,
  word,
} from "./cell-context.ts";
import { fieldLabel, translated, wordOf } from "./dictionary.ts";
import type { Block, HeadCell, Table } from "./document.ts";
import { fieldInlines, fieldsBlock } from "./field-inlines.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { GpuComparison, GpuEnvironment } from "./record-gpus.ts";
import type { GpuReadingColumn } from "./record-telemetry.ts";
import { computedOf, numberCell } from "./results-table.ts";
import { setText, visible } from "./typography.ts";

/** What stands under the fields that the GPUs share: nothing, where there is one without MIG. */
export function gpuBlocks(context: CellContext): readonly Block[] {
  const { gpus } = context.data.environment;
  if (gpus === undefined) return [];
  return [
    ...identitiesTable(gpus, context),
    ...(gpus.differing === undefined
      ? []
      : headed(
          "gpu-differing",
          comparisonTable("gpu-differing", gpus.differing, context),
          context,
        )),
    ...migTable(gpus, context),
    ...topologyBlocks(gpus, context),
    ...momentaryBlock(gpus, context),
  ];
}

function identitiesTable({ identities }: GpuEnvironment, context: CellContext): readonly Block[] {
  if (identities === undefined) return [];
  const { dictionary, language } = context;
  const labels = identities.facts.map((fact) => fieldLabel(dictionary, fact, language));
  const table: Table = {
    ...noTable,
    id: "",
    label: titled("gpu-identities", context),
    layout: "plain",
    head: simpleHead(["GPU", ...labels], context),
    bodies: identities.rows.map(({ gpu, values }) => [
      plainRow([
        textCell(gpu, context, { head: true }),
        ...values.map((value) => inlineCell(fieldInlines(value, context))),
      ]),
    ]),
  };
  return headed("gpu-identities", table, context);
}

/** Facts down, GPUs across. */
function comparisonTable(name: string, { gpus, rows }: GpuComparison, context: CellContext): Table {
  const { dictionary, language } = context;
  return {
    ...noTable,
    id: "",
    label: titled(name, context),
    // A wide one keeps its first column in sight.
    layout: gpus.length > 3 ? "wide" : "plain",
    head: simpleHead([column(context, "field"), ...gpus], context),
    bodies: rows.map(({ labels, values }) => [
      plainRow([
        textCell(fieldLabel(dictionary, labels, language), context, { head: true }),
        ...values.map((value) => {
          const isLong = value?.state === "value" && value.text.length > 24;
          return inlineCell(fieldInlines(value, context), {
            wide: isLong || (value !== undefined && value.state !== "value"),
          });
        }),
      ]),
    ]),
  };
}

/** The tables of a system are not referred to by number: a small heading names each. */
function headed(name: string, table: Table, context: CellContext): readonly Block[] {
  const content = textInlines(titled(name, context), context.language);
  return [{ kind: "heading", level: 4, id: "", number: undefined, content }, table];
}

function migTable({ mig }: GpuEnvironment, context: CellContext): readonly Block[] {
  if (mig.length === 0) return [];
  const heads = ["mig_device", "mig_profile", "mig_gi", "mig_ci", "mig_slices", "mig_memory"];
  const names = [...heads, "mig_sm", "uuid"].map((name) => column(context, name));
  const text = (value: string | number | undefined): string =>
    value === undefined ? "–" : visible(String(value));
  const memory = (mib: number | undefined): string =>
    mib === undefined ? "–" : `${formatNumber(mib, 0)} MiB`;
  const table: Table = {
    ...noTable,
    id: "",
    label: titled("mig-devices", context),
    layout: "plain",
    head: simpleHead(names, context, [2, 3, 5, 6]),
    bodies: mig.map((device) => [
      plainRow([
        textCell(device.gpu, context, { head: true }),
        inlineCell([{ kind: "data", text: text(device.profile) }]),
        textCell(text(device.gpuInstance), context, { numeric: true }),
        textCell(text(device.computeInstance), context, { numeric: true }),
        textCell(text(device.slices), context),
        textCell(memory(device.memoryMib), context, { numeric: true }),
        textCell(text(device.multiprocessors), context, { numeric: true }),
        inlineCell([{ kind: "data", text: text(device.uuid) }]),
      ]),
    ]),
  };
  return headed("mig-devices", table, context);
}

function topologyBlocks({ topology }: GpuEnvironment, context: CellContext): readonly Block[] {
  if (topology === undefined) return [];
  const { dictionary, language } = context;
  const meanings = topology.links.flatMap((link) => {
    const [, lanes] = /^NV(\d+)$/.exec(link) ?? [];
    const name = lanes === undefined ? `link_${link.toLowerCase()}` : "link_nv";
    if (!Object.hasOwn(dictionary.words, name)) return [];
    const meaning = word(context, name, { count: lanes ?? "" });
    return [`${link}${word(context, "title_separator")}${meaning}`];
  });
  const legend = meanings.join(word(context, "clause_separator"));
  return [
    {
      kind: "heading",
      level: 4,
      id: "",
      number: undefined,
      content: textInlines(titled("topology", context), language),
    },
    { kind: "code", text: visible(topology.text), command: false },
    ...(legend === ""
      ? []
      : [paragraph(setText(`${legend}${word(context, "full_stop")}`, language), context)]),
  ];
}

function momentaryBlock(
  { momentary, about }: GpuEnvironment,
  context: CellContext,
): readonly Block[] {
  const { rows, differing } = momentary;
  const count = rows.length + (differing?.rows.length ?? 0);
  if (count === 0) return [];
  return [
    {
      kind: "folded",
      title: textInlines(titled("gpu-momentary", context), context.language),
      detail: word(context, "items", { count: String(count) }),
      blocks: [
        ...(differing === undefined ? [] : [comparisonTable("gpu-momentary", differing, context)]),
        ...(rows.length === 0
          ? []
          : [fieldsBlock([{ title: about, rows }], titled("gpu-momentary", context), context)]),
      ],
    },
  ];
}

/** Metrics that stand beside the readings. */
const metricKeys = ["tps_per_gpu", "energy_per_token"] as const;

/** Metric keys that the telemetry table shows. */
export function gpuTelemetryKeys({ data }: CellContext): readonly string[] {
  return data.gpus.rows.length === 0
    ? []
    : metricKeys.filter((key) => Object.hasOwn(data.metrics, key));
}

const readingColumns: readonly (readonly [GpuReadingColumn, string])[] = [
  ["powerW", "W"],
  ["smClockMhz", "MHz"],
  ["temperatureC", "°C"],
  ["utilizationPercent", "%"],
  ["memoryGib", "GiB"],
];
const heldColumns: readonly GpuReadingColumn[] = ["thermal", "powerBrake", "powerCap"];
const shownKeys = [...readingColumns.map(([key]) => key), ...heldColumns];

/** What the GPUs did at each point; one sentence where there is nothing to show. */
export function gpuTelemetryTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const { data, language } = context;
  const asked = pointsOf(context, cell);
  const rows = asked.flatMap((point) => {
    const telemetry = data.gpus.rows.find((row) => row.point === point.name);
    return telemetry === undefined ? [] : [{ point, telemetry }];
  });
  const unread = unreadText(
    context,
    asked.map(({ name }) => name),
    rows.length === 0,
  );
  if (rows.length === 0) return [paragraph(unread, context)];
  const footnotes = new Map<string, string>();
  const keys = gpuTelemetryKeys(context);
  const bodies = rows.map(({ point, telemetry }) => [
    plainRow([
      pointHead(point, context),
      textCell(telemetry.gpus, context),
      ...shownKeys.map((key) => textCell(telemetry[key] ?? "–", context, { numeric: true })),
      ...keys.map((key) => {
        const number = point.numbers[key];
        return number === undefined
          ? textCell("–", context, { numeric: true })
          : numberCell(number, footnotes, context);
      }),
    ]),
  ]);
  const lettered = [...footnotes].map(([text, letter]) => `${letter}\u00a0${text}`);
  const end = word(context, "full_stop");
  const notes = [
    word(context, "gpu_note"),
    rows.some(({ telemetry }) => telemetry.isSliced) ? word(context, "gpu_sliced") : "",
    rows.some(({ telemetry }) => !telemetry.isKnown) ? word(context, "gpu_guessed") : "",
    rows.some(({ telemetry }) => shownKeys.some((key) => telemetry[key] === undefined))
      ? word(context, "gpu_no_counters")
      : "",
    unread,
    lettered.length === 0 ? "" : `${lettered.join(word(context, "clause_separator"))}${end}`,
  ].filter((text) => text !== "");
  return [
    {
      ...noTable,
      ...numberedCaption("gpu-telemetry", context),
      layout: "wide",
      head: telemetryHead(keys, context),
      bodies,
      notes: [textInlines(notes.join(language === "zh" ? "" : " "), language)],
      computed: computedOf(
        keys.map((key) => ({ key })),
        context,
      ),
    },
  ];
}

function telemetryHead(keys: readonly string[], context: CellContext): Table["head"] {
  const { language, data, dictionary } = context;
  const head = (text: string, options: Partial<HeadCell> = {}): HeadCell => ({
    content: textInlines(text, language),
    unit: undefined,
    numeric: true,
    columns: 1,
    rows: 2,
    group: false,
    ...options,
  });
  const held = wordOf(dictionary, "column_groups", "gpu_held_back", language);
  return [
    [
      head(column(context, "point"), { numeric: false }),
      head("GPU", { numeric: false }),
      ...readingColumns.map(([key, unit]) => head(column(context, `gpu_${key}`), { unit })),
      head(held, { columns: heldColumns.length, rows: 1, group: true }),
      ...keys.map((key) => {
        const text = data.metrics[key];
        const unit = text?.unit[language];
        return head(text?.head[language] ?? key, { unit });
      }),
    ],
    heldColumns.map((key) => head(column(context, `gpu_${key}`), { rows: 1 })),
  ];
}

/** Why points have no readings; "" where all of those asked for have some. */
function unreadText(context: CellContext, asked: readonly string[], isNone: boolean): string {
  const { data, dictionary, language } = context;
  const { none, unread } = data.gpus;
  if (none !== undefined) return word(context, none === "no_gpu" ? "gpu_none" : "gpu_not_used");
  const parts = unread.flatMap(({ why, points }) => {
    const own = data.points.filter(({ name }) => points.includes(name) && asked.includes(name));
    if (own.length === 0) return [];
    const known = translated(dictionary, "reasons", why.en, language);
    const text = visible(known === why.en ? why[language] : known);
    const labels = own.map(({ label }) => visible(label[language]));
    return [
      isNone
        ? text
        : word(context, "why_of", {
            why: text,
            points: labels.join(word(context, "list_separator")),
          }),
    ];
  });
  if (parts.length > 0) {
    return word(context, "absent_because", {
      what: titled("gpu-telemetry", context),
      why: [...new Set(parts)].join(word(context, "clause_separator")),
    });
  }
  return isNone ? word(context, "nothing_measured") : "";
}
