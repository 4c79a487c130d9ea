// The documented views: what any SQLite client may read, also while a run is going. One table of
// column, expression and meaning makes the SQL, the `view_column` table and the tests' list.
// A column is never renamed or taken away without a major version.

interface View {
  readonly about: string;
  /** Name, SQL expression, meaning. */
  readonly columns: readonly (readonly [name: string, expression: string, meaning: string])[];
  /** Everything from FROM on. */
  readonly source: string;
}

/** `1` where an attempt is the last measured one of its trial. */
const counting = `(
  SELECT run, trial, max(attempt) AS attempt
  FROM trial_row JOIN trial_end_row USING (attempt_id) WHERE status = 'measured' GROUP BY run, trial
)`;

/** Of each run, or of each of its variants, the end of its rounds that counts. */
const lastRoundsEnds = `(
  SELECT * FROM rounds_end_row WHERE id IN (SELECT max(id) FROM rounds_end_row GROUP BY run, variant)
)`;

const newest = (table: string): string =>
  `(SELECT run, max(generation) AS generation FROM ${table} GROUP BY run)`;

const run: View = {
  about: "One execution of an experiment.",
  columns: [
    ["run", "r.run", "id: UTC time, experiment, four hex digits"],
    ["experiment", "r.experiment", "name of the experiment"],
    ["title_zh", "r.title_zh", "title, Chinese"],
    ["title_en", "r.title_en", "title, English"],
    ["created_at", "r.created_at", "ISO 8601 with offset"],
    [
      "status",
      "CASE WHEN l.leg IS NULL THEN 'planned' ELSE coalesce(e.reason, 'open') END",
      "planned; open: its last leg is running or was killed; complete, interrupted or failed",
    ],
    ["status_detail", "e.detail", "why, where there is more to say"],
    ["verdict", "a.verdict", "of the newest audit: valid, qualified, invalid; NULL: not audited"],
    ["legs", "coalesce(l.leg, 0)", "uninterrupted executions; above 1 the run was resumed"],
    ["started_at", "f.started_at", "of the first leg, ISO 8601 with offset"],
    ["ended_at", "e.ended_at", "of the last leg; NULL while open"],
    [
      "trials_planned",
      `r.trials_planned - coalesce((SELECT sum(trials_spared) FROM ${lastRoundsEnds} WHERE run = r.run), 0)`,
      "trials of the plan, without those that rounds on demand did not need",
    ],
    [
      "trials_measured",
      "(SELECT count(DISTINCT trial) FROM trial_row JOIN trial_end_row USING (attempt_id) WHERE trial_row.run = r.run AND status = 'measured')",
      "trials with a measured attempt",
    ],
    ["window_kind", "r.window_kind", "handover or fixed"],
    ["benchbook_version", "r.tool_json ->> '$.version'", "program that made the run"],
    ["benchbook_commit", "r.tool_json ->> '$.commit'", "its git commit; NULL: not known"],
    ["benchbook_dirty", "r.tool_json ->> '$.dirty'", "1: uncommitted changes; NULL: not known"],
    ["node_version", "r.tool_json ->> '$.node'", "Node.js it ran on"],
  ],
  source: `FROM run_row r
  LEFT JOIN leg_row f ON f.run = r.run AND f.leg = 1
  LEFT JOIN leg_row l ON l.run = r.run AND l.leg = (SELECT max(leg) FROM leg_row WHERE run = r.run)
  LEFT JOIN leg_end_row e ON e.run = l.run AND e.leg = l.leg
  LEFT JOIN audit_row a ON a.run = r.run
    AND a.generation = (SELECT max(generation) FROM audit_row WHERE run = r.run)`,
};

