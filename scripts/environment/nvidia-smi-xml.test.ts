import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GpuFactId } from "./gpu-facts.ts";
import type { GpuValue } from "./gpu-values.ts";
import type { SmiReport } from "./nvidia-smi-report.ts";
import { readSmiXml } from "./nvidia-smi-xml.ts";

const host = (name: string): string =>
  readFileSync(new URL(`../testing/hosts/${name}/query.xml`, import.meta.url), "utf8");
const h100 = host("h100-mig");
const vgpus = host("rtx-pro-6000-vgpu");

function read(text: string): Extract<SmiReport, { state: "read" }> {
  const report = readSmiXml(text);
  if (report.state !== "read") throw new Error(`not read: ${report.state}`);
  return report;
}

function factsOf(text: string, gpu = 0): ReadonlyMap<GpuFactId, GpuValue> {
  return read(text).gpus[gpu]?.facts ?? new Map<GpuFactId, GpuValue>();
}

const log = (inner: string): string => `<nvidia_smi_log>${inner}</nvidia_smi_log>`;
const value = (text: string | number): GpuValue => ({ state: "value", value: text });

describe("the XML of nvidia-smi", () => {
  it("gives a GPU's facts with its units still in place", () => {
    const report = read(h100);
    expect(report).toMatchObject({
      driver: value("580.95.05"),
      cuda: value("13.0"),
      attachedGpus: 1,
      problems: [],
    });
    const facts = factsOf(h100);
    expect(facts.get("name")).toEqual(value("NVIDIA H100 80GB HBM3"));
    expect(facts.get("power.draw_w")).toEqual(value("71.12 W"));
    expect(facts.get("throttle.sw_power_cap_us")).toEqual(value("184220917 us"));
    expect(facts.get("throttle.reasons")).toEqual(value("GPU idle"));
    expect(facts.get("ecc.uncorrected_volatile")).toEqual(value(0));
    expect(facts.get("pcie.max_width")).toEqual(value("16x"));
    expect(facts.get("remapped.pending")).toEqual(value("No"));
    expect(facts.get("clocks.application_memory_mhz")).toEqual({ state: "deprecated" });
    expect(facts.get("retired.pending")).toEqual({ state: "unsupported" });
    expect(read(h100).gpus[0]?.migDevices).toEqual([
      { index: 0, gpuInstance: 1, computeInstance: 0, memoryMib: 40448, multiprocessors: 60 },
      { index: 1, gpuInstance: 2, computeInstance: 0, memoryMib: 40448, multiprocessors: 60 },
    ]);
  });

  it("of a vGPU guest has both GPUs and says what a guest is not told", () => {
    const { gpus } = read(vgpus);
    expect(gpus.map(({ pciId }) => pciId)).toEqual(["00000000:02:00.0", "00000000:03:00.0"]);
    const facts = factsOf(vgpus, 1);
    expect(facts.get("virtualization")).toEqual(value("VGPU"));
    expect(facts.get("throttle.reasons")).toEqual({ state: "unsupported" });
    expect(facts.get("remapped.pending")).toEqual({ state: "unsupported" });
  });
});

describe("names that moved between drivers", () => {
  it.each([
    ["power_readings", "power_limit"],
    ["gpu_power_readings", "requested_power_limit"],
    ["module_power_readings", "current_power_limit"],
  ])("%s/%s is the power limit", (group, name) => {
    const text = log(`<gpu id="1"><${group}><${name}>350.00 W</${name}></${group}></gpu>`);
    expect(factsOf(text).get("power.limit_w")).toEqual(value("350.00 W"));
  });

  it.each(["clocks_throttle_reason", "clocks_event_reason"])(
    "%ss say why clocks are low",
    (name) => {
      const text = log(
        `<gpu id="1"><${name}s><${name}_sw_power_cap>Active</${name}_sw_power_cap>` +
          `<${name}_hw_slowdown>Not Active</${name}_hw_slowdown>` +
          `<${name}_sw_thermal_slowdown>Active</${name}_sw_thermal_slowdown></${name}s></gpu>`,
      );
      expect(factsOf(text).get("throttle.reasons")).toEqual(
        value("SW power cap, SW thermal slowdown"),
      );
    },
  );

  it("a group that is N/A as a whole is N/A in all its parts", () => {
    const facts = factsOf(log('<gpu id="1"><remapped_rows>N/A</remapped_rows></gpu>'));
    expect(facts.get("remapped.failure")).toEqual({ state: "unsupported" });
  });

  it("uncorrectable errors are summed over memories and kinds", () => {
    const text = log(
      '<gpu id="1"><ecc_errors><volatile><sram_uncorrectable_parity>1</sram_uncorrectable_parity>' +
        "<sram_uncorrectable_secded>2</sram_uncorrectable_secded>" +
        "<dram_uncorrectable>4</dram_uncorrectable></volatile></ecc_errors></gpu>",
    );
    // 1 + 2 + 4
    expect(factsOf(text).get("ecc.uncorrected_volatile")).toEqual(value(7));
  });

  it.each([
    ["N/A", "unsupported"],
    [" [N/A] ", "unsupported"],
    ["[Not Supported]", "unsupported"],
    ["Requested functionality has been deprecated", "deprecated"],
    ["[Unknown Error]", "error"],
    ["ERR!", "error"],
  ])("%s is the state %s, not a text", (text, state) => {
    const facts = factsOf(log(`<gpu id="1"><persistence_mode>${text}</persistence_mode></gpu>`));
    expect(facts.get("persistence")).toEqual({ state });
  });
});

