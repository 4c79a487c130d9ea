import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Variant, VllmEngine } from "../experiment/experiment.ts";
import { check } from "./vllm-check.ts";
import { interpreterOf } from "./vllm-programs.ts";

let folder = "";
const environment = { PATH: process.env["PATH"], VLLM_VENV: process.env["VLLM_VENV"] };
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-check-"));
  for (const path of ["venv/bin", "empty", "m", "fp8"]) {
    mkdirSync(join(folder, path), { recursive: true });
  }
  program("venv/bin/python", "#!/bin/sh\n");
  program("venv/bin/vllm", "#!/opt/v/bin/python3.12\n");
  program("venv/bin/long", `#!/bin/sh\n'''exec' "/opt/a long/x/bin/python" "$0" "$@"\n' '''\n`);
  program("venv/bin/trampoline", `#!/bin/sh\n'''exec' /opt/v/bin/python "$0" "$@"\n' '''\n`);
  writeFileSync(join(folder, "m/config.json"), '{"max_position_embeddings": 4096}');
  writeFileSync(
    join(folder, "fp8/config.json"),
    '{"quantization_config": {"quant_method": "fp8"}}',
  );
  delete process.env["VLLM_VENV"];
  process.env["PATH"] = "/usr/bin:/bin";
});
afterAll(() => {
  Object.assign(process.env, environment);
  if (environment.VLLM_VENV === undefined) delete process.env["VLLM_VENV"];
  rmSync(folder, { recursive: true });
});

function program(path: string, text: string): void {
  writeFileSync(join(folder, path), text);
  chmodSync(join(folder, path), 0o755);
}

/** @param engine.venv "": none */
const problemsOf = (
  { venv = "venv", ...engine }: Partial<VllmEngine>,
  variant: Partial<Omit<Variant, "engine">> = {},
  longestRequestTokens?: number,
) =>
  check(
    {
      ...{ name: "v", model: "m", precision: "auto", ...variant },
      engine: {
        ...{ kind: "vllm", name: "e", port: "auto", readyMs: 1, prefix: [], env: {}, args: {} },
        ...(venv === "" ? {} : { venv }),
        ...engine,
      },
    },
    { longestRequestTokens, largestConcurrency: 1 },
    { projectRoot: folder },
  );

describe("a vLLM that can be started", () => {
  it("has no problems, also as a hub id that is not on this host", async () => {
    expect(await problemsOf({}, {}, 4096)).toEqual([]);
    expect(await problemsOf({}, { model: "Qwen/Qwen3-14B" }, 100_000)).toEqual([]);
    expect(await problemsOf({ args: { "max-model-len": "16k" } }, {}, 16_000)).toEqual([]);
  });
});

describe("what is wrong with a vLLM", () => {
  it.each<[string, Partial<VllmEngine>, Partial<Omit<Variant, "engine">>, string, string]>([
    ["no environment", { venv: "gone" }, {}, "gone does not exist", "engines.e.venv"],
    ["no vLLM in it", { venv: "empty" }, {}, "bin/python is missing", "engines.e.venv"],
    ["no vllm on PATH", { venv: "" }, {}, "no program `vllm` on PATH", "engines.e"],
    ["no interpreter", { venv: "", python: "./py" }, {}, "interpreter ./py", "engines.e.python"],
    ["no command", { venv: "", command: ["serve-it"] }, {}, "serve-it", "engines.e.command"],
    ["no prefix", { prefix: ["pin-it"] }, {}, "pin-it is not on PATH", "engines.e.prefix"],
    [
      "no runtime",
      { container: { image: "i", runtime: "podman" } },
      {},
      "podman",
      "engines.e.container",
    ],
    ["no model folder", {}, { model: "./gone" }, "./gone does not exist", "variants.v.model"],
    ["no config.json", {}, { model: "empty" }, "holds no config.json", "variants.v.model"],
    ["no tokenizer", {}, { tokenizer: "gone" }, "tokenizer gone", "variants.v.tokenizer"],
    ["a port in args", { args: { port: 1 } }, {}, "can't hold port", "variants.v.args"],
    ["a socket", { args: { uds: "/s" } }, {}, "can't hold uds", "variants.v.args"],
    [
      ...([
        "a claim that the weights contradict",
        {},
        { model: "fp8", precision: "nvfp4" },
      ] as const),
      ...(["claimed to be nvfp4", "variants.v.precision"] as const),
    ],
  ])("%s is named with its place", async (_name, engine, variant, says, where) => {
    const problems = await problemsOf(engine, variant);
    expect(problems.map((problem) => problem.where)).toEqual([where]);
    expect(problems[0]?.what).toContain(says);
    expect(problems[0]?.mend).not.toBe("");
  });

  it("is a request that is longer than max-model-len, or than the model allows", async () => {
    const [written] = await problemsOf({ args: { max_model_len: 2048 } }, {}, 3000);
    expect(written?.what).toBe(
      "input + output is 3000 tokens, more than the 2048 of max-model-len",
    );
    const [ofModel] = await problemsOf({}, {}, 5000);
    expect(ofModel?.what).toBe(
      "input + output is 5000 tokens, more than the 4096 that the model allows",
    );
  });

  it("is a prefix before a container", async () => {
    const container = { image: "i", runtime: "podman" } as const;
    const problems = await problemsOf({ container, prefix: ["nice"] });
    expect(problems.at(-1)?.mend).toContain("--cpuset-cpus");
  });
});

describe("the interpreter of a program", () => {
  it("stands in its first lines", () => {
    const of = (name: string) => interpreterOf(join(folder, "venv/bin", name));
    expect(of("vllm")).toBe("/opt/v/bin/python3.12");
    expect(of("trampoline")).toBe("/opt/v/bin/python");
    expect(of("python")).toBeUndefined();
    expect(of("gone")).toBeUndefined();
  });
});
