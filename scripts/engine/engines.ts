// The table of engines: a new kind is one file and one line here.
import type { UserErrorParts } from "../errors.ts";
import type { Variant } from "../experiment/experiment.ts";
import { embedded, weightFileOf } from "./embedded.ts";
import type { EngineDemand, RunningEngine, StartContext } from "./engine.ts";
import { external } from "./external.ts";
import { redactFacts } from "./redact-facts.ts";
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

/** Starts a variant's engine, or attaches to it; what it says of itself comes without secrets. @throws EngineStartError */
export async function startEngine(variant: Variant, context: StartContext): Promise<RunningEngine> {
  const running = await start(variant, context);
  const known = Object.values(running.endpoint.headers).map((value) =>
    value.replace(/^Bearer /, ""),
  );
  return {
    ...running,
    facts: redactFacts(running.facts, known),
    readFacts: async () => redactFacts(await running.readFacts(), known),
  };
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
