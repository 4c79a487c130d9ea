import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import { toldMachine } from "../testing/told-machine.ts";
import { type CaptureOptions, captureEnvironment } from "./capture.ts";
import { differenceOf } from "./difference.ts";
import type { Outside } from "./outside.ts";
import { reasons } from "./reasons.ts";
import { findSecrets } from "./redact.ts";
import type { EnvironmentField, EnvironmentSnapshot } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

const projectRoot = fileURLToPath(new URL("../..", import.meta.url));
const engine: EngineUnderTest = {
  variant: "fp32",
  kind: "embedded",
  model: "data/models/tiny-qwen3",
  modelFolder: `${projectRoot}data/models/tiny-qwen3`,
  tokenizerPath: undefined,
  precision: "fp32",
  url: undefined,
  interpreter: undefined,
  facts: undefined,
};
const options: CaptureOptions = { engines: [engine], stated: { other: {} }, projectRoot };

/** Ids that other parts of benchbook rely on. */
const promisedIds = `
host.os host.kernel host.kernel_cmdline host.hostname host.cpu.model host.cpu.sockets host.cpu.cores
host.cpu.logical host.cpu.smt host.cpu.governor host.cpu.steal_share host.memory_bytes host.swap_bytes
host.numa_nodes host.thp host.hugepages host.load_1m host.uptime_s host.virtualization host.container
host.cgroup.cpu_quota host.cgroup.memory_limit_bytes host.cgroup.throttled_us host.shm_bytes
host.memlock_bytes host.time_zone host.ntp host.cloud gpu.count
model.fp32.id model.fp32.path model.fp32.revision model.fp32.architecture model.fp32.layers
model.fp32.hidden_size model.fp32.heads model.fp32.kv_heads model.fp32.head_dim model.fp32.vocab_size
model.fp32.max_positions model.fp32.dtype model.fp32.precision_claimed model.fp32.quantization
model.fp32.weights_digest model.fp32.weights_bytes model.fp32.tokenizer_digest
model.fp32.chat_template_digest
engine.fp32.name engine.fp32.version engine.fp32.argv engine.fp32.config_digest engine.fp32.env
client.benchbook.version client.benchbook.commit client.benchbook.dirty client.node client.v8
client.lock_digest client.engine_relation client.command
python.fp32.interpreter python.fp32.torch python.fp32.vllm
user.site user.node user.operator user.ticket user.price`
  .trim()
  .split(/\s+/);

function expectComplete({ fields, raw }: EnvironmentSnapshot): void {
  expect(fields.length).toBeGreaterThan(0);
  expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  for (const field of fields) {
    const { value, id } = field;
    if (value.state === "value") {
      expect(value.value, id).not.toBe("");
      expect(Number.isNaN(value.value), id).toBe(false);
    } else expect(value.reason, id).toMatch(/\S/);
    expect(field.at).toMatch(/[+-]\d\d:\d\d$/);
    if (field.rawIndex !== undefined) expect(raw[field.rawIndex], id).toBeDefined();
  }
}

describe("this machine", () => {
  it("has every promised field in some state, once, and none blank", async () => {
    const snapshot = await captureEnvironment(options);
    expectComplete(snapshot);
    const ids = snapshot.fields.map(({ id }) => id);
    for (const id of promisedIds) expect(ids).toContain(id);
    expect(findSecrets(JSON.stringify(snapshot))).toEqual([]);
  });

  it("does not tell where the project lies", async () => {
    const snapshot = await captureEnvironment(options);
    expect(JSON.stringify(snapshot)).toContain("tiny-qwen3");
    expect(JSON.stringify(snapshot)).not.toContain(options.projectRoot);
    expect(snapshot.raw.map(({ command }) => command)).toContain("git -C . rev-parse HEAD");
  });

  it("differs from itself a moment later in noise alone", async () => {
    const before = await captureEnvironment(options);
    const after = await captureEnvironment(options);
    expect(differenceOf(before, after).differences.filter((it) => it.class !== "noise")).toEqual(
      [],
    );
  });

  it("gives in its light form only what can change, under the same ids", async () => {
    const full = await captureEnvironment(options);
    const light = await captureEnvironment({ ...options, light: true });
    expectComplete(light);
    expect(light.light).toBe(true);
    const ids = new Set(full.fields.map(({ id }) => id));
    for (const { id } of light.fields) expect(ids).toContain(id);
    expect(light.fields.length).toBeLessThan(full.fields.length / 2);
  });
});

