// The base tables, migration by migration. What is measured is appended and never changed: every
// table refuses UPDATE and DELETE, and a trial that ended takes no more rows. People read the views
// (views.ts); these tables are the store's own.

/** Tables of version 1, in order of reference. `..._row`: one name is free for the view. */
const version1 = `
-- One execution of an experiment.
CREATE TABLE run_row (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL,
  title_zh TEXT NOT NULL,
  title_en TEXT NOT NULL,
  experiment_path TEXT NOT NULL,
  experiment_source TEXT NOT NULL,
  resolved_json TEXT NOT NULL,
  defaults_json TEXT NOT NULL,
  extended_json TEXT NOT NULL,
  plan_json TEXT NOT NULL,
  trials_planned INTEGER NOT NULL,
  window_kind TEXT NOT NULL CHECK (window_kind IN ('handover', 'fixed')),
  tool_json TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;

-- One uninterrupted execution of a run. From the second on: a resumed run, and a seam in its record.
CREATE TABLE leg_row (
  run TEXT NOT NULL REFERENCES run_row (run),
  leg INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  pid INTEGER NOT NULL,
  pid_started_at TEXT,
  host TEXT NOT NULL,
  argv_json TEXT NOT NULL,
  tool_json TEXT NOT NULL,
  PRIMARY KEY (run, leg)
) STRICT;

CREATE TABLE leg_end_row (
  run TEXT NOT NULL,
  leg INTEGER NOT NULL,
  ended_at TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('complete', 'interrupted', 'failed')),
  detail TEXT,
  PRIMARY KEY (run, leg),
  FOREIGN KEY (run, leg) REFERENCES leg_row (run, leg)
) STRICT;

-- One life of an engine.
CREATE TABLE start_row (
  run TEXT NOT NULL,
  start INTEGER NOT NULL,
  leg INTEGER NOT NULL,
  variant TEXT NOT NULL,
  round INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  restart_of INTEGER,
  PRIMARY KEY (run, start),
  FOREIGN KEY (run, leg) REFERENCES leg_row (run, leg),
  FOREIGN KEY (run, restart_of) REFERENCES start_row (run, start)
) STRICT;

CREATE TABLE start_ready_row (
  run TEXT NOT NULL,
  start INTEGER NOT NULL,
  ready_at TEXT NOT NULL,
  startup_ms REAL,
  facts_json TEXT NOT NULL,
  pid INTEGER,
  pid_started_at TEXT,
  log_path TEXT,
  PRIMARY KEY (run, start),
  FOREIGN KEY (run, start) REFERENCES start_row (run, start)
) STRICT;

CREATE TABLE start_end_row (
  run TEXT NOT NULL,
  start INTEGER NOT NULL,
  ended_at TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('stopped', 'detached', 'died', 'never_ready')),
  detail TEXT,
  log_digest TEXT,
  PRIMARY KEY (run, start),
  FOREIGN KEY (run, start) REFERENCES start_row (run, start)
) STRICT;

-- One attempt at a trial.
CREATE TABLE trial_row (
  attempt_id INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  trial TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  point TEXT NOT NULL,
  variant TEXT NOT NULL,
  workload TEXT NOT NULL,
  load_json TEXT NOT NULL,
  round INTEGER NOT NULL,
  repeat INTEGER NOT NULL,
  seed TEXT NOT NULL,
  start INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  planned_concurrency INTEGER,
  warmup_requests INTEGER NOT NULL,
  measured_json TEXT NOT NULL,
  cache_reset TEXT CHECK (cache_reset IN ('done', 'not_offered', 'failed')),
  UNIQUE (run, trial, attempt),
  FOREIGN KEY (run, start) REFERENCES start_row (run, start)
) STRICT;

CREATE TABLE trial_end_row (
  attempt_id INTEGER PRIMARY KEY REFERENCES trial_row (attempt_id),
  status TEXT NOT NULL CHECK (status IN ('measured', 'failed', 'interrupted')),
  reason TEXT,
  summary_json TEXT,
  window_start_ms REAL,
  window_end_ms REAL,
  watches_json TEXT
) STRICT;

-- One request; \`chunk_times\` as chunk-times.ts packs it, last so that the rest is read without it.
CREATE TABLE request_row (
  attempt_id INTEGER NOT NULL REFERENCES trial_row (attempt_id),
  request_index INTEGER NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('warmup', 'measured', 'filler')),
  status TEXT NOT NULL CHECK (
    status IN ('completed', 'rejected', 'truncated', 'timedOut', 'failed', 'cancelled')
  ),
  due_at_ms REAL NOT NULL,
  sent_at_ms REAL,
  headers_at_ms REAL,
  first_at_ms REAL,
  last_at_ms REAL,
  ended_at_ms REAL NOT NULL,
  output_chunks INTEGER NOT NULL,
  coalesced_chunks INTEGER NOT NULL,
  usage_prompt_tokens INTEGER,
  usage_completion_tokens INTEGER,
  usage_cached_tokens INTEGER,
  counted_input_tokens INTEGER,
  counted_output_tokens INTEGER,
  planned_input_tokens INTEGER NOT NULL,
  planned_output_tokens INTEGER NOT NULL,
  finish_reason TEXT,
  http_status INTEGER,
  detail TEXT,
  prompt_digest TEXT NOT NULL,
  chunk_times BLOB NOT NULL,
  PRIMARY KEY (attempt_id, request_index)
) STRICT;

-- Output tokens of a request that were emitted within the trial's window; filled when the trial ends.
CREATE TABLE request_window_row (
  attempt_id INTEGER NOT NULL,
  request_index INTEGER NOT NULL,
  window_tokens REAL NOT NULL,
  PRIMARY KEY (attempt_id, request_index),
  FOREIGN KEY (attempt_id, request_index) REFERENCES request_row (attempt_id, request_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE engine_reading_row (
  id INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES trial_row (attempt_id),
  at_ms REAL NOT NULL,
  running REAL,
  waiting REAL,
  kv_usage REAL,
  prompt_tokens_total REAL,
  generation_tokens_total REAL,
  prefix_queries_total REAL,
  prefix_hits_total REAL,
  prefix_hit_rate REAL,
  prompt_tokens_cached_total REAL,
  prompt_tokens_remote_total REAL,
  preemptions_total REAL,
  drafts_total REAL,
  draft_tokens_total REAL,
  accepted_tokens_total REAL
) STRICT;
CREATE INDEX engine_reading_of_attempt ON engine_reading_row (attempt_id);

CREATE TABLE gpu_reading_row (
  id INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES trial_row (attempt_id),
  at_ms REAL NOT NULL,
  gpu INTEGER NOT NULL,
  uuid TEXT,
  power_w REAL,
  sm_clock_mhz REAL,
  memory_clock_mhz REAL,
  temperature_c REAL,
  utilization REAL,
  memory_used_mib REAL,
  pcie_generation REAL,
  pcie_width REAL,
  event_reasons REAL,
  sw_power_cap_us REAL,
  hw_thermal_us REAL,
  sw_thermal_us REAL,
  hw_power_brake_us REAL,
  sync_boost_us REAL
) STRICT;
CREATE INDEX gpu_reading_of_attempt ON gpu_reading_row (attempt_id);

CREATE TABLE snapshot_row (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  leg INTEGER NOT NULL,
  scope TEXT NOT NULL CHECK (
    scope IN ('run-before', 'run-after', 'start', 'trial-before', 'trial-after')
  ),
  start INTEGER,
  trial TEXT,
  attempt INTEGER,
  taken_at TEXT NOT NULL,
  schema INTEGER NOT NULL,
  light INTEGER,
  fields_json TEXT NOT NULL,
  raw_json TEXT NOT NULL,
  FOREIGN KEY (run, leg) REFERENCES leg_row (run, leg)
) STRICT;
CREATE INDEX snapshot_of_run ON snapshot_row (run);

-- Computed again as often as wished; the newest generation counts, the older ones stay.
CREATE TABLE estimate_set_row (
  run TEXT NOT NULL REFERENCES run_row (run),
  generation INTEGER NOT NULL,
  definition_version TEXT NOT NULL,
  PRIMARY KEY (run, generation)
) STRICT;

CREATE TABLE estimate_row (
  run TEXT NOT NULL,
  generation INTEGER NOT NULL,
  position INTEGER NOT NULL,
  point TEXT NOT NULL,
  metric TEXT NOT NULL,
  value REAL,
  low REAL,
  high REAL,
  level REAL NOT NULL,
  n INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  rounds INTEGER NOT NULL,
  method TEXT NOT NULL,
  cv REAL,
  median_round_low REAL,
  median_round_high REAL,
  geometric INTEGER NOT NULL,
  per_round_json TEXT NOT NULL,
  missing_rounds_json TEXT,
  absence_json TEXT,
  unit TEXT NOT NULL,
  PRIMARY KEY (run, generation, position),
  FOREIGN KEY (run, generation) REFERENCES estimate_set_row (run, generation)
) STRICT;

CREATE TABLE audit_row (
  run TEXT NOT NULL REFERENCES run_row (run),
  generation INTEGER NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('valid', 'qualified', 'invalid')),
  result_json TEXT NOT NULL,
  PRIMARY KEY (run, generation)
) STRICT;

CREATE TABLE note_row (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL REFERENCES run_row (run),
  leg INTEGER,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;

-- Figures that somebody else printed.
CREATE TABLE reported_row (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  point TEXT NOT NULL,
  metric TEXT NOT NULL,
  definition TEXT NOT NULL,
  value REAL,
  unit TEXT NOT NULL,
  token_source TEXT,
  percentile_method TEXT
) STRICT;
`;

