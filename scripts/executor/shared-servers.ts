// What a run does to servers that others may be using: a person should know before it starts.
import { redactText } from "../environment/redact.ts";
import type { Plan } from "../experiment/plan.ts";

/** A line for each server that somebody else started and whose prefix cache the plan empties. */
export function sharedServerNotes({
  experiment: { variants, workloads },
  points,
}: Pick<Plan, "experiment" | "points">): readonly string[] {
  const cold = new Set(
    workloads.filter(({ cache }) => cache.kind === "cold").map(({ name }) => name),
  );
  const planned = new Set(
    points.filter(({ workload }) => cold.has(workload)).map(({ variant }) => variant),
  );
  const urls = new Set(
    variants.flatMap(({ name, engine }) =>
      engine.kind === "external" && planned.has(name) ? [engine.url] : [],
    ),
  );
  return [...urls].map(
    (url) =>
      `the server at ${redactText(url)} is asked to empty its prefix cache before each cold trial, where it offers that; others who use it find their prompts no longer cached`,
  );
}
