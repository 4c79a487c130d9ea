import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { probeGpus } from "../environment/gpu.ts";
import { gpuFactIds } from "../environment/gpu-facts.ts";
import { recorder } from "../environment/probe.ts";
import type { EnvironmentField, FieldValue } from "../environment/snapshot.ts";
import { toldMachine } from "../testing/told-machine.ts";
import { nvlinkHardware, vgpuHardware } from "./fixtures/synthetic-gpus.ts";
import { field } from "./fixtures/synthetic-run.ts";
import { gpuNames } from "./record-fields.ts";
import { gpuEnvironmentOf } from "./record-gpus.ts";

const value = (text: string | number): FieldValue => ({ state: "value", value: text });
const names = (labels: readonly string[]): string => labels.at(-1)?.replace("gpu.*.", "") ?? "";

/** The fields that the probes read from the outputs of one of the replayed hosts. */
async function fieldsOf(host: string): Promise<readonly EnvironmentField[]> {
  const file = (name: string): { readonly stdout: string } => ({
    stdout: readFileSync(new URL(`../testing/hosts/${host}/${name}`, import.meta.url), "utf8"),
  });
  const machine = toldMachine({
    commands: {
      "nvidia-smi -q -x": file("query.xml"),
      "nvidia-smi -L": file("list.txt"),
      "nvidia-smi topo -m": file("topo.txt"),
      "nvidia-smi mig -lgi": file("mig-gi.txt"),
      "nvidia-smi mig -lci": file("mig-ci.txt"),
    },
  });
  const record = recorder(machine, 1000, (text) => text);
  return (await probeGpus(machine, record, { light: false })).fields;
}

describe("gpuNames", () => {
  it("joins neighbours", () => {
    expect(gpuNames([0])).toBe("GPU 0");
    expect(gpuNames([7, 0, 1, 2, 5])).toBe("GPU 0–2, 5, 7");
  });
});

