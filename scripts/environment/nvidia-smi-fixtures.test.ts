// What the readers get out of real outputs of nvidia-smi, from driver 352 to 610, and of broken ones:
// one line of facts per file. The files lie beside the checkout; where they do not, nothing is read.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { GpuFactId } from "./gpu-facts.ts";
import type { GpuValue, GpuValues } from "./gpu-values.ts";
import { readNvidiaSmi, type SmiOutput } from "./nvidia-smi-output.ts";
import { readSmiXml } from "./nvidia-smi-xml.ts";

const folder = fileURLToPath(new URL("../../../shared/fixtures/", import.meta.url));
const parts = [
  ["01", "01-nvidia-smi-xml"],
  ["02", "02-nvidia-smi-text"],
] as const;
const there = parts.every(([, name]) => existsSync(folder + name));

describe.skipIf(!there)(
  "real outputs (skipped where shared/fixtures is not beside the checkout)",
  () => {
    it("each give their driver, GPUs, modes, limits and problems", () => {
      const read = parts.flatMap(([short, name]) =>
        readdirSync(folder + name, { recursive: true, encoding: "utf8" })
          .sort()
          .filter((file) => !statSync(`${folder}${name}/${file}`).isDirectory())
          .map((file) => {
            const text = readFileSync(`${folder}${name}/${file}`, "utf8");
            // What lies among the XML was meant to be XML, whatever came of it.
            const output: SmiOutput =
              short === "01"
                ? { kind: "query-xml", report: readSmiXml(text) }
                : readNvidiaSmi(text);
            return `${short}/${file}: ${summaryOf(output)}`;
          }),
      );
      expect(read.join("\n")).toBe(expected.trim());
    });
  },
);

function summaryOf(output: SmiOutput): string {
  switch (output.kind) {
    case "query-xml":
    case "query-text": {
      const { kind, report } = output;
      if (report.state !== "read") return report.state;
      return [kind, ...factsOf(report.driver, report.gpus), ...report.problems].join(" | ");
    }
    case "table": {
      const { driver, gpus, migDevices, processes } = output.table;
      const counts = [`${migDevices.length} MIG devices`, `${processes.length} processes`];
      return ["table", ...factsOf(driver, gpus), ...counts].join(" | ");
    }
    case "gpu-instances":
    case "compute-instances":
      return `${output.kind} | ${output.instances.map(({ profile }) => profile).join(" ")}`;
    case "topology": {
      const { gpus, nics, problems } = output.topology;
      const [first] = gpus;
      return [
        "topology",
        `${gpus.length} GPUs, ${nics.length} NICs`,
        [...(first?.links ?? [])][0]?.join(" ") ?? "",
        `NUMA ${first?.numaAffinity ?? "-"}`,
        `${problems.length} problems`,
      ].join(" | ");
    }
    case "nvlink":
      return `nvlink | ${output.gpus.length} | ${output.gpus[0]?.linksGbPerS.length ?? 0} links`;
    case "list": {
      const devices = output.gpus.flatMap(({ migDevices }) => migDevices);
      const names = output.gpus.map(({ name }) => name).join(", ");
      return `list | ${names} | ${devices.map(({ profile }) => profile).join(" ")}`.trimEnd();
    }
    case "csv":
      return `csv | ${output.csv.columns.length} x ${output.csv.rows.length}`;
    case "unknown":
      return `unknown | ${output.refusal.state}`;
  }
}

function factsOf(
  driver: GpuValue | undefined,
  gpus: readonly { readonly facts: GpuValues }[],
): readonly string[] {
  const first = (id: GpuFactId): string => wordOf(gpus[0]?.facts.get(id));
  return [
    wordOf(driver),
    String(gpus.length),
    first("name"),
    `MIG ${first("mig.current")}`,
    first("power.limit_w"),
    `SM ${first("clocks.max_sm_mhz")}`,
  ];
}

function wordOf(value: GpuValue | undefined): string {
  if (value === undefined) return "-";
  return value.state === "value" ? String(value.value) : value.state;
}

