// The matrix of `nvidia-smi topo -m` as data: by what each GPU reaches every other device, and which
// CPUs and memory are near it. Read from the terminal's form (tabs, colours) and from pasted spaces.

export interface SmiTopology {
  readonly gpus: readonly TopologyGpu[];
  /** Network adapters by their name in the matrix; device undefined where there is no legend. */
  readonly nics: readonly { readonly name: string; readonly device: string | undefined }[];
  readonly problems: readonly string[];
}

interface TopologyGpu {
  readonly index: number;
  /** Device -> NV18, PIX, PXB, PHB, NODE or SYS. Without itself. */
  readonly links: ReadonlyMap<string, string>;
  /** Processors as the kernel lists them: "0-31,64-95". undefined: not said. */
  readonly cpuAffinity: string | undefined;
  readonly numaAffinity: string | undefined;
}

const device = String.raw`(?:GPU|NIC)\d+|[a-z]\w*_\w+`;
const link = /^(?:X|SYS|NODE|PHB|PXB|PIX|SOC|PSB|NV\d+|N\/A)$/;

/** Reads a topology; undefined where the text holds no matrix. */
export function readTopology(text: string): SmiTopology | undefined {
  const lines = text.replaceAll(/\u001b\[[\d;]*m/g, "").split(/\r?\n/);
  const start = lines.findIndex((line) =>
    /^\s*GPU\d+\s+(?:(?:GPU|NIC)\d|[a-z]\w*_|CPU Affinity)/.test(line),
  );
  if (start === -1) return undefined;
  const columns = (lines[start] ?? "").match(new RegExp(device, "g")) ?? [];
  const problems: string[] = [];
  const gpus: TopologyGpu[] = [];
  for (const line of lines.slice(start + 1)) {
    const name = new RegExp(`^\\s*(${device})\\s`).exec(line)?.[1];
    if (name === undefined) continue;
    const row = readRow(line, columns);
    const whole = row.links.length === columns.length;
    if (!whole) problems.push(`row ${name} has ${row.links.length} of ${columns.length} links`);
    if (!name.startsWith("GPU")) continue;
    gpus.push({
      index: Number(name.slice(3)),
      // A row that lost a cell no longer says which link is whose.
      links: new Map(
        whole
          ? columns.flatMap((column, at): [string, string][] =>
              column === name ? [] : [[column, row.links[at] ?? ""]],
            )
          : [],
      ),
      cpuAffinity: whole ? row.cpuAffinity : undefined,
      numaAffinity: whole ? row.numaAffinity : undefined,
    });
  }
  const legend = new Map(
    [...text.matchAll(/^\s*(NIC\d+):\s*(\S+)\s*$/gm)].map(([, name = "", id]) => [name, id]),
  );
  const nics = columns
    .filter((column) => !column.startsWith("GPU"))
    .map((name) => ({ name, device: name.startsWith("NIC") ? legend.get(name) : name }));
  return gpus.length === 0 ? undefined : { gpus, nics, problems };
}

interface Row {
  readonly links: readonly string[];
  readonly cpuAffinity: string | undefined;
  readonly numaAffinity: string | undefined;
}

/** With tabs an empty cell stays in its place; with spaces it is gone. */
function readRow(line: string, columns: readonly string[]): Row {
  const tabbed = line.includes("\t");
  const cells = (tabbed ? line.split("\t") : line.trim().split(/\s+/)).map((cell) => cell.trim());
  const rest = cells.slice(1);
  const end = rest.findIndex((cell) => !link.test(cell));
  const links = rest.slice(0, Math.min(end === -1 ? rest.length : end, columns.length));
  const [cpu, numa] = rest.slice(links.length).filter((cell) => tabbed || cell !== "N/A");
  const said = (cell: string | undefined): string | undefined =>
    cell === undefined || cell === "" || cell === "N/A" ? undefined : cell;
  return { links, cpuAffinity: said(cpu), numaAffinity: said(numa) };
}