describe("gpuEnvironmentOf", () => {
  it("is nothing without a GPU", () => {
    expect(gpuEnvironmentOf([field("gpu.count", value(0))])).toBeUndefined();
  });

  it("lists everything of a single GPU as rows, its links too", () => {
    const one = vgpuHardware.fields.filter(({ id }) => !id.startsWith("gpu.1."));
    const gpus = gpuEnvironmentOf(one);
    expect(gpus).toMatchObject({
      about: "GPU 0",
      identities: undefined,
      differing: undefined,
      topology: undefined,
      mig: [],
      momentary: { differing: undefined },
    });
    const shown = gpus?.rows.map(({ labels }) => names(labels)) ?? [];
    expect(shown).toEqual(expect.arrayContaining(["name", "uuid", "vgpu.type", "topology"]));
  });

  it("gives two alike GPUs one row a fact, and each its own line", () => {
    const gpus = gpuEnvironmentOf(vgpuHardware.fields);
    expect(gpus?.about).toBe("GPU 0–1");
    expect(gpus?.identities?.facts.map(names)).toEqual(["uuid", "pci_id"]);
    expect(gpus?.identities?.rows).toHaveLength(2);
    expect(gpus?.differing).toBeUndefined();
    expect(gpus?.topology?.text).toBe("      GPU0  GPU1\nGPU0  X     PHB\nGPU1  PHB   X");
    expect(gpus?.rows.find(({ labels }) => names(labels) === "driver")).toMatchObject({
      value: { text: "580.95.05" },
      readOn: "gpu-node-7",
    });
  });

  it("loses no fact of eight GPUs: each is shared, differs, or is told in a table of its own", () => {
    const gpus = gpuEnvironmentOf(nvlinkHardware.fields);
    if (gpus === undefined) throw new Error("the fixture has GPUs");
    const told = new Set([
      ...gpus.rows.map(({ labels }) => names(labels)),
      ...(gpus.identities?.facts ?? []).map(names),
      ...(gpus.differing?.rows ?? []).map(({ labels }) => names(labels)),
      ...gpus.momentary.rows.map(({ labels }) => names(labels)),
      ...(gpus.momentary.differing?.rows ?? []).map(({ labels }) => names(labels)),
      ...["topology", "mig.devices", "mig.instances"],
    ]);
    expect(gpuFactIds.filter((id) => !told.has(id))).toEqual([]);
    expect(gpus.differing?.gpus).toEqual(["GPU 0–2, 4, 6", "GPU 3", "GPU 5", "GPU 7"]);
    expect(
      gpus.differing?.rows.find(({ labels }) => names(labels) === "power.limit_w")?.values,
    ).toEqual(
      ["700\u00a0W", "650\u00a0W", "700\u00a0W", "700\u00a0W"].map((text) => ({
        state: "value",
        text,
      })),
    );
    expect(gpus.topology?.links).toEqual(["NV18", "PXB", "SYS"]);
    expect(gpus.topology?.text.split("\n")).toHaveLength(9);
  });

  it("tells of each MIG device what it is made of", () => {
    expect(gpuEnvironmentOf(nvlinkHardware.fields)?.mig).toEqual(
      [
        ["1", "0:4", "MIG-0c4a7d52-6f3b-5e19-8a70-d21b95c3e684"],
        ["2", "4:4", "MIG-9e15b3f8-274d-50ac-b6e3-48f07a1dc259"],
      ].map(([gpuInstance, slices, uuid]) => ({
        gpu: "GPU 7",
        profile: "3g.40gb",
        gpuInstance,
        computeInstance: "0",
        slices,
        memoryMib: 40_192,
        multiprocessors: 60,
        uuid,
      })),
    );
  });

  it("understands what the probes write of MIG devices and of links", async () => {
    const cut = gpuEnvironmentOf(await fieldsOf("h100-mig"));
    expect(cut?.mig).toMatchObject([
      { profile: "3g.40gb", gpuInstance: "1", computeInstance: "0", slices: "0:4" },
      { profile: "3g.40gb", gpuInstance: "2", computeInstance: "0", slices: "4:4" },
    ]);
    for (const { uuid, memoryMib, multiprocessors } of cut?.mig ?? []) {
      expect(uuid).toMatch(/^MIG-[0-9a-f-]{36}$/);
      expect(memoryMib).toBeGreaterThan(39_000);
      expect(multiprocessors).toBeGreaterThan(50);
    }
    const two = gpuEnvironmentOf(await fieldsOf("rtx-pro-6000-vgpu"));
    expect(two?.topology).toMatchObject({ links: ["PHB"] });
    expect(two?.identities?.facts.map(names)).toEqual(["uuid", "pci_id"]);
    expect(two?.differing).toBeUndefined();
  });

  it("takes the list of MIG devices alone where the instances do not fit it", () => {
    const mig = (devices: string, instances: string): readonly EnvironmentField[] => [
      field("gpu.0.mig.devices", value(devices)),
      field("gpu.0.mig.instances", value(instances)),
    ];
    const listed = gpuEnvironmentOf(mig("1g.10gb MIG-a; 2g.20gb MIG-b", "gi 1 ci 0 1g.10gb"))?.mig;
    expect(listed?.map(({ profile, uuid, gpuInstance }) => [profile, uuid, gpuInstance])).toEqual([
      ["1g.10gb", "MIG-a", undefined],
      ["2g.20gb", "MIG-b", undefined],
    ]);
    const unlisted = gpuEnvironmentOf(mig("none", "gi 3 ci 1 1c.3g.40gb 40192 MiB"))?.mig;
    expect(unlisted).toMatchObject([
      { profile: "1c.3g.40gb", gpuInstance: "3", computeInstance: "1", memoryMib: 40_192 },
    ]);
  });

  it("shows a link that is not told as such, and no matrix where a GPU tells none", () => {
    const of = (gpu: number, links: FieldValue): EnvironmentField =>
      field(`gpu.${gpu}.topology`, links);
    const lame = gpuEnvironmentOf([of(0, value("GPU1 SYS")), of(1, value("NIC0 PIX"))]);
    expect(lame?.topology?.text).toContain("GPU1  –     X     PIX");
    const silent = [
      of(0, value("GPU1 SYS")),
      of(1, { state: "not_collected", reason: "it hangs" }),
    ];
    expect(gpuEnvironmentOf(silent)?.topology).toBeUndefined();
    expect(gpuEnvironmentOf(silent)?.differing?.rows.map(({ labels }) => names(labels))).toEqual([
      "topology",
    ]);
  });
});
