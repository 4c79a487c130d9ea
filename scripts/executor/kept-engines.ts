// Engines that are kept between rounds live side by side, and vLLM takes nearly all memory of every
// GPU that it sees: what can't work is said before the first start.
import type { UserErrorParts } from "../errors.ts";
import type { Variant, VllmEngine } from "../experiment/experiment.ts";
import type { Plan } from "../experiment/plan.ts";

/**
 * What keeps the kept engines of these variants from living side by side. With `order: grouped` they
 * never do: an engine is stopped after its last start.
 */
export function checkKeptEngines(
  { experiment: { measure }, roundCount }: Pick<Plan, "experiment" | "roundCount">,
  variants: readonly Variant[],
): readonly UserErrorParts[] {
  if (!measure.keep || measure.order === "grouped" || roundCount < 2) return [];
  const launched = variants.flatMap(({ name, engine }) =>
    engine.kind === "vllm" ? [{ name, engine }] : [],
  );
  for (const [position, one] of launched.entries()) {
    for (const other of launched.slice(position + 1)) {
      if (areApart(one.engine, other.engine)) continue;
      return [
        {
          what: `the engines of ${one.name} and ${other.name} would hold the same memory at once: with keep and order: interleaved both live until their last round`,
          where: "measure.keep",
          mend: "write order: grouped, which stops each engine before the next one starts, or take keep out; or give each engine GPUs of its own with env: { CUDA_VISIBLE_DEVICES: ... }, or a gpu-memory-utilization that leaves room for the other",
        },
      ];
    }
  }
  return [];
}

/** As vLLM takes it by itself. */
const usualShare = 0.9;

function areApart(one: VllmEngine, other: VllmEngine): boolean {
  const devices = devicesOf(one);
  const others = devicesOf(other);
  if (devices !== undefined && others !== undefined)
    if (devices.every((device) => !others.includes(device))) return true;
  return shareOf(one) + shareOf(other) <= 1;
}

function shareOf({ args }: VllmEngine): number {
  const written = Object.entries(args).find(
    ([name]) => name.replaceAll("_", "-") === "gpu-memory-utilization",
  )?.[1];
  const share = Number(written ?? usualShare);
  return Number.isFinite(share) ? share : usualShare;
}

/** The devices that an engine is given, in whatever way; undefined: all that there are. */
function devicesOf({ env, prefix, container }: VllmEngine): readonly string[] | undefined {
  const words = [
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...prefix,
    ...(container?.args ?? []),
  ];
  const named = words.flatMap((word) => {
    const list = /(?:VISIBLE_DEVICES=|device=|nvidia\.com\/gpu=)"?([\w:,-]+)/.exec(word)?.[1];
    return list === undefined || list === "all" ? [] : list.split(",");
  });
  return named.length === 0 ? undefined : named;
}
