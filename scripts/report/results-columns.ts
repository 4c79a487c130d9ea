// The columns of a results table: which keys a name stands for, their heads, how heads group.
import { type CellContext, column, listOption, unknown } from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import type { HeadCell, Table } from "./document.ts";
import { countKeys, metricText } from "./metric-texts.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { PointData } from "./record-parts.ts";

export interface Column {
  readonly key: string;
  readonly head: string;
  readonly unit: string | undefined;
  /** Columns of one group that stand together get one head above them. */
  readonly group: string | undefined;
  readonly groupHead: string | undefined;
  readonly kind: "number" | "lengths" | "verdict";
}

/** Names that stand for several columns. */
const bundles: Readonly<Record<string, readonly string[]>> = {
  tokens: ["input_tokens", "output_tokens"],
  requests: ["requests_measured", "requests_completed", "requests_failed"],
  input_lengths: ["planned_input_tokens", "input_tokens.range"],
  output_lengths: ["planned_output_tokens", "output_tokens.range"],
};

/** The columns of a results table that say nothing else. */
const standard = ["concurrency", "qps", "output_tps", "ttft", "tpot", "e2e", "verdict"];

/** The columns that a cell asks for. @throws UserError for a name that nothing has */
export function columnsOf(
  cell: Cell,
  points: readonly PointData[],
  context: CellContext,
): readonly Column[] {
  const asked = listOption(context, cell, "columns") ?? standard;
  return asked
    .flatMap((name) => expand(name, points, context))
    .map((key) => columnOf(key, cell, context));
}

/** "concurrency", "tokens", "ttft.percentiles" stand for several columns; "ttft" for "ttft.mean". */
function expand(
  name: string,
  points: readonly PointData[],
  { data }: CellContext,
): readonly string[] {
  const bundle = Object.hasOwn(bundles, name) ? bundles[name] : undefined;
  if (bundle !== undefined) return bundle;
  if (name === "concurrency" || name === "load") {
    const planned = ["planned_concurrency", "planned_rate", "offered_rate"].filter((key) =>
      points.some((point) => point.numbers[key]?.text !== undefined),
    );
    // Requests in flight follow from the rate in an open loop; beside it they need a head of their own.
    return [...planned, "concurrency_achieved"];
  }
  const percentiles = /^(\w+)\.percentiles$/.exec(name)?.[1];
  if (percentiles !== undefined) return data.percentiles.map((p) => `${percentiles}.p${p}`);
  return Object.hasOwn(data.metrics, `${name}.mean`) ? [`${name}.mean`] : [name];
}

function columnOf(key: string, cell: Cell, context: CellContext): Column {
  const { language, data, dictionary } = context;
  if (key === "verdict") {
    return {
      key,
      kind: "verdict",
      head: column(context, "verdict"),
      unit: undefined,
      group: undefined,
      groupHead: undefined,
    };
  }
  if (key.endsWith(".range")) {
    const group = key.replace(/\.range$/, "");
    return {
      key,
      kind: "lengths",
      head: column(context, "min_mean_p99_max"),
      unit: undefined,
      group,
      groupHead: wordOf(dictionary, "column_groups", group, language),
    };
  }
  const text = data.metrics[key] ?? metricText(key);
  if (text === undefined) {
    throw unknown(context, cell, "column", key, knownColumns(context));
  }
  const group = groupOf(key);
  const inGroup = Object.hasOwn(dictionary.column_groups, group ?? "");
  const unit = text.unit[language];
  return {
    key,
    kind: "number",
    head:
      group !== undefined && /\.p[\d.]+$/.test(key)
        ? key.replace(/^.*\.(p[\d.]+)$/, "$1")
        : text.head[language],
    unit: unit === "" ? undefined : unit,
    group,
    groupHead:
      group === undefined
        ? undefined
        : inGroup
          ? wordOf(dictionary, "column_groups", group, language)
          : (metricText(`${group}.mean`)?.head[language] ?? group),
  };
}

