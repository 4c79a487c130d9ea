// Rules about settings: that the engine's limits hold the plan, and that what decides its speed is known.
import type { LocalText, Variant } from "../experiment/experiment.ts";
import { gpuPresence } from "./gpu-presence.ts";
import {
  type AuditInput,
  eachVariant,
  found,
  isLaunched,
  notChecked,
  type Outcome,
  type ReadyStart,
  type ReadyStarts,
  type Rule,
  settingOf,
} from "./rule.ts";

export const settingsRules: readonly Rule[] = [
  {
    id: "E9",
    severity: "block",
    name: { zh: "引擎容量", en: "Engine limits" },
    text: {
      zh: "最大长度容得下输入加输出，并发上限容得下计划并发或已声明，GPU 数够并行度用",
      en: "the model length holds input + output, the sequence limit holds the planned concurrency or is declared, and there are GPUs for the parallelism",
    },
    needs: { zh: "引擎自述，请求长度", en: "the engine's own report, request lengths" },
    check: (input) => eachVariant(input, (variant, starts) => checkLimits(input, variant, starts)),
  },
  {
    id: "E13",
    severity: "fail",
    name: { zh: "未声明的调试设置", en: "Undeclared debug settings" },
    text: {
      zh: "没有未声明的 enforce-eager、调试日志或性能剖析",
      en: "no enforce-eager, debug logging or profiler that the experiment does not declare",
    },
    needs: { zh: "生效配置，环境变量", en: "resolved configuration, environment variables" },
    check: (input) => eachVariant(input, checkDebug),
  },
  {
    id: "E14",
    severity: "fail",
    name: { zh: "引擎关键设置", en: "Settings that decide speed" },
    text: {
      zh: "注意力后端、CUDA graph、分块预填充、前缀缓存、投机解码的设置已知",
      en: "attention backend, CUDA graph mode, chunked prefill, prefix caching and speculative decoding are known",
    },
    needs: { zh: "生效配置", en: "resolved configuration" },
    check: (input) =>
      eachVariant(input, (variant, starts) => checkSettings(input, variant, starts)),
  },
];

function checkLimits(input: AuditInput, variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const facts = starts.at(-1)?.facts;
  const own = input.measured.filter(({ estimates }) => estimates.variant === variant.name);
  const outcomes: Outcome[] = [];
  const requests = own.flatMap(({ samples }) => samples.flatMap((trial) => trial.requests));
  const longest = requests.reduce(
    (most, one) => Math.max(most, one.plannedInputTokens + one.plannedOutputTokens),
    0,
  );
  if (facts?.maxModelLen === undefined) {
    outcomes.push(
      notChecked(variant.name, "引擎没有公开最大长度", "the engine does not tell its model length"),
    );
  } else if (facts.maxModelLen < longest) {
    outcomes.push(
      tooSmall(variant, {
        seen: {
          zh: `最大长度 ${facts.maxModelLen} token，请求长 ${longest} token`,
          en: `model length ${facts.maxModelLen} tokens, requests of ${longest} tokens`,
        },
        mend: { zh: "增大 max-model-len", en: "raise max-model-len" },
        evidence: { maxModelLen: facts.maxModelLen, longestRequest: longest },
      }),
    );
  }
  const concurrency = Math.max(0, ...own.map(({ estimates }) => estimates.plannedConcurrency ?? 0));
  if (facts?.maxNumSeqs === undefined) {
    outcomes.push(
      notChecked(
        variant.name,
        "引擎没有公开并发上限",
        "the engine does not tell its sequence limit",
      ),
    );
  } else if (facts.maxNumSeqs < concurrency && argumentOf(variant, "max-num-seqs") === undefined) {
    outcomes.push(
      tooSmall(variant, {
        seen: {
          zh: `引擎并发上限 ${facts.maxNumSeqs}，计划并发 ${concurrency}，实验文件没有声明这一上限`,
          en: `the engine runs at most ${facts.maxNumSeqs} sequences, planned concurrency is ${concurrency}, and the experiment does not declare the limit`,
        },
        mend: {
          zh: "增大 max-num-seqs，或在 args 中写明它",
          en: "raise max-num-seqs, or write it into args",
        },
        evidence: { maxNumSeqs: facts.maxNumSeqs, plannedConcurrency: concurrency },
      }),
    );
  }
  return [...outcomes, ...checkParallelism(input, variant)];
}

function checkParallelism(input: AuditInput, variant: Variant): readonly Outcome[] {
  const sizes = ["tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"].map(
    (name) => Number(argumentOf(variant, name) ?? 1),
  );
  const needed = sizes.reduce((a, b) => a * b);
  if (needed <= 1) return [];
  const presence = gpuPresence(input);
  if (presence.kind === "unknown") {
    return [{ kind: "not_checked", where: variant.name, why: presence.why }];
  }
  const count = presence.kind === "none" ? 0 : presence.count;
  if (count >= needed) return [];
  return [
    tooSmall(variant, {
      seen: {
        zh: `并行度需要 ${needed} 块 GPU，可见 ${count} 块`,
        en: `the parallelism needs ${needed} GPUs, ${count} are visible`,
      },
      mend: {
        zh: "减小并行度，或给出更多 GPU",
        en: "lower the parallelism, or make more GPUs visible",
      },
      evidence: { needed, visible: count },
    }),
  ];
}

function tooSmall(
  variant: Variant,
  parts: {
    readonly seen: LocalText;
    readonly mend: LocalText;
    readonly evidence: Readonly<Record<string, number>>;
  },
): Outcome {
  return found({
    severity: "block",
    where: variant.name,
    expected: { zh: "上限容得下计划的负载", en: "limits that hold the planned load" },
    ...parts,
  });
}

