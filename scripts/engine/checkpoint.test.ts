import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findCheckpoint } from "./checkpoint.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-checkpoint-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(path: string, value: unknown): void {
  const file = join(folder, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, typeof value === "string" ? value : JSON.stringify(value));
}

const find = (model: string, env = {}, revision?: string) =>
  findCheckpoint(revision === undefined ? { model } : { model, revision }, folder, env);

function problemOf(model: string): string {
  const found = find(model);
  return found !== undefined && "problem" in found ? found.problem : "";
}

describe("a checkpoint", () => {
  it("in a folder says its quantization and its longest context", () => {
    write("m/config.json", {
      max_position_embeddings: 40960,
      rope_parameters: { rope_type: "default" },
      quantization_config: { quant_method: "fp8" },
    });
    expect(find("m")).toEqual({
      folder: join(folder, "m"),
      quantization: { method: "fp8", precisions: ["fp8"] },
      maxPositions: 40960,
    });
  });

  it("whose context is stretched has no longest one that config.json tells", () => {
    write("yarn/config.json", {
      max_position_embeddings: 40960,
      rope_scaling: { rope_type: "yarn", factor: 4 },
    });
    expect(find("yarn")).toMatchObject({ maxPositions: undefined, quantization: undefined });
  });

  it("of a multimodal model says it within text_config, one of ModelOpt in a file of its own", () => {
    write("vl/config.json", {
      text_config: { quantization_config: { quant_method: "gptq", bits: 4 } },
    });
    expect(find("vl")).toMatchObject({ quantization: { precisions: ["gptq", "int4", "q4"] } });
    write("opt/config.json", {});
    write("opt/hf_quant_config.json", { quantization: { quant_algo: "NVFP4" } });
    expect(find("opt")).toMatchObject({ quantization: { precisions: ["nvfp4"] } });
  });

  it("is found by its hub id in the caches of Hugging Face and ModelScope", () => {
    const root = "hub/models--org--name";
    write(`${root}/refs/main`, "abc\n");
    write(`${root}/snapshots/abc/config.json`, { max_position_embeddings: 1 });
    write(`${root}/snapshots/def/config.json`, { max_position_embeddings: 2 });
    const hub = { HF_HUB_CACHE: join(folder, "hub"), MODELSCOPE_CACHE: join(folder, "ms") };
    expect(find("org/name", hub)).toMatchObject({ maxPositions: 1 });
    expect(find("org/name", hub, "def")).toMatchObject({ maxPositions: 2 });
    expect(find("org/name", hub, "ghi")).toBeUndefined();
    write("ms/models/org/name___1/config.json", { max_position_embeddings: 3 });
    expect(find("org/name.1", hub)).toMatchObject({ maxPositions: 3 });
    expect(find("org/other", hub)).toBeUndefined();
  });

  it("that is broken says why", () => {
    mkdirSync(join(folder, "empty"));
    expect(problemOf("empty")).toContain("no config.json");
    write("broken/config.json", "{");
    expect(problemOf("broken")).toContain("can't be read");
  });
});
