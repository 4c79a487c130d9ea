import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { factsOfRow } from "./nvidia-smi-lists.ts";
import { readNvidiaSmi, type SmiOutput } from "./nvidia-smi-output.ts";

const file = (path: string): string =>
  readFileSync(new URL(`../testing/hosts/${path}`, import.meta.url), "utf8");

function read<K extends SmiOutput["kind"]>(kind: K, text: string): Extract<SmiOutput, { kind: K }> {
  const output = readNvidiaSmi(text);
  const isIt = (one: SmiOutput): one is Extract<SmiOutput, { kind: K }> => one.kind === kind;
  if (!isIt(output)) throw new Error(`read as ${output.kind}`);
  return output;
}

describe("the long text form", () => {
  const text = `
==============NVSMI LOG==============

Timestamp                                 : Tue Feb  3 14:05:09 2026
Driver Version                            : 610.20 [Deprecated; will be removed. Use KMD Version instead]
KMD Version                               : 610.20
CUDA Version                              : 13.3

Attached GPUs                             : 2
GPU 00000000:0C:00.0
    Product Name                          : NVIDIA L40S
    MIG Mode
        Current                           : N/A
        Pending                           : N/A
    PCI
        Device Id                         : 0x26B910DE
        GPU Link Info
            PCIe Generation
                Max                       : 4
                Current                   : 1
            Link Width
                Max                       : 16x
    Clocks Event Reasons
        Idle                              : Not Active
        HW Slowdown                       : Active
            HW Thermal Slowdown           : Active
    GPU Power Readings
        GPU Ceiling Power Limit
            Requested Power Limit         : 325.00 W
        Max Power Limit                   : 350.00 W
    Module Power Readings
        Requested Power Limit             : N/A
    Processes
        GPU instance ID                   : N/A
        Compute instance ID               : N/A
        Process ID                        : 4711
            Type                          : C
            Name                          : /opt/venv/bin/python3 --port: 1
            Used GPU Memory               : 40000 MiB

GPU 00000000:0D:00.0
    Product Name                          : NVIDIA L40S
    Remapped Rows                         : N/A
    Processes                             : None
`;

  it("gives the same facts as the XML", () => {
    const { report } = read("query-text", text);
    if (report.state !== "read") throw new Error(report.state);
    expect(report.driver).toEqual({ state: "value", value: "610.20" });
    expect(report.problems).toEqual([]);
    const [first, second] = report.gpus;
    const facts = Object.fromEntries(first?.facts ?? []);
    expect(facts).toMatchObject({
      name: { value: "NVIDIA L40S" },
      pci_device_id: { value: "26B910DE" },
      "mig.current": { state: "unsupported" },
      "pcie.max_generation": { value: "4" },
      "pcie.generation": { value: "1" },
      "power.limit_w": { value: "325.00 W" },
      "throttle.reasons": { value: "HW slowdown, HW thermal slowdown" },
    });
    expect(first?.processes).toEqual([
      { pid: 4711, type: "C", name: "/opt/venv/bin/python3 --port: 1", usedMib: 40000 },
    ]);
    expect(second?.processes).toEqual([]);
    expect(second?.facts.get("remapped.pending")).toEqual({ state: "unsupported" });
  });

  it("ends where another output begins, and of two logs the first is read", () => {
    const { report } = read("query-text", `${text}\n# table\n+----+\n${text}`);
    expect(report.state === "read" && report.gpus).toHaveLength(2);
    const twice = read("query-text", `${text}${text}`).report;
    expect(twice.state === "read" && twice.problems).toEqual([
      "more than one log; the first is read",
    ]);
  });
});

describe("the list of devices", () => {
  it("has MIG devices by index, profile and UUID", () => {
    const { gpus } = read("list", file("h100-mig/list.txt"));
    expect(gpus).toHaveLength(1);
    expect(gpus[0]?.migDevices[1]).toEqual({
      index: 1,
      profile: "3g.40gb",
      uuid: "MIG-9e15b3f8-274d-50ac-b6e3-48f07a1dc259",
      gpuInstance: undefined,
      computeInstance: undefined,
    });
  });

  it("of old drivers tells the instances in the MIG device's id", () => {
    const { gpus } = read(
      "list",
      "GPU 0: A100-SXM4-40GB (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-GPU-1/7/0)\n",
    );
    expect(gpus[0]?.migDevices[0]).toMatchObject({ gpuInstance: 7, computeInstance: 0 });
  });
});

