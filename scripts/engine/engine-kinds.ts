// How each kind of server tells what it is: by whom its models are owned, which calls it answers, and
// where in the answers its configuration and its version stand. A new kind is one entry.
import { z } from "zod";
import { readKeywords } from "./python-literal.ts";
import { type FlatSettings, flatten } from "./settings.ts";

/** Answers of GET calls by path; a call that did not answer with JSON and 200 is absent. */
export type Answers = ReadonlyMap<string, unknown>;

/** What one kind of server says. */
export interface EngineWords {
  readonly version: string | undefined;
  /** Flat; undefined: it does not disclose it. */
  readonly config: FlatSettings | undefined;
}

export interface EngineKind {
  readonly name: string;
  /** `owned_by` of its list of models. */
  readonly owners: readonly string[];
  readonly paths: readonly string[];
  /** Whether answers can only be its own, for servers whose list of models does not say. */
  recognises(answers: Answers): boolean;
  read(answers: Answers, model: string): EngineWords;
}

const serverInfo = "/server_info?config_format=json";

const record = z.record(z.string(), z.unknown());
const versioned = z.object({ version: z.string().min(1) });

const vllm: EngineKind = {
  name: "vLLM",
  owners: ["vllm"],
  paths: ["/version", serverInfo],
  recognises: (answers) => vllmInfo.safeParse(answers.get(serverInfo)).success,
  read(answers) {
    const parsed = vllmInfo.safeParse(answers.get(serverInfo));
    return {
      version: versionIn(answers.get("/version")),
      config: parsed.success ? vllmConfig(parsed.data) : undefined,
    };
  },
};

const vllmInfo = z.object({
  // Versions before 0.11 know the text form alone, and later ones give it where they are not asked for JSON.
  vllm_config: z.union([z.string(), record]),
  vllm_env: record.optional(),
  system_env: record.optional(),
});

function vllmConfig(info: z.infer<typeof vllmInfo>): FlatSettings {
  const config =
    typeof info.vllm_config === "string" ? readKeywords(info.vllm_config) : info.vllm_config;
  return {
    ...flatten(config, "vllm_config"),
    ...flatten(info.vllm_env ?? {}, "vllm_env"),
    ...systemFacts(info.system_env ?? {}),
  };
}

/** What vLLM found of its own machine, without the listings and what is only empty. */
function systemFacts(system: z.infer<typeof record>): FlatSettings {
  return Object.fromEntries(
    Object.entries(flatten(system, "system_env")).filter(
      ([, value]) =>
        value !== null &&
        value !== "" &&
        value !== "N/A" &&
        !(typeof value === "string" && value.includes("\n")),
    ),
  );
}

const sglang: EngineKind = {
  name: "SGLang",
  owners: ["sglang"],
  // The name without "get_" is the newer one.
  paths: ["/server_info", "/get_server_info"],
  recognises: (answers) => sglangInfo(answers) !== undefined,
  read(answers) {
    const info = sglangInfo(answers);
    return {
      version: versionIn(info),
      config:
        info && without(flatten(info), /^(?:internal_states|server_args|version|decode|prefill)\b/),
    };
  },
};

function sglangInfo(answers: Answers): z.infer<typeof record> | undefined {
  for (const path of sglang.paths) {
    const parsed = record.safeParse(answers.get(path));
    if (!parsed.success) continue;
    const { server_args: args } = parsed.data;
    const nested = record.safeParse(args);
    const said = nested.success ? nested.data : parsed.data;
    if ("tp_size" in said && "mem_fraction_static" in said) return { ...parsed.data, ...said };
  }
  return undefined;
}

const llamaCpp: EngineKind = {
  name: "llama.cpp",
  owners: ["llamacpp"],
  paths: ["/props"],
  recognises: (answers) => llamaProps.safeParse(answers.get("/props")).success,
  read(answers) {
    const parsed = llamaProps.safeParse(answers.get("/props"));
    if (!parsed.success) return { version: undefined, config: undefined };
    const { build_info: build } = parsed.data;
    return {
      version: typeof build === "string" ? build : versionIn(build),
      // Templates and the sampling of a slot's last request are no configuration of the server.
      config: without(
        flatten(parsed.data),
        /^(?:chat_template|system_prompt|build_info|default_generation_settings\.(?!n_ctx$))/,
      ),
    };
  },
};

const llamaProps = z.looseObject({
  default_generation_settings: record,
  build_info: z.union([z.string(), record]).optional(),
});

const ollama: EngineKind = {
  name: "Ollama",
  owners: ["library"],
  paths: ["/api/version", "/api/ps"],
  recognises: (answers) => versionIn(answers.get("/api/version")) !== undefined,
  read(answers, model) {
    const running = ollamaModels.safeParse(answers.get("/api/ps"));
    const loaded = running.success
      ? running.data.models.find(({ name }) => name === model || name === `${model}:latest`)
      : undefined;
    return {
      version: versionIn(answers.get("/api/version")),
      // When it will be unloaded, and how much memory it takes now, are no settings.
      config: loaded && without(flatten(loaded), /^(?:expires_at|size|size_vram)$/),
    };
  },
};

const ollamaModels = z.object({ models: z.array(z.looseObject({ name: z.string() })) });

const tgi: EngineKind = {
  name: "TGI",
  owners: [],
  paths: ["/info"],
  recognises: (answers) => tgiInfo.safeParse(answers.get("/info")).success,
  read(answers) {
    const parsed = tgiInfo.safeParse(answers.get("/info"));
    if (!parsed.success) return { version: undefined, config: undefined };
    return {
      version: parsed.data.version,
      config: without(flatten(parsed.data), /^version$/),
    };
  },
};

const tgiInfo = z.looseObject({
  model_id: z.string(),
  version: z.string(),
  max_concurrent_requests: z.number(),
});

const tensorRt: EngineKind = {
  name: "TensorRT-LLM",
  owners: ["tensorrt_llm"],
  paths: ["/version"],
  // Its one answer is vLLM's too.
  recognises: () => false,
  read: (answers) => ({ version: versionIn(answers.get("/version")), config: undefined }),
};

const embedded: EngineKind = {
  name: "benchbook embedded",
  owners: ["benchbook"],
  paths: ["/version", "/server_info"],
  recognises: () => false,
  read(answers) {
    const info = record.safeParse(answers.get("/server_info"));
    return {
      version: versionIn(answers.get("/version")),
      config: info.success ? flatten(info.data) : undefined,
    };
  },
};

export const engineKinds: readonly EngineKind[] = [
  vllm,
  sglang,
  llamaCpp,
  ollama,
  tgi,
  tensorRt,
  embedded,
];

function versionIn(answer: unknown): string | undefined {
  const parsed = versioned.safeParse(answer);
  return parsed.success ? parsed.data.version : undefined;
}

function without(settings: FlatSettings, names: RegExp): FlatSettings {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !names.test(name)));
}
