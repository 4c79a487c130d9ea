import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appendCase, caseAudit, caseEstimate } from "../testing/store-case.ts";
import { Store } from "./store.ts";
import { type ViewName, viewColumns } from "./views.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-views-"));
const path = join(folder, "benchbook.db");
const run = "20251219T103940Z-quickstart-3fa2";
let store: Store;

beforeAll(() => {
  store = Store.open(path);
  appendCase(store, run);
  store.appendEstimates(run, {
    definitionVersion: "1",
    rows: [{ point: "fp32/c2", estimate: caseEstimate }],
  });
  store.appendAudit(run, caseAudit);
});

afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const ask = (sql: string): unknown => store.query(sql).rows;

// The trial by hand, in ms. Window: 31 (first measured sent) to 62 (first filler sent).
//   0 warmup    0 .. 10 20 30    .. 30
//   1 warmup    0 .. 15 25 45    .. 45     in flight within the window 31-45: 14
//   2 measured 31 .. 41 51 61    .. 62     31-62: 31
//   3 measured 46 .. 60 80       .. 80     46-62: 16
//   4 filler   62 .. 75 cancelled   90     0
describe("a point's figures by a few lines of SQL", () => {
  it("give latencies of the measured cohort", () => {
    // TTFT 41-31 = 10, 60-46 = 14; E2E 61-31 = 30, 80-46 = 34; TPOT (30-10)/2 = 10, (34-14)/2 = 10.
    expect(
      ask(`SELECT count(*), avg(ttft_ms), avg(e2e_ms), avg(tpot_ms), max(client_delay_ms)
           FROM request WHERE run = '${run}' AND point = 'fp32/c2' AND counts
             AND phase = 'measured' AND status = 'completed'`),
    ).toEqual([[2, 12, 32, 10, 1]]);
  });

  it("give percentiles of type 7", () => {
    // 10 + 0.9 * (14 - 10) = 13.6
    expect(
      ask(`WITH t AS (
             SELECT ttft_ms AS x, row_number() OVER (ORDER BY ttft_ms) - 1 AS k, count(*) OVER () AS n
             FROM request WHERE counts AND phase = 'measured' AND status = 'completed'),
           h AS (SELECT 0.9 * (max(n) - 1) AS h FROM t)
           SELECT round(a.x + (h - floor(h)) * (b.x - a.x), 9)
           FROM h JOIN t a ON a.k = floor(h) JOIN t b ON b.k = ceil(h)`),
    ).toEqual([[13.6]]);
  });

  it("give rates over the window and the achieved concurrency", () => {
    // Completed in (31, 62]: requests 1 (45) and 2 (62): 2 / 31 ms = 64.516129 /s.
    // Tokens 1 + 3 + 1.5 = 5.5 / 31 ms = 177.419355 /s. In flight (14 + 31 + 16) / 31 = 1.967742.
    expect(
      ask(`SELECT round(1000.0 * sum(r.in_window) / t.window_ms, 6),
                  round(1000.0 * sum(r.window_tokens) / t.window_ms, 6),
                  round(sum(r.window_overlap_ms) / t.window_ms, 6)
           FROM request r JOIN trial t USING (attempt_id) WHERE t.counts GROUP BY attempt_id`),
    ).toEqual([[64.516129, 177.419355, 1.967742]]);
  });

  it("give pooled gaps between chunks through chunk_gap", () => {
    // 41 51 61 and 60 80: gaps 10, 10, 20.
    expect(
      ask(`SELECT r.request_index, g.chunk, g.at_ms, g.gap_ms
           FROM request r, chunk_gap(r.chunk_times) g WHERE r.counts AND r.phase = 'measured'`),
    ).toEqual([
      [2, 0, 41, null],
      [2, 1, 51, 10],
      [2, 2, 61, 10],
      [3, 0, 60, null],
      [3, 1, 80, 20],
    ]);
  });
});

