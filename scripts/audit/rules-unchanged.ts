// The rule that nothing changed: the environment from the first snapshot to the last, an engine from
// start to start, and the variants beyond what they declare.
import { differenceOf } from "../environment/difference.ts";
import type { FieldValue } from "../environment/snapshot.ts";
import type { LocalText, Variant } from "../experiment/experiment.ts";
import { counted } from "../units.ts";
import {
  driftOf,
  type EnvironmentChange,
  environmentChanges,
  whenText,
} from "./environment-changes.ts";
import {
  type AuditInput,
  concernsPlan,
  eachVariant,
  found,
  notChecked,
  type Outcome,
  orPass,
  plannedVariants,
  type ReadyStart,
  type ReadyStarts,
  type Rule,
} from "./rule.ts";

export const unchangedRule: Rule = {
  id: "E4",
  severity: "block",
  name: { zh: "环境不变", en: "Nothing changed" },
  text: {
    zh: "驱动、模型、配置在运行前后、各段之间以及各次启动之间相同；变体之间只有声明的不同；各段用同一版 benchbook 测量",
    en: "driver, model and configuration are the same before and after, in every stretch and at every start; variants differ only in what they declare; one version of benchbook measured all stretches",
  },
  needs: {
    zh: "运行前后与试次前后的快照，各次启动的配置摘要",
    en: "snapshots around run and trials, configuration digest of every start",
  },
  check: checkUnchanged,
};

function checkUnchanged(input: AuditInput): readonly Outcome[] {
  return [
    ...orPass([...checkEnvironment(input), ...checkProgram(input)], "environment"),
    ...eachVariant(input, checkStartsAgree),
    ...checkVariantsAgree(input),
  ];
}

/** What is to be equal stayed equal, from the first snapshot to the last, over every seam. */
function checkEnvironment(input: AuditInput): readonly Outcome[] {
  const { snapshots, legs } = input;
  const lastLeg = legs.at(-1)?.leg;
  const isWhole =
    snapshots.some(({ scope }) => scope === "run-before") &&
    snapshots.some(({ scope, leg }) => scope === "run-after" && leg === lastLeg);
  const changes = driftOf(snapshots).filter(
    ({ id, class: of }) => of === "comparability" && concernsPlan(input, id),
  );
  return [
    ...bySpan(changes).map(({ span, changes: own }) =>
      found({
        severity: "block",
        where: "environment",
        seen: {
          zh: `${spanText(span, legs).zh}变化：${changeList(own, input.attempts).zh}`,
          en: `changed ${spanText(span, legs).en}: ${changeList(own, input.attempts).en}`,
        },
        expected: { zh: "整个运行相同", en: "the same all through the run" },
        mend: {
          zh: "找出变化的原因，环境稳定后重测",
          en: "find what changed it, and measure again once it is stable",
        },
        evidence: { ...span, fields: fieldList(own), changed: own.length },
      }),
    ),
    ...(isWhole
      ? []
      : [
          notChecked(
            "environment",
            "缺运行前或运行后的环境快照",
            "the snapshot before or after the run is missing",
          ),
        ]),
    ...(isWhole ? checkReadAgain(input) : []),
  ];
}

/** A machine that was read before the run alone, by a file or over a connection that broke. */
function checkReadAgain({ before, after }: AuditInput): readonly Outcome[] {
  if (before === undefined || after === undefined) return [];
  const lost = differenceOf(before, after).unknown.filter(
    ({ group, class: of, before: earlier }) =>
      of === "comparability" && group === "host" && earlier?.state === "value",
  );
  return lost.length === 0
    ? []
    : [
        notChecked(
          "environment",
          `运行后没有再读到引擎所在主机的 ${lost.length} 个字段`,
          `not read again after the run: ${counted(lost.length, "field")} of the engine's host`,
        ),
      ];
}

const programFields: readonly string[] = ["client.benchbook.version", "client.benchbook.commit"];

/** Each stretch was measured by the same program: it is read as each begins, not while it runs. */
function checkProgram({ snapshots, legs, attempts }: AuditInput): readonly Outcome[] {
  const begins = snapshots.filter(({ scope }) => scope === "run-before");
  const changes = environmentChanges(begins, ({ id }) => programFields.includes(id));
  return bySpan(changes).map(({ span, changes: own }) =>
    found({
      severity: "fail",
      where: "environment",
      seen: {
        zh: `benchbook 在${spanText(span, legs).zh}变化：${changeList(own, attempts).zh}`,
        en: `benchbook changed ${spanText(span, legs).en}: ${changeList(own, attempts).en}`,
      },
      expected: { zh: "各段用同一版 benchbook", en: "one version of benchbook for all stretches" },
      mend: {
        zh: "用同一版 benchbook 重测",
        en: "measure again with one version of benchbook",
      },
      evidence: { ...span, fields: fieldList(own), changed: own.length },
    }),
  );
}

interface Span {
  readonly fromLeg: number;
  readonly toLeg: number;
}

/** Changes between the same two stretches, or within the same one, together. */
function bySpan(
  changes: readonly EnvironmentChange[],
): readonly { readonly span: Span; readonly changes: readonly EnvironmentChange[] }[] {
  const spans = new Map(
    changes.map(({ from, to }) => [`${from.leg} ${to.leg}`, { fromLeg: from.leg, toLeg: to.leg }]),
  );
  return [...spans.values()].map((span) => ({
    span,
    changes: changes.filter(({ from, to }) => from.leg === span.fromLeg && to.leg === span.toLeg),
  }));
}

