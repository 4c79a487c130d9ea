// Two snapshots to the fields in which they differ, each with what its difference means: a comparison
// needs the comparability fields equal, context is worth knowing, noise changes on its own.

import type {
  EnvironmentField,
  EnvironmentSnapshot,
  FieldClass,
  FieldGroup,
  FieldValue,
} from "./snapshot.ts";

export interface FieldDifference {
  readonly id: string;
  readonly group: FieldGroup;
  readonly class: FieldClass;
  /**
   * `changed`: a value on both sides, not the same. `became_known`, `became_unknown`: a value on one
   * side, a stated absence on the other. `state`: two different absences. `only_before`,
   * `only_after`: the other side has no such field.
   */
  readonly kind:
    | "changed"
    | "became_known"
    | "became_unknown"
    | "state"
    | "only_before"
    | "only_after";
  /** undefined: no such field. */
  readonly before: FieldValue | undefined;
  readonly after: FieldValue | undefined;
}

const classOrder: readonly FieldClass[] = ["comparability", "context", "noise"];

/**
 * What differs, comparability first, then in the order of the fields. Against a light snapshot only
 * the fields that it holds are compared. Times, sources and raw outputs are no differences.
 */
export function differenceOf(
  before: EnvironmentSnapshot,
  after: EnvironmentSnapshot,
): readonly FieldDifference[] {
  const earlier = new Map(before.fields.map((field) => [field.id, field]));
  const later = new Map(after.fields.map((field) => [field.id, field]));
  const shared = before.light === true || after.light === true;
  const differences: FieldDifference[] = [];
  for (const id of new Set([...earlier.keys(), ...later.keys()])) {
    const difference = compare(earlier.get(id), later.get(id));
    const onOneSide = difference?.kind === "only_before" || difference?.kind === "only_after";
    if (difference !== undefined && !(shared && onOneSide)) differences.push(difference);
  }
  return classOrder.flatMap((name) => differences.filter((it) => it.class === name));
}

function compare(
  before: EnvironmentField | undefined,
  after: EnvironmentField | undefined,
): FieldDifference | undefined {
  const field = after ?? before;
  if (field === undefined) return undefined;
  const kind = kindOf(before?.value, after?.value);
  if (kind === undefined) return undefined;
  const { id, group, class: fieldClass } = field;
  return { id, group, class: fieldClass, kind, before: before?.value, after: after?.value };
}

function kindOf(
  before: FieldValue | undefined,
  after: FieldValue | undefined,
): FieldDifference["kind"] | undefined {
  if (before === undefined) return "only_after";
  if (after === undefined) return "only_before";
  if (before.state === "value" && after.state === "value")
    return before.value === after.value && before.unit === after.unit ? undefined : "changed";
  if (after.state === "value") return "became_known";
  if (before.state === "value") return "became_unknown";
  return before.state === after.state ? undefined : "state";
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
