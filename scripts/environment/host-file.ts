// A snapshot that was made on another machine by `benchbook env --json`, read back from its file, and
// the fields that a capture takes over from it with the times at which they were read there.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import { messageOf, systemCodeOf, UserError } from "../errors.ts";
import { counted, formatDuration } from "../units.ts";
import { type DeclaredField, fieldOf, notCollected, type ProbeResult } from "./probe.ts";
import {
  type EnvironmentField,
  type EnvironmentSnapshot,
  fieldGroups,
  type RawProbe,
} from "./snapshot.ts";

/** What a file says of the engine's machine at one moment. */
export interface HostFile {
  /** The name that the machine gives itself, else that of the file. */
  readonly name: string;
  readonly snapshot: EnvironmentSnapshot;
  /** Why the file does not speak of this moment; undefined: it does. */
  readonly absent: string | undefined;
}

const reason = z.string().min(1);
const snapshotShape = z.object({
  schema: z.literal(1),
  takenAt: z.iso.datetime({ offset: true }),
  light: z.boolean().exactOptional(),
  fields: z
    .array(
      z.object({
        id: z.string().min(1),
        group: z.enum(fieldGroups),
        class: z.enum(["comparability", "context", "noise"]),
        value: z.discriminatedUnion("state", [
          z.object({
            state: z.literal("value"),
            value: z.union([z.string(), z.number(), z.boolean()]),
            unit: z.string().exactOptional(),
          }),
          z.object({ state: z.literal("not_collected"), reason }),
          z.object({ state: z.literal("not_applicable"), reason: reason.exactOptional() }),
          z.object({ state: z.literal("redacted"), reason }),
        ]),
        source: z.enum(["probe", "engine", "user", "derived"]),
        at: z.iso.datetime({ offset: true }),
        readOn: z.string().exactOptional(),
        rawIndex: z.int().nonnegative().exactOptional(),
      }),
    )
    .min(1),
  raw: z.array(
    z.object({
      command: z.string(),
      // JSON leaves undefined out.
      exitCode: z.int().optional(),
      stdout: z.string(),
      stderr: z.string(),
      durationMs: z.number(),
      failure: z.string().exactOptional(),
    }),
  ),
});

const howToMake = "make it on the engine's host and copy it here: benchbook env --json > env.json";

/**
 * Reads a snapshot from its file.
 * @throws UserError when the file is missing, is no JSON, or is no full snapshot
 */
export async function readSnapshotFile(path: string): Promise<EnvironmentSnapshot> {
  const refuse = (what: string, cause?: unknown): UserError =>
    new UserError({ what, where: path, mend: howToMake }, { cause });
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const isMissing = systemCodeOf(error) === "ENOENT";
    throw refuse(
      isMissing
        ? "there is no such snapshot file"
        : `the snapshot file can't be read: ${messageOf(error)}`,
      error,
    );
  }
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch (error) {
    throw refuse(`the snapshot file is no JSON: ${messageOf(error)}`, error);
  }
  const parsed = snapshotShape.safeParse(written);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.map(String).join(".") ?? "";
    throw refuse(
      `the file is no environment snapshot: ${place === "" ? "" : `${place}: `}${issue?.message ?? "unknown form"}`,
    );
  }
  const snapshot = parsed.data;
  if (snapshot.light === true)
    throw refuse("the file holds a snapshot of the light form, as it is taken around trials");
  return {
    ...snapshot,
    raw: snapshot.raw.map((probe) => ({ ...probe, exitCode: probe.exitCode })),
  };
}

/** A snapshot file as the engine's machine. @throws UserError as `readSnapshotFile`, or without a host */
export async function readHostFile(path: string): Promise<HostFile> {
  const snapshot = await readSnapshotFile(path);
  if (!snapshot.fields.some(({ group }) => group === "host"))
    throw new UserError({
      what: "the snapshot file says nothing of a host",
      where: path,
      mend: howToMake,
    });
  return { name: hostOf(snapshot) ?? basename(path), snapshot, absent: undefined };
}

/** The name that the machine of a snapshot gives itself; undefined: it is not known. */
function hostOf({ fields }: EnvironmentSnapshot): string | undefined {
  const value = fields.find(({ id }) => id === "host.hostname")?.value;
  return value?.state === "value" ? String(value.value) : undefined;
}

/** Beyond this age a snapshot's age is worth a word. */
const freshMs = 24 * 3_600_000;

/** What a person should know of the file before its fields are taken for the engine's host. */
export function describeHostFile(
  { name, snapshot: { takenAt } }: HostFile,
  here: { readonly hostname: string; readonly nowMs: number },
): readonly string[] {
  const ageMs = here.nowMs - Date.parse(takenAt);
  const age = ageMs > freshMs ? `, ${counted(Math.floor(ageMs / freshMs), "day")} ago` : "";
  const ahead = ageMs < -60_000 ? `, ${formatDuration(-ageMs)} from now: the clocks differ` : "";
  return [
    `The engine's host is ${name} as its snapshot file describes it, taken at ${takenAt}${age}${ahead}`,
    ...(name === here.hostname
      ? [`The snapshot file describes this machine; leave \`environment\` out to have it probed`]
      : []),
  ];
}

/** The fields of host and GPUs. @param now of those whose value the file can't say for this moment */
export function machineOf(file: HostFile, now: string): ProbeResult {
  return take(file, ({ group }) => group === "host" || group === "gpu", now);
}

/** The model or Python fields of one variant; undefined: the file knows nothing of them. */
export function engineOf(
  file: HostFile,
  group: "model" | "python",
  variant: string,
  now: string,
): ProbeResult | undefined {
  const isOwn = ({ id }: EnvironmentField): boolean => id.startsWith(`${group}.${variant}.`);
  // Name and claimed precision of a model are the user's words.
  const isKnown = file.snapshot.fields.some(
    (field) => isOwn(field) && field.source !== "user" && field.value.state === "value",
  );
  return isKnown ? take(file, isOwn, now) : undefined;
}

/** These fields, of a machine whose file can't speak of the moment. */
export function absentFields(
  { name, absent }: HostFile,
  declared: readonly DeclaredField[],
  otherwise: string,
  at: string,
): ProbeResult {
  const fields = declared.map(({ id, class: fieldClass }) => {
    const group = id.startsWith("gpu.") ? "gpu" : "host";
    return {
      ...fieldOf(id, group, fieldClass, notCollected(absent ?? otherwise), at),
      readOn: name,
    };
  });
  return { fields, raw: [] };
}

/** Fields of the file with the raw outputs that they stand on; without a value where it is absent. */
function take(
  { name, snapshot, absent }: HostFile,
  isWanted: (field: EnvironmentField) => boolean,
  now: string,
): ProbeResult {
  const raw: RawProbe[] = [];
  const places = new Map<number, number>();
  const fields = snapshot.fields.filter(isWanted).map((field): EnvironmentField => {
    const { rawIndex, ...rest } = field;
    const readOn = field.readOn ?? name;
    if (absent !== undefined)
      return { ...rest, readOn, at: now, value: { state: "not_collected", reason: absent } };
    const probe = rawIndex === undefined ? undefined : snapshot.raw[rawIndex];
    if (rawIndex === undefined || probe === undefined) return { ...rest, readOn };
    const place = places.get(rawIndex) ?? raw.push(probe) - 1;
    places.set(rawIndex, place);
    return { ...rest, readOn, rawIndex: place };
  });
  return { fields, raw };
}
