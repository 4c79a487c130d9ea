// From the snapshots of a run, in order, to the fields whose value changed between one and the next
// that holds them: between which moments it happened is all that can be known.
import { isSameValue } from "../environment/difference.ts";
import type { EnvironmentField, FieldClass, FieldValue } from "../environment/snapshot.ts";
import type { LocalText } from "../experiment/experiment.ts";
import type { SnapshotScope, StoredAttempt, StoredSnapshot } from "../store/stored-run.ts";

export interface EnvironmentChange {
  readonly id: string;
  readonly class: FieldClass;
  readonly before: FieldValue;
  readonly after: FieldValue;
  /** When the earlier value was last read. */
  readonly from: Moment;
  /** When the later one was first read. */
  readonly to: Moment;
}

/** A snapshot's place in the run. */
interface Moment extends SnapshotScope {
  readonly takenAt: string;
}

/** Says where the engines are that a snapshot is of: of all of them, or of the one that was started. */
const ofItsEngines = "client.engine_relation";

/**
 * What drifted while the run went on: every change of what a comparison needs equal and of what is
 * worth knowing. Of an engine only what changed within one life of it: its lives are compared as such.
 */
export function driftOf(snapshots: readonly StoredSnapshot[]): readonly EnvironmentChange[] {
  const [ofEngines, ofMachine] = [true, false].map((isEngine) =>
    environmentChanges(
      snapshots,
      ({ id, group, class: of }) =>
        of !== "noise" && id !== ofItsEngines && (group === "engine") === isEngine,
    ),
  );
  const withinOneLife = ({ from, to }: EnvironmentChange): boolean =>
    from.leg === to.leg && from.start !== undefined && from.start === to.start;
  return [...(ofMachine ?? []), ...(ofEngines ?? []).filter(withinOneLife)];
}

/**
 * Every change of a watched field. A field is compared with the last snapshot that holds it, so light
 * snapshots are neighbours in what they hold; a reading that failed is no change.
 */
export function environmentChanges(
  snapshots: readonly StoredSnapshot[],
  isWatched: (field: EnvironmentField) => boolean,
): readonly EnvironmentChange[] {
  const last = new Map<string, { readonly at: Moment; readonly value: FieldValue }>();
  return snapshots.flatMap(({ snapshot, ...scope }) => {
    const to: Moment = { ...scope, takenAt: snapshot.takenAt };
    return snapshot.fields.filter(isWatched).flatMap((field): readonly EnvironmentChange[] => {
      const { id, value } = field;
      if (value.state === "not_collected" || value.state === "redacted") return [];
      const earlier = last.get(id);
      last.set(id, { at: to, value });
      return earlier === undefined || isSameValue(earlier.value, value)
        ? []
        : [{ id, class: field.class, before: earlier.value, after: value, from: earlier.at, to }];
    });
  });
}

/** Between which trials or starts a field changed; undefined where only the whole run is known. */
export function whenText(
  { from, to }: EnvironmentChange,
  attempts: readonly Pick<StoredAttempt, "trial" | "point" | "round">[],
): LocalText | undefined {
  const trialText = (trial: string | undefined): LocalText => {
    const attempt = attempts.find((one) => one.trial === trial);
    if (attempt === undefined) return { zh: "某次试次", en: "a trial" };
    const { point, round } = attempt;
    return { zh: `第 ${round} 轮 ${point}`, en: `${point} of round ${round}` };
  };
  const { zh, en } = trialText(to.trial);
  if (from.scope === "trial-before" && to.scope === "trial-after" && from.trial === to.trial)
    return { zh: `${zh} 期间`, en: `during ${en}` };
  const parts: LocalText[] = [];
  const earlier = trialText(from.trial);
  if (from.scope === "start")
    parts.push({ zh: `第 ${from.start ?? 0} 次启动后`, en: `after start ${from.start ?? 0}` });
  if (from.scope === "trial-before")
    parts.push({ zh: `${earlier.zh} 开始后`, en: `after ${earlier.en} began` });
  if (from.scope === "trial-after")
    parts.push({ zh: `${earlier.zh} 后`, en: `after ${earlier.en}` });
  // The full snapshot of a start is taken once its engine is ready.
  if (to.scope === "start")
    parts.push({ zh: `第 ${to.start ?? 0} 次启动时`, en: `by start ${to.start ?? 0}` });
  if (to.scope === "trial-before") parts.push({ zh: `${zh} 前`, en: `before ${en}` });
  if (to.scope === "trial-after") parts.push({ zh: `${zh} 结束前`, en: `by the end of ${en}` });
  if (parts.length === 0) return undefined;
  return {
    zh: parts.map((part) => part.zh).join("、"),
    en: parts.map((part) => part.en).join(", "),
  };
}
