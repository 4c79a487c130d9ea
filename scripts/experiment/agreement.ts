// What only several parts of an experiment together can tell: engines that are named but not
// defined, lengths that a variant's engine can't take. Works on what was written, however broken
// the rest is, so that all mistakes are shown at once.
import { childValue, valueAt } from "./json-schema.ts";
import { nearest } from "./nearest.ts";
import { rampName, slugOf, traceName } from "./slug.ts";
import type { Mistake, WrittenPath } from "./written.ts";

/** Kinds that run without settings: a variant may name them although `engines` does not. */
const kindsWithoutSettings = ["embedded", "vllm"] as const;

/** Where the parts of an experiment contradict each other. */
export function findContradictions(written: unknown): readonly Mistake[] {
  const engines = mapAt(written, ["engines"]);
  const workloads = mapAt(written, ["workloads"]);
  return [
    ...["engines", "variants", "workloads"].flatMap((section) =>
      sameNames(mapAt(written, [section]), section),
    ),
    ...[...mapAt(written, ["variants"])].flatMap(([name, variant]) => {
      const path = ["variants", name];
      const engine = engineOf(variant, engines);
      return [
        ...unknownEngine(variant, engines, path),
        ...settingsOfExternal(variant, engine, path),
        ...tooLong(variant, engine, workloads, path),
      ];
    }),
    ...[...workloads].flatMap(([name, workload]) =>
      sharedBeyondInput(workload, ["workloads", name]),
    ),
    ...sameLoads(written),
  ];
}

/** Two names that are one once written as slugs: FP8 and fp8. */
function sameNames(section: ReadonlyMap<string, unknown>, title: string): readonly Mistake[] {
  const first = new Map<string, string>();
  return [...section.keys()].flatMap((name): Mistake[] => {
    const slug = slugOf(name) ?? name;
    const before = first.get(slug);
    first.set(slug, before ?? name);
    if (before === undefined) return [];
    return [
      {
        path: [title, name],
        part: "key",
        what: `${title} ${before} and ${name} have the same name, ${slug}`,
        mend: `give one of them another name, ${slug}-2 for instance`,
      },
    ];
  });
}

function unknownEngine(
  variant: unknown,
  engines: ReadonlyMap<string, unknown>,
  path: WrittenPath,
): readonly Mistake[] {
  const name = childValue(variant, "engine");
  const names = [...engines.keys()];
  if (name === undefined) {
    if (names.length < 2) return [];
    const what = `${path.join(".")} names no engine, and ${names.length} are defined`;
    return [
      { path: [...path, "engine"], part: "key", what, mend: `write engine: ${names[0] ?? ""}` },
    ];
  }
  if (typeof name !== "string" || engines.has(name)) return [];
  if (kindsWithoutSettings.some((kind) => kind === name)) return [];
  const [where, part] = [[...path, "engine"], "value" as const];
  if (name === "external") {
    const mend = "write engines: { external: { kind: external, url: http://127.0.0.1:8000 } }";
    return [{ path: where, part, what: "an external engine needs the URL of its server", mend }];
  }
  const known = [...new Set([...names, ...kindsWithoutSettings])];
  const near = nearest(name, known);
  const mend =
    near === undefined
      ? `here are ${known.join(", ")}; define others under engines`
      : `did you mean ${near}?`;
  return [{ path: where, part, what: `there is no engine ${JSON.stringify(name)}`, mend }];
}

/** Nobody can give arguments to a server that somebody else started. */
function settingsOfExternal(
  variant: unknown,
  engine: unknown,
  path: WrittenPath,
): readonly Mistake[] {
  if (childValue(engine, "kind") !== "external") return [];
  return ["args", "env"]
    .filter((key) => childValue(variant, key) !== undefined)
    .map((key) => ({
      path: [...path, key],
      part: "key",
      what: `${path.join(".")} has ${key}, but its engine is external: it runs already`,
      mend: `take ${key} out, and state how the server was started under stated: { other: ... }`,
    }));
}

