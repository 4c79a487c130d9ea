// `${NAME}` and `${NAME:-default}` in the strings of an experiment become what the environment says.
import type { Place, WrittenMap, WrittenNode, WrittenPath, WrittenScalar } from "./written.ts";

export interface BadReference {
  /** As written: "${API_URL}". */
  readonly text: string;
  /** The name that is unset; undefined: this is no reference that can be read. */
  readonly name: string | undefined;
  readonly path: WrittenPath;
  readonly at: Place;
}

// `$${` stands for a literal `${`; whatever else begins with `${` must be a name.
const reference = /\$(\$\{)|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|[^}]*\}?)/g;

/**
 * The tree with every reference replaced; a name that is unset (or empty) and has no default is
 * listed as bad, and so is what can't be read. A value without quotes is read again, so `rounds: ${ROUNDS:-3}` is a number.
 */
export function substitute(
  tree: WrittenMap,
  env: Readonly<Record<string, string | undefined>>,
): { readonly tree: WrittenMap; readonly bad: readonly BadReference[] } {
  const bad: BadReference[] = [];

  function replaced(node: WrittenNode, path: WrittenPath): WrittenNode {
    switch (node.kind) {
      case "map":
        return replacedMap(node, path);
      case "list":
        return {
          ...node,
          items: node.items.map((item, index) => replaced(item, [...path, index])),
        };
      case "scalar": {
        if (typeof node.value !== "string" || !node.value.includes("${")) return node;
        const text = node.value.replaceAll(
          reference,
          (written: string, literal?: string, name?: string, fallback?: string) => {
            if (literal !== undefined) return literal;
            const value = name === undefined ? undefined : env[name];
            if (value !== undefined && value !== "") return value;
            if (fallback === undefined) bad.push({ text: written, name, path, at: node.at });
            return fallback ?? "";
          },
        );
        return { ...node, value: node.plain ? scalarOf(text) : text };
      }
    }
  }

  function replacedMap(map: WrittenMap, path: WrittenPath): WrittenMap {
    const entries = new Map(
      [...map.entries].map(([key, entry]) => [
        key,
        { ...entry, node: replaced(entry.node, [...path, key]) },
      ]),
    );
    return { ...map, entries };
  }

  return { tree: replacedMap(tree, []), bad };
}

/** A plain scalar as YAML's core schema reads it: numbers and booleans, else text. */
function scalarOf(text: string): WrittenScalar {
  if (text === "true") return true;
  if (text === "false") return false;
  return /^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/.test(text) ? Number(text) : text;
}