describe("MIG instances", () => {
  it("are GPU instances with their slices", () => {
    const { instances } = read("gpu-instances", file("h100-mig/mig-gi.txt"));
    expect(instances.map(({ gpuInstance, placement }) => [gpuInstance, placement])).toEqual([
      [1, { start: 0, size: 4 }],
      [2, { start: 4, size: 4 }],
    ]);
  });

  it("are compute instances within GPU instances, with and without slices", () => {
    const { instances } = read("compute-instances", file("h100-mig/mig-ci.txt"));
    expect(instances[1]).toEqual({
      gpu: 0,
      profile: "3g.40gb",
      profileId: 2,
      gpuInstance: 2,
      computeInstance: 0,
      placement: { start: 0, size: 3 },
    });
    const old =
      "| Compute instances:   |\n|   0      1       MIG 1c.3g.20gb       0         2     |\n";
    expect(read("compute-instances", old).instances).toMatchObject([
      { profile: "1c.3g.20gb", computeInstance: 2, placement: undefined },
    ]);
  });
});

describe("a topology", () => {
  const names = Array.from({ length: 8 }, (_, gpu) => `GPU${gpu}`);
  const matrix = [
    `\t\u001b[4m${names.join("\t")}\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\u001b[0m`,
    ...names.map((name, row) =>
      [
        name,
        ...names.map((_, column) => (row === column ? " X " : "NV18")),
        row < 4 ? "PXB" : "SYS",
        row < 4 ? "0-55,112-167" : "56-111,168-223",
        row < 4 ? "0" : "1",
        "",
        "N/A",
      ].join("\t"),
    ),
    ["NIC0", ...names.map((_, column) => (column < 4 ? "PXB" : "SYS")), " X ", "", "", "", ""].join(
      "\t",
    ),
    "",
    "NIC Legend:",
    "",
    "  NIC0: mlx5_bond_0",
    "",
  ].join("\n");

  it("of eight GPUs has each one's links, CPUs and memory, without the terminal's codes", () => {
    const { topology } = read("topology", matrix);
    expect(topology.problems).toEqual([]);
    expect(topology.nics).toEqual([{ name: "NIC0", device: "mlx5_bond_0" }]);
    expect(topology.gpus).toHaveLength(8);
    const [, , , , fifth] = topology.gpus;
    expect(fifth?.links.get("GPU0")).toBe("NV18");
    expect(fifth?.links.has("GPU4")).toBe(false);
    expect(fifth?.links.get("NIC0")).toBe("SYS");
    expect(fifth?.cpuAffinity).toBe("56-111,168-223");
    expect(fifth?.numaAffinity).toBe("1");
  });

  it("is the same when pasted with spaces in place of tabs", () => {
    const spaced = matrix
      .replaceAll("\u001b[4m", "")
      .replaceAll("\u001b[0m", "")
      .replaceAll("\t", "    ");
    expect(read("topology", spaced).topology).toEqual(read("topology", matrix).topology);
  });

  it("with a row that lost a cell gives that row no links rather than wrong ones", () => {
    const { topology } = read("topology", matrix.replace("NV18\tPXB", "NV18PXB"));
    expect(topology.problems).toEqual(["row GPU0 has 7 of 9 links"]);
    expect(topology.gpus[0]?.links.size).toBe(0);
    expect(topology.gpus[1]?.links.size).toBe(8);
  });

  it("of one GPU has no links", () => {
    expect(read("topology", file("h100-mig/topo.txt")).topology.gpus[0]?.links).toEqual(
      new Map([
        ["NIC0", "PIX"],
        ["NIC1", "SYS"],
      ]),
    );
  });
});

