// What the throughput chart says: the series of each variant, its share of linear scaling, the
// finding and the note.

import type { Language } from "../experiment/experiment.ts";
import { compareVariants } from "./chart-comparison.ts";
import {
  barsNote,
  hollowNote,
  type LoadedPoint,
  loadedPoints,
  unnamedNote,
} from "./chart-concurrency.ts";
import { type ChartPoint, type ChartValue, counts, loadOf } from "./chart-data.ts";
import {
  capitalized,
  list,
  loadName,
  percent,
  pointName,
  say,
  sentences,
  valueText,
} from "./chart-text.ts";

/** One variant. */
export interface Series {
  readonly variant: string;
  readonly label: string;
  readonly place: number;
  /** Points with a place, by rising load. */
  readonly points: readonly LoadedPoint[];
  /** Lowest and highest load that count; undefined: none, or just one. */
  readonly ends: { readonly first: LoadedPoint; readonly last: LoadedPoint } | undefined;
}

/** Output throughput that a log axis can hold. */
export function throughput(point: ChartPoint): ChartValue | undefined {
  const value = point.metrics["output_tps"];
  return value !== undefined && value.value > 0 ? value : undefined;
}

/** A variant as a line: its points and the ends that count. */
export function seriesOf(points: readonly ChartPoint[]): Series {
  const loaded = loadedPoints(points);
  const counted = loaded.filter(({ point }) => counts(point));
  const [first, last] = [counted[0], counted.at(-1)];
  return {
    variant: points[0]?.variant ?? "",
    label: points[0]?.variantLabel ?? "",
    place: points[0]?.colorIndex ?? 0,
    points: loaded,
    ends:
      first === undefined || last === undefined || last.achieved <= first.achieved
        ? undefined
        : { first, last },
  };
}

/** Throughput at a concurrency if it rose in proportion from the first point. */
export function idealAt(first: LoadedPoint, achieved: number): number {
  return ((throughput(first.point)?.value ?? 0) * achieved) / first.achieved;
}

/** Share of linear scaling that the highest load reaches; undefined: one load only. */
export function scalingOf({ ends }: Series): number | undefined {
  if (ends === undefined) return undefined;
  const value = throughput(ends.last.point)?.value;
  return value === undefined ? undefined : value / idealAt(ends.first, ends.last.achieved);
}

export function throughputFinding(
  points: readonly ChartPoint[],
  all: readonly Series[],
  language: Language,
): string {
  const metric = {
    valueOf: throughput,
    better: "higher",
    name: say(language, "输出吞吐", "output throughput"),
  } as const;
  const compared = compareVariants(points, metric, language);
  const scaling = scalingSentence(all, language);
  if (compared !== undefined && scaling !== undefined) {
    return `${compared}${say(language, "；", "; ")}${scaling}`;
  }
  if (compared !== undefined) return compared;
  if (scaling !== undefined) return capitalized(scaling);
  const counted = points.filter(counts);
  if (counted.length === 0) {
    return say(
      language,
      "没有有效测点，输出吞吐仅供查看",
      "No valid point: output throughput is shown, nothing is claimed",
    );
  }
  const levels = counted.map((point) => {
    const value = throughput(point);
    const text = value === undefined ? "" : `${valueText(value)}\u00a0token/s`;
    return say(
      language,
      `${pointName(point, language)} 为 ${text}`,
      `${text} for ${pointName(point, language)}`,
    );
  });
  return say(
    language,
    `输出吞吐：${levels.join("；")}`,
    `Output throughput is ${list(levels, language)}`,
  );
}

function scalingSentence(all: readonly Series[], language: Language): string | undefined {
  const scaled = all.flatMap((series) => {
    const scaling = scalingOf(series);
    return scaling === undefined || series.ends === undefined
      ? []
      : [{ label: series.label, ends: series.ends, scaling }];
  });
  const [head] = scaled;
  if (head === undefined) return undefined;
  const sameLoads = scaled.every(
    ({ ends }) =>
      loadOf(ends.first.point) === loadOf(head.ends.first.point) &&
      loadOf(ends.last.point) === loadOf(head.ends.last.point),
  );
  const named = ({ label, scaling }: { label: string; scaling: number }): string =>
    say(
      language,
      `${percent(scaling, language)}（${label}）`,
      `${percent(scaling, language)} (${label})`,
    );
  const ordered = [...scaled].sort((a, b) => a.scaling - b.scaling);
  const [least, most] = [ordered[0] ?? head, ordered.at(-1) ?? head];
  const shares =
    scaled.length <= 3
      ? list(scaled.map(named), language)
      : `${named(least)}${say(language, "到 ", " to ")}${named(most)}`;
  const to = loadName(head.ends.last.point, language);
  const from = loadName(head.ends.first.point, language);
  return sameLoads
    ? say(
        language,
        `${to} 时吞吐为${from} 线性外推值的 ${shares}`,
        `at ${to} throughput is ${shares} of linear scaling from ${from}`,
      )
    : say(
        language,
        `各变体最高并发时吞吐为其线性外推值的 ${shares}`,
        `at the highest load of each variant throughput is ${shares} of linear scaling`,
      );
}

export function throughputNote(
  loaded: readonly LoadedPoint[],
  all: readonly Series[],
  { cut, unnamed }: { readonly cut: boolean; readonly unnamed: readonly string[] },
  language: Language,
): string {
  const scaled = all.some(({ ends }) => ends !== undefined);
  const hollow = hollowNote(
    loaded.map(({ point }) => point),
    language,
  );
  return sentences(
    [
      say(
        language,
        "输出吞吐对实测并发，两轴均为对数",
        "Output throughput against achieved concurrency, both axes log",
      ),
      ...(scaled
        ? [
            say(
              language,
              "虚线为各变体由其最低并发外推的理想线，百分数为相对理想线的比例",
              "Dashed: ideal line of each variant from its lowest load; percentages are relative to it",
            ),
          ]
        : []),
      barsNote(
        loaded.flatMap(({ point }) => throughput(point) ?? []),
        cut,
        language,
      ),
      ...(hollow === undefined ? [] : [hollow]),
      ...unnamedNote(unnamed, language),
    ],
    language,
  );
}
