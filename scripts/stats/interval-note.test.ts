import { describe, expect, it } from "vitest";
import { combineFacts, type EstimateFacts, intervalNote } from "./interval-note.ts";

const count = (value: number): EstimateFacts["units"] => ({ least: value, most: value });

const facts: EstimateFacts = {
  units: count(3),
  unit: "round",
  repeatsPerUnit: 1,
  requests: count(120),
  starts: count(3),
  engines: "fresh",
  freshPrompts: true,
};

describe("the note under a table", () => {
  it("says with one round that there is no interval", () => {
    const one = { ...facts, units: count(1), requests: count(40) };
    expect(intervalNote(one, "en")).toBe(
      "1 round, 40 requests. No confidence interval: spread between rounds was not measured.",
    );
    expect(intervalNote(one, "zh")).toBe("1 轮，40 个请求。没有置信区间：未测量轮次之间的离散。");
  });

  it("says over how many restarts, and how rare a mode may stay unseen", () => {
    // 100 (1 - 0.05^(1/3)) = 63.2
    expect(intervalNote(facts, "en")).toBe(
      "95 % CI of the mean over engine restarts, Student t over 3 rounds, fresh start per round, fresh prompts. A mode hit by fewer than 63 % of restarts could be unseen.",
    );
    expect(intervalNote(facts, "zh")).toBe(
      "多次引擎启动均值的 95% 置信区间：3 轮，Student t，每轮全新启动，每轮提示词不同。出现概率低于 63% 的启动状态可能未被观察到。",
    );
    // 100 (1 - 0.05^(1/60)) = 4.87
    expect(intervalNote({ ...facts, units: count(60) }, "en")).toContain(
      "fewer than 4.9 % of restarts",
    );
  });

  it("marks two rounds", () => {
    const two = { ...facts, units: count(2) };
    expect(intervalNote(two, "en")).toContain(
      "Only 2 rounds: with 1 degree of freedom the interval reaches 12.7 standard errors",
    );
    expect(intervalNote(two, "zh")).toContain("只有 2 轮：自由度为 1");
    expect(intervalNote(facts, "en")).not.toContain("Only 2");
  });

  it("says of one process that restarts were not measured", () => {
    const kept: EstimateFacts = {
      ...facts,
      starts: count(1),
      engines: "one",
      freshPrompts: false,
    };
    expect(intervalNote(kept, "en")).toBe(
      "95 % CI of the mean, Student t over 3 rounds, one server process (covers repeats, not restarts), one prompt set. A mode hit by fewer than 63 % of rounds could be unseen; how restarts differ was not measured.",
    );
    expect(intervalNote(kept, "zh")).toContain(
      "同一服务进程（覆盖重复，不覆盖重启），同一组提示词",
    );
    expect(intervalNote({ ...kept, unit: "repeat" }, "zh")).toContain("3 次重复");
  });

  it("says of a kept engine that was started again that restarts are covered in part at most", () => {
    const again: EstimateFacts = { ...facts, starts: count(2), engines: "several" };
    expect(intervalNote(again, "en")).toBe(
      "95 % CI of the mean, Student t over 3 rounds, an engine kept between rounds and started or attached to 2 times (covers repeats, restarts in part at most), fresh prompts. A mode hit by fewer than 63 % of rounds could be unseen.",
    );
    expect(intervalNote(again, "zh")).toContain(
      "引擎跨轮保留，共启动或接入 2 次（覆盖重复，至多部分覆盖重启）",
    );
  });

  it("counts engine starts where a round had several", () => {
    const restarted: EstimateFacts = { ...facts, units: count(4), starts: count(4), unit: "start" };
    expect(intervalNote(restarted, "en")).toContain(
      "Student t over 4 engine starts, more than one start in some rounds, fresh prompts",
    );
    expect(intervalNote(restarted, "zh")).toContain("4 次启动，Student t，有的轮次启动过不止一次");
  });

  it("says what each value is the mean of", () => {
    expect(intervalNote({ ...facts, repeatsPerUnit: 4 }, "en")).toContain(
      "over 3 rounds (each the mean of 4 repeats)",
    );
    expect(intervalNote({ ...facts, repeatsPerUnit: 4 }, "zh")).toContain("每轮取 4 次重复的均值");
  });

  it("says of rounds on demand what was declared, how they ended, and how the interval allows for it", () => {
    const onDemand = {
      target: 0.02,
      min: 4,
      max: 12,
      ends: [
        {
          variant: undefined,
          round: 6,
          outcome: "reached" as const,
          widest: { point: "fp32/c4", metric: "ttft.p90" as const, share: 0.01834 },
        },
      ],
    };
    const six = { ...facts, units: count(6), onDemand };
    expect(intervalNote(six, "en")).toContain(
      " Rounds on demand, declared before the start: 4 to 12, until the half-width of every gating metric is at most 2 % of its mean; ended after round 6, target reached (widest: 1.8 % of fp32/c4 ttft.p90). The width decided the number of rounds, so the interval is computed with t(.9875) in place of t(.975) and given as 95 %.",
    );
    expect(intervalNote(six, "zh")).toContain(
      "轮次按需增加：测前声明 4 至 12 轮，所有判定指标的区间半宽都不超过均值的 2% 时停止；第 6 轮后达到目标，停止（最宽的是 fp32/c4 ttft.p90：1.8%）。轮数由区间宽度决定，所以区间按 t(.9875) 而非 t(.975) 计算，作为 95% 区间给出。",
    );
    const byVariant = (variant: string, round: number, outcome: "reached" | "max") => ({
      ...six,
      onDemand: { ...onDemand, ends: [{ variant, round, outcome, widest: undefined }] },
    });
    const both = combineFacts([
      byVariant("fp32", 5, "reached"),
      byVariant("fp32", 5, "reached"),
      byVariant("q8", 12, "max"),
    ]);
    expect(both && intervalNote(both, "en")).toContain(
      "; fp32 ended after round 5, target reached; q8 ended after round 12, target not reached.",
    );
    expect(intervalNote({ ...six, onDemand: { ...onDemand, ends: [] } }, "en")).toContain(
      "; not ended, as the run is not finished.",
    );
    // t(.9875, 1) = 25.4517
    expect(intervalNote({ ...six, units: count(2) }, "en")).toContain("25.5 standard errors");
  });

  it("says that there is nothing to say where nothing completed", () => {
    expect(intervalNote({ ...facts, units: count(0), requests: count(0) }, "en")).toMatch(
      /^No request completed/,
    );
  });

  it("takes ranges and the weaker statement for a table of unequal points", () => {
    const all = combineFacts([
      facts,
      { ...facts, units: count(1), starts: count(1), engines: "one", requests: count(40) },
    ]);
    expect(all).toMatchObject({
      units: { least: 1, most: 3 },
      requests: { least: 40, most: 120 },
      engines: "one",
    });
    expect(all && intervalNote(all, "en")).toContain("over 1 to 3 rounds");
    expect(all && intervalNote(all, "zh")).toContain("只有 1 轮的测点没有置信区间");
    expect(combineFacts([])).toBeUndefined();
    expect(intervalNote({ ...facts, units: { least: 2, most: 3 } }, "zh")).toContain(
      "部分测点只有 2 轮",
    );
  });
});