describe("the plain table", () => {
  const table = `
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.105.08             Driver Version: 580.105.08     CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA RTX Pro 6000 Blac...    On  |   00000000:02:00.0 Off |                    0 |
| N/A   N/A    P0             N/A /  N/A  |    1234MiB /  98304MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA L40S                    Off |   00000000:03:00.0 Off |                  Off |
|ERR!   38C    P5             49W /  350W |       0MiB /  46068MiB |      0%   E. Process |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
| Processes:                                                                              |
|    0   N/A  N/A            5997      C   VLLM::EngineCore                       1200MiB |
+-----------------------------------------------------------------------------------------+
`;

  it("has driver, CUDA and per GPU what its columns say", () => {
    const { driver, cuda, gpus, processes } = read("table", table).table;
    expect([driver, cuda]).toEqual([
      { state: "value", value: "580.105.08" },
      { state: "value", value: "13.0" },
    ]);
    expect(gpus.map(({ nameCut }) => nameCut)).toEqual([true, false]);
    expect(Object.fromEntries(gpus[0]?.facts ?? [])).toMatchObject({
      persistence: { value: "Enabled" },
      memory_mib: { value: 98304 },
      "memory.used_mib": { value: 1234 },
      "power.limit_w": { state: "unsupported" },
      "ecc.uncorrected_volatile": { value: "0" },
      "mig.current": { value: "Disabled" },
    });
    expect(Object.fromEntries(gpus[1]?.facts ?? [])).toMatchObject({
      "power.limit_w": { value: "350W" },
      "ecc.current": { value: "Disabled" },
      compute_mode: { value: "E. Process" },
      "mig.current": { state: "unsupported" },
    });
    expect(processes).toEqual([
      { gpu: 0, pid: 5997, type: "C", name: "VLLM::EngineCore", usedMib: 1200 },
    ]);
  });

  it("has MIG devices, also where only their part was pasted", () => {
    const text = `
| MIG devices:                                                                |
| GPU  GI  CI  MIG |         Memory-Usage |        Vol|         Shared        |
|==================+======================+===========+=======================|
|  0    2   0   1  |    268MiB / 40448MiB | 60      0 |  3   0    2    0    0 |
|                  |      4MiB / 65535MiB |           |                       |
`;
    expect(read("table", text).table.migDevices).toEqual([
      { gpu: 0, gpuInstance: 2, computeInstance: 0, index: 1, usedMib: 268, memoryMib: 40448 },
    ]);
  });
});

describe("a CSV", () => {
  it("has columns with units and states for cells without a value", () => {
    const { csv } = read(
      "csv",
      "\uFEFFindex, name, power.limit [W], mig.mode.current, clocks.current.sm [MHz]\r\n" +
        "0, NVIDIA L40S, 350.00 W, [N/A], [Unknown Error]\r\n",
    );
    expect(csv.columns[2]).toEqual({ name: "power.limit", unit: "W" });
    const facts = factsOfRow(
      csv.columns.map(({ name }) => name),
      csv.rows[0] ?? [],
    );
    expect(Object.fromEntries(facts)).toEqual({
      name: { state: "value", value: "NVIDIA L40S" },
      "power.limit_w": { state: "value", value: "350.00 W" },
      "mig.current": { state: "unsupported" },
      "clocks.sm_mhz": { state: "error" },
    });
  });

  it("keeps a process whose name holds commas in one piece", () => {
    const { csv } = read(
      "csv",
      "gpu_uuid, pid, process_name, used_gpu_memory [MiB]\nGPU-1, 7, a, b, c, 12 MiB\n",
    );
    expect(csv.rows[0]?.[2]).toEqual({ state: "value", value: "a, b, c" });
  });
});

describe("anything else", () => {
  it("is the state of NVLinks", () => {
    const text =
      "GPU 0: NVIDIA H100 (UUID: GPU-1)\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n";
    expect(read("nvlink", text).gpus).toEqual([
      { gpu: 0, uuid: "GPU-1", linksGbPerS: [26.562, undefined] },
    ]);
  });

  it.each([
    ["No MIG-enabled devices found.", "unexpected"],
    ["No devices were found", "no devices"],
    ["", "empty"],
  ])("%j is unknown, and says what it says: %s", (text, state) => {
    expect(read("unknown", text).refusal).toEqual({ state });
  });
});
