import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ToldMachine, toldMachine } from "../testing/told-machine.ts";
import { gpuFieldsWithoutGpu, probeGpus } from "./gpu.ts";
import { gpuFactIds, lightGpuFactIds } from "./gpu-facts.ts";
import type { Ran } from "./outside.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { EnvironmentField, FieldValue, RawProbe } from "./snapshot.ts";

const nvidiaOnBus = {
  "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
  "/sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
};
const virtioOnBus = {
  "/sys/bus/pci/devices/0000:00:01.0/vendor": "0x1af4\n",
  "/sys/bus/pci/devices/0000:00:01.0/class": "0x020000\n",
};
const amdOnBus = {
  "/sys/bus/pci/devices/0000:c1:00.0/vendor": "0x1002\n",
  "/sys/bus/pci/devices/0000:c1:00.0/class": "0x120000\n",
};
const ascendOnBus = {
  "/sys/bus/pci/devices/0000:c1:00.0/vendor": "0x19e5\n",
  "/sys/bus/pci/devices/0000:c1:00.0/class": "0x120000\n",
};

const host = (path: string): string =>
  readFileSync(new URL(`../testing/hosts/${path}`, import.meta.url), "utf8");

interface Probed {
  readonly values: ReadonlyMap<string, FieldValue>;
  readonly fields: readonly EnvironmentField[];
  readonly raw: readonly RawProbe[];
}

async function probe(told: ToldMachine, light = false): Promise<Probed> {
  const machine = toldMachine(told);
  const record = recorder(machine, 1000, (text) => text);
  const { fields, raw } = await probeGpus(machine, record, { light });
  expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  return { values: new Map(fields.map(({ id, value }) => [id, value])), fields, raw };
}

/** What a value is, or the reason why there is none. */
function said(values: Probed["values"], id: string): unknown {
  const value = values.get(id);
  return value?.state === "value" ? value.value : value?.reason;
}

function smi(host_: "h100-mig" | "rtx-pro-6000-vgpu"): Record<string, Partial<Ran>> {
  return {
    "nvidia-smi -q -x": { stdout: host(`${host_}/query.xml`) },
    "nvidia-smi -L": { stdout: host(`${host_}/list.txt`) },
    "nvidia-smi topo -m": { stdout: host(`${host_}/topo.txt`) },
    "nvidia-smi mig -lgi": { stdout: host(`${host_}/mig-gi.txt`) },
    "nvidia-smi mig -lci": { stdout: host(`${host_}/mig-ci.txt`) },
  };
}

describe("a machine without a GPU", () => {
  it("has every GPU field, each not applicable", async () => {
    const { values } = await probe({ files: virtioOnBus });
    expect([...values.keys()]).toEqual(gpuFieldsWithoutGpu.map(({ id }) => id));
    for (const value of values.values())
      expect(value).toEqual({ state: "not_applicable", reason: reasons.noGpu });
  });

  it("is one even where an image brings an nvidia-smi that finds no driver", async () => {
    const commands = { "nvidia-smi": { exitCode: 9, stdout: "NVIDIA-SMI has failed" } };
    const { values } = await probe({ files: virtioOnBus, commands });
    expect(values.get("gpu.name")).toEqual({ state: "not_applicable", reason: reasons.noGpu });
  });
});

