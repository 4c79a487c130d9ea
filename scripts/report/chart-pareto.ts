// Figure 1: output throughput against decode speed per request, a line per variant through its
// loads. Up serves more at once, right serves each faster.

import type { Language } from "../experiment/experiment.ts";
import { ink2, shapeArea, variantColor, variantShape } from "./chart-colors.ts";
import { compareVariants, relationOf } from "./chart-comparison.ts";
import { barsNote, hollowNote, unnamedNote } from "./chart-concurrency.ts";
import {
  byVariant,
  type ChartInput,
  type ChartPoint,
  type ChartValue,
  counts,
} from "./chart-data.ts";
import {
  axisWidth,
  type BarRow,
  type DotRow,
  type DrawingResult,
  dotRow,
  dotted,
  type FlatRow,
  fittingTicks,
  intervalOn,
  type LabelWish,
  type LineRow,
  labelRows,
  labelScene,
  linearExtent,
  lineWidth,
  logExtent,
  singlePanel,
  solid,
  type TextRow,
} from "./chart-panel.ts";
import { type Axis, type AxisRoom, linearAxis, logAxis, pixelOf } from "./chart-scale.ts";
import {
  changesText,
  invalidName,
  loadName,
  pointName,
  say,
  sentences,
  spanText,
  valueText,
} from "./chart-text.ts";

const topPx = 28;
const bottomPx = 44;
const rightPx = 16;

/** Above this ratio of largest to smallest value an axis is logarithmic. */
const linearUpTo = 20;

interface Placed {
  readonly point: ChartPoint;
  readonly speed: ChartValue;
  readonly output: ChartValue;
}

/** Draws throughput against the speed that one request sees. */
export function drawPareto(input: ChartInput): DrawingResult {
  const { language, width, points } = input;
  const placed = points.flatMap(placedOf);
  if (placed.length === 0) {
    const reason =
      points.length === 0
        ? say(language, "没有测点", "no points")
        : say(
            language,
            "没有测点同时测得输出吞吐和解码速度",
            "no point has both an output throughput and a decode speed",
          );
    return { status: "empty", reason };
  }
  const height = width === 744 ? 260 : 236;
  const yAxis = axisOf(
    placed.map(({ output }) => output),
    { lengthPx: height, startPx: 22, endPx: 22, tickGapPx: 34 },
  );
  const left = axisWidth(yAxis, language);
  const lengthPx = width - left - rightPx;
  const horizontal = axisOf(
    placed.map(({ speed }) => speed),
    { lengthPx, startPx: 44, endPx: 52, tickGapPx: width < 600 ? 44 : 60 },
  );
  const xAxis = { ...horizontal, ticks: fittingTicks(horizontal, language) };
  const panel = drawPanel(placed, { xAxis, yAxis, language });
  const plain = { color: ink2.light, weight: 400 } as const;
  const log = (axis: Axis): string =>
    axis.type === "log" ? say(language, "，对数轴", ", log") : "";
  const headings: TextRow[] = [
    {
      px: 2 - left,
      py: -15,
      text: say(
        language,
        `↑ 输出吞吐（token/s${log(yAxis)}）`,
        `↑ Output throughput (token/s${log(yAxis)})`,
      ),
      align: "left",
      ...plain,
    },
    {
      px: lengthPx,
      py: height + 34,
      text: say(
        language,
        `单请求解码速度 1000/TPOT（token/s${log(xAxis)}）→`,
        `Decode speed per request, 1000/TPOT (token/s${log(xAxis)}) →`,
      ),
      align: "right",
      ...plain,
    },
  ];
  const drawn = placed.map(({ point }) => point);
  return {
    status: "drawn",
    drawing: {
      template: "throughput-interactivity",
      ...singlePanel({
        panel,
        headings,
        xAxis,
        yAxis,
        frame: { width, height: height + topPx + bottomPx, left, top: topPx },
        language,
      }),
      finding: findingOf(drawn, language),
      note: noteOf(placed, panel, language),
      description: sentences(
        placed.map(
          ({ point, speed, output }) =>
            `${pointName(point, language)}: ${valueText(output)} token/s, ${valueText(speed)} token/s ${say(language, "每请求", "per request")}`,
        ),
        language,
      ),
      omitted: points.filter((point) => !drawn.includes(point)).map(({ name }) => name),
    },
  };
}

