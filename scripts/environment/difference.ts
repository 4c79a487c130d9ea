// Two snapshots to the fields in which they differ, each with what its difference means: a comparison
// needs the comparability fields equal, context is worth knowing, noise changes on its own.

import type {
  EnvironmentField,
  EnvironmentSnapshot,
  FieldClass,
  FieldGroup,
  FieldValue,
} from "./snapshot.ts";

interface FieldDifference {
  readonly id: string;
  readonly group: FieldGroup;
  readonly class: FieldClass;
  /** undefined: no such field. */
  readonly before: FieldValue | undefined;
  readonly after: FieldValue | undefined;
}

export interface SnapshotDifference {
  /** Whether no field differs that a comparison needs equal. What is unknown may differ all the same. */
  readonly comparable: boolean;
  /** Values that differ, or that apply on one side only; comparability first, then as the fields stand. */
  readonly differences: readonly FieldDifference[];
  /**
   * Fields that can't be compared: not collected or redacted on a side, or not asked for there. In the
   * same order.
   */
  readonly unknown: readonly FieldDifference[];
}

const classOrder: readonly FieldClass[] = ["comparability", "context", "noise"];

/**
 * What differs between two snapshots. Against a light snapshot only the fields that it holds are
 * compared. Times, sources, hosts and raw outputs are no differences.
 */
export function differenceOf(
  before: EnvironmentSnapshot,
  after: EnvironmentSnapshot,
): SnapshotDifference {
  const earlier = new Map(before.fields.map((field) => [field.id, field]));
  const later = new Map(after.fields.map((field) => [field.id, field]));
  const isLight = before.light === true || after.light === true;
  const differences: FieldDifference[] = [];
  const unknown: FieldDifference[] = [];
  for (const id of new Set([...earlier.keys(), ...later.keys()])) {
    const [a, b] = [earlier.get(id), later.get(id)];
    const field = b ?? a;
    if (field === undefined || (isLight && (a === undefined || b === undefined))) continue;
    const found = {
      id,
      group: field.group,
      class: classOf(field, a?.value, b?.value),
      before: a?.value,
      after: b?.value,
    };
    if (!isComparable(a?.value) || !isComparable(b?.value)) unknown.push(found);
    else if (!isSameValue(a?.value, b?.value)) differences.push(found);
  }
  return {
    comparable: differences.every((it) => it.class !== "comparability"),
    differences: byClass(differences),
    unknown: byClass(unknown),
  };
}

/**
 * What of a snapshot can be held against one that was taken without engines: machine and client, and
 * models where `asked` holds them.
 */
export function fieldsWithoutEngine(
  snapshot: EnvironmentSnapshot,
  asked: EnvironmentSnapshot,
): EnvironmentSnapshot {
  const groups: readonly FieldGroup[] = asked.fields.some(({ group }) => group === "model")
    ? ["host", "gpu", "client", "model"]
    : ["host", "gpu", "client"];
  const ofRun = ["client.engine_relation", "client.command"];
  return {
    ...snapshot,
    fields: snapshot.fields.filter(
      ({ id, group }) => groups.includes(group) && !ofRun.includes(id),
    ),
  };
}

function byClass(found: readonly FieldDifference[]): readonly FieldDifference[] {
  return classOrder.flatMap((name) => found.filter((it) => it.class === name));
}

/** A difference as `env --against --json` prints it. @param against what it was held against */
export function environmentDifferenceJson(against: string, found: SnapshotDifference): object {
  const shown = ({ id, class: of, before, after }: FieldDifference): object => {
    return { field: id, class: of, before, after };
  };
  return {
    against,
    comparable: found.comparable,
    differences: found.differences.map(shown),
    unknown: found.unknown.map(shown),
  };
}

/** Whether a value says what is there: that a thing does not apply is a fact, that nobody looked is none. */
function isComparable(value: FieldValue | undefined): boolean {
  return value?.state === "value" || value?.state === "not_applicable";
}

/** Whether two values say the same. */
export function isSameValue(a: FieldValue | undefined, b: FieldValue | undefined): boolean {
  if (a?.state === "value" && b?.state === "value") return a.value === b.value && a.unit === b.unit;
  return a?.state === b?.state;
}

/**
 * Share by which sizes of one machine may differ and mean nothing: the kernel takes its own part of the
 * memory first, a little more with each version.
 */
const sizeNoise = 0.01;

/** Its class, or noise where two sizes of context differ by next to nothing. */
function classOf(
  { class: of, group }: EnvironmentField,
  a: FieldValue | undefined,
  b: FieldValue | undefined,
): FieldClass {
  if (of !== "context" || group !== "host") return of;
  const [before, after] = [bytesOf(a), bytesOf(b)];
  if (before === undefined || after === undefined) return of;
  return Math.abs(before - after) <= sizeNoise * Math.max(before, after) ? "noise" : of;
}

function bytesOf(value: FieldValue | undefined): number | undefined {
  return value?.state === "value" && value.unit === "B" && typeof value.value === "number"
    ? value.value
    : undefined;
}

/**
 * Growth of a counter field between two snapshots of one machine; undefined where one of them has no
 * number, or where it fell, as after a restart.
 *
 * @example counterGrowth(before, after, "host.cgroup.throttled_us") // 1250, microseconds
 */
export function counterGrowth(
  before: EnvironmentSnapshot,
  after: EnvironmentSnapshot,
  id: string,
): number | undefined {
  const [from, to] = [before, after].map(({ fields }) => {
    const value = fields.find((field) => field.id === id)?.value;
    return value?.state === "value" && typeof value.value === "number" ? value.value : undefined;
  });
  return from === undefined || to === undefined || to < from ? undefined : to - from;
}

/**
 * Share 0..1 of CPU time between two snapshots that the hypervisor gave to others: growth of steal
 * ticks over growth of all ticks; undefined where the counters are missing or stood still.
 */
export function stealShareBetween(
  before: EnvironmentSnapshot,
  after: EnvironmentSnapshot,
): number | undefined {
  const steal = counterGrowth(before, after, "host.cpu.steal_ticks");
  const total = counterGrowth(before, after, "host.cpu.total_ticks");
  return steal === undefined || total === undefined || total === 0 ? undefined : steal / total;
}