describe("a GPU that can't be read is not called absent", () => {
  const cases: [string, Partial<Ran> | undefined, Record<string, string>, string][] = [
    ["nvidia-smi is not installed", undefined, nvidiaOnBus, reasons.noNvidiaSmi],
    ["only /dev shows it", undefined, { "/dev/nvidia0": "" }, reasons.noNvidiaSmi],
    ["nvidia-smi hangs", { failure: "timed out", exitCode: undefined }, {}, reasons.nvidiaSmiHangs],
    ["no permission", { exitCode: 4 }, nvidiaOnBus, reasons.nvidiaSmiNoPermission],
    ["no devices", { exitCode: 6 }, nvidiaOnBus, reasons.nvidiaSmiNoDevices],
    ["no driver", { exitCode: 9 }, nvidiaOnBus, reasons.nvidiaSmiNoDriver],
    ["no library", { exitCode: 12 }, nvidiaOnBus, reasons.nvidiaSmiNoLibrary],
    ["a GPU is lost", { exitCode: 15 }, nvidiaOnBus, reasons.nvidiaSmiGpuLost],
    ["versions do not match", { exitCode: 18 }, nvidiaOnBus, reasons.nvidiaSmiMismatch],
    ["another exit code", { exitCode: 255 }, nvidiaOnBus, reasons.nvidiaSmiFails],
    [
      "another exit code, but known words",
      { exitCode: 255, stdout: "Failed to initialize NVML: Driver/library version mismatch\n" },
      nvidiaOnBus,
      reasons.nvidiaSmiMismatch,
    ],
    [
      "words of failure with exit code 0",
      { exitCode: 0, stdout: "No devices were found\n" },
      nvidiaOnBus,
      reasons.nvidiaSmiNoDevices,
    ],
    ["a wrong text", { exitCode: 0, stdout: "hello\n" }, nvidiaOnBus, reasons.nvidiaSmiUnexpected],
    ["an AMD card without its tools", undefined, amdOnBus, reasons.noAmdSmi],
    ["an Ascend card without its tool", undefined, ascendOnBus, reasons.noNpuSmi],
  ];
  for (const light of [false, true])
    it.each(cases)(`${light ? "light" : "full"}: %s`, async (_, answer, files, reason) => {
      const commands = answer === undefined ? {} : { "nvidia-smi": answer };
      const { values } = await probe({ files, commands }, light);
      expect(values.size).toBe(gpuFieldsWithoutGpu.length);
      for (const value of values.values())
        expect(value).toEqual({ state: "not_collected", reason });
    });

  it("by XML is read from the text form", async () => {
    const stdout =
      "==============NVSMI LOG==============\nDriver Version : 470.82\nAttached GPUs : 1\nGPU 00000000:01:00.0\n    Product Name : Tesla T4\n";
    const commands = {
      "nvidia-smi": { exitCode: 2, stderr: "unknown option -x" },
      "nvidia-smi -q": { exitCode: 0, stdout },
      "nvidia-smi -q -x": { exitCode: 2, stdout: "" },
    };
    const { values } = await probe({ files: nvidiaOnBus, commands });
    expect(said(values, "gpu.0.name")).toBe("Tesla T4");
    expect(said(values, "gpu.0.power.limit_w")).toBe(reasons.gpuNotSaid);
  });
});

