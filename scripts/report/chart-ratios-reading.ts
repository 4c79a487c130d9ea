// The words of the forest plot: which ratios the tests bear, how it is read, and every ratio for
// readers who don't see the chart.

import type { Language } from "../experiment/experiment.ts";
import { atLoads, capitalized, list, percent, pointName, say, sentences } from "./chart-text.ts";
import { comparedName, comparisonNotes, outcomeText, ratioTexts } from "./comparison-text.ts";
import type { VariantRatio, VariantRatios } from "./variant-ratios.ts";

/** Why there is no ratio to draw. */
export function nothingToCompare(found: VariantRatios | undefined, language: Language): string {
  if (found === undefined)
    return say(
      language,
      "没有测点可与另一变体对比",
      "no point has one of another variant to be held against",
    );
  return found.comparison.cells.some(({ reason }) => reason === "one_round")
    ? say(
        language,
        "只有 1 轮，变体之间的差异不可检验",
        "one round: differences between variants cannot be tested",
      )
    : say(
        language,
        "各轮数值没有离散度，变体之间的差异不可检验",
        "the rounds have no spread: differences between variants cannot be tested",
      );
}

/** What the tests bear, variant by variant; of many variants how many ratios came out which way. */
export function ratiosFinding(found: VariantRatios, language: Language): string {
  const variants = [...new Set(found.rows.map(({ point }) => point.variant))];
  if (variants.length > 2) return countsFinding(found, language);
  const text = variants
    .map((variant) =>
      variantFinding(
        found.rows.filter(({ point }) => point.variant === variant),
        found,
        language,
      ),
    )
    .join(say(language, "；", "; "));
  // A sentence begins with our own word or with a variant's name, which keeps its letters.
  return variants.some((variant) => text.startsWith(labelOf(variant, found)))
    ? text
    : capitalized(text);
}

function labelOf(variant: string, { rows }: VariantRatios): string {
  return rows.find(({ point }) => point.variant === variant)?.point.variantLabel ?? variant;
}

function countsFinding({ rows, comparison }: VariantRatios, language: Language): string {
  const count = (outcome: VariantRatio["cell"]["outcome"]): number =>
    comparison.cells.filter((cell) => cell.outcome === outcome).length;
  const base = rows[0]?.base.variantLabel ?? "";
  const margin = marginText(comparison.margin, language);
  const [differs, equivalent] = [count("differs"), count("equivalent")];
  const open = comparison.cells.length - differs - equivalent;
  return say(
    language,
    `与 ${base} 的 ${comparison.cells.length} 个比值中，${differs} 个有差异，${equivalent} 个在 ${margin} 内等效，${open} 个无法定论或不可检验`,
    `Of ${comparison.cells.length} ratios to ${base}, ${differs} differ, ${equivalent} are equivalent within ${margin}, ${open} are inconclusive or not testable`,
  );
}

/** One metric of one variant: the loads where it differs, and what the others came to. */
interface MetricFinding {
  readonly name: string;
  readonly differing: readonly VariantRatio[];
  readonly rest: "equivalent" | "not_shown" | "not_testable" | undefined;
}

