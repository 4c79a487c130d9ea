// A moment of the machine, the engines and their models as one snapshot: all probes at once, each
// with its time limit, none able to fail the others, secrets gone before anybody stores it.

import type { Stated } from "../experiment/experiment.ts";
import { clientFields, probeClient } from "./client.ts";
import { engineFields } from "./engine-fields.ts";
import { gpuFieldsWithoutGpu, probeGpus } from "./gpu.ts";
import { declaredHostFields, probeHost } from "./host.ts";
import { absentFields, engineOf, type HostFile, machineOf } from "./host-file.ts";
import { declaredModelFields, probeModel } from "./model.ts";
import { type Outside, real } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  joinProbes,
  notCollected,
  type ProbeResult,
  type Recorder,
  reasonOf,
  recorder,
  timeOf,
  within,
} from "./probe.ts";
import { declaredPythonFields, probePython } from "./python.ts";
import { reasons } from "./reasons.ts";
import { redactedMark, redactText, secretsOf } from "./redact.ts";
import type { EnvironmentField, EnvironmentSnapshot, FieldGroup, RawProbe } from "./snapshot.ts";
import { statedFields } from "./stated-fields.ts";
import type { EngineUnderTest } from "./subject.ts";

export interface CaptureOptions {
  /** Only what a trial can change: for the moments around trials. Default false. */
  readonly light?: boolean;
  readonly engines: readonly EngineUnderTest[];
  readonly stated: Stated;
  /** Absolute: the folder that holds experiments/. */
  readonly projectRoot: string;
  /** Where benchbook itself lies; found by default. */
  readonly programRoot?: string;
  /** Secrets that the caller knows, such as a server's key: they go wherever they stand. */
  readonly secrets?: readonly string[];
  /** Longest one file or command may take. Default 5 s. */
  readonly limitMs?: number;
  /** Where the engine's machine is read; undefined: it is this one. */
  readonly host?: EngineHost | undefined;
}

/** Another machine than this one as that of the engines: asked now, or known by a file. */
export type EngineHost =
  | { readonly kind: "probed"; readonly outside: Outside }
  | { readonly kind: "told"; readonly file: HostFile };

/**
 * Beside each command and file a probe as a whole ends: a folder may hold many slow files. Above the
 * patience that a single command may be given.
 */
const probeLimitFactor = 5;

/**
 * Captures the environment. Never throws for what a machine is like: a probe that fails, hangs or is
 * missing becomes fields with the reason.
 */
export async function captureEnvironment(
  options: CaptureOptions,
  outside: Outside = real,
): Promise<EnvironmentSnapshot> {
  const { light = false, engines, stated, limitMs = 5000 } = options;
  const takenAt = timeOf(outside);
  const secrets = [
    ...(options.secrets ?? []),
    ...secretsOf(outside.env),
    ...engines.flatMap(({ facts }) => secretsOf(facts?.env ?? {})),
  ];
  const near = withoutRoot(options.projectRoot);
  const redact = (text: string): string => near(redactText(text, secrets));
  const guard = (
    group: FieldGroup,
    declared: readonly DeclaredField[],
    where: Outside,
    probe: (record: Recorder) => Promise<ProbeResult>,
  ): Promise<ProbeResult> =>
    guarded(probe, {
      record: recorder(where, limitMs, redact),
      group,
      declared,
      limitMs: limitMs * probeLimitFactor,
      outside: where,
    });
  const told = options.host?.kind === "told" ? options.host.file : undefined;
  const there = options.host?.kind === "probed" ? options.host.outside : outside;
  /** An engine that we launch runs here, wherever others run. */
  const placeOf = ({ kind }: EngineUnderTest): Outside => (kind === "external" ? there : outside);

  const modelAt = (where: Outside, engine: EngineUnderTest): Promise<ProbeResult> =>
    guard("model", declaredModelFields(engine.variant), where, (record) =>
      probeModel(where, record, engine, limitMs),
    );
  const modelOf = async (engine: EngineUnderTest): Promise<ProbeResult> => {
    const where = placeOf(engine);
    if (where === outside || engine.tokenizerPath === undefined) return modelAt(where, engine);
    // The prompts are made with the tokenizer that lies here.
    const [folder, tokenizer] = await Promise.all([
      modelAt(where, { ...engine, tokenizerPath: undefined }),
      modelAt(outside, engine),
    ]);
    return joinProbes([
      onlyFields(folder, (id) => !isOfTokenizer(id)),
      onlyFields(tokenizer, isOfTokenizer),
    ]);
  };
  const pythonOf = (engine: EngineUnderTest): Promise<ProbeResult> => {
    const where = placeOf(engine);
    return guard("python", declaredPythonFields(engine.variant), where, (record) =>
      probePython(record, engine, timeOf(where)),
    );
  };
  /** What the file tells of an engine's files goes before what can be read here. */
  const toldOr = (
    group: "model" | "python",
    engine: EngineUnderTest,
    probe: (engine: EngineUnderTest) => Promise<ProbeResult>,
  ): Promise<ProbeResult> => {
    const result = told && engineOf(told, group, engine.variant, takenAt);
    return result === undefined ? probe(engine) : Promise.resolve(result);
  };

  const probes: Promise<ProbeResult>[] = [];
  if (told === undefined) {
    const elsewhere = there.elsewhere !== undefined;
    probes.push(
      guard("host", declaredHostFields(light, elsewhere), there, (record) =>
        probeHost(there, record, { light, limitMs }),
      ),
      guard("gpu", gpuFieldsWithoutGpu, there, (record) => probeGpus(there, record, { light })),
    );
  } else {
    const declared = [...declaredHostFields(true), ...gpuFieldsWithoutGpu];
    probes.push(
      Promise.resolve(
        light
          ? absentFields(told, declared, reasons.hostFromFile, takenAt)
          : machineOf(told, takenAt),
      ),
    );
  }
  if (!light) {
    for (const engine of engines)
      probes.push(toldOr("model", engine, modelOf), toldOr("python", engine, pythonOf));
    probes.push(
      guard("client", clientFields, outside, (record) =>
        probeClient(outside, record, {
          ...options,
          secrets,
          there: there === outside ? undefined : there,
        }),
      ),
    );
  }
  const read = joinProbes(await Promise.all(probes));
  const at = timeOf(outside);
  const said = [
    ...engines.flatMap((engine) => engineFields(engine, { at, light, secrets })),
    ...(light ? [] : statedFields(stated, at, secrets)),
  ];
  return {
    schema: 1,
    takenAt,
    ...(light ? { light } : {}),
    fields: [...read.fields, ...said].map((field) => redactField(field, redact)),
    raw: told === undefined ? read.raw : read.raw.map((probe) => redactProbe(probe, redact)),
  };
}

