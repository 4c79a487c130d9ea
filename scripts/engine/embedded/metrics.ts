// Turns the scheduler's counts into Prometheus text under vLLM's names, so that one reader serves
// both engines. The prefix cache's counters are absent until there is a prefix cache.
import type { SchedulerCounts } from "./scheduler.ts";

/** `capacityTokens`: how many tokens' keys and values may be held at most. */
export function formatMetrics(
  counts: SchedulerCounts,
  modelName: string,
  capacityTokens: number,
): string {
  const model = `engine="0",model_name="${escapeLabel(modelName)}"`;
  const one = (value: number): readonly Series[] => [[model, value]];
  return [
    family(
      "num_requests_running",
      "gauge",
      "Requests that are being answered.",
      one(counts.running),
    ),
    family("num_requests_waiting", "gauge", "Requests that wait for a place.", one(counts.waiting)),
    family(
      "kv_cache_usage_perc",
      "gauge",
      "Share of the key and value places in use, 0 to 1.",
      one(counts.cachedTokens / capacityTokens),
    ),
    family("num_preemptions_total", "counter", "Requests that had to give up their place.", one(0)),
    family("prompt_tokens_total", "counter", "Prompt tokens read.", one(counts.promptTokens)),
    family("generation_tokens_total", "counter", "Tokens made.", one(counts.generationTokens)),
    family(
      "request_success_total",
      "counter",
      "Requests that ended, by reason.",
      Object.entries(counts.finished).map(
        ([reason, count]): Series => [
          `engine="0",finished_reason="${reason}",model_name="${escapeLabel(modelName)}"`,
          count,
        ],
      ),
    ),
  ].join("");
}

/** Labels and value. */
type Series = readonly [string, number];

function family(
  name: string,
  type: "gauge" | "counter",
  help: string,
  series: readonly Series[],
): string {
  const lines = series.map(([labels, value]) => `vllm:${name}{${labels}} ${value}\n`);
  return `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} ${type}\n${lines.join("")}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
