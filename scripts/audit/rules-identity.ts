// Rules about identity: that model, engine and configuration are disclosed and pinned. That they stayed
// the same is in rules-unchanged.ts.
import type { LocalText, Variant } from "../experiment/experiment.ts";
import {
  type AuditInput,
  eachVariant,
  fieldOf,
  found,
  isKnown,
  isLaunched,
  notChecked,
  type Outcome,
  orPass,
  plannedVariants,
  type ReadyStarts,
  type Rule,
} from "./rule.ts";
import { unchangedRule } from "./rules-unchanged.ts";

export const identityRules: readonly Rule[] = [
  unchangedRule,
  {
    id: "E5",
    severity: "block",
    name: { zh: "模型身份", en: "Model identity" },
    text: {
      zh: "模型版本或权重摘要、量化配置、KV 缓存精度已知",
      en: "model revision or weights digest, quantization and KV cache dtype are known",
    },
    needs: { zh: "模型文件，引擎生效配置", en: "model files, resolved configuration" },
    check: (input) => eachVariant(input, (variant, starts) => checkModel(input, variant, starts)),
  },
  {
    id: "E6",
    severity: "block",
    name: { zh: "生效配置", en: "Resolved configuration" },
    text: { zh: "引擎的生效配置已知", en: "the engine's resolved configuration is known" },
    needs: { zh: "引擎自述", en: "the engine's own report" },
    check: (input) => eachVariant(input, checkConfig),
  },
  {
    id: "E26",
    severity: "warn",
    name: { zh: "版本固定", en: "Pinned versions" },
    text: {
      zh: "容器镜像有摘要，git 工作区干净",
      en: "container images have a digest, and git trees are clean",
    },
    needs: { zh: "git 状态，容器镜像", en: "git state, container image" },
    check: checkPinned,
  },
];

function checkModel(input: AuditInput, variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const field = (name: string): string => `model.${variant.name}.${name}`;
  const says = (setting: "quantization" | "kvCacheDtype"): boolean =>
    starts.some(({ facts }) => facts.settings[setting] !== undefined);
  const hasDigest = fieldOf(input, field("weights_digest"))?.state === "value";
  const missing: { readonly id: string; readonly name: LocalText }[] = [];
  // A digest of the weights pins more than the name of a revision does.
  if (!hasDigest && !isKnown(input, field("revision"))) {
    missing.push({ id: "revision", name: { zh: "模型版本", en: "model revision" } });
  }
  if (!isKnown(input, field("weights_digest"))) {
    missing.push({ id: "weights_digest", name: { zh: "权重摘要", en: "weights digest" } });
  }
  // That there is none is an answer too, of the model's folder or of the engine.
  if (!isKnown(input, field("quantization")) && !says("quantization")) {
    missing.push({ id: "quantization", name: { zh: "量化配置", en: "quantization" } });
  }
  if (!says("kvCacheDtype")) {
    missing.push({ id: "kv_cache_dtype", name: { zh: "KV 缓存精度", en: "KV cache dtype" } });
  }
  if (missing.length === 0) return [];
  const names = missing.map(({ name }) => name);
  return [undisclosed("E5", variant, { names, ids: missing.map(({ id }) => id).join(" ") })];
}

function checkConfig(variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const silent = starts.some(({ facts }) => Object.keys(facts.config ?? {}).length === 0);
  const name: LocalText = { zh: "生效配置", en: "resolved configuration" };
  return silent ? [undisclosed("E6", variant, { names: [name], ids: "config" })] : [];
}

/** Not disclosed: block where we started the engine and could have known, fail where we attached. */
function undisclosed(
  rule: "E5" | "E6",
  variant: Variant,
  { names, ids }: { readonly names: readonly LocalText[]; readonly ids: string },
): Outcome {
  return found({
    severity: isLaunched(variant) ? "block" : "fail",
    where: variant.name,
    seen: {
      zh: `未公开：${names.map(({ zh }) => zh).join("、")}`,
      en: `not disclosed: ${names.map(({ en }) => en).join(", ")}`,
    },
    expected: { zh: "已知，或声明为不适用", en: "known, or stated as not applicable" },
    mend: isLaunched(variant)
      ? {
          zh: "给出模型的本地文件夹，让引擎报告生效配置",
          en: "give the model's local folder, and let the engine report its configuration",
        }
      : {
          zh: `请服务方公开这些信息；做不到的，写明理由豁免 ${rule}`,
          en: `ask whoever runs the server to disclose it; where that can't be had, waive ${rule} with the reason`,
        },
    evidence: { missing: ids, launched: isLaunched(variant) },
  });
}

function checkPinned(input: AuditInput): readonly Outcome[] {
  const dirty = ["client.benchbook.dirty", "client.project.dirty"].filter((id) => {
    const field = fieldOf(input, id);
    return field?.state === "value" && (field.value === true || field.value === "true");
  });
  const outcomes: Outcome[] = [];
  if (dirty.length > 0) {
    outcomes.push(
      found({
        severity: "warn",
        where: "environment",
        seen: {
          zh: `git 工作区有未提交的改动：${dirty.join(", ")}`,
          en: `git tree with uncommitted changes: ${dirty.join(", ")}`,
        },
        expected: { zh: "干净的工作区", en: "a clean tree" },
        mend: { zh: "提交改动后重测", en: "commit, and measure again" },
        evidence: { fields: dirty.join(" ") },
      }),
    );
  } else if (!isKnown(input, "client.benchbook.dirty")) {
    outcomes.push(
      notChecked("environment", "git 状态未采集", "the state of the git tree was not collected"),
    );
  }
  for (const { name, engine } of plannedVariants(input)) {
    if (engine.kind !== "vllm" || engine.container === undefined) continue;
    if (engine.container.digest !== undefined || engine.container.image.includes("@sha256:"))
      continue;
    outcomes.push(
      found({
        severity: "warn",
        where: name,
        seen: {
          zh: `镜像 ${engine.container.image} 没有摘要`,
          en: `image ${engine.container.image} has no digest`,
        },
        expected: { zh: "sha256 摘要", en: "a sha256 digest" },
        mend: { zh: "在 container 中写明 digest", en: "write the digest into container" },
        evidence: { image: engine.container.image },
      }),
    );
  }
  return orPass(outcomes, "environment");
}
