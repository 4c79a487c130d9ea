// Which variant is ahead in a metric, in words that the numbers bear: intervals apart or overlapping
// are described, nothing is tested here and no cause is named.

import type { Language } from "../experiment/experiment.ts";
import { byVariant, type ChartPoint, type ChartValue, counts, loadOf } from "./chart-data.ts";
import { atLoads, list, loadName, say } from "./chart-text.ts";

export interface ComparedMetric {
  readonly valueOf: (point: ChartPoint) => ChartValue | undefined;
  readonly better: "higher" | "lower";
  /** In the language of the chart: "output throughput". */
  readonly name: string;
}

/** A sentence without its full stop; undefined: one variant, or no load that all of them share. */
export function compareVariants(
  points: readonly ChartPoint[],
  metric: ComparedMetric,
  language: Language,
): string | undefined {
  const variants = byVariant(
    points.filter((point) => counts(point) && metric.valueOf(point) !== undefined),
  );
  const [first, second] = variants;
  if (first === undefined || second === undefined) return undefined;
  return variants.length === 2
    ? comparePair(first, second, metric, language)
    : compareMany(variants, metric, language);
}

interface Meeting {
  readonly point: ChartPoint;
  readonly leader: ChartPoint;
  readonly relation: "apart" | "overlap" | "unknown";
}

function comparePair(
  first: readonly ChartPoint[],
  second: readonly ChartPoint[],
  metric: ComparedMetric,
  language: Language,
): string | undefined {
  const meetings = first.flatMap((point): Meeting[] => {
    const other = second.find((candidate) => loadOf(candidate) === loadOf(point));
    if (other === undefined) return [];
    const leader = best([point, other], metric);
    return [{ point, leader, relation: relationOf(metric.valueOf(point), metric.valueOf(other)) }];
  });
  const [a, b] = [first[0]?.variantLabel ?? "", second[0]?.variantLabel ?? ""];
  if (meetings.length === 0) return undefined;
  const loads = (of: readonly Meeting[]): string =>
    atLoads(
      of.map(({ point }) => point),
      meetings.length,
      language,
    );

  const apart = meetings.filter(({ relation }) => relation === "apart");
  const overlap = meetings.filter(({ relation }) => relation === "overlap");
  const unknown = meetings.filter(({ relation }) => relation === "unknown");
  const parts: string[] = [];
  const higher = metric.better === "higher" ? "高于" : "低于";
  const leads = [a, b]
    .map((label) => ({ label, at: apart.filter(({ leader }) => leader.variantLabel === label) }))
    .filter(({ at }) => at.length > 0);
  leads.forEach(({ label, at }, index) => {
    const other = label === a ? b : a;
    const ahead =
      index === 0
        ? `${label} is ahead of ${other} in ${metric.name} ${loads(at)}`
        : `${label} ${loads(at)}`;
    parts.push(
      say(
        language,
        `${loads(at)} ${label} 的${metric.name}${at.length > 1 ? "均" : ""}${higher} ${other}`,
        ahead,
      ),
    );
  });
  const sentence: string[] = [];
  if (parts.length > 0) {
    sentence.push(
      say(
        language,
        `${parts.join("，")}，区间不重叠`,
        `${parts.join(", ")}; intervals do not overlap`,
      ),
    );
  }
  if (overlap.length > 0) {
    sentence.push(
      parts.length > 0
        ? say(
            language,
            `${loads(overlap)}区间重叠，不能判断高低`,
            `${loads(overlap)} they overlap and no difference can be claimed`,
          )
        : say(
            language,
            `${loads(overlap)} ${a} 与 ${b} 的${metric.name}区间重叠，不能判断高低`,
            `Intervals of ${a} and ${b} overlap in ${metric.name} ${loads(overlap)}: no difference can be claimed`,
          ),
    );
  }
  if (unknown.length > 0) {
    const alone = sentence.length === 0;
    sentence.push(
      alone
        ? say(
            language,
            `${loads(unknown)}${metric.name}没有区间，不能判断 ${a} 与 ${b} 的高低`,
            `Without intervals no difference between ${a} and ${b} can be claimed in ${metric.name}`,
          )
        : say(language, `${loads(unknown)}没有区间`, `${loads(unknown)} there are no intervals`),
    );
  }
  return sentence.join(say(language, "；", "; "));
}

// Of three and more only the highest load that all share is told: the chart shows the rest.
function compareMany(
  variants: readonly (readonly ChartPoint[])[],
  metric: ComparedMetric,
  language: Language,
): string | undefined {
  const shared = (variants[0] ?? []).filter((point) =>
    variants.every((points) => points.some((other) => loadOf(other) === loadOf(point))),
  );
  const highest = shared.at(-1);
  if (highest === undefined) return undefined;
  const field = variants.flatMap((points) =>
    points.filter((point) => loadOf(point) === loadOf(highest)),
  );
  const leader = best(field, metric);
  const rivals = field.filter((point) => point !== leader);
  const load = loadName(highest, language);
  const most = metric.better === "higher" ? ["最高", "highest"] : ["最低", "lowest"];
  const head = say(
    language,
    `${load} 时 ${leader.variantLabel} 的${metric.name}${most[0] ?? ""}`,
    `At ${load} ${leader.variantLabel} has the ${most[1] ?? ""} ${metric.name}`,
  );
  const close = rivals.filter(
    (point) => relationOf(metric.valueOf(leader), metric.valueOf(point)) !== "apart",
  );
  if (close.length === 0) {
    return head + say(language, "，区间与其余变体不重叠", "; its interval overlaps no other");
  }
  if (
    close.some((point) => relationOf(metric.valueOf(leader), metric.valueOf(point)) === "unknown")
  ) {
    return (
      head +
      say(language, "，但没有区间，不能据此排序", ", but without intervals no order can be claimed")
    );
  }
  const names = list(
    close.map(({ variantLabel }) => variantLabel),
    language,
  );
  return (
    head +
    say(
      language,
      `，但区间与 ${names} 重叠，不能判断高低`,
      `, but its interval overlaps with ${names}: no difference can be claimed`,
    )
  );
}

function best(points: readonly ChartPoint[], metric: ComparedMetric): ChartPoint {
  const sign = metric.better === "higher" ? -1 : 1;
  const sorted = [...points].sort(
    (a, b) => sign * ((metric.valueOf(a)?.value ?? 0) - (metric.valueOf(b)?.value ?? 0)),
  );
  const [first] = sorted;
  if (first === undefined) throw new Error("a comparison of no points");
  return first;
}

/** How the intervals of two values lie; unknown where one has none. */
export function relationOf(
  x: ChartValue | undefined,
  y: ChartValue | undefined,
): Meeting["relation"] {
  if (x?.low === undefined || x.high === undefined || y?.low === undefined || y.high === undefined)
    return "unknown";
  return x.low > y.high || y.low > x.high ? "apart" : "overlap";
}
