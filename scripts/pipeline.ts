// The story of every command: plan, measure, publish. Each function reads as its steps; the work is
// done in the folders below.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, relative, resolve } from "node:path";
import { servedModels } from "./engine/self-report.ts";
import { toolIdentityOf } from "./environment/client.ts";
import {
  differenceOf,
  environmentDifferenceJson,
  fieldsWithoutEngine,
} from "./environment/difference.ts";
import { processStartedAt, stillRuns } from "./environment/process.ts";
import { secretsOf } from "./environment/redact.ts";
import type { EnvironmentSnapshot } from "./environment/snapshot.ts";
import { type ExitCode, exitCode, UserError } from "./errors.ts";
import { stopOnSignals } from "./executor/interrupt.ts";
import { endLeftovers } from "./executor/leftovers.ts";
import { createLocalExecutor } from "./executor/local.ts";
import { type EngineMachine, openMachine } from "./executor/machine.ts";
import { captureAlone, snapshotAgainst } from "./executor/machine-alone.ts";
import { type MeasureOutcome, measure } from "./executor/measure.ts";
import { notebookPath, preflight } from "./executor/preflight.ts";
import { secretProblems } from "./executor/secret-problems.ts";
import { differencesOf } from "./experiment/difference.ts";
import type { Experiment } from "./experiment/experiment.ts";
import { makePlan, missingRounds, type Plan, planSummary, type Round } from "./experiment/plan.ts";
import { ensureFolder, findProject, type Project } from "./experiment/project.ts";
import { readExperiment } from "./experiment/read-experiment.ts";
import { slugOf } from "./experiment/slug.ts";
import { experimentFor } from "./experiment/write-experiment.ts";
import { gather } from "./report/gather.ts";
import { createProgress } from "./report/progress.ts";
import { buildRecordData } from "./report/record-data.ts";
import { type RenderOptions, renderRecord } from "./report/render-record.ts";
import {
  describeDifferences,
  describeEnvironmentDifference,
  describePlan,
  describeRuns,
  describeSnapshot,
  describeSummary,
} from "./report/terminal.ts";
import { expectedSeconds } from "./store/expected-time.ts";
import { newRunId } from "./store/run-id.ts";
import { Store } from "./store/store.ts";
import type { StoredLeg } from "./store/stored-run.ts";
import { isoWithOffset } from "./units.ts";

interface Common {
  readonly project: string | undefined;
  readonly json: boolean;
}

interface Selection {
  readonly only: readonly string[];
  readonly rounds: number | undefined;
}

interface Rendering {
  readonly languages: readonly string[] | undefined;
  readonly formats: readonly string[] | undefined;
}

/** `benchbook plan`: what a run would measure; starts nothing. */
export async function plan(
  path: string,
  options: Common & Selection & { readonly diff: string | undefined },
): Promise<ExitCode> {
  const project = findProject(options.project);
  const { experiment } = await readExperiment(path);
  if (options.diff !== undefined) {
    const differences = differencesOf(experiment, (await readExperiment(options.diff)).experiment);
    return print(options, differences, () => describeDifferences(differences));
  }
  const planned = makePlan(experiment, options);
  const missing = await preflight(planned, project.root);
  const estimatedS = existsSync(project.database)
    ? await withStore(project, (store) => expectedSeconds(store, planned))
    : undefined;
  const summary = { ...planSummary(planned), estimatedS, missing };
  print(options, summary, () => describePlan(summary));
  return missing.length === 0 ? exitCode.fine : exitCode.wrongUse;
}

