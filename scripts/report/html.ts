// From a document to one HTML file that opens offline: fonts, charts, style and script inside, a
// policy that forbids every request. Partials in templates/partials/, theme in templates/theme/.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import type { Language } from "../experiment/experiment.ts";
import { forPage } from "./chart-svg.ts";
import { type Dictionary, wordOf } from "./dictionary.ts";
import type {
  Block,
  Figure,
  Inline,
  PageDocument,
  Table,
  TableCell,
  TableRow,
} from "./document.ts";
import { plainText } from "./document.ts";
import type { DocumentText } from "./fonts.ts";
import { escapeHtml, type InlineHtml, inlineHtml, markIcon } from "./html-inline.ts";
import { htmlText } from "./html-text.ts";

export interface HtmlOptions {
  /** Folder with `partials` and `theme`. */
  readonly templates: string;
  readonly dictionary: Dictionary;
  /** @font-face rules for a document's text; `embedFonts` of fonts.ts. */
  readonly embedFonts: (
    text: DocumentText,
    language: Language,
  ) => Promise<{ readonly css: string }>;
  /** The same record in the other language, beside this file; undefined: not made. */
  readonly other: { readonly language: Language; readonly href: string } | undefined;
}

const htmlLanguages: Readonly<Record<Language, string>> = { zh: "zh-Hans", en: "en" };

/** The whole file. The same document gives the same bytes. */
export async function renderHtml(document: PageDocument, options: HtmlOptions): Promise<string> {
  const { language } = document;
  const templates = readTemplates(options.templates);
  const page: Page = {
    templates,
    dictionary: options.dictionary,
    inline: { language, anchors: anchorsOf(document.blocks), intervalWidth: 0 },
    used: new Set(),
  };
  const word = (name: string, places?: Readonly<Record<string, string>>): string =>
    wordOf(options.dictionary, "words", name, language, places);
  const words = Object.fromEntries(
    Object.keys(options.dictionary.words).map((name) => [name, word(name)]),
  );
  const view = {
    lang: htmlLanguages[language],
    title: `${document.cover.title} · ${word(kindOf(document))}`,
    kind: word(kindOf(document)),
    tool: document.tool,
    date: document.date,
    recordId: document.recordId,
    words,
    other:
      options.other === undefined
        ? undefined
        : { href: options.other.href, lang: htmlLanguages[options.other.language] },
    cover: coverView(document, page, word),
    toc: document.blocks.flatMap((block) =>
      block.kind === "heading" && block.level === 2
        ? [{ id: block.id, number: block.number ?? "", text: plainText(block.content) }]
        : [],
    ),
    sections: sectionsOf(document.blocks).map(({ id, blocks }) => ({
      id,
      html: blocks.map((block) => blockHtml(block, page)).join("\n"),
    })),
    script: templates.script,
    csp: `default-src 'none'; script-src 'sha256-${sha256(templates.script)}'; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; form-action 'none'`,
  };
  const marginBoxes = printBoxes(document, word);
  const draft = templates.render("page", { ...view, css: "" });
  const fonts = await options.embedFonts(
    withExtra(htmlText(draft), document.cover.title + Object.values(words).join("")),
    language,
  );
  return templates.render("page", {
    ...view,
    css: `\n${fonts.css}\n${templates.style}\n${marginBoxes}\n`,
  });
}

interface Templates {
  readonly render: (name: string, view: object) => string;
  readonly style: string;
  readonly script: string;
}

interface Page {
  readonly templates: Templates;
  readonly dictionary: Dictionary;
  readonly inline: InlineHtml;
  /** Anchors already given: the second cell of one number has none. */
  readonly used: Set<string>;
}

