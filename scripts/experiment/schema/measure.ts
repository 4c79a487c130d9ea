// How much is measured, in what order, and when a request, a trial or a result is no good.
import { z } from "zod";
import { writtenDefaults } from "./defaults.ts";
import { choice, count, duration, flag, keysWritten, refuseEmpty, says, share } from "./leaves.ts";

const mostRounds = 1000;
const mostRequests = 10_000_000;
const { until: untilDefaults } = writtenDefaults;

const untilRounds = z
  .strictObject({
    until: share(0.001, "Half width of the interval, as a share of the mean.", "2%"),
    min: count([2, mostRounds], "Rounds at least.", 4, untilDefaults.min).optional(),
    max: count([2, mostRounds], "Rounds at most.", 12, untilDefaults.max).optional(),
  })
  .refine(({ min = untilDefaults.min, max = untilDefaults.max }) => min <= max, {
    error: `min is above max (${untilDefaults.min} and ${untilDefaults.max} where not written)`,
    params: { mend: "write { until: 2%, min: 4, max: 12 }" },
  });

const rounds = z
  .union([count([1, mostRounds], "Fixed before the run.", 5), untilRounds])
  .meta(
    says(
      `rounds from 1 to ${mostRounds}, or { until: 2%, min: 4, max: 12 }`,
      "Passes over all points, with a fresh engine for each variant; intervals need two or more.",
      [5, { until: "2%", min: 4, max: 12 }],
      writtenDefaults.rounds,
    ),
  );

const requests = z
  .union([
    z.literal("auto"),
    count([1, mostRequests], "Of each trial.", 200),
    z.strictObject({ duration: duration("What is sent within this time.", "120 s") }),
  ])
  .meta(
    says(
      "auto, requests from 1 on, or { duration: 120 s }",
      "Measured requests of each trial; auto: enough for the percentiles, and three for each concurrent stream, ten where lengths vary, a minute of a rate, the whole of a trace. A ramp is measured as a whole, whatever stands here.",
      ["auto", 200, { duration: "120 s" }],
      writtenDefaults.requests,
    ),
  );

const warmup = z
  .union([z.literal("auto"), count([0, mostRequests], "Of each trial.", 16)])
  .meta(
    says(
      "auto, or requests from 0 on",
      "Requests before the measured ones; auto: two for each concurrent stream, ten seconds of a rate, none of a trace or in a fixed window.",
      ["auto", 16],
      writtenDefaults.warmup,
    ),
  );

const percentiles = z
  .array(
    z
      .number()
      .gt(0)
      .lt(100)
      .meta(says("a percentile above 0 and below 100", "A percentile.", [90])),
  )
  .min(1)
  .meta(
    says(
      "a list of percentiles above 0 and below 100",
      "Percentiles that the record prints; a high one needs many requests (p90 36, p99 368).",
      [[50, 90, 99]],
      writtenDefaults.percentiles,
    ),
  );

export const measureSchema = z
  .strictObject({
    rounds: rounds.optional(),
    repeats: count(
      [1, 100],
      "Trials of a point within one start.",
      1,
      writtenDefaults.repeats,
    ).optional(),
    requests: requests.optional(),
    duration: duration("Short form of requests: { duration: 120 s }.", "120 s").optional(),
    warmup: warmup.optional(),
    percentiles: percentiles.optional(),
    window: choice(
      ["handover", "fixed"],
      "handover: steady load around the measured requests; fixed: what starts up and drains counts, as in most tools.",
      writtenDefaults.window,
    ).optional(),
    order: choice(
      ["interleaved", "grouped"],
      "interleaved: every round visits every variant, its loads in an order that the seed decides; grouped: all rounds of a variant first, its loads in the order in which they are written.",
      writtenDefaults.order,
    ).optional(),
    keep: flag(
      "One engine life for all rounds; the record then says that restarts were not measured.",
      writtenDefaults.keep,
    ).optional(),
    seed: count(
      [0, Number.MAX_SAFE_INTEGER],
      "Decides the order and the prompts.",
      20251219,
      writtenDefaults.seed,
    ).optional(),
  })
  .superRefine(keysWritten(["requests", "duration"], { most: 1 }, "keep one of the two"))
  .meta(
    says("a map", "How much is measured, and in what order.", [
      { rounds: 5, percentiles: [50, 90, 99] },
    ]),
  );

