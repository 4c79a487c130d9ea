// What an experiment means once it was read: complete, every default filled in, every quantity in
// one unit. `schema.ts` makes it from what a person wrote.

export type Language = "zh" | "en";

/** The same text in both languages; a text given in one language stands for both. */
export interface LocalText {
  readonly zh: string;
  readonly en: string;
}

/** What the user claims the weights are; what the checkpoint and the engine say is recorded beside it. */
export const precisions = [
  "fp32",
  "fp16",
  "bf16",
  "fp8",
  "int8",
  "q8",
  "int4",
  "q4",
  "nvfp4",
  "mxfp4",
  "awq",
  "gptq",
  "auto",
] as const;
export type Precision = (typeof precisions)[number];

/** Engine arguments as on its command line, without the dashes. `true` is a bare flag. */
export type EngineArguments = Readonly<Record<string, string | number | boolean>>;

interface LaunchedEngine {
  readonly name: string;
  readonly port: number | "auto";
  readonly args: EngineArguments;
  readonly env: Readonly<Record<string, string>>;
  /** How long a start may take until the engine is ready. */
  readonly readyMs: number;
}

/** The tiny engine that ships with benchbook, in a process of its own. */
export interface EmbeddedEngine extends LaunchedEngine {
  readonly kind: "embedded";
}

/** vLLM, launched by benchbook. */
export interface VllmEngine extends LaunchedEngine {
  readonly kind: "vllm";
  readonly venv?: string;
  readonly python?: string;
  readonly command?: readonly string[];
  readonly container?: VllmContainer;
  /** Put before argv: ["taskset", "-c", "0-7"]. */
  readonly prefix: readonly string[];
}

/** The container image that has vLLM. */
export interface VllmContainer {
  readonly image: string;
  /** "sha256:...": pins the image. */
  readonly digest?: string;
  /** Absent: docker. */
  readonly runtime?: "docker" | "podman";
  /** Added to `docker run`, before the image. */
  readonly args?: readonly string[];
}

/** Any OpenAI-compatible server that somebody else started. */
export interface ExternalEngine {
  readonly kind: "external";
  readonly name: string;
  /** Base URL without the /v1 part: "http://127.0.0.1:8000". */
  readonly url: string;
  /** Name of the environment variable that holds the key; the key itself is never stored. */
  readonly key?: { readonly env: string };
  /** A value, or the environment variable that holds it and is never stored. */
  readonly headers: Readonly<Record<string, string | { readonly env: string }>>;
  /** Below `url`, where a gateway answers at other paths than /v1/...; a query may follow. */
  readonly paths?: { readonly completions?: string; readonly chat?: string };
}

export type EngineSpec = EmbeddedEngine | VllmEngine | ExternalEngine;

/** One model at one precision with its engine arguments (engine's and variant's merged). */
export interface Variant {
  readonly name: string;
  readonly title?: LocalText;
  /** A folder, a hub id, or the name by which a running server knows the model. */
  readonly model: string;
  readonly revision?: string;
  /** Folder (or tokenizer.json) of the tokenizer when it is not in the model's folder. */
  readonly tokenizer?: string;
  readonly precision: Precision;
  readonly engine: EngineSpec;
}

/** A count of tokens per request. */
export type LengthSpec =
  | { readonly kind: "exact"; readonly tokens: number }
  | { readonly kind: "normal"; readonly mean: number; readonly cv: number }
  | { readonly kind: "uniform"; readonly min: number; readonly max: number };

export type CachePolicy =
  | { readonly kind: "cold" }
  | { readonly kind: "shared"; readonly tokens: number }
  | { readonly kind: "warm" };

/** Recorded prompts instead of made-up ones. */
export interface DatasetSpec {
  readonly kind: "dataset";
  /** Relative to the project. */
  readonly path: string;
  /** Prompts above this many tokens are left out, and that is said; undefined: only those that the engine can't take. */
  readonly longestTokens: number | undefined;
  /** Whether prompts are sent again once all were: what is sent again hits the prefix cache. */
  readonly repeat: boolean;
}

export interface Workload {
  readonly name: string;
  readonly input: LengthSpec | DatasetSpec;
  readonly output: LengthSpec;
  readonly cache: CachePolicy;
  readonly endpoint: "completions" | "chat";
  /**
   * Turns of each conversation, 1: independent requests. `input` is then what each turn adds; a turn
   * carries all earlier ones, with made-up answers of the planned length in between.
   */
  readonly turns: number;
}

/** How the gaps between arrivals of an open loop are distributed; their mean is 1 / rate. */
export type Arrivals =
  | { readonly kind: "constant" }
  | { readonly kind: "poisson" }
  /** Below 1 burstier than Poisson, above 1 steadier; vLLM's --burstiness. */
  | { readonly kind: "gamma"; readonly shape: number }
  /** So many at the same instant, at even distances. */
  | { readonly kind: "burst"; readonly size: number };

