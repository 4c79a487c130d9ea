// An engine in a container: the words that run it under a name of ours, how it is ended and probed
// by that name, and which image really runs.
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { z } from "zod";
import { type Outside, real } from "../environment/outside.ts";
import type { UserErrorParts } from "../errors.ts";
import type { VllmContainer } from "../experiment/experiment.ts";
import { huggingFaceHome, modelScopeCache } from "./checkpoint.ts";
import type { ContainerFacts } from "./engine.ts";
import { cgroupOf, commandLineOf } from "./processes.ts";
import type { Release } from "./watchdog.ts";

/** The home folder of the user that vLLM's images run as. */
const homeInImage = "/root";

/** What this host has that a container must be given. */
export interface ContainerHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly exists: (path: string) => boolean;
}

const thisHost: ContainerHost = { env: process.env, exists: existsSync };

/** Variables that are handed through where this process has them: keys, proxies, places of models. */
const handedThrough = [
  ...["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"],
  ...["MODELSCOPE_API_TOKEN", "VLLM_USE_MODELSCOPE", "VLLM_API_KEY"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"],
];

/** Seconds that a container may take to end when it is asked to. */
const politeS = 15;

export interface ContainerRun {
  readonly argv: readonly string[];
  readonly interpreter: readonly string[];
  readonly release: Release;
}

/** Where a folder of this host is mounted in the container. */
export function mountedAt(folder: string): string {
  return `/models/${basename(folder)}`;
}

/**
 * The address that a server listens on in its container: any, since its port is published on
 * 127.0.0.1 alone; but not where the container has the network of this host.
 */
export function hostWithin({ args = [] }: VllmContainer): string {
  return /--net(?:work)?[= ]host\b/.test(args.join(" ")) ? "127.0.0.1" : "0.0.0.0";
}

/**
 * The command line that runs an engine in a container of ours. Variables go in by their names: their
 * values, which may be keys, stand in the environment of the command and in no argument.
 */
export function containerRun(
  container: VllmContainer,
  run: {
    readonly name: string;
    readonly port: number;
    /** Folders of this host that the engine reads, mounted read-only. */
    readonly folders: readonly string[];
    /** Names of the variables that are set for the engine. */
    readonly variables: readonly string[];
    /** The words that follow the image. */
    readonly serve: readonly string[];
    /** The program in the image that takes them. */
    readonly entrypoint: string;
  },
  { env, exists }: ContainerHost = thisHost,
): ContainerRun {
  const { name, port } = run;
  const runtime = runtimeOf(container);
  const args = container.args ?? [];
  const has = (pattern: RegExp): boolean => args.some((word) => pattern.test(word));
  const variables = new Set([
    ...run.variables,
    ...handedThrough.filter((variable) => (env[variable] ?? "") !== ""),
  ]);
  const caches = [
    [huggingFaceHome(env), `${homeInImage}/.cache/huggingface`],
    [modelScopeCache(env), `${homeInImage}/.cache/modelscope/hub`],
  ] as const;
  const mounts = [
    ...run.folders.map((folder) => `${folder}:${mountedAt(folder)}:ro`),
    ...caches.filter(([here]) => exists(here)).map(([here, there]) => `${here}:${there}`),
  ];
  return {
    argv: [
      ...[runtime, "run", "--rm", "--name", name],
      ...(has(/^--(gpus|device|runtime)\b/) ? [] : accelerators(runtime, exists)),
      // Workers hand tensors to each other in shared memory, of which a container has 64 MB.
      ...(has(/^--(ipc|shm-size)\b/) ? [] : ["--ipc=host"]),
      ...["-p", `127.0.0.1:${port}:${port}`],
      ...mounts.flatMap((mount) => ["-v", mount]),
      ...[...variables].sort().flatMap((variable) => ["-e", variable]),
      ...args,
      ...["--entrypoint", run.entrypoint, imageReference(container)],
      ...run.serve,
    ],
    interpreter: [runtime, "exec", name, "python3"],
    release: {
      polite: [runtime, "stop", "-t", String(politeS), name],
      firm: [runtime, "rm", "-f", name],
    },
  };
}

function runtimeOf({ runtime = "docker" }: VllmContainer): "docker" | "podman" {
  return runtime;
}

function accelerators(
  runtime: "docker" | "podman",
  exists: (path: string) => boolean,
): readonly string[] {
  if (exists("/dev/nvidiactl") || exists("/proc/driver/nvidia")) {
    return runtime === "docker" ? ["--gpus", "all"] : ["--device", "nvidia.com/gpu=all"];
  }
  if (!exists("/dev/kfd")) return [];
  return ["--device", "/dev/kfd", "--device", "/dev/dri", "--group-add", "video"];
}

/** With a digest the tag goes: podman takes only one of the two, and the digest decides. */
export function imageReference({ image, digest }: VllmContainer): string {
  return digest === undefined ? image : `${repositoryOf(image)}@${digest}`;
}

/** "registry:5000/org/name:tag" to "registry:5000/org/name". */
function repositoryOf(image: string): string {
  return image.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
}

/** Whether the runtime is there and answers. */
export async function checkRuntime(
  container: VllmContainer,
  where: string,
  outside: Pick<Outside, "exec"> = real,
): Promise<readonly UserErrorParts[]> {
  const runtime = runtimeOf(container);
  const asked = await outside.exec([runtime, "info"], { limitMs: 20_000 });
  if (asked.exitCode === 0) return [];
  if (asked.failure === "missing") {
    return [
      {
        what: `${runtime} is not on PATH`,
        where,
        mend: `install it, or write runtime: ${runtime === "docker" ? "podman" : "docker"}`,
      },
    ];
  }
  const said = asked.stderr.trim().split("\n").at(-1) ?? "";
  return [
    {
      what: `${runtime} does not answer${said === "" ? "" : `: ${said}`}`,
      where,
      mend: `start its service, and see that \`${runtime} info\` works for this user`,
    },
  ];
}

const containerShape = z
  .array(
    z.object({
      Id: z.string(),
      Image: z.string(),
      ImageDigest: z.string().optional(),
      State: z.object({ Pid: z.number() }),
    }),
  )
  .nonempty();
const imageShape = z.array(z.object({ RepoDigests: z.array(z.string()).nullish() })).nonempty();

/**
 * What runs under a name: its image, by the digest that a registry knows it by, else by its id.
 * @param serving words on the command line of its first process
 * @returns also the pid of its first process, where that is one of this host's
 */
export async function inspectContainer(
  container: VllmContainer,
  { name, serving }: { readonly name: string; readonly serving: string },
  outside: Pick<Outside, "exec"> = real,
): Promise<{ readonly facts: ContainerFacts; readonly pid: number | undefined }> {
  const runtime = runtimeOf(container);
  const ask = async (...words: string[]): Promise<string> =>
    (await outside.exec([runtime, ...words], { limitMs: 20_000 })).stdout;
  const version = /\d+\.\d+[\w.-]*/.exec(await ask("--version"))?.[0];
  const found = containerShape.safeParse(jsonOf(await ask("inspect", name))).data?.[0];
  const image =
    found === undefined
      ? undefined
      : imageShape.safeParse(jsonOf(await ask("image", "inspect", found.Image))).data?.[0];
  const digests = image?.RepoDigests ?? [];
  const repository = repositoryOf(container.image);
  const pinned = digests.find((named) => named.endsWith(`@${container.digest ?? ""}`));
  const named =
    pinned ?? digests.find((other) => repositoryOf(other).endsWith(repository)) ?? digests[0];
  const digest = named?.split("@")[1] ?? found?.ImageDigest ?? sha256(found?.Image);
  return {
    facts: {
      runtime: version === undefined ? runtime : `${runtime} ${version}`,
      name,
      image: container.image,
      digest,
    },
    pid: found === undefined ? undefined : pidHere(found.State.Pid, found.Id, serving),
  };
}

/** podman writes the id of an image without its algorithm. */
function sha256(id: string | undefined): string | undefined {
  return id === undefined || id.startsWith("sha256:") ? id : `sha256:${id}`;
}

/**
 * Ends a container that was left over.
 * @returns undefined: there is none of this name; else whether it is gone now
 */
export async function removeContainer(
  { runtime, name }: Pick<ContainerFacts, "runtime" | "name">,
  outside: Pick<Outside, "exec"> = real,
): Promise<boolean | undefined> {
  const [program = runtime] = runtime.split(" ");
  const there = await outside.exec([program, "inspect", name], { limitMs: 20_000 });
  if (there.exitCode !== 0) return undefined;
  await outside.exec([program, "stop", "-t", String(politeS), name], { limitMs: 30_000 });
  const removed = await outside.exec([program, "rm", "-f", name], { limitMs: 30_000 });
  return removed.exitCode === 0 || saysGone(removed.stderr);
}

/** What docker and podman say of a container that is not there, or on its way out by itself. */
export function saysGone(stderr: string): boolean {
  return /no (such )?container|removal of container .* is already in progress/i.test(stderr);
}

/**
 * A runtime on another host, or in a virtual machine, names a pid that is somebody else's here: the
 * process must be in the container's cgroup, or serve what the container serves.
 */
function pidHere(pid: number, id: string, serving: string): number | undefined {
  const isOurs = cgroupOf(pid).includes(id) || commandLineOf(pid).includes(serving);
  return pid > 0 && isOurs ? pid : undefined;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
