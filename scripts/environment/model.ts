// A variant's model as fields: what its files say, and digests by which two checkpoints are told
// apart whatever their folders are called.

import { basename, dirname, join } from "node:path";
import { digestOfFiles, sha256Of } from "./digest.ts";
import { findModel } from "./model-cache.ts";
import {
  canonicalObject,
  chatTemplateOf,
  type ModelConfig,
  parseModelConfig,
} from "./model-config.ts";
import type { FileStatus, Outside } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  known,
  notApplicable,
  notCollected,
  type ProbeResult,
  type Reading,
  type Recorder,
  reasonOf,
  type Text,
  timeOf,
  within,
} from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { FieldClass } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

interface Sources {
  readonly subject: EngineUnderTest;
  /** undefined: the model is only a name, for the reason in `absence`. */
  readonly folder: Folder | undefined;
  readonly absence: string;
  readonly tokenizer: Reading;
  readonly chatTemplate: Reading;
}

interface Folder {
  readonly path: string;
  readonly config: Text;
  readonly facts: ModelConfig | undefined;
  readonly weights: { readonly digest: Reading; readonly bytes: Reading };
  readonly revision: Reading;
  readonly generation: Reading;
  readonly parameters: Reading;
}

interface ModelField {
  readonly name: string;
  readonly class: FieldClass;
  readonly read: (sources: Sources) => Reading;
}

const modelFields: readonly ModelField[] = [
  {
    name: "id",
    class: "context",
    read: ({ subject }) => ({ ...known(subject.model), source: "user" }),
  },
  { name: "path", class: "context", read: (s) => ofFolder(s, ({ path }) => known(path)) },
  { name: "revision", class: "context", read: (s) => ofFolder(s, ({ revision }) => revision) },
  {
    name: "architecture",
    class: "comparability",
    read: (s) => ofConfig(s, (it) => it.architecture),
  },
  {
    name: "parameters",
    class: "comparability",
    read: (s) => ofFolder(s, ({ parameters }) => parameters),
  },
  { name: "layers", class: "comparability", read: (s) => ofConfig(s, (it) => it.layers) },
  { name: "hidden_size", class: "comparability", read: (s) => ofConfig(s, (it) => it.hiddenSize) },
  { name: "heads", class: "comparability", read: (s) => ofConfig(s, (it) => it.heads) },
  { name: "kv_heads", class: "comparability", read: (s) => ofConfig(s, (it) => it.kvHeads) },
  { name: "head_dim", class: "comparability", read: readHeadDim },
  { name: "vocab_size", class: "comparability", read: (s) => ofConfig(s, (it) => it.vocabSize) },
  {
    name: "max_positions",
    class: "comparability",
    read: (s) => ofConfig(s, (it) => it.maxPositions),
  },
  { name: "dtype", class: "comparability", read: (s) => ofConfig(s, (it) => it.dtype) },
  {
    name: "precision_claimed",
    class: "comparability",
    read: ({ subject }) => ({ ...known(subject.precision), source: "user" }),
  },
  { name: "quantization", class: "comparability", read: readQuantization },
  {
    name: "weights_digest",
    class: "comparability",
    read: (s) => ofFolder(s, ({ weights }) => weights.digest),
  },
  {
    name: "weights_bytes",
    class: "comparability",
    read: (s) => ofFolder(s, ({ weights }) => weights.bytes),
  },
  { name: "tokenizer_digest", class: "comparability", read: ({ tokenizer }) => tokenizer },
  {
    name: "chat_template_digest",
    class: "comparability",
    read: ({ chatTemplate }) => chatTemplate,
  },
  {
    name: "generation_config",
    class: "comparability",
    read: (s) => ofFolder(s, ({ generation }) => generation),
  },
];

/** A variant's model fields. */
export function declaredModelFields(variant: string): readonly DeclaredField[] {
  return modelFields.map((field) => ({
    id: `model.${variant}.${field.name}`,
    class: field.class,
  }));
}

