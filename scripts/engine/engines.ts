// The table of engines: a new kind is one file and one line here.

import { isSecretName, redactText, secretsOf } from "../environment/redact.ts";
import { messageOf, type UserErrorParts } from "../errors.ts";
import type { Variant } from "../experiment/experiment.ts";
import { embedded, weightFileOf } from "./embedded.ts";
import type { EngineDemand, RunningEngine, StartContext } from "./engine.ts";
import { EngineStartError } from "./engine.ts";
import { external } from "./external.ts";
import { redactFacts } from "./redact-facts.ts";
import { redactLog } from "./redact-log.ts";
import { vllm } from "./vllm.ts";

/** Everything that is wrong with a variant's engine and can be known before anything is started. */
export function checkEngine(
  variant: Variant,
  demand: EngineDemand,
  context: Pick<StartContext, "projectRoot">,
): Promise<readonly UserErrorParts[]> {
  const { engine } = variant;
  switch (engine.kind) {
    case "embedded":
      return embedded.check({ ...variant, engine }, demand, context);
    case "external":
      return external.check({ ...variant, engine }, demand, context);
    case "vllm":
      return vllm.check({ ...variant, engine }, demand, context);
  }
}

/**
 * Starts a variant's engine, or attaches to it. What it says of itself, its last words and, once it
 * has ended in whatever way, its log come without secrets.
 * @throws EngineStartError
 */
export async function startEngine(variant: Variant, context: StartContext): Promise<RunningEngine> {
  const started = await start(variant, context).catch(async (error: unknown) => {
    const known = secretsOfEngine(variant);
    const unclean = await cleanLog(context.logPath, known);
    if (!(error instanceof EngineStartError)) throw error;
    const clean = (text: string): string => redactText(text, known);
    throw new EngineStartError(
      [clean(error.message), ...unclean].join("; "),
      clean(error.mend),
      clean(error.lastWords),
    );
  });
  const known = [...secretsOfEngine(variant), ...secretHeaders(variant, started.endpoint.headers)];
  let stopping: Promise<readonly string[]> | undefined;
  const stop = (): Promise<readonly string[]> => {
    stopping ??= (async () => [
      ...(await started.stop()),
      ...(await cleanLog(context.logPath, known)),
    ])();
    return stopping;
  };
  // One that dies while nobody looks is cleaned up too; whoever stops it gets what went wrong.
  void started.exited.then(stop).catch(() => undefined);
  return {
    ...started,
    facts: redactFacts(started.facts, known),
    readFacts: async () => redactFacts(await started.readFacts(), known),
    exited: started.exited.then((exit) => ({
      ...exit,
      lastWords: redactText(exit.lastWords, known),
    })),
    stop,
  };
}

/**
 * Takes the secrets of these variants out of the log of an engine that is gone.
 * @returns why that was not possible, in words for people; empty: it is clean, or there is none
 */
export function cleanEngineLog(
  logPath: string,
  variants: readonly Variant[],
): Promise<readonly string[]> {
  return cleanLog(logPath, variants.flatMap(secretsOfEngine));
}

async function cleanLog(path: string, known: readonly string[]): Promise<readonly string[]> {
  try {
    await redactLog(path, known);
    return [];
  } catch (error) {
    return [`the engine's log may still hold secrets: ${messageOf(error)}`];
  }
}

/** Secrets that the experiment or this process hands to an engine. */
function secretsOfEngine({ engine }: Variant): readonly string[] {
  const own = engine.kind === "external" ? [] : secretsOf(engine.env);
  const args =
    engine.kind === "external"
      ? []
      : Object.entries(engine.args).flatMap(([name, value]) =>
          isSecretName(underscored(name)) && typeof value === "string" ? [value] : [],
        );
  return [...secretsOf(process.env), ...own, ...args].filter(isLongEnough);
}

/** Values of headers that hold keys: what an experiment spells out is none, unless its name says so. */
function secretHeaders(
  { engine }: Variant,
  headers: RunningEngine["endpoint"]["headers"],
): readonly string[] {
  const written = engine.kind === "external" ? engine.headers : {};
  return Object.entries(headers)
    .filter(([name]) => typeof written[name] !== "string" || isSecretName(underscored(name)))
    .map(([, value]) => value.replace(/^Bearer /, ""))
    .filter(isLongEnough);
}

/** Replaced wherever it stands, a shorter text would take ordinary words and numbers away. */
function isLongEnough(secret: string): boolean {
  return secret.length >= 4;
}

function underscored(name: string): string {
  return name.replaceAll("-", "_");
}

function start(variant: Variant, context: StartContext): Promise<RunningEngine> {
  const { engine } = variant;
  switch (engine.kind) {
    case "embedded":
      return embedded.start({ ...variant, engine }, context);
    case "external":
      return external.start({ ...variant, engine }, context);
    case "vllm":
      return vllm.start({ ...variant, engine }, context);
  }
}

/** Names of the weight files that a variant loads, within its model's folder; undefined: all of them. */
export function weightFilesOf({ engine, precision }: Variant): readonly string[] | undefined {
  if (engine.kind !== "embedded") return undefined;
  const file = weightFileOf(precision);
  return file === undefined ? undefined : [file];
}
