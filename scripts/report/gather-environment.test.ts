import { describe, expect, it } from "vitest";
import type {
  EnvironmentField,
  EnvironmentSnapshot,
  FieldValue,
  RawProbe,
} from "../environment/snapshot.ts";
import { field } from "./fixtures/synthetic-run.ts";
import { withStarts } from "./gather-environment.ts";

const value = (text: string): FieldValue => ({ state: "value", value: text });
const absent = (reason: string): FieldValue => ({ state: "not_collected", reason });
const probe = (command: string): RawProbe => ({
  command,
  exitCode: 0,
  stdout: command,
  stderr: "",
  durationMs: 1,
});

function snapshot(
  fields: readonly EnvironmentField[],
  raw: readonly RawProbe[] = [],
): EnvironmentSnapshot {
  return { schema: 1, takenAt: "2026-01-14T20:06:31.000+08:00", fields, raw };
}

function textsOf({ fields }: EnvironmentSnapshot): Readonly<Record<string, string>> {
  return Object.fromEntries(
    fields.map(({ id, value: of }) => [id, of.state === "value" ? String(of.value) : of.state]),
  );
}

const before = snapshot(
  [
    field("host.kernel", value("6.1"), { rawIndex: 0 }),
    field("engine.fp8.version", absent("the engine was not running when this was read")),
    field("python.fp8.torch", absent("the engine's Python interpreter was not asked")),
    field("model.fp8.path", value("/models/a")),
    field("model.fp8.weights_digest", absent("the model is known only by its name")),
    field("model.fp8.revision", absent("a local folder"), { rawIndex: 0 }),
    field("python.q4.torch", absent("the engine's Python interpreter was not asked")),
  ],
  [probe("uname -r")],
);
const first = snapshot(
  [
    field("host.kernel", value("6.2")),
    field("engine.fp8.version", value("0.12.0")),
    field("engine.fp8.config.block_size", value("16")),
    field("python.fp8.torch", value("2.9.0"), { rawIndex: 1 }),
    field("model.fp8.path", value("/elsewhere"), { rawIndex: 0 }),
    field("model.fp8.weights_digest", value("sha256:1"), { rawIndex: 1 }),
    field("model.fp8.revision", absent("a local folder"), { rawIndex: 2 }),
  ],
  [probe("uname -r"), probe("python -c"), probe("read config.json")],
);

describe("withStarts", () => {
  it("takes what only a running engine and its Python can say, and fills in what was not known", () => {
    const second = snapshot([field("engine.fp8.version", value("0.13.0"))]);
    expect(textsOf(withStarts(before, [first, second]))).toEqual({
      "host.kernel": "6.1",
      "model.fp8.path": "/models/a",
      "model.fp8.revision": "not_collected",
      "python.q4.torch": "not_collected",
      "engine.fp8.version": "0.12.0",
      "engine.fp8.config.block_size": "16",
      "python.fp8.torch": "2.9.0",
      "model.fp8.weights_digest": "sha256:1",
    });
  });

  it("brings the raw output along, once, and lets each field find its own", () => {
    const { fields, raw } = withStarts(before, [first]);
    expect(raw.map(({ command }) => command)).toEqual(["uname -r", "python -c"]);
    const rawOf = (id: string): string | undefined =>
      raw[fields.find((one) => one.id === id)?.rawIndex ?? -1]?.command;
    expect(rawOf("host.kernel")).toBe("uname -r");
    expect(rawOf("python.fp8.torch")).toBe("python -c");
    expect(rawOf("model.fp8.weights_digest")).toBe("python -c");
  });

  it("waits for the first start that has anything to say", () => {
    const silent = snapshot([field("engine.fp8.version", absent("the engine does not say"))]);
    const texts = textsOf(withStarts(before, [silent, first]));
    expect(texts["engine.fp8.version"]).toBe("0.12.0");
    expect(textsOf(withStarts(before, []))).toEqual(textsOf(before));
  });
});
