// A moment of the machine, the engines and their models as one snapshot: all probes at once, each
// with its time limit, none able to fail the others, secrets gone before anybody stores it.

import type { Stated } from "../experiment/experiment.ts";
import { clientFields, probeClient } from "./client.ts";
import { engineFields, pythonFields } from "./engine-fields.ts";
import { gpuFieldsWithoutGpu, probeGpus } from "./gpu.ts";
import { declaredHostFields, probeHost } from "./host.ts";
import { declaredModelFields, probeModel } from "./model.ts";
import { type Outside, real } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  joinProbes,
  notCollected,
  type ProbeResult,
  type Recorder,
  recorder,
  TimeoutError,
  timeOf,
  within,
} from "./probe.ts";
import { reasons } from "./reasons.ts";
import { redactedMark, redactText, secretsOf } from "./redact.ts";
import type { EnvironmentField, EnvironmentSnapshot, FieldGroup } from "./snapshot.ts";
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
}

/** Beside each command and file a probe as a whole ends: a folder may hold many slow files. */
const probeLimitFactor = 3;

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
    probe: (record: Recorder) => Promise<ProbeResult>,
  ): Promise<ProbeResult> => {
    const record = recorder(outside, limitMs, redact);
    return guarded(probe, {
      record,
      group,
      declared,
      limitMs: limitMs * probeLimitFactor,
      outside,
    });
  };

  const probes = [
    guard("host", declaredHostFields(light), (record) =>
      probeHost(outside, record, { light, limitMs }),
    ),
    guard("gpu", gpuFieldsWithoutGpu, (record) => probeGpus(outside, record, { light })),
  ];
  if (!light) {
    for (const engine of engines)
      probes.push(
        guard("model", declaredModelFields(engine.variant), (record) =>
          probeModel(outside, record, engine, limitMs),
        ),
      );
    probes.push(
      guard("client", clientFields, (record) =>
        probeClient(outside, record, { ...options, secrets }),
      ),
    );
  }
  const read = joinProbes(await Promise.all(probes));
  const at = timeOf(outside);
  const told = [
    ...engines.flatMap((engine) => engineFields(engine, { at, light, secrets })),
    ...(light ? [] : [...pythonFields(engines, at), ...statedFields(stated, at, secrets)]),
  ];
  return {
    schema: 1,
    takenAt,
    ...(light ? { light } : {}),
    fields: [...read.fields, ...told].map((field) => redactField(field, redact)),
    raw: read.raw,
  };
}

/** Paths within the project as one would write them there: where it lies is this machine's business. */
function withoutRoot(projectRoot: string): (text: string) => string {
  const root = projectRoot.replace(/\/+$/, "");
  if (root === "") return (text) => text;
  const alone = new RegExp(`${root.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w.-])`, "g");
  return (text) => text.replaceAll(`${root}/`, "").replaceAll(alone, ".");
}

interface Guard {
  readonly record: Recorder;
  readonly group: FieldGroup;
  readonly declared: readonly DeclaredField[];
  readonly limitMs: number;
  readonly outside: Outside;
}

/** A probe that throws or never ends has all its fields, each with the reason. */
async function guarded(
  probe: (record: Recorder) => Promise<ProbeResult>,
  { record, group, declared, limitMs, outside }: Guard,
): Promise<ProbeResult> {
  try {
    return await within(limitMs, probe(record));
  } catch (error) {
    const late = error instanceof TimeoutError;
    const rawIndex = record.note(`probe of ${group}`, String(error));
    const reading = notCollected(late ? reasons.timedOut : reasons.probeFailed, rawIndex);
    const at = timeOf(outside);
    return {
      fields: declared.map((field) => fieldOf(field.id, group, field.class, reading, at)),
      raw: [...record.raw],
    };
  }
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
