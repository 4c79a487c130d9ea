// benchbook itself as fields: which version measured, on what Node, started how, how far from the
// engine.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { sha256Of } from "./digest.ts";
import { type GitState, readGit } from "./git.ts";
import type { Outside } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  known,
  notApplicable,
  notCollected,
  type ProbeResult,
  quoteWord,
  type Reading,
  type Recorder,
  type Text,
  timeOf,
} from "./probe.ts";
import { reasons } from "./reasons.ts";
import { redactArguments } from "./redact.ts";
import type { EnvironmentSnapshot } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

/** Two folders up from scripts/environment/ and from dist/environment/ alike. */
const programRoot = fileURLToPath(new URL("../..", import.meta.url));

export interface ClientProbe {
  readonly engines: readonly EngineUnderTest[];
  readonly projectRoot: string;
  /** Where benchbook itself lies. */
  readonly programRoot?: string;
  /** Secrets that are known in full. */
  readonly secrets: readonly string[];
  /** The machine of the engines that we attach to; undefined: their addresses say which it is. */
  readonly there?: Outside | undefined;
}

interface Sources extends ClientProbe {
  readonly outside: Outside;
  /** Whether `there` is this machine; undefined: it can't be told. */
  readonly isThere: boolean | undefined;
  readonly packageFile: Text;
  readonly lockFile: Text;
  readonly program: GitState;
  readonly project: GitState;
}

interface ClientField extends DeclaredField {
  readonly read: (sources: Sources) => Reading;
}

export const clientFields: readonly ClientField[] = [
  { id: "client.benchbook.version", class: "context", read: readVersion },
  { id: "client.benchbook.commit", class: "context", read: ({ program }) => program.commit },
  { id: "client.benchbook.dirty", class: "context", read: ({ program }) => program.dirty },
  { id: "client.project.commit", class: "context", read: ({ project }) => project.commit },
  { id: "client.project.dirty", class: "context", read: ({ project }) => project.dirty },
  { id: "client.node", class: "context", read: ({ outside }) => known(outside.versions.node) },
  { id: "client.v8", class: "context", read: ({ outside }) => known(outside.versions.v8) },
  { id: "client.platform", class: "context", read: ({ outside }) => known(outside.platform) },
  { id: "client.lock_digest", class: "context", read: readLock },
  { id: "client.engine_relation", class: "comparability", read: readRelation },
  { id: "client.command", class: "noise", read: readCommand },
];

/** Reads benchbook itself. */
export async function probeClient(
  outside: Outside,
  record: Recorder,
  probe: ClientProbe,
): Promise<ProbeResult> {
  const root = probe.programRoot ?? programRoot;
  const [packageFile, lockFile, program, project, isThere] = await Promise.all([
    record.read(join(root, "package.json")),
    // Its digest is kept; the file is as long as it is public.
    record.read(join(root, "package-lock.json"), sha256Of),
    readGit(record, root, { root: true, otherwise: reasons.notARepository }),
    readGit(record, probe.projectRoot, { root: false, otherwise: reasons.projectNotARepository }),
    isSameMachine(outside, probe.there),
  ]);
  const sources: Sources = { ...probe, outside, isThere, packageFile, lockFile, program, project };
  const at = timeOf(outside);
  return {
    fields: clientFields.map(({ id, class: fieldClass, read }) =>
      fieldOf(id, "client", fieldClass, read(sources), at),
    ),
    raw: record.raw,
  };
}

const packageShape = z.object({ name: z.string(), version: z.string().min(1) });

function readVersion({ packageFile: { text, rawIndex } }: Sources): Reading {
  if (text === undefined) return notCollected(reasons.fileMissing, rawIndex);
  try {
    return known(packageShape.parse(JSON.parse(text)).version, { rawIndex });
  } catch {
    return notCollected(reasons.fileUnexpected, rawIndex);
  }
}

function readLock({ lockFile: { text, rawIndex } }: Sources): Reading {
  return text === undefined
    ? notCollected(reasons.noLockFile, rawIndex)
    : known(`sha256:${text}`, { rawIndex, source: "derived" });
}

/** "same host", "other host", or "mixed" where the engines differ in it. */
function readRelation({ engines, outside, isThere }: Sources): Reading {
  if (engines.length === 0) return notApplicable(reasons.noEngine);
  const relations = new Set(
    engines.map((engine) => {
      if (isThere === undefined || engine.kind !== "external") return relationOf(engine, outside);
      return isThere ? "same host" : "other host";
    }),
  );
  const [only, ...more] = relations;
  return { ...known(more.length > 0 ? "mixed" : only), source: "derived" };
}

/**
 * Whether two outsides are one machine: by the id that a kernel takes as it boots, which its containers
 * share and a tunnel's address hides.
 */
async function isSameMachine(
  here: Outside,
  there: Outside | undefined,
): Promise<boolean | undefined> {
  if (there === undefined) return undefined;
  const [one, other] = await Promise.all(
    [here, there].map((outside) =>
      outside.readFile("/proc/sys/kernel/random/boot_id").catch(() => undefined),
    ),
  );
  return one === undefined || other === undefined ? undefined : one.trim() === other.trim();
}

/** Where an engine is by its address; one that a tunnel brings here looks as if it were here. */
export function relationOf(
  { url }: Pick<EngineUnderTest, "url">,
  outside: Pick<Outside, "hostname" | "addresses">,
): "same host" | "other host" {
  if (url === undefined) return "same host";
  const host = (URL.canParse(url) ? new URL(url).hostname : url)
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
  const name = outside.hostname().toLowerCase();
  const loopback = /^(?:localhost|127(?:\.\d+){3}|::1|0\.0\.0\.0)$/.test(host);
  // Of "gpu-7" and "gpu-7.cluster.local" one is short for the other.
  const isNamed = host === name || host.startsWith(`${name}.`) || name.startsWith(`${host}.`);
  const isOwn = outside.addresses().some((address) => address.toLowerCase() === host);
  return loopback || isNamed || isOwn ? "same host" : "other host";
}

/** As it would be typed again: the interpreter's path is the machine's, not the command's. */
function readCommand({ outside, secrets }: Sources): Reading {
  const words = redactArguments(outside.argv.slice(2), secrets);
  return known(["benchbook", ...words.map(quoteWord)].join(" "));
}

/** The program that measured, as a snapshot shows it. */
export interface ToolIdentity {
  readonly version: string;
  readonly commit: string | undefined;
  /** Uncommitted changes; undefined: not known. */
  readonly dirty: boolean | undefined;
  readonly node: string;
}

/** Reads the program's identity back from the client fields of a full snapshot. */
export function toolIdentityOf({ fields }: EnvironmentSnapshot): ToolIdentity {
  const valueOf = (id: string): string | number | boolean | undefined => {
    const value = fields.find((field) => field.id === id)?.value;
    return value?.state === "value" ? value.value : undefined;
  };
  const commit = valueOf("client.benchbook.commit");
  const dirty = valueOf("client.benchbook.dirty");
  return {
    version: String(valueOf("client.benchbook.version") ?? "unknown"),
    commit: typeof commit === "string" ? commit : undefined,
    dirty: typeof dirty === "boolean" ? dirty : undefined,
    node: String(valueOf("client.node") ?? process.versions.node),
  };
}
