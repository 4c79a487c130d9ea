// The GPUs of this machine as nvidia-smi tells them: everything for a full snapshot, and for a light
// one, in one cheap call and a list of processes, what a trial can change.

import { type GpuFactId, gpuFactIds, lightGpuFactIds } from "./gpu-facts.ts";
import {
  computeProcesses,
  fieldsOfGpu,
  type GpuValue,
  type GpuValues,
  gpuValue,
  numberOf,
  type VendorGpus,
} from "./gpu-values.ts";
import { readXids, xidFields } from "./gpu-xid.ts";
import { migValues, notNvidia, nvidiaValues } from "./nvidia-gpu-values.ts";
import {
  cellsOf,
  factsOfRow,
  fitCells,
  type ListedGpu,
  type MigInstance,
  readComputeInstances,
  readDeviceList,
  readGpuInstances,
} from "./nvidia-smi-lists.ts";
import { queryColumns } from "./nvidia-smi-places.ts";
import { readSmiQueryText } from "./nvidia-smi-query-text.ts";
import { type SmiRefusal, type SmiReport, smiRefusal } from "./nvidia-smi-report.ts";
import { readTopology } from "./nvidia-smi-topology.ts";
import { readSmiXml } from "./nvidia-smi-xml.ts";
import type { Outside, Ran } from "./outside.ts";
import { type Allowance, fieldOf, known, type Recorder, timeOf } from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";
import { redactedMark } from "./redact.ts";

type Answer = Ran & { readonly rawIndex: number };

/** Reads the GPUs that nvidia-smi knows of. */
export async function probeNvidia(
  outside: Outside,
  record: Recorder,
  { light }: { readonly light: boolean },
): Promise<VendorGpus> {
  return light ? readLight(outside, record) : readFull(outside, record);
}

/** The XML of eight GPUs is 1 MB where each lists a thousand clocks that it supports. */
const whole: Allowance = { keep: withoutSerials, longest: 2 * 1024 * 1024 };

/** Serial numbers name a card for life and say nothing of its speed. */
function withoutSerials(text: string): string {
  return text
    .replaceAll(
      /(<(serial|chassis_serial_number)>)(?!\s*(?:N\/A)?\s*<)[^<]*(<\/\2>)/g,
      `$1${redactedMark}$3`,
    )
    .replaceAll(
      /^(\s*(?:Chassis )?Serial Number\s*:[ \t]*)(?!N\/A\s*$)\S.*$/gm,
      `$1${redactedMark}`,
    );
}