const trial: View = {
  about: "One attempt at a trial: one point in one round and repeat, on one engine start.",
  columns: [
    ["attempt_id", "t.attempt_id", "key of the attempt within this file"],
    ["run", "t.run", "run.run"],
    ["trial", "t.trial", "id of the trial: a hash of what decides its measurement"],
    ["attempt", "t.attempt", "from 1"],
    [
      "counts",
      "t.attempt IS c.attempt",
      "1: the attempt that figures are made from, the last measured one",
    ],
    ["point", "t.point", "variant/[workload/]load"],
    ["variant", "t.variant", "model, precision and engine arguments under one name"],
    ["workload", "t.workload", "name of the workload"],
    ["load_kind", "t.load_json ->> '$.kind'", "concurrency, rate or trace"],
    [
      "cache_reset",
      "t.cache_reset",
      "prefix cache emptied before it: done, not_offered, failed; NULL: not asked",
    ],
    ["planned_concurrency", "t.planned_concurrency", "requests in flight; NULL for other loads"],
    [
      "planned_request_rate_per_s",
      "t.load_json ->> '$.requestRatePerS'",
      "arrivals per second; NULL for other loads",
    ],
    ["round", "t.round", "from 1"],
    ["repeat", "t.repeat", "from 1"],
    ["seed", "t.seed", "hex"],
    ["start", "t.start", "engine life within the run, from 1"],
    ["leg", "s.leg", "uninterrupted execution within the run, from 1"],
    [
      "status",
      "coalesce(e.status, 'unfinished')",
      "measured, failed, interrupted; unfinished: running or killed",
    ],
    ["reason", "e.reason", "why it failed or was interrupted"],
    ["started_at", "t.started_at", "ISO 8601 with offset"],
    [
      "zero_at",
      "e.summary_json ->> '$.zeroAt'",
      "wall clock of the trial's zero, from which all ..._at_ms count",
    ],
    ["ended_at_ms", "e.summary_json ->> '$.endedAtMs'", "end of the load"],
    ["window_kind", "r.window_kind", "handover or fixed"],
    ["window_start_ms", "e.window_start_ms", "throughput window, first edge; NULL: no window"],
    ["window_end_ms", "e.window_end_ms", "throughput window, second edge"],
    ["window_ms", "e.window_end_ms - e.window_start_ms", "length of the throughput window"],
    ["planned_warmup_requests", "t.warmup_requests", "requests before the window"],
    [
      "planned_measured_requests",
      "t.measured_json ->> '$.requests'",
      "size of the measured cohort; NULL: by duration",
    ],
    [
      "planned_measured_ms",
      "t.measured_json ->> '$.durationMs'",
      "how long the cohort is dispatched; NULL: by count",
    ],
    [
      "clock_drift_ms",
      "e.summary_json ->> '$.clockDriftMs'",
      "monotonic against wall clock over the trial",
    ],
    [
      "client_cpu_share",
      "e.summary_json ->> '$.client.cpuShare'",
      "CPU of the client over the window, 0..1 per core",
    ],
    [
      "client_event_loop_delay_p99_ms",
      "e.summary_json ->> '$.client.eventLoopDelayP99Ms'",
      "of the client over the window",
    ],
    [
      "client_event_loop_delay_max_ms",
      "e.summary_json ->> '$.client.eventLoopDelayMaxMs'",
      "of the client over the window",
    ],
    [
      "client_gc_pause_total_ms",
      "e.summary_json ->> '$.client.gcPauseTotalMs'",
      "garbage collection of the client over the window",
    ],
  ],
  source: `FROM trial_row t
  JOIN run_row r ON r.run = t.run
  JOIN start_row s ON s.run = t.run AND s.start = t.start
  LEFT JOIN trial_end_row e ON e.attempt_id = t.attempt_id
  LEFT JOIN ${counting} c ON c.run = t.run AND c.trial = t.trial`,
};

const outputTokens = "coalesce(q.usage_completion_tokens, q.counted_output_tokens)";

