// The parts of a record's data: phrases, variants, points with their numbers, findings, starts. All
// formatted, in both languages, each number with the metric that made it.
import type { Severity } from "../audit/finding.ts";
import type { Language, Load, LocalText } from "../experiment/experiment.ts";
import type { Mark } from "./document.ts";
import type { PrintedNumber } from "./record-numbers.ts";

/** A sentence of ours with text from outside in it, kept apart so that only ours is typeset. */
export type Phrase = readonly TextPart[];
export type TextPart =
  | { readonly text: LocalText }
  | { readonly data: string | LocalText }
  | { readonly code: string }
  | { readonly mark: Mark }
  /** A word that must catch the eye: what makes a point qualified at best. */
  | { readonly flag: LocalText };

/** A row of a table of keys and values; the key's label is in the dictionary under `rows`. */
export interface TextRow {
  readonly key: string;
  readonly value: Phrase;
}

export interface VariantData {
  readonly name: string;
  readonly title: LocalText;
  /** From 0: which colour and shape it has through the whole record. */
  readonly place: number;
  readonly model: string;
}

interface LoadData {
  readonly kind: Load["kind"];
  /** "并发 4", "concurrency 4". */
  readonly label: LocalText;
}

export interface PointData {
  readonly name: string;
  readonly variant: string;
  readonly place: number;
  readonly workload: string;
  readonly load: LoadData;
  /** Variant and load, and the workload where there are several. */
  readonly label: LocalText;
  /** The same without the variant. */
  readonly shortLabel: LocalText;
  /** Something of it was measured, if only a request that failed. */
  readonly measured: boolean;
  /** Not checked: nothing was measured, or no check judged it. */
  readonly mark: Mark;
  /** Why it is not valid, worst first. */
  readonly reasons: readonly FindingData[];
  /** By metric key. */
  readonly numbers: Readonly<Record<string, PrintedNumber>>;
}

export interface FindingData {
  /** Anchor: "f-1". */
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  /** What it makes of the point or the run; undefined: nothing. */
  readonly mark: Mark | undefined;
  readonly where: string;
  readonly label: LocalText;
  readonly seen: LocalText;
  readonly expected: LocalText;
  readonly mend: LocalText;
  readonly waived: { readonly reason: string; readonly by: string } | undefined;
}

export interface StartData {
  readonly start: string;
  readonly variant: string;
  readonly round: string;
  /** Launch to ready, seconds; undefined: not launched by us, or never ready. */
  readonly startupS: string | undefined;
  /** Tokens that its KV cache holds; undefined: it does not say. */
  readonly kvCacheTokens: string | undefined;
  /** Rounds that it served, where they are several: "1–3". */
  readonly servedRounds: string | undefined;
  /** It answered: only then does it say what it is. */
  readonly ready: boolean;
  readonly argv: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly config: readonly (readonly [string, string])[] | undefined;
  readonly configDigest: string | undefined;
  readonly ended: Phrase;
}

/** The text of a part in a language, as a plain string. */
export function partText(part: TextPart, language: Language): string {
  if ("text" in part) return part.text[language];
  if ("code" in part) return part.code;
  if ("mark" in part) return part.mark;
  if ("flag" in part) return part.flag[language];
  return typeof part.data === "string" ? part.data : part.data[language];
}