describe("a damaged output", () => {
  const gpu = (id: string, name: string): string =>
    `<gpu id="${id}"><product_name>${name}</product_name><persistence_mode>Enabled</persistence_mode></gpu>`;

  it.each([
    ["text before the prolog", `WARNING: infoROM is corrupted\n${h100}`, ["text before the XML"]],
    ["a byte order mark", `\uFEFF${h100}`, []],
    ["Windows line ends", h100.replaceAll("\n", "\r\n"), []],
    [
      "a comment with a beginning in it",
      h100.replace("<!DOCTYPE", "<!-- <nvidia_smi_log> --><!DOCTYPE"),
      [],
    ],
    [
      "an internal DTD with > in it",
      h100.replace(
        /<!DOCTYPE[^>]*>/,
        "<!DOCTYPE nvidia_smi_log [\n<!ELEMENT nvidia_smi_log (a, b)>\n]>",
      ),
      [],
    ],
    ["text after the end", `${h100}\nTue Feb  3 14:05:10 2026\n`, []],
  ])("with %s is read whole", (_, text, problems) => {
    expect(read(text).problems).toEqual(problems);
    expect(factsOf(text)).toEqual(factsOf(h100));
  });

  it("cut within its second GPU keeps the first, and of the second what is whole", () => {
    const text = `<nvidia_smi_log><attached_gpus>2</attached_gpus>${gpu("1", "A")}<gpu id="2"><product_name>B</product_name><persistence_mode>Enab`;
    const report = read(text);
    expect(report.problems).toEqual(["cut off within GPU 2 of the list"]);
    expect(report.gpus.map(({ facts }) => facts.get("name"))).toEqual([value("A"), value("B")]);
    expect(report.gpus[1]?.facts.has("persistence")).toBe(false);
  });

  it("that lists fewer GPUs than it says, or one without an address, says so", () => {
    const text = log(`<attached_gpus>4</attached_gpus>${gpu("", "A")}`);
    expect(read(text).problems).toEqual([
      "attached_gpus says 4, 1 listed",
      "a GPU has no PCI address",
    ]);
  });

  it("with masked UUIDs says that they can't tell GPUs apart", () => {
    const masked = vgpus.replaceAll(/<uuid>[^<]*/g, "<uuid>GPU-0000");
    expect(read(masked).problems).toEqual(["GPUs share a UUID"]);
    expect(read(masked).gpus).toHaveLength(2);
  });

  it.each([
    ["", "empty"],
    ["No devices were found\n", "no devices"],
    [
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure",
      "driver not loaded",
    ],
    [
      "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95",
      "library mismatch",
    ],
    ["Unable to determine the device handle for GPU0: 0000:CA:00.0: Unknown Error\n", "gpu lost"],
    ["Failed to initialize NVML: Insufficient Permissions\n", "no permission"],
    ["<html><body>502</body></html>", "unexpected"],
  ])("%j is the state %s", (text, state) => {
    expect(readSmiXml(text)).toEqual({ state });
  });

  it("never throws, wherever it is cut and whatever is put into it", () => {
    fc.assert(
      fc.property(
        fc.nat(vgpus.length),
        fc.nat(vgpus.length),
        fc.string({
          maxLength: 20,
          unit: fc.constantFrom("<", ">", "/", "!", "-", "&", '"', "gpu", "a", " "),
        }),
        (from, to, noise) => {
          const [start, end] = from < to ? [from, to] : [to, from];
          readSmiXml(vgpus.slice(0, end));
          readSmiXml(vgpus.slice(0, start) + noise + vgpus.slice(end));
        },
      ),
      { numRuns: 150 },
    );
  });

  it("keeps of every cut only facts that the whole output has too", () => {
    const whole = read(vgpus).gpus.map(({ facts }) => facts);
    fc.assert(
      fc.property(fc.nat(vgpus.length), (length) => {
        const report = readSmiXml(vgpus.slice(0, length));
        if (report.state !== "read") return;
        for (const [at, { facts }] of report.gpus.entries())
          for (const [id, said] of facts) {
            // A sum and a list over what is left may be smaller.
            if (id.startsWith("ecc.") || id === "throttle.reasons") continue;
            expect(said).toEqual(whole[at]?.get(id));
          }
      }),
      { numRuns: 150 },
    );
  });
});

describe("entities", () => {
  it("that grow are not expanded", () => {
    const bomb = `<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>${log('<gpu id="1"><product_name>&c;</product_name></gpu>')}`;
    expect(factsOf(bomb).get("name")).toEqual(value("&c;"));
  });

  it("of a command line are read, once", () => {
    const text = log(
      '<gpu id="1"><processes><process_info><pid>7</pid><type>C</type>' +
        "<process_name>a &amp;lt; &quot;b&quot;</process_name><used_memory>12 MiB</used_memory></process_info></processes></gpu>",
    );
    expect(read(text).gpus[0]?.processes).toEqual([
      { pid: 7, type: "C", name: 'a &lt; "b"', usedMib: 12 },
    ]);
  });
});