const percentileName = z
  .string()
  .regex(/^p(?!0+(\.0*)?$)\d{1,2}(\.\d+)?$/)
  .meta({ title: "a percentile such as p90 or p99.9" });

const sloLimit = (description: string, example: string) =>
  z
    .union([
      duration(description, example),
      z
        .record(percentileName, duration("Its limit.", example))
        .superRefine(refuseEmpty("no percentile is written", `write { p99: ${example} }`)),
    ])
    .meta(
      says(
        "a duration with its unit, or { p99: duration }",
        `${description} Of p${writtenDefaults.sloPercentile} unless a percentile is named.`,
        [example, { p99: example }],
      ),
    )
    .optional();

export const sloSchema = z
  .strictObject({
    ttft: sloLimit("Limit of the time to first token.", "2 s"),
    tpot: sloLimit("Limit of the time per output token.", "50 ms"),
    e2e: sloLimit("Limit of the whole request.", "30 s"),
  })
  .meta(
    says("a map of ttft, tpot, e2e", "Service level objectives: what goodput counts as good.", [
      { ttft: "2 s", tpot: "50 ms" },
    ]),
  );

const { limits, telemetry, client } = writtenDefaults;

const failureShare = share(0, "Share of failed requests beyond which a trial is ended.", "1%");
const failureCount = count([0, mostRequests], "Failed requests beyond which a trial is ended.", 20);

const failures = z
  .union([
    failureShare,
    failureCount,
    z
      .strictObject({ share: failureShare.optional(), count: failureCount.optional() })
      .superRefine(refuseEmpty("no limit is written", "write { share: 1%, count: 20 }")),
  ])
  .meta(
    says(
      "a share in percent, a number of requests, or { share, count }",
      "Failed requests beyond which a trial is ended: a share of all, a number, or the smaller of both.",
      ["1%", 20, { share: "1%", count: 20 }],
      limits.failures,
    ),
  );

export const limitsSchema = z
  .strictObject({
    request: duration(
      "Longest a request may take, from sent to end.",
      "10 min",
      limits.request,
    ).optional(),
    stall: duration("Longest silence within a stream.", "60 s", limits.stall).optional(),
    failures: failures.optional(),
    trial: duration(
      "Longest a whole trial may take; no limit unless written.",
      "30 min",
    ).optional(),
  })
  .meta(
    says("a map of request, stall, failures, trial", "When a request or a trial is given up.", [
      limits,
    ]),
  );

export const clientSchema = z
  .strictObject({
    threads: z
      .union([z.literal("auto"), count([1, 64], "Threads.", 2)])
      .meta(
        says(
          "auto, or threads from 1 to 64",
          "Threads that share the streams; auto: as many as the calibration says that the load needs.",
          ["auto", 2],
          client.threads,
        ),
      )
      .optional(),
    poll: flag(
      "The threads never sleep: no event waits until the kernel has woken one. Each takes a whole core; the engine must not need it.",
      client.poll,
    ).optional(),
    calibrate: flag(
      "The client's own error is measured before the run, where it is not known yet.",
      client.calibrate,
    ).optional(),
  })
  .meta(says("a map of threads, poll, calibrate", "The measuring program itself.", [client]));

export const telemetrySchema = z
  .strictObject({
    gpu: duration("Between two readings of the GPU.", "1 s", telemetry.gpu).optional(),
    engine: duration(
      "Between two readings of the engine's metrics.",
      "1 s",
      telemetry.engine,
    ).optional(),
  })
  .meta(
    says("a map of gpu, engine", "How often machine and engine are read during a trial.", [
      telemetry,
    ]),
  );
