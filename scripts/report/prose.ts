// From Markdown prose to blocks. Numbers and texts of the record are put in as slots, marks that no
// Markdown can see into, so that nothing they hold is ever read as markup.
import MarkdownIt, { type Token } from "markdown-it";
import type { Language } from "../experiment/experiment.ts";
import type { Block, Inline, TableCell } from "./document.ts";
import { between, setText, softBreak } from "./typography.ts";

/** What stands where a slot was put. */
export type Slots = (index: number) => readonly Inline[];

const slotOpen = "\ue000";
const slotClose = "\ue001";

/** The mark of a slot in Markdown text. */
export function slotMark(index: number): string {
  return `${slotOpen}${index}${slotClose}`;
}

/** Removes what would read as a slot from text that people wrote. */
export function withoutSlots(text: string): string {
  return text.replaceAll(/[\ue000\ue001]/g, "");
}

/** The slot that a text is, if it is one and nothing else. */
export function slotOf(text: string): number | undefined {
  const match = /^\ue000(\d+)\ue001$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

// No raw HTML, no images (they would ask the network), no turning of words into links.
const markdown = new MarkdownIt({ html: false, linkify: false, typographer: false }).disable([
  "image",
]);

/** The blocks of a piece of prose. Headings come without numbers. */
export function proseBlocks(text: string, language: Language, slots: Slots): readonly Block[] {
  const reader: Reader = { tokens: markdown.parse(text, {}), at: 0, language, slots };
  return readBlocks(reader, undefined);
}

interface Reader {
  readonly tokens: readonly Token[];
  at: number;
  readonly language: Language;
  readonly slots: Slots;
}

function readBlocks(reader: Reader, until: string | undefined): readonly Block[] {
  const blocks: Block[] = [];
  while (reader.at < reader.tokens.length) {
    const token = reader.tokens[reader.at];
    reader.at += 1;
    if (token === undefined || token.type === until) break;
    const block = readBlock(token, reader);
    if (block !== undefined) blocks.push(block);
  }
  return blocks;
}

function readBlock(token: Token, reader: Reader): Block | undefined {
  switch (token.type) {
    case "heading_open": {
      const content = readInline(reader);
      const level = token.tag === "h2" ? 2 : token.tag === "h3" ? 3 : 4;
      return { kind: "heading", level, id: "", number: undefined, content };
    }
    case "paragraph_open":
      return { kind: "paragraph", content: readInline(reader) };
    case "bullet_list_open":
    case "ordered_list_open":
      return readList(token.type === "ordered_list_open", reader);
    case "blockquote_open":
      return { kind: "quote", blocks: readBlocks(reader, "blockquote_close") };
    case "hr":
      return { kind: "line" };
    case "fence":
    case "code_block":
      return { kind: "code", text: plainSlots(token.content, reader.slots), command: false };
    case "table_open":
      return readTable(reader);
    default:
      return undefined;
  }
}

/** The inline token after the one just read, and past the closing tag. */
function readInline(reader: Reader): readonly Inline[] {
  const token = reader.tokens[reader.at];
  reader.at += 2;
  return joinInlines(inlines(token?.children ?? [], reader), reader.language);
}

function readList(ordered: boolean, reader: Reader): Block {
  const close = ordered ? "ordered_list_close" : "bullet_list_close";
  const items: (readonly Block[])[] = [];
  for (;;) {
    const token = reader.tokens[reader.at];
    reader.at += 1;
    if (token === undefined || token.type === close) return { kind: "list", ordered, items };
    if (token.type === "list_item_open") items.push(readBlocks(reader, "list_item_close"));
  }
}

function readTable(reader: Reader): Block {
  const rows: { readonly head: boolean; readonly cells: TableCell[] }[] = [];
  for (;;) {
    const token = reader.tokens[reader.at];
    reader.at += 1;
    if (token === undefined || token.type === "table_close") break;
    if (token.type === "tr_open") rows.push({ head: false, cells: [] });
    if (token.type === "th_open" || token.type === "td_open") {
      const numeric = String(token.attrGet("style") ?? "").includes("right");
      const content = readInline(reader);
      rows.at(-1)?.cells.push({ content, numeric, head: token.type === "th_open", columns: 1 });
    }
  }
  const [head, ...body] = rows;
  return {
    kind: "table",
    id: "",
    numbered: undefined,
    caption: [],
    label: "",
    head: [
      (head?.cells ?? []).map((cell) => ({
        content: cell.content,
        unit: undefined,
        numeric: cell.numeric,
        columns: 1,
        rows: 1,
        group: false,
      })),
    ],
    bodies: body.map((row) => [{ kind: "row", struck: false, cells: row.cells }]),
    layout: "plain",
    sortable: false,
    notes: [],
    computed: [],
  };
}

function inlines(tokens: readonly Token[], reader: Reader): readonly Inline[] {
  const out: Inline[] = [];
  const stack: {
    readonly close: string;
    readonly make: (children: Inline[]) => Inline;
    readonly into: Inline[];
  }[] = [];
  const push = (...added: readonly Inline[]): void => {
    (stack.at(-1)?.into ?? out).push(...added);
  };
  const open = (close: string, make: (children: Inline[]) => Inline): void => {
    stack.push({ close, make, into: [] });
  };
  for (const [index, token] of tokens.entries()) {
    switch (token.type) {
      case "text":
        push(...fillSlots(token.content, reader.slots));
        break;
      case "softbreak": {
        const space = softBreak(tokens[index - 1]?.content ?? "", tokens[index + 1]?.content ?? "");
        if (space !== "") push({ kind: "text", text: space });
        break;
      }
      case "hardbreak":
        push({ kind: "break" });
        break;
      case "code_inline":
        push({ kind: "code", text: plainSlots(token.content, reader.slots) });
        break;
      case "strong_open":
        open("strong_close", (children) => ({ kind: "strong", children }));
        break;
      case "em_open":
        open("em_close", (children) => ({ kind: "emphasis", children }));
        break;
      case "link_open": {
        const href = String(token.attrGet("href") ?? "");
        open("link_close", (children) => ({ kind: "link", href, children }));
        break;
      }
      default:
        if (token.type === stack.at(-1)?.close) {
          const done = stack.pop();
          if (done !== undefined) push(done.make(done.into));
        } else if (token.content !== "") {
          push({ kind: "text", text: token.content });
        }
    }
  }
  return out;
}

/** Text with its slots replaced by what they hold. */
function fillSlots(text: string, slots: Slots): readonly Inline[] {
  return text.split(/(\ue000\d+\ue001)/).flatMap((part): readonly Inline[] => {
    const slot = slotOf(part);
    if (slot !== undefined) return slots(slot);
    return part === "" ? [] : [{ kind: "text", text: part }];
  });
}

function plainSlots(text: string, slots: Slots): string {
  return text.replaceAll(/\ue000(\d+)\ue001/g, (_, index: string) =>
    slots(Number(index))
      .map((inline) => ("text" in inline ? inline.text : ""))
      .join(""),
  );
}

/**
 * Sets the text of inlines for a language and puts the space between Han and Latin where two of them
 * meet. Text from outside and code stay as they are.
 */
export function joinInlines(content: readonly Inline[], language: Language): readonly Inline[] {
  const out: Inline[] = [];
  for (const inline of content) {
    const set = setInline(inline, language);
    const before = out.at(-1);
    const space =
      before === undefined ? "" : between(edge(before, "end"), edge(set, "start"), language);
    if (space !== "") out.push({ kind: "text", text: space });
    out.push(set);
  }
  return out;
}

function setInline(inline: Inline, language: Language): Inline {
  if (inline.kind === "text") return { kind: "text", text: setText(inline.text, language) };
  if (inline.kind === "strong" || inline.kind === "emphasis" || inline.kind === "link") {
    return { ...inline, children: joinInlines(inline.children, language) };
  }
  return inline;
}

/** The outermost character of an inline, as far as spacing is concerned. */
function edge(inline: Inline, side: "start" | "end"): string {
  switch (inline.kind) {
    case "text":
    case "data":
    case "absent":
    case "code":
      return side === "start" ? inline.text.slice(0, 1) : inline.text.slice(-1);
    case "strong":
    case "emphasis":
    case "link": {
      const child = side === "start" ? inline.children[0] : inline.children.at(-1);
      return child === undefined ? "" : edge(child, side);
    }
    case "number":
      return "0";
    case "mark":
    case "variant":
      return side === "start" ? "" : inline.label.slice(-1);
    case "break":
      return "";
  }
}
