// Rules about settings: that the engine's limits hold the plan, and that what decides its speed is known.
import type { EngineSettings } from "../engine/engine.ts";
import type { LocalText, Variant } from "../experiment/experiment.ts";
import { gpuPresence } from "./gpu-presence.ts";
import { gpuIndexes, isCut } from "./gpu-use.ts";
import {
  type AuditInput,
  eachVariant,
  found,
  isLaunched,
  notChecked,
  numberField,
  type Outcome,
  type ReadyStarts,
  type Rule,
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
      zh: "没有未声明的 enforce-eager、随机权重、调试日志或性能剖析",
      en: "no enforce-eager, random weights, debug logging or profiler that the experiment does not declare",
    },
    needs: {
      zh: "引擎设置，非默认参数，环境变量",
      en: "engine settings, non-default arguments, environment variables",
    },
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
    needs: { zh: "引擎设置，投机解码计数", en: "engine settings, speculation counters" },
    check: (input) =>
      eachVariant(input, (variant, starts) => checkSettings(input, variant, starts)),
  },
];

function checkLimits(input: AuditInput, variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const facts = starts.at(-1)?.facts;
  const own = input.measured.filter(({ estimates }) => estimates.variant === variant.name);
  const outcomes: Outcome[] = [];
  let longest = 0;
  for (const { requests } of own.flatMap(({ samples }) => samples)) {
    for (const { plannedInputTokens, plannedOutputTokens } of requests)
      longest = Math.max(longest, plannedInputTokens + plannedOutputTokens);
  }
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
  return [...outcomes, ...checkParallelism(input, variant, facts?.settings)];
}

/** GPUs that a variant's engine spreads over: as it says itself, else as the experiment asks. */
export function parallelismOf(variant: Variant, settings: EngineSettings | undefined): number {
  const size = (told: number | undefined, argument: string): number =>
    told ?? Number(argumentOf(variant, argument) ?? 1);
  return (
    size(settings?.tensorParallel, "tensor-parallel-size") *
    size(settings?.pipelineParallel, "pipeline-parallel-size") *
    size(settings?.dataParallel, "data-parallel-size")
  );
}

