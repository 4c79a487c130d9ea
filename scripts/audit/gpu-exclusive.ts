// E1: whether the GPUs were the engine's alone, from process lists before the start and around every
// trial, and from memory where a container hides processes.
import type { LocalText } from "../experiment/experiment.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";
import { formatNumber } from "../units.ts";
import { type GpuProcess, gpuList, isCut, numberIn, processesOf, readingsOf } from "./gpu-use.ts";
import {
  type AuditInput,
  found,
  isLaunched,
  notChecked,
  type Outcome,
  plannedVariants,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

/** Whose the GPUs were, one after another. */
export function checkExclusive(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const outcomes = gpus.flatMap((gpu) => [
    ...checkBefore(input, gpu),
    ...checkDuring(input, gpu),
    ...checkOutlived(input, gpu),
  ]);
  return [...outcomes, ...checkSeen(input, gpus)];
}

/** Whatever is on a GPU before the first start is not ours, unless we attach to an engine there. */
function checkBefore(input: AuditInput, gpu: number): readonly Outcome[] {
  if (!areLaunched(input)) return [];
  const idle = input.snapshots.filter(({ scope }) => scope === "run-before");
  const strangers = processesBefore(input, gpu);
  if (strangers.length > 0) {
    return [
      occupied(input, gpu, {
        where: "environment",
        when: { zh: "运行前", en: "before the run" },
        strangers,
      }),
    ];
  }
  const usedMib = Math.max(
    0,
    ...idle.flatMap(({ snapshot }) => numberIn(snapshot, `gpu.${gpu}.memory.used_mib`) ?? []),
  );
  if (usedMib <= thresholds.gpuIdleMemoryMib.value) return [];
  const graphics = Math.max(
    0,
    ...idle.flatMap(
      ({ snapshot }) => numberIn(snapshot, `gpu.${gpu}.processes.graphics_count`) ?? [],
    ),
  );
  return [memoryInUse(input, gpu, { usedMib, graphics })];
}

function processesBefore({ snapshots }: AuditInput, gpu: number): readonly GpuProcess[] {
  return unique(
    snapshots.flatMap(({ scope, snapshot }) =>
      scope === "run-before" ? (processesOf(snapshot, gpu) ?? []) : [],
    ),
  );
}

/** A process that was not there when the engine became ready is not the engine's. */
function checkDuring(input: AuditInput, gpu: number): readonly Outcome[] {
  const byStart = new Map<number | undefined, StoredSnapshot[]>();
  for (const taken of input.snapshots) {
    if (processesOf(taken.snapshot, gpu) === undefined) continue;
    // What we attach to lives longer than what the run calls a start.
    const key = areLaunched(input) ? taken.start : 0;
    if (key === undefined) continue;
    byStart.set(key, [...(byStart.get(key) ?? []), taken]);
  }
  const strangers = new Map<string, GpuProcess[]>();
  for (const [ready, ...later] of byStart.values()) {
    if (ready === undefined) continue;
    const own = new Set((processesOf(ready.snapshot, gpu) ?? []).map(({ pid }) => pid));
    for (const { snapshot, trial } of later) {
      const where = input.attempts.find((one) => one.trial === trial)?.point ?? "environment";
      const others = (processesOf(snapshot, gpu) ?? []).filter(({ pid }) => !own.has(pid));
      if (others.length > 0) strangers.set(where, [...(strangers.get(where) ?? []), ...others]);
    }
  }
  return [...strangers].map(([where, processes]) =>
    occupied(input, gpu, {
      where,
      when: { zh: "引擎就绪后", en: "after the engine was ready" },
      strangers: unique(processes),
    }),
  );
}

/**
 * What was on the GPU at an earlier start too: an engine left it behind, or it came in while one
 * started. Engines that are kept outlive a start by themselves.
 */
function checkOutlived(input: AuditInput, gpu: number): readonly Outcome[] {
  if (!areLaunched(input) || input.experiment.measure.keep) return [];
  const known = new Set(processesBefore(input, gpu).map(({ pid }) => pid));
  const firstSeen = new Map<number, number>();
  const strangers = new Map<string, GpuProcess[]>();
  for (const { start, snapshot } of input.snapshots) {
    if (start === undefined) continue;
    for (const process of processesOf(snapshot, gpu) ?? []) {
      const first: number = firstSeen.get(process.pid) ?? start;
      firstSeen.set(process.pid, first);
      if (first === start || known.has(process.pid)) continue;
      const variant = input.starts.find((one) => one.start === start)?.variant ?? "environment";
      strangers.set(variant, [...(strangers.get(variant) ?? []), process]);
    }
  }
  return [...strangers].map(([where, processes]) =>
    occupied(input, gpu, {
      where,
      when: { zh: "自更早的一次启动起", en: "since an earlier start" },
      strangers: unique(processes),
    }),
  );
}

/** Whether the lists could show a stranger at all. */
function checkSeen(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const unread = gpus.filter((gpu) =>
    input.snapshots.every(({ snapshot }) => processesOf(snapshot, gpu) === undefined),
  );
  if (unread.length > 0) {
    return [
      notChecked(
        "environment",
        `${gpuList(unread)} 的进程列表未采集`,
        `the process list of ${gpuList(unread)} was not collected`,
      ),
    ];
  }
  const hidden = gpus.filter((gpu) => hidesProcesses(input, gpu));
  if (hidden.length > 0) {
    return [
      ...hidden.flatMap((gpu) => checkGrowth(input, gpu)),
      notChecked(
        "environment",
        `${gpuList(hidden)} 有显存占用而进程列表为空（容器内常见），窗口内的其他进程无从得知`,
        `memory of ${gpuList(hidden)} is in use while the process list is empty, as inside a container: other processes in the window can't be seen`,
      ),
    ];
  }
  if (areLaunched(input)) return [];
  return [
    notChecked(
      "environment",
      "引擎在运行前已启动，运行前 GPU 上的进程哪些属于它无从得知",
      "the engine was running before: which of the processes on the GPU are its own is not known",
    ),
  ];
}

function hidesProcesses({ snapshots }: AuditInput, gpu: number): boolean {
  return snapshots.some(
    ({ snapshot }) =>
      processesOf(snapshot, gpu)?.length === 0 &&
      (numberIn(snapshot, `gpu.${gpu}.memory.used_mib`) ?? 0) > thresholds.gpuIdleMemoryMib.value,
  );
}

/**
 * vLLM takes its memory before it is ready: what is taken later is likely somebody else's. It may be
 * its own activations that grew, so this alone does not block.
 */
function checkGrowth(input: AuditInput, gpu: number): readonly Outcome[] {
  if (plannedVariants(input).some(({ engine }) => engine.kind !== "vllm")) return [];
  return input.measured.flatMap(({ estimates: { point }, samples }) => {
    const grown = readingsOf(samples, gpu).map(({ around }) => {
      const used = around.flatMap(({ memoryUsedMib }) => memoryUsedMib ?? []);
      return Math.max(0, ...used.map((mib) => mib - (used[0] ?? mib)));
    });
    const grownMib = Math.max(0, ...grown);
    if (grownMib <= thresholds.gpuIdleMemoryMib.value) return [];
    const mib = formatNumber(grownMib, 0);
    return [
      found({
        severity: "fail",
        where: point,
        seen: {
          zh: `GPU ${gpu} 的显存占用在窗口内增加 ${mib} MiB，而引擎就绪前已占好显存`,
          en: `memory in use on GPU ${gpu} grew by ${mib} MiB within a window, though the engine takes its own before it is ready`,
        },
        expected: exclusive,
        mend: mendOccupied,
        evidence: { gpu, grownMib },
      }),
    ];
  });
}

const exclusive: LocalText = {
  zh: "GPU 只由被测引擎使用",
  en: "the GPU to the engine under test alone",
};

const mendOccupied: LocalText = {
  zh: "停掉其他进程，或换用空闲的 GPU，然后重测",
  en: "stop the other processes or take an idle GPU, then measure again",
};

function occupied(
  input: AuditInput,
  gpu: number,
  {
    where,
    when,
    strangers,
  }: {
    readonly where: string;
    readonly when: LocalText;
    readonly strangers: readonly GpuProcess[];
  },
): Outcome {
  const list = strangers
    .slice(0, 3)
    .map(({ pid, name }) => `${pid} ${name}`.trim())
    .join(", ");
  const count = strangers.length;
  return found({
    severity: severityOn(input, gpu),
    where,
    seen: {
      zh: `${when.zh} GPU ${gpu} 上有 ${count} 个其他计算进程：${list}`,
      en: `${count} other compute ${count === 1 ? "process" : "processes"} on GPU ${gpu} ${when.en}: ${list}`,
    },
    expected: exclusive,
    mend: mendOccupied,
    evidence: { gpu, processes: count, pids: strangers.map(({ pid }) => pid).join(" ") },
  });
}

function memoryInUse(
  input: AuditInput,
  gpu: number,
  { usedMib, graphics }: { readonly usedMib: number; readonly graphics: number },
): Outcome {
  const mib = formatNumber(usedMib, 0);
  const most = formatNumber(thresholds.gpuIdleMemoryMib.value, 0);
  return found({
    // A desktop takes memory and little else.
    severity: graphics > 0 ? "fail" : severityOn(input, gpu),
    where: "environment",
    seen: {
      zh: `运行前 GPU ${gpu} 已占用显存 ${mib} MiB，${graphics > 0 ? `其上有 ${graphics} 个图形进程` : "进程列表中没有占用者"}`,
      en: `${mib} MiB in use on GPU ${gpu} before the run, ${graphics > 0 ? `with ${graphics} graphics ${graphics === 1 ? "process" : "processes"} on it` : "by no process on the list"}`,
    },
    expected: { zh: `不超过 ${most} MiB`, en: `up to ${most} MiB` },
    mend: mendOccupied,
    evidence: { gpu, usedMib, ...(graphics > 0 ? { graphicsProcesses: graphics } : {}) },
  });
}

/** The lists of a GPU that is cut in slices don't say on which slice a process is. */
function severityOn(input: AuditInput, gpu: number): "block" | "fail" {
  return isCut(input, gpu) ? "fail" : "block";
}

function areLaunched(input: AuditInput): boolean {
  return plannedVariants(input).every(isLaunched);
}

function unique(processes: readonly GpuProcess[]): readonly GpuProcess[] {
  return [...new Map(processes.map((process) => [process.pid, process])).values()];
}
