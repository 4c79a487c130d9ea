// What machine, engine, model and client were in play, field by field, each with its source and
// time, or with a stated reason for its absence. Never blank.

export type FieldSource = "probe" | "engine" | "user" | "derived";

export type FieldValue =
  | { readonly state: "value"; readonly value: string | number | boolean; readonly unit?: string }
  | { readonly state: "not_collected"; readonly reason: string }
  | { readonly state: "not_applicable"; readonly reason?: string }
  | { readonly state: "redacted"; readonly reason: string };

export const fieldGroups = ["host", "gpu", "engine", "python", "model", "client", "user"] as const;
export type FieldGroup = (typeof fieldGroups)[number];

/** How a difference of this field between two snapshots is read. */
export type FieldClass = "comparability" | "context" | "noise";

export interface EnvironmentField {
  /** Stable, dotted: "host.kernel", "gpu.0.driver", "model.fp32.weights_digest". Names are in templates/dictionary. */
  readonly id: string;
  readonly group: FieldGroup;
  readonly class: FieldClass;
  readonly value: FieldValue;
  readonly source: FieldSource;
  /** ISO 8601 with offset. */
  readonly at: string;
  /** The host that it was read on, by the name that it gives itself; undefined: the one that benchbook runs on. */
  readonly readOn?: string;
  /** Index of the raw probe (in `raw`) the field was read from, when there is one. */
  readonly rawIndex?: number;
}

/** The verbatim output of one probe, secrets redacted, so that a parser bug never loses a fact. */
export interface RawProbe {
  readonly command: string;
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  /** Why it could not run, when it could not. */
  readonly failure?: string;
}

export interface EnvironmentSnapshot {
  readonly schema: 1;
  readonly takenAt: string;
  /** Whether it holds only the fields that a trial can change. */
  readonly light?: boolean;
  readonly fields: readonly EnvironmentField[];
  readonly raw: readonly RawProbe[];
}