/** input + output above the max-model-len that the variant's engine is started with. */
function tooLong(
  variant: unknown,
  engine: unknown,
  workloads: ReadonlyMap<string, unknown>,
  path: WrittenPath,
): readonly Mistake[] {
  const ofVariant = valueAt(variant, ["args", "max-model-len"]);
  const most = ofVariant ?? valueAt(engine, ["args", "max-model-len"]);
  if (typeof most !== "number") return [];
  return [...workloads].flatMap(([name, workload]): Mistake[] => {
    const input = longest(childValue(workload, "input"));
    const output = longest(childValue(workload, "output"));
    if (input === undefined || output === undefined || input + output <= most) return [];
    return [
      {
        path: ["workloads", name],
        part: "key",
        what: `${name} needs ${input} + ${output} = ${input + output} tokens, ${path.join(".")} allows ${most} (max-model-len)`,
        mend: `shorten the input to ${Math.max(1, most - output)}, or raise max-model-len to ${input + output}`,
      },
    ];
  });
}

function sharedBeyondInput(workload: unknown, path: WrittenPath): readonly Mistake[] {
  const shared = valueAt(workload, ["cache", "shared"]);
  const shortest = childValue(workload, "input");
  if (typeof shared !== "number" || typeof shortest !== "number" || shared < shortest) return [];
  return [
    {
      path: [...path, "cache", "shared"],
      part: "value",
      what: `all prompts share ${shared} tokens, but have only ${shortest}`,
      mend: `share at most ${Math.max(1, shortest - 1)}, or write cache: warm when all prompts are to be the same`,
    },
  ];
}

/** Points are called after their trace or ramp, and c40 or r2.5 after a concurrency or a rate. */
function sameLoads(written: unknown): readonly Mistake[] {
  const named = [
    ...itemsAt(written, ["loads", "ramp"]).map(({ item, path }) => ({
      path,
      name: rampNameOf(item),
      what: "this ramp",
      mend: "take one of the two out",
    })),
    ...itemsAt(written, ["loads", "trace"]).map(({ item, path }) => {
      const file = typeof item === "string" ? item : childValue(item, "file");
      const speed = childValue(item, "speed") ?? 1;
      const isNamed = typeof file === "string" && typeof speed === "number";
      return {
        path,
        name: isNamed ? traceName(file, speed) : undefined,
        what: `the trace ${String(file)}`,
        mend: "give the file another name",
      };
    }),
  ];
  const names = named.map(({ name }) => name);
  return named.flatMap(({ path, name, what, mend }, index): Mistake[] => {
    if (name === undefined) return [];
    if (names.indexOf(name) === index && !/^[cr]\d+$/.test(name)) return [];
    const told = `points under ${what} would be called ${name}, as others are`;
    return [{ path, part: "value", what: told, mend }];
  });
}

function rampNameOf(ramp: unknown): string | undefined {
  const [from, to, duration] = ["from", "to", "duration"].map((key) => childValue(ramp, key));
  const isWhole =
    typeof from === "number" && typeof to === "number" && typeof duration === "string";
  return isWhole ? rampName({ from, to, duration }) : undefined;
}

/** The items of a list, or the one value that stands there instead of one. */
function itemsAt(
  written: unknown,
  path: WrittenPath,
): readonly { readonly item: unknown; readonly path: WrittenPath }[] {
  const value = valueAt(written, path);
  if (!Array.isArray(value)) return value === undefined ? [] : [{ item: value, path }];
  return value.map((item: unknown, index) => ({ item, path: [...path, index] }));
}

/** The engine that a variant names, else the only one; undefined where it is not defined. */
function engineOf(variant: unknown, engines: ReadonlyMap<string, unknown>): unknown {
  const name = childValue(variant, "engine");
  if (typeof name === "string") return engines.get(name);
  return engines.size === 1 ? [...engines.values()][0] : undefined;
}

/** Most tokens of a length, where it has a bound. */
function longest(length: unknown): number | undefined {
  const bound = typeof length === "object" ? valueAt(length, ["uniform", 1]) : length;
  return typeof bound === "number" ? bound : undefined;
}

function mapAt(written: unknown, path: WrittenPath): ReadonlyMap<string, unknown> {
  const value = valueAt(written, path);
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  return new Map(isMap ? Object.entries(value) : []);
}
