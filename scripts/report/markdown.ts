// From a document to Markdown for a wiki or a pull request: front matter, tables as Markdown, charts
// as SVG files beside it. Made from the document, not from HTML; text from outside is escaped.
import type { Language } from "../experiment/experiment.ts";
import { type Dictionary, wordOf } from "./dictionary.ts";
import type {
  Block,
  Cover,
  Figure,
  HeadCell,
  Inline,
  Mark,
  RecordDocument,
  Table,
} from "./document.ts";
import { numberText } from "./record-numbers.ts";
import { withUnit } from "./typography.ts";

export interface MarkdownOptions {
  readonly dictionary: Dictionary;
  /** Where a figure's file lies, as seen from the Markdown: "figures/round-strip.zh.svg". */
  readonly figurePath: (figure: Figure) => string;
}

interface Page extends MarkdownOptions {
  readonly language: Language;
}

const marks: Readonly<Record<Mark, string>> = {
  valid: "✓",
  qualified: "◐",
  invalid: "✕",
  not_checked: "◌",
};

/** The whole file. The same document gives the same bytes. */
export function renderMarkdown(document: RecordDocument, options: MarkdownOptions): string {
  const page: Page = { ...options, language: document.language };
  const parts = [
    frontMatter(document),
    coverMarkdown(document.cover, page),
    ...document.blocks.map((block) => blockMarkdown(block, page)),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function frontMatter({ cover, recordId, run, date, tool, language }: RecordDocument): string {
  const lines = Object.entries({
    title: cover.title,
    record: recordId,
    run,
    date,
    verdict: cover.mark,
    language,
    tool,
  }).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `---\n${lines.join("\n")}\n---`;
}

function coverMarkdown(cover: Cover, page: Page): string {
  const reasons = cover.reasons
    .map(
      (reason) =>
        `- ${marks[reason.mark]} **${escapeMarkdown(reason.label)}** ${inline(reason.content, page)}`,
    )
    .join("\n");
  const facts = cover.facts
    .map(
      (fact) =>
        `- ${escapeMarkdown(fact.label)}${page.language === "zh" ? "：" : ": "}${inline(fact.value, page)}`,
    )
    .join("\n");
  const colon = page.language === "zh" ? "：" : ": ";
  return [
    `# ${escapeMarkdown(cover.title)}`,
    escapeMarkdown(cover.subtitle),
    `**${escapeMarkdown(wordOf(page.dictionary, "words", "verdict", page.language))}${colon}${marks[cover.mark]} ${escapeMarkdown(cover.verdict)}**`,
    reasons,
    cover.headline === undefined ? "" : tableMarkdown(cover.headline, page),
    cover.figure === undefined ? "" : figureMarkdown(cover.figure, page),
    facts,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function blockMarkdown(block: Block, page: Page): string {
  switch (block.kind) {
    case "heading": {
      const number = block.number === undefined ? "" : `${block.number} `;
      const anchor = block.id === "" ? "" : `<a id="${block.id}"></a>\n\n`;
      return `${anchor}${"#".repeat(block.level)} ${number}${inline(block.content, page)}`;
    }
    case "paragraph":
      return safeStart(inline(block.content, page));
    case "list":
      return block.items
        .map((item, index) => {
          const mark = block.ordered ? `${index + 1}. ` : "- ";
          const body = item.map((one) => blockMarkdown(one, page)).join("\n\n");
          return mark + body.replaceAll("\n", `\n${" ".repeat(mark.length)}`);
        })
        .join("\n");
    case "quote":
      return block.blocks
        .map((one) => blockMarkdown(one, page))
        .join("\n\n")
        .replaceAll(/^/gm, "> ");
    case "line":
      return "* * *";
    case "code":
      return codeMarkdown(block.text, block.command ? "sh" : "text");
    case "table":
      return tableMarkdown(block, page);
    case "figure":
      return figureMarkdown(block, page);
    case "fields":
      return block.groups
        .map(({ title, rows }) =>
          [
            `**${escapeMarkdown(title)}**`,
            grid(
              ["", "", wordOf(page.dictionary, "words", "source", page.language)],
              rows.map((row) => [
                inline(row.label, page),
                inline(row.value, page),
                escapeMarkdown(row.source),
              ]),
              [false, false, false],
            ),
          ].join("\n\n"),
        )
        .join("\n\n");
    case "folded": {
      const detail = block.detail === "" ? "" : ` · ${escapeMarkdown(block.detail)}`;
      const body = block.blocks.map((one) => blockMarkdown(one, page)).join("\n\n");
      return `**${inline(block.title, page)}**${detail}\n\n${body}`;
    }
    case "terms":
      return grid(
        ["", ""],
        block.terms.map(({ term, meaning }) => [escapeMarkdown(term), escapeMarkdown(meaning)]),
        [false, false],
      );
  }
}

function figureMarkdown(figure: Figure, page: Page): string {
  const finding = escapeMarkdown(figure.finding);
  const stop = wordOf(page.dictionary, "words", "full_stop", page.language);
  return `![${finding}](${page.figurePath(figure)})\n\n${escapeMarkdown(figure.numbered)}　**${finding}${stop}** ${inline(figure.caption, page)}`;
}

/** A reason row becomes a note of its own, since Markdown has no cell over several columns. */
function tableMarkdown(table: Table, page: Page): string {
  const heads = headTexts(table.head, page);
  const rows = table.bodies.flat().filter((row) => row.kind === "row");
  const width = Math.max(heads.length, ...rows.map((row) => row.cells.length));
  const numeric = Array.from({ length: width }, (_, index) =>
    rows.some((row) => row.cells[index]?.numeric === true),
  );
  const body = rows.map((row) =>
    row.cells.map((cell) => {
      const text = inline(cell.content, page);
      const anchor = cell.id === undefined ? "" : `<a id="${cell.id}"></a>`;
      return (
        anchor +
        (((row.struck && cell.numeric) || cell.struck === true) && text !== ""
          ? `~~${text}~~`
          : text)
      );
    }),
  );
  const caption =
    table.numbered === undefined
      ? ""
      : `${escapeMarkdown(table.numbered)}　${inline(table.caption, page)}`;
  const reasons = table.bodies.flatMap((rowsOfBody) => {
    const [first] = rowsOfBody;
    return rowsOfBody
      .filter((row) => row.kind === "reason")
      .map((row) => {
        const label = first === undefined ? "" : inline(first.cells[0]?.content ?? [], page);
        const text = row.cells
          .map((cell) => inline(cell.content, page))
          .join(" ")
          .trim();
        return `- ${label}${page.language === "zh" ? "，" : ", "}${text}`;
      });
  });
  const notes = table.notes.map((note) => safeStart(inline(note, page)));
  return [caption, grid(heads, body, numeric), reasons.join("\n"), ...notes]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** Two rows of heads as one: "Concurrency: achieved (requests)". */
function headTexts(head: Table["head"], page: Page): readonly string[] {
  const [top = [], below = []] = head;
  let next = 0;
  return top.flatMap((cell) => {
    const text = (one: HeadCell): string => {
      const unit =
        one.unit === undefined
          ? ""
          : page.language === "zh"
            ? `（${escapeMarkdown(one.unit)}）`
            : ` (${escapeMarkdown(one.unit)})`;
      return inline(one.content, page) + unit;
    };
    if (!cell.group) return [text(cell)];
    const inner = below.slice(next, next + cell.columns);
    next += cell.columns;
    const colon = page.language === "zh" ? "：" : ": ";
    return inner.map((one) => `${text(cell)}${colon}${text(one)}`);
  });
}

function grid(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  numeric: readonly boolean[],
): string {
  const width = numeric.length;
  const line = (cells: readonly string[]): string =>
    `| ${Array.from({ length: width }, (_, index) => cells[index] ?? "").join(" | ")} |`;
  const rule = `|${numeric.map((right) => (right ? "---:" : "---")).join("|")}|`;
  return [line(heads), rule, ...rows.map(line)].join("\n");
}

function inline(content: readonly Inline[], page: Page): string {
  return content.map((one) => oneInline(one, page)).join("");
}

function oneInline(one: Inline, page: Page): string {
  switch (one.kind) {
    case "text":
    case "data":
    case "absent":
      return escapeMarkdown(one.text);
    case "strong":
      return `**${inline(one.children, page)}**`;
    case "emphasis":
      return `*${inline(one.children, page)}*`;
    case "code":
      return codeSpan(one.text);
    case "link":
      return `[${inline(one.children, page)}](${linkTarget(one.href)})`;
    case "break":
      return "<br>";
    case "mark":
      return `${marks[one.mark]} ${escapeMarkdown(one.label)}`;
    case "variant":
      return escapeMarkdown(one.label);
    case "number": {
      const { number } = one;
      if (number.text === undefined) return `–${footnote(one.footnote)}`;
      const digits = numberText(number) ?? number.text;
      const text = one.unit ? withUnit(digits, number.unit[page.language], page.language) : digits;
      return escapeMarkdown(text) + footnote(one.footnote);
    }
  }
}

function footnote(letter: string | undefined): string {
  return letter === undefined ? "" : `<sup>${letter}</sup>`;
}

function linkTarget(href: string): string {
  if (!/^(?:https?:\/\/|mailto:|#)/i.test(href)) return "#";
  return href.replaceAll(/[()\s<>|]/g, (character) => encodeURIComponent(character));
}

/** Text in which no character is Markdown: escaped, on one line. */
function escapeMarkdown(text: string): string {
  return text
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll(/[\\`*_{}[\]<>|~$]/g, (character) => `\\${character}`)
    .replaceAll("&", "&amp;");
}

/** A paragraph must not begin as a list, a heading or a rule. */
function safeStart(text: string): string {
  return text.replace(/^(\s*)([#+-]|\d+(?=[.)]))/, (_, space: string, mark: string) =>
    /\d/.test(mark) ? `${space}${mark}&#8203;` : `${space}\\${mark}`,
  );
}

function codeSpan(text: string): string {
  const flat = text.replaceAll("\n", " ").replaceAll("|", "\\|");
  const longest = Math.max(0, ...Array.from(flat.matchAll(/`+/g), (match) => match[0].length));
  const fence = "`".repeat(longest + 1);
  const pad = longest > 0 || flat.startsWith(" ") || flat === "" ? " " : "";
  return `${fence}${pad}${flat}${pad}${fence}`;
}

function codeMarkdown(text: string, language: string): string {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), (match) => match[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, "")}\n${fence}`;
}