async function readFull(outside: Outside, record: Recorder): Promise<VendorGpus> {
  const smi = (...words: string[]): Promise<Answer> =>
    record.run(["nvidia-smi", ...words], undefined, whole);
  // The first to ask waits for a driver without persistence, which takes seconds to start.
  let query = await record.run(["nvidia-smi", "-q", "-x"], undefined, { ...whole, patience: 2 });
  if (query.failure !== undefined) return noneOf(query, smiRefusal(query.stdout));
  const xml = readSmiXml(query.stdout);
  let report = xml;
  if (!holdsGpus(report)) {
    const text = await smi("-q");
    report = readSmiQueryText(text.stdout);
    if (!holdsGpus(report)) return noneOf(query, xml);
    query = text;
  }
  const mig = report.gpus.some(({ facts }) => isEnabled(facts.get("mig.current")));
  const [list, topo, gpuInstances, computeInstances, xids] = await Promise.all([
    smi("-L"),
    smi("topo", "-m"),
    mig ? smi("mig", "-lgi") : undefined,
    mig ? smi("mig", "-lci") : undefined,
    readXids(record),
  ]);
  const listed = readDeviceList(list.stdout);
  const topology = readTopology(topo.stdout);
  const instances: readonly MigInstance[] = [
    ...readGpuInstances(gpuInstances?.stdout ?? ""),
    ...readComputeInstances(computeInstances?.stdout ?? ""),
  ];
  const at = timeOf(outside);
  const rawOf = (id: GpuFactId): number => {
    if (id === "topology" || id.endsWith("_affinity")) return topo.rawIndex;
    return id === "mig.profiles" || id === "mig.devices" ? list.rawIndex : query.rawIndex;
  };
  const ids = gpuFactIds.filter((id) => !notNvidia.includes(id));
  const { driver, cuda, gpus } = report;
  const problems = [
    ...report.problems,
    ...(query.exitCode === 0 ? [] : [`exit code ${query.exitCode ?? "unknown"}`]),
    ...(topology?.problems ?? []),
  ];
  return {
    state: "read",
    fields: [
      fieldOf(
        "gpu.count",
        "gpu",
        "comparability",
        known(gpus.length, { rawIndex: query.rawIndex }),
        at,
      ),
      ...xidFields(xids, at),
      ...(problems.length === 0
        ? []
        : [
            fieldOf(
              "gpu.read_problems",
              "gpu",
              "context",
              known(problems.join("; "), { rawIndex: query.rawIndex }),
              at,
            ),
          ]),
      ...gpus.flatMap((gpu, position) => {
        const index = indexOf(gpu.facts, listed, position);
        const own = listed.find((one) => one.index === index);
        const values = nvidiaValues({ gpu, index, driver, cuda, listed: own, instances, topology });
        return fieldsOfGpu(index, values, ids, { at, rawOf });
      }),
    ],
  };
}

function holdsGpus(report: SmiReport): report is Extract<SmiReport, { state: "read" }> {
  return report.state === "read" && report.gpus.length > 0;
}

/** nvidia-smi counts GPUs in its list; the order of the long form is only usually the same. */
function indexOf(facts: GpuValues, listed: readonly ListedGpu[], position: number): number {
  const uuid = facts.get("uuid");
  const own = listed.filter((one) => uuid?.state === "value" && one.uuid === uuid.value);
  return own.length === 1 ? (own[0]?.index ?? position) : position;
}

async function readLight(outside: Outside, record: Recorder): Promise<VendorGpus> {
  const { query, columns } = await queryLight(record);
  const rows = query.stdout
    .split(/\r?\n/)
    .map((line) => fitCells(cellsOf(line), columns.length, columns.indexOf("name")))
    .filter((cells) => cells.length === columns.length && /^\d+$/.test(cells[0] ?? ""));
  if (query.failure !== undefined || rows.length === 0)
    return noneOf(query, smiRefusal(`${query.stdout}\n${query.stderr}`));
  const gpus = rows.map((cells) => ({
    index: Number(cells[0]),
    facts: factsOfRow(columns, cells.map(gpuValue)),
  }));
  const mig = gpus.some(({ facts }) => isEnabled(facts.get("mig.current")));
  const [apps, list, xids] = await Promise.all([
    record.run([
      "nvidia-smi",
      "--query-compute-apps=gpu_uuid,pid,process_name,used_memory",
      "--format=csv,noheader,nounits",
    ]),
    mig ? record.run(["nvidia-smi", "-L"]) : undefined,
    readXids(record),
  ]);
  const listed = readDeviceList(list?.stdout ?? "");
  const processes = apps.exitCode === 0 ? computeApps(apps.stdout) : undefined;
  const at = timeOf(outside);
  const rawOf = (id: GpuFactId): number => {
    if (id.startsWith("processes.")) return apps.rawIndex;
    return id === "mig.profiles" || id === "mig.devices"
      ? (list?.rawIndex ?? query.rawIndex)
      : query.rawIndex;
  };
  return {
    state: "read",
    fields: [
      fieldOf(
        "gpu.count",
        "gpu",
        "comparability",
        known(gpus.length, { rawIndex: query.rawIndex }),
        at,
      ),
      ...xidFields(xids, at).slice(0, 1),
      ...gpus.flatMap(({ index, facts }) => {
        const own = listed.find((one) => one.index === index);
        const values = new Map([
          ...facts,
          ...migValues(facts, own),
          ...processesOn(facts.get("uuid"), own, processes),
        ]);
        return fieldsOfGpu(index, values, lightGpuFactIds, { at, rawOf });
      }),
    ],
  };
}