function placedOf(point: ChartPoint): Placed[] {
  const [speed, output] = [speedOf(point), outputOf(point)];
  return speed === undefined || output === undefined ? [] : [{ point, speed, output }];
}

function outputOf(point: ChartPoint): ChartValue | undefined {
  const value = point.metrics["output_tps"];
  return value !== undefined && value.value > 0 ? value : undefined;
}

/** Tokens per second that one request gets while it decodes, as the tables print it. */
function speedOf(point: ChartPoint): ChartValue | undefined {
  const value = point.metrics["decode_tps"];
  return value !== undefined && value.value > 0 ? value : undefined;
}

function axisOf(values: readonly ChartValue[], room: AxisRoom): Axis {
  const inner = values.map(({ value }) => value);
  return Math.max(...inner) / Math.min(...inner) > linearUpTo
    ? logAxis(logExtent(values), room)
    : linearAxis(linearExtent(values), room);
}

function drawPanel(
  placed: readonly Placed[],
  { xAxis, yAxis, language }: { xAxis: Axis; yAxis: Axis; language: Language },
) {
  const dots: DotRow[] = [];
  const bars: BarRow[] = [];
  const flats: FlatRow[] = [];
  const lines: LineRow[] = [];
  const names: LabelWish[] = [];
  const loads: LabelWish[] = [];
  const quiet = { color: ink2.light, weight: 400 } as const;
  let cut = false;
  const variants = byVariant(placed.map(({ point }) => point));
  const loadsOf = variants.length <= 2 ? undefined : outermost(placed);
  for (const points of variants) {
    const place = points[0]?.colorIndex ?? 0;
    const color = variantColor(place);
    const shape = variantShape(place);
    const label = points[0]?.variantLabel ?? "";
    const variant = points[0]?.variant ?? "";
    let before: { x: number; y: number } | undefined;
    let named = false;
    points.flatMap(placedOf).forEach(({ point, speed, output }, order) => {
      const at = { x: speed.value, y: output.value };
      dots.push(dotRow(at, { shape, size: shapeArea(shape), color, hollow: !counts(point) }));
      const vertical = intervalOn(yAxis, output);
      if (vertical !== undefined)
        bars.push({ x: at.x, low: vertical.low, high: vertical.high, color });
      const horizontal = intervalOn(xAxis, speed);
      if (horizontal !== undefined)
        flats.push({ y: at.y, low: horizontal.low, high: horizontal.high, color });
      cut ||= vertical?.cut === true || horizontal?.cut === true;
      const anchor = { x: pixelOf(xAxis, at.x), y: yAxis.lengthPx - pixelOf(yAxis, at.y) };
      if (counts(point)) {
        lines.push({ line: variant, ...at, color, dash: solid, width: lineWidth.measured, order });
        before = at;
      } else if (before !== undefined) {
        const line = `to ${point.name}`;
        lines.push(
          { line, ...before, color, dash: dotted, width: lineWidth.thin, order: 0 },
          { line, ...at, color, dash: dotted, width: lineWidth.thin, order: 1 },
        );
      }
      if (!named) {
        named = true;
        names.push({
          text: label,
          anchor,
          sides: ["right", "below", "above"],
          required: true,
          color,
          weight: 600,
        });
      }
      if (counts(point) && loadsOf !== undefined && loadsOf !== variant) return;
      const text = counts(point) ? loadName(point, language) : invalidName(point, language);
      loads.push({
        text,
        anchor,
        sides: ["above", "right", "below", "left"],
        required: false,
        ...quiet,
      });
    });
  }
  const scene = labelScene({ x: xAxis, y: yAxis }, { dots, bars, flats, lines });
  const { texts, leaders, unplaced } = labelRows([...names, ...loads], scene, language);
  const unnamed = names.map(({ text }) => text).filter((text) => unplaced.includes(text));
  return { dots, bars, flats, lines, texts, leaders, cut, unnamed };
}

