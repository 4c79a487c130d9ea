// What an engine said of itself, and whether it has a Python, as fields. The engine folder reads it;
// here it only gets its place, its class and its redaction.

import type { EngineFacts } from "../engine/engine.ts";
import { fieldOf, known, notApplicable, notCollected, quoteWord, type Reading } from "./probe.ts";
import { reasons } from "./reasons.ts";
import { redactArguments, redactEnvironmentVariables, redactValue } from "./redact.ts";
import type { EnvironmentField, FieldClass } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

/** Settings that say where an engine is, or which life of it, rather than what it does; dotted keys too. */
export const placeSettings =
  /(?:^|\.)(?:host|port|model|model_path|tokenizer|served_model_name|root_path|uds|instance_id|env_vars|log_[^.]*|[^.]*_port|[^.]*_dir|[^.]*_BUFFER_NAME)$/;

export interface EngineFieldOptions {
  /** ISO 8601 with offset. */
  readonly at: string;
  /** Only what a trial could change: the digest of the resolved configuration. */
  readonly light: boolean;
  /** Secrets that are known in full. */
  readonly secrets: readonly string[];
}

/** The fields of one engine; all of them are there, whatever it said. */
export function engineFields(
  { variant, kind, facts }: Pick<EngineUnderTest, "variant" | "kind" | "facts">,
  { at, light, secrets }: EngineFieldOptions,
): readonly EnvironmentField[] {
  const make = (name: string, fieldClass: FieldClass, reading: Reading): EnvironmentField =>
    fieldOf(
      `engine.${variant}.${name}`,
      "engine",
      fieldClass,
      { source: "engine", ...reading },
      at,
    );
  const said = (read: (facts: EngineFacts) => Reading): Reading =>
    facts === undefined ? notCollected(reasons.notStarted) : read(facts);
  const plain = (value: string | number | undefined): Reading =>
    known(value, { otherwise: reasons.notDisclosed });

  const digest = make(
    "config_digest",
    "comparability",
    said((it) => plain(it.configDigest)),
  );
  if (light) return [digest];
  return [
    make("kind", "comparability", { ...known(kind), source: "user" }),
    make(
      "name",
      "comparability",
      said(({ name }) => plain(name)),
    ),
    make(
      "version",
      "comparability",
      said(({ version }) => plain(version)),
    ),
    // Ports and folders stand in it, so it may differ between starts of the same engine.
    make(
      "argv",
      "context",
      said(({ argv }) => readArgv(argv, secrets)),
    ),
    make(
      "env",
      "comparability",
      said(({ env, argv }) => readEnv(env, argv !== undefined, secrets)),
    ),
    make(
      "max_model_len",
      "comparability",
      said((it) => plain(it.maxModelLen)),
    ),
    make(
      "max_num_seqs",
      "comparability",
      said((it) => plain(it.maxNumSeqs)),
    ),
    digest,
    ...configFields(facts, make, secrets),
  ];
}

function readArgv(argv: readonly string[] | undefined, secrets: readonly string[]): Reading {
  return argv === undefined
    ? notApplicable(reasons.notLaunchedHere)
    : known(redactArguments(argv, secrets).map(quoteWord).join(" "));
}

function readEnv(
  env: Readonly<Record<string, string>>,
  launched: boolean,
  secrets: readonly string[],
): Reading {
  if (!launched) return notCollected(reasons.notLaunchedHere);
  const shown = Object.entries(redactEnvironmentVariables(env, secrets)).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return shown.length === 0
    ? notApplicable(reasons.noEngineEnv)
    : known(shown.map(([name, value]) => `${name}=${quoteWord(value)}`).join(" "));
}

function configFields(
  facts: EngineFacts | undefined,
  make: (name: string, fieldClass: FieldClass, reading: Reading) => EnvironmentField,
  secrets: readonly string[],
): readonly EnvironmentField[] {
  const config = facts?.config;
  if (config === undefined) {
    const reason = facts === undefined ? reasons.notStarted : reasons.notDisclosed;
    return [make("config", "comparability", notCollected(reason))];
  }
  return Object.entries(config)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) =>
      make(`config.${key}`, placeSettings.test(key) ? "context" : "comparability", {
        // No setting is ever blank: "none" and an empty text are what the engine said.
        value: redactValue(key, value ?? "none", secrets),
      }),
    )
    .map((field) =>
      field.value.state === "value" && field.value.value === ""
        ? { ...field, value: { ...field.value, value: '""' } }
        : field,
    );
}

/** Versions in the engine's interpreter; read by nobody yet. */
const pythonFieldIds = [
  "python.interpreter",
  "python.torch",
  "python.cuda",
  "python.triton",
  "python.flashinfer",
  "python.flash_attn",
  "python.transformers",
  "python.vllm",
  "python.nccl",
] as const;

/** The Python fields: not applicable where every engine is the embedded one. */
export function pythonFields(
  engines: readonly EngineUnderTest[],
  at: string,
): readonly EnvironmentField[] {
  const reading =
    engines.length === 0
      ? notApplicable(reasons.noEngine)
      : engines.every(({ kind }) => kind === "embedded")
        ? notApplicable(reasons.noPythonEmbedded)
        : notCollected(reasons.pythonNotAsked);
  return pythonFieldIds.map((id) => fieldOf(id, "python", "comparability", reading, at));
}