describe("the views", () => {
  it("show run, trial, environment, metric and finding", () => {
    expect(
      ask(
        "SELECT status, verdict, legs, trials_planned, trials_measured, benchbook_dirty FROM run",
      ),
    ).toEqual([["open", "qualified", 1, 2, 1, 0]]);
    expect(
      ask(`SELECT status, load_kind, planned_concurrency, window_ms, zero_at IS NOT NULL,
             client_cpu_share, client_event_loop_delay_p99_ms, clock_drift_ms FROM trial`),
    ).toEqual([["measured", "concurrency", 2, 31, 1, 0.25, 1.5, 0.125]]);
    expect(ask("SELECT field, state, value, unit, reason FROM environment")).toEqual([
      ["host.memory", "value", 34359738368, "B", null],
      ["host.swap", "value", "false", null, null],
      ["gpu.0.name", "not_applicable", null, null, "this machine has no GPU"],
    ]);
    expect(ask("SELECT point, metric, value, low, unit, n, absence FROM metric")).toEqual([
      ["fp32/c2", "ttft_mean", 12, null, "ms", 2, '{"kind":"one_round"}'],
    ]);
    expect(ask("SELECT rule, severity, place, seen_zh, evidence, waived_by FROM finding")).toEqual([
      ["E23", "warn", "fp32/c2", "1 轮", '{"rounds":1}', null],
    ]);
  });

  it("have the columns that scripts rely on: a change here is a major version", () => {
    const names = Object.fromEntries(
      Object.entries(viewColumns).map(([view, columns]) => [
        view,
        columns.map(({ name }) => name).join(" "),
      ]),
    );
    expect(names).toMatchInlineSnapshot(`
      {
        "calibration": "calibration at machine benchbook_version streams rate_per_s threads seconds events error_p50_ms error_p99_ms burst_error_p50_ms burst_error_p99_ms gap_error_p50_ms gap_error_p99_ms ttft_error_p50_ms ttft_error_p99_ms start_lag_p50_ms start_lag_p99_ms events_per_s cpu_share coalesced_share event_loop_delay_p99_ms runs",
        "engine_reading": "run trial attempt at_ms running waiting kv_usage prompt_tokens_total prompt_tokens_cached_total prompt_tokens_remote_total generation_tokens_total prefix_queries_total prefix_hits_total prefix_hit_rate preemptions_total drafts_total draft_tokens_total accepted_tokens_total",
        "environment": "run leg scope start trial attempt field field_group class state value unit reason source at",
        "finding": "run rule severity place seen_zh seen_en expected_zh expected_en mend_zh mend_en evidence waived_reason waived_by generation",
        "gpu_reading": "run trial attempt at_ms gpu uuid power_w sm_clock_mhz memory_clock_mhz temperature_c utilization memory_used_mib pcie_generation pcie_width event_reasons sw_power_cap_us hw_thermal_us sw_thermal_us hw_power_brake_us sync_boost_us",
        "metric": "run point metric value low high level unit n starts rounds method cv median_round_low median_round_high geometric absence per_round definition_version generation",
        "reported": "run point metric definition value unit token_source percentile_method",
        "request": "attempt_id run trial attempt counts point variant workload round repeat start request_index phase status due_at_ms sent_at_ms headers_at_ms first_at_ms last_at_ms ended_at_ms client_delay_ms ttft_ms e2e_ms tpot_ms input_tokens output_tokens cached_tokens token_source window_tokens in_window window_overlap_ms output_chunks coalesced_chunks planned_input_tokens planned_output_tokens finish_reason http_status detail prompt_digest chunk_times",
        "rounds_end": "run variant at round outcome target point metric values_behind value half_width_share is_reached",
        "run": "run experiment title_zh title_en created_at status status_detail verdict legs started_at ended_at trials_planned trials_measured window_kind benchbook_version benchbook_commit benchbook_dirty node_version",
        "trial": "attempt_id run trial attempt counts point variant workload load_kind cache_reset planned_concurrency planned_request_rate_per_s round repeat seed start leg status reason started_at zero_at ended_at_ms window_kind window_start_ms window_end_ms window_ms planned_warmup_requests planned_measured_requests planned_measured_ms clock_drift_ms client_cpu_share client_event_loop_delay_p99_ms client_event_loop_delay_max_ms client_gc_pause_total_ms",
      }
    `);
  });

  it("are documented in the file itself, column by column", () => {
    const db = new SqliteDatabase(path, { readonly: true });
    for (const [view, columns] of Object.entries(viewColumns)) {
      const inFile = db.prepare<[], { readonly name: string }>(`PRAGMA table_info(${view})`).all();
      expect(inFile.map(({ name }) => name)).toEqual(columns.map(({ name }) => name));
      expect(
        db
          .prepare("SELECT name, meaning FROM view_column WHERE view = ? ORDER BY position")
          .all(view),
      ).toEqual(columns);
      for (const { meaning } of columns) expect(meaning).not.toBe("");
    }
    db.close();
  });

  it("can be read by a client that knows none of our functions, while a run is being written", () => {
    const reader = new SqliteDatabase(path, { readonly: true });
    reader.exec("BEGIN");
    const count = (view: ViewName): unknown =>
      reader.prepare(`SELECT count(*) FROM ${view}`).pluck().get();
    expect(count("request")).toBe(5);
    appendCase(store, "20251219T113940Z-quickstart-4444");
    // Its transaction sees what it saw; the writer did not wait for it.
    expect(count("request")).toBe(5);
    reader.exec("COMMIT");
    expect(count("request")).toBe(10);
    for (const view of Object.keys(viewColumns)) reader.prepare(`SELECT * FROM ${view}`).all();
    reader.close();
  });
});

describe("a query", () => {
  it("takes parameters by name and by position", () => {
    const sql = "SELECT count(*) AS n FROM request WHERE run = ";
    expect(store.query(`${sql}@run`, { run }).rows).toEqual([[5]]);
    expect(store.query(`${sql}?`, [run])).toEqual({ columns: ["n"], rows: [[5]], cut: false });
  });

  it("is cut at its row limit and stopped at its time limit", () => {
    const numbers =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    expect(store.query(numbers, [], { maxRows: 3 })).toEqual({
      columns: ["i"],
      rows: [[1], [2], [3]],
      cut: true,
    });
    expect(() => store.query(numbers, [], { maxRows: 1e9, maxMs: 5 })).toThrow(
      /longer than 0.005 s/,
    );
  });

  it("can't write, and says what is wrong with a wrong one", () => {
    expect(() => store.query("DELETE FROM request_row")).toThrow("must be one SELECT");
    expect(() => store.query("ATTACH 'other.db' AS other")).toThrow("must be one SELECT");
    expect(() => store.query("SELECT 1; SELECT 2")).toThrow("more than one statement");
    expect(() => store.query("SELECT ttft FROM request")).toThrow("no such column: ttft");
    expect(() => store.query("SELECT @run")).toThrow(/the query is wrong: .*parameter/);
    expect(() => store.query("")).toThrow("the query is wrong");
  });
});
