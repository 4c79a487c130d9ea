// From a notebook and a record's data to a document in one language: prose filled, cells rendered,
// sections, tables and figures numbered, the cover put before them.
import { UserError } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import type { CellContext, DrawChart } from "./cell-context.ts";
import { keysShownBy, renderCell } from "./cells.ts";
import { coverOf } from "./cover.ts";
import { type Dictionary, wordOf } from "./dictionary.ts";
import type { Block, RecordDocument } from "./document.ts";
import type { NotebookSource } from "./notebook-source.ts";
import { proseRenderer } from "./notebook-text.ts";
import type { RecordData } from "./record-data.ts";
import { visible } from "./typography.ts";

export interface DocumentOptions {
  readonly language: Language;
  readonly dictionary: Dictionary;
  readonly drawChart: DrawChart;
}

/**
 * The document of a notebook.
 *
 * @throws UserError with file and line for an unknown cell, point, metric or helper
 */
export async function makeDocument(
  notebook: NotebookSource,
  data: RecordData,
  { language, dictionary, drawChart }: DocumentOptions,
): Promise<RecordDocument> {
  const counts = { table: 0, figure: 0 };
  const unshown: CellContext = {
    data,
    language,
    dictionary,
    drawChart,
    path: notebook.path,
    number: (kind) => {
      counts[kind] += 1;
      return `${wordOf(dictionary, "words", kind, language)}\u00a0${counts[kind]}`;
    },
    shown: new Set(),
  };
  const pieces = notebook.pieces.filter((piece) => (piece.language ?? language) === language);
  const context = { ...unshown, shown: keysShownBy(pieces, unshown) };
  const cover = await coverOf(notebook, context);
  const prose = proseRenderer(context);
  const blocks: Block[] = [];
  for (const piece of pieces) {
    if (piece.kind === "prose") blocks.push(...prose(piece.text, piece.line));
    else if (piece.kind === "code")
      blocks.push({ kind: "code", text: visible(piece.text), command: false });
    else blocks.push(...(await renderCell(piece, context)));
  }
  return {
    language,
    recordId: data.recordId.short,
    run: data.run,
    date: data.date,
    tool: data.tool,
    cover,
    blocks: numberHeadings(blocks, firstNumber(notebook)),
  };
}

/** `sections: 0` in the front matter: the number of the first section. */
function firstNumber({ settings, path }: NotebookSource): number {
  const first = settings["sections"] ?? 1;
  if (typeof first === "number" && Number.isInteger(first) && first >= 0) return first;
  throw new UserError({
    what: `sections takes the number of the first section, got ${JSON.stringify(first)}`,
    where: `${path}:1`,
    mend: "write sections: 0",
  });
}

/** "## Results" becomes section 5 with the anchor s5, "### FP8" in it 5.1 with s5-1. */
function numberHeadings(blocks: readonly Block[], first: number): readonly Block[] {
  let section = first - 1;
  let part = 0;
  return blocks.map((block) => {
    if (block.kind !== "heading" || block.level === 4) return block;
    if (block.level === 2) {
      section += 1;
      part = 0;
      return { ...block, number: String(section), id: `s${section}` };
    }
    part += 1;
    return { ...block, number: `${section}.${part}`, id: `s${section}-${part}` };
  });
}
