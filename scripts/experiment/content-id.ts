// Ids from content: the same measurement has the same id on any machine, in any file, under any
// title.
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { EngineSpec, Experiment, Load, Variant, Workload } from "./experiment.ts";

/** First 16 hex of the sha256 of the canonical JSON (RFC 8785) of a value. */
export function contentId(content: unknown): string {
  return createHash("sha256")
    .update(canonicalize(content) ?? "")
    .digest("hex")
    .slice(0, 16);
}

/** What of a variant decides what is measured: not its name, title, port or patience. */
export function variantContent({ model, revision, tokenizer, precision, engine }: Variant): object {
  return { model, revision, tokenizer, precision, engine: engineContent(engine) };
}

function engineContent(engine: EngineSpec): object {
  switch (engine.kind) {
    case "external":
      return {
        kind: engine.kind,
        url: engine.url,
        headers: engine.headers,
        paths: engine.paths,
      };
    case "embedded":
      return { kind: engine.kind, args: engine.args, env: engine.env };
    case "vllm": {
      const { kind, args, env, venv, python, command, container, prefix } = engine;
      return { kind, args, env, venv, python, command, container, prefix };
    }
  }
}

/** What of a workload decides its requests: not its name. What came later is named where it is used. */
export function workloadContent({ input, output, cache, endpoint, turns }: Workload): object {
  return { input, output, cache, endpoint, ...(turns === 1 ? {} : { turns }) };
}

/** What of a load decides when requests are sent: not the place of its trace, nor a ramp's name. */
export function loadContent(load: Load): object {
  switch (load.kind) {
    case "concurrency":
    case "rate":
      return load;
    case "ramp": {
      const { kind, fromPerS, toPerS, durationMs, arrivals } = load;
      return { kind, fromPerS, toPerS, durationMs, arrivals };
    }
    case "trace":
      return { kind: load.kind, name: load.name, speed: load.speed };
  }
}

/** What else of an experiment decides how a trial is measured. */
export function protocolContent({ measure, limits }: Experiment): object {
  const { window, order, keep } = measure;
  const { requestMs, stallMs, failureShare, failureCount, trialMs } = limits;
  return {
    window,
    order,
    keep,
    limits: {
      requestMs,
      stallMs,
      failureShare,
      ...(failureCount === undefined ? {} : { failureCount }),
      ...(trialMs === undefined ? {} : { trialMs }),
    },
  };
}
