// What the user states about the test, as fields that say whose word it is.

import type { Stated } from "../experiment/experiment.ts";
import { fieldOf, known, notCollected, type Reading } from "./probe.ts";
import { reasons } from "./reasons.ts";
import { redactValue } from "./redact.ts";
import type { EnvironmentField } from "./snapshot.ts";

/**
 * The user's fields: site, node, operator, ticket, price, then whatever else was stated, each under
 * a slug of its label.
 */
export function statedFields(
  stated: Stated,
  at: string,
  secrets: readonly string[],
): readonly EnvironmentField[] {
  const { site, node, operator, ticket, price, other } = stated;
  const make = (slug: string, reading: Reading): EnvironmentField =>
    fieldOf(`user.${slug}`, "user", "context", { ...reading, source: "user" }, at);
  const text = (name: string, value: string | undefined): Reading =>
    value === undefined || value.trim() === ""
      ? notCollected(reasons.notStated)
      : { value: redactValue(name, value.trim(), secrets) };
  const fields = [
    make("site", text("site", site)),
    make("node", text("node", node)),
    make("operator", text("operator", operator)),
    make("ticket", text("ticket", ticket)),
    make(
      "price",
      price === undefined
        ? notCollected(reasons.notStated)
        : known(price.perGpuHour, { unit: `${price.currency}/GPU/h` }),
    ),
  ];
  const taken = new Set(fields.map(({ id }) => id));
  for (const [label, value] of Object.entries(other)) {
    const base = statedSlug(label);
    let slug = base;
    for (let next = 2; taken.has(`user.${slug}`); next += 1) slug = `${base}-${next}`;
    taken.add(`user.${slug}`);
    fields.push(make(slug, text(label, value)));
  }
  return fields;
}

/** The slug of a label, in any script: "Rack No." -> "rack-no", "机房 3" -> "机房-3". */
function statedSlug(label: string): string {
  const slug = label
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "-")
    .replaceAll(/^-|-$/g, "");
  return slug === "" ? "other" : slug;
}
