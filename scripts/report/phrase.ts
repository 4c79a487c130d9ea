// From a phrase of the record's data to inlines of a document: ours typeset, what came from outside
// left as it is and made safe to show.
import type { Language, LocalText } from "../experiment/experiment.ts";
import { type Dictionary, wordOf } from "./dictionary.ts";
import type { Inline, Mark } from "./document.ts";
import { joinInlines } from "./prose.ts";
import { type Phrase, type PointData, partText } from "./record-parts.ts";
import { visible } from "./typography.ts";

export function phraseInlines(
  phrase: Phrase,
  language: Language,
  dictionary: Dictionary,
): readonly Inline[] {
  const inlines = phrase.map((part): Inline => {
    if ("mark" in part) return markInline(part.mark, language, dictionary);
    if ("flag" in part) return { kind: "mark", mark: "qualified", label: part.flag[language] };
    const text = visible(partText(part, language));
    if ("code" in part) return { kind: "code", text };
    return { kind: "data" in part ? "data" : "text", text };
  });
  return joinInlines(inlines, language);
}

/** A verdict as its mark and word. */
export function markInline(mark: Mark, language: Language, dictionary: Dictionary): Inline {
  return { kind: "mark", mark, label: wordOf(dictionary, "marks", mark, language) };
}

/** The verdict of a point; of one of which nothing was measured, that it was not. */
export function pointMark(
  { mark, measured }: Pick<PointData, "mark" | "measured">,
  language: Language,
  dictionary: Dictionary,
): Inline {
  const name = measured ? mark : "not_measured";
  return { kind: "mark", mark, label: wordOf(dictionary, "marks", name, language) };
}

/** Our own sentence, typeset. */
export function textInlines(text: string, language: Language): readonly Inline[] {
  return text === "" ? [] : joinInlines([{ kind: "text", text }], language);
}

/** A sentence of a check or of a metric, in a language; what it quotes is made safe to show. */
export function localInlines(text: LocalText, language: Language): readonly Inline[] {
  return textInlines(visible(text[language]), language);
}
