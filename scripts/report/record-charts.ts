// From a point of the record to what the charts draw: plain numbers, with the text of the tables, so
// that a figure and a table agree to the digit.
import type { Estimate } from "../stats/samples.ts";
import type { ChartPoint, ChartValue } from "./chart-data.ts";
import type { RecordMaterial } from "./record-material.ts";
import { numberText } from "./record-numbers.ts";
import type { PointData, VariantData } from "./record-parts.ts";

/** The chart point of a measured point; none for a point of which nothing was measured. */
export function chartPointOf(
  point: PointData,
  material: RecordMaterial,
  variants: readonly VariantData[],
): readonly ChartPoint[] {
  const measured = material.measured.find((one) => one.point === point.name);
  const planned = material.points.find((one) => one.name === point.name);
  if (measured === undefined || planned === undefined || point.mark === "not_checked") return [];
  const variant = variants.find((one) => one.name === point.variant);
  const metrics: Record<string, ChartValue> = {};
  for (const [key, estimate] of measured.estimates) {
    const value = chartValue(estimate, printed(point, key));
    const outlying = outlyingRounds(point, key, material);
    if (value !== undefined) metrics[key] = outlying.length === 0 ? value : { ...value, outlying };
  }
  const achieved = metrics["concurrency_achieved"];
  return [
    {
      variant: point.variant,
      variantLabel: variant?.name ?? point.variant,
      colorIndex: point.place,
      name: point.name,
      plannedConcurrency:
        planned.load.kind === "concurrency" ? planned.load.concurrency : undefined,
      achievedConcurrency: achieved,
      verdict: point.mark,
      metrics,
    },
  ];
}

/** Rounds that the audit labelled, of the point itself or of all points together. */
function outlyingRounds(
  { name, variant }: PointData,
  key: string,
  { audit }: RecordMaterial,
): readonly number[] {
  const findings = [...audit.findings, ...audit.points.flatMap((one) => one.findings)];
  const rounds = findings.flatMap(({ rule, where, evidence: { round, metrics } }) =>
    rule === "S9" &&
    [name, variant, "run"].includes(where) &&
    String(metrics).split(" ").includes(key) &&
    typeof round === "number"
      ? [round]
      : [],
  );
  return [...new Set(rounds)].sort((a, b) => a - b);
}

function chartValue(estimate: Estimate, text: string | undefined): ChartValue | undefined {
  if (estimate.value === undefined) return undefined;
  return {
    value: estimate.value,
    low: estimate.low,
    high: estimate.high,
    halfWidth: estimate.halfWidth,
    perRound: estimate.perRound,
    ...(text === undefined ? {} : { text }),
  };
}

function printed(point: PointData, key: string): string | undefined {
  const number = point.numbers[key];
  return number === undefined ? undefined : numberText(number);
}
