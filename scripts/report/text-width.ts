// From a string to its width in the record's own fonts. Vega without a canvas guesses widths from
// the number of characters, which puts Chinese labels in wrong places; charts ask here instead.

import type { Language } from "../experiment/experiment.ts";
import { advanceEm, latinSizeAdjust, sansFaceOf } from "./font-faces.ts";

export interface TextStyle {
  readonly language: Language;
  /** CSS px; 12, the size of chart text, unless given. */
  readonly sizePx?: number;
  readonly weight?: 400 | 600;
}

/**
 * Width of one line of sans text in CSS px, without kerning: up to 2 % wider than the browser sets it.
 *
 * @example textWidth("并发 10", { language: "zh" }) // 2 × 12 + (0.2 + 2 × 0.497) × 12 × 1.07 = 39.3
 */
export function textWidth(text: string, style: TextStyle): number {
  const { language, sizePx = 12, weight = 400 } = style;
  let em = 0;
  for (const character of text) {
    const face = sansFaceOf(character, weight, language);
    em += advanceEm(face, character) * (face === "han" ? 1 : latinSizeAdjust[language]);
  }
  return em * sizePx;
}

/** The text, or as much of it as fits with an ellipsis, so that it is at most `limitPx` wide. */
export function fitText(text: string, limitPx: number, style: TextStyle): string {
  if (textWidth(text, style) <= limitPx) return text;
  const characters = Array.from(text);
  while (characters.length > 1) {
    characters.pop();
    const shortened = `${characters.join("").trimEnd()}…`;
    if (textWidth(shortened, style) <= limitPx) return shortened;
  }
  return "…";
}