describe("a machine that answers badly", () => {
  it("that shows nothing at all still gives a complete snapshot", async () => {
    const snapshot = await captureEnvironment({ ...options, projectRoot: "/p" }, toldMachine());
    expectComplete(snapshot);
    expect(snapshot.takenAt.startsWith("2026-01-0")).toBe(true);
  });

  it("whose files and commands never answer is done within the time limits", async () => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const machine = toldMachine({
      instead: {
        readFile: never,
        exec: never,
        readDirectory: never,
        listFiles: never,
        hostFacts: never,
        fileSystemBytes: never,
      },
    });
    const snapshot = await captureEnvironment({ ...options, limitMs: 50 }, machine);
    expectComplete(snapshot);
    const model = snapshot.fields.find(({ id }) => id === "model.fp32.layers");
    expect(model?.value).toEqual({ state: "not_collected", reason: reasons.timedOut });
  });

  it("whose probes throw keeps the fields of all others", async () => {
    const broken = (): never => {
      throw new Error("broken");
    };
    const snapshot = await captureEnvironment(
      options,
      toldMachine({ instead: { hostname: broken } }),
    );
    expectComplete(snapshot);
    const value = (id: string): unknown => snapshot.fields.find((field) => field.id === id)?.value;
    expect(value("host.cpu.model")).toEqual({
      state: "not_collected",
      reason: reasons.probeFailed,
    });
    expect(value("client.node")).toMatchObject({ state: "value" });
  });

  it("that is not Linux is read by what systeminformation says", async () => {
    const machine = toldMachine({
      instead: {
        hostFacts: () =>
          Promise.resolve({
            os: "macOS 15",
            kernel: "24.0",
            cpuModel: "Test M9",
            sockets: 1,
            cores: 8,
            logical: 8,
            memoryBytes: 1024,
            swapBytes: 0,
            uptimeS: 5,
            virtual: false,
          }),
      },
    });
    const { fields } = await captureEnvironment(options, machine);
    const value = (id: string): unknown => fields.find((field) => field.id === id)?.value;
    expect(value("host.cpu.model")).toEqual({ state: "value", value: "Test M9" });
    expect(value("host.swap_bytes")).toEqual({ state: "value", value: 0, unit: "B" });
    expect(value("host.virtualization")).toEqual({ state: "value", value: "none" });
  });
});

describe("engines on another machine", () => {
  const elsewhere = {
    name: "gpu-node-7",
    utcOffset: "+08:00",
    ready: () => Promise.resolve(),
    clockOffsetMs: () => Promise.resolve(12.5),
  };
  const there = (parts: Partial<Outside["elsewhere"]> = {}): Outside => ({
    ...toldMachine({
      hostname: "gpu-node-7",
      files: {
        "/proc/sys/kernel/osrelease": "6.8.0-gpu",
        "/proc/sys/kernel/random/boot_id": "b2",
        "/models/m/config.json": `{"num_hidden_layers": 40}`,
        "/models/m/model.safetensors": "weights",
        "/models/m/tokenizer.json": "not this one",
      },
    }),
    elsewhere: { ...elsewhere, ...parts },
  });
  const attached: EngineUnderTest = {
    ...engine,
    variant: "fp8",
    kind: "external",
    model: "/models/m",
    modelFolder: undefined,
    tokenizerPath: "/tokenizers/here",
    url: "http://gpu-node-7:8000",
  };
  const here = toldMachine({
    hostname: "laptop",
    files: {
      "/tokenizers/here/tokenizer.json": "this one",
      "/proc/sys/kernel/random/boot_id": "b1",
    },
  });
  const capture = async (
    host: CaptureOptions["host"],
    parts: Partial<CaptureOptions> = {},
  ): Promise<Map<string, EnvironmentField>> => {
    const engines = [attached, engine];
    const snapshot = await captureEnvironment({ ...options, engines, host, ...parts }, here);
    expectComplete(snapshot);
    return new Map(snapshot.fields.map((field) => [field.id, field]));
  };

  it("are read there, with their models' files; client, tokenizer and launched engines here", async () => {
    const fields = await capture({ kind: "probed", outside: there() });
    const said = (id: string): unknown => {
      const field = fields.get(id);
      return [
        field?.value.state === "value" ? field.value.value : field?.value.state,
        field?.readOn,
      ];
    };
    expect(said("host.kernel")).toEqual(["6.8.0-gpu", "gpu-node-7"]);
    expect(said("host.time_zone")).toEqual(["UTC, +08:00", "gpu-node-7"]);
    expect(said("host.clock_offset_ms")).toEqual([12.5, "gpu-node-7"]);
    expect(fields.get("gpu.count")?.readOn).toBe("gpu-node-7");
    expect(said("model.fp8.layers")).toEqual([40, "gpu-node-7"]);
    expect(said("model.fp8.weights_digest")).toEqual([
      expect.stringMatching(/^sha256:/),
      "gpu-node-7",
    ]);
    expect(said("model.fp8.tokenizer_digest")).toEqual([
      expect.stringMatching(/^sha256:/),
      undefined,
    ]);
    expect(fields.get("model.fp32.layers")?.readOn).toBeUndefined();
    expect(fields.get("client.engine_relation")?.value).toMatchObject({ value: "mixed" });
    expect(fields.get("client.node")?.readOn).toBeUndefined();
  });

  it("are on another host behind a tunnel, and on this one in a container", async () => {
    const tunnelled = { ...attached, url: "http://127.0.0.1:8000" };
    const relation = async (outside: Outside): Promise<unknown> => {
      const fields = await capture({ kind: "probed", outside }, { engines: [tunnelled] });
      const value = fields.get("client.engine_relation")?.value;
      return value?.state === "value" ? value.value : undefined;
    };
    expect(await relation(there())).toBe("other host");
    expect(await relation({ ...there(), readFile: here.readFile.bind(here) })).toBe("same host");
  });

  it("that can't be reached have their fields, each with the reason", async () => {
    const gone = Object.assign(new Error("gone"), { code: "EHOSTUNREACH" });
    const fields = await capture({
      kind: "probed",
      outside: there({ ready: () => Promise.reject(gone) }),
    });
    for (const id of ["host.kernel", "gpu.count", "model.fp8.layers"])
      expect(fields.get(id)?.value, id).toEqual({
        state: "not_collected",
        reason: reasons.hostUnreachable,
      });
    expect(fields.get("client.node")?.value.state).toBe("value");
  });

  it("are as a file tells them, and around trials not told at all", async () => {
    const snapshot = await captureEnvironment({ ...options, engines: [] }, there());
    const file = { name: "gpu-node-7", snapshot, absent: undefined };
    const fields = await capture({ kind: "told", file });
    expect(fields.get("host.kernel")).toMatchObject({
      value: { state: "value", value: "6.8.0-gpu" },
      readOn: "gpu-node-7",
    });
    const light = await capture({ kind: "told", file }, { light: true });
    expect(light.get("host.load_1m")?.value).toEqual({
      state: "not_collected",
      reason: reasons.hostFromFile,
    });
    expect(light.get("engine.fp8.config_digest")).toBeDefined();
  });

  it("told by a file that holds a secret are told without it", async () => {
    const secret = `hf_${"aB3dE5".repeat(5)}`;
    const snapshot = await captureEnvironment({ ...options, engines: [] }, there());
    const planted: EnvironmentSnapshot = {
      ...snapshot,
      fields: snapshot.fields.map((field) =>
        field.id === "host.os" ? { ...field, value: { state: "value", value: secret } } : field,
      ),
      raw: snapshot.raw.map((probe) => ({ ...probe, stdout: `HF_TOKEN=${secret}` })),
    };
    const file = { name: "gpu-node-7", snapshot: planted, absent: undefined };
    const captured = await captureEnvironment({ ...options, host: { kind: "told", file } }, here);
    expect(JSON.stringify(captured)).not.toContain(secret);
  });
});