function readTemplates(folder: string): Templates {
  const handlebars = Handlebars.create();
  const partials = join(folder, "partials");
  const files = readdirSync(partials)
    .filter((name) => name.endsWith(".hbs"))
    .sort();
  for (const file of files) {
    const source = readFileSync(join(partials, file), "utf8").trimEnd();
    handlebars.registerPartial(
      file.slice(0, -4),
      handlebars.compile(source, { preventIndent: true, strict: true }),
    );
  }
  const compiled = new Map<string, Handlebars.TemplateDelegate>();
  return {
    render: (name, view) => {
      const template = compiled.get(name) ?? handlebars.compile(`{{> ${name}}}`, { strict: true });
      compiled.set(name, template);
      return template(view);
    },
    style: readFileSync(join(folder, "theme", "record.css"), "utf8").trim(),
    script: `\n${readFileSync(join(folder, "theme", "record.js"), "utf8").trim()}\n`,
  };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

function withExtra(text: DocumentText, extra: string): DocumentText {
  return { ...text, regular: text.regular + extra };
}

/** Every anchor that a table of numbers gives. */
function anchorsOf(blocks: readonly Block[]): ReadonlySet<string> {
  return new Set(
    blocks.flatMap((block) =>
      block.kind === "table"
        ? block.bodies
            .flat()
            .flatMap((row) => row.cells.flatMap(({ id }) => (id === undefined ? [] : [id])))
        : [],
    ),
  );
}

function sectionsOf(
  blocks: readonly Block[],
): readonly { readonly id: string; readonly blocks: readonly Block[] }[] {
  const sections: { readonly id: string; readonly blocks: Block[] }[] = [];
  for (const block of blocks) {
    if (block.kind === "heading" && block.level === 2)
      sections.push({ id: block.id, blocks: [block] });
    else if (sections.length === 0) sections.push({ id: "top", blocks: [block] });
    else sections.at(-1)?.blocks.push(block);
  }
  return sections;
}

function blockHtml(block: Block, page: Page): string {
  const { templates, inline } = page;
  const inner = (blocks: readonly Block[]): string =>
    blocks.map((one) => blockHtml(one, page)).join("\n");
  switch (block.kind) {
    case "heading": {
      const content = inlineHtml(block.content, inline);
      if (block.level === 4) return `<h4>${content}</h4>`;
      const label = escapeHtml(wordOf(page.dictionary, "words", "anchor", inline.language));
      const anchor = `<a class="a" href="#${block.id}" aria-label="${label}">#</a>`;
      const number =
        block.number === undefined ? "" : `<span class="n">${escapeHtml(block.number)}</span>`;
      return block.level === 2
        ? `<h2 id="${block.id}">${number}<span>${content}${anchor}</span></h2>`
        : `<h3 id="${block.id}">${number}${content}${anchor}</h3>`;
    }
    case "paragraph":
      return `<p>${inlineHtml(block.content, inline)}</p>`;
    case "list": {
      const tag = block.ordered ? "ol" : "ul";
      const items = block.items.map((item) => `<li>${inner(item)}</li>`).join("\n");
      return `<${tag}>\n${items}\n</${tag}>`;
    }
    case "quote":
      return `<blockquote>${inner(block.blocks)}</blockquote>`;
    case "line":
      return "<hr>";
    case "code":
      return block.command
        ? `<pre class="cmd" tabindex="0"><code>${commandHtml(block.text)}</code></pre>`
        : `<pre tabindex="0"><code>${escapeHtml(block.text)}</code></pre>`;
    case "table":
      return templates.render("table", tableView(block, page));
    case "figure":
      return templates.render("figure", figureView(block, page));
    case "fields":
      return templates.render("fields", {
        groups: block.groups.map(({ title, rows }) => ({
          title,
          rows: rows.map((row) => ({
            label: inlineHtml(row.label, inline),
            value: inlineHtml(row.value, inline),
            source: row.source,
          })),
        })),
      });
    case "folded":
      return templates.render("folded", {
        title: inlineHtml(block.title, inline),
        detail: block.detail,
        body: inner(block.blocks),
      });
    case "terms":
      return templates.render("terms", block);
  }
}

function tableView(table: Table, page: Page): object {
  const { language } = page.inline;
  const widths = intervalWidths(table.bodies.flat());
  return {
    ...table,
    ...computedView(table, page),
    scrolls: table.layout !== "pairs",
    label: table.numbered === undefined ? table.label : `${table.numbered} ${table.label}`,
    anchorLabel: wordOf(page.dictionary, "words", "anchor_table", language),
    caption: inlineHtml(table.caption, page.inline),
    head:
      table.head.length === 0
        ? undefined
        : table.head.map((row) =>
            row.map((cell) => ({
              ...cell,
              content: inlineHtml(cell.content, page.inline),
              columns: cell.columns > 1 ? cell.columns : undefined,
              rows: cell.rows > 1 ? cell.rows : undefined,
            })),
          ),
    bodies: table.bodies.map((rows) => rows.map((row) => rowView(row, widths, page))),
    notes: table.notes.map((note) => inlineHtml(note, page.inline)),
  };
}

function rowView(row: TableRow, widths: readonly number[], page: Page): object {
  const struck = row.struck ? "bad" : "";
  return {
    class: row.kind === "reason" ? "why" : struck,
    cells: row.cells.map((cell, index) => cellView(cell, widths[index] ?? 0, page)),
  };
}

function cellView(cell: TableCell, intervalWidth: number, page: Page): object {
  const first = cell.id !== undefined && !page.used.has(cell.id);
  if (cell.id !== undefined) page.used.add(cell.id);
  return {
    head: cell.head,
    class: [cell.numeric ? "c" : "", cell.wide === true ? "w" : ""]
      .filter((name) => name !== "")
      .join(" "),
    content: inlineHtml(cell.content, { ...page.inline, intervalWidth }),
    columns: cell.columns > 1 ? cell.columns : undefined,
    id: first ? cell.id : undefined,
    title: titleOf(cell.content, page.inline.language),
    sorts: cell.sort !== undefined,
    sort: cell.sort,
  };
}

/** On hover: requests and rounds behind the number, and what must be said of it. */
function titleOf(content: readonly Inline[], language: Language): string | undefined {
  const parts = content.flatMap((inline) =>
    inline.kind === "number"
      ? [inline.number.basis[language], ...inline.number.remarks.map((remark) => remark[language])]
      : [],
  );
  const text = [...new Set(parts)]
    .filter((part) => part !== "")
    .join(language === "zh" ? "；" : "; ");
  return text === "" ? undefined : text;
}

/** Per column, the characters of the longest half-width. */
function intervalWidths(rows: readonly TableRow[]): readonly number[] {
  const widths: number[] = [];
  for (const { cells } of rows) {
    for (const [index, { content }] of cells.entries()) {
      for (const inline of content) {
        if (inline.kind !== "number") continue;
        widths[index] = Math.max(widths[index] ?? 0, inline.number.plusMinus?.length ?? 0);
      }
    }
  }
  return Array.from(widths, (width: number | undefined) => width ?? 0);
}

function figureView(figure: Figure, page: Page): object {
  return {
    id: figure.id,
    numbered: figure.numbered,
    finding: figure.finding,
    anchorLabel: wordOf(page.dictionary, "words", "anchor_figure", page.inline.language),
    caption: inlineHtml(figure.caption, page.inline),
    wide: classed(forPage(figure.wide), "wid"),
    narrow: classed(forPage(figure.narrow), "nar"),
    ...computedView(figure, page),
  };
}

function classed(svg: string, name: string): string {
  return svg.replace("<svg ", `<svg class="${name}" `);
}

function computedView({ computed }: Pick<Table, "computed">, page: Page): object {
  return {
    computed: computed.length === 0 ? undefined : computed,
    computedLabel: wordOf(page.dictionary, "words", "computed", page.inline.language),
  };
}

/** The word for what the page is. */
function kindOf({ recordId }: PageDocument): "record" | "comparison" {
  return recordId === undefined ? "comparison" : "record";
}

function coverView({ cover }: PageDocument, page: Page, word: (name: string) => string): object {
  const { inline } = page;
  if (!("mark" in cover)) return { ...cover, mark: undefined };
  const figure = cover.figure;
  return {
    title: cover.title,
    subtitle: cover.subtitle,
    mark: cover.mark,
    icon: markIcon(cover.mark),
    verdict: cover.verdict,
    verdictLabel: word("verdict"),
    stop: word("full_stop"),
    reasons: cover.reasons.map((reason) => ({
      mark: reason.mark,
      icon: markIcon(reason.mark),
      label: reason.label,
      content: inlineHtml(reason.content, inline),
    })),
    figure:
      figure === undefined
        ? undefined
        : {
            id: figure.id,
            numbered: figure.numbered,
            finding: figure.finding,
            note: inlineHtml(figure.caption, inline),
            wide: classed(forPage(figure.wide), "wid"),
            narrow: classed(forPage(figure.narrow), "nar"),
          },
    headline: cover.headline === undefined ? undefined : headlineView(cover.headline, page),
    facts: cover.facts.map((fact) => ({
      ...fact,
      value: fact.command
        ? `<code>${commandHtml(plainText(fact.value))}</code>`
        : inlineHtml(fact.value, inline),
    })),
  };
}

/** A command whose lines break between words, not after the dashes of a flag. */
function commandHtml(command: string): string {
  return command.replaceAll(/\S+/g, (word) => `<span>${escapeHtml(word)}</span>`);
}

function headlineView(table: Table, page: Page): object {
  return {
    label: table.label,
    head: (table.head[0] ?? []).map((cell, index) => ({
      first: index === 0,
      content: inlineHtml(cell.content, page.inline),
      unit: cell.unit,
    })),
    rows: table.bodies.flat().map(({ cells }) => ({
      cells: cells.map((cell) => ({
        head: cell.head,
        struck: cell.struck === true,
        content: inlineHtml(cell.content, page.inline),
        title: titleOf(cell.content, page.inline.language),
      })),
    })),
    notes: table.notes.map((note) => inlineHtml(note, page.inline)),
  };
}

/** Header and footer of a printed page. */
function printBoxes(
  document: PageDocument,
  word: (name: string, places?: Readonly<Record<string, string>>) => string,
): string {
  const { cover, recordId } = document;
  const font = 'font:400 8pt "BB Sans","BB Han",sans-serif;color:#464d57';
  const [before = "", middle = "", after = ""] = word("page_of", {
    page: "\u0000",
    pages: "\u0000",
  }).split("\u0000");
  const boxes = [
    `@top-left{content:${cssString(`${word(kindOf(document))}　${cover.title}`)};${font}}`,
    ...(recordId === undefined
      ? []
      : [`@bottom-left{content:${cssString(`${word("record_id")} ${recordId}`)};${font}}`]),
    `@bottom-right{content:${cssString(before)} counter(page) ${cssString(middle)} counter(pages) ${cssString(after)};${font}}`,
  ];
  return `@page{${boxes.join("")}}`;
}

/** A CSS string that can end neither itself nor the style element. */
function cssString(text: string): string {
  const safe = text.replaceAll(
    /[^\p{L}\p{N} .,:;()_/+-]/gu,
    (character) => `\\${(character.codePointAt(0) ?? 0).toString(16)} `,
  );
  return `"${safe}"`;
}
