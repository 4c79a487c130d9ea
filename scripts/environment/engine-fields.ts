// What an engine said of itself, and whether it has a Python, as fields. The engine folder reads it;
// here it only gets its place, its class and its redaction.

import type { EngineFacts, EngineSettings } from "../engine/engine.ts";
import { fieldOf, known, notApplicable, notCollected, quoteWord, type Reading } from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";
import {
  redactArguments,
  redactEnvironmentVariables,
  redactedMark,
  redactValue,
} from "./redact.ts";
import type { EnvironmentField, FieldClass } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

/** Settings that say where an engine is, or which life of it, rather than what it does; dotted keys too. */
const placeSettings =
  /(?:^|\.)(?:host|port|model|model_tag|model_weights|tokenizer|served_model_name|uds|instance_id|env_vars|master_addr|dist_init_addr|log_[^.]*|[^.]*_(?:port|port_list|host|ip|path|dir|root|addr)|VLLM_(?:ASSETS_CACHE|MEDIA_CACHE|PROCESS_NAME_PREFIX|LOGGING_\w+|[A-Z0-9_]*_(?:PORT|HOST|IP|PATH|ROOT|DIR|BUFFER_NAME)))$/;

/** Settings that an engine measures or draws anew at every start, and what it found of its machine. */
const startSettings =
  /^system_env\.|(?:^|\.)(?:num_(?:gpu|cpu)_blocks|kv_cache_size_tokens|kv_cache_max_concurrency|kv_cache_memory_bytes|max_total_num_tokens|max_batch_total_tokens|available_gpu_mem|random_seed|(?:encoder_)?compilation_time|traced_files|startup_time\w*)$/;

/** Whether a setting says what the engine does, whatever its place and the memory that was free. */
export function isSettingOfItsOwn(name: string): boolean {
  return !placeSettings.test(name) && !startSettings.test(name);
}

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
  const make: Make = (name, fieldClass, reading) =>
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
    ...settingFields(facts, make),
    make(
      "non_default_args",
      "comparability",
      said((it) => readArguments(it, secrets)),
    ),
    ...containerFields(kind, facts, make),
    digest,
    ...configFields(facts, make, secrets),
  ];
}

type Make = (name: string, fieldClass: FieldClass, reading: Reading) => EnvironmentField;

/** The settings that decide a measurement, in the order of a record. */
const settingNames: readonly (readonly [keyof EngineSettings, string, FieldClass])[] = [
  ["dtype", "dtype", "comparability"],
  ["quantization", "quantization", "comparability"],
  ["kvCacheDtype", "kv_cache_dtype", "comparability"],
  ["attentionBackend", "attention_backend", "comparability"],
  ["cudaGraphs", "cuda_graphs", "comparability"],
  ["enforceEager", "enforce_eager", "comparability"],
  ["chunkedPrefill", "chunked_prefill", "comparability"],
  ["prefixCaching", "prefix_caching", "comparability"],
  ["blockSize", "block_size", "comparability"],
  // It is what memory was free at the start.
  ["kvCacheTokens", "kv_cache_tokens", "context"],
  ["maxNumBatchedTokens", "max_num_batched_tokens", "comparability"],
  ["tensorParallel", "tensor_parallel", "comparability"],
  ["pipelineParallel", "pipeline_parallel", "comparability"],
  ["dataParallel", "data_parallel", "comparability"],
  ["gpuMemoryUtilization", "gpu_memory_utilization", "comparability"],
  ["speculative", "speculative", "comparability"],
  ["loadFormat", "load_format", "comparability"],
];

function settingFields(facts: EngineFacts | undefined, make: Make): readonly EnvironmentField[] {
  return settingNames.map(([key, name, fieldClass]) =>
    make(
      name,
      fieldClass,
      facts === undefined
        ? notCollected(reasons.notStarted)
        : known(facts.settings[key], { otherwise: reasons.notDisclosed }),
    ),
  );
}

/** As a list of settings; where the engine is and what its model is called are told elsewhere. */
function readArguments({ nonDefaultArgs }: EngineFacts, secrets: readonly string[]): Reading {
  if (nonDefaultArgs === undefined) return notCollected(reasons.notDisclosed);
  const shown = Object.entries(nonDefaultArgs)
    .filter(([name]) => isSettingOfItsOwn(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => {
      const field = redactValue(name, value ?? "none", secrets);
      return `${name}=${quoteWord(field.state === "value" ? String(field.value) : redactedMark)}`;
    });
  return shown.length === 0 ? notApplicable(reasons.defaultArguments) : known(shown.join(" "));
}

function containerFields(
  kind: EngineUnderTest["kind"],
  facts: EngineFacts | undefined,
  make: Make,
): readonly EnvironmentField[] {
  const container = facts?.container;
  const read = (value: string | undefined, otherwise: Reason): Reading => {
    if (container !== undefined) return known(value, { otherwise });
    if (kind === "embedded") return notApplicable(reasons.noContainer);
    if (kind === "external") return notCollected(reasons.containerUnknown);
    return facts === undefined
      ? notCollected(reasons.notStarted)
      : notApplicable(reasons.noContainer);
  };
  return [
    make("container.runtime", "context", read(container?.runtime, reasons.notDisclosed)),
    // It is drawn anew at every start.
    make("container.name", "noise", read(container?.name, reasons.notDisclosed)),
    make("container.image", "comparability", read(container?.image, reasons.notDisclosed)),
    make("container.digest", "comparability", read(container?.digest, reasons.notDisclosed)),
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
  make: Make,
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
      make(`config.${key}`, isSettingOfItsOwn(key) ? "comparability" : "context", {
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