export type Load =
  /** Closed loop: so many streams, each sends its next request when its last one ended. */
  | { readonly kind: "concurrency"; readonly concurrency: number }
  /** Open loop: requests arrive whether or not earlier ones were answered. */
  | { readonly kind: "rate"; readonly requestRatePerS: number; readonly arrivals: Arrivals }
  /** Open loop whose rate grows evenly from one to the other. */
  | {
      readonly kind: "ramp";
      readonly name: string;
      readonly fromPerS: number;
      readonly toPerS: number;
      readonly durationMs: number;
      readonly arrivals: Arrivals;
    }
  /** Open loop of recorded arrivals and lengths; speed 2 replays in half the time. */
  | {
      readonly kind: "trace";
      readonly name: string;
      readonly path: string;
      readonly speed: number;
    };

export type RoundsSpec =
  | { readonly kind: "fixed"; readonly count: number }
  | { readonly kind: "until"; readonly target: number; readonly min: number; readonly max: number };

/** How much of each point one round measures. `auto`: enough for the highest percentile asked for. */
export type RequestsSpec =
  | { readonly kind: "auto" }
  | { readonly kind: "count"; readonly count: number }
  | { readonly kind: "duration"; readonly durationMs: number };

export interface Measure {
  readonly rounds: RoundsSpec;
  /** Trials of the same point within one start. */
  readonly repeats: number;
  readonly requests: RequestsSpec;
  /** Warm-up requests per trial; "auto" is two per concurrent stream. */
  readonly warmup: number | "auto";
  /** Ascending, each 0 < p < 100. */
  readonly percentiles: readonly number[];
  readonly window: "handover" | "fixed";
  readonly order: "interleaved" | "grouped";
  /** One engine life for all rounds; the record then says that restarts were not measured. */
  readonly keep: boolean;
  readonly seed: number;
}

export interface SloLimit {
  readonly metric: "ttft" | "tpot" | "e2e";
  readonly percentile: number;
  readonly limitMs: number;
}

export interface Limits {
  /** Longest a request may take, from sent to end. */
  readonly requestMs: number;
  /** Longest silence within a stream. */
  readonly stallMs: number;
  /** Share of failed requests (0..1) beyond which a trial is ended. */
  readonly failureShare: number;
  /** Failed requests beyond which a trial is ended, whatever their share; undefined: no such limit. */
  readonly failureCount: number | undefined;
  /** Longest a whole trial may take; undefined: no such limit. */
  readonly trialMs: number | undefined;
}

/** The measuring program itself. */
export interface ClientSpec {
  /** Threads that share the streams; `auto`: as many as the calibration says that the load needs. */
  readonly threads: number | "auto";
  /** Whether the threads never sleep, so that no event waits for one to be woken; each takes a core. */
  readonly poll: boolean;
  /** Whether the client's own error is measured before the run, where it is not known yet. */
  readonly calibrate: boolean;
}

export interface Stated {
  readonly site?: string;
  readonly node?: string;
  readonly operator?: string;
  readonly ticket?: string;
  readonly price?: { readonly perGpuHour: number; readonly currency: string };
  /** Whatever else the user states: label to text. */
  readonly other: Readonly<Record<string, string>>;
}

export interface Waiver {
  readonly rule: string;
  readonly reason: string;
  readonly by: string;
}

export interface Experiment {
  readonly version: 1;
  /** Slug; part of the run's id. */
  readonly name: string;
  readonly title: LocalText;
  readonly variants: readonly Variant[];
  readonly workloads: readonly Workload[];
  readonly loads: readonly Load[];
  /** Patterns over point names ("fp8/c40", "*\/c200"); a point is kept when `only` is empty or matches, and `exclude` does not. */
  readonly only: readonly string[];
  readonly exclude: readonly string[];
  readonly measure: Measure;
  readonly slo: readonly SloLimit[];
  readonly limits: Limits;
  readonly client: ClientSpec;
  readonly telemetry: { readonly gpuMs: number; readonly engineMs: number };
  readonly environment:
    | { readonly kind: "local" }
    | { readonly kind: "from"; readonly path: string }
    | { readonly kind: "probe"; readonly command: readonly string[] };
  readonly stated: Stated;
  readonly waive: readonly Waiver[];
  readonly report: {
    readonly languages: readonly Language[];
    readonly formats: readonly ("html" | "md" | "pdf")[];
    readonly notebook: string;
  };
}

/** An experiment and the file it was read from. */
export interface ReadExperiment {
  readonly experiment: Experiment;
  /** The file's bytes as text, `extends` files not merged: what the archive keeps. */
  readonly source: string;
  /** Absolute path. */
  readonly path: string;
  /** The files it extends, lowest first: absolute path, bytes as text. */
  readonly extended: readonly { readonly path: string; readonly source: string }[];
  /**
   * Every default that was filled in: dotted path, value, and the reason where it was derived. An
   * empty list or map that stands for one that is not written is no default.
   */
  readonly defaults: readonly {
    readonly path: string;
    readonly value: string;
    readonly reason?: string;
  }[];
}
