import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterAll, describe, expect, it } from "vitest";
import { replayedHost } from "./replayed-host.ts";

const hosts = (["rtx-pro-6000-vgpu", "h100-mig"] as const).map((name) => ({
  name,
  host: replayedHost(name),
}));
const mig = replayedHost("h100-mig");
afterAll(() => {
  for (const { host } of hosts) host.remove();
  mig.remove();
});

const ask = (...argv: string[]): string => execFileSync(mig.smi, argv, { encoding: "utf8" });

describe("the replayed nvidia-smi", () => {
  it("answers each call from the file of its host", () => {
    mig.reset();
    expect(ask("-q", "-x")).toBe(mig.file("query.xml"));
    expect(ask("-L")).toMatch(/^GPU 0: NVIDIA H100 .*\n {2}MIG 3g\.40gb /);
    expect(ask("mig", "-lgi")).toBe(mig.file("mig-gi.txt"));
    expect(ask("topo", "-m")).toContain("GPU0");
  });

  it.each(hosts)("says the same of $name in XML and in columns", ({ host }) => {
    const columns = ["uuid", "driver_version", "memory.total", "memory.used", "clocks.max.sm"];
    const rows = execFileSync(
      host.smi,
      [`--query-gpu=${columns.join(",")}`, "--format=csv,noheader"],
      { encoding: "utf8" },
    );
    const cells = rows
      .trim()
      .split("\n")
      .map((row) => row.split(", "));
    expect(cells.length).toBeGreaterThan(0);
    const xml = host.file("query.xml");
    for (const cell of cells.flat()) expect(xml).toContain(`>${cell}<`);
  });

  it("takes units and header away when asked to, and knows columns by both of their names", () => {
    mig.reset();
    expect(ask("--query-gpu=index,power.draw,clocks.current.sm", "--format=csv")).toBe(
      "index, power.draw, clocks.current.sm\n0, 71.40 W, 1980 MHz\n",
    );
    expect(ask("--query-gpu=power.draw,clocks.sm", "--format=csv,noheader,nounits")).toBe(
      "71.40, 1980\n",
    );
    expect(ask("--help-query-gpu")).toContain('"clocks_event_reasons.active"');
  });

  it("refuses a column that it does not know as nvidia-smi does", () => {
    mig.setState({ refused: ["clocks_event_reasons.active"] });
    const { status, stdout } = spawnSync(
      mig.smi,
      ["--query-gpu=index,clocks_event_reasons.active", "--format=csv"],
      { encoding: "utf8" },
    );
    expect(status).toBe(2);
    expect(stdout).toBe('Field "clocks_event_reasons.active" is not a valid field to query.\n');
  });

  it("lists the compute processes of the state", () => {
    mig.setState({
      files: {
        "compute-apps.csv":
          "gpu_uuid, pid, process_name, used_memory\nGPU-1, 4242, python3, 1200 MiB\n",
      },
    });
    expect(
      ask("--query-compute-apps=gpu_uuid,pid,used_gpu_memory", "--format=csv,noheader,nounits"),
    ).toBe("GPU-1, 4242, 1200\n");
    mig.reset();
    expect(ask("--query-compute-apps=pid", "--format=csv,noheader")).toBe("");
  });

  it("ends with the code and the words of a failing driver, or in mid-sentence", () => {
    mig.setState({ failure: { kind: "exit", code: 9, text: "NVIDIA-SMI has failed\n" } });
    const failed = spawnSync(mig.smi, ["-q", "-x"], { encoding: "utf8" });
    expect([failed.status, failed.stdout]).toEqual([9, "NVIDIA-SMI has failed\n"]);
    mig.setState({ failure: { kind: "cut", share: 0.5 } });
    const cut = ask("-q", "-x");
    expect(cut.length).toBe(Math.floor(mig.file("query.xml").length / 2));
    mig.setState({ failure: { kind: "hang" } });
    expect(spawnSync(mig.smi, ["-L"], { timeout: 500 }).signal).toBe("SIGTERM");
  });

  it("says loudly when a state replaces a text that is not there", () => {
    mig.setState({ replace: { "query.xml": [["<no_such_tag>", ""]] } });
    expect(spawnSync(mig.smi, ["-q", "-x"]).status).toBe(70);
  });

  it("switches state in the middle of a loop, and ends when nobody reads", async () => {
    mig.setState({ cells: { "0": { "mig.mode.current": "Enabled" } } });
    const loop = spawn(mig.smi, [
      "--query-gpu=mig.mode.current",
      "--format=csv,noheader",
      "-lms",
      "20",
    ]);
    let said = "";
    for await (const chunk of loop.stdout) {
      said += String(chunk);
      if (said.startsWith("Enabled\n"))
        mig.setState({ cells: { "*": { "mig.mode.current": "Disabled" } } });
      // Leaving the loop closes the pipe.
      if (said.includes("Disabled\n")) break;
    }
    expect(said).toMatch(/^(?:Enabled\n)+(?:Disabled\n)+$/);
    if (loop.exitCode === null) await once(loop, "exit");
    expect(loop.exitCode).toBe(0);
  });
});
