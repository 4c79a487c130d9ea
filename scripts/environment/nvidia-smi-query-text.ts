// The text of `nvidia-smi -q` as the same report as its XML: indentation says what is within what.
// It is read where the XML form fails, and where somebody kept only this one.

import { type SmiReport, smiRefusal, smiReport } from "./nvidia-smi-report.ts";
import { smiName } from "./nvidia-smi-tree.ts";

interface OpenNode {
  readonly indent: number;
  readonly name: string;
  readonly text: string | undefined;
  readonly id?: string;
  readonly children: OpenNode[];
}

/** Reads the output of `nvidia-smi -q`. Of several logs in one text the first is read. */
export function readSmiQueryText(text: string): SmiReport {
  const lines = text
    .replace(/^\uFEFF/, "")
    .replaceAll(/\u001b\[[\d;]*m/g, "")
    .split(/\r?\n/);
  const root: OpenNode = { indent: -1, name: "nvidia_smi_log", text: undefined, children: [] };
  const start = lines.findIndex((line) => /^=+\s*NVSMI LOG\s*=+\s*$/.test(line));
  const first = start === -1 ? lines.findIndex(isBeginning) : start + 1;
  if (first === -1) return smiRefusal(text);
  let open: readonly OpenNode[] = [root];
  const problems: string[] = [];
  for (const line of lines.slice(first)) {
    if (line.trim() === "") continue;
    if (/^=+\s*NVSMI LOG\s*=+\s*$/.test(line)) {
      problems.push("more than one log; the first is read");
      break;
    }
    const node = nodeOf(line);
    // A line at the margin that belongs to no log ends it: a table, a prompt, the next capture.
    if (node === undefined && /^\S/.test(line) && root.children.some(({ name }) => name === "gpu"))
      break;
    if (node === undefined) continue;
    open = open.filter(({ indent }) => indent < node.indent);
    open.at(-1)?.children.push(node);
    open = [...open, node];
  }
  if (root.children.length === 0) return smiRefusal(text);
  return smiReport(root, problems);
}

function isBeginning(line: string): boolean {
  return /^(?:Driver Version|KMD Version|Attached GPUs)\s*:/.test(line);
}

function nodeOf(line: string): OpenNode | undefined {
  const indent = /^\s*/.exec(line)?.[0].replaceAll("\t", "    ").length ?? 0;
  const content = line.trim();
  if (indent === 0) {
    const gpu = /^GPU\s+([0-9A-F]+:[0-9A-F]+:[0-9A-F.]+)$/i.exec(content);
    if (gpu !== null) return open(0, "gpu", undefined, gpu[1]);
    const said = /^(Timestamp|(?:Driver|KMD|CUDA|CUDA UMD) Version|Attached GPUs)\s*:\s*(.*)$/.exec(
      content,
    );
    return said === null ? undefined : open(0, smiName(said[1] ?? ""), said[2]);
  }
  const pair = /^([^:]+?)\s*:(?:\s+(.*))?$/.exec(content);
  if (pair !== null) return open(indent, smiName(pair[1] ?? ""), pair[2] ?? "");
  return open(indent, smiName(content), undefined);
}

function open(indent: number, name: string, text: string | undefined, id?: string): OpenNode {
  return { indent, name, text, ...(id === undefined ? {} : { id }), children: [] };
}