describe("two MIG-backed vGPUs", () => {
  it("give every fact, as a value or with a reason", async () => {
    const { values, fields, raw } = await probe({
      files: nvidiaOnBus,
      commands: smi("rtx-pro-6000-vgpu"),
    });
    expect(said(values, "gpu.count")).toBe(2);
    for (const gpu of [0, 1]) {
      const own = fields.filter(({ id }) => id.startsWith(`gpu.${gpu}.`));
      const others = ["rocm", "health", "partition.compute", "partition.memory"];
      expect(own.map(({ id }) => id.slice(6)).sort()).toEqual(
        gpuFactIds.filter((id) => !others.includes(id)).sort(),
      );
    }
    expect(said(values, "gpu.1.name")).toBe("NVIDIA RTX Pro 6000 Blackwell DC-4-96Q");
    expect(said(values, "gpu.1.vgpu.type")).toBe("NVIDIA RTX Pro 6000 Blackwell DC-4-96Q");
    expect(said(values, "gpu.1.vgpu.mig_backed")).toBe(true);
    expect(said(values, "gpu.1.vgpu.slices")).toBe(4);
    expect(values.get("gpu.1.vgpu.frame_buffer_mib")).toEqual({
      state: "value",
      value: 98304,
      unit: "MiB",
    });
    expect(said(values, "gpu.1.virtualization")).toBe("VGPU");
    expect(said(values, "gpu.1.vgpu.license")).toMatch(/^Licensed/);
    expect(said(values, "gpu.1.driver")).toBe("580.105.08");
    expect(said(values, "gpu.1.power.limit_w")).toBe(reasons.gpuNotSupported);
    expect(said(values, "gpu.1.mig.pending")).toBe("Disabled");
    expect(said(values, "gpu.1.mig.profiles")).toBe("none");
    expect(said(values, "gpu.1.topology")).toBe("GPU0 PHB");
    expect(said(values, "gpu.1.cpu_affinity")).toBe("0-31");
    expect(said(values, "gpu.1.processes.list")).toBe("none");
    expect(said(values, "gpu.xid.count")).toBe(reasons.noKernelLog);
    expect(raw.some(({ command }) => command.includes("mig -lgi"))).toBe(false);
    // Each fact leads to the output that it was read from.
    const topology = fields.find(({ id }) => id === "gpu.1.topology");
    expect(raw[topology?.rawIndex ?? -1]?.command).toBe("nvidia-smi topo -m");
  });

  it.each([
    ["NVIDIA A40-48Q", 48, false],
    ["NVIDIA A100-3-20C", 20, true],
    ["NVIDIA H100-1-10CME", 10, true],
    ["GRID P4-1Q", 1, false],
  ])("%s has %i GB and MIG behind it: %s", async (name, gigabytes, mig) => {
    const commands = {
      ...smi("rtx-pro-6000-vgpu"),
      "nvidia-smi -q -x": {
        stdout: host("rtx-pro-6000-vgpu/query.xml").replaceAll(
          /NVIDIA RTX Pro 6000 \S+ \S+(?=<)/g,
          name,
        ),
      },
    };
    const { values } = await probe({ files: nvidiaOnBus, commands });
    expect(said(values, "gpu.0.vgpu.type")).toBe(name);
    expect(said(values, "gpu.0.vgpu.frame_buffer_mib")).toBe(gigabytes * 1024);
    expect(said(values, "gpu.0.vgpu.mig_backed")).toBe(mig);
  });
});

describe("a GPU with MIG devices", () => {
  const commands = smi("h100-mig");

  it("gives them with profile, instances, memory and UUID", async () => {
    const { values } = await probe({ files: nvidiaOnBus, commands });
    expect(said(values, "gpu.0.mig.current")).toBe("Enabled");
    expect(said(values, "gpu.0.mig.device_count")).toBe(2);
    expect(said(values, "gpu.0.mig.profiles")).toBe("3g.40gb, 3g.40gb");
    expect(said(values, "gpu.0.mig.devices")).toBe(
      "3g.40gb MIG-0c4a7d52-6f3b-5e19-8a70-d21b95c3e684; 3g.40gb MIG-9e15b3f8-274d-50ac-b6e3-48f07a1dc259",
    );
    expect(said(values, "gpu.0.mig.instances")).toBe(
      "gi 1 ci 0 3g.40gb slices 0:4 40448 MiB 60 SM; gi 2 ci 0 3g.40gb slices 4:4 40448 MiB 60 SM",
    );
    expect(said(values, "gpu.0.vgpu.type")).toBe(reasons.noVgpu);
    expect(values.get("gpu.0.power.limit_w")).toEqual({ state: "value", value: 700, unit: "W" });
    expect(values.get("gpu.0.throttle.sw_power_cap_us")).toMatchObject({
      value: 184220917,
      unit: "us",
    });
    expect(values.get("gpu.0.pcie.max_width")).toEqual({ state: "value", value: 16 });
    expect(said(values, "gpu.0.topology")).toBe("NIC0 PIX, NIC1 SYS");
  });

  it("has no serial number in what is kept, and all else, however long", async () => {
    const long = host("h100-mig/query.xml").replace(
      "</supported_clocks>",
      `${"<supported_mem_clock><value>1 MHz</value></supported_mem_clock>\n".repeat(2000)}</supported_clocks>`,
    );
    const { raw } = await probe({
      files: nvidiaOnBus,
      commands: { ...commands, "nvidia-smi -q -x": { stdout: long } },
    });
    const kept = raw.find(({ command }) => command === "nvidia-smi -q -x")?.stdout ?? "";
    expect(long.length).toBeGreaterThan(100_000);
    expect(kept).toBe(long.replace("1650000000017", "[redacted]"));
  });

  it("says what was wrong with the output, and counts GPUs as the list does", async () => {
    const xml = host("rtx-pro-6000-vgpu/query.xml");
    const [head = "", first = "", second = "", tail = ""] = xml.split(
      /(?=\t<gpu id)|(?=<\/nvidia_smi_log>)/,
    );
    const { values } = await probe({
      files: nvidiaOnBus,
      commands: {
        ...smi("rtx-pro-6000-vgpu"),
        "nvidia-smi -q -x": { stdout: `warning: a\n${head}${second}${first}${tail}`, exitCode: 14 },
      },
    });
    expect(said(values, "gpu.read_problems")).toBe("text before the XML; exit code 14");
    expect(said(values, "gpu.0.pci_id")).toBe("00000000:02:00.0");
    expect(said(values, "gpu.1.pci_id")).toBe("00000000:03:00.0");
  });
});