function checkDebug(variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const facts = starts.at(-1)?.facts;
  if (facts?.config === undefined) {
    return [
      notChecked(
        variant.name,
        "引擎没有公开生效配置",
        "the engine does not disclose its configuration",
      ),
    ];
  }
  const declared = variant.engine.kind === "external" ? {} : variant.engine.env;
  const undeclared: string[] = [];
  if (
    settingOf(facts.config, "enforce_eager") === true &&
    argumentOf(variant, "enforce-eager") === undefined
  ) {
    undeclared.push("enforce-eager");
  }
  for (const [name, value] of Object.entries(facts.env)) {
    const debugs = /LOG(GING)?_LEVEL$/.test(name) && /^(debug|trace)$/i.test(value);
    if ((debugs || name.includes("PROFILER")) && declared[name] === undefined)
      undeclared.push(name);
  }
  if (undeclared.length === 0) return [];
  const list = undeclared.join(", ");
  return [
    found({
      severity: "fail",
      where: variant.name,
      seen: { zh: `未声明：${list}`, en: `not declared: ${list}` },
      expected: { zh: "实验文件写明，或没有", en: "declared in the experiment file, or absent" },
      mend: isLaunched(variant)
        ? { zh: "去掉它，或写进 args、env", en: "drop it, or write it into args or env" }
        : {
            zh: "请服务方去掉它；确属有意的，写明理由豁免 E13",
            en: "ask whoever runs the server to drop it; where it is meant, waive E13 with the reason",
          },
      evidence: { settings: list },
    }),
  ];
}

interface DecisiveSetting {
  readonly keys: readonly string[];
  readonly name: LocalText;
  /** Has a meaning only where there is a GPU. */
  readonly gpuOnly?: true;
  /** An engine of a kind that has no such feature has nothing to disclose. */
  readonly embedded: boolean;
}

const decisiveSettings: readonly DecisiveSetting[] = [
  {
    keys: ["attention_backend", "attention_config.backend"],
    name: { zh: "注意力后端", en: "attention backend" },
    embedded: false,
  },
  {
    keys: ["cudagraph_mode", "enforce_eager", "disable_cuda_graph"],
    name: { zh: "CUDA graph", en: "CUDA graph mode" },
    gpuOnly: true,
    embedded: false,
  },
  {
    keys: ["enable_chunked_prefill", "chunked_prefill_enabled", "chunked_prefill_size"],
    name: { zh: "分块预填充", en: "chunked prefill" },
    embedded: true,
  },
  {
    keys: ["enable_prefix_caching", "disable_radix_cache"],
    name: { zh: "前缀缓存", en: "prefix caching" },
    embedded: true,
  },
  {
    keys: ["speculative_config", "speculative_algorithm"],
    name: { zh: "投机解码", en: "speculative decoding" },
    embedded: false,
  },
];

function checkSettings(
  input: AuditInput,
  variant: Variant,
  starts: ReadyStarts,
): readonly Outcome[] {
  const config = starts.at(-1)?.facts.config;
  if (config === undefined) {
    return [
      notChecked(
        variant.name,
        "生效配置未公开（见 E6）",
        "the resolved configuration is not disclosed (see E6)",
      ),
    ];
  }
  const keys = Object.keys(config);
  const discloses = (name: string): boolean => keys.some((key) => `.${key}.`.includes(`.${name}.`));
  const noGpu = gpuPresence(input).kind === "none";
  const missing = decisiveSettings
    .filter(({ embedded }) => embedded || variant.engine.kind !== "embedded")
    .filter(({ gpuOnly }) => gpuOnly !== true || !noGpu)
    .filter((setting) => !setting.keys.some(discloses));
  const outcomes: Outcome[] = [];
  if (missing.length > 0) {
    outcomes.push(
      found({
        severity: "fail",
        where: variant.name,
        seen: {
          zh: `未公开：${missing.map(({ name }) => name.zh).join("、")}`,
          en: `not disclosed: ${missing.map(({ name }) => name.en).join(", ")}`,
        },
        expected: { zh: "已知", en: "known" },
        mend: {
          zh: "让引擎报告生效配置（vLLM：VLLM_SERVER_DEV_MODE=1），或在 args 中写明",
          en: "let the engine report its configuration (vLLM: VLLM_SERVER_DEV_MODE=1), or set it in args",
        },
        evidence: { missing: missing.map(({ keys: [key] }) => key ?? "").join(" ") },
      }),
    );
  }
  return [...outcomes, ...checkSpeculation(variant, config)];
}

/** Speculative decoding makes speed a property of the text; without its acceptance it says nothing. */
function checkSpeculation(
  variant: Variant,
  config: NonNullable<ReadyStart["facts"]["config"]>,
): readonly Outcome[] {
  const on = Object.entries(config).some(
    ([key, value]) =>
      /(^|\.)speculative_(config|algorithm)(\.|$)/.test(key) &&
      value !== null &&
      value !== "" &&
      value !== "None",
  );
  if (!on) return [];
  return [
    found({
      severity: "fail",
      where: variant.name,
      seen: {
        zh: "启用了投机解码，没有接受长度",
        en: "speculative decoding is on, and its acceptance length is not recorded",
      },
      expected: { zh: "给出平均接受长度", en: "a mean acceptance length" },
      mend: {
        zh: "关闭投机解码，或记录接受长度",
        en: "turn speculative decoding off, or record its acceptance length",
      },
      evidence: { speculative: true },
    }),
  ];
}

function argumentOf(variant: Variant, name: string): string | number | boolean | undefined {
  if (variant.engine.kind === "external") return undefined;
  return variant.engine.args[name] ?? variant.engine.args[name.replaceAll("-", "_")];
}