it("no secret survives, wherever it was planted", async () => {
  const secret = fc
    .tuple(
      fc.constantFrom("", "sk-", "hf_", "ghp_"),
      fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{18,30}[0-9]$/),
    )
    .map(([form, rest]) => form + rest);
  await fc.assert(
    fc.asyncProperty(secret, secret, secret, async (own, engines, typed) => {
      const machine = toldMachine({
        env: { OPENAI_API_KEY: own },
        argv: ["node", "cli.js", "run", "x.yaml", "--token", typed, `--url=http://u:${typed}@h`],
        hostname: `host-${own}`,
        files: {
          "/proc/cmdline": `quiet db.password=${typed} auth=${own}`,
          "/etc/os-release": `PRETTY_NAME="Linux ${own}"`,
          "/sys/class/dmi/id/product_name": own,
          "/m/config.json": `{"architectures": ["${own}"], "api_key": "${typed}"}`,
          [`/m/${own}.safetensors`]: "x",
        },
        commands: {
          "nvidia-smi": { exitCode: 1, stderr: `proxy said Authorization: Bearer ${typed}` },
          git: { exitCode: 128, stderr: `fatal: https://${typed}@host/x.git failed` },
        },
      });
      const snapshot = await captureEnvironment(
        {
          stated: { site: own, other: { password: typed, note: `HF_TOKEN=${typed}` } },
          projectRoot: `/p/${own}`,
          engines: [
            {
              ...engine,
              model: `http://x:${typed}@hub/${own}`,
              modelFolder: "/m",
              tokenizerPath: `/t/${engines}`,
              facts: {
                name: "vllm",
                version: `1+${engines}`,
                argv: ["vllm", "--api-key", typed, `--hf-token=${typed}`],
                env: { HF_TOKEN: engines },
                config: { api_key: typed, note: engines, url: `https://${typed}@h` },
                configDigest: undefined,
                maxModelLen: undefined,
                maxNumSeqs: undefined,
                settings: undisclosedSettings,
                nonDefaultArgs: undefined,
                container: undefined,
              },
            },
          ],
        },
        machine,
      );
      expectComplete(snapshot);
      const stored = JSON.stringify(snapshot);
      for (const planted of [own, engines, typed]) expect(stored).not.toContain(planted);
    }),
    { seed: 7, numRuns: 40 },
  );
});
