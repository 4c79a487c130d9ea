// E11, E27: that a record names what was really measured: a slice as a slice, and of several boards
// that share a name the one that it was.
import { gpuList, textIn } from "./gpu-use.ts";
import { type AuditInput, found, isKnown, notChecked, type Outcome } from "./rule.ts";

/** E11: slices are named in the title, and their profile is known for the hardware row. */
export function checkSlices(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const slices = gpus.flatMap((gpu) => {
    const slice = sliceOf(input, gpu);
    return slice === undefined ? [] : [slice];
  });
  if (slices.length === 0) return [];
  const { zh, en } = input.experiment.title;
  const profiles = [...new Set(slices.flatMap(({ profile }) => profile ?? []))];
  const isTitled = [zh, en].every((title) => namesSlice(title, profiles));
  const outcomes: Outcome[] = [];
  if (!isTitled) {
    const names = [...new Set(slices.map(({ name }) => name))].join(", ");
    outcomes.push(
      found({
        severity: "fail",
        where: "environment",
        seen: {
          zh: `${names} 是 GPU 的切片，标题没有写明`,
          en: `${names} is a slice of a GPU, and the title does not say so`,
        },
        expected: { zh: "标题写明 vGPU 或 MIG", en: "a title that names vGPU or MIG" },
        mend: {
          zh: `把切分规格写进 title${profiles.length === 0 ? "" : `，如 ${profiles.join("、")}`}`,
          en: `write the profile into title${profiles.length === 0 ? "" : `, such as ${profiles.join(", ")}`}`,
        },
        evidence: { gpus: names },
      }),
    );
  }
  const untyped = slices.filter(({ profile }) => profile === undefined);
  if (untyped.length > 0) {
    const list = gpuList(untyped.map(({ gpu }) => gpu));
    outcomes.push(
      found({
        severity: "fail",
        where: "environment",
        seen: {
          zh: `${list} 是切片，而规格未知，硬件一行写不出它`,
          en: `${list} is a slice of unknown profile, which the hardware row can't name`,
        },
        expected: { zh: "vGPU 类型或 MIG 规格", en: "a vGPU type or MIG profile" },
        mend: {
          zh: "在能看到规格的一侧采集：nvidia-smi -L、nvidia-smi vgpu -q",
          en: "capture where the profile shows: nvidia-smi -L, nvidia-smi vgpu -q",
        },
        evidence: { gpus: untyped.map(({ gpu }) => gpu).join(" ") },
      }),
    );
  }
  return outcomes;
}

interface Slice {
  readonly gpu: number;
  readonly name: string;
  /** "DC-4-96Q", "3g.40gb, 3g.40gb"; undefined: not known. */
  readonly profile: string | undefined;
}

/** undefined: a whole GPU, as far as is known. */
function sliceOf({ before, after }: AuditInput, gpu: number): Slice | undefined {
  const snapshot = before ?? after;
  const text = (id: string): string | undefined => textIn(snapshot, `gpu.${gpu}.${id}`);
  const name = text("name") ?? `GPU ${gpu}`;
  const type = text("vgpu.type") ?? name;
  // Of "NVIDIA RTX Pro 6000 Blackwell DC-4-96Q", "GRID T4-16Q", "A100-3-20C" the last word.
  const typed = /\S+-\d+[QCBA]$/.exec(type)?.[0];
  if (typed !== undefined) return { gpu, name: type, profile: typed };
  const isVirtual = /^VGPU$/i.test(text("virtualization") ?? "") || /\bGRID\b/.test(name);
  if (isVirtual) return { gpu, name, profile: text("vgpu.type") };
  const isCut = /enabled/i.test(text("mig.current") ?? "") || /\bMIG\b/.test(name);
  const profiles = text("mig.profiles");
  return isCut
    ? { gpu, name: `${name} (MIG)`, profile: profiles === "none" ? undefined : profiles }
    : undefined;
}

