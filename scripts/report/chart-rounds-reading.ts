// The words of the round strip: how wide the intervals of the rounds are, what is drawn, and every value
// for readers who don't see the chart.

import type { Language } from "../experiment/experiment.ts";
import { hollowNote } from "./chart-concurrency.ts";
import { type ChartPoint, type ChartValue, counts } from "./chart-data.ts";
import { capitalized, list, percent, pointName, say, sentences, valueText } from "./chart-text.ts";

/** What a panel of the strip shows. */
export interface StripMetric {
  readonly key: string;
  readonly zh: string;
  readonly en: string;
  readonly unit: string;
}

/** A value with at least two rounds to be drawn around it. */
export function strip(point: ChartPoint, key: string): ChartValue | undefined {
  const value = point.metrics[key];
  return value !== undefined && value.value > 0 && value.perRound.length > 1 ? value : undefined;
}

/** Half-width of the interval over the value, the longer side; undefined without an interval. */
function relativeHalfWidth({ value, low, high }: ChartValue): number | undefined {
  return low === undefined || high === undefined
    ? undefined
    : Math.max(high - value, value - low) / value;
}

/** How wide the intervals are, and where the widest is. */
export function roundsFinding(
  points: readonly ChartPoint[],
  shown: readonly StripMetric[],
  language: Language,
): string {
  const counted = points.filter(counts);
  const parts = shown.flatMap((metric) => widthSentence(counted, metric, language) ?? []);
  if (parts.length > 0) return capitalized(parts.join(say(language, "；", "; ")));
  return say(language, "没有有效测点的置信区间", "No valid point has a confidence interval");
}

function widthSentence(
  points: readonly ChartPoint[],
  metric: StripMetric,
  language: Language,
): string | undefined {
  const widths = points.flatMap((point) => {
    const value = strip(point, metric.key);
    const half = value === undefined ? undefined : relativeHalfWidth(value);
    return value === undefined || half === undefined ? [] : [{ point, value, half }];
  });
  widths.sort((a, b) => a.half - b.half);
  const [least, most] = [widths[0], widths.at(-1)];
  if (least === undefined || most === undefined) return undefined;
  const whole = widths.every(({ value }) => value.halfWidth !== undefined);
  const sign = whole && language === "en" ? "±" : "";
  const text = ({ half }: { half: number }): string =>
    sign + percent(half, language, half < 0.1 ? 1 : 0);
  const name = say(language, metric.zh, metric.en);
  if (!whole) return reachSentence({ name, least: text(least), most: text(most) }, language);
  if (least === most)
    return say(
      language,
      `${name}的区间半宽为均值的 ${text(most)}`,
      `${name} is known to ${text(most)} of its mean`,
    );
  const where = pointName(most.point, language);
  return say(
    language,
    `${name}的区间半宽为均值的 ${text(least)} 至 ${text(most)}，最宽的是 ${where}`,
    `${name}: intervals from ${text(least)} to ${text(most)} of the mean, widest at ${where}`,
  );
}

/** Of intervals that are not symmetric, or cut off at 0: how far their farther ends lie. */
function reachSentence(
  { name, least, most }: { readonly name: string; readonly least: string; readonly most: string },
  language: Language,
): string {
  return least === most
    ? say(
        language,
        `${name}的区间端点与均值最多相差 ${most}`,
        `${name}: the interval reaches ${most} from the mean`,
      )
    : say(
        language,
        `${name}的区间端点与均值最多相差 ${least} 至 ${most}`,
        `${name}: intervals reach ${least} to ${most} from the mean`,
      );
}

/** What is drawn. */
export function roundsNote(
  points: readonly ChartPoint[],
  shown: readonly StripMetric[],
  cut: boolean,
  language: Language,
): string {
  const some = points.some((point) =>
    shown.some(({ key }) => strip(point, key)?.low !== undefined),
  );
  const hollow = hollowNote(points, language);
  const labelled = points.some((point) =>
    shown.some(({ key }) => strip(point, key)?.outlying !== undefined),
  );
  return sentences(
    [
      say(
        language,
        "每个标记是一轮的数值与该测点均值的偏差，右侧为均值与区间",
        "Each mark is one round's value as deviation from the mean of its point; mean and interval at the right",
      ),
      some
        ? say(language, "灰条为均值的 95% 置信区间", "Grey bar: 95\u00a0% CI of the mean")
        : say(language, "没有置信区间", "There are no confidence intervals"),
      ...(cut
        ? [
            say(
              language,
              "三角表示区间超出坐标范围",
              "A triangle: the interval goes on beyond the axis",
            ),
          ]
        : []),
      ...(labelled
        ? [
            say(
              language,
              "标出轮次的是离群轮（S9），照常计入",
              "A named round is unlike the others (S9) and counts all the same",
            ),
          ]
        : []),
      ...(hollow === undefined ? [] : [hollow]),
    ],
    language,
  );
}

/** Every value with its rounds, for readers who don't see the chart. */
export function describeRounds(
  points: readonly ChartPoint[],
  shown: readonly StripMetric[],
  language: Language,
): string {
  const parts = points.map((point) => {
    const values = shown.flatMap((metric) => {
      const value = strip(point, metric.key);
      if (value === undefined) return [];
      const rounds = value.perRound.map(({ value: of }) =>
        percent(of / value.value - 1, language, 1),
      );
      return [
        `${say(language, metric.zh, metric.en)} ${valueText(value)} ${metric.unit} (${list(rounds, language)})`,
      ];
    });
    return `${pointName(point, language)}: ${values.join("; ")}`;
  });
  return sentences(parts, language);
}