/** `benchbook run`: measures what the plan has, or what a run still lacks, then publishes. */
export async function run(
  noun: string | undefined,
  options: Common & Selection & Rendering & { readonly resume: boolean },
): Promise<ExitCode> {
  const project = findProject(options.project);
  const interrupt = stopOnSignals(talk);
  const store = Store.open(project.database);
  try {
    if (options.resume && (options.only.length > 0 || options.rounds !== undefined)) {
      throw new UserError({
        what: "--resume goes on with the run's own plan; --only and --rounds can't change it",
        mend: "leave them out, or begin a new run with them",
      });
    }
    const task = options.resume
      ? await resumeRun(store, project, noun ?? "latest")
      : await createRun(store, project, noun, options, options);
    const outcome = await measureLeg(store, project, task, interrupt.signal).finally(() =>
      task.there?.machine.close(),
    );
    if (interrupt.signal.aborted) {
      talk(
        `Interrupted. What was measured is kept; go on with: benchbook run --resume ${task.run}`,
      );
      if (options.json)
        print(options, { run: task.run, verdict: null, findings: [], reports: [] }, () => "");
      return exitCode.interrupted;
    }
    // From here on Ctrl-C has its usual meaning: nothing is being measured.
    interrupt.release();
    const published = await publish(store, project, task.run, options);
    return outcome.failed.length > 0 ? exitCode.failed : published;
  } finally {
    store.close();
    interrupt.release();
  }
}

/** `benchbook report`: renders a run again. Starts no engine, changes no sample. */
export async function report(noun: string, options: Common & Rendering): Promise<ExitCode> {
  const project = findProject(options.project);
  if (!existsSync(project.database))
    throw new UserError({
      what: "there is no run yet",
      mend: "benchbook run experiments/quickstart.yaml makes one",
    });
  return withStore(project, (store) => publish(store, project, store.resolveRun(noun), options));
}

/** `benchbook env`: a machine as a record would show it, or what differs from another snapshot. */
export async function env(
  experiment: string | undefined,
  options: Common & { readonly against: string | undefined; readonly probe: string | undefined },
): Promise<ExitCode> {
  const { against, probe } = options;
  const root = resolve(options.project ?? ".");
  const snapshot = await captureAlone(root, { experiment, probe });
  if (against === undefined) return print(options, snapshot, () => describeSnapshot(snapshot));
  const found = differenceOf(
    fieldsWithoutEngine(await snapshotAgainst(against, options.project), snapshot),
    fieldsWithoutEngine(snapshot, snapshot),
  );
  print(options, environmentDifferenceJson(against, found), () =>
    describeEnvironmentDifference(against, found),
  );
  return found.comparable ? exitCode.fine : exitCode.failed;
}

/** `benchbook list`: the runs, newest first. */
export async function list(options: Common): Promise<ExitCode> {
  const project = findProject(options.project);
  const runs = existsSync(project.database)
    ? await withStore(project, (store) => store.listRuns())
    : [];
  return print(options, { runs }, () => describeRuns(runs));
}

/** `benchbook init`: an experiment file for a server that runs. */
export async function init(
  url: string,
  options: Common & {
    readonly model: string | undefined;
    readonly key: string | undefined;
    readonly tokenizer: string | undefined;
    readonly out: string | undefined;
  },
): Promise<ExitCode> {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UserError({ what: `"${url}" is no http URL`, mend: "http://127.0.0.1:8000" });
  }
  const baseUrl = url.replace(/\/+$/, "").replace(/\/v1$/, "");
  const key = options.key === undefined ? undefined : process.env[options.key];
  if (options.key !== undefined && key === undefined) {
    throw new UserError({
      what: `the environment variable ${options.key}, which should hold the server's key, is not set`,
      mend: `export ${options.key}=... in this shell; the key itself is never written anywhere`,
    });
  }
  const served = await servedModels({
    baseUrl,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  });
  if ("why" in served) {
    throw new UserError(
      {
        what: `no OpenAI-compatible server answers there: ${served.why}`,
        where: baseUrl,
        mend: "start it, or correct the address; --key NAME when it wants a key",
      },
      { exitCode: exitCode.failed },
    );
  }
  const model = served.models.find(({ id }) => options.model === undefined || id === options.model);
  if (model === undefined) {
    throw new UserError({
      what:
        options.model === undefined
          ? "the server lists no model"
          : `the server has no model "${options.model}"`,
      where: `${baseUrl}/v1/models`,
      mend: `one of: ${served.models.map(({ id }) => id).join(", ") || "none is served"}`,
    });
  }
  const name = slugOf(model.id) ?? "server";
  const path =
    options.out ??
    relative(process.cwd(), join(findProject(options.project).root, "experiments", `${name}.yaml`));
  if (existsSync(path)) {
    throw new UserError({
      what: `${path} exists already`,
      mend: "say another file with --out FILE",
    });
  }
  ensureFolder(resolve(path, ".."));
  writeFileSync(
    path,
    experimentFor({
      ...options,
      url: baseUrl,
      model: model.id,
      name,
      maxModelLen: model.maxModelLen,
    }),
  );
  return print(options, { experiment: path }, () => `${path}\nnext: benchbook plan ${path}\n`);
}