/** Reads the model of one variant. */
export async function probeModel(
  outside: Outside,
  record: Recorder,
  subject: EngineUnderTest,
  limitMs: number,
): Promise<ProbeResult> {
  const { variant } = subject;
  const found = await within(limitMs, findModel(outside, subject));
  const place = subject.tokenizerPath ?? found.folder;
  const [folder, tokenizer] = await Promise.all([
    found.folder === undefined
      ? undefined
      : readFolder(outside, record, subject, found.folder, limitMs),
    place === undefined ? undefined : readTokenizer(outside, record, place, limitMs),
  ]);
  const absence = found.folder === undefined ? found.reason : reasons.noModelFolder;
  const nameOnly = notCollected(absence);
  const sources: Sources = {
    subject,
    folder,
    absence,
    tokenizer: tokenizer?.tokenizer ?? nameOnly,
    chatTemplate: tokenizer?.chatTemplate ?? nameOnly,
  };
  const at = timeOf(outside);
  return {
    fields: modelFields.map(({ name, class: fieldClass, read }) =>
      fieldOf(`model.${variant}.${name}`, "model", fieldClass, read(sources), at),
    ),
    raw: record.raw,
  };
}

function ofFolder({ folder, absence }: Sources, read: (folder: Folder) => Reading): Reading {
  return folder === undefined ? notCollected(absence) : read(folder);
}

function ofConfig(
  sources: Sources,
  read: (config: ModelConfig) => string | number | undefined,
): Reading {
  return ofFolder(sources, ({ config, facts }) => {
    const { rawIndex } = config;
    if (config.text === undefined)
      return notCollected(
        config.reason === reasons.fileMissing ? reasons.noConfigJson : config.reason,
        rawIndex,
      );
    if (facts === undefined) return notCollected(reasons.fileUnexpected, rawIndex);
    return known(read(facts), { rawIndex, otherwise: reasons.configSilent });
  });
}

function readHeadDim(sources: Sources): Reading {
  const reading = ofConfig(sources, ({ headDim }) => headDim);
  return sources.folder?.facts?.headDimDerived === true
    ? { ...reading, source: "derived" }
    : reading;
}

function readQuantization(sources: Sources): Reading {
  const { folder } = sources;
  return folder?.facts !== undefined && folder.facts.quantization === undefined
    ? notApplicable(reasons.noQuantization, folder.config.rawIndex)
    : ofConfig(sources, ({ quantization }) => quantization);
}

async function readFolder(
  outside: Outside,
  record: Recorder,
  subject: EngineUnderTest,
  path: string,
  limitMs: number,
): Promise<Folder> {
  const [config, quantConfig, generation, files] = await Promise.all([
    record.read(join(path, "config.json")),
    record.read(join(path, "hf_quant_config.json")),
    record.read(join(path, "generation_config.json")),
    listWeights(outside, subject, path, limitMs),
  ]);
  const facts =
    config.text === undefined ? undefined : parseModelConfig(config.text, quantConfig.text);
  const [weights, revision] = await Promise.all([
    readWeights(outside, record, files, limitMs),
    readRevision(record, path),
  ]);
  return {
    path,
    config,
    facts,
    weights,
    revision,
    generation: readGeneration(generation),
    parameters: await readParameters(outside, record, path, facts),
  };
}

interface WeightFile {
  readonly name: string;
  readonly file: FileStatus;
}

/** The weight files that the variant loads, or why they could not be listed. */
async function listWeights(
  outside: Outside,
  subject: EngineUnderTest,
  path: string,
  limitMs: number,
): Promise<readonly WeightFile[] | Reading> {
  try {
    const files = await within(limitMs, outside.listFiles(path, 2));
    const named = files.map((file) => ({ name: file.path.slice(path.length + 1), file }));
    // One folder may hold the files of several precisions; what counts is what the variant loads.
    return named.filter(({ name }) => subject.weightFiles?.includes(name) ?? isWeightFile(name));
  } catch (error) {
    return notCollected(reasonOf(error));
  }
}

function isWeightFile(name: string): boolean {
  const file = basename(name);
  return (
    /\.(?:safetensors|gguf|onnx|onnx_data(?:_\d+)?|pt|pth|bin)$/.test(file) &&
    !/^(?:training_args|optimizer|scheduler|rng_state|tokenizer)/.test(file)
  );
}

async function readWeights(
  outside: Outside,
  record: Recorder,
  files: readonly WeightFile[] | Reading,
  limitMs: number,
): Promise<Folder["weights"]> {
  if ("value" in files) return { digest: files, bytes: files };
  if (files.length === 0) {
    const none = notCollected(reasons.noWeights);
    return { digest: none, bytes: none };
  }
  try {
    const { digest, bytes, list } = await within(limitMs, digestOfFiles(files, outside));
    const rawIndex = record.note("digest of the weight files", list);
    return {
      digest: known(digest, { rawIndex, source: "derived" }),
      bytes: known(bytes, { unit: "B", rawIndex }),
    };
  } catch (error) {
    const failed = notCollected(reasonOf(error));
    return { digest: failed, bytes: failed };
  }
}

