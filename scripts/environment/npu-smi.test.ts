import { describe, expect, it } from "vitest";
import { toldMachine } from "../testing/told-machine.ts";
import { probeAscend, readNpuDetails, readNpuTable } from "./npu-smi.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";

const table = `
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc2                 Version: 24.1.rc2                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 91.2        48                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3381 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | Alarm         | NA          49                0    / 0             |
| 0                         | 0000:C2:00.0  | 87          0    / 0          61002/ 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
| 1       0                 | 27182         | python3                  | 57600                   |
+===========================+===============+====================================================+
`;
const details = `
        NPU ID                         : 1
        Software Version               : 24.1.rc2
        Firmware Version               : 7.3.0.1.231
        Model                          : NA
        PCI Vendor ID                  : 0x19E5
        PCI Device ID                  : 0xD802

        Chip ID                        : 0
        Aicore Freq(MHZ)               : 1800
        Aicore curFreq(MHZ)            : 800
        HBM Single Bit Error Count     : 2
        HBM Double Bit Error Count     : 0
        DDR Double Bit Error Count     : NA
`;

describe("npu-smi", () => {
  it("gives each chip's facts", () => {
    const npus = readNpuTable(table);
    expect(npus.map(({ index, npu, chip }) => [index, npu, chip])).toEqual([
      [0, 0, 0],
      [1, 1, 0],
    ]);
    expect(Object.fromEntries(npus[1]?.values ?? [])).toEqual({
      vendor: { state: "value", value: "Huawei" },
      name: { state: "value", value: "Ascend 910B3" },
      driver: { state: "value", value: "24.1.rc2" },
      health: { state: "value", value: "Alarm" },
      pci_id: { state: "value", value: "0000:C2:00.0" },
      "power.draw_w": { state: "unsupported" },
      temperature_c: { state: "value", value: "49" },
      "memory.used_mib": { state: "value", value: "61002" },
      memory_mib: { state: "value", value: "65536" },
      "processes.count": { state: "value", value: 1 },
      "processes.list": { state: "value", value: "27182 python3 57600 MiB" },
    });
  });

  it("counts the chips of a card that bears two", () => {
    const two = table
      .replaceAll("| 1     910B3 ", "| 0     910B3 ")
      .replace("| 0                         | 0000:C2", "| 1                         | 0000:C2");
    expect(readNpuTable(two).map(({ index, npu, chip }) => [index, npu, chip])).toEqual([
      [0, 0, 0],
      [1, 0, 1],
    ]);
  });

  it("gives what board, frequencies and ECC of a card say", () => {
    expect(Object.fromEntries(readNpuDetails(details))).toEqual({
      driver: { state: "value", value: "24.1.rc2" },
      vbios: { state: "value", value: "7.3.0.1.231" },
      part_number: { state: "unsupported" },
      pci_device_id: { state: "value", value: "D802" },
      "clocks.max_sm_mhz": { state: "value", value: "1800" },
      "clocks.sm_mhz": { state: "value", value: "800" },
      "ecc.corrected_volatile": { state: "value", value: 2 },
      "ecc.uncorrected_volatile": { state: "value", value: 0 },
    });
  });

  it("fills a snapshot", async () => {
    const machine = toldMachine({
      commands: {
        "npu-smi info": { stdout: table },
        "npu-smi info -t board": { stdout: details },
        "npu-smi info -t common": { stdout: "" },
        "npu-smi info -t ecc": { stdout: "" },
      },
    });
    const record = recorder(machine, 1000, (text) => text);
    const read = await probeAscend(machine, record, { light: false });
    if (read.state !== "read") throw new Error(read.reason);
    const values = new Map(read.fields.map(({ id, value }) => [id, value]));
    expect(values.get("gpu.count")).toEqual({ state: "value", value: 2 });
    expect(values.get("gpu.1.memory_mib")).toEqual({ state: "value", value: 65536, unit: "MiB" });
    expect(values.get("gpu.0.clocks.max_sm_mhz")).toMatchObject({ value: 1800, unit: "MHz" });
    expect(values.get("gpu.0.cuda")).toEqual({
      state: "not_applicable",
      reason: reasons.notThisVendor,
    });
  });

  it("that answers otherwise is a named state", async () => {
    const machine = toldMachine({ commands: { "npu-smi info": { stdout: "dcmi init failed\n" } } });
    const record = recorder(machine, 1000, (text) => text);
    expect(await probeAscend(machine, record, { light: true })).toMatchObject({
      state: "none",
      reason: reasons.vendorToolUnexpected,
    });
  });
});
