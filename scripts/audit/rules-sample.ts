// Rules about the sample: that requests succeeded, that the client kept up (rules-client.ts), and that
// there was enough of everything.
import type { LocalText } from "../experiment/experiment.ts";
import { percentileFloor } from "../experiment/percentile-floor.ts";
import { parseEstimateKey } from "../stats/estimate-key.ts";
import { requestMetrics } from "../stats/request-metrics.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { dispatchedAtMs, throughputWindow, windowSeconds } from "../stats/window.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  type Rule,
  shareText,
} from "./rule.ts";
import { clientRules } from "./rules-client.ts";
import { thresholds } from "./thresholds.ts";

export const sampleRules: readonly Rule[] = [
  {
    id: "E15",
    severity: "fail",
    name: { zh: "失败与输出长度", en: "Failures and output length" },
    text: {
      zh: "没有失败的请求与试次；实际输出长度与计划相差不超过 1%",
      en: "no request and no trial failed; output lengths are within 1 % of the plan",
    },
    needs: { zh: "请求状态，usage，试次状态", en: "request status, usage, trial status" },
    check: (input) => [...eachPoint(input, checkFailures), ...checkAttempts(input)],
  },
  ...clientRules,
  {
    id: "E23",
    severity: "warn",
    name: { zh: "样本量", en: "Sample size" },
    text: {
      zh: "请求数够所列分位数用，至少 3 轮，窗口不短于 60 s，请求不成齐步波",
      en: "enough requests for every percentile, at least 3 rounds, windows of 60 s or more, no lockstep waves",
    },
    needs: { zh: "请求样本", en: "request samples" },
    check: (input) => eachPoint(input, (point) => checkSampleSize(input, point)),
  },
];

function checkFailures({ estimates }: MeasuredPoint): readonly Outcome[] {
  const { point, trials } = estimates;
  const measured = trials.reduce((total, trial) => total + trial.measured, 0);
  if (measured === 0) return [notChecked(point, "没有测量请求", "there is no measured request")];
  const statuses = { rejected: 0, truncated: 0, timedOut: 0, failed: 0 };
  for (const { failures } of trials) {
    statuses.rejected += failures.rejected;
    statuses.truncated += failures.truncated;
    statuses.timedOut += failures.timedOut;
    statuses.failed += failures.failed;
  }
  const failed = Object.values(statuses).reduce((a, b) => a + b);
  const share = failed / measured;
  const outcomes: Outcome[] = [];
  if (share > thresholds.failureShareWarn.value) {
    const { rejected, truncated, timedOut } = statuses;
    outcomes.push(
      found({
        severity: share > thresholds.failureShareFail.value ? "fail" : "warn",
        where: point,
        seen: {
          zh: `${measured} 个测量请求中 ${failed} 个失败（${shareText(share, 2).zh}）：拒绝 ${rejected}，截断 ${truncated}，超时 ${timedOut}，出错 ${statuses.failed}`,
          en: `${failed} of ${measured} measured requests failed (${shareText(share, 2).en}): ${rejected} rejected, ${truncated} truncated, ${timedOut} timed out, ${statuses.failed} in error`,
        },
        expected: { zh: "没有失败", en: "no failure" },
        mend: {
          zh: "查引擎日志与请求的失败原因，消除后重测",
          en: "read the engine's log and the causes of the failed requests, mend them, measure again",
        },
        evidence: { measured, failures: failed, share, ...statuses },
      }),
    );
  }
  return [...outcomes, ...checkOutputLength(estimates.point, trials, estimates)];
}

function checkOutputLength(
  point: string,
  trials: readonly TrialMetrics[],
  { outputTokens, plannedOutputTokens }: MeasuredPoint["estimates"],
): readonly Outcome[] {
  if (outputTokens === undefined || plannedOutputTokens === undefined) {
    return trials.every((trial) => trial.completed === 0)
      ? []
      : [notChecked(point, "实际输出长度未知", "actual output lengths are not known")];
  }
  const off = outputTokens.mean / plannedOutputTokens - 1;
  if (Math.abs(off) <= thresholds.outputLengthOff.value) return [];
  return [
    found({
      severity: "fail",
      where: point,
      seen: {
        zh: `平均输出 ${formatNumber(outputTokens.mean, 1)} token，与计划相差 ${shareText(off).zh}`,
        en: `mean output ${formatNumber(outputTokens.mean, 1)} tokens, ${shareText(off).en} off the plan`,
      },
      expected: {
        zh: `${formatNumber(plannedOutputTokens, 1)} token，相差不超过 1%`,
        en: `${formatNumber(plannedOutputTokens, 1)} tokens, within 1 %`,
      },
      mend: {
        zh: "让引擎接受 min_tokens 与 ignore_eos，或按实际长度声明输出",
        en: "let the engine honour min_tokens and ignore_eos, or declare the length that it gives",
      },
      evidence: { actual: outputTokens.mean, planned: plannedOutputTokens, off },
    }),
  ];
}

