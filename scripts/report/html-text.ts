// From a finished page to the characters it sets, by face: what the fonts of the file must hold.
import type { DocumentText } from "./fonts.ts";

const semiboldTags = new Set(["h1", "h2", "h3", "h4", "th", "strong", "b", "dt", "summary"]);
const semiboldClasses = /class="[^"]*\b(?:vd|find|big|brand|v)\b/;
const voidTags = new Set(["meta", "br", "hr", "link", "circle", "path", "rect", "line"]);

/**
 * The text of a page by the face that sets it. Charts may set theirs in both weights of the sans.
 * Each string holds every character once.
 */
export function htmlText(
  html: string,
): DocumentText & { readonly semibold: string; readonly mono: string } {
  const regular = new Set<string>();
  const semibold = new Set<string>();
  const mono = new Set<string>();
  const open: { readonly tag: string; readonly attributes: string }[] = [];
  for (const match of html.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)([^>]*)>|([^<]+)/g)) {
    const [, slash, tag, attributes = "", text] = match;
    if (text !== undefined) {
      if (open.some((one) => one.tag === "style" || one.tag === "script")) continue;
      const characters = decode(text);
      const inChart = open.some((one) => one.tag === "svg");
      const inCode = open.some(
        ({ tag: name, attributes: given }) =>
          name === "code" || name === "pre" || /class="[^"]*\bm\b/.test(given),
      );
      const inBold = open.some(
        (one) => semiboldTags.has(one.tag) || semiboldClasses.test(one.attributes),
      );
      // Heads hold lighter parts (numbers, units, keys), so what may be semibold is set in both.
      if (inCode) addAll(mono, characters);
      else if (inBold) addAll(semibold, characters);
      if (!inCode || inChart) addAll(regular, characters);
      if (inChart) addAll(semibold, characters);
      continue;
    }
    const name = (tag ?? "").toLowerCase();
    if (slash === "/") {
      const at = open.findLastIndex((one) => one.tag === name);
      if (at !== -1) open.splice(at);
    } else if (!voidTags.has(name) && !attributes.endsWith("/")) {
      open.push({ tag: name, attributes });
    }
    for (const attribute of attributes.matchAll(/data-\w+="([^"]*)"/g)) {
      addAll(regular, decode(attribute[1] ?? ""));
    }
  }
  return { regular: joined(regular), semibold: joined(semibold), mono: joined(mono) };
}

function addAll(set: Set<string>, text: string): void {
  for (const character of text) set.add(character);
}

function joined(set: ReadonlySet<string>): string {
  return [...set].sort().join("");
}

function decode(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&#x27;", "'")
    .replaceAll("&#x3D;", "=")
    .replaceAll("&#x60;", "`")
    .replaceAll("&amp;", "&");
}
