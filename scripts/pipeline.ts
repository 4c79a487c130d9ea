// The story of every command: plan, measure, publish. Each function reads as its steps; the work is
// done in the folders below.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Calibration } from "./bench/calibration.ts";
import { toolIdentityOf } from "./environment/client.ts";
import {
  differenceOf,
  environmentDifferenceJson,
  fieldsWithoutEngine,
} from "./environment/difference.ts";
import { secretsOf } from "./environment/redact.ts";
import { type ExitCode, exitCode, UserError } from "./errors.ts";
import { calibrateClient } from "./executor/calibration.ts";
import { stopOnSignals } from "./executor/interrupt.ts";
import { clearUp, measureLeg, refuseWhileAlive, type Task } from "./executor/leg.ts";
import { openMachine } from "./executor/machine.ts";
import { captureAlone, snapshotAgainst } from "./executor/machine-alone.ts";
import { notebookPath, preflight } from "./executor/preflight.ts";
import { decideWhatWasCutOff } from "./executor/rounds-on-demand.ts";
import { secretProblems } from "./executor/secret-problems.ts";
import { modelServedAt } from "./executor/served-model.ts";
import { sharedServerNotes } from "./executor/shared-servers.ts";
import { differencesOf } from "./experiment/difference.ts";
import type { Experiment } from "./experiment/experiment.ts";
import { makePlan, missingRounds, type Plan } from "./experiment/plan.ts";
import { planSummary } from "./experiment/plan-summary.ts";
import { ensureFolder, findProject, type Project } from "./experiment/project.ts";
import { readExperiment } from "./experiment/read-experiment.ts";
import { slugOf } from "./experiment/slug.ts";
import { experimentFor } from "./experiment/write-experiment.ts";
import { calibrationsJson, describeCalibration } from "./report/calibration-text.ts";
import { writeComparisonPage } from "./report/comparison-page.ts";
import { comparisonJson, describeComparison } from "./report/comparison-text.ts";
import { definitionsJson, describeDefinitions } from "./report/definition-text.ts";
import { gather } from "./report/gather.ts";
import { buildRecordData } from "./report/record-data.ts";
import { definitionsOf } from "./report/record-definitions.ts";
import { type RenderOptions, renderRecord } from "./report/render-record.ts";
import {
  describeDifferences,
  describeEnvironmentDifference,
  describePlan,
  describeRuns,
  describeSnapshot,
  describeSummary,
} from "./report/terminal.ts";
import { compareRuns, compareVariants } from "./review/compare.ts";
import { expectedSeconds } from "./store/expected-time.ts";
import { newRunId } from "./store/run-id.ts";
import { Store } from "./store/store.ts";
import { isoWithOffset, parseShare } from "./units.ts";

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
    const other = (await readExperiment(options.diff)).experiment;
    const differences = differencesOf(makePlan(experiment), makePlan(other));
    return print(options, differences, () => describeDifferences(differences));
  }
  const planned = makePlan(experiment, options);
  const missing = await preflight(planned, project.root);
  const estimatedS = existsSync(project.database)
    ? await withStore(project, (store) => expectedSeconds(store, planned))
    : undefined;
  const told = planSummary(planned);
  const notes = [...told.notes, ...sharedServerNotes(planned)];
  const summary = { ...told, notes, estimatedS, missing };
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
    const outcome = await measureLeg(store, project, task, {
      signal: interrupt.signal,
      talk,
    }).finally(() => task.there?.machine.close());
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

/** `benchbook report`: renders a run again, or prints it by other definitions. Starts no engine. */
export async function report(
  noun: string,
  {
    definitions,
    point,
    ...options
  }: Common & Rendering & { readonly definitions: boolean; readonly point: string | undefined },
): Promise<ExitCode> {
  if (point !== undefined && !definitions)
    throw new UserError({
      what: `a record is of a whole run; ${point} stands beside it for nothing`,
      mend: "leave it out, or ask for its definitions: --definitions",
    });
  const project = findProject(options.project);
  if (!existsSync(project.database))
    throw new UserError({
      what: "there is no run yet",
      mend: "benchbook run experiments/quickstart.yaml makes one",
    });
  return withStore(project, (store) => {
    const run = store.resolveRun(noun);
    if (!definitions) return publish(store, project, run, options);
    const [language = "en"] = options.languages ?? [];
    return printDefinitions(store, { run, point, language }, options);
  });
}

