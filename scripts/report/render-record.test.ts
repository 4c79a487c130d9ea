import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";
import { renderRecord } from "./render-record.ts";

const data = buildRecordData(syntheticMaterial());
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchbook-record-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("renderRecord", () => {
  it("writes each language in each format, figures beside the Markdown, twice the same bytes", async () => {
    const render = async (name: string): Promise<ReadonlyMap<string, string>> => {
      const outDir = join(folder, name);
      const paths = await renderRecord(data, {
        languages: ["zh", "en"],
        formats: ["html", "md"],
        outDir,
      });
      expect(paths).toEqual(
        ["record.zh.html", "record.zh.md", "record.en.html", "record.en.md"].map((file) =>
          join(outDir, file),
        ),
      );
      const names = await readdir(outDir, { recursive: true });
      const files = names.filter((file) => /\.(?:html|md|svg)$/.test(file)).sort();
      return new Map(
        await Promise.all(
          files.map(async (file) => [file, await readFile(join(outDir, file), "utf8")] as const),
        ),
      );
    };
    const first = await render("first");
    expect([...first.keys()].filter((file) => file.startsWith("figures"))).toHaveLength(10);
    expect(first.get("record.zh.html")).toContain("@font-face");
    expect(first.get("record.zh.md")).toContain("](figures/round-strip.zh.svg)");
    const second = await render("second");
    for (const [file, text] of first) expect(second.get(file) === text, file).toBe(true);
  });

  it("gives each row of a table once in Markdown, also where a point has several", async () => {
    const outDir = join(folder, "rows");
    await renderRecord(data, { languages: ["en"], formats: ["md"], outDir });
    const lines = (await readFile(join(outDir, "record.en.md"), "utf8")).split("\n");
    const ratios = lines.filter((line) =>
      /mean TPOT .*(?:differs|inconclusive|equivalent)/i.test(line.replaceAll("|", "")),
    );
    expect(ratios.length).toBeGreaterThan(0);
    expect(ratios.filter((line) => !line.startsWith("|") && !/^[!F]/.test(line))).toEqual([]);
  });

  it("tells that pdf is not made, and makes the rest", async () => {
    const notices: string[] = [];
    const paths = await renderRecord(data, {
      languages: ["en"],
      formats: ["md", "pdf"],
      outDir: join(folder, "pdf"),
      notice: (text) => notices.push(text),
    });
    expect(paths).toEqual([join(folder, "pdf", "record.en.md")]);
    expect(notices).toHaveLength(1);
  });

  it("gives every choice of points a file of its own, whatever its place in the notebook", async () => {
    const notebookPath = join(folder, "figures.md");
    const all = "```chart\nround-strip\n```\n\n";
    const some = "```chart\nround-strip\nvariants: [q8]\n```\n\n";
    const figuresIn = async (text: string): Promise<readonly string[]> => {
      await writeFile(notebookPath, text);
      const outDir = await mkdtemp(join(folder, "figures-"));
      await renderRecord(data, { languages: ["en"], formats: ["md"], outDir, notebookPath });
      return (await readdir(join(outDir, "figures"))).sort();
    };
    const figures = await figuresIn(all + some);
    expect(figures).toEqual([
      expect.stringMatching(/^round-strip\.[0-9a-f]{8}\.en\.svg$/),
      "round-strip.en.svg",
    ]);
    expect(await figuresIn(some + some + all)).toEqual(figures);
  });

  it("writes nothing that holds a secret, and does not repeat it", async () => {
    // Split, so that no scanner takes it for a real one.
    const secret = ["sk", "a1B2c3D4e5F6g7H8i9J0"].join("-");
    const outDir = join(folder, "secret");
    const render = (source: string, secrets: readonly string[] = []): Promise<readonly string[]> =>
      renderRecord(
        { ...data, experimentSource: source },
        { languages: ["en"], formats: ["md"], outDir, secrets },
      );
    for (const refused of [
      render(`engine: { args: { api-key: ${secret} } }`),
      render(`note: ${secret.slice(3, 12)}`, [secret.slice(3, 12)]),
    ]) {
      const error = await refused.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(UserError);
      const text = error instanceof UserError ? JSON.stringify(error.parts) : "";
      expect(text).toContain("record.en.md:");
      expect(text).not.toContain(secret.slice(3, 8));
    }
    await expect(readdir(outDir)).rejects.toThrow("ENOENT");
  });

  it("takes digests, commits, paths and the settings of an engine for no secret", async () => {
    const lines = [
      `weights: sha256:${"0f3c9a".repeat(10)}beef`,
      "revision: 9f2d1c7be0a4653d8f7e6a5b4c3d2e1f0a9b8c7d",
      "image: vllm/vllm-openai@sha256:5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592",
      "max_num_batched_tokens = 8192",
      "tokenizer_mode = auto",
      "num_key_value_heads = 8",
      "kv_cache_dtype = fp8_e4m3",
      "VLLM_USE_V1=1 CUDA_VISIBLE_DEVICES=0,1 vllm serve Qwen/Qwen3-30B-A3B-Instruct-2507-FP8 --max-model-len 16384",
      "compilation_config = {'level': 3, 'cudagraph_capture_sizes': [512, 504, 496]}",
      "GPU-5f2b6a1e-0c1d-4f7e-9a3b-7c8d9e0f1a2b 00000000:65:00.0",
      "tokens_per_second: 1234.5",
    ];
    const ordinary = { ...data, experimentSource: lines.join("\n") };
    const paths = await renderRecord(ordinary, {
      languages: ["zh", "en"],
      formats: ["html", "md"],
      outDir: join(folder, "ordinary"),
    });
    expect(paths).toHaveLength(4);
  });

  it("says which notebook and which folder it cannot use", async () => {
    const options = { languages: ["en"], formats: ["md"], outDir: join(folder, "none") } as const;
    const missing = renderRecord(data, { ...options, notebookPath: join(folder, "no.md") });
    await expect(missing).rejects.toThrow("the notebook cannot be read");
    const notebookPath = join(folder, "one.md");
    await writeFile(notebookPath, "## One\n");
    const blocked = renderRecord(data, {
      ...options,
      notebookPath,
      outDir: join(notebookPath, "sub"),
    });
    await expect(blocked).rejects.toThrow(UserError);
  });
});
