// What commands print for people: plain tables of at most 80 columns, Chinese widths counted right.
import Table from "cli-table3";
import stringWidth from "string-width";
import type { SnapshotDifference } from "../environment/difference.ts";
import type { EnvironmentField, EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import { fieldGroups } from "../environment/snapshot.ts";
import { describeParts, type UserErrorParts } from "../errors.ts";
import type { ExperimentDifferences } from "../experiment/difference.ts";
import type { PlanSummary } from "../experiment/plan-summary.ts";
import type { RunSummary } from "../store/stored-run.ts";
import { formatDuration, formatNumber } from "../units.ts";
import type { RecordData } from "./record-data.ts";
import { numberText, type PrintedNumber } from "./record-numbers.ts";
import type { PointData } from "./record-parts.ts";
import { sloLines } from "./record-slo.ts";

/** Rows and columns with two spaces between; the first column left, the others as told. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const nothing = {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
    left: "",
    "left-mid": "",
    mid: "",
    "mid-mid": "",
    right: "",
    "right-mid": "",
    middle: "  ",
  };
  const drawn = new Table({
    head: [...head],
    chars: nothing,
    colAligns: head.map((_, column) => (right.includes(column) ? "right" : "left")),
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  for (const row of rows) drawn.push([...row]);
  return `${drawn.toString().replaceAll(/ +$/gm, "")}\n`;
}

/** @param estimatedS from earlier runs; undefined: none of its points was measured before */
export function describePlan(
  plan: PlanSummary & {
    readonly estimatedS: number | undefined;
    readonly missing: readonly UserErrorParts[];
  },
): string {
  const { least, most } = plan.rounds;
  const onDemand = least < most;
  /** Of what the most rounds come to: "16 to 48". */
  const range = (inAll: number): string =>
    onDemand
      ? `${formatNumber((inAll * least) / most, 0)} to ${formatNumber(inAll, 0)}`
      : formatNumber(inAll, 0);
  const rows = plan.rows.map((row) => [
    row.point,
    row.requestsPerTrial,
    range(row.trials),
    onDemand ? `${row.requests} at most` : row.requests,
  ]);
  const time =
    plan.estimatedS === undefined
      ? "not known yet: not all of it was measured before"
      : onDemand
        ? `about ${formatDuration((plan.estimatedS * least * 1000) / most)} (${least} rounds) to ${formatDuration(plan.estimatedS * 1000)} (${most} rounds), as in earlier runs`
        : `about ${formatDuration(plan.estimatedS * 1000)}, as in earlier runs`;
  return [
    `${plan.title}\n`,
    table(["point", "requests a trial", "trials", "in all"], rows, [1, 2, 3]),
    "Order (variants and loads are shuffled by the seed)",
    ...plan.order.map((line) => `  ${line}`),
    "",
    `${range(plan.starts)} starts, ${range(plan.trials.length)} trials, ${range(plan.requests)} requests`,
    `Expected time: ${time}`,
    ...plan.notes.map((note) => `Note: ${note}`),
    ...(plan.missing.length === 0
      ? ["This machine has what the plan needs.", ""]
      : ["", "What keeps it from running here", ...plan.missing.map(describeLack), ""]),
  ].join("\n");
}

/** What `benchbook plan --diff` shows. */
export function describeDifferences(found: ExperimentDifferences): string {
  if (found.differences.length === 0) return "The two experiments are the same.\n";
  return [
    table(
      ["what", "here", "there", "it decides"],
      found.differences.map(({ path, a, b, effect }) => [path, a ?? "-", b ?? "-", effect]),
    ),
    found.comparable
      ? `Points that may be compared: ${found.comparablePoints.join(", ")}`
      : "No point of the one may be compared with a point of the other.",
    `Trials that are the same in both: ${found.sameTrials}`,
    "",
  ].join("\n");
}

function describeLack(lack: UserErrorParts): string {
  return describeParts(lack).replaceAll(/^/gm, "  ");
}

/** The ten lines after a run: each point with its headline numbers and verdict. */
export function describeSummary(data: RecordData, reports: readonly string[]): string {
  const columns = ["output_tps", "qps", "ttft.mean", "tpot.mean"] as const;
  const head = ["point", "output token/s", "QPS", "TTFT ms", "TPOT ms", "verdict"];
  const rows = data.points.map((point) => [
    point.name,
    ...columns.map((key) => cellText(point.numbers[key])),
    verdictText(point),
  ]);
  const verdict = data.verdict;
  return [
    "",
    table(head, rows, [1, 2, 3, 4]).trimEnd(),
    wrapped(data.intervalNote.en),
    ...sloLines(data.slo).map((line) => wrapped(line)),
    `Verdict: ${verdict}. Record ${data.recordId.short}`,
    ...reports.map((path) => `  ${path}`),
    "",
  ].join("\n");
}

/** Breaks a text at spaces so that no line is longer than a terminal is wide. */
function wrapped(text: string, columns = 80): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && stringWidth(`${line} ${word}`) > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}

