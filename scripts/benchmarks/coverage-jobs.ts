// The work of the coverage table, cut into pieces that any thread can do: what a piece gives follows
// from the piece alone, so the same seed gives the same table whatever the number of threads.
import { Worker } from "node:worker_threads";
import { seededRandom } from "../experiment/random.ts";
import {
  coverageCell,
  coverageRounds,
  type LongRunValue,
  longRunOf,
  simulateStart,
} from "./coverage-cells.ts";
import {
  type ComparisonCounts,
  type ComparisonStudy,
  countComparisons,
} from "./coverage-comparisons.ts";
import { type Experiment, evaluateExperiment } from "./coverage-intervals.ts";
import { countStopping, type StoppingCounts, type StoppingStudy } from "./coverage-stopping.ts";

/** Experiments `from`..`to` - 1. */
interface Part {
  readonly seed: string;
  readonly from: number;
  readonly to: number;
}

/** A piece of work and, under the same `kind`, what it gives. */
export type Job =
  | ({ readonly kind: "intervals"; readonly cell: string } & Part)
  | {
      readonly kind: "longRun";
      readonly cell: string;
      readonly seed: string;
      readonly pairs: number;
    }
  | ({ readonly kind: "comparisons"; readonly study: ComparisonStudy } & Part)
  | ({ readonly kind: "stopping"; readonly study: StoppingStudy } & Part);

export type JobResult =
  | {
      readonly kind: "intervals";
      readonly cell: string;
      readonly experiments: readonly Experiment[];
    }
  | {
      readonly kind: "longRun";
      readonly cell: string;
      readonly values: ReadonlyMap<string, LongRunValue>;
    }
  | { readonly kind: "comparisons"; readonly study: string; readonly counts: ComparisonCounts }
  | { readonly kind: "stopping"; readonly study: string; readonly counts: StoppingCounts };

/** Completed requests of each life behind a long-run value. */
const requestsPerLife = 2000;

/** Does one piece. */
export async function runJob(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case "intervals": {
      const experiments: Experiment[] = [];
      for (let experiment = job.from; experiment < job.to; experiment += 1) {
        experiments.push(await simulateExperiment(job.cell, job.seed, experiment));
      }
      return { kind: job.kind, cell: job.cell, experiments };
    }
    case "longRun": {
      const { cell, seed, pairs } = job;
      const values = longRunOf(coverageCell(cell), { pairs, requestsPerLife, seed });
      return { kind: job.kind, cell, values };
    }
    case "comparisons":
      return {
        kind: job.kind,
        study: job.study.name,
        counts: countComparisons(job.study, job.seed, job.from, job.to),
      };
    case "stopping":
      return {
        kind: job.kind,
        study: job.study.name,
        counts: countStopping(job.study, job.seed, job.from, job.to),
      };
  }
}

/** Every experiment has starts of its own: none is used twice. */
async function simulateExperiment(
  name: string,
  seed: string,
  experiment: number,
): Promise<Experiment> {
  const cell = coverageCell(name);
  const rounds = coverageRounds.at(-1) ?? 1;
  const trials = [];
  for (let round = 0; round < rounds; round += 1) {
    trials.push(await simulateStart(cell, seed, experiment * rounds + round));
  }
  return evaluateExperiment(trials, seededRandom(`${seed}/${name}/bootstrap ${experiment}`));
}

/**
 * Does all pieces, and gives their results in the order of the pieces.
 *
 * @param threads 0: all in this thread
 * @param onDone after each piece
 * @param program what a thread runs: `coverage-thread.js` of the build
 */
export async function runJobs(
  jobs: readonly Job[],
  threads: number,
  onDone: (job: Job) => void,
  program = new URL("coverage-thread.js", import.meta.url),
): Promise<readonly JobResult[]> {
  const results: (JobResult | undefined)[] = jobs.map(() => undefined);
  const queue = [...jobs.entries()];
  const work = async (run: (job: Job) => Promise<JobResult>): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [place, job] = next;
      results[place] = await run(job);
      onDone(job);
    }
  };
  if (threads === 0) await work(runJob);
  else {
    const count = Math.min(threads, jobs.length);
    await Promise.all(
      Array.from({ length: count }, async () => {
        const worker = new Worker(program);
        try {
          await work((job) => runInThread(worker, job));
        } finally {
          await worker.terminate();
        }
      }),
    );
  }
  return results.filter((result) => result !== undefined);
}

function runInThread(worker: Worker, job: Job): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    worker.removeAllListeners();
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) => {
      reject(new Error(`a thread of the simulation ended with ${code}`));
    });
    worker.postMessage(job);
  });
}
