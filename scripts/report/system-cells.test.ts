import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Language } from "../experiment/experiment.ts";
import type { DrawChart } from "./cell-context.ts";
import { readDictionary } from "./dictionary.ts";
import { nvlinkHardware, vgpuHardware } from "./fixtures/synthetic-gpus.ts";
import { hostile, syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { renderHtml } from "./html.ts";
import { renderMarkdown } from "./markdown.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import { buildRecordData } from "./record-data.ts";
import type { CacheMaterial, RecordMaterial } from "./record-material.ts";
import { type Phrase, partText } from "./record-parts.ts";
import { templatesFolder } from "./render-record.ts";

const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
const drawChart: DrawChart = ({ id }) =>
  Promise.resolve({ status: "drawn", svg: "<svg />", finding: id, note: "Note.", omitted: [] });

const plain = syntheticMaterial();
const vgpus = syntheticMaterial({ hardware: vgpuHardware });
const nvlink = syntheticMaterial({ hardware: nvlinkHardware });

/** A notebook of one cell, as Markdown. */
async function cellOf(
  material: RecordMaterial,
  cell: string,
  language: Language = "en",
): Promise<string> {
  const [kind = "", ...lines] = cell.split(" ");
  const notebook = readNotebook(`\`\`\`${kind}\n${lines.join(" ")}\n\`\`\`\n`, "cell.md");
  const data = buildRecordData(material);
  const document = await makeDocument(notebook, data, { language, dictionary, drawChart });
  const text = renderMarkdown(
    { ...document, cover: { ...document.cover, facts: [] } },
    {
      dictionary,
      figurePath: ({ name }) => name,
    },
  );
  return text.slice(text.indexOf("\n---\n") + 5).replaceAll("\u00a0", " ");
}

/** The rows of a Markdown table in which a text stands. */
function rowsWith(text: string, part: string): readonly string[] {
  return text.split("\n").filter((line) => line.startsWith("| ") && line.includes(part));
}

function withCache(parts: Partial<CacheMaterial>, cache?: "warm" | "shared"): RecordMaterial {
  return {
    ...nvlink,
    experiment: {
      ...nvlink.experiment,
      workloads: nvlink.experiment.workloads.map((workload) => ({
        ...workload,
        cache:
          cache === "shared"
            ? { kind: "shared", tokens: 100 }
            : { kind: cache ?? ("cold" as const) },
      })),
    },
    measured: nvlink.measured.map((point) => ({ ...point, cache: { ...point.cache, ...parts } })),
  };
}

function textOf(phrase: Phrase, language: Language = "en"): string {
  return phrase.map((part) => partText(part, language)).join("");
}

describe("what ran on what", () => {
  const rowOf = (material: RecordMaterial, key: string, language: Language = "en"): string =>
    textOf(
      buildRecordData(material).identity.find((row) => row.key === key)?.value ?? [],
      language,
    );
  const subtitleOf = (material: RecordMaterial): string =>
    textOf(buildRecordData(material).subtitle);

  it("is the CPU where there is no GPU", () => {
    expect(rowOf(plain, "hardware")).toBe("AMD EPYC 7B13, 2 logical CPUs, 15.6 GiB of memory");
    expect(subtitleOf(plain)).toMatch(/^AMD EPYC 7B13, benchbook-embedded 0\.1\.0\. /);
  });

  it("names GPUs with what they are cut into, and the engine with its version and image", () => {
    expect(rowOf(vgpus, "hardware")).toMatch(
      /^2 × NVIDIA RTX Pro 6000 Blackwell DC-4-96Q \(vGPU, 4 MIG slices, 96\.0 GiB of memory, driver 580\.95\.05\); AMD/,
    );
    expect(rowOf(vgpus, "engine")).toBe(
      "vLLM 0.12.0, container image vllm/vllm-openai:v0.12.0 @ sha256:4c4c4c4c4c4c…",
    );
    expect(subtitleOf(vgpus)).toContain("DC-4-96Q");
  });

  it("claims only the GPUs that the engines run on", () => {
    expect(rowOf(nvlink, "hardware", "zh")).toMatch(
      /^4 × NVIDIA H100 80GB HBM3（显存 79\.6 GiB，驱动 570\.172\.08，整机 8 块，用 GPU 0–3）；/,
    );
    const unknown = { ...nvlink, environment: { ...nvlink.environment, gpus: {} } };
    expect(rowOf(unknown, "hardware")).toMatch(
      /^7 × NVIDIA H100 80GB HBM3 \([^)]*\), 1 × NVIDIA H100 80GB HBM3 \(MIG 3g\.40gb × 2,/,
    );
  });

  it("claims no machine that is not the engine's", () => {
    const { before } = plain.environment;
    const [node] = before.fields.filter(({ id }) => id === "client.node");
    if (node === undefined) throw new Error("the fixture has a client");
    const relation = {
      ...node,
      id: "client.engine_relation",
      value: { state: "value" as const, value: "other host" },
    };
    const elsewhere = {
      ...plain,
      environment: {
        ...plain.environment,
        before: { ...before, fields: [...before.fields, relation] },
      },
    };
    expect(rowOf(elsewhere, "hardware")).toContain("not collected: the engine is on another host");
    expect(subtitleOf(elsewhere)).toMatch(/^benchbook-embedded 0\.1\.0\. /);
  });
});

describe("the fields of the system", () => {
  it("has one row for what eight GPUs share and tables for the rest", async () => {
    const text = await cellOf(nvlink, "env fields");
    expect(text).toContain("**GPU 0–7**");
    expect(rowsWith(text, "570.172.08")).toEqual([
      "| Driver | 570.172.08 | probe |",
      "| GSP firmware | 570.172.08 | probe |",
    ]);
    expect(rowsWith(text, "3b8e41a7")).toHaveLength(8);
    expect(text).toContain("| Power limit | 700 W | 650 W | 700 W | 700 W |");
    expect(text).toContain("| GPU 7 | 3g.40gb | 1 | 0 | 0:4 | 40,192 MiB | 60 | MIG-0c4a7d52");
    expect(text).toContain("GPU0  X     NV18");
    expect(text).toContain("NV18: 18 NVLinks");
    expect(text).not.toContain("{i}");
    const blank = text.split("\n").filter((line) => /^\| \S.*\| +\|/.test(line));
    expect(blank).toEqual([]);
  });

  it("says where a field was read that was not read here", async () => {
    expect(await cellOf(vgpus, "env fields", "zh")).toContain(
      "| 驱动 | 580.95.05 | 探测（gpu-node-7） |",
    );
  });

  it("shows what decides a measurement first, and per variant only what differs", async () => {
    const text = await cellOf(vgpus, "env fields");
    const engine = text.slice(text.indexOf("**Engine**"), text.indexOf("**Python stack**"));
    const labels = engine.split("\n").map((line) => line.split(" | ")[0]?.slice(2));
    const at = (label: string): number => labels.indexOf(label);
    expect(at("Engine version")).toBeLessThan(at("Attention backend"));
    expect(at("Attention backend")).toBeLessThan(at("Container image"));
    expect(at("Container image")).toBeLessThan(at("Command line"));
    expect(at("Quantization · q8")).toBe(at("Quantization · fp32") + 1);
    expect(labels).toContain("KV cache data type");
  });

  it("keeps rows as they were where there is no GPU", async () => {
    const text = await cellOf(plain, "env fields");
    expect(text).toContain("**GPU**");
    expect(text).toContain("not applicable: no GPU found");
    expect(text).not.toContain("Each GPU");
  });
});

describe("changes during the run", () => {
  it("are named with both values and when, one row for GPUs that changed alike", async () => {
    const text = await cellOf(nvlink, "env drift");
    expect(text).toContain(
      "| MIG · GPU 0–3 | Disabled | Enabled | after fp32/c8 of round 1, before q8/c1 of round 2 | comparability |",
    );
    expect(text).toContain("| within the run | context |");
    expect(text).not.toContain("<script>");
    expect(await cellOf(plain, "env drift", "zh")).toContain("运行期间没有变化");
  });

  it("are a deviation where they decide comparability", () => {
    const drift = buildRecordData(nvlink).deviations.find(({ kind }) => kind === "drift");
    expect(textOf(drift?.what ?? [])).toContain("gpu.0.mig.current, gpu.1.mig.current");
    expect(textOf(drift?.what ?? [])).not.toContain("hostname");
  });
});

describe("the proof of the cache", () => {
  it("holds declared, expected and counted side by side, with the sums behind the rate", async () => {
    const text = await cellOf(nvlink, "table cache");
    // 18 requests of 128 tokens a round, no filler at concurrency 1 but one; three rounds.
    expect(rowsWith(text, "fp32, concurrency 1")[0]).toBe(
      "| fp32, concurrency 1 | cold | 0 %: no two prompts are alike | 0.00 | 0 / 5,760 | not collected | – | emptied |",
    );
    expect(text).toContain("Usage not collected: it holds no cached\\_tokens.");
    expect(rowsWith(text, "fp32, concurrency 1")[1]).toBe(
      "| fp32, concurrency 1 | 5,376 – 5,760 | 5,760 | 0 | 1,344 – 1,440 | 1,440 | 0 |",
    );
  });

  it("gives the arithmetic of blocks for a shared prefix", async () => {
    // floor(100 / 16) x 16 / 128 = 96 / 128.
    const text = await cellOf(withCache({}, "shared"), "table cache");
    expect(text).toContain("| 100 tokens shared | 75.00 %: ⌊100 / 16⌋ × 16 / 128 |");
    const blind = await cellOf(withCache({ blockSize: undefined }, "shared"), "table cache", "zh");
    expect(blind).toContain("未知：引擎未给出块大小");
    const off = await cellOf(withCache({ prefixCaching: false }, "shared"), "table cache");
    expect(off).toContain("0 %: the engine keeps no prefix cache");
  });

  it("lets nobody overlook a warm cache", async () => {
    const text = await cellOf(withCache({}, "warm"), "table cache");
    // floor(127 / 16) x 16 / 128 = 112 / 128.
    expect(text).toContain("| ◐ warm | 87.50 %: ⌊(128 − 1) / 16⌋ × 16 / 128 |");
  });

  it("says why there are no counters, and of which points", async () => {
    const text = await cellOf(plain, "table cache", "zh");
    expect(text).toContain("引擎计数未采集：引擎没有前缀缓存计数");
    expect(text).toContain("引擎的 token 计数未采集：引擎没有 token 计数。");
    const refused = withCache({
      counters: { kind: "unread" },
      unwatched: "HTTP 404 from /metrics",
      promptTokens: { kind: "unknown", why: "no_counter" },
    });
    const some = {
      ...refused,
      measured: refused.measured.map((point, at) =>
        at === 0 ? point : { ...point, cache: nvlink.measured[at]?.cache ?? point.cache },
      ),
    };
    const said = await cellOf(some, "table cache", "zh");
    expect(said).toContain("引擎计数未采集：/metrics 返回 HTTP 404（fp32 并发 1）。");
    expect(said).toContain("输入 token 未采集：/metrics 返回 HTTP 404（fp32 并发 1）。");
  });

  it("says what became of the requests to empty the cache, and how far counts are off", async () => {
    const text = await cellOf(
      withCache({
        resets: { done: 2, not_offered: 0, failed: 1, not_asked: 0 },
        promptTokens: {
          kind: "compared",
          client: { low: 1000, high: 1000 },
          server: 1020,
          off: 20,
          trials: 3,
        },
        outputTokens: {
          kind: "compared",
          client: { low: 500_000, high: 500_000 },
          server: 499_999,
          off: -1,
          trials: 3,
        },
      }),
      "table cache",
    );
    expect(text).toContain("| emptied 2/3, failed 1/3 |");
    expect(text).toContain("| 1,000 | 1,020 | +20 (2.00 %) | 500,000 | 499,999 | −1 (\\<0.01 %) |");
    expect(text).not.toContain("a range");
  });
});

describe("GPU telemetry", () => {
  it("has the numbers of each point and what held the GPUs back", async () => {
    const text = await cellOf(nvlink, "table gpu");
    const [row = ""] = rowsWith(text, "fp32, concurrency 8");
    // 4 GPUs of 540 + 12 g W and some; 61 °C is GPU 3's; 72,313 MiB; GPU 3 is capped 40 % of its time.
    expect(row).toMatch(
      /^\| fp32, concurrency 8 \| GPU 0–3 \| 2,2\d\d \| 1,755 – 1,980 \| 61 \| 98 \| 70\.6 \| 0 \| 0 \| [\d.]+ s \(1\d\.\d %\) \|/,
    );
    expect(text).toContain("| Throughput per GPU (token/s) | Energy per token (J/token) |");
    expect(text).not.toContain("not offered");
  });

  it("shows what a vGPU does not tell as such", async () => {
    const text = await cellOf(vgpus, "table gpu", "zh");
    expect(rowsWith(text, "fp32 并发 1")[0]).toMatch(
      /\| GPU 0 \| – \| 2,280 \| – \| 97 \| 86\.2 \| – \| – \| – \|/,
    );
    expect(text).toContain("“–”：GPU 或驱动不提供");
  });

  it("says where readings are of more than the engine's own", async () => {
    const wider = {
      ...nvlink,
      measured: nvlink.measured.map((point) =>
        point.gpus.kind === "read"
          ? { ...point, gpus: { ...point.gpus, isKnown: false, isSliced: true } }
          : point,
      ),
    };
    const text = await cellOf(wider, "table gpu");
    expect(text).toContain("readings are of whole GPUs");
    expect(text).toContain("Which GPUs the engine runs on is not certain");
    expect(await cellOf(nvlink, "table gpu")).not.toContain("not certain");
  });

  it("is one sentence without GPUs, and names the reason where they were not read", async () => {
    expect(await cellOf(plain, "table gpu", "zh")).toContain("没有 GPU，因此没有 GPU 遥测。");
    const unread = {
      ...nvlink,
      measured: nvlink.measured.map((point) => ({
        ...point,
        gpus: { kind: "unread" as const, why: { zh: "no GPU found", en: "no GPU found" } },
      })),
    };
    const text = await cellOf(unread, "table gpu", "zh");
    expect(text).toContain("GPU 遥测未采集：未发现 GPU。");
    expect(text).not.toContain("|");
  });
});

describe("engine starts", () => {
  it("tell of the KV cache where it differs, and of the rounds where an engine was kept", async () => {
    const [first, ...rest] = nvlink.run.starts;
    if (first === undefined) throw new Error("the fixture has starts");
    const kept: RecordMaterial = {
      ...nvlink,
      experiment: { ...nvlink.experiment, measure: { ...nvlink.experiment.measure, keep: true } },
      run: {
        ...nvlink.run,
        starts: [
          {
            ...first,
            facts: {
              ...first.facts,
              settings: { ...first.facts.settings, kvCacheTokens: 610_000 },
            },
          },
          ...rest,
        ],
        trials: nvlink.run.trials.map((trial) => ({ ...trial, start: 1 })),
      },
    };
    const text = await cellOf(kept, "table starts");
    expect(text).toContain("how restarts differ was not measured");
    expect(text).toContain("KV cache, tokens | Rounds served |");
    expect(rowsWith(text, "610,000")[0]).toBe(
      "| 1 | fp32 | 1 | 0.9 | 610,000 | 1–3 | stopped as planned |",
    );
    expect(await cellOf(nvlink, "table starts")).not.toContain("KV cache");
  });
});

describe("the default notebook", () => {
  it("shows all of it, in both languages, with nothing that data could act with", async () => {
    const { readFile } = await import("node:fs/promises");
    const source = await readFile(join(templatesFolder, "test-record.md"), "utf8");
    const notebook = readNotebook(source, "test-record.md");
    for (const material of [plain, vgpus, nvlink]) {
      for (const language of ["zh", "en"] as const) {
        const document = await makeDocument(notebook, buildRecordData(material), {
          language,
          dictionary,
          drawChart,
        });
        const page = await renderHtml(document, {
          templates: templatesFolder,
          dictionary,
          embedFonts: () => Promise.resolve({ css: "" }),
          other: undefined,
        });
        expect(page).not.toContain("<script>alert");
        expect(page).not.toContain(hostile);
        expect(page).toContain(language === "zh" ? "运行中的变化" : "Changes during the run");
        expect(page.includes(language === "zh" ? ">GPU 遥测<" : ">GPU telemetry<")).toBe(
          material !== plain,
        );
      }
    }
  });
});
