import { describe, expect, it } from "vitest";
import type { EngineFacts } from "../engine/engine.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import { engineFields, isSettingOfItsOwn } from "./engine-fields.ts";
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

describe("settings, arguments and container", () => {
  const valueOf = (parts: Partial<EngineUnderTest>, name: string): unknown =>
    engineFields({ ...subject, ...parts }, options).find(({ id }) => id === `engine.fp8.${name}`)
      ?.value;

  it("are fields of their own, each in some state", () => {
    const settings = { ...undisclosedSettings, dtype: "bfloat16", kvCacheTokens: 1856 };
    const told = { ...subject, facts: { ...facts, settings } };
    expect(valueOf(told, "dtype")).toEqual({ state: "value", value: "bfloat16" });
    expect(valueOf(told, "attention_backend")).toMatchObject({ reason: reasons.notDisclosed });
    expect(valueOf({ facts: undefined }, "dtype")).toMatchObject({ reason: reasons.notStarted });
    const ofClass = (fieldClass: string): readonly string[] =>
      engineFields(told, options).flatMap((field) =>
        field.class === fieldClass ? [field.id] : [],
      );
    // What memory is free at a start is no setting.
    expect(ofClass("context")).toContain("engine.fp8.kv_cache_tokens");
    expect(ofClass("comparability")).toContain("engine.fp8.dtype");
  });

  it("show arguments without places and secrets", () => {
    const nonDefaultArgs = {
      model: "/m",
      port: 8000,
      api_key: "abc",
      max_num_seqs: 16,
      lora_modules: null,
      trust_remote_code: true,
    };
    expect(valueOf({ facts: { ...facts, nonDefaultArgs } }, "non_default_args")).toEqual({
      state: "value",
      value: "api_key='[redacted]' lora_modules=none max_num_seqs=16 trust_remote_code=true",
    });
    expect(valueOf({}, "non_default_args")).toMatchObject({ reason: reasons.notDisclosed });
    expect(valueOf({ facts: { ...facts, nonDefaultArgs: {} } }, "non_default_args")).toMatchObject({
      state: "not_applicable",
      reason: reasons.defaultArguments,
    });
  });

  it("name the container, that there is none, or that nobody knows", () => {
    const container = { runtime: "docker 28.1", name: "b-1", image: "v:1", digest: undefined };
    expect(valueOf({ facts: { ...facts, container } }, "container.image")).toMatchObject({
      value: "v:1",
    });
    expect(valueOf({ facts: { ...facts, container } }, "container.digest")).toMatchObject({
      reason: reasons.notDisclosed,
    });
    expect(valueOf({}, "container.image")).toMatchObject({ reason: reasons.noContainer });
    expect(valueOf({ kind: "external" }, "container.image")).toMatchObject({
      reason: reasons.containerUnknown,
    });
  });
});

describe("a setting of the engine's own", () => {
  it.each([
    ["vllm_config.scheduler_config.max_num_seqs", true],
    ["vllm_env.VLLM_USE_DEEP_GEMM", true],
    ["vllm_env.VLLM_DISABLE_COMPILE_CACHE", true],
    ["max_model_len", true],
    ["port", false],
    ["vllm_config.parallel_config._data_parallel_master_port_list", false],
    ["vllm_config.instance_id", false],
    ["vllm_config.cache_config.num_gpu_blocks", false],
    ["vllm_config.cache_config.kv_cache_memory_bytes", false],
    ["vllm_env.VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME", false],
    ["vllm_env.VLLM_CACHE_ROOT", false],
    ["system_env.os", false],
    ["random_seed", false],
  ])("%s: %s", (name, own) => {
    expect(isSettingOfItsOwn(name)).toBe(own);
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