const tablesOfVersion1 = [
  "run_row",
  "leg_row",
  "leg_end_row",
  "start_row",
  "start_ready_row",
  "start_end_row",
  "trial_row",
  "trial_end_row",
  "request_row",
  "request_window_row",
  "engine_reading_row",
  "gpu_reading_row",
  "snapshot_row",
  "estimate_set_row",
  "estimate_row",
  "audit_row",
  "note_row",
  "reported_row",
];

/** Tables of version 2: what is known of the instrument. */
const version2 = `
-- One calibration of the client on one machine at one load; \`calibration_json\` holds all of it.
CREATE TABLE calibration_row (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  machine TEXT NOT NULL,
  tool TEXT NOT NULL,
  streams INTEGER NOT NULL,
  rate_per_s REAL NOT NULL,
  threads INTEGER NOT NULL,
  calibration_json TEXT NOT NULL
) STRICT;

-- The calibration that a leg of a run went by.
CREATE TABLE leg_calibration_row (
  run TEXT NOT NULL,
  leg INTEGER NOT NULL,
  calibration INTEGER NOT NULL REFERENCES calibration_row (id),
  PRIMARY KEY (run, leg),
  FOREIGN KEY (run, leg) REFERENCES leg_row (run, leg)
) STRICT;
`;

