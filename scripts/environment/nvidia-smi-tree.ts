// What `nvidia-smi -q` prints, XML or text, as one kind of tree with one spelling of names, so that
// whoever reads it need not know in which form it came.

export interface SmiNode {
  /** Lower case with underscores: "GPU Power Readings" is "gpu_power_readings". */
  readonly name: string;
  /** undefined: it holds only other nodes. */
  readonly text: string | undefined;
  /** PCI address that a GPU bears in its heading; "" where the heading is empty. */
  readonly id?: string;
  readonly children: readonly SmiNode[];
}

/** The spelling of names in a tree: "SRAM Uncorrectable SEC-DED" -> "sram_uncorrectable_sec_ded". */
export function smiName(label: string): string {
  return label
    .trim()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
}

/**
 * The nodes at a path, those of the first alternative first: "a|b/c" is c within a, then c within b.
 * A node with a text of its own and no children answers for all that would be within it: drivers
 * print "Remapped Rows : N/A" in place of the whole group.
 */
export function nodesAt(node: SmiNode, path: string): readonly SmiNode[] {
  let found: readonly SmiNode[] = [node];
  for (const step of path.split("/")) {
    const names = step.split("|");
    found = found.flatMap((one) =>
      one !== node && one.children.length === 0 && one.text !== undefined
        ? [one]
        : names.flatMap((name) => one.children.filter((child) => child.name === name)),
    );
  }
  return found;
}