/** The version of this program. */
export function version(): string {
  const file: unknown = JSON.parse(
    readFileSync(join(import.meta.dirname, "../package.json"), "utf8"),
  );
  return typeof file === "object" && file !== null && "version" in file
    ? String(file.version)
    : "unknown";
}

/** A run and the rounds of it that are to be measured now. */
interface Task {
  readonly run: string;
  readonly plan: Plan;
  readonly rounds: readonly Round[];
  /** The engines' machine, and what it was before; undefined: nothing is left to measure. */
  readonly there:
    | { readonly machine: EngineMachine; readonly before: EnvironmentSnapshot }
    | undefined;
}

async function createRun(
  store: Store,
  project: Project,
  path: string | undefined,
  selection: Selection,
  rendering: Rendering,
): Promise<Task> {
  if (path === undefined) {
    throw new UserError({
      what: "which experiment?",
      mend: "benchbook run experiments/quickstart.yaml",
    });
  }
  const read = await readExperiment(path);
  const secrets = secretProblems(read);
  if (secrets.length > 0) throw new UserError(secrets);
  const planned = makePlan(read.experiment, selection);
  await refuseWhatCannotRun(planned, project);
  renderingOf(read.experiment, rendering, project);
  const there = await openThere(planned, project);
  const now = Date.now();
  const run = newRunId(read.experiment.name, now, Math.random);
  store.createRun({
    run,
    experiment: read.experiment.name,
    title: read.experiment.title,
    experimentSource: read.source,
    experimentPath: relative(project.root, read.path),
    resolved: planned.experiment,
    plan: planned,
    defaults: read.defaults,
    extended: read.extended,
    tool: toolIdentityOf(there.before),
    createdAt: isoWithOffset(now),
  });
  return { run, plan: planned, rounds: planned.rounds, there };
}

async function resumeRun(store: Store, project: Project, noun: string): Promise<Task> {
  const run = store.resolveRun(noun);
  const { plan: planned } = store.readRun(run);
  const rounds = missingRounds(planned, store.missingTrials(run));
  if (rounds.length === 0) {
    talk(`${run} has all its trials; its record is rendered again`);
    return { run, plan: planned, rounds, there: undefined };
  }
  await refuseWhatCannotRun(planned, project);
  return { run, plan: planned, rounds, there: await openThere(planned, project) };
}

async function openThere(planned: Plan, project: Project): Promise<NonNullable<Task["there"]>> {
  const machine = await openMachine(planned, project.root);
  return { machine, before: await machine.before() };
}

async function measureLeg(
  store: Store,
  project: Project,
  { run, plan: planned, rounds, there }: Task,
  signal: AbortSignal,
): Promise<MeasureOutcome> {
  const { experiment } = planned;
  const steps = rounds.flatMap(({ round, starts }) =>
    starts.flatMap(({ trials }) =>
      trials.map(({ point }) => ({ point, round, rounds: planned.roundCount })),
    ),
  );
  if (there === undefined || steps.length === 0) return { measured: 0, failed: [] };
  const { machine, before } = there;
  const leg = store.beginLeg(
    run,
    {
      startedAt: isoWithOffset(Date.now()),
      pid: process.pid,
      pidStartedAt: processStartedAt(process.pid),
      host: hostname(),
      argv: process.argv.slice(2),
      tool: toolIdentityOf(before),
    },
    refuseWhileAlive,
  );
  for (const text of await endLeftovers(store.readRun(run), hostname())) {
    talk(text);
    store.appendNote(run, { at: isoWithOffset(Date.now()), leg, kind: "leftover", text });
  }
  for (const text of machine.notices) {
    talk(text);
    store.appendNote(run, { at: isoWithOffset(Date.now()), leg, kind: "engine-host", text });
  }
  store.appendSnapshot(run, { leg, scope: "run-before" }, before);
  talk(
    `Run ${run}: ${steps.length} trials of ${planned.points.length} points in ${planned.roundCount} rounds`,
  );
  const gpus = machine.watchGpus(experiment.telemetry.gpuMs);
  const executor = createLocalExecutor({
    experiment,
    points: planned.points,
    projectRoot: project.root,
    signal,
    run,
    leg,
    snapshot: machine.around,
    gpus,
  });
  const progress = createProgress(steps);
  let reason: "complete" | "interrupted" | "failed" = "failed";
  try {
    const outcome = await measure(
      {
        run,
        leg,
        rounds,
        roundsInAll: planned.roundCount,
        logFolder: ensureFolder(join(project.data, "runs", run)),
        signal,
      },
      executor,
      store,
      progress,
    );
    if (!signal.aborted) {
      store.appendSnapshot(run, { leg, scope: "run-after" }, await machine.after());
    }
    if (signal.aborted) reason = "interrupted";
    else if (outcome.failed.length === 0) reason = "complete";
    return outcome;
  } finally {
    progress.close();
    await executor.close();
    await gpus.close();
    store.endLeg(run, leg, { endedAt: isoWithOffset(Date.now()), reason });
  }
}

