// What an engine says of itself, fit to be stored: no secret of its arguments, environment or settings.
import { redactArguments, redactEnvironmentVariables, redactValue } from "../environment/redact.ts";
import type { EngineFacts, Setting } from "./engine.ts";

/** @param known secrets that are known in full, such as the key that we send */
export function redactFacts(facts: EngineFacts, known: readonly string[]): EngineFacts {
  const { argv, env, config, nonDefaultArgs } = facts;
  return {
    ...facts,
    argv: argv && redactArguments(argv, known),
    env: redactEnvironmentVariables(env, known),
    config: config && withoutSecrets(config, known),
    nonDefaultArgs: nonDefaultArgs && withoutSecrets(nonDefaultArgs, known),
  };
}

function withoutSecrets(
  settings: Readonly<Record<string, Setting>>,
  known: readonly string[],
): Readonly<Record<string, Setting>> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [key, shown(key, value, known)]),
  );
}

function shown(key: string, value: Setting, known: readonly string[]): Setting {
  if (value === null) return null;
  const field = redactValue(key, value, known);
  return field.state === "value" ? field.value : "[redacted]";
}
