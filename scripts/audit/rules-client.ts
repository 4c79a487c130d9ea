// Rules about the client as an instrument: that it was not the bottleneck, and that nothing is printed
// finer than it measures.
import type { Calibration } from "../bench/calibration.ts";
import { parseEstimateKey, type Statistic } from "../stats/estimate-key.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  orPass,
  type Rule,
  shareText,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

export const clientRules: readonly Rule[] = [
  {
    id: "E19",
    severity: "fail",
    name: { zh: "客户端瓶颈", en: "Client bottleneck" },
    text: {
      zh: "客户端不是瓶颈：每个线程的 CPU 不超过一个核的 80%；事件循环延迟 p99 不超过 5 ms，或不超过平均 TTFT 与 ITL p99 的 5%；发送滞后 p99 不超过平均 TTFT 的 5%；校准在这一负载下成立",
      en: "the client is not the bottleneck: each thread's CPU up to 80 % of a core; event-loop delay p99 up to 5 ms, or up to 5 % of mean TTFT and p99 ITL; client delay p99 up to 5 % of mean TTFT; its calibration at this load holds",
    },
    needs: { zh: "客户端读数，仪器校准", en: "client readings, calibration" },
    check: (input) =>
      input.attempts.some(({ summary }) => summary !== undefined)
        ? eachPoint(input, (point) => checkClient(input, point))
        : [notChecked("run", "没有客户端读数", "there are no readings of the client")],
  },
  {
    id: "E29",
    severity: "warn",
    name: { zh: "仪器误差", en: "Instrument error" },
    text: {
      zh: "负载不超过校准时的负载；区间不窄于仪器自身的误差",
      en: "the load is no larger than the calibrated one; no interval is narrower than the instrument's own error",
    },
    needs: { zh: "仪器校准", en: "calibration" },
    check: (input) => eachPoint(input, (point) => checkInstrument(input, point)),
  },
];

/** The calibration of the leg that measured last; undefined: there is none. */
function calibrationOf({ calibrations }: AuditInput): Calibration | undefined {
  return calibrations.at(-1)?.calibration;
}

function checkClient(input: AuditInput, point: MeasuredPoint): readonly Outcome[] {
  return [
    ...checkBusy(input, point),
    ...checkClientDelay(point),
    ...checkCalibration(calibrationOf(input), point),
  ];
}

/** How busy the threads were, and whether their lateness could have moved what is told. */
function checkBusy({ attempts }: AuditInput, point: MeasuredPoint): readonly Outcome[] {
  const where = point.estimates.point;
  const readings = attempts.flatMap(({ point: of, status, summary }) =>
    of === where && status === "measured" && summary !== undefined ? [summary.client] : [],
  );
  if (readings.length === 0)
    return [notChecked(where, "没有客户端读数", "there are no readings of the client")];
  const delayMs = Math.max(...readings.map((reading) => reading.eventLoopDelayP99Ms));
  const cpuShare = Math.max(...readings.map((reading) => reading.cpuShare));
  const waitShare = Math.max(0, ...readings.map(({ cpuWaitShare }) => cpuWaitShare ?? 0));
  const isBusy = cpuShare > thresholds.clientCpuShare.value;
  const moved =
    delayMs > thresholds.eventLoopDelayP99Ms.value ? movedFigures(delayMs, point) : undefined;
  if (!isBusy && (moved === undefined || moved.length === 0)) return [];
  const figures = (moved ?? []).map(({ name, valueMs }) => ({
    zh: `${name.zh} ${formatNumber(valueMs, 1)} ms`,
    en: `${name.en} of ${formatNumber(valueMs, 1)} ms`,
  }));
  // A tail of gaps that holds some of the client's own: a warning; a mean that does: no.
  const isFailing = isBusy || (moved ?? []).some(({ isMean }) => isMean);
  const against =
    figures.length === 0
      ? { zh: "", en: "" }
      : {
          zh: `（对比：${figures.map(({ zh }) => zh).join("，")}）`,
          en: ` (against ${figures.map(({ en }) => en).join(", ")})`,
        };
  return [
    found({
      severity: isFailing ? "fail" : "warn",
      where,
      seen: {
        zh: `事件循环延迟 p99 ${formatNumber(delayMs, 1)} ms${against.zh}，客户端 CPU ${shareText(cpuShare, 0).zh}（单核），等核 ${shareText(waitShare, 0).zh}`,
        en: `event-loop delay p99 ${formatNumber(delayMs, 1)} ms${against.en}, client CPU ${shareText(cpuShare, 0).en} of a core, waiting for a core ${shareText(waitShare, 0).en} of the time`,
      },
      expected: {
        zh: "CPU 不超过 80%；延迟不超过 5 ms，或不超过所列数字的 5%",
        en: "CPU up to 80 %; delay up to 5 ms, or up to 5 % of the figures told",
      },
      mend: {
        zh: "把客户端放到另一台机器或另外的核上，增加 client.threads，或减小负载",
        en: "give the client cores or a machine of its own, raise client.threads, or lower the load",
      },
      evidence: {
        eventLoopDelayP99Ms: delayMs,
        clientCpuShare: cpuShare,
        clientCpuWaitShare: waitShare,
      },
    }),
  ];
}