/** A run is measured by one process at a time. */
function refuseWhileAlive({ pid, pidStartedAt, host }: StoredLeg): void {
  if (host !== hostname() || !stillRuns(pid, pidStartedAt)) return;
  throw new UserError({
    what: `the run is still being measured by process ${pid}`,
    mend: "wait for it, or stop it with Ctrl-C where it runs",
  });
}

/** Computes, checks and renders a run; prints its summary. */
async function publish(
  store: Store,
  project: Project,
  run: string,
  options: Common & Rendering,
): Promise<ExitCode> {
  const { material, estimates, audit } = gather(store, run);
  store.appendEstimates(run, estimates);
  store.appendAudit(run, audit);
  const data = buildRecordData(material);
  const reports = await renderRecord(data, {
    ...renderingOf(material.experiment, options, project),
    outDir: join(project.reports, run),
    secrets: secretsOf(process.env),
    notice: talk,
  });
  const paths = reports.map((path) => relative(process.cwd(), path));
  print(options, { run, verdict: audit.verdict, findings: audit.findings, reports: paths }, () =>
    describeSummary(data, paths),
  );
  return audit.verdict === "invalid" ? exitCode.failed : exitCode.fine;
}

/** The experiment's notebook, languages and formats, or those that the command names. */
function renderingOf(
  { report: wanted }: Experiment,
  { languages, formats }: Rendering,
  project: Project,
): Pick<RenderOptions, "languages" | "formats" | "notebookPath"> {
  const notebook = notebookPath(wanted.notebook, project.root);
  const unique = (names: readonly string[]): readonly string[] => [...new Set(names)];
  return {
    languages:
      languages === undefined
        ? wanted.languages
        : unique(languages).map((name) => oneOf("lang", name, ["zh", "en"] as const)),
    formats:
      formats === undefined
        ? wanted.formats
        : unique(formats).map((name) => oneOf("format", name, ["html", "md"] as const)),
    ...(notebook === undefined ? {} : { notebookPath: notebook }),
  };
}

function oneOf<Name extends string>(option: string, name: string, names: readonly Name[]): Name {
  const found = names.find((candidate) => candidate === name);
  if (found !== undefined) return found;
  throw new UserError({
    what: `--${option} has no "${name}"`,
    mend: `one or more of ${names.join(",")}`,
  });
}

async function refuseWhatCannotRun(planned: Plan, project: Project): Promise<void> {
  const problems = await preflight(planned, project.root);
  if (problems.length > 0) throw new UserError(problems);
}

async function withStore<T>(project: Project, use: (store: Store) => T | Promise<T>): Promise<T> {
  const store = Store.open(project.database);
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

/** Results go to stdout: JSON for machines, text for people. */
function print({ json }: Common, value: unknown, text: () => string): ExitCode {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : text());
  return exitCode.fine;
}

/** Talk goes to stderr. */
function talk(line: string): void {
  process.stderr.write(`${line}\n`);
}