function cellText(number: PrintedNumber | undefined): string {
  return number === undefined ? "-" : (numberText(number) ?? "-");
}

function verdictText({ mark, reasons }: PointData): string {
  const rules = [...new Set(reasons.map(({ rule }) => rule))].join(" ");
  return `${mark.replace("_", " ")}${rules === "" ? "" : ` (${rules})`}`;
}

export function describeRuns(runs: readonly RunSummary[]): string {
  if (runs.length === 0) return "no runs yet; benchbook run <experiment.yaml> makes one\n";
  return table(
    ["run", "status", "trials", "verdict"],
    runs.map((run) => [
      run.run,
      run.status === "open" ? "not finished" : run.status,
      `${run.trialsMeasured}/${run.trialsPlanned}`,
      run.verdict ?? "-",
    ]),
    [2],
  );
}

export function describeSnapshot({ fields }: EnvironmentSnapshot): string {
  const width = Math.max(...fields.map(({ id }) => stringWidth(id)));
  return fieldGroups
    .map((group) => fields.filter((field) => field.group === group))
    .filter((group) => group.length > 0)
    .map((group) =>
      group.map((field) => `${field.id.padEnd(width)}  ${valueText(field)}\n`).join(""),
    )
    .join("\n");
}

/** What `benchbook env --against` shows. @param against the run or file that it was held against */
export function describeEnvironmentDifference(
  against: string,
  { comparable, differences, unknown }: SnapshotDifference,
): string {
  const titles = { comparability: "Must be equal to compare", context: "Worth knowing" } as const;
  const tables = (["comparability", "context"] as const).flatMap((of) => {
    const rows = differences
      .filter((one) => one.class === of)
      .map(({ id, before, after }) => [id, fieldText(before), fieldText(after)]);
    return rows.length === 0 ? [] : [titles[of], table(["field", against, "here"], rows)];
  });
  const noise = differences.filter((one) => one.class === "noise").length;
  const open = unknown.filter((one) => one.class === "comparability").map(({ id }) => id);
  return [
    ...tables,
    ...(noise === 0 ? [] : [`Fields that differ at any time, such as load: ${noise}`]),
    ...(open.length === 0
      ? []
      : [wrapped(`Not known on both sides, though it must be equal: ${open.join(", ")}`)]),
    comparable
      ? "Comparable: nothing that is known on both sides and must be equal differs."
      : "Not comparable: what must be equal differs.",
    "",
  ].join("\n");
}

function fieldText(value: FieldValue | undefined): string {
  return value === undefined ? "-" : valueText({ value });
}

function valueText({ value }: Pick<EnvironmentField, "value">): string {
  switch (value.state) {
    case "value":
      return `${value.value}${value.unit === undefined ? "" : ` ${value.unit}`}`;
    case "not_applicable":
      return `not applicable${value.reason === undefined ? "" : `: ${value.reason}`}`;
    case "not_collected":
      return `not collected: ${value.reason}`;
    case "redacted":
      return `redacted: ${value.reason}`;
  }
}
