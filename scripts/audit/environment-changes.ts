// From the snapshots of a run, in order, to the fields whose value changed between one and the next
// that holds them: within a stretch, or over the pause between two.
import type { EnvironmentField, FieldValue } from "../environment/snapshot.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";

export interface EnvironmentChange {
  readonly id: string;
  readonly before: FieldValue;
  readonly after: FieldValue;
  /** Stretches in which the two were read; the same one for a change within it. */
  readonly fromLeg: number;
  readonly toLeg: number;
}

/**
 * Every change of a watched field. A field is compared with the last snapshot that holds it, so light
 * snapshots are neighbours in what they hold; a reading that failed is no change.
 */
export function environmentChanges(
  snapshots: readonly StoredSnapshot[],
  isWatched: (field: EnvironmentField) => boolean,
): readonly EnvironmentChange[] {
  const last = new Map<string, { readonly leg: number; readonly value: FieldValue }>();
  return snapshots.flatMap(({ leg, snapshot }) =>
    snapshot.fields.filter(isWatched).flatMap(({ id, value }): readonly EnvironmentChange[] => {
      if (value.state === "not_collected" || value.state === "redacted") return [];
      const earlier = last.get(id);
      last.set(id, { leg, value });
      return earlier === undefined || isSame(earlier.value, value)
        ? []
        : [{ id, before: earlier.value, after: value, fromLeg: earlier.leg, toLeg: leg }];
    }),
  );
}

function isSame(a: FieldValue, b: FieldValue): boolean {
  if (a.state === "value" && b.state === "value") return a.value === b.value && a.unit === b.unit;
  return a.state === b.state;
}