/** Told figures that a client so late could have moved by more than the share that is allowed. */
function movedFigures(
  delayMs: number,
  { estimates }: MeasuredPoint,
): readonly {
  readonly name: { readonly zh: string; readonly en: string };
  readonly valueMs: number;
  readonly isMean: boolean;
}[] {
  const ttft = meanOf(estimates.trials.flatMap((trial) => trial.latencies.ttft));
  const itl = estimates.estimates.get("itl.p99")?.value;
  const figures = [
    { name: { zh: "平均 TTFT", en: "mean TTFT" }, valueMs: ttft, isMean: true },
    { name: { zh: "ITL p99", en: "p99 ITL" }, valueMs: itl, isMean: false },
  ];
  return figures.flatMap(({ name, valueMs, isMean }) =>
    valueMs !== undefined && delayMs > thresholds.clientDelayShare.value * valueMs
      ? [{ name, valueMs, isMean }]
      : [],
  );
}

/** Lateness of the client at the tail, against what it adds to: the mean TTFT. */
function checkClientDelay({ estimates }: MeasuredPoint): readonly Outcome[] {
  const delays = estimates.trials.flatMap((trial) => trial.latencies.client_delay);
  const meanMs = meanOf(estimates.trials.flatMap((trial) => trial.latencies.ttft));
  if (delays.length === 0 || meanMs === undefined) return [];
  const p99Ms = quantile7(sortAscending(delays), 0.99) ?? 0;
  if (p99Ms <= thresholds.clientDelayShare.value * meanMs) return [];
  return [
    found({
      severity: "warn",
      where: estimates.point,
      seen: {
        zh: `发送滞后 p99 ${formatNumber(p99Ms, 2)} ms，为平均 TTFT ${formatNumber(meanMs, 1)} ms 的 ${shareText(p99Ms / meanMs).zh}`,
        en: `client delay p99 ${formatNumber(p99Ms, 2)} ms, ${shareText(p99Ms / meanMs).en} of the mean TTFT of ${formatNumber(meanMs, 1)} ms`,
      },
      expected: { zh: "不超过 5%", en: "up to 5 %" },
      mend: {
        zh: "减轻客户端负担：TTFT 不含这段滞后，用户实际等待更久",
        en: "relieve the client: TTFT leaves this delay out, a user would not",
      },
      evidence: { clientDelayP99Ms: p99Ms, ttftMeanMs: meanMs },
    }),
  ];
}

/** A calibration that failed says so only of loads that are near its own. */
function checkCalibration(
  calibration: Calibration | undefined,
  { estimates }: MeasuredPoint,
): readonly Outcome[] {
  if (calibration === undefined) return [];
  const { load, event, cpuShare, threads } = calibration;
  const holds =
    event.p99Ms <= thresholds.eventLoopDelayP99Ms.value &&
    cpuShare <= thresholds.clientCpuShare.value;
  const streams = streamsOf(estimates.trials) ?? 0;
  if (holds || streams < load.streams / 2) return [];
  return [
    found({
      severity: "fail",
      where: estimates.point,
      seen: {
        zh: `校准（${load.streams} 路 × ${formatNumber(load.ratePerS, 0)} 块/s，${threads} 线程）：事件误差 p99 ${formatNumber(event.p99Ms, 2)} ms，CPU ${shareText(cpuShare, 0).zh}（单核）`,
        en: `calibrated at ${load.streams} streams x ${formatNumber(load.ratePerS, 0)} chunks/s on ${threads} ${threads === 1 ? "thread" : "threads"}: event error p99 ${formatNumber(event.p99Ms, 2)} ms, CPU ${shareText(cpuShare, 0).en} of a core`,
      },
      expected: {
        zh: "误差 p99 不超过 5 ms，CPU 不超过 80%",
        en: "error p99 up to 5 ms, CPU up to 80 %",
      },
      mend: {
        zh: "在空闲的机器上重新校准（benchbook calibrate），有空闲核时设 client.poll: true，增加 client.threads，或减小负载",
        en: "calibrate again on an idle machine (benchbook calibrate), set client.poll: true where a core is free, raise client.threads, or lower the load",
      },
      evidence: {
        calibratedStreams: load.streams,
        errorP99Ms: event.p99Ms,
        calibratedCpuShare: cpuShare,
      },
    }),
  ];
}

