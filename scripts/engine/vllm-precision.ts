// A claimed precision to vLLM's arguments, and to the contradiction where the checkpoint or the
// arguments say something else: a record that claims NVFP4 over FP8 weights is worse than none.
import type { EngineArguments, Precision, Variant } from "../experiment/experiment.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Full precisions, and what vLLM's --dtype calls them. The first is what we write. */
const dtypes: Partial<Record<Precision, readonly [string, ...string[]]>> = {
  bf16: ["bfloat16"],
  fp16: ["float16", "half"],
  fp32: ["float32", "float"],
};

/**
 * What is added to vLLM's arguments for a precision: --dtype for a full one; for FP8 over weights
 * that are not quantized --quantization fp8, which quantizes them at load time. Every other
 * quantization comes with its checkpoint, and vLLM finds it there.
 * @param checkpoint undefined: its files are not here, and its name must tell
 */
export function precisionArguments(
  { precision, model }: Pick<Variant, "precision" | "model">,
  checkpoint: Checkpoint | undefined,
): EngineArguments {
  const dtype = dtypes[precision];
  if (dtype !== undefined) return { dtype: dtype[0] };
  if (precision !== "fp8") return {};
  const isQuantized =
    checkpoint === undefined ? /fp-?8/i.test(model) : checkpoint.quantization !== undefined;
  return isQuantized ? {} : { quantization: "fp8" };
}

/** Why the claimed precision is not what vLLM would serve, and what to write; undefined: it may be. */
export function precisionProblem(
  { precision, model }: Pick<Variant, "precision" | "model">,
  args: EngineArguments,
  checkpoint: Checkpoint | undefined,
): { readonly what: string; readonly mend: string } | undefined {
  if (precision === "auto") return undefined;
  const names = dtypes[precision];
  const { dtype, quantization: wanted } = args;
  if (names !== undefined && dtype !== undefined && dtype !== "auto") {
    if (!names.includes(String(dtype))) {
      return {
        what: `the precision is claimed to be ${precision}, but args.dtype is ${String(dtype)}`,
        mend: `take dtype out of args; precision: ${precision} sets it to ${names[0]}`,
      };
    }
  }
  if (wanted !== undefined) {
    if (names === undefined || wanted === "none") return undefined;
    return {
      what: `the precision is claimed to be ${precision}, but args.quantization is ${String(wanted)}`,
      mend: "claim what the quantization makes of it, or take it out",
    };
  }
  if (checkpoint === undefined) return undefined;
  const { quantization } = checkpoint;
  if (quantization === undefined) {
    if (names !== undefined || precision === "fp8") return undefined;
    return {
      what: `the precision is claimed to be ${precision}, but the checkpoint ${model} is not quantized`,
      mend: `give a checkpoint that is ${precision}, or claim bf16, fp16, fp32 or fp8`,
    };
  }
  const { method, precisions } = quantization;
  const isTrue = precisions === undefined ? names === undefined : precisions.includes(precision);
  if (isTrue) return undefined;
  const said = precisions?.[0];
  return {
    what: `the precision is claimed to be ${precision}, but the checkpoint ${model} says ${said ?? "that it is quantized"} (${method})`,
    mend: `precision: ${said ?? "auto"}, or another checkpoint`,
  };
}
