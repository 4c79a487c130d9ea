import { describe, expect, it } from "vitest";
import type { Estimate } from "../stats/samples.ts";
import { formatNumber } from "../units.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";
import { type Phrase, partText } from "./record-parts.ts";

const material = syntheticMaterial();
const data = buildRecordData(material);

function textOf(phrase: Phrase): string {
  return phrase.map((part) => partText(part, "en")).join("");
}

describe("buildRecordData", () => {
  it("has a row for every point of the plan, with its verdict", () => {
    expect(data.points.map(({ name, mark }) => [name, mark])).toEqual([
      ["fp32/c1", "valid"],
      ["fp32/c4", "qualified"],
      ["fp32/c8", "valid"],
      ["q8/c1", "valid"],
      ["q8/c4", "valid"],
      ["q8/c8", "invalid"],
    ]);
  });

  it("prints every estimate with the decimals of its column", () => {
    for (const [key, { scale }] of Object.entries(data.metrics)) {
      const decimals = new Set(
        data.points.flatMap(({ numbers }) => {
          const text = numbers[key]?.text;
          return text === undefined ? [] : [text.split(".")[1]?.length ?? 0];
        }),
      );
      expect(decimals.size, key).toBeLessThanOrEqual(1);
      for (const point of material.measured) {
        const estimate: Estimate | undefined = point.estimates.get(key);
        const printed = data.points.find(({ name }) => name === point.point)?.numbers[key];
        const [places = 0] = decimals;
        expect(printed?.text).toBe(
          estimate?.value === undefined ? undefined : formatNumber(estimate.value * scale, places),
        );
      }
    }
  });

  it("gives each finding once, worst first, and its reasons to the point", () => {
    expect(data.findings.map(({ id, rule, mark }) => [id, rule, mark])).toEqual([
      ["f-1", "E3", "invalid"],
      ["f-2", "E18", "qualified"],
      ["f-3", "E23", undefined],
    ]);
    expect(
      data.points.find(({ name }) => name === "q8/c8")?.reasons.map(({ rule }) => rule),
    ).toEqual(["E3"]);
  });

  it("lists the seam, the failed attempt and the dead engine", () => {
    expect(data.deviations.map(({ id, kind }) => [id, kind])).toEqual([
      ["D-1", "seam"],
      ["D-2", "attempt"],
      ["D-3", "engine"],
    ]);
    expect(textOf(data.deviations[1]?.handling ?? [])).toContain("measured again and finished");
  });

  it("lists missing trials, drift that decides comparability, waivers and a dirty tool", () => {
    const dirty = buildRecordData({
      ...material,
      run: {
        ...material.run,
        plannedTrials: material.run.plannedTrials + 2,
        tool: { ...material.run.tool, dirty: true },
      },
      environment: {
        ...material.environment,
        differences: [
          {
            id: "gpu.0.driver",
            class: "comparability",
            before: { state: "value", value: "580" },
            after: { state: "value", value: "581" },
          },
        ],
      },
      audit: {
        ...material.audit,
        findings: material.audit.findings.map((finding) => ({
          ...finding,
          waived: { reason: "short by design", by: "lab" },
        })),
      },
    });
    expect(dirty.deviations.map(({ kind }) => kind)).toEqual([
      "missing",
      "seam",
      "attempt",
      "engine",
      "drift",
      "waiver",
      "tool",
    ]);
    expect(textOf(dirty.deviations[0]?.what ?? [])).toBe("20 trials planned, 18 finished");
  });

  it("prints one round without intervals and says so", () => {
    const one = buildRecordData(syntheticMaterial({ rounds: 1 }));
    const numbers = one.points.flatMap((point) => Object.values(point.numbers));
    expect(
      numbers.every(({ plusMinus, interval }) => plusMinus === undefined && interval === undefined),
    ).toBe(true);
    expect(one.intervalNote.en).toContain("No confidence interval");
    expect(one.flags["intervals"]).toBe(false);
  });

  it("keeps a point of which nothing was measured, without a verdict", () => {
    const partial = buildRecordData({ ...material, measured: material.measured.slice(1) });
    const [first] = partial.points;
    expect(first?.mark).toBe("not_checked");
    expect(first?.numbers["requests_measured"]?.text).toBeUndefined();
    expect(partial.charts.map(({ name }) => name)).not.toContain("fp32/c1");
  });

  it("counts every point once, by its mark", () => {
    // Of six points one is not measured, though the audit judged it, and one was judged by nobody.
    const partial = buildRecordData({
      ...material,
      measured: material.measured.slice(1),
      audit: {
        ...material.audit,
        points: material.audit.points.filter(({ point }) => point !== "fp32/c8"),
      },
    });
    expect(partial.points.find(({ name }) => name === "fp32/c8")?.mark).toBe("not_checked");
    expect(textOf(partial.facts["verdicts"] ?? [])).toBe(
      "of 6 points, 2 valid, 1 qualified, 1 invalid, 1 without a verdict, 1 not measured",
    );
  });

  it("marks every number that rests on tokens which the server did not count", () => {
    const foreign = buildRecordData({
      ...material,
      measured: material.measured.map((point) =>
        point.point === "fp32/c1"
          ? { ...point, tokenSources: { usage: 30, tokenizer: 6, none: 0 } }
          : point,
      ),
    });
    const remark =
      "6 of 36 requests had no usage: their tokens were counted by the local tokenizer";
    const remarksOf = (point: string, key: string): readonly string[] =>
      foreign.points
        .find(({ name }) => name === point)
        ?.numbers[key]?.remarks.map(({ en }) => en) ?? [];
    for (const key of ["output_tps", "tpot.mean", "tpot.p50", "decode_tps", "output_tokens.max"])
      expect(remarksOf("fp32/c1", key), key).toContain(remark);
    expect(remarksOf("fp32/c1", "ttft.mean")).toEqual([]);
    expect(remarksOf("fp32/c4", "output_tps")).toEqual([]);
    expect(textOf(foreign.facts["token_source"] ?? [])).toContain(
      "the local tokenizer for 6 requests",
    );
    expect(foreign.tokenNote?.en).toContain("local tokenizer");
    expect(textOf(data.facts["token_source"] ?? [])).toBe(
      "Token counts come from the server's usage.",
    );
    expect(data.tokenNote).toBeUndefined();
  });

  it("says of each start how it ended, also where nobody saw it end", () => {
    const [start] = material.run.starts;
    if (start === undefined) throw new Error("the fixture has no start");
    const ends = (["stopped", "detached", "running", "unknown"] as const).map((kind) => ({
      ...start,
      ended: { kind },
    }));
    const { starts, deviations } = buildRecordData({
      ...material,
      run: { ...material.run, starts: ends },
    });
    expect(starts.map(({ ended }) => textOf(ended))).toEqual([
      "stopped as planned",
      "only attached to, and left as it was",
      "still running when this record was made",
      "not known: benchbook was killed",
    ]);
    expect(deviations.map(({ kind }) => kind)).not.toContain("engine");
  });

  it("says of the warm-up what its window does with it, and one as one", () => {
    const texts = (window: "handover" | "fixed", warmupRequests: number): readonly string[] => {
      const { measure } = material.experiment;
      const [workload] = buildRecordData({
        ...material,
        experiment: {
          ...material.experiment,
          measure: { ...measure, window, rounds: { kind: "fixed", count: 1 } },
        },
        points: material.points.map((point) => ({
          ...point,
          warmupRequests,
          measured: { kind: "count", requests: 1 },
        })),
      }).workloads;
      return ["warmup", "measured", "rounds"].map((key) =>
        textOf(workload?.rows.find((row) => row.key === key)?.value ?? []),
      );
    };
    expect(texts("handover", 1)).toEqual([
      "1 request before each trial, not drained: the measured ones follow at once",
      "1 request a round at concurrency 1 / 4 / 8; then fillers keep the load on until the last measured request ends",
      "1 round, fixed before the start; one engine start per variant and round",
    ]);
    expect(texts("fixed", 16)[0]).toBe(
      "16 requests before each trial, and measuring begins when all of them have ended",
    );
    expect(texts("fixed", 0)[0]).toBe("none");
  });

  it("says where the first answers were cut, and nothing where they were whole", () => {
    const warmups = (isCut: (concurrency: number) => boolean): readonly string[] => {
      const [workload] = buildRecordData({
        ...material,
        points: material.points.map((point) =>
          point.load.kind === "concurrency" && isCut(point.load.concurrency)
            ? { ...point, warmupRequests: 16, firstWave: "cut" }
            : { ...point, warmupRequests: 16 },
        ),
      }).workloads;
      const row = workload?.rows.find(({ key }) => key === "warmup")?.value ?? [];
      return [textOf(row), row.map((part) => partText(part, "zh")).join("")];
    };
    expect(warmups((concurrency) => concurrency > 1)).toEqual([
      "16 requests before each trial, not drained: the measured ones follow at once; at concurrency 4 / 8 the first answer of each stream is cut to a random part, so that the streams are apart",
      "每个试次先发 16 个请求，不排空，直接进入测量；并发 4 / 8 各流的首个应答截为随机长度，使各流错开",
    ]);
    expect(warmups(() => true)[0]).toMatch(/at once; the first answer of each stream is cut/);
    expect(warmups(() => false)[0]).toMatch(/the measured ones follow at once$/);
  });

  it("names the load of an open loop by its rate", () => {
    const [point] = material.points;
    if (point === undefined) throw new Error("the fixture has no point");
    const open = buildRecordData({
      ...material,
      points: [
        { ...point, load: { kind: "rate", requestRatePerS: 2.5, arrivals: { kind: "poisson" } } },
        ...material.points.slice(1),
      ],
    });
    expect(open.points[0]?.shortLabel).toEqual({ zh: "速率 2.5/s", en: "rate 2.5/s" });
    expect(open.points[0]?.numbers["planned_rate"]?.text).toBe("2.50");
  });

  it("says of every open loop how its requests arrive", () => {
    const [point] = material.points;
    if (point === undefined) throw new Error("the fixture has no point");
    const loopOf = (...loads: readonly (typeof point.load)[]) => {
      const [workload] = buildRecordData({
        ...material,
        points: loads.map((load) => ({ ...point, load })),
      }).workloads;
      return ["load", "measured"].map((key) => {
        const value = workload?.rows.find((row) => row.key === key)?.value ?? [];
        return ["zh" as const, "en" as const].map((language) =>
          value.map((part) => ("text" in part ? part.text[language] : "")).join(""),
        );
      });
    };
    const arrivals = { kind: "gamma", shape: 0.5 } as const;
    const ramp = { name: "r", fromPerS: 1, toPerS: 20, durationMs: 120_000, arrivals };
    expect(
      loopOf(
        { kind: "concurrency", concurrency: 4 },
        { kind: "rate", requestRatePerS: 2.5, arrivals },
        { kind: "ramp", ...ramp },
      )[0],
    ).toEqual([
      "闭环，并发 4；一个请求结束，立即补发下一个。开环，请求速率 2.5/s；爬坡 1→20/s（2 min）；间隔服从 gamma 分布（形状 0.5，1 为泊松，越小越突发），不等应答",
      "closed loop, concurrency 4; the next request is sent as soon as one ends. Open loop, request rate 2.5/s; ramp 1→20/s (2 min); gamma-distributed gaps (shape 0.5; 1 is Poisson, less is burstier), whether or not earlier ones were answered",
    ]);
    const trace = { kind: "trace", name: "chat-x2", path: "data/chat.jsonl", speed: 2 } as const;
    expect(loopOf(trace)[0]).toEqual([
      "开环，轨迹 data/chat.jsonl ×2；按记录的时刻到达，不等应答",
      "open loop, trace data/chat.jsonl ×2; requests arrive as recorded, whether or not earlier ones were answered",
    ]);
  });

  it("makes one row of a field that all variants share, and several where they differ", () => {
    const model = data.environment.groups.find(({ group }) => group === "model")?.rows ?? [];
    expect(model.map(({ labels, instance }) => [labels.at(-1), instance])).toEqual([
      ["model.*.path", undefined],
      ["model.*.weights_digest", "fp32"],
      ["model.*.weights_digest", "q8"],
      ["model.*.revision", undefined],
    ]);
  });

  it("is the same for the same material", () => {
    expect(JSON.stringify(buildRecordData(syntheticMaterial()))).toBe(JSON.stringify(data));
  });
});
