import { describe, expect, it } from "vitest";
import type { EngineFacts } from "../engine/engine.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import { engineFields, pythonFields } from "./engine-fields.ts";
import { reasons } from "./reasons.ts";
import { statedFields } from "./stated-fields.ts";
import type { EngineUnderTest } from "./subject.ts";

const at = "2026-01-02T03:04:05.000+00:00";
const options = { at, light: false, secrets: [] };
const facts: EngineFacts = {
  name: "vllm",
  version: "1.0",
  argv: ["vllm", "serve", "--api-key", "abc", "--port", "8000"],
  env: { HF_TOKEN: "abc", OMP_NUM_THREADS: "1" },
  config: { max_num_seqs: 16, port: 8000, api_key: "abc", lora: null, suffix: "" },
  configDigest: "sha256:00",
  maxModelLen: 4096,
  maxNumSeqs: undefined,
  settings: undisclosedSettings,
  nonDefaultArgs: undefined,
  container: undefined,
};
const subject: EngineUnderTest = {
  variant: "fp8",
  kind: "vllm",
  model: "m",
  modelFolder: undefined,
  tokenizerPath: undefined,
  precision: "fp8",
  url: undefined,
  interpreter: undefined,
  facts,
};

describe("what an engine says of itself", () => {
  it("becomes fields without its secrets and without a blank", () => {
    const fields = new Map(engineFields(subject, options).map((field) => [field.id, field]));
    const value = (name: string): unknown => fields.get(`engine.fp8.${name}`)?.value;
    expect(value("argv")).toMatchObject({ value: "vllm serve --api-key '[redacted]' --port 8000" });
    expect(value("env")).toMatchObject({ value: "HF_TOKEN='[redacted]' OMP_NUM_THREADS=1" });
    expect(value("config.max_num_seqs")).toEqual({ state: "value", value: 16 });
    expect(value("config.api_key")).toMatchObject({ state: "redacted" });
    expect(value("config.lora")).toEqual({ state: "value", value: "none" });
    expect(value("config.suffix")).toEqual({ state: "value", value: '""' });
    expect(value("max_num_seqs")).toEqual({ state: "not_collected", reason: reasons.notDisclosed });
    expect(fields.get("engine.fp8.config.port")?.class).toBe("context");
    expect(fields.get("engine.fp8.config.max_num_seqs")?.class).toBe("comparability");
  });

  it("is its configuration's digest alone in the light form", () => {
    const ids = engineFields(subject, { ...options, light: true }).map(({ id }) => id);
    expect(ids).toEqual(["engine.fp8.config_digest"]);
  });

  it("states its absence where the engine is not running, was started elsewhere or does not tell", () => {
    const state = (parts: Partial<EngineUnderTest>, name: string): unknown =>
      engineFields({ ...subject, ...parts }, options).find(({ id }) => id === `engine.fp8.${name}`)
        ?.value;
    expect(state({ facts: undefined }, "config")).toMatchObject({ reason: reasons.notStarted });
    const attached = {
      interpreter: undefined,
      facts: { ...facts, argv: undefined, config: undefined, version: undefined },
    };
    expect(state(attached, "argv")).toMatchObject({ state: "not_applicable" });
    expect(state(attached, "config")).toMatchObject({ reason: reasons.notDisclosed });
    expect(state(attached, "version")).toMatchObject({ reason: reasons.notDisclosed });
  });
});

describe("Python", () => {
  it("does not apply to the embedded engine and was not asked of others", () => {
    const states = (kinds: EngineUnderTest["kind"][]): Set<string> =>
      new Set(
        pythonFields(
          kinds.map((kind) => ({ ...subject, kind })),
          at,
        ).map(({ value }) => value.state),
      );
    expect(states(["embedded", "embedded"])).toEqual(new Set(["not_applicable"]));
    expect(states(["embedded", "vllm"])).toEqual(new Set(["not_collected"]));
  });
});

describe("what the user states", () => {
  it("is marked as the user's word, each under a slug of its own", () => {
    const fields = statedFields(
      {
        site: "DC 4",
        operator: " ",
        price: { perGpuHour: 2.5, currency: "USD" },
        other: { "Rack No.": "7", "rack no": "8", 机房: "北区", "API key": "abc", Site: "again" },
      },
      at,
      [],
    );
    expect(fields.every(({ source }) => source === "user")).toBe(true);
    expect(Object.fromEntries(fields.map(({ id, value }) => [id, value]))).toMatchObject({
      "user.site": { value: "DC 4" },
      "user.node": { state: "not_collected", reason: reasons.notStated },
      "user.operator": { state: "not_collected" },
      "user.price": { value: 2.5, unit: "USD/GPU/h" },
      "user.rack-no": { value: "7" },
      "user.rack-no-2": { value: "8" },
      "user.机房": { value: "北区" },
      "user.api-key": { state: "redacted" },
      "user.site-2": { value: "again" },
    });
  });
});