/** Columns that a driver does not know are asked no more: one of them and it refuses them all. */
async function queryLight(
  record: Recorder,
): Promise<{ readonly query: Answer; readonly columns: readonly string[] }> {
  let columns = ["index", ...lightGpuFactIds.flatMap((id) => queryColumns[id] ?? [])];
  for (;;) {
    const query = await record.run([
      "nvidia-smi",
      `--query-gpu=${columns.join(",")}`,
      "--format=csv,noheader,nounits",
    ]);
    const refused = /Field "([\w.]+)" is not a valid field/.exec(query.stdout + query.stderr)?.[1];
    if (refused === undefined || !columns.includes(refused)) return { query, columns };
    columns = columns.filter((column) => column !== refused);
  }
}

interface ComputeApp {
  readonly uuid: string;
  readonly pid: number;
  readonly name: string;
  readonly usedMib: number | undefined;
}

function computeApps(stdout: string): readonly ComputeApp[] {
  return stdout.split(/\r?\n/).flatMap((line) => {
    const [uuid = "", pid = "", name = "", used = ""] = fitCells(cellsOf(line), 4, 2);
    return /^\d+$/.test(pid) ? { uuid, pid: Number(pid), name, usedMib: numberOf(used) } : [];
  });
}

/** A process is on the GPU, or on one of its MIG devices, whichever the driver names. */
function processesOn(
  uuid: GpuValue | undefined,
  listed: ListedGpu | undefined,
  processes: readonly ComputeApp[] | undefined,
): GpuValues {
  if (processes === undefined || uuid?.state !== "value") return new Map();
  const names = new Set([String(uuid.value), ...(listed?.migDevices ?? []).map((one) => one.uuid)]);
  return computeProcesses(processes.filter((one) => names.has(one.uuid)));
}

function isEnabled(value: GpuValue | undefined): boolean {
  return value?.state === "value" && value.value === "Enabled";
}

/** Exit codes as nvidia-smi's manual lists them. */
const exitReasons: Readonly<Record<number, Reason>> = {
  4: reasons.nvidiaSmiNoPermission,
  6: reasons.nvidiaSmiNoDevices,
  9: reasons.nvidiaSmiNoDriver,
  12: reasons.nvidiaSmiNoLibrary,
  15: reasons.nvidiaSmiGpuLost,
  18: reasons.nvidiaSmiMismatch,
};

/** The same, by what it says: some versions say it with exit code 0 or 255. */
const refusalReasons: Readonly<Partial<Record<SmiRefusal["state"], Reason>>> = {
  "driver not loaded": reasons.nvidiaSmiNoDriver,
  "library mismatch": reasons.nvidiaSmiMismatch,
  "no devices": reasons.nvidiaSmiNoDevices,
  "gpu lost": reasons.nvidiaSmiGpuLost,
  "no permission": reasons.nvidiaSmiNoPermission,
};

function noneOf(ran: Answer, said: SmiReport): VendorGpus {
  const { rawIndex, exitCode, failure } = ran;
  const reason = (): Reason => {
    if (failure === "timed out") return reasons.nvidiaSmiHangs;
    if (failure === "missing") return reasons.noNvidiaSmi;
    const told =
      exitReasons[exitCode ?? -1] ??
      (said.state === "read" ? reasons.nvidiaSmiNoDevices : refusalReasons[said.state]);
    return told ?? (exitCode === 0 ? reasons.nvidiaSmiUnexpected : reasons.nvidiaSmiFails);
  };
  return { state: "none", reason: reason(), rawIndex };
}
