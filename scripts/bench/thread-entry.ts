// A client thread: opens its connections, warms its code, drives its share of one trial and posts the
// records in batches. It does nothing else, so that nothing else delays its time stamps.
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { redactText } from "../environment/redact.ts";
import { messageOf, UserError } from "../errors.ts";
import { batchedSource } from "../workload/request-batch.ts";
import type { RequestSource } from "../workload/requests.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { openDrive } from "./drive.ts";
import type { LoadProgress } from "./load.ts";
import { startPolling } from "./polling.ts";
import { packRecords } from "./record-batch.ts";
import type { RequestRecord } from "./request-record.ts";
import { startSelfMeter, threadCpu } from "./self-meter.ts";
import type { FromThread, ThreadTask, ToThread } from "./thread-messages.ts";
import { warmUpClient } from "./warm-up.ts";

/** Records are posted when there are so many, or after so long: packing them takes time from the load. */
const mostRecords = 64;
const postEveryMs = 100;

/** A thread that waits for a core stamps late; it needs little of one, and gets it sooner. */
const niceness = -15;

/** Before everything else that runs on a shared core, where the system allows it (root, CAP_SYS_NICE). */
function raisePriority(): void {
  try {
    const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    setPriority(thread, niceness);
  } catch {
    // Not Linux, or not allowed: the calibration shows what that costs.
  }
}

async function runThread(port: MessagePort, task: ThreadTask): Promise<void> {
  raisePriority();
  const post = (message: FromThread, transfer: readonly ArrayBuffer[] = []): void => {
    port.postMessage(message, transfer);
  };
  const abortion = new AbortController();
  const source = batchedSource();
  let poke = (): void => undefined;
  const go = new Promise<number>((resolve) => {
    port.on("message", (message: ToThread) => {
      if (message.kind === "batch") source.add(message.batch);
      else if (message.kind === "go") resolve(message.zeroMs);
      else if (message.kind === "poke") poke();
      else abortion.abort(message.reason);
    });
  });

  const outbox = createOutbox(post);
  await warmUpClient();
  const drive = await openDrive(
    {
      ...task.input,
      source: watched(source, task),
      signal: abortion.signal,
      onProgress: outbox.progress,
    },
    { redact: redactText, threads: task.share.threads },
  );
  try {
    // What start-up left behind is not to be collected in the window.
    collectGarbage();
    post({ kind: "ready" });
    const zeroMs = await go;
    const polling = task.poll ? startPolling() : undefined;
    const running = drive.start({
      zeroMs,
      ...(polling && {
        // The kernel's count of a thread that never sleeps is always a whole core.
        startMeter: () => startSelfMeter(() => ({ ...threadCpu(), usedMs: polling.busyMs() })),
      }),
      share: task.share,
      memory: task.memory,
      tellOthers: () => {
        post({ kind: "others" });
      },
      onRecord: outbox.record,
    });
    poke = () => {
      running.poke();
    };
    const end = await running.ended.finally(() => {
      polling?.stop();
      outbox.close();
    });
    post({ kind: "ended", end });
  } finally {
    await drive.close();
    source.close();
  }
}

/** Lets the main thread see how far the requests are used up. */
function watched(source: RequestSource, { asked, share }: ThreadTask): RequestSource {
  const highest = new Int32Array(asked);
  return {
    get turns() {
      return source.turns;
    },
    get total() {
      return source.total;
    },
    request(index) {
      if (index >= (highest[share.thread] ?? 0)) highest[share.thread] = index + 1;
      return source.request(index);
    },
    onMore: (listener) => {
      source.onMore(listener);
    },
  };
}

interface Outbox {
  readonly record: (record: RequestRecord) => void;
  readonly progress: (progress: LoadProgress) => void;
  /** Posts what is left. */
  readonly close: () => void;
}

/** Collects what is to be posted; a change of phase goes at once, the rest now and then. */
function createOutbox(
  post: (message: FromThread, transfer?: readonly ArrayBuffer[]) => void,
): Outbox {
  let records: RequestRecord[] = [];
  let latest: LoadProgress | undefined;
  let posted: LoadProgress | undefined;
  const flush = (): void => {
    const progress = latest === posted ? undefined : latest;
    posted = latest;
    if (records.length > 0) {
      const batch = packRecords(records);
      records = [];
      post({ kind: "records", batch, ...(progress && { progress }) }, [batch.chunksAtMs.buffer]);
    } else if (progress !== undefined) post({ kind: "progress", progress });
  };
  const timer = setInterval(flush, postEveryMs);
  return {
    record(record) {
      records.push(record);
      if (records.length >= mostRecords) flush();
    },
    progress(progress) {
      latest = progress;
      if (progress.phase === posted?.phase) return;
      posted = progress;
      post({ kind: "progress", progress });
    },
    close() {
      clearInterval(timer);
      flush();
    },
  };
}

if (parentPort !== null) {
  const port = parentPort;
  // The starter's own words, by structured clone.
  const task = workerData as ThreadTask;
  runThread(port, task)
    .catch((error: unknown) => {
      const message: FromThread = {
        kind: "failed",
        error: {
          message: messageOf(error),
          stack: error instanceof Error ? error.stack : undefined,
          parts: error instanceof UserError ? error.parts : undefined,
        },
      };
      port.postMessage(message);
    })
    .finally(() => {
      port.close();
    });
}
