// E10, E22: how the GPUs ran within the measured windows, from the readings of each trial: slowdowns
// and clocks.
import type { LocalText } from "../experiment/experiment.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import { formatDuration, formatNumber } from "../units.ts";
import { gpuList, numberIn, readingsOf, type WindowReadings } from "./gpu-use.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  shareText,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

/** Why a rule about windows says nothing of one. */
export const noReadings: LocalText = {
  zh: "窗口内没有 GPU 读数",
  en: "no GPU reading fell into a window",
};

/** Slowdowns that heat or the power supply forces, by counter and by bit of the reasons' mask. */
const slowdowns = [
  { counter: "hwThermalUs", bit: 0x40, text: { zh: "硬件过热", en: "hardware thermal" } },
  { counter: "swThermalUs", bit: 0x20, text: { zh: "软件温控", en: "software thermal" } },
  { counter: "hwPowerBrakeUs", bit: 0x80, text: { zh: "功耗制动", en: "power brake" } },
] as const;

/** E10: by the driver's counters, which have no sampling gap, else by the reasons at each reading. */
export function checkSlowdowns(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  return eachPoint(input, ({ estimates: { point }, samples }) => {
    const each = gpus.map((gpu) => ({ gpu, readings: readingsOf(samples, gpu) }));
    const outcomes = each.flatMap(({ gpu, readings }) => slowdownOn(point, gpu, readings));
    const unread = each
      .filter(({ readings }) => !readings.some(tellsSlowdowns))
      .map(({ gpu }) => gpu);
    if (unread.length === 0) return outcomes;
    const isNever = each.every(({ readings }) => readings.length === 0);
    return [
      ...outcomes,
      isNever
        ? notChecked(point, noReadings.zh, noReadings.en)
        : notChecked(
            point,
            `${gpuList(unread)} 不提供降频计数与降频原因`,
            `${gpuList(unread)} offers neither counters nor reasons of slowdowns`,
          ),
    ];
  });
}

function slowdownOn(
  point: string,
  gpu: number,
  readings: readonly WindowReadings[],
): readonly Outcome[] {
  const counted = readings.flatMap(({ round, window, around }) => {
    const parts = slowdowns.flatMap(({ counter, text }) => {
      const us = growthOf(around.flatMap((reading) => reading[counter] ?? []));
      return us > 0 ? [{ us, text }] : [];
    });
    const us = parts.reduce((sum, part) => sum + part.us, 0);
    const share = us / 1000 / (window.toMs - window.fromMs);
    return share > thresholds.gpuSlowdownShare.value ? [{ round, us, share, parts }] : [];
  });
  const worst = [...counted].sort((a, b) => b.share - a.share)[0];
  if (worst !== undefined) {
    const names = worst.parts.map(({ text }) => text);
    const duration = formatDuration(worst.us / 1000);
    const share = shareText(worst.share);
    return [
      slowdownFinding(
        point,
        {
          zh: `GPU ${gpu} 在第 ${worst.round} 轮窗口内降频 ${duration}，占 ${share.zh}（${names.map(({ zh }) => zh).join("、")}）`,
          en: `GPU ${gpu} slowed down for ${duration} of the window of round ${worst.round}, ${share.en} (${names.map(({ en }) => en).join(", ")})`,
        },
        { gpu, round: worst.round, us: worst.us, share: worst.share, rounds: counted.length },
      ),
    ];
  }
  if (readings.some(({ around }) => hasCounters(around))) return [];
  const seen = readings.flatMap(({ inside }) => inside.flatMap((one) => one.eventReasons ?? []));
  const slowed = seen.filter((mask) => slowdowns.some(({ bit }) => (mask & bit) !== 0));
  if (slowed.length === 0) return [];
  const names = slowdowns.filter(({ bit }) => slowed.some((mask) => (mask & bit) !== 0));
  return [
    slowdownFinding(
      point,
      {
        zh: `GPU ${gpu} 在 ${seen.length} 次读数中有 ${slowed.length} 次处于降频（${names.map(({ text }) => text.zh).join("、")}）；驱动没有降频计数，两次读数之间的情况不得而知`,
        en: `GPU ${gpu} was slowed down at ${slowed.length} of ${seen.length} readings (${names.map(({ text }) => text.en).join(", ")}); the driver keeps no counters, so what came between readings is not known`,
      },
      { gpu, slowedReadings: slowed.length, readings: seen.length },
    ),
  ];
}

function slowdownFinding(
  point: string,
  seen: LocalText,
  evidence: Readonly<Record<string, number>>,
): Outcome {
  return found({
    severity: "fail",
    where: point,
    seen,
    expected: { zh: "窗口内没有因温度或功耗制动而降频", en: "no thermal or power-brake slowdown" },
    mend: {
      zh: "改善散热与供电，或降低环境温度，然后重测",
      en: "mend cooling or power supply, then measure again",
    },
    evidence,
  });
}

/** Growth from the first to the last; a counter that was set back counts from there. */
function growthOf(values: readonly number[]): number {
  return values.reduce((sum, value, at) => sum + Math.max(0, value - (values[at - 1] ?? value)), 0);
}

function hasCounters(readings: WindowReadings["around"]): boolean {
  return slowdowns.some(
    ({ counter }) => readings.filter((one) => one[counter] !== undefined).length >= 2,
  );
}

function tellsSlowdowns({ around, inside }: WindowReadings): boolean {
  return hasCounters(around) || inside.some(({ eventReasons }) => eventReasons !== undefined);
}

