// From a record's data to its files: one HTML or Markdown file per language, figures beside the
// Markdown. The same data gives the same bytes.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findSecrets } from "../environment/redact.ts";
import { messageOf, systemCodeOf, UserError } from "../errors.ts";
import type { Experiment, Language } from "../experiment/experiment.ts";
import type { DrawChart } from "./cell-context.ts";
import { forFile } from "./chart-svg.ts";
import { renderChart } from "./charts.ts";
import { readDictionary } from "./dictionary.ts";
import type { Block, Figure, RecordDocument } from "./document.ts";
import { embedFonts } from "./fonts.ts";
import { type HtmlOptions, renderHtml } from "./html.ts";
import { htmlText } from "./html-text.ts";
import { renderMarkdown } from "./markdown.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import type { RecordData } from "./record-data.ts";

/** The folder that holds the default notebook, the dictionary, partials and theme. */
export const templatesFolder = fileURLToPath(new URL("../../templates", import.meta.url));

export interface RenderOptions {
  readonly languages: readonly Language[];
  readonly formats: Experiment["report"]["formats"];
  /** The run's folder under reports/; made where it is not there. */
  readonly outDir: string;
  /** The default notebook unless given. */
  readonly notebookPath?: string;
  readonly templates?: string;
  readonly drawChart?: DrawChart;
  readonly embedFonts?: HtmlOptions["embedFonts"];
  /** Values that must not be published, in full: what the project's variables hold. Forms of secrets are found without. */
  readonly secrets?: readonly string[];
  /** Told of what was asked for and not made. */
  readonly notice?: (text: string) => void;
}

/**
 * Writes `record.<language>.<format>` and, for Markdown, `figures/`.
 *
 * @returns paths of the records, in the order of languages and formats; figures are not among them
 * @throws UserError for a notebook that cannot be read or rendered, a folder that cannot be written,
 *   or a secret in what would be published; then nothing is written
 */
export async function renderRecord(
  data: RecordData,
  options: RenderOptions,
): Promise<readonly string[]> {
  const {
    languages,
    formats,
    outDir,
    templates = templatesFolder,
    notebookPath = join(templates, "test-record.md"),
    drawChart = renderChart,
    embedFonts: fonts = embedFonts,
    secrets = [],
    notice = () => undefined,
  } = options;
  const dictionary = readDictionary(join(templates, "dictionary.json"));
  const notebook = readNotebook(await readText(notebookPath), notebookPath);
  if (formats.includes("pdf"))
    notice("pdf is not made by this version: print the html file instead");

  const files: { readonly path: string; readonly text: string; readonly figure: boolean }[] = [];
  for (const language of languages) {
    const document = await makeDocument(notebook, data, { language, dictionary, drawChart });
    if (formats.includes("html")) {
      const other = languages.find((one) => one !== language);
      const text = await renderHtml(document, {
        templates,
        dictionary,
        embedFonts: fonts,
        other: other === undefined ? undefined : { language: other, href: `record.${other}.html` },
      });
      files.push({ path: `record.${language}.html`, text, figure: false });
    }
    if (formats.includes("md")) {
      const figurePath = (figure: Figure): string => `figures/${figure.name}.${language}.svg`;
      const text = renderMarkdown(document, { dictionary, figurePath });
      files.push({ path: `record.${language}.md`, text, figure: false });
      for (const figure of figuresOf(document)) {
        const { css } = await fonts(htmlText(figure.wide), language);
        files.push({ path: figurePath(figure), text: forFile(figure.wide, css), figure: true });
      }
    }
  }
  refuseSecrets(files, secrets);
  await writeAll(outDir, files);
  return files.filter(({ figure }) => !figure).map(({ path }) => join(outDir, path));
}

/** The cover's figure first; a figure that stands twice is one file, of the wider drawing. */
function figuresOf({ cover, blocks }: RecordDocument): readonly Figure[] {
  const isFigure = (block: Block): block is Figure => block.kind === "figure";
  const all = [...(cover.figure === undefined ? [] : [cover.figure]), ...blocks.filter(isFigure)];
  return [...new Map(all.map((figure) => [figure.name, figure])).values()];
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UserError(
      {
        what: `the notebook cannot be read: ${messageOf(error)}`,
        where: path,
        mend: "name an existing file under report.notebook, or leave it out for the default one",
      },
      { cause: error },
    );
  }
}

/** The last gate before a text leaves the machine: what looks like a secret is not written. */
function refuseSecrets(
  files: readonly { readonly path: string; readonly text: string }[],
  known: readonly string[],
): void {
  const hits = files.flatMap(({ path, text }) =>
    findSecrets(text, known).map(({ kind, line }) => ({ path, kind, line })),
  );
  const [first] = hits;
  if (first === undefined) return;
  // The value itself is not printed: a message may end up in a log that others read.
  const places = [...new Set(hits.map(({ path, kind, line }) => `${path}:${line} (${kind})`))];
  const more = places.length > 3 ? `, and ${places.length - 3} more` : "";
  throw new UserError({
    what: `the record was not written: it holds what looks like a secret (${first.kind})`,
    where: places.slice(0, 3).join(", ") + more,
    mend: "take it out of the experiment file, the notebook or what the probes read; a secret that was stored with the run stays in its data, so revoke it and measure again",
  });
}

async function writeAll(
  outDir: string,
  files: readonly { readonly path: string; readonly text: string }[],
): Promise<void> {
  try {
    await mkdir(outDir, { recursive: true });
    if (files.some(({ path }) => path.startsWith("figures/"))) {
      await mkdir(join(outDir, "figures"), { recursive: true });
    }
    for (const { path, text } of files) await writeFile(join(outDir, path), text);
  } catch (error) {
    if (systemCodeOf(error) === undefined) throw error;
    throw new UserError(
      {
        what: `the record cannot be written: ${messageOf(error)}`,
        where: outDir,
        mend: "make the folder writable or free some space; nothing measured is lost",
      },
      { cause: error },
    );
  }
}