const request: View = {
  about: "One request as the client saw it; all ..._at_ms count from the trial's zero.",
  columns: [
    ["attempt_id", "q.attempt_id", "trial.attempt_id"],
    ["run", "t.run", "run.run"],
    ["trial", "t.trial", "trial.trial"],
    ["attempt", "t.attempt", "trial.attempt"],
    ["counts", "t.attempt IS c.attempt", "1: of the attempt that figures are made from"],
    ["point", "t.point", "trial.point"],
    ["variant", "t.variant", "trial.variant"],
    ["workload", "t.workload", "trial.workload"],
    ["round", "t.round", "from 1"],
    ["repeat", "t.repeat", "from 1"],
    ["start", "t.start", "engine life within the run, from 1"],
    ["request_index", "q.request_index", "order of dispatch within the trial, from 0"],
    ["phase", "q.phase", "warmup, measured or filler"],
    ["status", "q.status", "completed, rejected, truncated, timedOut, failed or cancelled"],
    ["due_at_ms", "q.due_at_ms", "when the load wanted it sent"],
    ["sent_at_ms", "q.sent_at_ms", "first byte handed to the socket; NULL: no socket was had"],
    ["headers_at_ms", "q.headers_at_ms", "response headers; NULL: none came"],
    ["first_at_ms", "q.first_at_ms", "first chunk that carried output; NULL: none came"],
    ["last_at_ms", "q.last_at_ms", "last chunk that carried output"],
    ["ended_at_ms", "q.ended_at_ms", "stream closed, or given up"],
    ["client_delay_ms", "q.sent_at_ms - q.due_at_ms", "what the client owed"],
    ["ttft_ms", "q.first_at_ms - q.sent_at_ms", "time to first token"],
    ["e2e_ms", "q.last_at_ms - q.sent_at_ms", "sent to last output"],
    [
      "tpot_ms",
      `CASE WHEN ${outputTokens} >= 2 AND q.last_at_ms > q.first_at_ms THEN ((q.last_at_ms - q.sent_at_ms) - (q.first_at_ms - q.sent_at_ms)) / (${outputTokens} - 1) END`,
      "(E2E - TTFT) / (output tokens - 1); NULL below two tokens, or where all came at one instant",
    ],
    [
      "input_tokens",
      "coalesce(q.usage_prompt_tokens, q.counted_input_tokens)",
      "by the server's usage, else by the local tokenizer; NULL: not known",
    ],
    [
      "output_tokens",
      outputTokens,
      "by the server's usage, else by the local tokenizer; NULL: not known",
    ],
    [
      "cached_tokens",
      "q.usage_cached_tokens",
      "prompt tokens served from the prefix cache, by the server's usage",
    ],
    [
      "token_source",
      "CASE WHEN q.usage_completion_tokens IS NOT NULL THEN 'usage' WHEN q.counted_output_tokens IS NOT NULL THEN 'tokenizer' ELSE 'none' END",
      "of output_tokens: usage, tokenizer or none",
    ],
    [
      "window_tokens",
      "w.window_tokens",
      "output tokens emitted in the trial's window; NULL: not computed",
    ],
    [
      "in_window",
      "CASE WHEN e.window_end_ms IS NOT NULL THEN q.status = 'completed' AND q.ended_at_ms > e.window_start_ms AND q.ended_at_ms <= e.window_end_ms END",
      "1: completed in the window (ended after its first edge, not after its second)",
    ],
    [
      "window_overlap_ms",
      "max(0.0, min(q.ended_at_ms, e.window_end_ms) - max(q.sent_at_ms, e.window_start_ms))",
      "time in flight (sent to ended) within the window",
    ],
    ["output_chunks", "q.output_chunks", "chunks that carried output"],
    [
      "coalesced_chunks",
      "q.coalesced_chunks",
      "of those, arrived in the same read as the one before",
    ],
    [
      "planned_input_tokens",
      "q.planned_input_tokens",
      "length of the prompt by the local tokenizer",
    ],
    ["planned_output_tokens", "q.planned_output_tokens", "length asked for"],
    ["finish_reason", "q.finish_reason", "as the server said; NULL: it did not"],
    ["http_status", "q.http_status", "of a rejected request"],
    ["detail", "q.detail", "cause, or the first 2,000 characters of a rejection's body"],
    ["prompt_digest", "q.prompt_digest", "first 16 hex of the sha256 of the prompt"],
    [
      "chunk_times",
      "q.chunk_times",
      "arrival of each output chunk, packed; chunk_gap(chunk_times) unpacks it",
    ],
  ],
  source: `FROM request_row q
  JOIN trial_row t ON t.attempt_id = q.attempt_id
  LEFT JOIN trial_end_row e ON e.attempt_id = q.attempt_id
  LEFT JOIN request_window_row w ON w.attempt_id = q.attempt_id AND w.request_index = q.request_index
  LEFT JOIN ${counting} c ON c.run = t.run AND c.trial = t.trial`,
};

