// Where a variant's model lies on a machine: a folder, or the place that the caches of Hugging Face
// and ModelScope keep for its id, so that a model known by its hub id has digests too.

import { join } from "node:path/posix";
import type { Outside } from "./outside.ts";
import { reasons } from "./reasons.ts";
import type { EngineUnderTest } from "./subject.ts";

export type ModelPlace =
  | { readonly folder: string }
  | { readonly folder: undefined; readonly reason: string };

type Subject = Pick<EngineUnderTest, "model" | "modelFolder" | "revision" | "facts">;

/**
 * The folder of a variant's model: the one that is known, else by the name in the experiment, else by
 * the name that the engine says it loaded.
 */
export async function findModel(outside: Outside, subject: Subject): Promise<ModelPlace> {
  // A folder that is known was found on this machine; elsewhere the same path may be another model's.
  const { modelFolder } = subject;
  if (modelFolder !== undefined && outside.elsewhere === undefined) return { folder: modelFolder };
  const names = [...new Set([subject.model, ...loadedNames(subject)])];
  for (const name of names) {
    const folder = name.startsWith("/")
      ? await existing(outside, [name])
      : await cachedFolder(outside, name, subject);
    if (folder !== undefined) return { folder };
  }
  const canBeCached = names.some((name) => name.startsWith("/") || hubId.test(name));
  return {
    folder: undefined,
    reason: canBeCached ? reasons.modelNotCached : reasons.noModelFolder,
  };
}

/** "org/name". */
const hubId = /^[\w.-]+\/[\w.-]+$/;

/** What the engine says it loaded, which may be another name than the one it serves. */
function loadedNames({ facts }: Subject): readonly string[] {
  return Object.entries(facts?.config ?? {}).flatMap(([key, value]) =>
    /(?:^|\.)(?:model|model_path)$/.test(key) && typeof value === "string" ? [value] : [],
  );
}

async function cachedFolder(
  outside: Outside,
  id: string,
  { revision, facts }: Subject,
): Promise<string | undefined> {
  if (!hubId.test(id)) return undefined;
  const env = { ...outside.env, ...facts?.env };
  return (
    (await huggingFaceFolder(outside, env, id, revision)) ??
    (await existing(outside, modelScopeFolders(env, id)))
  );
}

type Variables = Readonly<Record<string, string | undefined>>;

/** `models--org--name/snapshots/<commit>`; a branch or tag is a file under `refs` that names the commit. */
async function huggingFaceFolder(
  outside: Outside,
  env: Variables,
  id: string,
  revision: string | undefined,
): Promise<string | undefined> {
  const home = env["HF_HOME"] ?? join(cacheHome(env), "huggingface");
  const hub = env["HF_HUB_CACHE"] ?? join(home, "hub");
  const root = join(hub, `models--${id.replace("/", "--")}`);
  const commits = await outside.readDirectory(join(root, "snapshots")).catch(() => []);
  const asked = revision ?? "main";
  const named = await outside.readFile(join(root, "refs", asked)).catch(() => undefined);
  const commit = commits.find((name) => name === (named?.trim() ?? asked));
  // Without the reference only one snapshot can be the one that was meant.
  const only = revision === undefined && commits.length === 1 ? commits[0] : undefined;
  const found = commit ?? only;
  return found === undefined ? undefined : join(root, "snapshots", found);
}

/** Layouts of several versions of ModelScope; older ones write a dot as three underscores. */
function modelScopeFolders(env: Variables, id: string): readonly string[] {
  const root = env["MODELSCOPE_CACHE"] ?? join(cacheHome(env), "modelscope", "hub");
  const roots = [join(root, "models"), join(root, "hub", "models"), join(root, "hub"), root];
  return roots.flatMap((folder) => [join(folder, id), join(folder, id.replaceAll(".", "___"))]);
}

function cacheHome(env: Variables): string {
  return env["XDG_CACHE_HOME"] ?? join(env["HOME"] ?? "/root", ".cache");
}

async function existing(outside: Outside, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const names = await outside.readDirectory(folder).catch(() => []);
    if (names.length > 0) return folder;
  }
  return undefined;
}
