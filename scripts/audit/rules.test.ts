import { describe, expect, it } from "vitest";
import type { Calibration } from "../bench/calibration.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import type { FieldValue } from "../environment/snapshot.ts";
import type { Load, Variant } from "../experiment/experiment.ts";
import { reading, stream } from "../stats/fixtures/trials.ts";
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import { findingsOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import {
  afterAt,
  around,
  attempt,
  beforeAt,
  config,
  experiment,
  healthy,
  onMachine,
  pointName,
  samplesOf,
  settings,
  snapshot,
  spoiled,
  start,
  startSaying,
  stored,
  withSamples,
} from "./fixtures/run.ts";
import type { AuditInput } from "./rule.ts";

const variant = experiment.variants[0];
if (variant === undefined) throw new Error("the experiment has a variant");

const withVariant = (changes: Partial<Variant>, input = healthy): AuditInput => ({
  ...input,
  experiment: { ...input.experiment, variants: [{ ...variant, ...changes }] },
});

const attached: Variant["engine"] = {
  kind: "external",
  name: "server",
  url: "http://server:8000",
  headers: {},
};

const saying = (facts: Parameters<typeof startSaying>[1], input = healthy): AuditInput => ({
  ...input,
  starts: [1, 2, 3].map((round) => startSaying(round, facts)),
});

const trialsWith = (change: (samples: TrialSamples) => TrialSamples): AuditInput =>
  withSamples([1, 2, 3].map((round) => change(samplesOf(round))));

const notCollected: FieldValue = { state: "not_collected", reason: "not asked" };

describe("E2, achieved load", () => {
  /** Every second request of the load is taken away: about half of the slots stand idle. */
  const half = trialsWith((samples) => ({
    ...samples,
    requests: samples.requests.filter(({ index }) => index % 2 === 0),
  }));

  it("blocks a point at ten streams that reaches half of them, with the numbers", () => {
    const [finding] = findingsOf("E2", half);
    expect(finding).toMatchObject({
      severity: "block",
      where: pointName,
      evidence: { planned: 10 },
    });
    expect(Number(finding?.evidence["achieved"])).toBeLessThan(6);
    expect(finding?.seen.en).toMatch(
      /^achieved concurrency \d\.\d\d of 10 planned; client slots idle [45]\d\.\d % of the time$/,
    );
  });

  it("warns below ten streams", () => {
    const four = trialsWith((samples) => ({
      ...samples,
      plannedConcurrency: 9,
      requests: samples.requests.filter(({ index }) => index % 2 === 0),
    }));
    expect(findingsOf("E2", four)).toMatchObject([{ severity: "warn" }]);
  });

  it("warns when the engine sees fewer requests than the client has open", () => {
    const capped = trialsWith((samples) => ({
      ...samples,
      engine: samples.engine.map((one) => ({ ...one, running: 4 })),
    }));
    expect(findingsOf("E2", capped)).toMatchObject([
      { severity: "warn", evidence: { inEngine: 4 } },
    ]);
  });

  it("does not take a gauge that jumps for a cap before the engine", () => {
    // Ten readings of 12 and of 4 in turn: mean 8 of 10 open, sample sd 4 x sqrt(10 / 9) = 4.22, standard
    // error 4.22 / sqrt(10) = 1.33. 8 + 3 x 1.33 = 12 reaches 9, which is 90 % of 10. With 400 readings
    // the standard error is 0.2, and 8 + 0.6 does not.
    const jumping = (readings: number): AuditInput =>
      trialsWith((samples) => ({
        ...samples,
        engine: Array.from({ length: readings }, (_, index) =>
          reading(10_000 + (index * 50_000) / readings, {
            running: index % 2 === 0 ? 12 : 4,
            waiting: 0,
          }),
        ),
      }));
    expect(passes("E2", jumping(10))).toBe(true);
    expect(findingsOf("E2", jumping(400))).toMatchObject([
      { severity: "warn", evidence: { inEngine: 8, readings: 400 } },
    ]);
  });

  it("makes no mean of fewer than ten readings", () => {
    const few = trialsWith((samples) => ({
      ...samples,
      engine: samples.engine.slice(20, 29).map((one) => ({ ...one, running: 4 })),
    }));
    expect(passes("E2", few)).toBe(true);
  });

  it("passes a full load, and checks nothing where nothing was measured", () => {
    expect(passes("E2", healthy)).toBe(true);
    expect(whyNot("E2", withSamples([]))).toEqual(["no point was measured"]);
  });

  /** Two requests a second, measured from 50 to 150 s, answered after as long as is said. */
  const openLoop = (answerMs: (index: number) => number, fillers = true): AuditInput =>
    trialsWith((samples) => ({
      ...samples,
      plannedConcurrency: undefined,
      engine: [],
      requests: Array.from({ length: fillers ? 340 : 300 }, (_, index) =>
        stream(index * 500, {
          ttftMs: answerMs(index) / 2,
          gapMs: answerMs(index) / 8,
          phase: index < 100 ? "warmup" : index < 300 ? "measured" : "filler",
          index,
        }),
      ),
    }));
  const underLoad = (load: Load, input: AuditInput): AuditInput => ({
    ...input,
    plan: { ...input.plan, points: input.plan.points.map((point) => ({ ...point, load })) },
  });

  it("passes an open loop that is kept up with", () => {
    expect(
      passes(
        "E2",
        openLoop(() => 4000),
      ),
    ).toBe(true);
  });

  it("fails an open loop of which less than 95 % is answered, with the numbers", () => {
    // An answer takes 100 ms longer than the one before: ends are 600 ms apart, 1.67 of 2 a second.
    const [finding] = findingsOf(
      "E2",
      openLoop((index) => 4000 + 100 * index),
    );
    expect(finding).toMatchObject({ severity: "fail", where: pointName });
    expect(finding?.evidence["offered"]).toBeCloseTo(2, 9);
    // Ends at 4000 + 600 i after 50,000 and up to 150,000: i = 77..243, 167 in 100 s.
    expect(finding?.evidence["qps"]).toBeCloseTo(1.67, 9);
    expect(finding?.seen.en).toMatch(
      /^saturated: 2\.000\/s arrived and 1\.670\/s completed \(83\.5 %\); requests in flight grew by/,
    );
  });

  it("only warns where the shortfall may be chance, or answers just begin to pile up", () => {
    // 80 in flight; from the 181st on 6 s longer, so 12 of 200 are missing in each of three trials. Sure
    // would be more than 2 sqrt(3 x 2 x 80) = 44 in all.
    const chance = openLoop((index) => 40_000 + (index > 180 ? 6000 : 0));
    expect(findingsOf("E2", chance)).toMatchObject([{ severity: "warn" }]);
    // Answers take from 1.8 s to 4.6 s: 4 in flight, then 9, and 97.5 % are answered.
    const grows = openLoop((index) => 400 + 14 * index);
    expect(findingsOf("E2", grows)).toMatchObject([{ severity: "warn" }]);
  });

  it("does not judge a ramp, nor a window that holds the drain", () => {
    const arrivals = { kind: "poisson" } as const;
    const ramp = { name: "r", fromPerS: 1, toPerS: 2, durationMs: 1000, arrivals };
    expect(
      whyNot(
        "E2",
        underLoad(
          { kind: "ramp", ...ramp },
          openLoop(() => 9000),
        ),
      ),
    ).toEqual(["a ramp has no steady state"]);
    const trace = { kind: "trace", name: "t", path: "t.jsonl", speed: 1 } as const;
    expect(
      whyNot(
        "E2",
        underLoad(
          trace,
          openLoop(() => 9000, false),
        ),
      ),
    ).toEqual(["the window holds the drain, so all that arrived was answered in it"]);
  });
});

describe("E4, nothing changed", () => {
  it("blocks a comparability field that changed during the run", () => {
    expect(findingsOf("E4", onMachine({}, { "host.cpu.model": "Other CPU" }))).toMatchObject([
      {
        severity: "block",
        where: "environment",
        seen: { en: "changed during the run: host.cpu.model Some CPU → Other CPU" },
      },
    ]);
  });

  it("shortens digests to what tells them apart", () => {
    const digests = onMachine(
      { "model.fp32.weights_digest": `sha256:${"a".repeat(64)}` },
      { "model.fp32.weights_digest": `sha256:${"b".repeat(64)}` },
    );
    expect(findingsOf("E4", digests)[0]?.seen.en).toContain(
      "sha256:aaaaaaaaaaaa… → sha256:bbbbbbbbbbbb…",
    );
  });

  /** Two stretches, each with its snapshots before and after. */
  const resumed = (
    first: Parameters<typeof snapshot>[1],
    second: Parameters<typeof snapshot>[1],
  ): AuditInput => ({
    ...healthy,
    legs: [1, 2].map((leg) => ({ leg, startedAt: beforeAt, end: undefined })),
    snapshots: [
      stored("run-before", snapshot(beforeAt, first)),
      stored("run-after", snapshot(afterAt, first)),
      stored("run-before", snapshot(beforeAt, second), { leg: 2 }),
      stored("run-after", snapshot(afterAt, second), { leg: 2 }),
    ],
  });

  it("blocks a run that was resumed in another environment, naming the stretches", () => {
    expect(findingsOf("E4", resumed({}, { "host.cpu.model": "Other CPU" }))).toMatchObject([
      {
        severity: "block",
        where: "environment",
        seen: { en: "changed between stretches 1 and 2: host.cpu.model Some CPU → Other CPU" },
        evidence: { fromLeg: 1, toLeg: 2, fields: "host.cpu.model" },
      },
    ]);
    expect(passes("E4", resumed({}, {}))).toBe(true);
  });

  it("blocks a stretch in which something changed and changed back", () => {
    const model = (value: string) => ({ "host.cpu.model": value });
    const there = resumed(model("A"), model("A"));
    const [first, , ...rest] = there.snapshots;
    if (first === undefined) throw new Error("there is a snapshot");
    const changed = stored("run-after", snapshot(afterAt, model("B")));
    expect(
      findingsOf("E4", { ...there, snapshots: [first, changed, ...rest] }).map(
        ({ seen }) => seen.en,
      ),
    ).toEqual([
      "changed during stretch 1: host.cpu.model A → B",
      "changed between stretches 1 and 2: host.cpu.model B → A",
    ]);
  });

  it("sees what light snapshots around trials hold, and a device that went away", () => {
    const light = (count: FieldValue | number) => ({
      ...snapshot(beforeAt, { "gpu.count": count }),
      light: true,
    });
    const { snapshots } = onMachine({ "gpu.count": 2 });
    const [first, last] = snapshots;
    if (first === undefined || last === undefined) throw new Error("there are two snapshots");
    const around_ = (count: FieldValue | number): AuditInput => ({
      ...healthy,
      snapshots: [first, stored("trial-before", light(count), { trial: "t1" }), last],
    });
    expect(passes("E4", around_(2))).toBe(true);
    // A reading that failed is no change.
    expect(passes("E4", around_(notCollected))).toBe(true);
    expect(findingsOf("E4", around_({ state: "not_applicable" }))[0]?.seen.en).toBe(
      "changed during the run: gpu.count 2 → not_applicable (before fp32/c10 of round 1); gpu.count not_applicable → 2 (after fp32/c10 of round 1 began)",
    );
  });

  it("blocks a GPU whose MIG mode was switched between rounds, naming the trials", () => {
    const mode = (value: string) => {
      const { fields, ...rest } = snapshot(beforeAt, { "gpu.0.mig.current": value });
      const compared = fields.map((field) =>
        field.id === "gpu.0.mig.current" ? { ...field, class: "comparability" as const } : field,
      );
      return { ...rest, fields: compared };
    };
    const [first, last] = healthy.snapshots;
    if (first === undefined || last === undefined) throw new Error("there are two snapshots");
    const switched: AuditInput = {
      ...healthy,
      snapshots: [
        { ...first, snapshot: mode("Disabled") },
        stored("trial-after", mode("Disabled"), { trial: "t1", start: 1 }),
        stored("trial-before", mode("Enabled"), { trial: "t2", start: 2 }),
        { ...last, snapshot: mode("Enabled") },
      ],
    };
    expect(findingsOf("E4", switched)).toMatchObject([
      {
        severity: "block",
        where: "environment",
        seen: {
          zh: "运行期间变化：gpu.0.mig.current Disabled → Enabled（第 1 轮 fp32/c10 后、第 2 轮 fp32/c10 前）",
          en: "changed during the run: gpu.0.mig.current Disabled → Enabled (after fp32/c10 of round 1, before fp32/c10 of round 2)",
        },
      },
    ]);
  });

  it("compares the whole run where a stretch was killed, once the next began", () => {
    const whole = resumed({}, { "host.cpu.model": "Other CPU" });
    const killed = {
      ...whole,
      snapshots: whole.snapshots.filter(({ scope, leg }) => scope === "run-before" || leg === 2),
    };
    expect(findingsOf("E4", killed)).toHaveLength(1);
    expect(whyNot("E4", killed)).toEqual([]);
    const open = { ...whole, snapshots: whole.snapshots.slice(0, 3) };
    expect(findingsOf("E4", open)).toHaveLength(1);
    expect(whyNot("E4", open)).toEqual(["the snapshot before or after the run is missing"]);
  });

  it("fails stretches that other versions of benchbook measured", () => {
    const version = (text: string, commit: FieldValue | string) => ({
      "client.benchbook.version": text,
      "client.benchbook.commit": commit,
    });
    expect(
      findingsOf("E4", resumed(version("0.1.0", "aaa"), version("0.2.0", "bbb"))),
    ).toMatchObject([
      {
        severity: "fail",
        where: "environment",
        seen: {
          en: "benchbook changed between stretches 1 and 2: client.benchbook.version 0.1.0 → 0.2.0; client.benchbook.commit aaa → bbb",
        },
      },
    ]);
    expect(passes("E4", resumed(version("0.1.0", "aaa"), version("0.1.0", notCollected)))).toBe(
      true,
    );
  });

  it("blocks starts with other environment variables", () => {
    const differing = {
      ...healthy,
      starts: [start(1), startSaying(2, { env: { OMP_NUM_THREADS: "8" } })],
    };
    expect(findingsOf("E4", differing)).toMatchObject([
      { severity: "block", where: "fp32", evidence: { settings: "env.OMP_NUM_THREADS" } },
    ]);
  });

  it("blocks starts that differ, naming the setting", () => {
    const differing = {
      ...healthy,
      starts: [
        start(1),
        startSaying(2, { configDigest: "d2", config: { ...config, max_num_seqs: 8 } }),
      ],
    };
    expect(findingsOf("E4", differing)).toMatchObject([
      { severity: "block", where: "fp32", evidence: { settings: "max_num_seqs" } },
    ]);
  });

  it("blocks starts that chose another attention backend or run another image", () => {
    const differing = (facts: Parameters<typeof startSaying>[1]): AuditInput => ({
      ...healthy,
      starts: [start(1), startSaying(2, facts)],
    });
    expect(
      findingsOf("E4", differing({ settings: { ...settings, attentionBackend: "FLASHINFER" } })),
    ).toMatchObject([{ severity: "block", evidence: { settings: "attentionBackend" } }]);
    const container = { runtime: "docker", name: "bb", image: "vllm:latest", digest: "sha256:bb" };
    expect(findingsOf("E4", differing({ container }))).toMatchObject([{ severity: "block" }]);
  });

  it("passes starts whose caches hold a few tokens more or less, and that listen elsewhere", () => {
    const measuredAnew: AuditInput = {
      ...healthy,
      starts: [1, 2, 3].map((round) =>
        startSaying(round, {
          settings: { ...settings, kvCacheTokens: 100_000 + round },
          config: { ...config, port: 8000 + round },
        }),
      ),
    };
    expect(passes("E4", measuredAnew)).toBe(true);
  });

  it("blocks variants of one engine with different versions", () => {
    const other = { ...variant, name: "q8" };
    const [point] = healthy.plan.points;
    if (point === undefined) throw new Error("the plan has a point");
    const mixed: AuditInput = {
      ...healthy,
      plan: { ...healthy.plan, points: [point, { ...point, name: "q8/c10", variant: "q8" }] },
      experiment: { ...experiment, variants: [variant, other] },
      starts: [start(1), { ...startSaying(2, { version: "0.2.0" }), variant: "q8" }],
    };
    expect(findingsOf("E4", mixed)).toMatchObject([
      { severity: "block", where: "run", evidence: { versions: "0.1.0 0.2.0" } },
    ]);
  });

  it("passes the same, and is not checked without a second snapshot, a start or a disclosed configuration", () => {
    expect(passes("E4", healthy)).toBe(true);
    expect(whyNot("E4", { ...healthy, ...around(snapshot(beforeAt), undefined) })[0]).toContain(
      "snapshot before or after",
    );
    expect(whyNot("E4", { ...healthy, starts: [] })).toEqual(["its engine was not started"]);
    expect(whyNot("E4", saying({ configDigest: undefined }))).toEqual([
      "the engine does not disclose its configuration",
    ]);
  });
});

describe("E5 and E6, disclosure", () => {
  const nameless = onMachine({
    "model.fp32.revision": notCollected,
    "model.fp32.weights_digest": notCollected,
    "model.fp32.quantization": undefined,
  });

  it("E5 blocks for an engine that we started and fails for one that we attached to", () => {
    const missing = "revision weights_digest quantization kv_cache_dtype";
    const silent = saying({ config: undefined, settings: undisclosedSettings }, nameless);
    expect(findingsOf("E5", silent)).toMatchObject([
      { severity: "block", where: "fp32", evidence: { missing } },
    ]);
    expect(findingsOf("E5", withVariant({ engine: attached }, silent))).toMatchObject([
      { severity: "fail", evidence: { missing } },
    ]);
  });

  it("E5 lets a weights digest stand for a revision, and passes what does not apply", () => {
    expect(passes("E5", onMachine({ "model.fp32.revision": notCollected }))).toBe(true);
    expect(passes("E5", healthy)).toBe(true);
  });

  it("E5 takes the engine's word for the quantization, also that there is none", () => {
    const unread = onMachine({ "model.fp32.quantization": notCollected });
    expect(findingsOf("E5", unread)).toMatchObject([{ evidence: { missing: "quantization" } }]);
    for (const quantization of ["fp8", "none"]) {
      expect(passes("E5", saying({ settings: { ...settings, quantization } }, unread))).toBe(true);
    }
  });

  it("E5 asks for the KV cache dtype of the engine", () => {
    const unsaid = saying({ settings: { ...settings, kvCacheDtype: undefined } });
    expect(findingsOf("E5", unsaid)).toMatchObject([{ evidence: { missing: "kv_cache_dtype" } }]);
  });

  it("E6 blocks or fails a configuration that is not disclosed, and is not checked without a start", () => {
    const silent = saying({ config: undefined, configDigest: undefined });
    expect(findingsOf("E6", silent)).toMatchObject([{ severity: "block", where: "fp32" }]);
    const [asked] = findingsOf("E6", withVariant({ engine: attached }, silent));
    expect(asked?.severity).toBe("fail");
    expect(asked?.mend.en).toContain("waive E6");
    expect(passes("E6", healthy)).toBe(true);
    const never = start(1, { ready: undefined, end: { at: afterAt, reason: "never_ready" } });
    expect(whyNot("E6", { ...healthy, starts: [never] })).toEqual([
      "its engine never became ready",
    ]);
  });
});

describe("E15, failures", () => {
  const failing = (share: number): AuditInput =>
    spoiled((request) =>
      request.phase === "measured" && request.index % 140 < share * 140
        ? { ...request, status: "timedOut" }
        : request,
    );

  it("fails above one percent and warns below", () => {
    expect(findingsOf("E15", failing(0.1))).toMatchObject([
      { severity: "fail", evidence: { failures: 42, timedOut: 42, measured: 420 } },
    ]);
    expect(findingsOf("E15", failing(0.005))).toMatchObject([
      { severity: "warn", evidence: { failures: 3 } },
    ]);
  });

  it("fails an output length off the plan, and does not know it without counts", () => {
    const short = spoiled((request) => ({ ...request, plannedOutputTokens: 6 }));
    expect(findingsOf("E15", short)).toMatchObject([
      { severity: "fail", evidence: { actual: 5, planned: 6 } },
    ]);
    expect(
      whyNot(
        "E15",
        spoiled((request) => ({ ...request, outputTokens: undefined })),
      ),
    ).toEqual(["actual output lengths are not known"]);
  });

  it("lists a failed attempt with its reason", () => {
    const again = {
      ...healthy,
      attempts: [
        ...healthy.attempts,
        attempt(2, { status: "failed", reason: "too many failures" }),
      ],
    };
    expect(findingsOf("E15", again)).toMatchObject([
      {
        severity: "warn",
        where: pointName,
        seen: { en: "attempt 1 of round 2 failed: too many failures" },
      },
    ]);
    expect(passes("E15", healthy)).toBe(true);
  });
});

describe("E18, host limits", () => {
  it("fails throttling and steal above one percent of the run", () => {
    // 10 minutes: 12 s of throttling are 2 %. 9,600 of 480,000 ticks are 2 %.
    expect(
      findingsOf("E18", onMachine({}, { "host.cgroup.throttled_us": 12_000_000 })),
    ).toMatchObject([{ severity: "fail", evidence: { share: 0.02 } }]);
    expect(findingsOf("E18", onMachine({}, { "host.cpu.steal_ticks": 9600 }))).toMatchObject([
      { severity: "fail", evidence: { stealShare: 0.02 } },
    ]);
    expect(passes("E18", onMachine({}, { "host.cgroup.throttled_us": 600_000 }))).toBe(true);
  });

  /** Two stretches of one trial each, ten hours apart; the trials take 100 s. */
  const paused = (
    throttledUs: readonly [number, number, number, number],
    stealTicks: readonly [number, number, number, number] = [0, 0, 0, 0],
  ): AuditInput => {
    const times = ["10:00:00", "10:01:40", "20:00:00", "20:01:40"] as const;
    const [before1, after1, before2, after2] = times.map((time, i) =>
      snapshot(`2026-03-01T${time}.000+08:00`, {
        "host.cgroup.throttled_us": throttledUs[i],
        "host.cpu.steal_ticks": stealTicks[i],
        // Eight CPUs of 100 Hz.
        "host.cpu.total_ticks": [0, 80_000, 28_800_000, 28_880_000][i],
      }),
    );
    if (!before1 || !after1 || !before2 || !after2) throw new Error("there are four snapshots");
    return {
      ...healthy,
      attempts: [attempt(1), attempt(2, { leg: 2 })],
      snapshots: [
        stored("run-before", before1),
        stored("trial-before", before1, { trial: "t1" }),
        stored("trial-after", after1, { trial: "t1", attempt: 1 }),
        stored("run-before", before2, { leg: 2 }),
        stored("trial-before", before2, { leg: 2, trial: "t2" }),
        stored("trial-after", after2, { leg: 2, trial: "t2", attempt: 1 }),
        stored("run-after", after2, { leg: 2 }),
      ],
    };
  };

  it("takes throttling and steal over trials, and not over the pause between stretches", () => {
    // An hour of throttling and a tenth of all ticks, all of it in the pause.
    const hour = 3_600_000_000;
    expect(passes("E18", paused([0, 0, hour, hour], [0, 0, 2_880_000, 2_880_000]))).toBe(true);
    // 4 s of 2 x 100 s: 2 %. 3,200 of 2 x 80,000 ticks: 2 %.
    expect(findingsOf("E18", paused([0, 1e6, 1e6, 4e6]))).toMatchObject([
      {
        severity: "fail",
        where: pointName,
        seen: { en: "throttled by the cgroup for 4 s, 2.0 % of the time of its trials" },
        evidence: { throttledUs: 4e6, share: 0.02 },
      },
    ]);
    expect(findingsOf("E18", paused([0, 0, 0, 0], [0, 0, 0, 3200]))).toMatchObject([
      { where: pointName, evidence: { stealShare: 0.02 } },
    ]);
  });

  it("does not look at trials that were not measured", () => {
    const failed = {
      ...paused([0, 4e6, 4e6, 4e6]),
      attempts: [attempt(1, { status: "failed" as const }), attempt(2, { leg: 2 })],
    };
    expect(passes("E18", failed)).toBe(true);
  });

  it("passes without a control group, and is not checked without counters or snapshots", () => {
    expect(
      passes("E18", onMachine({ "host.cgroup.throttled_us": { state: "not_applicable" } })),
    ).toBe(true);
    const unread = onMachine(
      { "host.cgroup.throttled_us": notCollected, "host.cpu.steal_ticks": undefined },
      { "host.cpu.steal_ticks": undefined },
    );
    expect(whyNot("E18", unread)).toHaveLength(2);
    expect(whyNot("E18", { ...healthy, ...around(undefined, snapshot(afterAt)) })).toHaveLength(1);
  });

  it("fails a small /dev/shm under several GPUs", () => {
    const engine = { ...variant.engine, args: { "tensor-parallel-size": 2 } } as Variant["engine"];
    const shm = (bytes: number): AuditInput =>
      withVariant({ engine }, onMachine({ "host.shm_bytes": bytes }));
    expect(findingsOf("E18", shm(2 ** 26))[0]?.seen.en).toContain("64.0 MiB");
    expect(passes("E18", shm(2 ** 34))).toBe(true);
    expect(whyNot("E18", withVariant({ engine }))).toHaveLength(1);
  });
});

describe("E19, the client", () => {
  const busy = (client: { eventLoopDelayP99Ms: number; cpuShare: number }): AuditInput => {
    const plain = attempt(1);
    if (plain.summary === undefined) throw new Error("a plain attempt has a summary");
    const summary = { ...plain.summary, client: { ...plain.summary.client, ...client } };
    return { ...healthy, attempts: [attempt(1, { summary })] };
  };

  it("fails a late event loop and a busy CPU", () => {
    // The mean TTFT is 200 ms: 5 % of it are 10 ms.
    expect(findingsOf("E19", busy({ eventLoopDelayP99Ms: 12, cpuShare: 0.2 }))).toMatchObject([
      { severity: "fail", where: pointName, evidence: { eventLoopDelayP99Ms: 12 } },
    ]);
    expect(
      findingsOf("E19", busy({ eventLoopDelayP99Ms: 1, cpuShare: 0.9 }))[0]?.seen.en,
    ).toContain("90 % of a core");
    expect(findingsOf("E19", healthy)).toEqual([]);
  });

  it("only warns where no mean could have moved by as much as 5 %, but the tail of gaps could", () => {
    // 7 ms are 3.5 % of the mean TTFT.
    const short = told(busy({ eventLoopDelayP99Ms: 7, cpuShare: 0.2 }), "itl.p99", { value: 40 });
    const [finding] = findingsOf("E19", short);
    expect(finding).toMatchObject({ severity: "warn", where: pointName });
    expect(finding?.seen.en).toContain("p99 ITL");
  });

  it("warns of a client that sends late", () => {
    // Sent 20 ms after it was due; TTFT is 200 ms: 10 %.
    const late = spoiled((request) => ({ ...request, dueAtMs: (request.sentAtMs ?? 0) - 20 }));
    expect(findingsOf("E19", late)).toMatchObject([
      { severity: "warn", evidence: { ttftMeanMs: expect.closeTo(200, 6) as number } },
    ]);
  });

  it("takes the 99th percentile of the delay by type 7, as every figure is", () => {
    // 420 delays, five of them 20 ms and the others 0: h = 419 x 0.99 = 414.81, between the 415th
    // (0 ms) and the 416th (20 ms): 16.2 ms.
    const late = trialsWith((samples) => ({
      ...samples,
      requests: samples.requests.map((request) =>
        request.index >= 20 && request.index < (samples.round === 1 ? 25 : 20)
          ? { ...request, dueAtMs: (request.sentAtMs ?? 0) - 20 }
          : { ...request, dueAtMs: request.sentAtMs ?? 0 },
      ),
    }));
    const [finding] = findingsOf("E19", late);
    expect(finding?.evidence["clientDelayP99Ms"]).toBeCloseTo(0.81 * 20, 6);
  });

  it("says when nothing was read of the client", () => {
    expect(passes("E19", healthy)).toBe(true);
    expect(whyNot("E19", { ...healthy, attempts: [] })).toHaveLength(1);
  });

  it("fails a calibration that does not hold, at loads like its own", () => {
    const failing = { event: { p50Ms: 1, p99Ms: 6 } };
    const found = findingsOf(
      "E19",
      calibrated({ ...failing, load: { streams: 12, ratePerS: 30 } }),
    );
    expect(found).toMatchObject([{ severity: "fail", evidence: { errorP99Ms: 6 } }]);
    // Ten streams say nothing of a thousand, nor the other way round.
    expect(
      findingsOf("E19", calibrated({ ...failing, load: { streams: 1000, ratePerS: 30 } })),
    ).toEqual([]);
  });
});

/** The same run with one figure told otherwise. */
function told(
  input: AuditInput,
  key: string,
  figures: { readonly value: number; readonly low?: number; readonly high?: number },
): AuditInput {
  return {
    ...input,
    measured: input.measured.map(({ estimates, samples }) => {
      const base = estimates.estimates.get("ttft.mean");
      if (base === undefined) throw new Error("a healthy run tells a mean TTFT");
      const { low, high } = figures;
      const estimate = { ...base, value: figures.value, low, high };
      return {
        samples,
        estimates: { ...estimates, estimates: new Map([...estimates.estimates, [key, estimate]]) },
      };
    }),
  };
}

/** The healthy run on a calibration of so many streams. */
function calibrated(changes: Partial<Calibration>): AuditInput {
  const calibration: Calibration = {
    at: "2026-03-01T10:00:00.000+08:00",
    machine: "00",
    tool: "0.1.0",
    load: { streams: 64, ratePerS: 1000 },
    threads: 1,
    seconds: 1,
    events: 10_000,
    event: { p50Ms: 0.00001, p99Ms: 0.0001 },
    burst: { p50Ms: 0.1, p99Ms: 1 },
    gap: { p50Ms: 0.00001, p99Ms: 0.0001 },
    ttft: { p50Ms: 0.00001, p99Ms: 0.0001 },
    startLag: { p50Ms: 0.01, p99Ms: 0.1 },
    eventsPerS: 1_000_000,
    cpuShare: 0.1,
    coalescedShare: 0,
    eventLoopDelayP99Ms: 0.5,
    ...changes,
  };
  return { ...healthy, calibrations: [{ leg: 1, calibration }] };
}

describe("E29, the instrument", () => {
  it("says that it was not calibrated, and passes where it was at this load", () => {
    expect(whyNot("E29", healthy)).toEqual(["the instrument was not calibrated at this load"]);
    expect(findingsOf("E29", calibrated({}))).toEqual([]);
  });

  it("warns of a load beyond the calibrated one", () => {
    const beyond = calibrated({ load: { streams: 4, ratePerS: 1000 } });
    expect(findingsOf("E29", beyond)).toMatchObject([
      { severity: "warn", where: pointName, evidence: { calibratedStreams: 4 } },
    ]);
  });

  it("warns of intervals that are narrower than its error", () => {
    // Half-widths of 0.5 and 2 ms against 1 ms.
    const ttft = { p50Ms: 1, p99Ms: 1 };
    const fine = told(calibrated({ ttft }), "ttft.mean", { value: 200, low: 199.5, high: 200.5 });
    const both = told(fine, "ttft.p90", { value: 220, low: 218, high: 222 });
    const [finding] = findingsOf("E29", both);
    expect(finding).toMatchObject({ severity: "warn", evidence: { narrow: "ttft.mean" } });
  });
});

describe("E20, blanks and times", () => {
  it("fails placeholders in fields and in what the user states", () => {
    expect(
      findingsOf("E20", onMachine({ "host.cpu.model": "To be filled by O.E.M." })),
    ).toMatchObject([{ severity: "fail", evidence: { fields: "host.cpu.model" } }]);
    const stated = {
      ...healthy,
      experiment: { ...experiment, stated: { node: "TBD", other: { note: "<填写>" } } },
    };
    expect(findingsOf("E20", stated)).toMatchObject([
      { evidence: { fields: "stated.node stated.note" } },
    ]);
  });

  it("leaves alone what an engine says of its settings", () => {
    expect(passes("E20", onMachine({ "engine.fp32.config.mode": "default" }))).toBe(true);
    // The word by which nvidia-smi calls a GPU that several processes may share.
    expect(passes("E20", onMachine({ "gpu.0.compute_mode": "Default" }))).toBe(true);
  });

  it("fails a time without an offset and a clock that drifted", () => {
    expect(
      findingsOf("E20", { ...healthy, before: snapshot("2026-03-01 10:00:00 CST") }),
    ).toMatchObject([{ severity: "fail", evidence: { times: 1 } }]);
    const plain = attempt(1);
    if (plain.summary === undefined) throw new Error("a plain attempt has a summary");
    const drifted = {
      ...healthy,
      attempts: [{ ...plain, summary: { ...plain.summary, clockDriftMs: -80 } }],
    };
    expect(findingsOf("E20", drifted)).toMatchObject([
      { where: pointName, evidence: { driftMs: -80 } },
    ]);
  });

  it("passes a healthy run, and is not checked without snapshots and clocks", () => {
    expect(passes("E20", healthy)).toBe(true);
    expect(
      whyNot("E20", { ...healthy, before: undefined, after: undefined, attempts: [] }),
    ).toHaveLength(2);
  });
});

describe("E21, queueing", () => {
  const gauges = (change: (atMs: number) => Partial<TrialSamples["engine"][number]>): AuditInput =>
    trialsWith((samples) => ({
      ...samples,
      engine: samples.engine.map((one) => ({ ...one, ...change(one.atMs) })),
    }));

  it("warns of waiting requests, preemptions and a full KV cache", () => {
    expect(
      findingsOf(
        "E21",
        gauges(() => ({ waiting: 3 })),
      ),
    ).toMatchObject([{ severity: "warn", evidence: { meanWaiting: 3 } }]);
    expect(
      findingsOf(
        "E21",
        gauges((atMs) => ({ preemptionsTotal: atMs > 40_000 ? 2 : 0 })),
      ),
    ).toMatchObject([{ evidence: { preemptions: 6 } }]);
    // An engine that was started again counts from 0.
    expect(
      passes(
        "E21",
        gauges((atMs) => ({ preemptionsTotal: atMs > 40_000 ? 0 : 2 })),
      ),
    ).toBe(true);
    expect(
      findingsOf(
        "E21",
        gauges(() => ({ kvUsage: 0.97 })),
      )[0]?.seen.en,
    ).toContain("97 %");
  });

  it("passes an engine without a queue, and is not checked without readings", () => {
    expect(passes("E21", healthy)).toBe(true);
    expect(
      whyNot(
        "E21",
        trialsWith((samples) => ({ ...samples, engine: [reading(0)] })),
      ),
    ).toHaveLength(1);
  });
});

describe("E23, sample size", () => {
  it("warns of too few rounds and requests, with the numbers", () => {
    const [finding] = findingsOf("E23", withSamples([samplesOf(1)]));
    expect(finding).toMatchObject({ severity: "warn", where: pointName, evidence: { rounds: 1 } });
    expect(finding?.seen.en).toContain("too few requests (have/need): ttft.p99 140/368");
    expect(finding?.seen.en).toContain("1 round");
    expect(finding?.seen.en).not.toContain("client_delay");
  });

  it("warns of a short window", () => {
    const squeeze = (request: RequestSample): RequestSample => ({
      ...request,
      dueAtMs: request.dueAtMs / 2,
      sentAtMs: (request.sentAtMs ?? 0) / 2,
      endedAtMs: request.endedAtMs / 2,
    });
    expect(findingsOf("E23", spoiled(squeeze))[0]?.seen.en).toMatch(/^shortest window 3\d\.\d s$/);
  });

  it("warns of lockstep waves and not of requests that are spread out", () => {
    // All ten streams of a wave are sent together, one wave every mean E2E.
    const inStep = spoiled((request) => {
      const sentAtMs = Math.floor(request.index / 10) * 5000;
      return {
        ...request,
        sentAtMs,
        dueAtMs: sentAtMs,
        firstAtMs: sentAtMs + 200,
        lastAtMs: sentAtMs + 5000,
        endedAtMs: sentAtMs + 5000,
      };
    });
    expect(findingsOf("E23", inStep)[0]?.seen.en).toContain(
      "lockstep waves: dispatch phases agree to 1.00",
    );
    expect(passes("E23", healthy)).toBe(true);
  });

  it("is not checked where nothing was measured", () => {
    expect(whyNot("E23", withSamples([]))).toEqual(["no point was measured"]);
  });
});

describe("E24, E25, E26, E28", () => {
  const local = (changes: Parameters<typeof onMachine>[0] = {}): AuditInput =>
    onMachine({ "client.engine_relation": "same host", ...changes });

  it("E24 warns of another governor than performance", () => {
    expect(findingsOf("E24", local({ "host.cpu.governor": "powersave" }))).toMatchObject([
      { severity: "warn", evidence: { governor: "powersave" } },
    ]);
    expect(passes("E24", local())).toBe(true);
    expect(passes("E24", local({ "host.cpu.governor": { state: "not_applicable" } }))).toBe(true);
    expect(whyNot("E24", local({ "host.cpu.governor": notCollected }))).toHaveLength(1);
    expect(whyNot("E24", healthy)).toHaveLength(1);
  });

  it("E25 warns of a shared host and passes another one", () => {
    expect(findingsOf("E25", local())).toMatchObject([
      { severity: "warn", evidence: { logicalCpus: 8 } },
    ]);
    expect(passes("E25", healthy)).toBe(true);
    expect(whyNot("E25", onMachine({ "client.engine_relation": undefined }))).toHaveLength(1);
  });

  it("E26 warns of a dirty tree and of an image without a digest", () => {
    expect(findingsOf("E26", onMachine({ "client.benchbook.dirty": true }))).toMatchObject([
      { severity: "warn" },
    ]);
    expect(whyNot("E26", onMachine({ "client.benchbook.dirty": notCollected }))).toHaveLength(1);
    expect(passes("E26", healthy)).toBe(true);
    const image = (digest?: string): AuditInput =>
      withVariant({
        engine: {
          kind: "vllm",
          name: "vllm",
          port: "auto",
          args: {},
          env: {},
          readyMs: 1,
          prefix: [],
          container: { image: "vllm:latest", ...(digest === undefined ? {} : { digest }) },
        },
      });
    expect(findingsOf("E26", image())).toMatchObject([
      { where: "fp32", evidence: { image: "vllm:latest" } },
    ]);
    expect(passes("E26", image("sha256:aa"))).toBe(true);
  });

  it("E28 tells of a busy or fresh host, swap and forced huge pages", () => {
    const restless = onMachine({
      "host.load_1m": 4,
      "host.uptime_s": 120,
      "host.swap_bytes": 2 ** 30,
      "host.thp": "always",
    });
    expect(findingsOf("E28", restless)).toMatchObject([
      {
        severity: "info",
        seen: {
          en: "load of 4.00 over the minute before the run (8 logical CPUs); up for 2 min only; swap of 1.0 GiB; THP is always",
        },
      },
    ]);
    expect(passes("E28", healthy)).toBe(true);
    expect(whyNot("E28", { ...healthy, before: undefined, after: undefined })).toHaveLength(1);
  });
});

describe("the run's story", () => {
  const first = { leg: 1, startedAt: beforeAt, end: undefined };

  it("S1 warns of a seam and tells a kill from a stop", () => {
    const resumed = { ...healthy, legs: [first, { leg: 2, startedAt: afterAt, end: undefined }] };
    expect(findingsOf("S1", resumed)).toMatchObject([
      { severity: "warn", where: "run", evidence: { leg: 2, killed: true } },
    ]);
    const stopped = {
      ...resumed,
      legs: [
        { ...first, end: { endedAt: afterAt, reason: "interrupted" as const } },
        { leg: 2, startedAt: afterAt, end: undefined },
      ],
    };
    expect(findingsOf("S1", stopped)).toMatchObject([{ evidence: { killed: false } }]);
    expect(passes("S1", healthy)).toBe(true);
    expect(whyNot("S1", { ...healthy, legs: [] })).toHaveLength(1);
  });

  it("S2 fails the point in whose trial the engine died, once", () => {
    const died: AuditInput = {
      ...healthy,
      starts: [
        start(1),
        start(2, { end: { at: afterAt, reason: "died", detail: "killed by SIGKILL\nmore" } }),
      ],
      attempts: [attempt(1), attempt(2, { status: "failed", reason: "the engine died" })],
    };
    expect(findingsOf("S2", died)).toMatchObject([
      {
        severity: "fail",
        where: pointName,
        seen: { en: "the engine of fp32 in round 2 ended by itself: killed by SIGKILL" },
      },
    ]);
    expect(findingsOf("E15", died)).toEqual([]);
  });

  it("S2 fails the variant whose engine never became ready", () => {
    const never = {
      ...healthy,
      starts: [start(1, { ready: undefined, end: { at: afterAt, reason: "never_ready" } })],
    };
    expect(findingsOf("S2", never)).toMatchObject([
      { where: "fp32", evidence: { reason: "never_ready" } },
    ]);
    expect(passes("S2", healthy)).toBe(true);
    expect(whyNot("S2", { ...healthy, starts: [] })).toHaveLength(1);
  });

  it("S2 and E15 leave alone a server that was only attached to", () => {
    const detached: AuditInput = {
      ...healthy,
      starts: [start(1, { end: { at: afterAt, reason: "detached" } })],
      attempts: [attempt(1, { status: "failed", reason: "too many failures" })],
    };
    expect(passes("S2", detached)).toBe(true);
    expect(findingsOf("E15", detached)).toHaveLength(1);
  });

  it("S5 warns of tokens that the server did not count, and passes its own", () => {
    const counted = spoiled((request) =>
      request.index === 20
        ? { ...request, tokenSource: "tokenizer" }
        : request.index === 21
          ? { ...request, tokenSource: "none", outputTokens: undefined }
          : request,
    );
    expect(findingsOf("S5", counted)).toMatchObject([
      {
        severity: "warn",
        where: pointName,
        seen: {
          en: "of 420 completed requests the local tokenizer counted the tokens of 3, and nobody those of 3",
        },
        evidence: { usage: 414, tokenizer: 3, none: 3 },
      },
    ]);
    expect(passes("S5", healthy)).toBe(true);
    const nothing = spoiled((request) => ({ ...request, status: "failed" }));
    expect(whyNot("S5", nothing)).toEqual(["no request completed"]);
  });

  it("S3 fails missing trials and blocks a point without any completed request", () => {
    const two = {
      ...withSamples([samplesOf(1), samplesOf(2)]),
      attempts: [attempt(1), attempt(2), attempt(3, { status: "unfinished" })],
    };
    expect(findingsOf("S3", two)).toMatchObject([
      { severity: "fail", where: pointName, evidence: { planned: 3, missing: 1 } },
    ]);
    const nothing = spoiled((request) => ({ ...request, status: "failed" }));
    expect(findingsOf("S3", nothing)).toMatchObject([
      { severity: "block", evidence: { completedRequests: 0, missing: 0 } },
    ]);
    expect(findingsOf("S3", { ...withSamples([]), attempts: [] })).toMatchObject([
      { severity: "block" },
    ]);
    expect(passes("S3", healthy)).toBe(true);
    expect(whyNot("S3", { ...healthy, plan: { points: [], rounds: [] } })).toHaveLength(1);
  });
});
