// From the snapshots of a run to the environment of its record: what machine, engines and models were
// before and after, and what changed in between.

import { driftOf, whenText } from "../audit/environment-changes.ts";
import { differenceOf } from "../environment/difference.ts";
import type { EnvironmentField, EnvironmentSnapshot, RawProbe } from "../environment/snapshot.ts";
import type { StoredRun, StoredSnapshot } from "../store/stored-run.ts";
import type { DriftMaterial, RecordMaterial } from "./record-material.ts";

interface BeforeAndAfter {
  readonly before: EnvironmentSnapshot | undefined;
  readonly after: EnvironmentSnapshot | undefined;
}

/**
 * The environment before and after the whole run, with what the engines said of themselves on their
 * first and on their last start. Where a run was resumed, before is the first leg's, after the last's.
 */
export function beforeAndAfter(
  run: Pick<StoredRun, "legs">,
  snapshots: readonly StoredSnapshot[],
): BeforeAndAfter {
  const before = snapshots.find(({ scope }) => scope === "run-before");
  const lastLeg = run.legs.at(-1)?.leg;
  const after = snapshots.findLast(({ scope, leg }) => scope === "run-after" && leg === lastLeg);
  const ofStarts = snapshots
    .filter(({ scope }) => scope === "start")
    .map(({ snapshot }) => snapshot);
  return {
    before: before && withStarts(before.snapshot, ofStarts),
    after: after && withStarts(after.snapshot, ofStarts.toReversed()),
  };
}

/**
 * A snapshot in which the fields of each engine, its Python and its model are those of the first of
 * `ofStarts` that has a value for one of them: around a run no engine is up to say anything of itself.
 * What the snapshot itself can tell stays. The raw output that the fields were read from comes with them.
 */
export function withStarts(
  snapshot: EnvironmentSnapshot,
  ofStarts: readonly EnvironmentSnapshot[],
): EnvironmentSnapshot {
  const told = new Map<string, Told>();
  for (const start of ofStarts) {
    for (const [subject, fields] of bySubject(start.fields)) {
      const isFirst = !told.has(subject) && fields.some(({ value }) => value.state === "value");
      if (isFirst) told.set(subject, { fields, start });
    }
  }
  const own = new Map(snapshot.fields.map((field) => [field.id, field]));
  const raw: RawProbe[] = [...snapshot.raw];
  const places = new Map<RawProbe, number>();
  const taken = [...told.values()].flatMap(({ fields, start }) =>
    fields
      .filter((field) => tellsMore(field, own.get(field.id)))
      .map((field) => moved(field, start, raw, places)),
  );
  const ids = new Set(taken.map(({ id }) => id));
  // An engine that was asked has fields of its own making: what it was not said to be before is gone.
  const kept = snapshot.fields.filter(
    (field) =>
      !ids.has(field.id) && !(field.group === "engine" && told.has(subjectOf(field) ?? "")),
  );
  return { ...snapshot, fields: [...kept, ...taken], raw };
}

/** The fields of one engine, its Python or its model, and the snapshot that they stand in. */
interface Told {
  readonly fields: readonly EnvironmentField[];
  readonly start: EnvironmentSnapshot;
}

/** Whether what was read once an engine was up says more than what was read before. */
function tellsMore(
  { group, value }: EnvironmentField,
  before: EnvironmentField | undefined,
): boolean {
  if (group === "engine" || before === undefined) return true;
  if (before.value.state === "value") return false;
  // Its Python says what it lacks, too; files lie where they lay before.
  return group === "python" || value.state === "value";
}

/** "engine.fp8.version" -> "engine.fp8"; undefined for a field that is of no variant. */
function subjectOf({ id, group }: EnvironmentField): string | undefined {
  if (group !== "engine" && group !== "python" && group !== "model") return undefined;
  return id.split(".").slice(0, 2).join(".");
}

function bySubject(
  fields: readonly EnvironmentField[],
): ReadonlyMap<string, readonly EnvironmentField[]> {
  const subjects = new Map<string, EnvironmentField[]>();
  for (const field of fields) {
    const subject = subjectOf(field);
    if (subject !== undefined) subjects.set(subject, [...(subjects.get(subject) ?? []), field]);
  }
  return subjects;
}

/** The field with its raw probe's place in `raw`, which gets that probe once. */
function moved(
  field: EnvironmentField,
  from: EnvironmentSnapshot,
  raw: RawProbe[],
  places: Map<RawProbe, number>,
): EnvironmentField {
  const { rawIndex, ...rest } = field;
  const probe = rawIndex === undefined ? undefined : from.raw[rawIndex];
  if (probe === undefined) return rest;
  const place = places.get(probe) ?? raw.push(probe) - 1;
  places.set(probe, place);
  return { ...rest, rawIndex: place };
}

/** The environment as the record takes it. */
export function environmentMaterial(
  { before, after }: BeforeAndAfter,
  run: Pick<StoredRun, "createdAt" | "attempts">,
  snapshots: readonly StoredSnapshot[],
): Omit<RecordMaterial["environment"], "gpus"> {
  return {
    before: before ?? { schema: 1, takenAt: run.createdAt, fields: [], raw: [] },
    after,
    differences:
      before === undefined || after === undefined ? [] : differenceOf(before, after).differences,
    drift: driftOf(snapshots).map(
      (change): DriftMaterial => ({
        id: change.id,
        class: change.class,
        before: change.before,
        after: change.after,
        when: whenText(change, run.attempts),
      }),
    ),
  };
}