function namesSlice(title: string, profiles: readonly string[]): boolean {
  // Han characters are no word boundary for \b.
  const plain = title.replaceAll(/[^\x20-\x7e]/g, " ");
  return (
    /\bvgpus?\b|\bmig\b/i.test(plain) ||
    profiles.some((profile) =>
      profile.split(", ").some((one) => plain.toLowerCase().includes(one.toLowerCase())),
    )
  );
}

/**
 * Boards that share a name up to their edition, with PCI device ids of the PCI id database and
 * bandwidths of the vendor's data sheets.
 */
const families: readonly {
  readonly name: RegExp;
  readonly editions: readonly {
    readonly name: string;
    readonly pattern: RegExp;
    readonly deviceId: string;
    readonly bandwidthGbPerS: number;
  }[];
}[] = [
  {
    name: /RTX PRO 6000 Blackwell/i,
    editions: [
      {
        name: "Server Edition",
        // A vGPU type of the server board is named DC-4-96Q.
        pattern: /Server|\bDC-/i,
        deviceId: "2BB5",
        bandwidthGbPerS: 1597,
      },
      {
        name: "Max-Q Workstation Edition",
        pattern: /Max-Q/i,
        deviceId: "2BB4",
        bandwidthGbPerS: 1792,
      },
      {
        name: "Workstation Edition",
        pattern: /Workstation/i,
        deviceId: "2BB1",
        bandwidthGbPerS: 1792,
      },
    ],
  },
];

/** E27: GPUs of one name are the same board, and the name says which. */
export function checkBoards(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const snapshot = input.before ?? input.after;
  const boards = gpus.map((gpu) => ({
    gpu,
    name: textIn(snapshot, `gpu.${gpu}.name`),
    device: textIn(snapshot, `gpu.${gpu}.pci_device_id`),
    part: textIn(snapshot, `gpu.${gpu}.part_number`),
  }));
  const outcomes = [...new Set(boards.flatMap(({ name }) => name ?? []))].flatMap(
    (name): readonly Outcome[] => {
      const same = boards.filter((board) => board.name === name);
      const devices = [...new Set(same.flatMap(({ device }) => device ?? []))];
      if (devices.length < 2) return [];
      return [
        found({
          severity: "warn",
          where: "environment",
          seen: {
            zh: `${gpuList(same.map(({ gpu }) => gpu))} 都叫 ${name}，板卡却不同：${devices.join("、")}`,
            en: `${gpuList(same.map(({ gpu }) => gpu))} are all called ${name} and are different boards: ${devices.join(", ")}`,
          },
          expected: { zh: "同一种板卡", en: "one kind of board" },
          mend: {
            zh: "在标题或 stated.other 中写明各板卡的型号，分开测量",
            en: "name each board in the title or in stated.other, and measure them apart",
          },
          evidence: { name, deviceIds: devices.join(" ") },
        }),
      ];
    },
  );
  const unknown = boards.filter(({ gpu, name, device, part }) => {
    if (name === undefined) return true;
    const family = families.find((one) => one.name.test(name));
    if (family === undefined)
      return (
        device === undefined && part === undefined && !isKnown(input, `gpu.${gpu}.pci_device_id`)
      );
    return !family.editions.some(
      ({ pattern, deviceId }) =>
        pattern.test(name) ||
        device?.toUpperCase().replace(/^0X/, "").startsWith(deviceId) === true,
    );
  });
  const [first] = unknown;
  if (first === undefined) return outcomes;
  const list = gpuList(unknown.map(({ gpu }) => gpu));
  const editions = families
    .find(({ name }) => name.test(first.name ?? ""))
    ?.editions.map(({ name, bandwidthGbPerS }) => `${name} ${bandwidthGbPerS} GB/s`)
    .join(", ");
  return [
    ...outcomes,
    editions === undefined
      ? notChecked(
          "environment",
          `${list} 的板卡型号未采集`,
          `the board of ${list} was not collected`,
        )
      : notChecked(
          "environment",
          `${list} 是哪一种未知，同名的有：${editions}`,
          `which board ${list} is can't be told: ${editions} bear this name`,
        ),
  ];
}
