import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toldMachine } from "../testing/told-machine.ts";
import { type Outside, real } from "./outside.ts";
import { recorder } from "./probe.ts";
import { declaredPythonFields, probePython } from "./python.ts";
import { reasons } from "./reasons.ts";
import type { FieldValue } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

const at = "2026-01-02T03:04:05.000+00:00";
const engine: EngineUnderTest = {
  variant: "fp8",
  kind: "vllm",
  model: "m",
  modelFolder: undefined,
  tokenizerPath: undefined,
  precision: "fp8",
  url: undefined,
  interpreter: ["/opt/v/bin/python"],
  facts: undefined,
};

const answer = {
  executable: "/opt/v/bin/python",
  version: "3.12.4",
  packages: {
    torch: { version: "2.9.0" },
    "pytorch-triton": { version: "3.5.0" },
    "flashinfer-python": { version: "0.5.2", url: null },
    transformers: { version: "4.57.1" },
    vllm: {
      version: "0.12.0.dev3+gabc",
      url: { url: "file:///src", dir_info: { editable: true } },
    },
    "nvidia-nccl-cu12": { version: "2.27.5" },
  },
  torch: { __version__: "2.9.0+cu128", cuda: "12.8", hip: null, git_version: "d00d" },
  vllm_commit: "gabc1234",
};

async function probed(
  outside: Outside,
  changes: Partial<EngineUnderTest> = {},
): Promise<ReadonlyMap<string, FieldValue>> {
  const result = await probePython(
    recorder(outside, 5000, (text) => text),
    { ...engine, ...changes },
    at,
  );
  const ids = result.fields.map(({ id }) => id);
  expect(ids).toEqual(declaredPythonFields("fp8").map(({ id }) => id));
  return new Map(result.fields.map(({ id, value }) => [id.replace("python.fp8.", ""), value]));
}

const answering = (stdout: string, exitCode = 0): Outside =>
  toldMachine({ commands: { "/opt/v/bin/python": { stdout, exitCode } } });

describe("the engine's Python", () => {
  it("tells the versions of what is installed in it, whatever the package is called", async () => {
    const values = await probed(answering(`a package prints this\n${JSON.stringify(answer)}\n`));
    const absent = { state: "not_applicable", reason: reasons.packageNotInstalled };
    expect(Object.fromEntries(values)).toEqual({
      interpreter: { state: "value", value: "/opt/v/bin/python" },
      version: { state: "value", value: "3.12.4" },
      torch: { state: "value", value: "2.9.0+cu128" },
      cuda: { state: "value", value: "12.8" },
      triton: { state: "value", value: "3.5.0" },
      flashinfer: { state: "value", value: "0.5.2" },
      flash_attn: absent,
      transformers: { state: "value", value: "4.57.1" },
      numpy: absent,
      vllm: { state: "value", value: "0.12.0.dev3+gabc" },
      vllm_source: { state: "value", value: "editable install, commit gabc1234" },
      sglang: absent,
      nccl: { state: "value", value: "2.27.5" },
    });
  });

  it("tells a ROCm and a CPU build of PyTorch apart", async () => {
    const cuda = async (torch: object): Promise<unknown> =>
      (await probed(answering(JSON.stringify({ ...answer, torch })))).get("cuda");
    const torch = { __version__: "2.9.0", cuda: null, hip: "6.4.1", git_version: null };
    expect(await cuda(torch)).toMatchObject({ value: "ROCm 6.4.1" });
    expect(await cuda({ ...torch, hip: null })).toMatchObject({ reason: reasons.torchWithoutCuda });
  });

  it.each([
    ["is gone", toldMachine(), reasons.noInterpreter],
    ["fails", answering("", 1), reasons.probeFailed],
    ["answers with something else", answering("hello"), reasons.probeFailed],
    [
      "hangs",
      toldMachine({
        commands: { "/opt/v/bin/python": { exitCode: undefined, failure: "timed out" } },
      }),
      reasons.timedOut,
    ],
  ])("that %s has every field with the reason", async (_, outside, reason) => {
    const values = [...(await probed(outside)).values()];
    expect(values.length).toBeGreaterThan(10);
    expect(values).toEqual(values.map(() => ({ state: "not_collected", reason })));
  });

  it("of a server elsewhere is what vLLM told of it", async () => {
    const config = {
      "system_env.torch_version": "2.13.0+cpu",
      "system_env.python_version": "3.11.7 (main, May  9 2026) [GCC 12.2.0] (64-bit runtime)",
    };
    // Only the configuration is looked at.
    const facts = { config } as unknown as NonNullable<EngineUnderTest["facts"]>;
    const values = await probed(toldMachine(), { kind: "external", interpreter: undefined, facts });
    expect(values.get("torch")).toEqual({ state: "value", value: "2.13.0+cpu" });
    expect(values.get("version")).toEqual({ state: "value", value: "3.11.7" });
    expect(values.get("nccl")).toMatchObject({ reason: reasons.pythonOutOfReach });
  });

  it("does not apply to the embedded engine, and is out of reach of none that was not started", async () => {
    const embedded = await probed(toldMachine(), { kind: "embedded", interpreter: undefined });
    expect(embedded.get("torch")).toMatchObject({ state: "not_applicable" });
    const notStarted = await probed(toldMachine(), { interpreter: undefined });
    expect(notStarted.get("torch")).toMatchObject({ reason: reasons.pythonNotAsked });
  });
});

describe("the program that asks it", () => {
  it("runs in a real Python, reads packages without importing them, and not those of the working folder", async ({
    skip,
  }) => {
    const ran = await real.exec(["python3", "--version"], { limitMs: 10_000 });
    skip(ran.exitCode !== 0, "no python3 here");
    const folder = await mkdtemp(join(tmpdir(), "benchbook-python-"));
    try {
      const put = async (path: string, text: string): Promise<void> => {
        await mkdir(join(folder, path, ".."), { recursive: true });
        await writeFile(join(folder, path), text);
      };
      const boom = "raise RuntimeError('imported')";
      await put("torch/__init__.py", boom);
      await put(
        "torch/version.py",
        "__version__ = '2.9.0+cu128'\ncuda: str = '12.8'\nhip = None\n",
      );
      await put(
        "torch-2.9.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\n",
      );
      await put("vllm/__init__.py", boom);
      await put("vllm/_version.py", "__commit_id__ = commit_id = 'gabc1234'\n");
      await put(
        "vllm-0.12.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: vLLM\nVersion: 0.12.0\n",
      );
      const values = await probed(real, {
        interpreter: ["env", `PYTHONPATH=${folder}`, "python3"],
      });
      expect(values.get("torch")).toMatchObject({ value: "2.9.0+cu128" });
      expect(values.get("cuda")).toMatchObject({ value: "12.8" });
      expect(values.get("vllm")).toMatchObject({ value: "0.12.0" });
      expect(values.get("vllm_source")).toMatchObject({ value: "release, commit gabc1234" });
      expect(values.get("version")).toMatchObject({
        value: expect.stringMatching(/^3\./) as unknown,
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
