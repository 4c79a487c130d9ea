// All rules of an audit of a run, in the order in which a record prints them.
import type { LocalText } from "../experiment/experiment.ts";
import type { Severity } from "./finding.ts";
import type { Rule } from "./rule.ts";
import { gpuRules } from "./rules-gpu.ts";
import { hostRules } from "./rules-host.ts";
import { identityRules } from "./rules-identity.ts";
import { limitRules } from "./rules-limits.ts";
import { loadRules } from "./rules-load.ts";
import { sampleRules } from "./rules-sample.ts";
import { settingsRules } from "./rules-settings.ts";
import { storyRules } from "./rules-story.ts";
import { trendRules } from "./rules-trend.ts";

/** E1 to E29, then the rules about how the run went. */
export const rules: readonly Rule[] = [
  ...identityRules,
  ...settingsRules,
  ...gpuRules,
  ...hostRules,
  ...limitRules,
  ...loadRules,
  ...sampleRules,
  ...storyRules,
  ...trendRules,
].sort(byId);

/** The rule that audit-run.ts itself applies: it needs the findings of all others. */
export const waiverRule: Omit<Rule, "check"> = {
  id: "S4",
  severity: "info",
  name: { zh: "豁免对应发现", en: "Waivers are used" },
  text: {
    zh: "每条豁免都对应一个发现",
    en: "every waiver meets a finding",
  },
  needs: { zh: "实验文件中的豁免", en: "waivers of the experiment file" },
};

/** What a record's table of checks prints of each rule. */
export interface RuleEntry {
  readonly id: string;
  /** The gravest that the rule can find. */
  readonly severity: Severity;
  readonly name: LocalText;
  readonly text: LocalText;
  readonly needs: LocalText;
}

export const ruleCatalogue: readonly RuleEntry[] = [...rules, waiverRule]
  .sort(byId)
  .map(({ id, severity, name, text, needs }) => ({ id, severity, name, text, needs }));

/** E2 before E10, and both before S1. */
function byId({ id: a }: Pick<Rule, "id">, { id: b }: Pick<Rule, "id">): number {
  return a.charCodeAt(0) - b.charCodeAt(0) || Number(a.slice(1)) - Number(b.slice(1));
}