function checkInstrument(input: AuditInput, point: MeasuredPoint): readonly Outcome[] {
  const calibration = calibrationOf(input);
  const where = point.estimates.point;
  if (calibration === undefined) {
    return [
      notChecked(
        where,
        "仪器没有在这一负载下校准",
        "the instrument was not calibrated at this load",
      ),
    ];
  }
  return orPass([...checkBeyond(calibration, point), ...checkTooNarrow(calibration, point)], where);
}

/** A load that the calibration does not answer for. */
function checkBeyond(
  { load, eventsPerS }: Calibration,
  { estimates }: MeasuredPoint,
): readonly Outcome[] {
  const streams = streamsOf(estimates.trials);
  const tokensPerS = valuesOf(estimates.trials, "output_tps");
  const rate = Math.max(0, ...tokensPerS);
  // Far below what it takes as fast as it can, the rate of each stream does not matter.
  const rateLimit = Math.max(load.streams * load.ratePerS, eventsPerS * thresholds.headroom.value);
  const streamLimit = load.streams * (1 + thresholds.calibratedSlack.value);
  const tooMany = streams !== undefined && streams > streamLimit;
  if (!tooMany && rate <= rateLimit) return [];
  return [
    found({
      severity: "warn",
      where: estimates.point,
      seen: {
        zh: `在途 ${formatNumber(streams ?? 0, 0)} 路，每秒 ${formatNumber(rate, 0)} token`,
        en: `${formatNumber(streams ?? 0, 0)} streams in flight, ${formatNumber(rate, 0)} tokens/s`,
      },
      expected: {
        zh: `校准过的负载：${load.streams} 路，每秒 ${formatNumber(rateLimit, 0)} 块`,
        en: `the calibrated load: ${load.streams} streams, ${formatNumber(rateLimit, 0)} chunks/s`,
      },
      mend: {
        zh: `在这一负载下校准：benchbook calibrate --streams ${Math.ceil(streams ?? load.streams)}`,
        en: `calibrate at this load: benchbook calibrate --streams ${Math.ceil(streams ?? load.streams)}`,
      },
      evidence: { streams: streams ?? 0, tokensPerS: rate, calibratedStreams: load.streams },
    }),
  ];
}

/** Intervals that promise more than the instrument can tell. */
function checkTooNarrow(
  calibration: Calibration,
  { estimates }: MeasuredPoint,
): readonly Outcome[] {
  const narrow = [...estimates.estimates].flatMap(([key, { low, high }]) => {
    const parsed = parseEstimateKey(key);
    const errorMs = parsed && errorOf(calibration, parsed.metric.id, parsed.statistic);
    if (errorMs === undefined || low === undefined || high === undefined) return [];
    const halfMs = (high - low) / 2;
    return halfMs < errorMs ? [{ key, halfMs, errorMs }] : [];
  });
  if (narrow.length === 0) return [];
  const list = narrow.map(
    ({ key, halfMs, errorMs }) =>
      `${key} ±${formatNumber(halfMs, 3)} / ${formatNumber(errorMs, 3)} ms`,
  );
  return [
    found({
      severity: "warn",
      where: estimates.point,
      seen: {
        zh: `区间窄于仪器误差（半宽 / 误差）：${list.join("，")}`,
        en: `intervals narrower than the instrument's error (half-width / error): ${list.join(", ")}`,
      },
      expected: { zh: "半宽不小于仪器误差", en: "half-widths of at least the instrument's error" },
      mend: {
        zh: "读数时以仪器误差为准；机器更空闲，或有空闲核时设 client.poll: true，误差更小",
        en: "read them with the instrument's error; it is smaller on an idle machine, and with client.poll: true where a core is free",
      },
      evidence: { narrow: narrow.map(({ key }) => key).join(" ") },
    }),
  ];
}

/** The instrument's error in a figure: its usual size for a mean, its tail for a high percentile. */
function errorOf(
  { ttft, gap, event }: Calibration,
  metric: string,
  statistic: Statistic,
): number | undefined {
  const of =
    metric === "ttft" ? ttft : metric === "itl" ? gap : metric === "e2e" ? event : undefined;
  const isTail = statistic.kind === "percentile" && statistic.p > 0.5;
  return isTail ? of?.p99Ms : of?.p50Ms;
}

/** Requests in flight, the largest over trials; undefined: not known. */
function streamsOf(trials: readonly TrialMetrics[]): number | undefined {
  const values = valuesOf(trials, "concurrency_achieved");
  return values.length === 0 ? undefined : Math.max(...values);
}

function valuesOf(trials: readonly TrialMetrics[], key: string): readonly number[] {
  return trials.flatMap((trial) => {
    const value = trial.values.get(key);
    return value?.kind === "value" ? [value.value] : [];
  });
}

function meanOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b) / values.length;
}
