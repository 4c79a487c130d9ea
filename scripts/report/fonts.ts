// From the text of a document to @font-face rules that hold just its characters, so that a record
// is one file that looks the same anywhere. Woff, not woff2: its packing took twenty times as long.

import subsetFont from "subset-font";
import type { Language } from "../experiment/experiment.ts";
import {
  type Face,
  faceBytes,
  faceHas,
  faces,
  latinRangesInChinese,
  latinSizeAdjust,
  sansFaceOf,
} from "./font-faces.ts";

/** The text to be set, by what it is set in; each string is a heap of characters in any order. */
export interface DocumentText {
  /** All text but code. */
  readonly regular: string;
  /** Headings, table heads, strong text; the same as `regular` unless given. */
  readonly semibold?: string;
  /** Code and digests; the same as `regular` unless given. */
  readonly mono?: string;
}

export interface EmbeddedFonts {
  /** One @font-face rule a line. */
  readonly css: string;
  /** Characters that no embedded font has, in code point order: the reader's machine will choose. */
  readonly missing: readonly string[];
}

// What a page may set beyond its own text: ASCII, the signs of numbers, arrows of sorted columns.
const always = `${String.fromCharCode(...Array.from({ length: 95 }, (_, index) => 32 + index))}\u00a0−±×≤≥≈–…←↑→↓`;

const latinFeatures = ["kern", "liga", "ccmp", "locl", "mark", "mkmk"];
const hanFeatures = ["kern", "locl", "ccmp", "halt", "chws"];

/**
 * The faces of the record, cut down to the document's characters and written into CSS. The same
 * text gives the same bytes. A face is left out where it would be empty.
 */
export async function embedFonts(text: DocumentText, language: Language): Promise<EmbeddedFonts> {
  const regular = text.regular + always;
  const semibold = (text.semibold ?? text.regular) + always;
  const mono = (text.mono ?? text.regular) + always;
  const monoRest = charactersOf(mono).filter((character) => !faceHas("mono", character));
  const inHan = (from: readonly string[]): string[] =>
    from.filter((character) => faceHas("han", character));

  const regularRest = charactersOf(regular).filter((c) => sansFaceOf(c, 400, language) === "han");
  const semiboldRest = charactersOf(semibold).filter((c) => sansFaceOf(c, 600, language) === "han");
  const wanted: Record<Face["name"], readonly string[]> = {
    sans: charactersOf(regular).filter((character) => faceHas("sans", character)),
    "sans-semibold": charactersOf(semibold).filter((character) =>
      faceHas("sans-semibold", character),
    ),
    mono: charactersOf(mono).filter((character) => faceHas("mono", character)),
    han: inHan(sorted([...regularRest, ...monoRest])),
    "han-semibold": inHan(semiboldRest),
  };
  const rules: string[] = [];
  for (const face of faces) {
    const characters = wanted[face.name].join("");
    if (characters !== "") rules.push(await fontFaceRule(face, characters, language));
  }
  const missing = sorted([...regularRest, ...semiboldRest, ...monoRest]).filter(
    (c) => !faceHas("han", c),
  );
  return { css: rules.join("\n"), missing };
}

async function fontFaceRule(face: Face, characters: string, language: Language): Promise<string> {
  const bytes = await subsetFont(faceBytes(face.name), characters, {
    targetFormat: "woff",
    keepFeatures: face.script === "latin" ? latinFeatures : hanFeatures,
    noLayoutClosure: true,
  });
  const adjusted = face.family === "BB Sans" && language === "zh";
  const parts = [
    `font-family:"${face.family}"`,
    "font-style:normal",
    `font-weight:${face.weight}`,
    "font-display:block",
    ...(adjusted
      ? [`size-adjust:${Math.round(latinSizeAdjust.zh * 100)}%`, `unicode-range:${unicodeRange}`]
      : []),
    `src:url(data:font/woff;base64,${bytes.toString("base64")}) format("woff")`,
  ];
  return `@font-face{${parts.join(";")}}`;
}

const unicodeRange = latinRangesInChinese
  .map(([first, last]) => `U+${hex(first)}-${hex(last)}`)
  .join(",");

function hex(code: number): string {
  return code.toString(16).toUpperCase().padStart(4, "0");
}

// Controls, joiners and variation selectors are no marks of their own, so no font can lack them.
function charactersOf(text: string): string[] {
  return sorted(text).filter(
    (character) => !/[\p{Cc}\p{Cf}\p{Cs}\u{fe00}-\u{fe0f}\u2028\u2029]/u.test(character),
  );
}

function sorted(characters: Iterable<string>): string[] {
  return [...new Set(characters)].sort((a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0));
}