/** Attempts that failed for a reason of their own; an engine's death is told by S2. */
function checkAttempts(input: AuditInput): readonly Outcome[] {
  const dead = new Set(
    input.starts
      .filter(({ end }) => end?.reason === "died" || end?.reason === "never_ready")
      .map(({ start }) => start),
  );
  return input.attempts
    .filter(({ status, start }) => status === "failed" && !dead.has(start))
    .map(({ point, round, attempt, reason }) =>
      found({
        severity: "warn",
        where: point,
        seen: {
          zh: `第 ${round} 轮第 ${attempt} 次尝试失败：${reason ?? "原因未知"}`,
          en: `attempt ${attempt} of round ${round} failed: ${reason ?? "for an unknown reason"}`,
        },
        expected: { zh: "每个试次一次测成", en: "every trial measured at the first attempt" },
        mend: {
          zh: "看失败原因与引擎日志；用 run --resume 补测",
          en: "read the reason and the engine's log; run --resume measures it again",
        },
        evidence: { round, attempt },
      }),
    );
}

function checkSampleSize(
  { experiment }: AuditInput,
  { estimates, samples }: MeasuredPoint,
): readonly Outcome[] {
  const rounds = new Set(samples.map((trial) => trial.round)).size;
  const windows = samples.map(throughputWindow).filter((window) => window !== undefined);
  const shortestS = windows.length === 0 ? undefined : Math.min(...windows.map(windowSeconds));
  const order = lockstepOrder(estimates, samples);
  const short = shortPercentiles(estimates);
  const clauses: LocalText[] = [];
  if (short.length > 0) {
    const names = short.map(({ key, have, need }) => `${key} ${have}/${need}`).join("，");
    const namesEn = short.map(({ key, have, need }) => `${key} ${have}/${need}`).join(", ");
    clauses.push({
      zh: `请求数不足（有/需）：${names}`,
      en: `too few requests (have/need): ${namesEn}`,
    });
  }
  if (rounds < thresholds.rounds.value) {
    clauses.push({ zh: `${rounds} 轮`, en: rounds === 1 ? "1 round" : `${rounds} rounds` });
  }
  if (shortestS !== undefined && shortestS < thresholds.windowS.value) {
    clauses.push({
      zh: `最短窗口 ${formatNumber(shortestS, 1)} s`,
      en: `shortest window ${formatNumber(shortestS, 1)} s`,
    });
  }
  if (order !== undefined && order > thresholds.lockstepOrder.value) {
    clauses.push({
      zh: `请求成齐步波：发送相位一致度 ${formatNumber(order, 2)}（1 为完全同步）`,
      en: `lockstep waves: dispatch phases agree to ${formatNumber(order, 2)} (1 is in step)`,
    });
  }
  if (clauses.length === 0) return [];
  const highest = Math.max(50, ...experiment.measure.percentiles);
  const need = percentileFloor(highest);
  return [
    found({
      severity: "warn",
      where: estimates.point,
      seen: {
        zh: clauses.map(({ zh }) => zh).join("；"),
        en: clauses.map(({ en }) => en).join("; "),
      },
      expected: {
        zh: `p${highest} 至少 ${need} 个请求，至少 3 轮，窗口不短于 60 s，请求错开`,
        en: `at least ${need} requests for p${highest}, 3 rounds, windows of 60 s, requests spread out`,
      },
      mend: {
        zh: "增加 measure.rounds 与 measure.requests；用变化的长度打散齐步波",
        en: "raise measure.rounds and measure.requests; varying lengths break lockstep waves",
      },
      evidence: {
        rounds,
        ...(shortestS === undefined ? {} : { shortestWindowS: shortestS }),
        ...(order === undefined ? {} : { lockstepOrder: order }),
        percentilesShort: short.map(({ key }) => key).join(" "),
      },
    }),
  ];
}

function shortPercentiles(
  estimates: MeasuredPoint["estimates"],
): readonly { readonly key: string; readonly have: number; readonly need: number }[] {
  return [...estimates.estimates].flatMap(([key, { absence }]) => {
    const parsed = parseEstimateKey(key);
    const isShort = absence?.kind === "too_few_requests" || absence?.kind === "rank_out_of_sample";
    // The client's own delay is an instrument reading, not a figure of the record.
    return isShort && parsed?.metric.id !== "client_delay"
      ? [{ key, have: absence.have, need: absence.need }]
      : [];
  });
}

/**
 * How far the measured dispatches of a trial fall into step, the largest over trials: length of the
 * mean of exp(2 pi i t / T), with t the dispatch times and T the mean E2E. undefined below 4 streams
 * or with fewer than 3 requests per stream.
 */
function lockstepOrder(
  { plannedConcurrency: planned }: MeasuredPoint["estimates"],
  samples: readonly TrialSamples[],
): number | undefined {
  if (planned === undefined || planned < thresholds.lockstepFrom.value) return undefined;
  const orders = samples.flatMap((trial) => {
    const measured = trial.requests.filter((request) => request.phase === "measured");
    const e2es = measured.map((one) => requestMetrics(one).e2eMs).filter((ms) => ms !== undefined);
    const period = e2es.reduce((a, b) => a + b, 0) / e2es.length;
    if (e2es.length < 3 * planned || !(period > 0)) return [];
    const angles = measured.map((one) => (2 * Math.PI * dispatchedAtMs(one)) / period);
    const real = angles.reduce((total, angle) => total + Math.cos(angle), 0);
    const imaginary = angles.reduce((total, angle) => total + Math.sin(angle), 0);
    return [Math.hypot(real, imaginary) / angles.length];
  });
  return orders.length === 0 ? undefined : Math.max(...orders);
}