function spanText({ fromLeg, toLeg }: Span, legs: AuditInput["legs"]): LocalText {
  if (legs.length <= 1) return { zh: "运行期间", en: "during the run" };
  return fromLeg === toLeg
    ? { zh: `第 ${toLeg} 段期间`, en: `during stretch ${toLeg}` }
    : {
        zh: `第 ${fromLeg} 段与第 ${toLeg} 段之间`,
        en: `between stretches ${fromLeg} and ${toLeg}`,
      };
}

function changeList(
  changes: readonly EnvironmentChange[],
  attempts: AuditInput["attempts"],
): LocalText {
  const parts = changes.map((change): LocalText => {
    const { id, before, after } = change;
    const values = `${id} ${valueText(before)} → ${valueText(after)}`;
    const when = whenText(change, attempts);
    return {
      zh: when === undefined ? values : `${values}（${when.zh}）`,
      en: when === undefined ? values : `${values} (${when.en})`,
    };
  });
  return {
    zh: parts.map(({ zh }) => zh).join("；"),
    en: parts.map(({ en }) => en).join("; "),
  };
}

function fieldList(changes: readonly EnvironmentChange[]): string {
  return [...new Set(changes.map(({ id }) => id))].join(" ");
}

/** A value in print; of a digest as much as tells two apart. */
function valueText(value: FieldValue): string {
  if (value.state !== "value") return value.state;
  return String(value.value).replace(/^(sha256:)?([0-9a-f]{12})[0-9a-f]{20,}$/, "$1$2…");
}

function checkStartsAgree(variant: Variant, starts: ReadyStarts): readonly Outcome[] {
  const [first, ...later] = starts;
  const identity = identityOf(first);
  const other = later.find((start) => identityOf(start) !== identity);
  if (other === undefined) {
    return first.facts.configDigest === undefined
      ? [
          notChecked(
            variant.name,
            "引擎没有公开生效配置",
            "the engine does not disclose its configuration",
          ),
        ]
      : [];
  }
  const settings = settingsOf(first);
  const otherSettings = settingsOf(other);
  const keys = [...new Set([...settings.keys(), ...otherSettings.keys()])].filter(
    (key) => settings.get(key) !== otherSettings.get(key),
  );
  const named = keys.slice(0, 5).join(", ");
  return [
    found({
      severity: "block",
      where: variant.name,
      seen: {
        zh: `第 ${first.start} 次与第 ${other.start} 次启动的引擎不同：版本 ${first.facts.version ?? "未知"} 与 ${other.facts.version ?? "未知"}，不同的配置项 ${named === "" ? "无" : named}`,
        en: `engine starts ${first.start} and ${other.start} differ: versions ${first.facts.version ?? "unknown"} and ${other.facts.version ?? "unknown"}, settings ${named === "" ? "none" : named}`,
      },
      expected: { zh: "每次启动相同", en: "the same at every start" },
      mend: {
        zh: "把自动决定的参数写进实验文件，使每次启动相同",
        en: "write settings that the engine chooses by itself into the experiment file",
      },
      evidence: { start: first.start, otherStart: other.start, settings: keys.join(" ") },
    }),
  ];
}

/** All that an engine says of itself and that has to be the same at every start of a variant. */
function identityOf({ facts }: ReadyStart): string {
  const { name, version, configDigest, container } = facts;
  return JSON.stringify([name, version, configDigest, container?.digest, [...chosenOf(facts)]]);
}

/** What is compared, and what its configuration digest is of, by name. */
function settingsOf({ facts }: ReadyStart): ReadonlyMap<string, unknown> {
  return new Map([...chosenOf(facts), ...Object.entries(facts.config ?? {})]);
}

/** Limits, settings and environment variables. */
function chosenOf(facts: ReadyStart["facts"]): ReadonlyMap<string, unknown> {
  const { env, maxModelLen, maxNumSeqs, settings } = facts;
  // How many tokens the KV cache holds is measured at each start, from the memory that is free then.
  const chosen = Object.entries(settings).filter(([name]) => name !== "kvCacheTokens");
  const variables = Object.entries(env).map(([name, value]) => [`env.${name}`, value] as const);
  return new Map<string, unknown>([
    ...Object.entries({ maxModelLen, maxNumSeqs }),
    ...chosen,
    ...variables.sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);
}

/** Variants on the same declared engine must run the same version of it. */
function checkVariantsAgree(input: AuditInput): readonly Outcome[] {
  const versions = new Map<string, Map<string, string>>();
  for (const { variant: name, ready } of input.starts) {
    const variant = plannedVariants(input).find((one) => one.name === name);
    const version = ready?.facts.version;
    if (variant === undefined || version === undefined) continue;
    const ofEngine = versions.get(variant.engine.name) ?? new Map<string, string>();
    versions.set(variant.engine.name, ofEngine.set(version, name));
  }
  return [...versions].flatMap(([engine, byVersion]): readonly Outcome[] => {
    if (byVersion.size < 2) return [];
    const list = [...byVersion].map(([version, variant]) => `${variant} ${version}`).join(", ");
    return [
      found({
        severity: "block",
        where: "run",
        seen: {
          zh: `同一引擎 ${engine} 的变体版本不同：${list}`,
          en: `variants on the same engine ${engine} ran different versions: ${list}`,
        },
        expected: { zh: "同一版本", en: "one version" },
        mend: {
          zh: "用同一版本重测，或把它们声明为不同的引擎",
          en: "measure with one version, or declare them as different engines",
        },
        evidence: { engine, versions: [...byVersion.keys()].join(" ") },
      }),
    ];
  });
}
