// From the trials of a point to what its record holds beside the estimates: how its requests ended,
// what its prefix cache and its GPUs did.

import { gpuPresence, isElsewhere } from "../audit/gpu-presence.ts";
import { gpusInUse } from "../audit/gpu-use.ts";
import { type AuditInput, readyStarts } from "../audit/rule.ts";
import type { WatchEnd } from "../bench/request-record.ts";
import type { LocalText } from "../experiment/experiment.ts";
import { cacheSummary } from "../stats/cache-summary.ts";
import type { EngineGpus } from "../stats/gpu-metrics.ts";
import { gpuSummary } from "../stats/gpu-summary.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { StoredAttempt } from "../store/stored-run.ts";
import type { CacheMaterial, GpuMaterial, PointMaterial } from "./record-material.ts";

/** How the requests of the measured cohorts ended. */
export function requestCounts(trials: readonly TrialSamples[]): PointMaterial["requests"] {
  let measured = 0;
  let completed = 0;
  let cancelled = 0;
  for (const { requests } of trials) {
    for (const { phase, status } of requests) {
      if (phase !== "measured") continue;
      measured += 1;
      if (status === "completed") completed += 1;
      if (status === "cancelled") cancelled += 1;
    }
  }
  return { measured, completed, failed: measured - completed - cancelled };
}

/** What the cache of a point's engine did. @param trials of the point */
export function cacheMaterial(
  input: AuditInput,
  trials: readonly TrialSamples[],
  attempts: readonly StoredAttempt[],
): CacheMaterial {
  const facts = readyStarts(input, trials[0]?.variant ?? "").map((start) => start.facts);
  const settings = facts.map((one) => one.settings);
  return {
    ...cacheSummary(trials),
    unwatched: unavailable(trials, attempts, "engine"),
    blockSize: settings.map(({ blockSize }) => blockSize).find((size) => size !== undefined),
    prefixCaching: settings
      .map(({ prefixCaching }) => prefixCaching)
      .find((is) => is !== undefined),
  };
}

/**
 * What the GPUs of a point's engine did.
 *
 * @param trials of the point
 * @param gpus of its engine
 */
export function gpuMaterial(
  input: AuditInput,
  trials: readonly TrialSamples[],
  { attempts, gpus }: { readonly attempts: readonly StoredAttempt[]; readonly gpus: EngineGpus },
): GpuMaterial {
  const presence = gpuPresence(input);
  if (presence.kind === "none") return { kind: "none", why: "no_gpu" };
  if (gpus.count === 0) return { kind: "none", why: "not_used" };
  if (presence.kind === "unknown" && isElsewhere(input))
    return { kind: "unread", why: presence.why };
  const indexes = gpus.indexes ?? (presence.kind === "present" ? gpusInUse(input) : undefined);
  const summary = gpuSummary(trials, indexes);
  if (summary !== undefined) {
    const isKnown = gpus.indexes !== undefined;
    return { kind: "read", summary, isKnown, isSliced: gpus.isSliced === true };
  }
  const reason = unavailable(trials, attempts, "gpus");
  if (reason !== undefined) return { kind: "unread", why: { zh: reason, en: reason } };
  return { kind: "unread", why: presence.kind === "unknown" ? presence.why : noReading };
}

const noReading: LocalText = {
  zh: "窗口内没有 GPU 读数",
  en: "no GPU reading fell into a window",
};

/** Why a watch saw nothing over the trials; undefined: it saw something, or does not say. */
function unavailable(
  trials: readonly TrialSamples[],
  attempts: readonly StoredAttempt[],
  watch: "engine" | "gpus",
): string | undefined {
  const ends = trials.flatMap(({ trial, attempt }): readonly WatchEnd[] => {
    const own = attempts.find((one) => one.trial === trial && one.attempt === attempt);
    const end = own?.watches?.[watch];
    return end === undefined ? [] : [end];
  });
  const reasons = ends.flatMap((end) => end.unavailable ?? []);
  return reasons.length === ends.length ? reasons[0] : undefined;
}
