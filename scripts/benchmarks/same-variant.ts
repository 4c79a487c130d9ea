// Program: the same variant under two names, measured and compared as any two variants are. It is not
// to be called different; how often it is, is counted.
import { parseArgs } from "node:util";
import { z } from "zod";
import { createTestProject, type TestProject } from "../testing/command.ts";
import { formatDuration, formatNumber, nowMs } from "../units.ts";
import { writeResults } from "./results.ts";
import { describeTable } from "./table.ts";

const usage = `npm run bench:same -- [--runs 10] [--rounds 5] [--concurrency 1,4,8] [--requests 48]

Runs an experiment with one variant under two names on the embedded engine, then \`benchbook compare\`,
--runs times with another seed each. Prints how many runs have a cell that differs after Holm, which by
chance are at most 5 in 100. About a minute a run on two cores. Writes data/bench/same-variant.json.
`;

interface Settings {
  readonly rounds: number;
  readonly concurrency: readonly number[];
  readonly requests: number;
}

function experiment({ rounds, concurrency, requests }: Settings, seed: number): string {
  return `experiment: same
engines: { embedded: { kind: embedded, args: { max-num-seqs: 8, max-model-len: 1024, threads: 1 } } }
variants:
  this: { model: data/models/tiny-qwen3, precision: fp32, engine: embedded }
  that: { model: data/models/tiny-qwen3, precision: fp32, engine: embedded }
workloads: { 256-48: { input: 256, output: 48 } }
loads: { concurrency: [${concurrency.join(", ")}] }
measure: { rounds: ${rounds}, requests: ${requests}, percentiles: [50, 90], seed: ${seed} }
report: { languages: [en], formats: [md] }
`;
}

const comparisonSchema = z.object({
  outcome: z.string(),
  margin: z.number(),
  rows: z.array(
    z.object({
      point: z.string(),
      metric: z.string(),
      ratio: z.number().nullable(),
      adjustedP: z.number().nullable(),
      outcome: z.string(),
    }),
  ),
});

type Compared = z.infer<typeof comparisonSchema>;

async function measureOnce(
  project: TestProject,
  settings: Settings,
  seed: number,
): Promise<Compared> {
  const path = project.experiment("same", experiment(settings, seed));
  const measured = await project.run("run", path, "--json");
  if (measured.code !== 0)
    throw new Error(`the run ended with ${String(measured.code)}:\n${measured.stderr}`);
  const compared = await project.run("compare", "latest", "--json");
  return comparisonSchema.parse(JSON.parse(compared.stdout));
}

/** Cells that are called different, however small the difference is. */
function differing({ rows }: Compared): Compared["rows"] {
  return rows.filter(({ adjustedP }) => adjustedP !== null && adjustedP < 0.05);
}

async function main(runs: number, settings: Settings): Promise<void> {
  const startedAtMs = nowMs();
  const results: (Compared & { readonly seed: number })[] = [];
  const project = createTestProject();
  try {
    for (let seed = 1; seed <= runs; seed += 1) {
      const compared = await measureOnce(project, settings, seed);
      results.push({ seed, ...compared });
      const perRunMs = (nowMs() - startedAtMs) / seed;
      process.stderr.write(
        `run ${seed} of ${runs}: ${compared.outcome}, ${differing(compared).length} of ${compared.rows.length} cells differ; ${formatDuration(perRunMs * (runs - seed))} left\n`,
      );
    }
  } finally {
    project.remove();
  }
  const counted = results.filter((one) => differing(one).length > 0).length;
  process.stderr.write(`wrote ${writeResults("same-variant", { ...settings, results })}\n`);
  process.stdout.write(
    `${describeTable([
      ["seed", "outcome", "margin", "smallest p, Holm", "cells that differ"],
      ...results.map((one) => [
        String(one.seed),
        one.outcome,
        `${formatNumber(100 * one.margin, 1)} %`,
        formatNumber(Math.min(1, ...one.rows.flatMap(({ adjustedP }) => adjustedP ?? [])), 3),
        differing(one)
          .map(({ point, metric, ratio }) => `${point} ${metric} ${formatNumber(ratio ?? 0, 3)}`)
          .join(", "),
      ]),
    ])}${counted} of ${runs} runs call the same variant different in some cell\n`,
  );
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    rounds: { type: "string", default: "5" },
    concurrency: { type: "string", default: "1,4,8" },
    requests: { type: "string", default: "48" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(usage);
else
  await main(Number(values.runs), {
    rounds: Number(values.rounds),
    concurrency: values.concurrency.split(",").map(Number),
    requests: Number(values.requests),
  });