const expected = `
01/a0s-nvidia-smi-3.xml: query-xml | 460.27.04 | 2 | GeForce GTX 1080 | MIG unsupported | 216.00 W | SM 1999 MHz
01/a0s-nvidia-smi-4.xml: query-xml | 418.56 | 1 | Quadro P2000 | MIG - | 75.00 W | SM 1721 MHz
01/derived/driver-library-mismatch.txt: library mismatch
01/derived/driver-not-loaded.txt: driver not loaded
01/derived/empty.xml: empty
01/derived/err-values.xml: query-xml | 535.54.03 | 1 | NVIDIA A100-SXM4-80GB | MIG Enabled | 500.00 W | SM 1410 MHz | attached_gpus says 4, 1 listed
01/derived/missing-tags.xml: query-xml | 375.66 | 1 | - | MIG - | - | SM - | attached_gpus says 2, 1 listed | a GPU has no PCI address
01/derived/no-devices.txt: no devices
01/derived/truncated-after-first-gpu.xml: query-xml | 590.44.01 | 1 | NVIDIA RTX A5000 | MIG unsupported | 230.00 W | SM 2100 MHz | cut off after 1 of the list | attached_gpus says 2, 1 listed
01/derived/truncated-at-60pct.xml: query-xml | 535.54.03 | 1 | NVIDIA A100-SXM4-80GB | MIG Enabled | - | SM - | cut off within GPU 1 of the list | attached_gpus says 4, 1 listed
01/derived/warning-lines-before-prolog.xml: query-xml | 535.54.03 | 1 | NVIDIA A100-SXM4-80GB | MIG Enabled | 500.00 W | SM 1410 MHz | text before the XML | attached_gpus says 4, 1 listed
01/lampaa-smi_test_1.xml: query-xml | 436.48 | 1 | GeForce GTX 1050 | MIG - | unsupported | SM 1911 MHz
01/lampaa-smi_test_2.xml: query-xml | 410.73 | 2 | GeForce RTX 2080 Ti | MIG - | 250.00 W | SM 2100 MHz
01/lampaa-smi_test_5.xml: query-xml | 440.59 | 1 | GeForce GT 730 | MIG - | unsupported | SM unsupported
01/lampaa-smi_test_6.xml: query-xml | 450.80.02 | 1 | Quadro P2200 | MIG unsupported | 75.00 W | SM 1746 MHz
01/llamaland-nvidia-smi.xml: query-xml | 575.57.08 | 1 | NVIDIA RTX A5000 Laptop GPU | MIG unsupported | 90.00 W | SM 1635 MHz
01/netdata-rtx-2080-win.xml: query-xml | 516.59 | 1 | NVIDIA GeForce RTX 2080 | MIG unsupported | 275.00 W | SM 3060 MHz
01/netdata-rtx-3060.xml: query-xml | 515.65.01 | 1 | NVIDIA GeForce RTX 3060 Laptop GPU | MIG unsupported | unsupported | SM 2100 MHz
01/netdata-rtx-4090-driver-535.xml: query-xml | 535.86.05 | 1 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450.00 W | SM 3120 MHz
01/netdata-rtx-pro-6000-driver-580.xml: query-xml | - | 1 | NVIDIA RTX PRO 6000 Blackwell | MIG - | - | SM -
01/netdata-tesla-p100.xml: query-xml | 510.47.03 | 1 | Tesla P100-PCIE-16GB | MIG unsupported | 250.00 W | SM 1328 MHz
01/pai-nvidia_smi_out_of_order.xml: query-xml | 430.26 | 4 | Tesla K80 | MIG - | 149.00 W | SM 875 MHz
01/pai-nvidia_smi_outdated_gpu.xml: query-xml | 384.111 | 1 | GeForce GT 730 | MIG - | - | SM -
01/pai-nvidia_smi_retired_pages.xml: query-xml | 410.104 | 1 | Tesla V100-SXM3-32GB | MIG - | 350.00 W | SM 1597 MHz | attached_gpus says 16, 1 listed
01/pai-nvidia_smi_sample.xml: query-xml | 384.66 | 2 | GeForce GTX 1070 | MIG - | 180.00 W | SM 1961 MHz | attached_gpus says 6, 2 listed
01/pai-nvidia_smi_sample_ecc_unsupported.xml: query-xml | 410.73 | 2 | GeForce RTX 2080 Ti | MIG - | 250.00 W | SM 2100 MHz
01/rai-example2.xml: query-xml | 352.99 | 1 | GRID K520 | MIG - | 125.00 W | SM 797 MHz
01/telegraf-3090-v13.xml: query-xml | 590.44.01 | 1 | NVIDIA GeForce RTX 3090 | MIG unsupported | 350.00 W | SM 2100 MHz
01/telegraf-a100-sxm4-v12.xml: query-xml | 535.54.03 | 1 | NVIDIA A100-SXM4-80GB | MIG Enabled | 500.00 W | SM 1410 MHz | attached_gpus says 4, 1 listed
01/telegraf-dual_2070-v13.xml: query-xml | 590.44.01 | 2 | NVIDIA GeForce RTX 2070 | MIG unsupported | 175.00 W | SM 2100 MHz
01/telegraf-dual_2080-v13.xml: query-xml | 590.44.01 | 2 | NVIDIA GeForce RTX 2080 | MIG unsupported | 215.00 W | SM 2160 MHz | GPUs share a UUID
01/telegraf-dual_a5000-v13.xml: query-xml | 590.44.01 | 2 | NVIDIA RTX A5000 | MIG unsupported | 230.00 W | SM 2100 MHz
01/telegraf-gt-1030.xml: query-xml | 470.74 | 1 | NVIDIA GeForce GT 1030 | MIG unsupported | 30.00 W | SM 1949 MHz
01/telegraf-gtx-1070-ti.xml: query-xml | - | 1 | GeForce GTX 1070 Ti | MIG - | - | SM -
01/telegraf-gtx-1660-ti.xml: query-xml | 418.43 | 1 | Graphics Device | MIG - | 130.00 W | SM 2145 MHz
01/telegraf-pro-6000-maxq-blackwell-v13.xml: query-xml | 590.44.01 | 1 | NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition | MIG unsupported | 300.00 W | SM 3090 MHz
01/telegraf-quadro-p2000-v12.xml: query-xml | 525.125.06 | 1 | Quadro P2000 | MIG unsupported | 75.00 W | SM 1721 MHz
01/telegraf-quadro-p400.xml: query-xml | 418.43 | 1 | Quadro P400 | MIG - | unsupported | SM 1252 MHz
01/telegraf-rtx-3080-v12.xml: query-xml | 536.40 | 1 | NVIDIA GeForce RTX 3080 | MIG unsupported | 336.00 W | SM 2100 MHz
01/telegraf-rtx-3080-v13.xml: query-xml | 595.58.03 | 1 | NVIDIA GeForce RTX 3080 | MIG unsupported | 320.00 W | SM 2100 MHz
01/telegraf-rtx-3090-v12.xml: query-xml | 525.147.05 | 1 | NVIDIA GeForce RTX 3090 | MIG unsupported | 200.00 W | SM 2100 MHz
01/telegraf-rtx-4000-sff-ada-v13.xml: query-xml | 595.84 | 1 | NVIDIA RTX 4000 SFF Ada Generation | MIG unsupported | 70.00 W | SM 3105 MHz
01/telegraf-tesla-t4.xml: query-xml | 515.105.01 | 1 | Tesla T4 | MIG unsupported | 70.00 W | SM 1590 MHz
01/telegraf-tesla_t4-2022.xml: query-xml | 512.78 | 1 | Tesla T4 | MIG unsupported | 70.00 W | SM 1590 MHz
02/a0s-nvidia-smi-2.csv: csv | 14 x 3
02/azurehpc-bad_nvsmi8_output.txt: query-text | 535.86.10 | 8 | - | MIG - | - | SM -
02/azurehpc-orig_nvsmi8_output.txt: query-text | 535.86.10 | 8 | - | MIG - | - | SM -
02/capture-linux-x86_64__nvidia-geforce-rtx-2080-super__610.57.04.txt: query-text | 610.57.04 | 1 | NVIDIA GeForce RTX 2080 SUPER | MIG unsupported | 250.00 W | SM 2145 MHz
02/capture-linux-x86_64__nvidia-h100-mig__590.48.01.txt: query-text | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Enabled | 700.00 W | SM 1980 MHz
02/capture-linux-x86_64__nvidia-h200__590.48.01.txt: query-text | 590.48.01 | 1 | NVIDIA H200 | MIG Disabled | 700.00 W | SM 1980 MHz
02/capture-windows-x86_64__nvidia-geforce-rtx-2080-super__591.86.txt: query-text | 591.86 | 1 | NVIDIA GeForce RTX 2080 SUPER | MIG unsupported | 250.00 W | SM 2145 MHz
02/cenzwong-nvidia-smi.txt: table | 580.126.09 | 1 | NVIDIA L40S | MIG unsupported | 325W | SM - | 0 MIG devices | 1 processes
02/dlora-2gpu-monitoring.jsonl: unknown | unexpected
02/gpud-nvidia-smi-query.535.129.03.out.0.valid.a10.txt: query-text | 535.129.03 | 1 | NVIDIA A10 | MIG unsupported | 150.00 W | SM 1695 MHz
02/gpud-nvidia-smi-query.535.154.05.out.0.valid.txt: query-text | 535.154.05 | 8 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450.00 W | SM 3105 MHz
02/gpud-nvidia-smi-query.535.154.05.out.1.valid.txt: query-text | 535.154.05 | 8 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450.00 W | SM 3105 MHz
02/gpud-nvidia-smi-query.535.154.05.out.3.valid.txt: query-text | 535.154.05 | 8 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450.00 W | SM 3105 MHz
02/gpud-nvidia-smi-query.535.183.01.out.0.invalid.txt: query-text | 535.183.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Disabled | - | SM - | attached_gpus says 8, 1 listed
02/gpud-nvidia-smi.525.125.06.out.0.valid.txt: table | 525.125.06 | 1 | NVIDIA GeForce ... | MIG unsupported | 450W | SM - | 0 MIG devices | 0 processes
02/gpud-nvidia-smi.nvlink.status.a10.txt: unknown | empty
02/gpud-nvidia-smi.nvlink.status.a100.txt: nvlink | 8 | 12 links
02/issues/llamacpp-11474-nvidia-smi.txt: table | 535.183.01 | 2 | NVIDIA A100-SXM4-80GB | MIG Disabled | 400W | SM - | 0 MIG devices | 0 processes
02/issues/llamacpp-1283-nvidia-smi-2.txt: table | 530.30.02 | 1 | NVIDIA GeForce GTX 1080 Ti | MIG unsupported | 250W | SM - | 0 MIG devices | 1 processes
02/issues/llamacpp-1283-nvidia-smi.txt: table | 530.30.02 | 1 | NVIDIA GeForce GTX 1080 Ti | MIG unsupported | 250W | SM - | 0 MIG devices | 1 processes
02/issues/llamacpp-3723-nvidia-smi.txt: table | 537.42 | 1 | NVIDIA RTX A4000 | MIG unsupported | 140W | SM - | 0 MIG devices | 1 processes
02/issues/llamacpp-4086-nvidia-smi.txt: table | 525.85.05 | 1 | Quadro RTX 8000 | MIG unsupported | 260W | SM - | 0 MIG devices | 0 processes
02/issues/llamacpp-4575-nvidia-smi.txt: table | 535.129.03 | 1 | NVIDIA A100-SXM4-80GB | MIG Disabled | 400W | SM - | 0 MIG devices | 0 processes
02/issues/sglang-3049-nvidia-smi.txt: table | 535.161.08 | 0 | - | MIG - | - | SM - | 0 MIG devices | 0 processes
02/issues/sglang-3283-nvidia-smi.txt: table | 570.86.15 | 0 | - | MIG - | - | SM - | 0 MIG devices | 0 processes
02/issues/sglang-3470-nvidia-smi.txt: table | 535.230.02 | 1 | NVIDIA RTX A6000 | MIG - | - | SM - | 0 MIG devices | 0 processes
02/issues/sglang-3868-nvidia-smi.txt: table | 535.161.08 | 1 | NVIDIA H20 | MIG Disabled | 500W | SM - | 0 MIG devices | 0 processes
02/issues/sglang-4779-nvidia-smi.txt: unknown | unexpected
02/issues/sglang-6753-nvidia-smi.txt: table | 570.124.06 | 8 | NVIDIA H200 | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/issues/sglang-7568-nvidia-smi.txt: table | 565.57.01 | 2 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450W | SM - | 0 MIG devices | 2 processes
02/issues/vllm-10034-nvidia-smi.txt: table | 555.42.06 | 3 | NVIDIA A10 | MIG unsupported | 150W | SM - | 0 MIG devices | 3 processes
02/issues/vllm-12005-smi-L.txt: list | NVIDIA GeForce RTX 3090 Ti |
02/issues/vllm-15194-nvidia-smi.txt: table | 535.161.08 | 2 | NVIDIA L20 | MIG unsupported | 350W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-16141-nvidia-smi-2.txt: table | 550.127.05 | 1 | NVIDIA RTX A6000 | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-16141-nvidia-smi.txt: table | 550.127.05 | 1 | NVIDIA RTX A6000 | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-18835-nvidia-smi.txt: table | 570.144 | 1 | NVIDIA GeForce RTX 5090 | MIG unsupported | 575W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-20658-nvidia-smi.txt: table | 525.105.17 | 0 | - | MIG - | - | SM - | 0 MIG devices | 0 processes
02/issues/vllm-2248-nvidia-smi.txt: table | 535.129.03 | 2 | NVIDIA A100 80GB PCIe | MIG Disabled | 300W | SM - | 0 MIG devices | 3 processes
02/issues/vllm-2906-nvidia-smi.txt: table | 525.105.17 | 2 | NVIDIA A100-SXM... | MIG Disabled | 400W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-763-nvidia-smi.txt: table | 525.125.06 | 8 | NVIDIA A40 | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/issues/vllm-7992-nvidia-smi.txt: table | 550.54.15 | 1 | NVIDIA A100 80GB PCIe | MIG Disabled | 300W | SM - | 0 MIG devices | 0 processes
02/kagaho-L40Sx2-nvidia-smi.md: table | 580.119.02 | 4 | NVIDIA L40S | MIG unsupported | 350W | SM - | 0 MIG devices | 2 processes
02/llamaland-rocm-smi.json: unknown | unexpected
02/mig/NVIDIA-cloud-native-docs-lgi-0.txt: gpu-instances | 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb
02/mig/NVIDIA-cloud-native-docs-lgi-3.txt: gpu-instances | 2g.10gb 2g.10gb 2g.10gb
02/mig/NVIDIA-cloud-native-docs-table-mig-5.txt: table | - | 0 | - | MIG - | - | SM - | 32 MIG devices | 0 processes
02/mig/NVIDIA-cloud-native-docs-table-mig-8.txt: table | - | 0 | - | MIG - | - | SM - | 16 MIG devices | 0 processes
02/mig/NVIDIA-docs-old-MIG-GPU-uuid-smi-L.txt: list | A100-SXM4-40GB | 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb
02/mig/Summer-Lo-Docker_configuration-lgi-2.txt: gpu-instances | 1g.6gb 1g.6gb 1g.6gb 1g.6gb
02/mig/Summer-Lo-Docker_configuration-lgip-1.txt: unknown | unexpected
02/mig/iscreamai02-nvidia-mig-serving-lci-13.txt: compute-instances | 1c.3g.20gb 1c.3g.20gb 1c.3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-lcip-12.txt: unknown | unexpected
02/mig/iscreamai02-nvidia-mig-serving-lgi-2.txt: gpu-instances | 3g.20gb 3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-lgi-5.txt: gpu-instances | 1g.5gb 2g.10gb 4g.20gb
02/mig/iscreamai02-nvidia-mig-serving-lgi-6.txt: gpu-instances | 1g.5gb 1g.5gb 2g.10gb 3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-lgi-7.txt: gpu-instances | 1g.5gb 1g.5gb 1g.5gb 1g.5gb 1g.5gb 2g.10gb
02/mig/iscreamai02-nvidia-mig-serving-lgip-1.txt: unknown | unexpected
02/mig/iscreamai02-nvidia-mig-serving-smi-L-1.txt: list | A100-SXM4-40GB | 3g.20gb 3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-smi-L-2.txt: list | A100-SXM4-40GB | 3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-smi-L-3.txt: list | A100-SXM4-40GB | 3g.20gb
02/mig/iscreamai02-nvidia-mig-serving-table-mig-10.txt: table | - | 0 | - | MIG - | - | SM - | 2 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-14.txt: table | - | 0 | - | MIG - | - | SM - | 1 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-16.txt: table | - | 0 | - | MIG - | - | SM - | 1 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-18.txt: unknown | unexpected
02/mig/iscreamai02-nvidia-mig-serving-table-mig-23.txt: table | - | 0 | - | MIG - | - | SM - | 2 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-25.txt: table | - | 0 | - | MIG - | - | SM - | 1 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-3.txt: table | - | 0 | - | MIG - | - | SM - | 2 MIG devices | 0 processes
02/mig/iscreamai02-nvidia-mig-serving-table-mig-8.txt: table | - | 0 | - | MIG - | - | SM - | 2 MIG devices | 0 processes
02/mig/seansiddens-mps-test-lgi-2.txt: gpu-instances | 3g.20gb 3g.20gb
02/mig/seansiddens-mps-test-lgip-1.txt: unknown | unexpected
02/mig/seansiddens-mps-test-table-mig-3.txt: table | - | 0 | - | MIG - | - | SM - | 2 MIG devices | 0 processes
02/netdata-help-query-gpu.txt: unknown | unexpected
02/netdata-tesla-p100.csv: csv | 15 x 1
02/nvidia-docs-mig-nvidia-smi.txt: list | NVIDIA H100 80GB HBM3 | 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb
02/nvidia-docs-nvidia-smi.txt: table | 535.86.10 | 1 | Tesla T4 | MIG unsupported | 70W | SM - | 0 MIG devices | 0 processes
02/other-vendors/gpustack-amd-gpu-6.2.4-rocm-smi.json: unknown | unexpected
02/other-vendors/gpustack-hygon-gpu-24.04.3-rocm-smi.json: unknown | unexpected
02/sonar-nvidia-smi-output.txt: query-text | 545.23.08 | 4 | NVIDIA GeForce RTX 2080 Ti | MIG unsupported | 250.00 W | SM 2100 MHz
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__idle-compute-apps.csv: csv | 8 x 0
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__idle-q.txt: query-text | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Disabled | 700.00 W | SM 1980 MHz
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__idle-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__idle-table.txt: table | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__load-compute-apps.csv: csv | 8 x 3
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__load-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__load-table.txt: table | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Disabled | 700W | SM - | 0 MIG devices | 3 processes
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__retired-pages.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__smi-L.txt: list | NVIDIA H100 80GB HBM3 |
02/split/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA 0 | 0 problems
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__idle-compute-apps.csv: csv | 8 x 0
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__idle-q.txt: query-text | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Enabled | 700.00 W | SM 1980 MHz
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__idle-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__idle-table.txt: table | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Enabled | 700W | SM - | 4 MIG devices | 0 processes
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__load-compute-apps.csv: csv | 8 x 3
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__load-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__load-table.txt: table | 590.48.01 | 1 | NVIDIA H100 80GB HBM3 | MIG Enabled | 700W | SM - | 4 MIG devices | 3 processes
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__retired-pages.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__smi-L.txt: list | NVIDIA H100 80GB HBM3 | 3g.40gb 2g.20gb 1g.10gb 1g.10gb
02/split/linux-x86_64__nvidia-h100-mig__590.48.01__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA 0 | 0 problems
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__idle-compute-apps.csv: csv | 8 x 0
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__idle-q.txt: query-text | 590.48.01 | 1 | NVIDIA H200 | MIG Enabled | 700.00 W | SM 1980 MHz
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__idle-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__idle-table.txt: table | 590.48.01 | 1 | NVIDIA H200 | MIG Enabled | 700W | SM - | 5 MIG devices | 0 processes
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__load-compute-apps.csv: csv | 8 x 3
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__load-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__load-table.txt: table | 590.48.01 | 1 | NVIDIA H200 | MIG Enabled | 700W | SM - | 5 MIG devices | 3 processes
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__retired-pages.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__smi-L.txt: list | NVIDIA H200 | 1c.3g.71gb 2c.3g.71gb 2g.35gb 1g.18gb 1g.18gb
02/split/linux-x86_64__nvidia-h200-mig__590.48.01__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA 0 | 0 problems
02/split/linux-x86_64__nvidia-h200__590.48.01__idle-compute-apps.csv: csv | 8 x 0
02/split/linux-x86_64__nvidia-h200__590.48.01__idle-q.txt: query-text | 590.48.01 | 1 | NVIDIA H200 | MIG Disabled | 700.00 W | SM 1980 MHz
02/split/linux-x86_64__nvidia-h200__590.48.01__idle-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h200__590.48.01__idle-table.txt: table | 590.48.01 | 1 | NVIDIA H200 | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/split/linux-x86_64__nvidia-h200__590.48.01__load-compute-apps.csv: csv | 8 x 3
02/split/linux-x86_64__nvidia-h200__590.48.01__load-query-gpu.csv: csv | 212 x 1
02/split/linux-x86_64__nvidia-h200__590.48.01__load-table.txt: table | 590.48.01 | 1 | NVIDIA H200 | MIG Disabled | 700W | SM - | 0 MIG devices | 3 processes
02/split/linux-x86_64__nvidia-h200__590.48.01__retired-pages.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-h200__590.48.01__smi-L.txt: list | NVIDIA H200 |
02/split/linux-x86_64__nvidia-h200__590.48.01__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA 0 | 0 problems
02/split/linux-x86_64__nvidia-l40s__595.80__idle-compute-apps.csv: csv | 8 x 0
02/split/linux-x86_64__nvidia-l40s__595.80__idle-q.txt: query-text | 595.80 | 1 | NVIDIA L40S | MIG unsupported | 350.00 W | SM 2520 MHz
02/split/linux-x86_64__nvidia-l40s__595.80__idle-query-gpu.csv: csv | 202 x 1
02/split/linux-x86_64__nvidia-l40s__595.80__idle-table.txt: table | 595.80 | 1 | NVIDIA L40S | MIG unsupported | 350W | SM - | 0 MIG devices | 0 processes
02/split/linux-x86_64__nvidia-l40s__595.80__load-compute-apps.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-l40s__595.80__load-query-gpu.csv: csv | 202 x 1
02/split/linux-x86_64__nvidia-l40s__595.80__load-table.txt: table | 595.80 | 1 | NVIDIA L40S | MIG unsupported | 350W | SM - | 0 MIG devices | 2 processes
02/split/linux-x86_64__nvidia-l40s__595.80__retired-pages.csv: csv | 8 x 2
02/split/linux-x86_64__nvidia-l40s__595.80__smi-L.txt: list | NVIDIA L40S |
02/split/linux-x86_64__nvidia-l40s__595.80__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA 0 | 0 problems
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__idle-compute-apps.csv: csv | 8 x 19
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__idle-q.txt: query-text | 610.62 | 1 | NVIDIA GeForce RTX 2080 SUPER | MIG unsupported | 250.00 W | SM 2145 MHz
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__idle-query-gpu.csv: csv | 239 x 1
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__idle-table.txt: table | 610.62 | 1 | NVIDIA GeForce RTX 2080 ... | MIG unsupported | 250W | SM - | 0 MIG devices | 19 processes
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__load-compute-apps.csv: csv | 8 x 21
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__load-query-gpu.csv: csv | 239 x 1
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__load-table.txt: table | 610.62 | 1 | NVIDIA GeForce RTX 2080 ... | MIG unsupported | 250W | SM - | 0 MIG devices | 21 processes
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__retired-pages.csv: csv | 8 x 2
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__smi-L.txt: list | NVIDIA GeForce RTX 2080 SUPER |
02/split/windows-x86_64__nvidia-geforce-rtx-2080-super__610.62__topo-m.txt: topology | 1 GPUs, 0 NICs |  | NUMA - | 0 problems
02/thamada/A10-q-1.txt: query-text | 550.90.12 | 1 | NVIDIA A10 | MIG unsupported | 150.00 W | SM 1695 MHz
02/thamada/A10-table-0.txt: table | 550.90.12 | 1 | NVIDIA A10 | MIG unsupported | 150W | SM - | 0 MIG devices | 0 processes
02/thamada/A100SXMx4-q-1.txt: query-text | 555.42.02 | 4 | NVIDIA A100-SXM4-80GB | MIG Disabled | 500.00 W | SM 1410 MHz
02/thamada/A100SXMx4-table-0.txt: table | 555.42.02 | 4 | NVIDIA A100-SXM4-80GB | MIG Disabled | 500W | SM - | 0 MIG devices | 0 processes
02/thamada/A40x10-q-1.txt: query-text | 550.127.05 | 10 | NVIDIA A40 | MIG unsupported | 300.00 W | SM 1740 MHz
02/thamada/A40x10-table-0.txt: table | 550.127.05 | 10 | NVIDIA A40 | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/thamada/GH200-q-1.txt: query-text | 550.127.05 | 1 | NVIDIA GH200 480GB | MIG Disabled | 900.00 W | SM 1980 MHz
02/thamada/GH200-table-0.txt: table | 550.127.05 | 1 | NVIDIA GH200 480GB | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/thamada/GTX1050Ti-q-1.txt: query-text | 535.161.07 | 1 | NVIDIA GeForce GTX 1050 Ti | MIG unsupported | 75.00 W | SM 1911 MHz
02/thamada/GTX1050Ti-table-0.txt: table | 535.161.07 | 1 | NVIDIA GeForce GTX 1050 Ti | MIG unsupported | 75W | SM - | 0 MIG devices | 0 processes
02/thamada/GTX680-q-1.txt: query-text | 470.256.02 | 1 | NVIDIA GeForce GTX 680 | MIG unsupported | unsupported | SM unsupported
02/thamada/GTX680-table-0.txt: table | 470.256.02 | 1 | NVIDIA GeForce ... | MIG unsupported | unsupported | SM - | 0 MIG devices | 0 processes
02/thamada/H100NVLx2-q-1.txt: query-text | 550.54.14 | 2 | NVIDIA H100 NVL | MIG Disabled | 310.00 W | SM 1785 MHz
02/thamada/H100NVLx2-table-0.txt: table | 550.54.14 | 2 | NVIDIA H100 NVL | MIG Disabled | 310W | SM - | 0 MIG devices | 0 processes
02/thamada/H100SXMx8-q-1.txt: query-text | 565.57.01 | 8 | NVIDIA H100 80GB HBM3 | MIG Disabled | 700.00 W | SM 1980 MHz
02/thamada/H100SXMx8-table-0.txt: table | 565.57.01 | 8 | NVIDIA H100 80GB HBM3 | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/thamada/H200-q-1.txt: query-text | 550.90.12 | 1 | NVIDIA H200 | MIG Disabled | 700.00 W | SM 1980 MHz
02/thamada/H200-table-0.txt: table | 550.90.12 | 1 | NVIDIA H200 | MIG Disabled | 700W | SM - | 0 MIG devices | 0 processes
02/thamada/L4-q-1.txt: query-text | 550.90.07 | 1 | NVIDIA L4 | MIG unsupported | 72.00 W | SM 2040 MHz
02/thamada/L4-table-0.txt: table | 550.90.07 | 1 | NVIDIA L4 | MIG unsupported | 72W | SM - | 0 MIG devices | 0 processes
02/thamada/L40S-q-1.txt: query-text | 550.127.05 | 1 | NVIDIA L40S | MIG unsupported | 350.00 W | SM 2520 MHz
02/thamada/L40S-table-0.txt: table | 550.127.05 | 1 | NVIDIA L40S | MIG unsupported | 350W | SM - | 0 MIG devices | 0 processes
02/thamada/MI300X_x4-rocm-smi-0.txt: unknown | unexpected
02/thamada/MI300X_x4-rocm-smi-1.txt: unknown | unexpected
02/thamada/RTX4090-q-1.txt: query-text | 550.127.05 | 8 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450.00 W | SM 3105 MHz
02/thamada/RTX4090-table-0.txt: table | 550.127.05 | 8 | NVIDIA GeForce RTX 4090 | MIG unsupported | 450W | SM - | 0 MIG devices | 0 processes
02/thamada/RTX5090-q-1.txt: query-text | 570.124.06 | 1 | NVIDIA GeForce RTX 5090 | MIG unsupported | 575.00 W | SM 3090 MHz
02/thamada/RTX5090-table-0.txt: table | 570.124.06 | 1 | NVIDIA GeForce RTX 5090 | MIG unsupported | 575W | SM - | 0 MIG devices | 0 processes
02/thamada/RTX6000Ada_x8-q-1.txt: query-text | 550.127.05 | 8 | NVIDIA RTX 6000 Ada Generation | MIG unsupported | 300.00 W | SM 3105 MHz
02/thamada/RTX6000Ada_x8-table-0.txt: table | 550.127.05 | 8 | NVIDIA RTX 6000 Ada Gene... | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/thamada/RTX_A6000_x9-q-1.txt: query-text | 550.127.05 | 9 | NVIDIA RTX A6000 | MIG unsupported | 300.00 W | SM 2100 MHz
02/thamada/RTX_A6000_x9-table-0.txt: table | 550.127.05 | 9 | NVIDIA RTX A6000 | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/thamada/V100_x8-q-1.txt: query-text | 550.127.05 | 8 | Tesla V100-SXM2-16GB | MIG unsupported | 300.00 W | SM 1530 MHz
02/thamada/V100_x8-table-0.txt: table | 550.127.05 | 8 | Tesla V100-SXM2-16GB | MIG unsupported | 300W | SM - | 0 MIG devices | 0 processes
02/topo/kagaho-L40Sx2-vllm-collect-env-topo.txt: topology | 2 GPUs, 2 NICs | GPU1 NODE | NUMA 0 | 0 problems
02/topo/sglang-issue-3817-topo.txt: topology | 8 GPUs, 10 NICs | GPU1 NV18 | NUMA 0 | 0 problems
02/topo/vllm-issue-12808-topo.txt: topology | 4 GPUs, 2 NICs | GPU1 NV6 | NUMA 0 | 0 problems
02/topo/vllm-issue-13671-topo.txt: topology | 8 GPUs, 10 NICs | GPU1 NV18 | NUMA 0 | 0 problems
02/topo/vllm-issue-16259-topo.txt: topology | 4 GPUs, 0 NICs | GPU1 NV12 | NUMA 0-1 | 0 problems
02/topo/vllm-issue-16668-topo.txt: topology | 8 GPUs, 26 NICs | GPU1 NV18 | NUMA 0 | 0 problems
02/topo/vllm-issue-19569-topo.txt: topology | 8 GPUs, 0 NICs | GPU1 NV18 | NUMA 1 | 0 problems
02/topo/vllm-issue-19703-topo.txt: topology | 4 GPUs, 4 NICs | GPU1 NV18 | NUMA 0 | 0 problems
02/topo/vllm-issue-20174-topo.txt: topology | 8 GPUs, 8 NICs |  | NUMA - | 8 problems
02/topo/vllm-issue-20303-topo.txt: topology | 8 GPUs, 0 NICs | GPU1 NV2 | NUMA 1 | 0 problems
02/topo/vllm-issue-20862-topo.txt: topology | 8 GPUs, 12 NICs | GPU1 NV18 | NUMA 0 | 0 problems
02/topo/vllm-issue-5071-topo.txt: topology | 2 GPUs, 3 NICs | GPU1 SYS | NUMA 0 | 0 problems
02/topo/vllm-issue-8904-topo.txt: topology | 1 GPUs, 63 NICs | NIC0 SYS | NUMA 1 | 0 problems
02/topo/vllm-issue-8947-topo.txt: topology | 4 GPUs, 2 NICs | GPU1 NV6 | NUMA 0 | 0 problems
`;
