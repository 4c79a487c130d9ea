import { describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import { toldMachine } from "../testing/told-machine.ts";
import { findModel } from "./model-cache.ts";
import type { Outside } from "./outside.ts";
import { reasons } from "./reasons.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const other = "89abcdef0123456789abcdef0123456789abcdef";
const hub = "/home/u/.cache/huggingface/hub/models--Qwen--Qwen3-14B-FP8";
const subject = {
  model: "Qwen/Qwen3-14B-FP8",
  modelFolder: undefined,
  revision: undefined,
  facts: undefined,
};

function machine(paths: readonly string[], env: Record<string, string> = {}): Outside {
  const files = Object.fromEntries(
    paths.map((path) => [path, path.includes("/refs/") ? commit : "{}"]),
  );
  return toldMachine({ files, env: { HOME: "/home/u", ...env } });
}

describe("a model known by its hub id", () => {
  const both = [
    `${hub}/refs/main`,
    `${hub}/snapshots/${commit}/config.json`,
    `${hub}/snapshots/${other}/config.json`,
  ];

  it("lies where the hub's cache keeps the main branch, or the revision that was asked for", async () => {
    expect(await findModel(machine(both), subject)).toEqual({
      folder: `${hub}/snapshots/${commit}`,
    });
    expect(await findModel(machine(both), { ...subject, revision: other })).toEqual({
      folder: `${hub}/snapshots/${other}`,
    });
  });

  it("is not taken for another revision than the one that was asked for", async () => {
    const asked = { ...subject, revision: "v2" };
    expect(await findModel(machine(both), asked)).toEqual({
      folder: undefined,
      reason: reasons.modelNotCached,
    });
  });

  it("is its only snapshot where no branch is noted, and none of several", async () => {
    const [, one = "", two = ""] = both;
    expect(await findModel(machine([one]), subject)).toEqual({
      folder: `${hub}/snapshots/${commit}`,
    });
    expect((await findModel(machine([one, two]), subject)).folder).toBeUndefined();
  });

  it("is looked for where the variables say, the engine's before the machine's", async () => {
    const path = `/data/hf/hub/models--Qwen--Qwen3-14B-FP8/snapshots/${commit}`;
    expect(
      await findModel(machine([`${path}/config.json`], { HF_HOME: "/data/hf" }), subject),
    ).toEqual({ folder: path });
    const facts = {
      name: "vllm",
      version: undefined,
      argv: undefined,
      env: { HF_HUB_CACHE: "/data/hf/hub" },
      config: undefined,
      configDigest: undefined,
      maxModelLen: undefined,
      maxNumSeqs: undefined,
      settings: undisclosedSettings,
      nonDefaultArgs: undefined,
      container: undefined,
    };
    expect(await findModel(machine([`${path}/config.json`]), { ...subject, facts })).toEqual({
      folder: path,
    });
  });

  it.each([
    ["/home/u/.cache/modelscope/hub/models/Qwen/Qwen3-1___7B", {}],
    ["/home/u/.cache/modelscope/hub/Qwen/Qwen3-1.7B", {}],
    ["/data/ms/models/Qwen/Qwen3-1.7B", { MODELSCOPE_CACHE: "/data/ms" }],
    ["/data/ms/hub/Qwen/Qwen3-1___7B", { MODELSCOPE_CACHE: "/data/ms" }],
  ])("of ModelScope lies at %s", async (folder, env) => {
    const found = await findModel(machine([`${folder}/config.json`], env), {
      ...subject,
      model: "Qwen/Qwen3-1.7B",
    });
    expect(found).toEqual({ folder });
  });
});

describe("a model known by the name under which it is served", () => {
  it("is what the engine says that it loaded", async () => {
    const facts = {
      name: "vllm",
      version: undefined,
      argv: undefined,
      env: {},
      config: { "model_config.model": "/models/qwen3", "model_config.dtype": "bfloat16" },
      configDigest: undefined,
      maxModelLen: undefined,
      maxNumSeqs: undefined,
      settings: undisclosedSettings,
      nonDefaultArgs: undefined,
      container: undefined,
    };
    const served = { ...subject, model: "chat", facts };
    expect(await findModel(machine(["/models/qwen3/config.json"]), served)).toEqual({
      folder: "/models/qwen3",
    });
    expect(await findModel(machine([]), served)).toMatchObject({ reason: reasons.modelNotCached });
  });

  it("stays a name where the engine does not say", async () => {
    expect(await findModel(machine([]), { ...subject, model: "chat" })).toEqual({
      folder: undefined,
      reason: reasons.noModelFolder,
    });
  });

  it("is not looked for on another machine at the path where this one has it", async () => {
    const elsewhere = {
      name: "gpu-node-7",
      utcOffset: "+08:00",
      ready: () => Promise.resolve(),
      clockOffsetMs: () => Promise.resolve(undefined),
    };
    const there = { ...machine([`/here/config.json`]), elsewhere };
    const known = { ...subject, model: "models/qwen3", modelFolder: "/here" };
    expect(await findModel(machine([]), known)).toEqual({ folder: "/here" });
    expect((await findModel(there, known)).folder).toBeUndefined();
  });
});
