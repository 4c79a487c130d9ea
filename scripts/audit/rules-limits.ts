// Rules about what a host takes away from engine and client: CPU time while trials run, and memory that
// GPUs share.
import { counterGrowth } from "../environment/difference.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { LocalText } from "../experiment/experiment.ts";
import { formatBytes, formatDuration } from "../units.ts";
import {
  type AuditInput,
  fieldOf,
  found,
  isLaunched,
  notChecked,
  numberField,
  type Outcome,
  orPass,
  pass,
  plannedVariants,
  type Rule,
  readyStarts,
  shareText,
} from "./rule.ts";
import { parallelismOf } from "./rules-settings.ts";
import { thresholds } from "./thresholds.ts";

export const limitRules: readonly Rule[] = [
  {
    id: "E18",
    severity: "fail",
    name: { zh: "主机限制", en: "Host limits" },
    text: {
      zh: "没有 cgroup CPU 限流，被虚拟化层占走的 CPU 时间不超过 1%，多卡时 /dev/shm 够用",
      en: "no cgroup CPU throttling, steal up to 1 %, /dev/shm large enough for several GPUs",
    },
    needs: { zh: "cgroup 计数，CPU 时间，/dev/shm", en: "cgroup counters, CPU time, /dev/shm" },
    check: checkHostLimits,
  },
];

function checkHostLimits(input: AuditInput): readonly Outcome[] {
  const places = placesOf(input);
  const outcomes =
    places.length === 0
      ? [
          notChecked(
            "environment",
            "没有成对的环境快照：试次前后、运行前后都缺",
            "there are no two snapshots around a trial or around the run",
          ),
        ]
      : [...checkThrottling(input, places), ...checkSteal(places)];
  return orPass([...outcomes, ...checkSharedMemory(input)], "environment");
}

/** Time over which the host's counters are read, without the pauses between stretches. */
interface Place {
  /** A point's name, or "environment". */
  readonly where: string;
  /** What the time is called in print. */
  readonly name: LocalText;
  readonly spans: readonly {
    readonly before: EnvironmentSnapshot;
    readonly after: EnvironmentSnapshot;
  }[];
}

/** Each point with the time of its measured trials; all stretches where no trial has snapshots. */
function placesOf(input: AuditInput): readonly Place[] {
  const points = new Map<string, Place["spans"][number][]>();
  const stretches: Place["spans"][number][] = [];
  const begun = new Map<string, EnvironmentSnapshot>();
  for (const { scope, leg, trial, attempt, snapshot } of input.snapshots) {
    if (scope === "run-before" || scope === "trial-before") {
      begun.set(`${leg} ${trial ?? "run"}`, snapshot);
      continue;
    }
    const before = begun.get(`${leg} ${trial ?? "run"}`);
    if (before === undefined) continue;
    if (scope === "run-after") stretches.push({ before, after: snapshot });
    if (scope !== "trial-after") continue;
    const measured = input.attempts.find(
      (one) =>
        one.trial === trial &&
        one.leg === leg &&
        (attempt === undefined || one.attempt === attempt) &&
        one.status === "measured",
    );
    if (measured === undefined) continue;
    points.set(measured.point, [
      ...(points.get(measured.point) ?? []),
      { before, after: snapshot },
    ]);
  }
  if (points.size > 0) {
    const name = { zh: "其试次时间", en: "the time of its trials" };
    return [...points].map(([where, spans]) => ({ where, name, spans }));
  }
  const name = { zh: "运行时间", en: "the run" };
  return stretches.length === 0 ? [] : [{ where: "environment", name, spans: stretches }];
}

function checkThrottling(input: AuditInput, places: readonly Place[]): readonly Outcome[] {
  if (fieldOf(input, "host.cgroup.throttled_us")?.state === "not_applicable") {
    return [pass("environment")];
  }
  return places.map(({ where, name, spans }) => {
    const read = spans.flatMap(({ before, after }) => {
      const us = counterGrowth(before, after, "host.cgroup.throttled_us");
      const elapsedMs = Date.parse(after.takenAt) - Date.parse(before.takenAt);
      return us === undefined || !(elapsedMs > 0) ? [] : [{ us, elapsedMs }];
    });
    if (read.length === 0) {
      return notChecked(where, "cgroup 限流计数未采集", "cgroup throttling was not collected");
    }
    const throttledUs = read.reduce((total, { us }) => total + us, 0);
    const share = throttledUs / 1000 / read.reduce((total, { elapsedMs }) => total + elapsedMs, 0);
    if (share <= thresholds.throttledShare.value) return pass(where);
    const duration = formatDuration(throttledUs / 1000);
    return found({
      severity: "fail",
      where,
      seen: {
        zh: `cgroup 限流 ${duration}，占${name.zh}的 ${shareText(share).zh}`,
        en: `throttled by the cgroup for ${duration}, ${shareText(share).en} of ${name.en}`,
      },
      expected: { zh: "不超过 1%", en: "up to 1 %" },
      mend: { zh: "提高或取消 CPU 配额", en: "raise or lift the CPU quota" },
      evidence: { throttledUs, share },
    });
  });
}

function checkSteal(places: readonly Place[]): readonly Outcome[] {
  return places.map(({ where, name, spans }) => {
    const read = spans.flatMap(({ before, after }) => {
      const stolen = counterGrowth(before, after, "host.cpu.steal_ticks");
      const ticks = counterGrowth(before, after, "host.cpu.total_ticks");
      return stolen === undefined || ticks === undefined || ticks === 0 ? [] : [{ stolen, ticks }];
    });
    if (read.length === 0) {
      return notChecked(where, "CPU steal 未采集", "CPU steal was not collected");
    }
    const share =
      read.reduce((total, { stolen }) => total + stolen, 0) /
      read.reduce((total, { ticks }) => total + ticks, 0);
    if (share <= thresholds.stealShare.value) return pass(where);
    return found({
      severity: "fail",
      where,
      seen: {
        zh: `${name.zh}内，被虚拟化层占走的 CPU 时间（steal）占 ${shareText(share).zh}`,
        en: `${shareText(share).en} of CPU time over ${name.en} went to other guests (steal)`,
      },
      expected: { zh: "不超过 1%", en: "up to 1 %" },
      mend: { zh: "换独占 CPU 的机器", en: "use a machine with dedicated CPUs" },
      evidence: { stealShare: share },
    });
  });
}

function checkSharedMemory(input: AuditInput): readonly Outcome[] {
  // /dev/shm here is that of the engine only where the engine is started here.
  const several = plannedVariants(input).some(
    (variant) =>
      isLaunched(variant) &&
      parallelismOf(variant, readyStarts(input, variant.name).at(-1)?.facts.settings) > 1,
  );
  if (!several) return [];
  const bytes = numberField(input, "host.shm_bytes");
  if (bytes === undefined) {
    return [
      notChecked("environment", "/dev/shm 大小未采集", "the size of /dev/shm was not collected"),
    ];
  }
  if (bytes >= thresholds.shmBytes.value) return [];
  return [
    found({
      severity: "fail",
      where: "environment",
      seen: {
        zh: `/dev/shm ${formatBytes(bytes)}，而引擎跨多块 GPU`,
        en: `/dev/shm of ${formatBytes(bytes)} with an engine across several GPUs`,
      },
      expected: { zh: "不小于 1 GiB", en: "at least 1 GiB" },
      mend: {
        zh: "容器加 --shm-size 或 --ipc=host",
        en: "give the container --shm-size or --ipc=host",
      },
      evidence: { shmBytes: bytes },
    }),
  ];
}