describe("a light snapshot", () => {
  const row = (index: number, name: string, mig: string): string =>
    `${index}, ${name}, GPU-${index}, 580.105, 1024, Enabled, Enabled, 0, N/A, No, No, ${mig}, ${mig}, Enabled, Default, 600.00, 2430, 12481`;
  const stdout = `Warning: persistence daemon is not running\n${row(0, "NVIDIA L40S", "[N/A]")}\n${row(1, "NVIDIA H100, special", "Enabled")}\n`;
  const commands: Record<string, Partial<Ran>> = {
    "nvidia-smi --query-gpu=": { stdout },
    "nvidia-smi --query-compute-apps=": {
      stdout:
        "GPU-1, 4711, /opt/venv/bin/python3, with comma, 65710\nMIG-a, 4712, VLLM::Worker, [N/A]\n",
    },
    "nvidia-smi -L": {
      stdout: "GPU 1: NVIDIA H100 (UUID: GPU-1)\n  MIG 3g.40gb     Device  0: (UUID: MIG-a)\n",
    },
    journalctl: {
      stdout:
        "2026-01-02T03:00:00+00:00 vm kernel: NVRM: Xid (PCI:0000:ca:00): 79, GPU has fallen off the bus.\n" +
        // An engine that was killed.
        "2026-01-02T03:01:00+00:00 vm kernel: NVRM: Xid (PCI:0000:ca:00): 45, pid=4711, Ch 00000008\n",
    },
  };

  it("holds what a trial can change, from one call and a list of processes", async () => {
    const { values, raw } = await probe({ files: nvidiaOnBus, commands }, true);
    expect([...values.keys()]).toEqual([
      "gpu.count",
      "gpu.xid.count",
      ...[0, 1].flatMap((gpu) => lightGpuFactIds.map((id) => `gpu.${gpu}.${id}`)),
    ]);
    expect(said(values, "gpu.0.driver")).toBe("580.105");
    expect(said(values, "gpu.0.power.limit_w")).toBe(600);
    expect(said(values, "gpu.0.mig.current")).toBe(reasons.gpuNotSupported);
    expect(said(values, "gpu.0.processes.count")).toBe(0);
    expect(said(values, "gpu.1.name")).toBe("NVIDIA H100, special");
    expect(said(values, "gpu.1.mig.profiles")).toBe("3g.40gb");
    expect(said(values, "gpu.1.processes.list")).toBe(
      "4711 /opt/venv/bin/python3, with comma 65710 MiB; 4712 VLLM::Worker",
    );
    expect(said(values, "gpu.xid.count")).toBe(1);
    expect(raw.some(({ command }) => command.includes("-q -x"))).toBe(false);
  });

  it("asks an old driver again without the columns that it does not know", async () => {
    const asked: string[] = [];
    const { values } = await probe(
      {
        files: nvidiaOnBus,
        instead: {
          exec: (command) => {
            const query = command[1] ?? "";
            const answer = (exitCode: number, text: string): Promise<Ran> =>
              Promise.resolve({
                exitCode,
                stdout: text,
                stderr: "",
                durationMs: 1,
                failure: undefined,
              });
            if (!query.startsWith("--query-gpu")) return answer(1, "");
            asked.push(query);
            const unknown = ["mig.mode.current", "remapped_rows.failure"].find((name) =>
              query.includes(name),
            );
            if (unknown !== undefined)
              return answer(2, `Field "${unknown}" is not a valid field to query.\n`);
            const columns = query.slice("--query-gpu=".length).split(",");
            return answer(
              0,
              `${columns.map((name) => (name === "index" ? "0" : name)).join(", ")}\n`,
            );
          },
        },
      },
      true,
    );
    expect(asked).toHaveLength(3);
    expect(said(values, "gpu.0.mig.current")).toBe(reasons.gpuNotSaid);
    expect(said(values, "gpu.0.persistence")).toBe("persistence_mode");
  });

  it("has the same texts as a full one for the same machine", async () => {
    const full = await probe({ files: nvidiaOnBus, commands: smi("h100-mig") });
    const light = await probe(
      {
        files: nvidiaOnBus,
        commands: {
          ...smi("h100-mig"),
          "nvidia-smi --query-gpu=": {
            stdout:
              "0, NVIDIA H100 80GB HBM3, GPU-3b8e41a7-90cd-4f62-b1d8-57a2c06e9f13, 580.95.05, 89, Enabled, Enabled, 0, [N/A], No, No, Enabled, Enabled, Enabled, Default, 700.00, 1980, 2619\n",
          },
          "nvidia-smi --query-compute-apps=": { stdout: "" },
        },
      },
      true,
    );
    for (const id of lightGpuFactIds)
      expect([id, light.values.get(`gpu.0.${id}`)]).toEqual([id, full.values.get(`gpu.0.${id}`)]);
  });
});