const tablesOfVersion2 = ["calibration_row", "leg_calibration_row"];

/** Tables of version 3: why rounds on demand ended. */
const version3 = `
-- After a whole round: no more rounds of a run, or (\`variant\`) of one variant whose rounds come in
-- one go. The last one counts: a resumption that fills in failed trials decides again.
CREATE TABLE rounds_end_row (
  id INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  leg INTEGER NOT NULL,
  variant TEXT,
  at TEXT NOT NULL,
  round INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('reached', 'max')),
  target REAL NOT NULL,
  trials_spared INTEGER NOT NULL,
  spreads_json TEXT NOT NULL,
  FOREIGN KEY (run, leg) REFERENCES leg_row (run, leg)
) STRICT;
CREATE INDEX rounds_end_of_run ON rounds_end_row (run);
`;

const tablesOfVersion3 = ["rounds_end_row"];

/** Triggers that let rows be added to a table and never changed or taken away. */
function appendOnly(table: string): string {
  const refuse = (action: "UPDATE" | "DELETE"): string => `
CREATE TRIGGER ${table}_no_${action.toLowerCase()} BEFORE ${action} ON ${table}
BEGIN SELECT RAISE(ABORT, '${table} is append-only: what was measured is never changed'); END;`;
  return refuse("UPDATE") + refuse("DELETE");
}

/** A trigger that closes a trial's samples once the trial ended. */
function sealed(table: string): string {
  return `
CREATE TRIGGER ${table}_sealed BEFORE INSERT ON ${table}
WHEN EXISTS (SELECT 1 FROM trial_end_row WHERE attempt_id = NEW.attempt_id)
BEGIN SELECT RAISE(ABORT, '${table}: the trial has ended and takes no more samples'); END;`;
}

/**
 * The steps of the schema: the n-th (from 1) leads from version n - 1 to n. A step is never edited once
 * it was released, only followed by another; an empty one renews the views. schema.test.ts says how a
 * step is tested.
 */
export const migrations: readonly string[] = [
  version1 +
    tablesOfVersion1.map(appendOnly).join("") +
    ["request_row", "request_window_row", "engine_reading_row", "gpu_reading_row"]
      .map(sealed)
      .join(""),
  version2 + tablesOfVersion2.map(appendOnly).join(""),
  version3 + tablesOfVersion3.map(appendOnly).join(""),
];