function checkParallelism(
  input: AuditInput,
  variant: Variant,
  settings: EngineSettings | undefined,
): readonly Outcome[] {
  const needed = parallelismOf(variant, settings);
  if (needed <= 1) return [];
  const presence = gpuPresence(input);
  if (presence.kind === "unknown") {
    return [{ kind: "not_checked", where: variant.name, why: presence.why }];
  }
  const count = presence.kind === "none" ? 0 : visibleDevices(input);
  if (count >= needed) return [];
  // It runs, so the others are on hosts that were not read.
  if (!isLaunched(variant)) {
    return [
      notChecked(
        variant.name,
        `并行度为 ${needed}，而所读主机上只有 ${count} 块 GPU：引擎跨多台主机`,
        `the engine works on ${needed} GPUs and the host that was read has ${count}: it spans several hosts`,
      ),
    ];
  }
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

/** GPUs, each that is cut counting as many times as it has MIG instances. */
function visibleDevices(input: AuditInput): number {
  return gpuIndexes(input).reduce(
    (sum, gpu) =>
      sum + (isCut(input, gpu) ? (numberField(input, `gpu.${gpu}.mig.device_count`) ?? 1) : 1),
    0,
  );
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
  const { config, env, nonDefaultArgs, settings } = lastOf(starts);
  const isSilent = settings.enforceEager === undefined && settings.loadFormat === undefined;
  if (isSilent && config === undefined && nonDefaultArgs === undefined) {
    return [
      notChecked(
        variant.name,
        "引擎没有公开生效配置",
        "the engine does not disclose its configuration",
      ),
    ];
  }
  const declared = variant.engine.kind === "external" ? {} : variant.engine.env;
  const seen = new Set<string>();
  if (settings.enforceEager === true) seen.add("enforce-eager");
  if (settings.loadFormat === "dummy") seen.add("load-format");
  for (const [key, value] of Object.entries(nonDefaultArgs ?? {})) {
    if (isDebugging(key, value)) seen.add(key.replaceAll("_", "-"));
  }
  for (const [name, value] of Object.entries(env)) if (isDebugging(name, value)) seen.add(name);
  for (const name of debuggingIn(config ?? {})) seen.add(name);
  const undeclared = [...seen].filter(
    (name) => argumentOf(variant, name) === undefined && declared[name] === undefined,
  );
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

/** "VLLM_LOGGING_LEVEL=DEBUG", "uvicorn_log_level: debug", whatever names a profiler and is not off. */
function isDebugging(name: string, value: string | number | boolean | null): boolean {
  if (/profil/i.test(name)) return value !== null && value !== false && value !== "";
  return /log(ging)?_level$/i.test(name) && /^(debug|trace)$/i.test(String(value));
}

/** What a resolved configuration says of it, by the name under which it would be declared. */
function debuggingIn(config: NonNullable<ReadyStarts[0]["facts"]["config"]>): readonly string[] {
  return Object.entries(config).flatMap(([key, value]) => {
    const isDebug = /^(?:debug|trace)$/i.test(String(value));
    if (/(?:^|\.)(?:VLLM_LOGGING_LEVEL|logging_config\.log_level)$/.test(key))
      return isDebug ? ["VLLM_LOGGING_LEVEL"] : [];
    const isProfiler = /(?:^|\.)profiler_config\.profiler$/.test(key);
    return isProfiler && value !== null && value !== "" ? ["profiler-config"] : [];
  });
}

function lastOf(starts: ReadyStarts): ReadyStarts[0]["facts"] {
  return (starts.at(-1) ?? starts[0]).facts;
}

interface DecisiveSetting {
  /** For machines. */
  readonly id: string;
  readonly isKnown: (settings: EngineSettings) => boolean;
  readonly name: LocalText;
  /** Has a meaning only where there is a GPU. */
  readonly gpuOnly?: true;
  /** An engine of a kind that has no such feature has nothing to disclose. */
  readonly embedded: boolean;
}

const decisiveSettings: readonly DecisiveSetting[] = [
  {
    id: "attention_backend",
    isKnown: ({ attentionBackend }) => attentionBackend !== undefined,
    name: { zh: "注意力后端", en: "attention backend" },
    embedded: false,
  },
  {
    id: "cuda_graphs",
    // Eager execution is an answer: there are none.
    isKnown: ({ cudaGraphs, enforceEager }) => cudaGraphs !== undefined || enforceEager === true,
    name: { zh: "CUDA graph", en: "CUDA graph mode" },
    gpuOnly: true,
    embedded: false,
  },
  {
    id: "chunked_prefill",
    isKnown: ({ chunkedPrefill }) => chunkedPrefill !== undefined,
    name: { zh: "分块预填充", en: "chunked prefill" },
    embedded: true,
  },
  {
    id: "prefix_caching",
    isKnown: ({ prefixCaching }) => prefixCaching !== undefined,
    name: { zh: "前缀缓存", en: "prefix caching" },
    embedded: true,
  },
  {
    id: "speculative",
    isKnown: ({ speculative }) => speculative !== undefined,
    name: { zh: "投机解码", en: "speculative decoding" },
    embedded: false,
  },
];

function checkSettings(
  input: AuditInput,
  variant: Variant,
  starts: ReadyStarts,
): readonly Outcome[] {
  const { config, settings } = lastOf(starts);
  if (config === undefined && Object.values(settings).every((value) => value === undefined)) {
    return [
      notChecked(
        variant.name,
        "生效配置未公开（见 E6）",
        "the resolved configuration is not disclosed (see E6)",
      ),
    ];
  }
  const noGpu = gpuPresence(input).kind === "none";
  const missing = decisiveSettings
    .filter(({ embedded }) => embedded || variant.engine.kind !== "embedded")
    .filter(({ gpuOnly }) => gpuOnly !== true || !noGpu)
    .filter(({ isKnown }) => !isKnown(settings));
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
        evidence: { missing: missing.map(({ id }) => id).join(" ") },
      }),
    );
  }
  return [...outcomes, ...checkSpeculation(input, variant, settings)];
}

/** Speculative decoding makes speed a property of the text; without its acceptance it says nothing. */
function checkSpeculation(
  { measured }: AuditInput,
  variant: Variant,
  { speculative }: EngineSettings,
): readonly Outcome[] {
  if (speculative === undefined || speculative === "none") return [];
  const silent = measured.filter(
    ({ estimates }) =>
      estimates.variant === variant.name &&
      estimates.estimates.get("spec_acceptance_length")?.value === undefined,
  );
  return silent.map(({ estimates: { point } }) =>
    found({
      severity: "fail",
      where: point,
      seen: {
        zh: `启用了投机解码（${speculative}），没有接受长度`,
        en: `speculative decoding is on (${speculative}), and its acceptance length is not recorded`,
      },
      expected: { zh: "给出平均接受长度", en: "a mean acceptance length" },
      mend: {
        zh: "关闭投机解码，或让引擎在 /metrics 给出草稿数与接受数",
        en: "turn speculative decoding off, or let the engine count drafts and accepted tokens in /metrics",
      },
      evidence: { speculative },
    }),
  );
}

function argumentOf(variant: Variant, name: string): string | number | boolean | undefined {
  if (variant.engine.kind === "external") return undefined;
  return variant.engine.args[name] ?? variant.engine.args[name.replaceAll("-", "_")];
}