describe("Xid messages", () => {
  const gpu = smi("h100-mig");
  const xid = (commands: Record<string, Partial<Ran>>): Promise<Probed> =>
    probe({ files: nvidiaOnBus, commands: { ...gpu, ...commands } });

  it("are none where the journal has none", async () => {
    const { values } = await xid({ journalctl: { exitCode: 1, stdout: "-- No entries --\n" } });
    expect(said(values, "gpu.xid.count")).toBe(0);
    expect(said(values, "gpu.xid.last")).toBe(reasons.noXid);
  });

  it("come from the kernel's buffer where the journal is not ours to read, and nothing else is kept", async () => {
    const { values, raw } = await xid({
      journalctl: {
        exitCode: 1,
        stdout: "-- No entries --\n",
        stderr: "Hint: You are currently not seeing messages from other users and the system.\n",
      },
      dmesg: {
        stdout:
          "[    1.0] secret of the house\n[   99.5] NVRM: Xid (PCI:0000:ca:00): 31, pid=77, name=python3, Ch 00000008\n",
      },
    });
    expect(said(values, "gpu.xid.count")).toBe(1);
    expect(said(values, "gpu.xid.last")).toBe(
      "Xid (PCI:0000:ca:00): 31, pid=77, name=python3, Ch 00000008",
    );
    expect(JSON.stringify(raw)).not.toContain("secret of the house");
  });

  it("are not called none where neither log could be read", async () => {
    const { values } = await xid({
      journalctl: { stdout: "No journal files were found.\n", exitCode: 1 },
      dmesg: { exitCode: 1, stderr: "dmesg: read kernel buffer failed: Operation not permitted\n" },
    });
    expect(values.get("gpu.xid.count")).toEqual({
      state: "not_collected",
      reason: reasons.noKernelLog,
    });
  });
});
