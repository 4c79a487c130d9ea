// The table of engines: a new kind is one file and one line here.

import { isSecretName, redactText, secretsOf } from "../environment/redact.ts";
import type { UserErrorParts } from "../errors.ts";
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
 * has ended, its log come without secrets.
 * @throws EngineStartError
 */
export async function startEngine(variant: Variant, context: StartContext): Promise<RunningEngine> {
  const started = await start(variant, context).catch(async (error: unknown) => {
    const known = secretsOfEngine(variant);
    await redactLog(context.logPath, known);
    if (!(error instanceof EngineStartError)) throw error;
    const clean = (text: string): string => redactText(text, known);
    throw new EngineStartError(clean(error.message), error.mend, clean(error.lastWords));
  });
  const known = [...secretsOfEngine(variant), ...Object.values(started.endpoint.headers).map(bare)];
  return {
    ...started,
    facts: redactFacts(started.facts, known),
    readFacts: async () => redactFacts(await started.readFacts(), known),
    exited: started.exited.then((exit) => ({
      ...exit,
      lastWords: redactText(exit.lastWords, known),
    })),
    stop: async () => {
      const left = await started.stop();
      await redactLog(context.logPath, known);
      return left;
    },
  };
}

/** Secrets that the experiment or this process hands to an engine. */
function secretsOfEngine({ engine }: Variant): readonly string[] {
  const own = engine.kind === "external" ? [] : secretsOf(engine.env);
  const args =
    engine.kind === "external"
      ? []
      : Object.entries(engine.args).flatMap(([name, value]) =>
          isSecretName(name.replaceAll("-", "_")) ? [String(value)] : [],
        );
  return [...secretsOf(process.env), ...own, ...args];
}

/** A header's value without the word that says what kind of key it is. */
function bare(value: string): string {
  return value.replace(/^Bearer /, "");
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
