// Patterns over point names: "fp8/c40", "*/c200", "fp8/*". A * stands for anything, slashes too.
import { nearestFew } from "./nearest.ts";

export function matchesPattern(pattern: string, name: string): boolean {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

/** What is wrong with a pattern that matches none of `names`; undefined when it matches one. */
export function explainPattern(
  pattern: string,
  names: readonly string[],
): { readonly what: string; readonly mend: string } | undefined {
  if (names.some((name) => matchesPattern(pattern, name))) return undefined;
  const what = `no point matches ${JSON.stringify(pattern)}`;
  const wider = `${pattern.replace(/\/$/, "")}/*`;
  if (names.some((name) => matchesPattern(wider, name))) return { what, mend: `write ${wider}` };
  return { what, mend: `did you mean ${nearestFew(pattern, names).join(" or ")}?` };
}