/**
 * Where the hub's commit stands: the name of a snapshot folder of its cache, the notes that
 * `hf download --local-dir` leaves, or ModelScope's `.mv`.
 */
async function readRevision(record: Recorder, path: string): Promise<Reading> {
  if (basename(dirname(path)) === "snapshots") return known(basename(path));
  const notes = await record.read(join(path, ".cache/huggingface/download/config.json.metadata"));
  const commit = notes.text?.split("\n")[0]?.trim();
  if (commit !== undefined && /^[0-9a-f]{40}$/.test(commit))
    return known(commit, { rawIndex: notes.rawIndex });
  const version = await record.read(join(path, ".mv"));
  const named = /^Revision:([^,\s]+)/.exec(version.text ?? "")?.[1];
  if (named !== undefined) return known(named, { rawIndex: version.rawIndex });
  return notApplicable(reasons.noRevision);
}

function readGeneration(file: Text): Reading {
  if (file.text === undefined)
    return file.reason === reasons.fileMissing
      ? notApplicable(reasons.noGenerationConfig, file.rawIndex)
      : notCollected(file.reason, file.rawIndex);
  return known(canonicalObject(file.text), { rawIndex: file.rawIndex });
}

/**
 * Parameters, only where a file states their number: the index that newer exporters write. Counting
 * elements would count packed and scale tensors too.
 */
async function readParameters(
  outside: Outside,
  record: Recorder,
  path: string,
  facts: ModelConfig | undefined,
): Promise<Reading> {
  const uncertain = notCollected(reasons.parametersUncertain);
  if (facts === undefined || facts.quantization !== undefined) return uncertain;
  const index = await record.read(
    join(path, "model.safetensors.index.json"),
    // The map of every tensor to its file is long and says nothing here.
    (text) => /"metadata"\s*:\s*\{[^}]*\}/.exec(text)?.[0] ?? "",
  );
  const total = /"total_parameters"\s*:\s*(\d+)/.exec(index.text ?? "")?.[1];
  return total === undefined ? uncertain : known(Number(total), { rawIndex: index.rawIndex });
}

/** Files that make a tokenizer without a tokenizer.json. */
const vocabularies =
  /^(?:tokenizer\.model|vocab\.json|vocab\.txt|merges\.txt|spiece\.model|.*\.tiktoken)$/;

async function readTokenizer(
  outside: Outside,
  record: Recorder,
  place: string,
  limitMs: number,
): Promise<{ readonly tokenizer: Reading; readonly chatTemplate: Reading }> {
  const folder = place.endsWith(".json") ? dirname(place) : place;
  const [tokenizer, chatTemplate] = await Promise.all([
    readTokenizerDigest(outside, record, place, folder, limitMs),
    readChatTemplate(record, folder),
  ]);
  return { tokenizer, chatTemplate };
}

async function readTokenizerDigest(
  outside: Outside,
  record: Recorder,
  place: string,
  folder: string,
  limitMs: number,
): Promise<Reading> {
  try {
    const listed = await within(limitMs, outside.listFiles(folder, 1));
    const named = listed.map((file) => ({ name: basename(file.path), file }));
    const own = named.filter(({ file, name }) =>
      place.endsWith(".json") ? file.path === place : name === "tokenizer.json",
    );
    const files = own.length > 0 ? own : named.filter(({ name }) => vocabularies.test(name));
    if (files.length === 0) return notCollected(reasons.noTokenizer);
    const { digest, list } = await within(limitMs, digestOfFiles(files, outside));
    return known(digest, {
      rawIndex: record.note("digest of the tokenizer files", list),
      source: "derived",
    });
  } catch (error) {
    return notCollected(reasonOf(error));
  }
}

/** A file of its own goes before the tokenizer's configuration, as engines read them. */
async function readChatTemplate(record: Recorder, folder: string): Promise<Reading> {
  const [own, ownJson, config] = await Promise.all([
    record.read(join(folder, "chat_template.jinja")),
    record.read(join(folder, "chat_template.json")),
    record.read(join(folder, "tokenizer_config.json")),
  ]);
  const found: readonly (readonly [Text, string | undefined])[] = [
    [own, own.text],
    [ownJson, chatTemplateOf(ownJson.text ?? "")],
    [config, chatTemplateOf(config.text ?? "")],
  ];
  for (const [file, template] of found)
    if (template !== undefined)
      return known(`sha256:${sha256Of(template)}`, { rawIndex: file.rawIndex, source: "derived" });
  return notApplicable(reasons.noChatTemplate, config.rawIndex);
}
