// Who counted the tokens: the server's usage, the local tokenizer, or nobody. What is said of it in the
// method section, and beside every number that rests on a count which is not the server's.
import type { LocalText } from "../experiment/experiment.ts";
import { parseEstimateKey } from "../stats/estimate-key.ts";
import type { TokenSources } from "../stats/point-estimates.ts";
import { counted, formatNumber } from "../units.ts";
import type { PointMaterial } from "./record-material.ts";

/** Whether a number of this key rests on token counts. */
export function needsTokens(key: string): boolean {
  const needs = parseEstimateKey(key)?.metric.needs ?? [];
  return (
    /^(?:input|output)_tokens\b/.test(key) ||
    needs.includes("output_tokens") ||
    needs.includes("input_tokens")
  );
}

/** What must stand beside the numbers of a point; none where the server counted every token. */
export function tokenRemarks(sources: TokenSources | undefined): readonly LocalText[] {
  if (sources === undefined) return [];
  const { usage, tokenizer, none } = sources;
  const all = usage + tokenizer + none;
  const remarks: LocalText[] = [];
  if (tokenizer > 0) {
    remarks.push({
      zh: `${formatNumber(all, 0)} 个请求中有 ${formatNumber(tokenizer, 0)} 个缺 usage，token 数由本地分词器计`,
      en: `${formatNumber(tokenizer, 0)} of ${counted(all, "request")} had no usage: their tokens were counted by the local tokenizer`,
    });
  }
  if (none > 0) {
    remarks.push({
      zh: `${formatNumber(all, 0)} 个请求中有 ${formatNumber(none, 0)} 个没有 token 计数`,
      en: `${formatNumber(none, 0)} of ${counted(all, "request")} had no token count`,
    });
  }
  return remarks;
}

/** The sentence of the method section, for the whole record. */
export function tokenSourceText(measured: readonly PointMaterial[]): LocalText {
  const { usage, tokenizer, none } = sumOf(measured);
  if (usage + tokenizer + none === 0) {
    return {
      zh: "没有请求完成，因此没有 token 计数。",
      en: "No request completed, so there is no token count.",
    };
  }
  if (tokenizer + none === 0) {
    return { zh: "token 数取自服务端 usage。", en: "Token counts come from the server's usage." };
  }
  const zh = [
    ...(usage > 0 ? [`${formatNumber(usage, 0)} 个请求取自服务端 usage`] : []),
    ...(tokenizer > 0 ? [`${formatNumber(tokenizer, 0)} 个请求缺 usage，由本地分词器计`] : []),
    ...(none > 0 ? [`${formatNumber(none, 0)} 个请求没有计数`] : []),
  ];
  const en = [
    ...(usage > 0 ? [`the server's usage for ${counted(usage, "request")}`] : []),
    ...(tokenizer > 0
      ? [`the local tokenizer for ${counted(tokenizer, "request")} without usage`]
      : []),
    ...(none > 0 ? [`nobody for ${counted(none, "request")}`] : []),
  ];
  return {
    zh: `token 计数：${zh.join("，")}；受影响的数字加注。`,
    en: `Tokens were counted by ${en.join(", by ")}; the numbers that rest on them are marked.`,
  };
}

/** The same for captions; undefined where the server counted every token. */
export function tokenNoteOf(measured: readonly PointMaterial[]): LocalText | undefined {
  const { tokenizer, none } = sumOf(measured);
  return tokenizer + none === 0 ? undefined : tokenSourceText(measured);
}

function sumOf(measured: readonly PointMaterial[]): TokenSources {
  const sum = (source: keyof TokenSources): number =>
    measured.reduce((total, { tokenSources }) => total + tokenSources[source], 0);
  return { usage: sum("usage"), tokenizer: sum("tokenizer"), none: sum("none") };
}