/** Paths within the project as one would write them there: where it lies is this machine's business. */
function withoutRoot(projectRoot: string): (text: string) => string {
  const root = projectRoot.replace(/\/+$/, "");
  if (root === "") return (text) => text;
  const here = root.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const within = new RegExp(`${here}/(?=[^\\s"'/])`, "g");
  const alone = new RegExp(`${here}/*(?![\\w./-])`, "g");
  return (text) => text.replaceAll(within, "").replaceAll(alone, ".");
}

interface Guard {
  readonly record: Recorder;
  readonly group: FieldGroup;
  readonly declared: readonly DeclaredField[];
  readonly limitMs: number;
  readonly outside: Outside;
}

function isOfTokenizer(id: string): boolean {
  return /\.(?:tokenizer|chat_template)_digest$/.test(id);
}

function onlyFields({ fields, raw }: ProbeResult, keep: (id: string) => boolean): ProbeResult {
  return { fields: fields.filter(({ id }) => keep(id)), raw };
}

/** A probe that throws or never ends has all its fields, each with the reason. */
async function guarded(
  probe: (record: Recorder) => Promise<ProbeResult>,
  { record, group, declared, limitMs, outside }: Guard,
): Promise<ProbeResult> {
  const { elsewhere } = outside;
  const probed = async (): Promise<ProbeResult> => {
    await elsewhere?.ready();
    return probe(record);
  };
  let result: ProbeResult;
  try {
    result = await within(limitMs, probed());
  } catch (error) {
    const rawIndex = record.note(`probe of ${group}`, String(error));
    const reason = reasonOf(error);
    const isOfMachine = reason === reasons.timedOut || reason === reasons.hostUnreachable;
    const reading = notCollected(isOfMachine ? reason : reasons.probeFailed, rawIndex);
    const at = timeOf(outside);
    result = {
      fields: declared.map((field) => fieldOf(field.id, group, field.class, reading, at)),
      raw: [...record.raw],
    };
  }
  if (elsewhere === undefined) return result;
  const fields = result.fields.map((field) => ({ ...field, readOn: elsewhere.name }));
  return { ...result, fields };
}

/** What stands in a file was written elsewhere; here it is looked through once more. */
function redactProbe(probe: RawProbe, redact: (text: string) => string): RawProbe {
  const { command, stdout, stderr } = probe;
  return { ...probe, command: redact(command), stdout: redact(stdout), stderr: redact(stderr) };
}

function redactField(field: EnvironmentField, redact: (text: string) => string): EnvironmentField {
  const { value } = field;
  if (value.state !== "value" || typeof value.value !== "string") return field;
  const text = redact(value.value);
  if (text === value.value) return field;
  return {
    ...field,
    value:
      text === redactedMark
        ? { state: "redacted", reason: reasons.looksSecret }
        : { ...value, value: text },
  };
}
