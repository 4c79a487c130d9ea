// Whether the host of the engine has GPUs: what decides which rules have anything to look at.
import type { LocalText } from "../experiment/experiment.ts";
import { type AuditInput, fieldOf, textField } from "./rule.ts";

export type GpuPresence =
  | { readonly kind: "none" }
  | { readonly kind: "present"; readonly count: number }
  | { readonly kind: "unknown"; readonly why: LocalText };

/** GPUs of the engine's host, by the snapshots; unknown where they were not read there. */
export function gpuPresence(input: AuditInput): GpuPresence {
  if (isElsewhere(input)) {
    return {
      kind: "unknown",
      why: {
        zh: "引擎在另一台主机上，那里的 GPU 没有采集",
        en: "the engine is on another host, whose GPUs were not read",
      },
    };
  }
  const count = fieldOf(input, "gpu.count");
  if (count?.state === "not_applicable") return { kind: "none" };
  if (count?.state === "value" && typeof count.value === "number") {
    return count.value === 0 ? { kind: "none" } : { kind: "present", count: count.value };
  }
  const reason = count?.state === "not_collected" ? count.reason : undefined;
  return {
    kind: "unknown",
    why: {
      zh: `GPU 信息未采集${reason === undefined ? "" : `：${reason}`}`,
      en: `GPUs were not read${reason === undefined ? "" : `: ${reason}`}`,
    },
  };
}

/** Whether an engine runs on another host than the one that the snapshots are of. */
export function isElsewhere(input: AuditInput): boolean {
  const relation = textField(input, "client.engine_relation");
  return (
    input.experiment.environment.kind === "local" &&
    relation !== undefined &&
    relation !== "same host"
  );
}