const metric: View = {
  about: "One estimate: a metric of a point over its rounds, newest generation.",
  columns: [
    ["run", "e.run", "run.run"],
    ["point", "e.point", "trial.point"],
    ["metric", "e.metric", "id in the catalogue"],
    ["value", "e.value", "NULL: no value, and absence says why"],
    ["low", "e.low", "lower end of the interval; NULL: none"],
    ["high", "e.high", "upper end of the interval; NULL: none"],
    ["level", "e.level", "of the interval, 0..1"],
    ["unit", "e.unit", "of value, low and high"],
    ["n", "e.n", "requests behind it"],
    ["starts", "e.starts", "engine lives behind it"],
    ["rounds", "e.rounds", "rounds behind it"],
    ["method", "e.method", "how the interval was made"],
    ["cv", "e.cv", "spread between rounds: sample sd / mean; NULL with one round"],
    ["median_round_low", "e.median_round_low", "interval of the median round, from ten rounds on"],
    [
      "median_round_high",
      "e.median_round_high",
      "interval of the median round, from ten rounds on",
    ],
    ["geometric", "e.geometric", "1: geometric mean, because the rounds are noisy"],
    ["absence", "e.absence_json", "JSON: why there is no interval or no value"],
    ["per_round", "e.per_round_json", "JSON: each round's own value"],
    ["definition_version", "s.definition_version", "of the metrics catalogue"],
    ["generation", "e.generation", "how often it was computed"],
  ],
  source: `FROM estimate_row e
  JOIN ${newest("estimate_set_row")} g ON g.run = e.run AND g.generation = e.generation
  JOIN estimate_set_row s ON s.run = e.run AND s.generation = e.generation`,
};

const environment: View = {
  about: "One field of one snapshot of machine, engine, model or client.",
  columns: [
    ["run", "s.run", "run.run"],
    ["leg", "s.leg", "uninterrupted execution within the run"],
    ["scope", "s.scope", "run-before, run-after, start, trial-before or trial-after"],
    ["start", "s.start", "engine life; NULL: of the whole run"],
    ["trial", "s.trial", "trial.trial; NULL: not around a trial"],
    ["attempt", "s.attempt", "trial.attempt; NULL: not around a trial"],
    ["field", "f.value ->> '$.id'", "dotted id"],
    ["field_group", "f.value ->> '$.group'", "host, gpu, engine, python, model, client or user"],
    ["class", "f.value ->> '$.class'", "comparability, context or noise"],
    ["state", "f.value ->> '$.value.state'", "value, not_collected, not_applicable or redacted"],
    [
      "value",
      "CASE json_type(f.value, '$.value.value') WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE f.value ->> '$.value.value' END",
      "NULL unless state is value; true and false as words",
    ],
    ["unit", "f.value ->> '$.value.unit'", "NULL: none"],
    ["reason", "f.value ->> '$.value.reason'", "why there is no value"],
    ["source", "f.value ->> '$.source'", "probe, engine, user or derived"],
    ["at", "f.value ->> '$.at'", "ISO 8601 with offset"],
  ],
  source: "FROM snapshot_row s, json_each(s.fields_json) f",
};