/** E22: median clocks of a point against the maximum, and clocks that somebody holds. */
export function checkClocks(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  return eachPoint(input, (point) => {
    const each = gpus.map((gpu) => ({ gpu, outcomes: clocksOf(input, gpu, point) }));
    const outcomes = each.flatMap((one) => one.outcomes ?? []);
    const unread = each.filter((one) => one.outcomes === undefined).map(({ gpu }) => gpu);
    if (unread.length === 0) return outcomes;
    const where = point.estimates.point;
    const isNever = unread.every((gpu) => readingsOf(point.samples, gpu).length === 0);
    return [
      ...outcomes,
      isNever
        ? notChecked(where, noReadings.zh, noReadings.en)
        : notChecked(
            where,
            `${gpuList(unread)} 的频率或最大频率读数不足`,
            `too few clock readings of ${gpuList(unread)}, or its maximum is not known`,
          ),
    ];
  });
}

const clocks = [
  { of: "smClockMhz", max: "clocks.max_sm_mhz", name: { zh: "SM 频率", en: "SM clock" } },
  {
    of: "memoryClockMhz",
    max: "clocks.max_memory_mhz",
    name: { zh: "显存频率", en: "memory clock" },
  },
] as const;

/** undefined: neither clock can be judged. */
function clocksOf(
  input: AuditInput,
  gpu: number,
  { estimates: { point }, samples }: MeasuredPoint,
): readonly Outcome[] | undefined {
  const inside = readingsOf(samples, gpu).flatMap((one) => one.inside);
  const reasons = inside.flatMap(({ eventReasons }) => eventReasons ?? []);
  const judged = clocks.flatMap(({ of, max, name }) => {
    const maxMhz = numberIn(input.before ?? input.after, `gpu.${gpu}.${max}`);
    const read = inside.flatMap((reading) => reading[of] ?? []);
    const medianMhz = quantile7(sortAscending(read), 0.5);
    return maxMhz === undefined ||
      medianMhz === undefined ||
      read.length < thresholds.gpuReadings.value
      ? []
      : [{ of, name, maxMhz, medianMhz, isStill: Math.min(...read) === Math.max(...read) }];
  });
  if (judged.length === 0) return undefined;
  const slow = judged.filter(
    ({ medianMhz, maxMhz }) => medianMhz < thresholds.gpuClockShare.value * maxMhz,
  );
  const held = heldClock(judged, reasons);
  if (slow.length === 0 && held === undefined) return [];
  const parts: LocalText[] = slow.map(({ name, medianMhz, maxMhz }) => ({
    zh: `${name.zh} p50 ${formatNumber(medianMhz, 0)} MHz，为最大值 ${formatNumber(maxMhz, 0)} MHz 的 ${shareText(medianMhz / maxMhz, 0).zh}`,
    en: `median ${name.en} ${formatNumber(medianMhz, 0)} MHz, ${shareText(medianMhz / maxMhz, 0).en} of the maximum of ${formatNumber(maxMhz, 0)} MHz`,
  }));
  const why = held ?? powerCapped(reasons);
  if (why !== undefined) parts.push(why);
  return [
    found({
      severity: "warn",
      where: point,
      seen: {
        zh: `GPU ${gpu}：${parts.map(({ zh }) => zh).join("；")}`,
        en: `GPU ${gpu}: ${parts.map(({ en }) => en).join("; ")}`,
      },
      expected: {
        zh: "不低于最大值的 90%，频率未锁定",
        en: "at least 90 % of the maximum, clocks not locked",
      },
      mend: {
        zh: "nvidia-smi -rgc 与 -rmc 解除锁定；受功耗上限约束的，在记录中说明",
        en: "unlock with nvidia-smi -rgc and -rmc; where the power cap holds it back, say so in the record",
      },
      evidence: {
        gpu,
        readings: inside.length,
        ...Object.fromEntries(judged.map(({ of, medianMhz }) => [of, medianMhz])),
      },
    }),
  ];
}

/** Bits of the event reasons' mask. */
const applicationsClocks = 0x2;
const softwarePowerCap = 0x4;

/** A clock below its maximum that never moves and that nothing holds back was set by somebody. */
function heldClock(
  judged: readonly {
    readonly of: string;
    readonly maxMhz: number;
    readonly medianMhz: number;
    readonly isStill: boolean;
  }[],
  reasons: readonly number[],
): LocalText | undefined {
  if (mostly(reasons, applicationsClocks))
    return { zh: "频率由应用时钟设置限定", en: "held by an applications clocks setting" };
  const sm = judged.find(({ of }) => of === "smClockMhz");
  const isBelow = sm !== undefined && sm.medianMhz < sm.maxMhz;
  const isFree = reasons.length > 0 && reasons.every((mask) => mask === 0);
  return isBelow && sm.isStill && isFree
    ? {
        zh: "SM 频率始终不变且没有降频原因，应是被锁定",
        en: "the SM clock never moved and no reason held it back, so it seems locked",
      }
    : undefined;
}

function powerCapped(reasons: readonly number[]): LocalText | undefined {
  return mostly(reasons, softwarePowerCap)
    ? { zh: "受功耗上限约束", en: "held back by the power cap" }
    : undefined;
}

function mostly(reasons: readonly number[], bit: number): boolean {
  return 2 * reasons.filter((mask) => (mask & bit) !== 0).length > reasons.length;
}
