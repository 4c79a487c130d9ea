// Secrets that would be stored with a run: found before anything is.
import { findSecrets, secretsOf } from "../environment/redact.ts";
import type { UserErrorParts } from "../errors.ts";
import type { ReadExperiment } from "../experiment/experiment.ts";

/**
 * What of an experiment holds a secret: its text, which is stored and published as it was written, its
 * path, and values that came from the environment. The secret itself is not shown.
 */
export function secretProblems(
  { source, path, experiment }: ReadExperiment,
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly UserErrorParts[] {
  const known = secretsOf(env);
  const mend =
    "take it out: what an experiment says is stored with the run and printed in its record";
  const inText = findSecrets(source, known).map(({ kind, line }) => ({
    what: `what looks like a secret stands in the experiment (${kind}; not shown here)`,
    where: `${path}:${line}`,
    mend: "take it out, of comments too: the file is stored with the run and printed in its record",
  }));
  const isKnown = (text: string): boolean => known.some((secret) => text.includes(secret));
  const inValues = placesOf(experiment, isKnown).map((place) => ({
    what: "the value of a secret environment variable stands in the experiment (not shown here)",
    where: place,
    mend,
  }));
  const inPath = isKnown(path)
    ? [
        {
          what: "the value of a secret environment variable stands in the experiment's path (not shown here)",
          mend: "give the file or its folder another name: the command line is stored with the run",
        },
      ]
    : [];
  return inPath.length > 0 ? inPath : [...inText, ...inValues];
}

/** Dotted paths of the texts, keys among them, that `holds` is true of. */
function placesOf(value: unknown, holds: (text: string) => boolean, at = ""): readonly string[] {
  if (typeof value === "string") return holds(value) ? [at] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    holds(key) ? [at] : placesOf(child, holds, at === "" ? key : `${at}.${key}`),
  );
}