const bothLanguages = (name: string, meaning: string): View["columns"] => [
  [`${name}_zh`, `f.value ->> '$.${name}.zh'`, `${meaning}, Chinese`],
  [`${name}_en`, `f.value ->> '$.${name}.en'`, `${meaning}, English`],
];

const finding: View = {
  about: "One finding of the newest audit of a run.",
  columns: [
    ["run", "a.run", "run.run"],
    ["rule", "f.value ->> '$.rule'", "id of the rule"],
    ["severity", "f.value ->> '$.severity'", "block, fail, warn or info"],
    ["place", "f.value ->> '$.where'", "a point, run or environment"],
    ...bothLanguages("seen", "what was seen"),
    ...bothLanguages("expected", "what was expected"),
    ...bothLanguages("mend", "what to do"),
    ["evidence", "f.value -> '$.evidence'", "JSON: the numbers"],
    ["waived_reason", "f.value ->> '$.waived.reason'", "NULL: not waived"],
    ["waived_by", "f.value ->> '$.waived.by'", "NULL: not waived"],
    ["generation", "a.generation", "how often the run was audited"],
  ],
  source: `FROM audit_row a
  JOIN ${newest("audit_row")} g ON g.run = a.run AND g.generation = a.generation,
  json_each(a.result_json, '$.findings') f`,
};

const reported: View = {
  about: "A figure that somebody else printed.",
  columns: [
    ["run", "r.run", "run.run, or the imported record's id"],
    ["point", "r.point", "row of the foreign table"],
    ["metric", "r.metric", "id in the catalogue"],
    ["definition", "r.definition", "whose formula"],
    ["value", "r.value", "NULL: printed as absent"],
    ["unit", "r.unit", "of value"],
    ["token_source", "r.token_source", "usage, tokenizer, ...; NULL: not said"],
    ["percentile_method", "r.percentile_method", "NULL: not said, or no percentile"],
  ],
  source: "FROM reported_row r",
};

const engineReading: View = {
  about: "What an engine's own counters and gauges said at one moment of an attempt.",
  columns: [
    ["run", "t.run", "run.run"],
    ["trial", "t.trial", "trial.trial"],
    ["attempt", "t.attempt", "trial.attempt"],
    ["at_ms", "r.at_ms", "since the trial's zero"],
    ["running", "r.running", "requests that run; NULL here and below: not offered"],
    ["waiting", "r.waiting", "requests that wait"],
    ["kv_usage", "r.kv_usage", "share of the KV cache in use, 0..1"],
    ["prompt_tokens_total", "r.prompt_tokens_total", "counter, tokens"],
    ["prompt_tokens_cached_total", "r.prompt_tokens_cached_total", "counter, tokens from a cache"],
    [
      "prompt_tokens_remote_total",
      "r.prompt_tokens_remote_total",
      "counter, tokens of those whose KV came from another instance or store",
    ],
    ["generation_tokens_total", "r.generation_tokens_total", "counter, tokens"],
    ["prefix_queries_total", "r.prefix_queries_total", "counter, tokens looked up"],
    ["prefix_hits_total", "r.prefix_hits_total", "counter, tokens found"],
    ["prefix_hit_rate", "r.prefix_hit_rate", "as the engine itself gives it, 0..1"],
    ["preemptions_total", "r.preemptions_total", "counter"],
    ["drafts_total", "r.drafts_total", "counter, speculative drafts"],
    ["draft_tokens_total", "r.draft_tokens_total", "counter, tokens in drafts"],
    ["accepted_tokens_total", "r.accepted_tokens_total", "counter, draft tokens accepted"],
  ],
  source: "FROM engine_reading_row r JOIN trial_row t USING (attempt_id)",
};

