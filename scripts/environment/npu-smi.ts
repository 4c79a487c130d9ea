// Huawei's Ascend NPUs as npu-smi tells them, as the same facts as GPUs: the table of `npu-smi info`,
// one block per chip, and "key : value" lines of board, frequencies and ECC per card.

import { type GpuFactId, gpuFactIds, lightGpuFactIds } from "./gpu-facts.ts";
import {
  computeProcesses,
  type ForeignGpu,
  fieldsOfGpu,
  foreignValues,
  type GpuValue,
  given,
  gpuValue,
  type VendorGpus,
} from "./gpu-values.ts";
import type { Outside } from "./outside.ts";
import { fieldOf, known, type Recorder, timeOf } from "./probe.ts";
import { reasons } from "./reasons.ts";

/** Reads the NPUs of this machine. */
export async function probeAscend(
  outside: Outside,
  record: Recorder,
  { light }: { readonly light: boolean },
): Promise<VendorGpus> {
  const ask = (...words: string[]): ReturnType<Recorder["run"]> =>
    record.run(["npu-smi", "info", ...words]);
  const info = await ask();
  const { rawIndex } = info;
  const npus = readNpuTable(info.stdout);
  if (npus.length === 0)
    return {
      state: "none",
      reason: info.exitCode === 0 ? reasons.vendorToolUnexpected : reasons.noNpuSmi,
      rawIndex,
    };
  const at = timeOf(outside);
  const cards = light ? [] : [...new Set(npus.map(({ npu }) => npu))];
  const details = new Map(
    await Promise.all(
      cards.map(async (npu): Promise<[number, string]> => {
        const answers = await Promise.all(
          ["board", "common", "ecc"].map((type) => ask("-t", type, "-i", String(npu))),
        );
        return [npu, answers.map(({ stdout }) => stdout).join("\n")];
      }),
    ),
  );
  const ids = light ? lightGpuFactIds : gpuFactIds;
  return {
    state: "read",
    fields: [
      fieldOf("gpu.count", "gpu", "comparability", known(npus.length, { rawIndex }), at),
      ...npus.flatMap(({ index, npu, values }) =>
        fieldsOfGpu(
          index,
          foreignValues(new Map([...values, ...readNpuDetails(details.get(npu) ?? "")]), offered),
          ids,
          { at, rawOf: () => rawIndex },
        ),
      ),
    ],
  };
}

/** What npu-smi can tell, whether or not it does. */
const offered: readonly GpuFactId[] = [
  "vendor",
  "name",
  "pci_id",
  "pci_device_id",
  "part_number",
  "driver",
  "vbios",
  "memory_mib",
  "memory.used_mib",
  "ecc.uncorrected_volatile",
  "ecc.corrected_volatile",
  "health",
  "power.draw_w",
  "clocks.sm_mhz",
  "clocks.max_sm_mhz",
  "temperature_c",
  "processes.count",
  "processes.list",
];

export interface Npu extends ForeignGpu {
  /** The card, which may bear several chips; `index` counts chips. */
  readonly npu: number;
  readonly chip: number;
}

/** Reads the table of `npu-smi info`; no NPUs where it is none. */
export function readNpuTable(text: string): readonly Npu[] {
  const driver = /npu-smi\s+\S+\s+Version:\s*(\S+)/.exec(text)?.[1];
  const rows = text.split(/\r?\n/).map((line) =>
    line
      .trim()
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const processes = rows.flatMap((cells) => {
    const [place = "", pid = "", name = "", memory = ""] = cells;
    const card = /^(\d+)\s+(\d+)$/.exec(place);
    if (cells.length !== 4 || card === null || !/^\d+$/.test(pid)) return [];
    return {
      npu: Number(card[1]),
      chip: Number(card[2]),
      pid: Number(pid),
      name,
      usedMib: /^\d+$/.test(memory) ? Number(memory) : undefined,
    };
  });
  const npus: Npu[] = [];
  for (const [at, first] of rows.entries()) {
    const second = rows[at + 1] ?? [];
    const head = /^(\d+)\s+(\S.*)$/.exec(first[0] ?? "");
    const bus = /^[0-9A-F]{4}:[0-9A-F]{2}:[0-9A-F]{2}\.\d$/i.exec(second[1] ?? "");
    if (head === null || bus === null || first.length !== 3) continue;
    const npu = Number(head[1]);
    const chip = Number(/^\d+/.exec(second[0] ?? "")?.[0] ?? 0);
    const own = processes.filter((one) => one.npu === npu && one.chip === chip);
    const values = chipValues(head[2] ?? "", first, second);
    if (driver !== undefined) values.set("driver", given(driver));
    for (const [id, value] of computeProcesses(own)) values.set(id, value);
    npus.push({ index: npus.length, npu, chip, values });
  }
  return npus;
}

/** Name, health, power and temperature in the first row; address and memory in the second. */
function chipValues(
  name: string,
  first: readonly string[],
  second: readonly string[],
): Map<GpuFactId, GpuValue> {
  const values = new Map<GpuFactId, GpuValue>([
    ["vendor", given("Huawei")],
    ["name", given(/^Ascend/i.test(name) ? name : `Ascend ${name}`)],
  ]);
  const say = (id: GpuFactId, text: string | undefined): void => {
    const value = gpuValue(text === "NA" ? "N/A" : (text ?? ""));
    if (value !== undefined) values.set(id, value);
  };
  say("health", first[1]);
  const [watts, degrees] = (first[2] ?? "").split(/\s+/);
  say("power.draw_w", watts);
  say("temperature_c", degrees);
  say("pci_id", second[1]);
  // DDR, then HBM; a card has the one or the other.
  const memories = [...(second[2] ?? "").matchAll(/(\d+)\s*\/\s*(\d+)/g)];
  const memory = memories.findLast(([, , total]) => Number(total) > 0);
  say("memory.used_mib", memory?.[1]);
  say("memory_mib", memory?.[2]);
  return values;
}

/** Reads the lines of `npu-smi info -t board`, `-t common` and `-t ecc` of one card. */
export function readNpuDetails(text: string): ReadonlyMap<GpuFactId, GpuValue> {
  const lines = text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const pair = /^\s*([^:]+?)\s*:\s*(\S.*?)\s*$/.exec(line);
    return pair === null ? [] : [[pair[1] ?? "", pair[2] ?? ""]];
  });
  const values = new Map<GpuFactId, GpuValue>();
  const say = (id: GpuFactId, form: RegExp, read = (said: string) => said): void => {
    const said = lines.find(([label]) => form.test(label))?.[1];
    const value = said === undefined ? undefined : gpuValue(said === "NA" ? "N/A" : read(said));
    if (value !== undefined) values.set(id, value);
  };
  const sum = (id: GpuFactId, form: RegExp): void => {
    const counts = lines.filter(([label, said]) => form.test(label) && /^\d+$/.test(said));
    if (counts.length > 0)
      values.set(id, given(counts.reduce((total, [, said]) => total + Number(said), 0)));
  };
  say("pci_device_id", /^PCI Device ID$/i, (said) => said.replace(/^0x/i, "").toUpperCase());
  say("part_number", /^Model$/i);
  say("driver", /^Software Version$/i);
  say("vbios", /^Firmware Version$/i);
  say("clocks.max_sm_mhz", /^Aicore Freq\(MHZ\)$/i);
  say("clocks.sm_mhz", /^Aicore curFreq\(MHZ\)$/i);
  sum("ecc.uncorrected_volatile", /Double Bit Error Count$/i);
  sum("ecc.corrected_volatile", /Single Bit Error Count$/i);
  return values;
}