function variantFinding(
  rows: readonly VariantRatio[],
  { metrics, comparison }: VariantRatios,
  language: Language,
): string {
  const [first] = rows;
  if (first === undefined) return "";
  const { point, base } = first;
  const loads = new Set(rows.map((row) => row.point)).size;
  const texts = new Map(
    ratioTexts(comparison).map(({ ratio }, index) => [comparison.cells[index], ratio]),
  );
  const findings = metrics.flatMap((metric): readonly MetricFinding[] => {
    const own = rows.filter(({ cell }) => cell.metric === metric);
    if (own.length === 0) return [];
    const differing = own.filter(({ cell }) => cell.outcome === "differs");
    const outcomes = own
      .filter((row) => !differing.includes(row))
      .map(({ cell: { outcome } }) => outcome);
    return [{ name: comparedName(metric, language), differing, rest: restOf(outcomes) }];
  });
  const differs = findings
    .filter(({ differing }) => differing.length > 0)
    .map(({ name, differing }) => ({
      times: timesText(differing.map(({ cell }) => ({ ...cell, text: texts.get(cell) ?? "–" }))),
      name,
      where: atLoads(
        differing.map((row) => row.point),
        loads,
        language,
      ),
    }));
  const parts = [...new Set(differs.map(({ where }) => where))].map((where) => {
    const own = differs.filter((one) => one.where === where);
    const zh = own.map(({ name, times }, index) =>
      index === 0
        ? `${name}为 ${base.variantLabel} 的 ${times.join(" 至 ")} 倍`
        : `${name}为 ${times.join(" 至 ")} 倍`,
    );
    const en = own.map(({ name, times }) => `${times.join(" to ")} times the ${name}`);
    return say(
      language,
      `${where}，${point.variantLabel} 的${zh.join("，")}`,
      `${point.variantLabel} has ${list(en, language)} of ${base.variantLabel} ${where}`,
    );
  });
  const other = (rest: MetricFinding["rest"]): string | undefined => {
    const own = findings.filter((one) => one.differing.length === 0 && one.rest === rest);
    return own.length === 0
      ? undefined
      : list(
          own.map(({ name }) => name),
          language,
        );
  };
  const [equivalent, notShown] = [other("equivalent"), other("not_shown")];
  const margin = marginText(comparison.margin, language);
  const pair = say(
    language,
    `${point.variantLabel} 与 ${base.variantLabel} 的`,
    ` between ${point.variantLabel} and ${base.variantLabel}`,
  );
  const named = parts.length === 0;
  if (equivalent !== undefined)
    parts.push(
      say(
        language,
        `${named ? pair : ""}${equivalent}在 ${margin} 内等效`,
        named
          ? `${point.variantLabel} is equivalent to ${base.variantLabel} within ${margin} in ${equivalent}`
          : `equivalent within ${margin}: ${equivalent}`,
      ),
    );
  if (notShown !== undefined) {
    const en = `no difference in ${notShown}${parts.length === 0 ? pair : ""} could be shown`;
    parts.push(say(language, `${parts.length === 0 ? pair : ""}${notShown}未检出差异`, en));
  }
  if (parts.length === 0)
    parts.push(say(language, `${pair}差异不可检验`, `differences${pair} cannot be tested`));
  return parts.join(say(language, "；", "; "));
}

function restOf(outcomes: readonly VariantRatio["cell"]["outcome"][]): MetricFinding["rest"] {
  if (outcomes.length === 0) return undefined;
  if (outcomes.every((outcome) => outcome === "equivalent")) return "equivalent";
  return outcomes.every((outcome) => outcome === "not_testable") ? "not_testable" : "not_shown";
}

/** Least and most ratio as the figure prints them, once where they print alike. */
function timesText(
  cells: readonly { readonly ratio: number | undefined; readonly text: string }[],
): readonly string[] {
  const ordered = [...cells].sort((a, b) => (a.ratio ?? 0) - (b.ratio ?? 0));
  return [...new Set([ordered[0]?.text ?? "–", ordered.at(-1)?.text ?? "–"])];
}

function marginText(margin: number, language: Language): string {
  const share = margin * 100;
  return `±${percent(margin, language, Number.isInteger(Number(share.toFixed(6))) ? 0 : 1)}`;
}

/** What is drawn, and what the outcomes rest on. */
export function ratiosNote(
  { comparison, rows }: VariantRatios,
  { cut, oneProcess }: { readonly cut: boolean; readonly oneProcess: boolean },
  language: Language,
): string {
  const base = rows[0]?.base.variantLabel ?? "";
  const untested = rows.some(({ cell }) => cell.outcome === "not_testable");
  const drawn = sentences(
    [
      say(
        language,
        `标记为各变体与 ${base} 之比（几何均值），横线为 95% 置信区间，灰带为等效界`,
        `Mark: ratio of geometric means to ${base}; bar: its 95\u00a0% CI; grey band: margin of equivalence`,
      ),
      say(
        language,
        "实心：有差异或等效；空心：无法定论",
        "Filled: differs or equivalent; hollow: inconclusive",
      ),
      ...(untested ? [say(language, "小灰点：不可检验", "Small grey dot: not testable")] : []),
      ...(cut
        ? [
            say(
              language,
              "三角表示区间超出坐标范围",
              "A triangle: the interval goes on beyond the axis",
            ),
          ]
        : []),
    ],
    language,
  );
  return [drawn, ...comparisonNotes({ comparison, oneProcess }, language)].join(
    say(language, "", " "),
  );
}

/** Every ratio with its outcome, for readers who don't see the chart. */
export function describeRatios({ rows, comparison }: VariantRatios, language: Language): string {
  const texts = ratioTexts(comparison);
  const points = [...new Set(rows.map(({ point }) => point))];
  const parts = points.map((point) => {
    const own = rows.flatMap((row, index) => {
      if (row.point !== point) return [];
      const { ratio, interval } = texts[index] ?? { ratio: "–", interval: "" };
      const text = interval === "" ? ratio : `${ratio} ${interval}`;
      const name = comparedName(row.cell.metric, language);
      return [`${name} ${text} (${outcomeText(row.cell, language)})`];
    });
    return `${pointName(point, language)}: ${own.join("; ")}`;
  });
  return sentences(parts, language);
}