/** What other tools would print of the same samples, of one point or of all. */
function printDefinitions(
  store: Store,
  { run, point, language }: { run: string; point: string | undefined; language: string },
  options: Common,
): ExitCode {
  const { material } = gather(store, run);
  const names = material.measured.map((one) => one.point);
  if (point !== undefined && !names.includes(point))
    throw new UserError({
      what: `run ${run} has nothing measured of a point ${JSON.stringify(point)}`,
      mend: `one of ${names.join(", ")}`,
    });
  const isAsked = (name: string): boolean => point === undefined || name === point;
  const figures = material.measured.flatMap(({ point: name, definitions }) =>
    definitions === undefined || !isAsked(name) ? [] : [{ point: name, definitions }],
  );
  const printed = definitionsOf(material).filter(({ point: name }) => isAsked(name));
  const told = oneOf("lang", language, ["zh", "en"] as const);
  return print(options, definitionsJson(run, figures), () => describeDefinitions(printed, told));
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

/** `benchbook calibrate`: the client's own error on this machine; kept for later runs. */
export async function calibrate({
  streams,
  ratePerS,
  threads,
  poll,
  seconds,
  ...options
}: Common & {
  readonly streams: readonly number[];
  readonly ratePerS: number;
  readonly threads: number | "auto";
  readonly poll: boolean;
  readonly seconds: number;
}): Promise<ExitCode> {
  const project = findProject(options.project);
  const interrupt = stopOnSignals(talk);
  const tool = toolIdentityOf(
    await captureAlone(project.root, { experiment: undefined, probe: undefined }),
  );
  try {
    return await withStore(project, async (store) => {
      const calibrations: Calibration[] = [];
      for (const count of streams) {
        const load = { streams: count, ratePerS };
        const { signal } = interrupt;
        talk(`Calibrating at ${count} streams x ${ratePerS} chunks/s`);
        const calibration = await calibrateClient({ load, threads, poll, seconds, tool, signal });
        store.appendCalibration(calibration);
        calibrations.push(calibration);
      }
      return print(options, calibrationsJson(calibrations), () =>
        calibrations.map((calibration) => `${describeCalibration(calibration)}\n`).join(""),
      );
    });
  } finally {
    interrupt.release();
  }
}

/** `benchbook list`: the runs, newest first. */
export async function list(options: Common): Promise<ExitCode> {
  const project = findProject(options.project);
  const runs = existsSync(project.database)
    ? await withStore(project, (store) => store.listRuns())
    : [];
  return print(options, { runs }, () => describeRuns(runs));
}

/** `benchbook compare`: two runs, or the variants of one, held against each other. */
export async function compare(
  nouns: readonly string[],
  options: Common & {
    readonly variants: string | undefined;
    readonly margin: string | undefined;
    readonly lang: string | undefined;
    readonly failOn: string | undefined;
    readonly html: string | undefined;
  },
): Promise<ExitCode> {
  const project = findProject(options.project);
  const margin = options.margin === undefined ? undefined : marginOf(options.margin);
  const language = oneOf("lang", options.lang ?? "en", ["zh", "en"] as const);
  const failOn =
    options.failOn === undefined
      ? undefined
      : oneOf("fail-on", options.failOn, ["differs", "inconclusive"] as const);
  const sides = await withStore(project, (store) => {
    const [first = "latest", second] = nouns;
    const run = store.resolveRun(first);
    if (second !== undefined)
      return compareRuns(store, { a: run, b: store.resolveRun(second) }, { margin });
    const [a, b] = variantsToCompare(store.readRun(run).plan.experiment, options.variants);
    return compareVariants(store, { run, a, b }, { margin });
  });
  if (options.html !== undefined)
    await writeComparisonPage(sides, { language, path: options.html, margin });
  print(options, comparisonJson(sides), () => describeComparison(sides, language));
  const outcome = sides.comparison?.outcome;
  const fails =
    failOn !== undefined &&
    (outcome === undefined ||
      outcome === "differs" ||
      (failOn === "inconclusive" && outcome !== "equivalent"));
  return fails ? exitCode.failed : exitCode.fine;
}

/** The two that are named, or those of an experiment that has two. */
function variantsToCompare(
  { variants }: Experiment,
  named: string | undefined,
): readonly [string, string] {
  const names = named?.split(",") ?? variants.map(({ name }) => name);
  const [a, b, ...others] = names;
  if (a !== undefined && b !== undefined && others.length === 0) return [a, b];
  throw new UserError({
    what: `a comparison within a run needs two variants, got ${names.length}: ${names.join(", ")}`,
    mend: "name two with --variants a,b, or name another run to compare with",
  });
}

function marginOf(text: string): number {
  const margin = parseShare(text);
  if (margin !== undefined && margin > 0 && margin < 1) return margin;
  throw new UserError({
    what: `--margin is a share above 0 % and below 100 %, got "${text}"`,
    mend: "--margin 3%",
  });
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
  const { baseUrl, model } = await modelServedAt(url, options);
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
  return { run, plan: planned, rounds: planned.rounds, leftovers: [], there };
}

async function resumeRun(store: Store, project: Project, noun: string): Promise<Task> {
  const run = store.resolveRun(noun);
  const stored = store.readRun(run);
  const { plan: planned } = stored;
  for (const leg of stored.legs) if (leg.end === undefined) refuseWhileAlive(leg);
  // Before anything is checked: what was left alive holds ports and memory.
  const leftovers = await clearUp(stored, project);
  for (const text of leftovers) talk(text);
  decideWhatWasCutOff({ store, run, plan: planned });
  const rounds = missingRounds(planned, store.missingTrials(run));
  if (rounds.length === 0) {
    talk(`${run} has all its trials; its record is rendered again`);
    return { run, plan: planned, rounds, leftovers, there: undefined };
  }
  await refuseWhatCannotRun(planned, project);
  return { run, plan: planned, rounds, leftovers, there: await openThere(planned, project) };
}

async function openThere(planned: Plan, project: Project): Promise<NonNullable<Task["there"]>> {
  const machine = await openMachine(planned, project.root);
  return { machine, before: await machine.before() };
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
