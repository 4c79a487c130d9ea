import { describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import type { Variant } from "../experiment/experiment.ts";
import { reading } from "../stats/fixtures/trials.ts";
import { findingsOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import {
  experiment,
  healthy,
  onMachine,
  pointName,
  samplesOf,
  settings,
  startSaying,
  withSamples,
} from "./fixtures/run.ts";
import type { AuditInput } from "./rule.ts";

const variant = experiment.variants[0];
if (variant === undefined) throw new Error("the experiment has a variant");

const withEngine = (engine: Partial<Variant["engine"]>, input = healthy): AuditInput => ({
  ...input,
  experiment: {
    ...input.experiment,
    variants: [{ ...variant, engine: { ...variant.engine, ...engine } as Variant["engine"] }],
  },
});
const saying = (facts: Parameters<typeof startSaying>[1], input = healthy): AuditInput => ({
  ...input,
  starts: [1, 2, 3].map((round) => startSaying(round, facts)),
});
const set = (changes: Partial<typeof settings>, input = healthy): AuditInput =>
  saying({ settings: { ...settings, ...changes } }, input);
const silent = { settings: undisclosedSettings, config: undefined };

const vllm: Variant["engine"] = {
  kind: "vllm",
  name: "vllm",
  port: "auto",
  args: {},
  env: {},
  readyMs: 1,
  prefix: [],
};

describe("E9, engine limits", () => {
  it("blocks requests longer than the model allows and more streams than the engine runs", () => {
    expect(findingsOf("E9", saying({ maxModelLen: 104 }))).toMatchObject([
      { severity: "block", where: "fp32", evidence: { maxModelLen: 104, longestRequest: 105 } },
    ]);
    expect(findingsOf("E9", saying({ maxNumSeqs: 8 }))).toMatchObject([
      { evidence: { maxNumSeqs: 8, plannedConcurrency: 10 } },
    ]);
  });

  it("passes a limit that the experiment declares", () => {
    expect(
      passes("E9", withEngine({ args: { "max-num-seqs": 8 } }, saying({ maxNumSeqs: 8 }))),
    ).toBe(true);
    expect(passes("E9", healthy)).toBe(true);
  });

  const machine = (gpus: number): AuditInput =>
    onMachine({ "client.engine_relation": "same host", "gpu.count": gpus });

  it("blocks a parallelism without its GPUs, as the experiment asks for it", () => {
    const args = { "tensor-parallel-size": 2 };
    expect(findingsOf("E9", withEngine({ args }, machine(1)))).toMatchObject([
      { evidence: { needed: 2, visible: 1 } },
    ]);
    expect(whyNot("E9", withEngine({ args }))[0]).toContain("another host");
    expect(passes("E9", withEngine({ args }, machine(2)))).toBe(true);
  });

  it("takes the parallelism that the engine itself tells, of a server that was attached to as well", () => {
    const wide = { tensorParallel: 2, pipelineParallel: 2, dataParallel: 2 };
    expect(findingsOf("E9", set(wide, machine(4)))).toMatchObject([
      { evidence: { needed: 8, visible: 4 } },
    ]);
    const args = { "tensor-parallel-size": 8 };
    const single = { tensorParallel: 1, pipelineParallel: 1, dataParallel: 1 };
    expect(passes("E9", withEngine({ args }, set(single, machine(1))))).toBe(true);
  });

  it("counts the instances of a GPU that is cut", () => {
    const cut = onMachine({
      "client.engine_relation": "same host",
      "gpu.count": 1,
      "gpu.0.mig.current": "Enabled",
      "gpu.0.mig.device_count": 2,
    });
    expect(passes("E9", set({ dataParallel: 2 }, cut))).toBe(true);
    expect(findingsOf("E9", set({ dataParallel: 3 }, cut))).toMatchObject([
      { evidence: { needed: 3, visible: 2 } },
    ]);
  });

  it("takes a running server that needs more than its host has for one on several hosts", () => {
    const server = { kind: "external", name: "server", url: "http://127.0.0.1:1", headers: {} };
    const input = withEngine(server as Variant["engine"], set({ tensorParallel: 16 }, machine(8)));
    expect(findingsOf("E9", input)).toEqual([]);
    expect(whyNot("E9", input)[0]).toContain("it spans several hosts");
  });

  it("is not checked where the engine tells no limit", () => {
    expect(whyNot("E9", saying({ maxModelLen: undefined, maxNumSeqs: undefined }))).toHaveLength(2);
  });
});

describe("E13, undeclared debug settings", () => {
  it("fails eager execution that the experiment does not declare, and passes what it does", () => {
    const eager = set({ enforceEager: true });
    expect(findingsOf("E13", eager)).toMatchObject([
      { severity: "fail", where: "fp32", evidence: { settings: "enforce-eager" } },
    ]);
    expect(passes("E13", withEngine({ args: { "enforce-eager": true } }, eager))).toBe(true);
    expect(passes("E13", withEngine({ args: { enforce_eager: true } }, eager))).toBe(true);
    expect(passes("E13", set({ enforceEager: false }))).toBe(true);
  });

  it("fails random weights that the experiment does not declare", () => {
    const dummy = set({ loadFormat: "dummy" });
    expect(findingsOf("E13", dummy)).toMatchObject([{ evidence: { settings: "load-format" } }]);
    expect(passes("E13", withEngine({ args: { "load-format": "dummy" } }, dummy))).toBe(true);
    expect(passes("E13", set({ loadFormat: "auto" }))).toBe(true);
  });

  it("looks into the environment that we set and the arguments that the engine printed", () => {
    const env = {
      VLLM_LOGGING_LEVEL: "DEBUG",
      VLLM_TORCH_PROFILER_DIR: "traces",
      OMP_NUM_THREADS: "1",
    };
    const nonDefaultArgs = {
      uvicorn_log_level: "debug",
      profiler_config: '{"profiler":"torch"}',
      port: 8001,
    };
    expect(findingsOf("E13", saying({ env, nonDefaultArgs }))).toMatchObject([
      {
        evidence: {
          settings:
            "uvicorn-log-level, profiler-config, VLLM_LOGGING_LEVEL, VLLM_TORCH_PROFILER_DIR",
        },
      },
    ]);
    const quiet = {
      env: { VLLM_LOGGING_LEVEL: "INFO", VLLM_TORCH_PROFILER_DIR: "" },
      nonDefaultArgs: { uvicorn_log_level: "warning", profiler_config: null },
    };
    expect(passes("E13", saying(quiet))).toBe(true);
    expect(passes("E13", withEngine({ env }, saying({ env })))).toBe(true);
  });

  it("finds debug logging and a profiler in the configuration that a server resolved", () => {
    const config = {
      "logging_config.log_level": "DEBUG",
      "vllm_env.VLLM_LOGGING_LEVEL": "DEBUG",
      "profiler_config.profiler": "torch",
      "profiler_config.torch_profiler_with_stack": true,
    };
    expect(findingsOf("E13", saying({ config }))).toMatchObject([
      { evidence: { settings: "VLLM_LOGGING_LEVEL, profiler-config" } },
    ]);
    const env = { VLLM_LOGGING_LEVEL: "DEBUG" };
    const args = { "profiler-config": "{}" };
    expect(passes("E13", withEngine({ env, args }, saying({ config, env })))).toBe(true);
    const quiet = { "logging_config.log_level": "INFO", "profiler_config.profiler": null };
    expect(passes("E13", saying({ config: quiet }))).toBe(true);
  });

  it("is not checked where the engine tells nothing of itself", () => {
    expect(whyNot("E13", saying(silent))).toEqual([
      "the engine does not disclose its configuration",
    ]);
    expect(passes("E13", healthy)).toBe(true);
  });
});

describe("E14, settings that decide speed", () => {
  const full = {
    attentionBackend: "FLASH_ATTN",
    cudaGraphs: "full_and_piecewise",
    chunkedPrefill: true,
    prefixCaching: true,
    speculative: "none",
  };

  it("asks a vLLM for everything and the embedded engine for what it has", () => {
    expect(passes("E14", healthy)).toBe(true);
    expect(findingsOf("E14", withEngine(vllm))).toMatchObject([
      {
        severity: "fail",
        seen: {
          en: "not disclosed: attention backend, CUDA graph mode, speculative decoding",
        },
        evidence: { missing: "attention_backend cuda_graphs speculative" },
      },
    ]);
    expect(passes("E14", withEngine(vllm, set(full)))).toBe(true);
    expect(findingsOf("E14", set({ prefixCaching: undefined }))).toMatchObject([
      { evidence: { missing: "prefix_caching" } },
    ]);
  });

  it("takes eager execution for an answer about CUDA graphs, and a host without GPUs for none", () => {
    const unsaid = { ...full, cudaGraphs: undefined };
    expect(findingsOf("E14", withEngine(vllm, set(unsaid)))).toMatchObject([
      { evidence: { missing: "cuda_graphs" } },
    ]);
    expect(passes("E14", withEngine(vllm, set({ ...unsaid, enforceEager: true })))).toBe(true);
    const bare = onMachine({ "client.engine_relation": "same host" });
    expect(passes("E14", withEngine(vllm, set(unsaid, bare)))).toBe(true);
  });

  it("is not checked where the engine tells nothing of itself", () => {
    expect(whyNot("E14", saying(silent))[0]).toContain("see E6");
  });

  const speculating = { ...full, speculative: "ngram, 5 tokens" };

  it("fails speculative decoding without its acceptance, point by point", () => {
    expect(findingsOf("E14", withEngine(vllm, set(speculating)))).toMatchObject([
      {
        severity: "fail",
        where: pointName,
        seen: {
          en: "speculative decoding is on (ngram, 5 tokens), and its acceptance length is not recorded",
        },
      },
    ]);
  });

  it("passes speculative decoding whose acceptance length is known", () => {
    const counted = withSamples(
      [1, 2, 3].map((round) => ({
        ...samplesOf(round),
        engine: [
          reading(0, { draftsTotal: 0, acceptedTokensTotal: 0 }),
          reading(200_000, { draftsTotal: 400, acceptedTokensTotal: 300 }),
        ],
      })),
    );
    expect(passes("E14", withEngine(vllm, set(speculating, counted)))).toBe(true);
  });
});