const gpuReading: View = {
  about: "What a GPU was doing at one moment of an attempt.",
  columns: [
    ["run", "t.run", "run.run"],
    ["trial", "t.trial", "trial.trial"],
    ["attempt", "t.attempt", "trial.attempt"],
    ["at_ms", "r.at_ms", "since the trial's zero"],
    ["gpu", "r.gpu", "index"],
    ["uuid", "r.uuid", "NULL here and below: not offered"],
    ["power_w", "r.power_w", "W"],
    ["sm_clock_mhz", "r.sm_clock_mhz", "MHz"],
    ["memory_clock_mhz", "r.memory_clock_mhz", "MHz"],
    ["temperature_c", "r.temperature_c", "degrees Celsius"],
    ["utilization", "r.utilization", "0..1"],
    ["memory_used_mib", "r.memory_used_mib", "MiB"],
    ["pcie_generation", "r.pcie_generation", "at this moment"],
    ["pcie_width", "r.pcie_width", "lanes at this moment"],
    ["event_reasons", "r.event_reasons", "bit mask"],
    ["sw_power_cap_us", "r.sw_power_cap_us", "counter, us slowed by the power cap"],
    ["hw_thermal_us", "r.hw_thermal_us", "counter, us slowed by temperature, hardware"],
    ["sw_thermal_us", "r.sw_thermal_us", "counter, us slowed by temperature, software"],
    ["hw_power_brake_us", "r.hw_power_brake_us", "counter, us slowed by the power brake"],
    ["sync_boost_us", "r.sync_boost_us", "counter, us slowed by sync boost"],
  ],
  source: "FROM gpu_reading_row r JOIN trial_row t USING (attempt_id)",
};

const calibration: View = {
  about: "What is known of the client's own error at one load on one machine.",
  columns: [
    ["calibration", "c.id", "number of the calibration within this file"],
    ["at", "c.at", "ISO 8601 with offset"],
    ["machine", "c.machine", "sha256 of processor, cores, system and Node, 64 hex"],
    ["benchbook_version", "c.tool", "program that was calibrated"],
    ["streams", "c.streams", "streams at once"],
    ["rate_per_s", "c.rate_per_s", "chunks per second of each stream"],
    ["threads", "c.threads", "client threads"],
    ["seconds", "c.calibration_json ->> '$.seconds'", "length of each of the two passes"],
    ["events", "c.calibration_json ->> '$.events'", "events that were held to the truth"],
    [
      "error_p50_ms",
      "c.calibration_json ->> '$.event.p50Ms'",
      "p50 of: stamped arrival against the server's write, streams at phases of their own",
    ],
    [
      "error_p99_ms",
      "c.calibration_json ->> '$.event.p99Ms'",
      "p99 of: stamped arrival against the server's write, streams at phases of their own",
    ],
    [
      "burst_error_p50_ms",
      "c.calibration_json ->> '$.burst.p50Ms'",
      "p50 of: likewise, all streams in one engine step",
    ],
    [
      "burst_error_p99_ms",
      "c.calibration_json ->> '$.burst.p99Ms'",
      "p99 of: likewise, all streams in one engine step",
    ],
    [
      "gap_error_p50_ms",
      "c.calibration_json ->> '$.gap.p50Ms'",
      "p50 of: told gap against the true one",
    ],
    [
      "gap_error_p99_ms",
      "c.calibration_json ->> '$.gap.p99Ms'",
      "p99 of: told gap against the true one",
    ],
    [
      "ttft_error_p50_ms",
      "c.calibration_json ->> '$.ttft.p50Ms'",
      "p50 of: told TTFT against the true one",
    ],
    [
      "ttft_error_p99_ms",
      "c.calibration_json ->> '$.ttft.p99Ms'",
      "p99 of: told TTFT against the true one",
    ],
    [
      "start_lag_p50_ms",
      "c.calibration_json ->> '$.startLag.p50Ms'",
      "p50 of: stamp of the start to arrival at the server",
    ],
    [
      "start_lag_p99_ms",
      "c.calibration_json ->> '$.startLag.p99Ms'",
      "p99 of: stamp of the start to arrival at the server",
    ],
    [
      "events_per_s",
      "c.calibration_json ->> '$.eventsPerS'",
      "headroom: events taken as fast as the client could",
    ],
    [
      "cpu_share",
      "c.calibration_json ->> '$.cpuShare'",
      "of one core, busiest thread, at the load",
    ],
    [
      "coalesced_share",
      "c.calibration_json ->> '$.coalescedShare'",
      "events that shared a read with the one before",
    ],
    [
      "event_loop_delay_p99_ms",
      "c.calibration_json ->> '$.eventLoopDelayP99Ms'",
      "of the client thread, at the load",
    ],
    [
      "runs",
      "(SELECT count(DISTINCT run) FROM leg_calibration_row WHERE calibration = c.id)",
      "runs that went by it",
    ],
  ],
  source: "FROM calibration_row c",
};

