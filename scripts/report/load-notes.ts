// What a reader must know of the loads of a table: how an open loop counts, and that a ramp has no
// steady values.
import type { LocalText } from "../experiment/experiment.ts";
import type { PointData } from "./record-parts.ts";

const openLoop: LocalText = {
  zh: "开环：请求按计划时刻到达，不等应答。QPS 低于到达速率的 95% 且差距超出随机波动，即为饱和，时延不是稳态值。",
  en: "Open loop: requests arrive when they are due, whether or not earlier ones were answered. With QPS below 95 % of the offered rate by more than chance a point is saturated, and its latencies are not steady values.",
};

const ramp: LocalText = {
  zh: "爬坡：整个爬坡合计为一行，期间速率一直在变，数值都不是稳态值。",
  en: "Ramp: a row sums up a whole ramp, during which the rate changes all the time; none of its figures is a steady value.",
};

const trace: LocalText = {
  zh: "轨迹：按记录的时刻与长度重放；最后的请求没有后续负载，窗口含排空。",
  en: "Trace: replayed with its recorded times and lengths; nothing follows its last requests, so the window holds their drain.",
};

/** One note for each kind of load in the table that needs one. */
export function loadNotes(points: readonly Pick<PointData, "load">[]): readonly LocalText[] {
  const kinds = new Set(points.map(({ load }) => load.kind));
  return [
    ...(kinds.has("rate") ? [openLoop] : []),
    ...(kinds.has("ramp") ? [ramp] : []),
    ...(kinds.has("trace") ? [trace] : []),
  ];
}
