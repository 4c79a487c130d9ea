import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import { captureEnvironment } from "./capture.ts";
import {
  describeHostFile,
  engineOf,
  machineOf,
  readHostFile,
  readSnapshotFile,
} from "./host-file.ts";
import { reasons } from "./reasons.ts";
import type { EnvironmentField, EnvironmentSnapshot } from "./snapshot.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchbook-host-file-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const at = "2026-01-02T03:04:05.000+08:00";
const later = "2026-01-02T04:00:00.000+08:00";
const field = (
  id: string,
  value: string,
  parts: Partial<EnvironmentField> = {},
): EnvironmentField => ({
  id,
  group: "host",
  class: "comparability",
  value: { state: "value", value },
  source: "probe",
  at,
  ...parts,
});
const raw = (command: string): EnvironmentSnapshot["raw"][number] => {
  return { command, exitCode: 0, stdout: `${command} said`, stderr: "", durationMs: 1 };
};
const snapshot: EnvironmentSnapshot = {
  schema: 1,
  takenAt: at,
  fields: [
    field("client.node", "v20", { group: "client", rawIndex: 0 }),
    field("host.hostname", "gpu-node-7", { rawIndex: 1 }),
    field("host.kernel", "6.8", { rawIndex: 2, class: "context" }),
    field("gpu.0.driver", "580.95", { group: "gpu", rawIndex: 2 }),
    field("model.fp8.id", "org/name", { group: "model", source: "user" }),
    field("model.fp8.weights_digest", "sha256:aa", { group: "model" }),
    field("model.bf16.id", "org/other", { group: "model", source: "user" }),
  ],
  raw: [raw("node"), raw("hostname"), raw("nvidia-smi")],
};
async function write(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("a snapshot file", () => {
  it("gives back what was captured", async () => {
    const captured = await captureEnvironment({
      engines: [],
      stated: { other: {} },
      projectRoot: "/p",
    });
    const read = await readSnapshotFile(await write("captured.json", captured));
    // JSON has no undefined.
    expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(JSON.stringify(captured)));
  });

  const broken: readonly (readonly [string, unknown, RegExp])[] = [
    ["is no JSON", "host: x", /no JSON/],
    ["is empty", "", /no JSON/],
    ["is another JSON", { run: "x" }, /no environment snapshot: schema/],
    ["is of a later schema", { ...snapshot, schema: 2 }, /no environment snapshot: schema/],
    [
      "has a field without a state",
      { ...snapshot, fields: [{ ...snapshot.fields[0], value: "x" }] },
      /no environment snapshot: fields\.0\.value/,
    ],
    ["is of the light form", { ...snapshot, light: true }, /light form/],
    [
      "knows no host",
      { ...snapshot, fields: snapshot.fields.filter(({ group }) => group === "client") },
      /nothing of a host/,
    ],
  ];
  it.each(broken)("that %s is refused with its place and a mend", async (_name, content, what) => {
    const path = await write("broken.json", content);
    const error = await readHostFile(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof UserError)) throw new Error("it is taken");
    expect(error.parts[0]?.what).toMatch(what);
    expect(error.parts[0]?.where).toBe(path);
    expect(error.parts[0]?.mend).toContain("benchbook env --json > env.json");
  });

  it("that is not there is refused too", async () => {
    await expect(readHostFile(join(folder, "none.json"))).rejects.toThrow("no such snapshot file");
  });
});

describe("the engine's host by a file", () => {
  it("keeps times and raw outputs, and says whose fields they are", async () => {
    const file = await readHostFile(await write("env.json", snapshot));
    const { fields, raw: kept } = machineOf(file, later);
    expect(fields.map(({ id, at: time, readOn }) => [id, time, readOn])).toEqual([
      ["host.hostname", at, "gpu-node-7"],
      ["host.kernel", at, "gpu-node-7"],
      ["gpu.0.driver", at, "gpu-node-7"],
    ]);
    expect(fields.map(({ rawIndex }) => kept[rawIndex ?? -1]?.command)).toEqual([
      "hostname",
      "nvidia-smi",
      "nvidia-smi",
    ]);
    expect(kept).toHaveLength(2);
  });

  it("has a model's fields only where it read the model's files", async () => {
    const file = await readHostFile(await write("env.json", snapshot));
    expect(engineOf(file, "model", "fp8", later)?.fields).toHaveLength(2);
    expect(engineOf(file, "model", "bf16", later)).toBeUndefined();
    expect(engineOf(file, "model", "nvfp4", later)).toBeUndefined();
    expect(engineOf(file, "python", "fp8", later)).toBeUndefined();
  });

  it("is without a value, field by field, at a moment of which it does not speak", async () => {
    const file = await readHostFile(await write("env.json", snapshot));
    const { fields, raw: kept } = machineOf({ ...file, absent: reasons.hostFileUnchanged }, later);
    expect(fields.map(({ id }) => id)).toEqual(["host.hostname", "host.kernel", "gpu.0.driver"]);
    for (const { value, at: time } of fields) {
      expect(value).toEqual({ state: "not_collected", reason: reasons.hostFileUnchanged });
      expect(time).toBe(later);
    }
    expect(kept).toEqual([]);
  });

  it("says its age, that a clock is ahead, and that it is this machine's", async () => {
    const file = await readHostFile(await write("env.json", snapshot));
    const dayMs = 86_400_000;
    const texts = (hostname: string, afterMs: number): string =>
      describeHostFile(file, { hostname, nowMs: Date.parse(at) + afterMs }).join("\n");
    expect(texts("laptop", 1000)).toBe(
      `The engine's host is gpu-node-7 as its snapshot file describes it, taken at ${at}`,
    );
    expect(texts("laptop", 12.5 * dayMs)).toContain(", 12 days ago");
    expect(texts("laptop", 1.5 * dayMs)).toContain(", 1 day ago");
    expect(texts("laptop", -3_600_000)).toContain("1 h 00 min from now: the clocks differ");
    expect(texts("gpu-node-7", 0)).toContain("describes this machine");
  });
});
