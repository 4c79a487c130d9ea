// From a Vega-Lite spec to SVG: text measured in the record's fonts, the same bytes for the same
// spec, nothing that a reader's machine would have to fetch. Also the two dresses an SVG is given.

import { createHash } from "node:crypto";
import {
  Error as errorsOnly,
  loader,
  logger,
  parse,
  textMetrics,
  type Spec as VegaSpec,
  View,
  Warn as warningsToo,
} from "vega";
import { type Config, compile, type TopLevelSpec } from "vega-lite";
import type { Language } from "../experiment/experiment.ts";
import { chartColors, paper } from "./chart-colors.ts";
import { readChartTemplate } from "./chart-template.ts";
import { textWidth } from "./text-width.ts";

/** The outer size of an SVG in px, and where in it the first panel begins. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
}

export interface SvgRequest {
  readonly spec: unknown;
  readonly language: Language;
  /** Read out by a screen reader instead of the picture. */
  readonly title: string;
  readonly description: string;
  /** Undefined: as large as Vega finds it. */
  readonly frame?: Frame;
}

export interface RenderedSvg {
  /** With plain colours: give it to forPage or forFile. */
  readonly svg: string;
  /** What Vega-Lite found odd in the spec, as it says it. */
  readonly warnings: readonly string[];
}

/**
 * Compiles and draws a spec. It may hold its data only itself: loading anything is refused.
 *
 * @throws Error from Vega or Vega-Lite for a spec that they can't read
 */
export async function renderSvg(request: SvgRequest): Promise<RenderedSvg> {
  const { vegaSpec, warnings } = compileSpec(request.spec, request.frame);
  const raw = await inTurn(() => draw(vegaSpec, request.language));
  return { svg: dress(raw, request), warnings };
}

/** The Vega spec behind a Vega-Lite spec, with the record's chart config and an exact outer size. */
export function compileSpec(
  spec: unknown,
  frame?: Frame,
): { readonly vegaSpec: VegaSpec; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const { spec: vegaSpec } = compile(spec as TopLevelSpec, {
    config: { ...(readChartTemplate("vega-config") as Config), aria: false },
    logger: logger(warningsToo, undefined, (_method, _level, messages) => {
      warnings.push(messages.map(String).join(" "));
    }),
  });
  if (frame === undefined) return { vegaSpec, warnings };
  // A size that Vega-Lite set is that of the panels, which refer to it; the rest is padding.
  const { left, top } = frame;
  const width = typeof vegaSpec.width === "number" ? vegaSpec.width : frame.width - left;
  const height = typeof vegaSpec.height === "number" ? vegaSpec.height : frame.height - top;
  const framed: VegaSpec = {
    ...vegaSpec,
    autosize: { type: "none" },
    width,
    height,
    padding: { left, top, right: frame.width - left - width, bottom: frame.height - top - height },
  };
  return { vegaSpec: framed, warnings };
}

async function draw(spec: VegaSpec, language: Language): Promise<string> {
  const before = textMetrics.width;
  textMetrics.width = ({ fontSize = 11, fontWeight }, text) =>
    textWidth(String(text), {
      language,
      sizePx: fontSize,
      weight: fontWeight === "bold" || Number(fontWeight) >= 600 ? 600 : 400,
    });
  const view = new View(parse(spec), {
    renderer: "none",
    logLevel: errorsOnly,
    loader: closedLoader(),
  });
  try {
    return await view.toSVG();
  } finally {
    textMetrics.width = before;
    view.finalize();
  }
}

// Vega's measure of text is one for the process, so two languages must not be drawn at once.
let last: Promise<unknown> = Promise.resolve();
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const turn = last.then(work, work);
  last = turn.catch(() => undefined);
  return turn;
}

function closedLoader(): ReturnType<typeof loader> {
  const refuse = (uri: string): Promise<never> =>
    Promise.reject(new Error(`a chart may not load anything, and asks for ${uri}`));
  return { ...loader(), load: refuse, sanitize: refuse, http: refuse, file: refuse };
}

// Vega's root and its notes on structure are replaced by what a figure in a document needs.
function dress(raw: string, { title, description }: SvgRequest): string {
  const width = /width="([\d.]+)"/.exec(raw)?.[1] ?? "0";
  const height = /height="([\d.]+)"/.exec(raw)?.[1] ?? "0";
  const inner = raw.slice(raw.indexOf(">") + 1, raw.lastIndexOf("</svg>"));
  const lean = inner.replaceAll(/<[a-z][^>]*>/g, leanTag);
  const head =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img"><title>${escape(title)}</title><desc>${escape(description)}</desc>`;
  return `${head}${namedByContent(lean)}</svg>`;
}

function leanTag(tag: string): string {
  return tag
    .replaceAll(/ (?:class|role|aria-[a-z]+|pointer-events)="[^"]*"/g, "")
    .replaceAll(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) =>
      String(Math.round(Number(number) * 100) / 100),
    );
}

// Vega counts ids through the whole process, and two charts on one page must not share any.
function namedByContent(svg: string): string {
  const ids = [...new Set(Array.from(svg.matchAll(/ id="([^"]+)"/g), (match) => match[1] ?? ""))];
  const anonymous = ids.reduce((text, id, index) => renameId(text, id, `i${index}`), svg);
  const digest = createHash("sha256").update(anonymous).digest("hex").slice(0, 8);
  return ids.reduce(
    (text, _, index) => renameId(text, `i${index}`, `c${digest}-${index}`),
    anonymous,
  );
}

function renameId(svg: string, from: string, to: string): string {
  return svg.replaceAll(` id="${from}"`, ` id="${to}"`).replaceAll(`url(#${from})`, `url(#${to})`);
}

/** The SVG for a page: every colour of ours becomes its CSS variable, so that it follows the theme. */
export function forPage(svg: string): string {
  const tokens = new Map(chartColors.map(({ token, light }) => [light, token]));
  return svg.replaceAll(
    / (fill|stroke)="(#[0-9a-f]{6})"/g,
    (attribute, name: string, hex: string) => {
      const token = tokens.get(hex);
      return token === undefined ? attribute : ` ${name}="var(--${token}, ${hex})"`;
    },
  );
}

/**
 * The SVG as a file of its own: on paper, since it cannot follow the theme of what shows it.
 * `css` may hold @font-face rules with the fonts themselves.
 */
export function forFile(svg: string, css = ""): string {
  const style = css === "" ? "" : `<style>${css}</style>`;
  const ground = `<rect width="100%" height="100%" fill="${paper.light}"/>`;
  return `${svg.replace("</desc>", () => `</desc>${style}${ground}`)}\n`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