/** Every name that `columns` takes, for messages. */
export function knownColumns({ data }: CellContext): readonly string[] {
  const metrics = Object.keys(data.metrics);
  const families = new Set(
    metrics.filter((key) => key.includes(".")).map((key) => key.split(".")[0] ?? ""),
  );
  return [
    "concurrency",
    "verdict",
    ...Object.keys(bundles),
    ...families,
    ...[...families].map((family) => `${family}.percentiles`),
    ...metrics,
    ...countKeys,
  ];
}

function groupOf(key: string): string | undefined {
  if (key === "planned_concurrency" || key === "concurrency_achieved") return "concurrency";
  if (key === "planned_rate" || key === "offered_rate") return "rate";
  if (key === "prompt_tps_request" || key === "decode_tps") return "per_request";
  if (key === "prompt_tps_computed" || key === "prompt_tps_cached") return "prefill";
  if (key === "concurrency_running" || key === "concurrency_waiting") return "engine_queue";
  if (key === "ttft.mean" || key === "e2e.mean" || key === "tpot.mean") return "latency_mean";
  if (key === "input_tokens" || key === "output_tokens") return "tokens";
  if (key.startsWith("requests_")) return "requests";
  if (key === "planned_input_tokens") return "input_tokens";
  if (key === "planned_output_tokens") return "output_tokens";
  return /^(.+)\.p[\d.]+$/.exec(key)?.[1];
}

/** Groups whose head says what is counted, so that a unit beneath would only repeat it. */
const saysItsUnit: ReadonlySet<string> = new Set([
  "concurrency",
  "rate",
  "tokens",
  "input_tokens",
  "output_tokens",
  "requests",
  "engine_queue",
]);

/** Two rows of heads where columns group, else one. A unit that a whole group shares stands above. */
export function headOf(columns: readonly Column[], context: CellContext): Table["head"] {
  const { language } = context;
  const first = column(context, "point");
  const runs: Column[][] = [];
  for (const one of columns) {
    const last = runs.at(-1);
    if (last !== undefined && one.group !== undefined && last[0]?.group === one.group)
      last.push(one);
    else runs.push([one]);
  }
  const grouped = runs.some((run) => run.length > 1);
  const cell = (text: string, options: Partial<HeadCell>): HeadCell => ({
    content: textInlines(text, language),
    unit: undefined,
    numeric: true,
    columns: 1,
    rows: 1,
    group: false,
    ...options,
  });
  const single = (one: Column): HeadCell =>
    cell(headAlone(one, context), {
      unit: one.unit,
      numeric: one.kind !== "verdict",
      rows: grouped ? 2 : 1,
    });
  const point = cell(first, { numeric: false, rows: grouped ? 2 : 1 });
  if (!grouped) return [[point, ...columns.map(single)]];
  const top: HeadCell[] = [point];
  const below: HeadCell[] = [];
  for (const run of runs) {
    const [one] = run;
    if (one === undefined) continue;
    if (run.length === 1) {
      top.push(single(one));
      continue;
    }
    const named = one.group !== undefined && saysItsUnit.has(one.group);
    const units = new Set(run.map(({ unit }) => unit));
    const shared = units.size === 1 && !named ? one.unit : undefined;
    const head = one.groupHead ?? "";
    const unit = language === "zh" ? `（${shared ?? ""}）` : ` (${shared ?? ""})`;
    top.push(cell(shared === undefined ? head : head + unit, { columns: run.length, group: true }));
    below.push(
      ...run.map((inner) =>
        cell(inner.head, { unit: shared !== undefined || named ? undefined : inner.unit }),
      ),
    );
  }
  return [top, below];
}

/** A column that stands alone says its group too, where its own head would not be understood. */
function headAlone({ key, head, groupHead, group }: Column, context: CellContext): string {
  if (/\.p[\d.]+$/.test(key)) return `${groupHead ?? ""} ${head}`;
  const bare = [
    "concurrency",
    "rate",
    "prefill",
    "engine_queue",
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
  ];
  if (group === undefined || !bare.includes(group)) return head;
  return metricText(key)?.name[context.language] ?? head;
}