const roundsEnd: View = {
  about: "Why rounds on demand ended: one row for each metric that decided, at each point.",
  columns: [
    ["run", "d.run", "run.run"],
    ["variant", "d.variant", "the variant whose rounds ended; NULL: those of the whole run"],
    ["at", "d.at", "ISO 8601 with offset"],
    ["round", "d.round", "the last round, from 1"],
    ["outcome", "d.outcome", "reached: every interval is within the target; max: it is not"],
    ["target", "d.target", "half-width over mean that was asked for, 0..1"],
    ["point", "s.value ->> '$.point'", "variant/[workload/]load"],
    ["metric", "s.value ->> '$.metric'", "key of the estimate: ttft.mean, output_tps"],
    ["values_behind", "s.value ->> '$.count'", "rounds, or engine starts, that gave a value"],
    ["value", "s.value ->> '$.value'", "mean, or geometric mean of noisy rounds; NULL: none"],
    [
      "half_width_share",
      "s.value ->> '$.share'",
      "half-width over value, with t(.9875); NULL: fewer than two values",
    ],
    ["is_reached", "s.value ->> '$.reached'", "1: within the target"],
  ],
  source: `FROM ${lastRoundsEnds} d, json_each(d.spreads_json) s`,
};

const views = {
  run,
  trial,
  request,
  engine_reading: engineReading,
  gpu_reading: gpuReading,
  metric,
  environment,
  finding,
  reported,
  calibration,
  rounds_end: roundsEnd,
};
export type ViewName = keyof typeof views;

/** The views' columns in order, with what each means. */
export const viewColumns: Readonly<
  Record<ViewName, readonly { readonly name: string; readonly meaning: string }[]>
> = {
  run: describe(run),
  trial: describe(trial),
  request: describe(request),
  engine_reading: describe(engineReading),
  gpu_reading: describe(gpuReading),
  metric: describe(metric),
  environment: describe(environment),
  finding: describe(finding),
  reported: describe(reported),
  calibration: describe(calibration),
  rounds_end: describe(roundsEnd),
};

function describe(view: View): readonly { readonly name: string; readonly meaning: string }[] {
  return view.columns.map(([name, , meaning]) => ({ name, meaning }));
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/**
 * The SQL that makes all views anew, and the table `view_column` that documents them in the file.
 * Views hold no data, so a migration may always replace them.
 */
export function viewsSql(): string {
  const each = Object.entries(views).map(([name, { about, columns, source }]) => {
    const list = columns.map(([column, expression]) => `  ${expression} AS ${column}`).join(",\n");
    const rows = columns.map(
      ([column, , meaning], index) =>
        `(${quote(name)}, ${index + 1}, ${quote(column)}, ${quote(meaning)})`,
    );
    return `DROP VIEW IF EXISTS ${name};
CREATE VIEW ${name} AS -- ${about}
SELECT
${list}
${source};
INSERT INTO view_column VALUES
${rows.join(",\n")};`;
  });
  return `DROP TABLE IF EXISTS view_column;
CREATE TABLE view_column (
  view TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, meaning TEXT NOT NULL,
  PRIMARY KEY (view, position)
) STRICT, WITHOUT ROWID;
${each.join("\n")}`;
}
