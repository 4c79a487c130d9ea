// Inlines of a document as HTML. Everything that is text is escaped here, and nowhere is markup made
// from text; the few tags and icons are ours.
import type { Language } from "../experiment/experiment.ts";
import type { Inline, Mark } from "./document.ts";
import { type PrintedNumber, spreadText } from "./record-numbers.ts";
import { withUnit } from "./typography.ts";

export interface InlineHtml {
  readonly language: Language;
  /** Anchors that exist on the page: a number in prose links to its cell. */
  readonly anchors: ReadonlySet<string>;
  /** Characters for which the half-widths of a column make room, so that values align. */
  readonly intervalWidth: number;
}

export function inlineHtml(content: readonly Inline[], options: InlineHtml): string {
  return content.map((inline) => oneInline(inline, options)).join("");
}

function oneInline(inline: Inline, options: InlineHtml): string {
  switch (inline.kind) {
    case "text":
      return escapeHtml(inline.text);
    case "data":
      return `<bdi>${escapeHtml(inline.text)}</bdi>`;
    case "strong":
      return `<strong>${inlineHtml(inline.children, options)}</strong>`;
    case "emphasis":
      return `<em>${inlineHtml(inline.children, options)}</em>`;
    case "code":
      return `<code>${escapeHtml(inline.text)}</code>`;
    case "link":
      return `<a href="${escapeHtml(safeHref(inline.href))}"${isExternal(inline.href) ? ' rel="noreferrer"' : ""}>${inlineHtml(inline.children, options)}</a>`;
    case "break":
      return "<br>";
    case "absent":
      return `<span class="nc">${escapeHtml(inline.text)}</span>`;
    case "mark":
      return `<span class="vd vd-${inline.mark}">${markIcon(inline.mark)}${escapeHtml(inline.label)}</span>`;
    case "variant":
      return `${variantKey(inline.place)}<bdi>${escapeHtml(inline.label)}</bdi>`;
    case "number":
      return inline.unit
        ? proseNumber(inline.number, options)
        : cellNumber(inline.number, inline.footnote, options);
  }
}

/** In a column: value, then the half-width in a box of fixed width or the interval beneath. */
function cellNumber(
  number: PrintedNumber,
  footnote: string | undefined,
  options: InlineHtml,
): string {
  const note = footnote === undefined ? "" : `<sup class="fn">${escapeHtml(footnote)}</sup>`;
  const value = `<span class="v">${escapeHtml(number.text ?? "–")}</span>`;
  const room = options.intervalWidth === 0 ? "" : ` w${Math.min(8, options.intervalWidth)}`;
  const spread = escapeHtml(spreadText(number) ?? "");
  if (number.plusMinus !== undefined) {
    return `${value}<span class="i${room}">${spread}</span>${note}`;
  }
  if (number.interval !== undefined) return `${value}${note}<span class="h">${spread}</span>`;
  return room === "" ? value + note : `${value}${note}<span class="i${room}"></span>`;
}

/** In prose: value, interval and unit, linked to the cell that holds it. */
function proseNumber(number: PrintedNumber, { language, anchors }: InlineHtml): string {
  if (number.text === undefined) {
    const [remark] = number.remarks;
    return `<span class="nc">– (${escapeHtml(remark?.[language] ?? "")})</span>`;
  }
  const unit = number.unit[language];
  const interval = spreadText(number)?.replace("±", "±\u2060");
  const spread = interval === undefined ? "" : `<span class="i"> ${escapeHtml(interval)}</span>`;
  const tail = escapeHtml(withUnit("", unit, language));
  const about = [number.basis, ...number.remarks]
    .map((text) => text[language])
    .filter((text) => text !== "")
    .join(language === "zh" ? "；" : "; ");
  const title = about === "" ? "" : ` title="${escapeHtml(about)}"`;
  const inner = `${escapeHtml(number.text)}${spread}${tail}`;
  return anchors.has(number.id)
    ? `<a class="val" href="#${escapeHtml(number.id)}"${title}>${inner}</a>`
    : `<span class="val"${title}>${inner}</span>`;
}

/** The four marks; the shape alone is enough in grey print. */
export function markIcon(mark: Mark): string {
  const ring = (dash: string): string =>
    `<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6"${dash}/>`;
  const inner: Readonly<Record<Mark, string>> = {
    valid: `${ring("")}<path d="M4.6 8.3l2.4 2.4 4.5-5" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
    qualified: `${ring("")}<path d="M8 1a7 7 0 0 1 0 14z" fill="currentColor"/>`,
    invalid: `${ring("")}<path d="M5 5l6 6M11 5l-6 6" stroke="currentColor" stroke-width="1.8"/>`,
    not_checked: ring(' stroke-dasharray="2.6 2.2"'),
  };
  return `<svg viewBox="0 0 16 16" aria-hidden="true">${inner[mark]}</svg>`;
}

const keyShapes = [
  '<circle cx="6" cy="6" r="5"/>',
  '<path d="M6 0l6 6-6 6-6-6z"/>',
  '<path d="M1 1h10v10H1z"/>',
  '<path d="M6 1l5.5 10H.5z"/>',
  '<path d="M4 0h4v4h4v4H8v4H4V8H0V4h4z"/>',
  '<path d="M6 11L.5 1h11z"/>',
];

/** Colour and shape of a variant, the same as in the charts. */
function variantKey(place: number): string {
  const shape = keyShapes[(place + Math.floor(place / keyShapes.length)) % keyShapes.length] ?? "";
  const color = (place % keyShapes.length) + 1;
  return `<svg class="key" viewBox="0 0 12 12" aria-hidden="true" fill="var(--variant-${color})">${shape}</svg>`;
}

function isExternal(href: string): boolean {
  return !href.startsWith("#");
}

/** Only links that a reader may follow on purpose; anything else leads nowhere. */
function safeHref(href: string): string {
  return /^(?:https?:\/\/|mailto:|#)/i.test(href) ? href : "#";
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