// With three variants and more, loads are written at one line only: the one that reaches highest.
function outermost(placed: readonly Placed[]): string | undefined {
  const counted = placed.filter(({ point }) => counts(point));
  const most = Math.max(...counted.map(({ output }) => output.value));
  return counted.find(({ output }) => output.value === most)?.point.variant;
}

function findingOf(points: readonly ChartPoint[], language: Language): string {
  const throughput = say(language, "输出吞吐", "output throughput");
  const speed = say(language, "解码速度", "decode speed");
  const compare = (valueOf: typeof outputOf, name: string): string | undefined =>
    compareVariants(points, { valueOf, better: "higher", name }, language);
  const both = say(language, `${throughput}和${speed}`, `${throughput} and ${speed}`);
  const together = compare(outputOf, both);
  if (together !== undefined && together === compare(speedOf, both)) return together;
  const apart = [compare(outputOf, throughput), compare(speedOf, speed)].filter(
    (part) => part !== undefined,
  );
  if (apart.length > 0) return apart.join(say(language, "；", "; "));
  return changeSentence(points, language);
}

// One variant alone: how both change from its lowest load to its highest.
function changeSentence(points: readonly ChartPoint[], language: Language): string {
  const group = byVariant(points.filter(counts))[0] ?? [];
  const [first, last] = [group[0], group.at(-1)];
  if (first === undefined || last === undefined) {
    return say(
      language,
      "没有有效测点，数值仅供查看",
      "No valid point: the values are shown, nothing is claimed",
    );
  }
  const [output, speed] = [outputOf(first), speedOf(first)];
  if (output === undefined || speed === undefined) return "";
  if (first === last) {
    return say(
      language,
      `${pointName(first, language)}：输出吞吐 ${valueText(output)} token/s，解码速度 ${valueText(speed)} token/s`,
      `${pointName(first, language)}: output throughput ${valueText(output)} token/s, decode speed ${valueText(speed)} token/s`,
    );
  }
  const change = (valueOf: typeof outputOf): string => {
    const [from, to] = [valueOf(first), valueOf(last)];
    const ratio = (to?.value ?? 1) / (from?.value ?? 1);
    const changed = changesText([{ label: undefined, ratio }], language);
    // A change between two intervals that overlap is no change one may claim.
    return relationOf(from, to) === "apart"
      ? changed
      : changed + say(language, "（两端区间重叠）", " (the intervals at both ends overlap)");
  };
  const span = spanText(first, last, language);
  return say(
    language,
    `${span}${first.variantLabel} 的输出吞吐${change(outputOf)}，解码速度${change(speedOf)}`,
    `${span}output throughput of ${first.variantLabel} ${change(outputOf)}, decode speed ${change(speedOf)}`,
  );
}

function noteOf(
  placed: readonly Placed[],
  { cut, unnamed }: { readonly cut: boolean; readonly unnamed: readonly string[] },
  language: Language,
): string {
  const hollow = hollowNote(
    placed.map(({ point }) => point),
    language,
  );
  return sentences(
    [
      say(
        language,
        "右上为优：越高总吞吐越大，越右单请求解码越快（1000/平均 TPOT）",
        "Up and right is better: more output in all, faster decoding of each request (1000 / mean TPOT)",
      ),
      barsNote(
        placed.flatMap(({ output, speed }) => [output, speed]),
        cut,
        language,
        true,
      ),
      ...(hollow === undefined ? [] : [hollow]),
      ...unnamedNote(unnamed, language),
    ],
    language,
  );
}
