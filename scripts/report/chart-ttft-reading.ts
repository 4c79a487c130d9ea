// What the TTFT chart says: which percentiles there are, the finding, the note, the numbers in words.

import type { Language } from "../experiment/experiment.ts";
import { compareVariants, relationOf } from "./chart-comparison.ts";
import { barsNote, hollowNote } from "./chart-concurrency.ts";
import { byVariant, type ChartPoint, type ChartValue, counts, loadOf } from "./chart-data.ts";
import { changesText, list, pointName, say, sentences, spanText, valueText } from "./chart-text.ts";

export type Percentile = "p50" | "p90" | "p95" | "p99";

/** A percentile of TTFT that a log axis can hold. */
export function ttft(point: ChartPoint, percentile: Percentile): ChartValue | undefined {
  const value = point.metrics[`ttft.${percentile}`];
  return value !== undefined && value.value > 0 ? value : undefined;
}

/** At most three: p95 gives way where p90 and p99 are both there. */
export function percentilesOf(points: readonly ChartPoint[]): readonly Percentile[] {
  const all: readonly Percentile[] = ["p50", "p90", "p95", "p99"];
  const present = all.filter((p) => points.some((point) => ttft(point, p) !== undefined));
  return present.length < 4 ? present : present.filter((p) => p !== "p95");
}

// From the lowest to the highest load of each variant, median first and the highest percentile after.
export function ttftFinding(
  points: readonly ChartPoint[],
  percentiles: readonly Percentile[],
  language: Language,
): string {
  const counted = points.filter(counts);
  const [lowest] = percentiles;
  const highest = percentiles.at(-1);
  if (lowest === undefined || highest === undefined || counted.length === 0) {
    return say(
      language,
      "没有有效测点，TTFT 仅供查看",
      "No valid point: TTFT is shown, nothing is claimed",
    );
  }
  const ends = endsOf(counted, lowest);
  const [head] = ends;
  if (head === undefined) return levelOf(counted, lowest, language);
  const told = [lowest, ...(highest === lowest ? [] : [highest])].flatMap((percentile, index) => {
    const own = endsOf(counted, percentile);
    if (own.length === 0) return [];
    const changes = own.map(({ first, last }) => ({
      label: first.variantLabel,
      ratio: (ttft(last, percentile)?.value ?? 1) / (ttft(first, percentile)?.value ?? 1),
    }));
    const name = index === 0 ? `TTFT ${percentile}` : percentile;
    return {
      text: `${name} ${changesText(changes, language)}`,
      unsure: unsureEnds(own, percentile, language),
    };
  });
  const sameLoads = ends.every(
    ({ first, last }) => loadOf(first) === loadOf(head.first) && loadOf(last) === loadOf(head.last),
  );
  const span = sameLoads
    ? spanText(head.first, head.last, language)
    : say(
        language,
        "从各变体的最低到最高并发，",
        "From the lowest to the highest load of each variant ",
      );
  // What is unsure of all of them is said once.
  const shared = told.every(({ unsure }) => unsure === told[0]?.unsure);
  const parts = told.map(({ text, unsure }) => text + (shared ? "" : unsure));
  return span + parts.join(say(language, "，", ", ")) + (shared ? (told[0]?.unsure ?? "") : "");
}

interface Ends {
  readonly first: ChartPoint;
  readonly last: ChartPoint;
}

/** Lowest and highest load of each variant that has at least two with this percentile. */
function endsOf(points: readonly ChartPoint[], percentile: Percentile): readonly Ends[] {
  return byVariant(points.filter((point) => ttft(point, percentile) !== undefined)).flatMap(
    (group) => {
      const [first, last] = [group[0], group.at(-1)];
      return first === undefined || last === undefined || first === last ? [] : [{ first, last }];
    },
  );
}

// No variant has two loads: the values themselves, or how the variants lie to each other.
function levelOf(
  points: readonly ChartPoint[],
  percentile: Percentile,
  language: Language,
): string {
  const name = `TTFT ${percentile}`;
  const valueOf = (point: ChartPoint): ChartValue | undefined => ttft(point, percentile);
  const compared = compareVariants(points, { valueOf, better: "lower", name }, language);
  if (compared !== undefined) return compared;
  const values = points.flatMap((point) => {
    const value = valueOf(point);
    if (value === undefined) return [];
    const text = `${valueText(value)}\u00a0ms`;
    return [
      say(
        language,
        `${text}（${pointName(point, language)}）`,
        `${text} (${pointName(point, language)})`,
      ),
    ];
  });
  return say(
    language,
    `${name} 为 ${list(values, language)}`,
    `${name} is ${list(values, language)}`,
  );
}

// A change between two intervals that overlap is no change one may claim.
function unsureEnds(ends: readonly Ends[], percentile: Percentile, language: Language): string {
  const of = (relation: "overlap" | "unknown"): string[] =>
    ends
      .filter(
        ({ first, last }) =>
          relationOf(ttft(first, percentile), ttft(last, percentile)) === relation,
      )
      .map(({ first }) => first.variantLabel);
  const overlapping = of("overlap");
  if (of("unknown").length > 0) return say(language, "（无区间）", " (no intervals)");
  if (overlapping.length === 0) return "";
  const names = list(overlapping, language);
  return say(
    language,
    `（${names} 两端区间重叠）`,
    ` (the intervals at both ends overlap for ${names})`,
  );
}

export function ttftNote(
  points: readonly ChartPoint[],
  percentiles: readonly Percentile[],
  cut: boolean,
  language: Language,
): string {
  const names = list(percentiles, language);
  const values = points.flatMap((point) => percentiles.flatMap((p) => ttft(point, p) ?? []));
  const hollow = hollowNote(points, language);
  return sentences(
    [
      say(
        language,
        `TTFT ${names} 对实测并发，两轴均为对数；同一测点的各分位数并排画出`,
        `TTFT ${names} against achieved concurrency, both axes log; the percentiles of a point stand side by side`,
      ),
      barsNote(values, cut, language),
      ...(hollow === undefined ? [] : [hollow]),
    ],
    language,
  );
}

export function describeTtft(
  groups: readonly (readonly ChartPoint[])[],
  percentiles: readonly Percentile[],
  language: Language,
): string {
  const parts = groups.flatMap((points) =>
    points.map((point) => {
      const values = percentiles.flatMap((p) => {
        const value = ttft(point, p);
        return value === undefined ? [] : [`${p} ${valueText(value)}`];
      });
      return `${pointName(point, language)}: ${values.join(", ")} ms`;
    }),
  );
  return sentences(parts, language);
}
