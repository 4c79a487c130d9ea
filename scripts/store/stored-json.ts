// JSON columns: canonical text in, so that the same value always has the same bytes, and back.
import canonicalize from "canonicalize";

/** RFC 8785 canonical JSON; keys whose value is undefined are left out. */
export function canonicalJson(value: object): string {
  const json = canonicalize(value);
  if (json === undefined) throw new TypeError("this value has no JSON");
  return json;
}

/** Reads what `canonicalJson` wrote: the caller may name its type, as the file's version was checked. */
export function parseStored(json: string): unknown {
  return JSON.parse(json);
}
