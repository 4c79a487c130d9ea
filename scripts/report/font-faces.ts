// The faces a record is set in: where their files are, which characters each has, how wide each is.
// Complete fonts from their makers' packages; what a document embeds is cut from them in fonts.ts.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import opentype from "opentype.js";
import type { Language } from "../experiment/experiment.ts";

export type FaceName = "sans" | "sans-semibold" | "mono" | "han" | "han-semibold";

/** One face as the page's CSS knows it. */
export interface Face {
  readonly name: FaceName;
  readonly family: "BB Sans" | "BB Mono" | "BB Han";
  readonly weight: 400 | 600;
  readonly script: "latin" | "han";
}

/** In the order in which they are embedded. Noto's Medium stands for 600: its Bold is too black beside the Latin 600. */
export const faces: readonly Face[] = [
  { name: "sans", family: "BB Sans", weight: 400, script: "latin" },
  { name: "sans-semibold", family: "BB Sans", weight: 600, script: "latin" },
  { name: "mono", family: "BB Mono", weight: 400, script: "latin" },
  { name: "han", family: "BB Han", weight: 400, script: "han" },
  { name: "han-semibold", family: "BB Han", weight: 600, script: "han" },
];

/** How much the Latin sans is enlarged in a Chinese document, where it would look small beside Han. */
export const latinSizeAdjust = { zh: 1.07, en: 1 } as const satisfies Record<Language, number>;

/**
 * What the Latin sans sets in a Chinese document: everything it has but the marks that both scripts
 * share and that Chinese sets a full em wide (“ ” ‘ ’ — … ·).
 */
export const latinRangesInChinese: readonly (readonly [number, number])[] = [
  [0x20, 0xb6],
  [0xb8, 0x2013],
  [0x2020, 0x2025],
  [0x2027, 0x2e7f],
];

/** The complete font file of a face. */
export function faceBytes(name: FaceName): Buffer {
  return readFileSync(faceFile(name));
}

/** Whether the face draws the character (one code point). The two Han weights have the same characters. */
export function faceHas(name: FaceName, character: string): boolean {
  return glyphOf(name, character) !== 0;
}

/** Advance width of one character in em, before any size adjustment. */
export function advanceEm(name: FaceName, character: string): number {
  const font = parsedFace(name);
  return (
    (font.glyphs.get(glyphOf(name, character)).advanceWidth ?? font.unitsPerEm) / font.unitsPerEm
  );
}

/** The sans face of the page's font stack that draws the character: Latin first, then Han, as CSS decides it. */
export function sansFaceOf(character: string, weight: 400 | 600, language: Language): FaceName {
  const latin = weight === 600 ? "sans-semibold" : "sans";
  const allowed = language === "en" || inLatinRange(character);
  return allowed && faceHas(latin, character) ? latin : "han";
}

function inLatinRange(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return latinRangesInChinese.some(([first, last]) => code >= first && code <= last);
}

function faceFile(name: FaceName): string {
  const require = createRequire(import.meta.url);
  const han = (file: string): string =>
    join(dirname(require.resolve("@embedpdf/fonts-sc")), "..", "fonts", file);
  switch (name) {
    case "sans":
      return require.resolve("source-sans/TTF/SourceSans3-Regular.ttf");
    case "sans-semibold":
      return require.resolve("source-sans/TTF/SourceSans3-Semibold.ttf");
    case "mono":
      return require.resolve("source-code-pro/TTF/SourceCodePro-Regular.ttf");
    case "han":
      return han("NotoSansHans-Regular.otf");
    case "han-semibold":
      return han("NotoSansHans-Medium.otf");
  }
}

const parsed = new Map<FaceName, opentype.Font>();
const glyphs = new Map<string, number>();

// Reading a Han font takes 70 ms, so each is read once a process. Both weights answer from the
// regular one: their characters and widths are the same.
function parsedFace(name: FaceName): opentype.Font {
  const key = name === "han-semibold" ? "han" : name;
  const known = parsed.get(key);
  if (known !== undefined) return known;
  const bytes = faceBytes(key);
  const font = opentype.parse(new Uint8Array(bytes).buffer, { lowMemory: true });
  parsed.set(key, font);
  return font;
}

function glyphOf(name: FaceName, character: string): number {
  const key = `${name} ${character}`;
  const known = glyphs.get(key);
  if (known !== undefined) return known;
  const glyph = parsedFace(name).charToGlyphIndex(character);
  glyphs.set(key, glyph);
  return glyph;
}
