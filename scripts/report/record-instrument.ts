// What a record says of the instrument itself: the client's own error at the calibrated load, its
// headroom, and how busy it was while it measured.
import type { Calibration } from "../bench/calibration.ts";
import type { ClientReading } from "../bench/request-record.ts";
import { formatNumber } from "../units.ts";
import type { TextRow } from "./record-parts.ts";

/** The instrument of a run, as its store knows it. */
export interface InstrumentMaterial {
  /** That the run went by last; undefined: it was not calibrated. */
  readonly calibration: Calibration | undefined;
  /** Of the trials that count. */
  readonly readings: readonly ClientReading[];
}

/** Rows of the instrument's table; none where nothing is known. */
export function instrumentRows(material: InstrumentMaterial | undefined): readonly TextRow[] {
  if (material === undefined) return [];
  const { calibration, readings } = material;
  return [
    ...(calibration === undefined ? [uncalibrated] : calibrationRows(calibration)),
    ...busyRow(readings),
  ];
}

const uncalibrated: TextRow = row(
  "calibration",
  "没有校准：客户端自身的误差未知",
  "not calibrated: the client's own error is not known",
);

function calibrationRows(calibration: Calibration): readonly TextRow[] {
  const { load, threads, poll, seconds, events, event, burst, gap, ttft, startLag } = calibration;
  const rate = formatNumber(load.ratePerS, 0);
  const streams = formatNumber(load.streams, 0);
  const millions = formatNumber(calibration.eventsPerS / 1e6, 2);
  const perS = formatNumber(load.streams * load.ratePerS, 0);
  return [
    row(
      "calibration",
      `${streams} 路 × ${rate} 块/s，${threads} 个客户端线程${poll === true ? "（轮询，每线程独占一核）" : ""}，对照已知真值的服务器，两种节奏各 ${formatNumber(seconds, 1)} s，共 ${formatNumber(events, 0)} 个事件；${calibration.at}，benchbook ${calibration.tool}`,
      `${streams} streams x ${rate} chunks/s on ${threads} client ${threads === 1 ? "thread" : "threads"}${poll === true ? " (polling, a core each)" : ""}, against a server of known truth, ${formatNumber(seconds, 1)} s at each of two paces, ${formatNumber(events, 0)} events; ${calibration.at}, benchbook ${calibration.tool}`,
    ),
    quantiles("error_event", event, "各路错开", "streams out of step"),
    quantiles("error_burst", burst, "全部流同一步", "all streams in one step"),
    quantiles("error_gap", gap),
    quantiles("error_ttft", ttft),
    quantiles("start_lag", startLag, "含到服务器的路程", "the way to the server included"),
    row(
      "headroom",
      `最快每秒 ${millions} 百万事件（校准负载每秒 ${perS} 个）；校准时每线程 CPU ${formatNumber(100 * calibration.cpuShare, 0)}%（单核）`,
      `${millions} million events/s at its fastest (the calibrated load has ${perS}/s); CPU of a thread while calibrated ${formatNumber(100 * calibration.cpuShare, 0)} % of a core`,
    ),
  ];
}

/** How busy the busiest thread was in the run's own trials. */
function busyRow(readings: readonly ClientReading[]): readonly TextRow[] {
  if (readings.length === 0) return [];
  const most = (of: (reading: ClientReading) => number): number => Math.max(...readings.map(of));
  const threads = most((reading) => reading.threads);
  const cpu = formatNumber(100 * most(({ cpuShare }) => cpuShare), 0);
  const delay = formatNumber(
    most(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms),
    1,
  );
  const waits = readings.flatMap(({ cpuWaitShare }) => cpuWaitShare ?? []);
  const wait = waits.length === 0 ? undefined : formatNumber(100 * Math.max(...waits), 0);
  return [
    row(
      "client_busy",
      `各试次最大值：${threads} 个线程，CPU ${cpu}%（单核）${wait === undefined ? "" : `，等核 ${wait}%`}，事件循环延迟 p99 ${delay} ms`,
      `at most over the trials: ${threads} ${threads === 1 ? "thread" : "threads"}, CPU ${cpu} % of a core${wait === undefined ? "" : `, waiting for a core ${wait} % of the time`}, event-loop delay p99 ${delay} ms`,
    ),
  ];
}

function quantiles(
  key: string,
  { p50Ms, p99Ms }: Calibration["event"],
  noteZh?: string,
  noteEn?: string,
): TextRow {
  const text = `p50 ${formatNumber(p50Ms, 3)} ms, p99 ${formatNumber(p99Ms, 3)} ms`;
  return row(
    key,
    `${text.replace(", ", "，")}${noteZh === undefined ? "" : `（${noteZh}）`}`,
    `${text}${noteEn === undefined ? "" : ` (${noteEn})`}`,
  );
}

function row(key: string, zh: string, en: string): TextRow {
  return { key, value: [{ text: { zh, en } }] };
}
