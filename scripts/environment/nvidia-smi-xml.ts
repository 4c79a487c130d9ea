// The text of `nvidia-smi -q -x` as a report. What tools, collectors and crashes do to that text is
// undone first: what stands before the root is dropped (with it every entity a DTD could define), and
// what a cut left open is closed, so that the parser sees one whole element.

import { XMLParser } from "fast-xml-parser";
import { type SmiReport, smiRefusal, smiReport } from "./nvidia-smi-report.ts";
import { type SmiNode, smiName } from "./nvidia-smi-tree.ts";

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: "",
  parseTagValue: false,
  parseAttributeValue: false,
  // Entities stay as they are written: none can grow.
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
});

const rootName = "nvidia_smi_log";

/** Reads the output of `nvidia-smi -q -x`, or of any part of it. Never throws for what is in it. */
export function readSmiXml(text: string): SmiReport {
  const cleaned = withoutComments(text.replace(/^\uFEFF/, ""));
  const start = new RegExp(`<${rootName}(?=[\\s>])`).exec(cleaned)?.index;
  if (start === undefined) return smiRefusal(text);
  const problems: string[] = [];
  if (leadOf(cleaned.slice(0, start)) !== "") problems.push("text before the XML");
  const { whole, cut } = wholeElement(withoutClockTables(cleaned.slice(start)));
  if (cut !== undefined) problems.push(cut);
  try {
    const [root] = nodesOf(parser.parse(whole));
    return root === undefined ? smiRefusal(text) : smiReport(root, problems);
  } catch {
    return { state: "unexpected" };
  }
}

/** A comment may hold what looks like the beginning. One that never ends takes the rest with it. */
function withoutComments(text: string): string {
  return text.replaceAll(/<!--[\s\S]*?(?:-->|$)/g, "");
}

/** Nine tenths of the output are clocks that could be set, of which nothing is read. */
function withoutClockTables(text: string): string {
  return text.replaceAll(/<supported_clocks>[\s\S]*?<\/supported_clocks>/g, "");
}

/** What stands before the root but is neither declaration nor DOCTYPE. */
function leadOf(head: string): string {
  return head
    .replace(/<\?xml[\s\S]*?\?>/, "")
    .replace(/<!DOCTYPE[^[>]*(?:\[[\s\S]*\]\s*)?>/, "")
    .trim();
}

/** The root element, closed by force where the text ends within it. */
function wholeElement(text: string): { readonly whole: string; readonly cut: string | undefined } {
  const end = `</${rootName}>`;
  const closed = text.indexOf(end);
  if (closed !== -1) return { whole: text.slice(0, closed + end.length), cut: undefined };
  const open: { readonly name: string; readonly end: number; readonly start: number }[] = [];
  let gpus = 0;
  let keep = 0;
  for (const tag of text.matchAll(/<(\/?)([\w.:-]+)(?:\s[^<>]*)?(\/?)>/g)) {
    const [whole, closing = "", name = "", empty = ""] = tag;
    if (closing !== "") {
      if (open.at(-1)?.name === name) open.pop();
    } else if (empty === "") {
      open.push({ name, start: tag.index, end: tag.index + whole.length });
      if (name === "gpu") gpus += 1;
    }
    keep = tag.index + whole.length;
  }
  // A value that follows the last tag may be half of one, so its element goes too.
  const last = open.at(-1);
  if (last?.end === keep && open.length > 1) {
    keep = last.start;
    open.pop();
  }
  const within = open.some(({ name }) => name === "gpu") || last?.name === "gpu";
  const tail = open
    .map(({ name }) => `</${name}>`)
    .reverse()
    .join("");
  return {
    whole: text.slice(0, keep) + tail,
    cut: within ? `cut off within GPU ${gpus} of the list` : `cut off after ${gpus} of the list`,
  };
}

/** The parser's order-keeping form, `[{ tag: [children], ":@": attributes }]`, as nodes. */
function nodesOf(parsed: unknown): readonly SmiNode[] {
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((one: unknown) => {
    if (!isRecord(one)) return [];
    const tag = Object.keys(one).find((key) => key !== ":@" && key !== "#text");
    if (tag === undefined) return [];
    const inner = one[tag];
    const texts = Array.isArray(inner)
      ? inner.flatMap((part: unknown) =>
          isRecord(part) && "#text" in part ? [String(part["#text"])] : [],
        )
      : [];
    const attributes = one[":@"];
    const id = isRecord(attributes) ? attributes["id"] : undefined;
    const text = unescape(texts.join("").trim());
    return {
      name: smiName(tag),
      text: text === "" ? undefined : text,
      ...(typeof id === "string" ? { id } : {}),
      children: nodesOf(inner),
    };
  });
}

/** The five entities that XML itself knows; a command line is full of them. */
const entities: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function unescape(text: string): string {
  return text.replaceAll(/&(amp|lt|gt|quot|apos);/g, (all, name: string) => entities[name] ?? all);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
