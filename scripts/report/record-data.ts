// From a run's material to the numbers and texts of its record: chosen, formatted, each with the
// metric that made it. Pure; whatever prints it computes nothing.
import { type Finding, severityOrder, type Verdict } from "../audit/finding.ts";
import type { Load, LocalText } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import { findMetric } from "../stats/metrics.ts";
import type { Estimate } from "../stats/samples.ts";
import { formatNumber } from "../units.ts";
import type { ChartPoint } from "./chart-data.ts";
import type { Mark } from "./document.ts";
import { type MetricText, metricText } from "./metric-texts.ts";
import { type CacheRow, cacheRowsOf } from "./record-cache.ts";
import { chartPointOf } from "./record-charts.ts";
import { definitionsOf, type PointDefinitions } from "./record-definitions.ts";
import { type Deviation, deviationsOf } from "./record-deviations.ts";
import { type EnvironmentData, environmentOf } from "./record-environment.ts";
import { instrumentRows } from "./record-instrument.ts";
import type { FilledDefault, PointMaterial, RecordMaterial } from "./record-material.ts";
import { decimalsOf, type PrintedNumber, printCount, printEstimate } from "./record-numbers.ts";
import type {
  FindingData,
  Phrase,
  PointData,
  StartData,
  TextRow,
  VariantData,
} from "./record-parts.ts";
import { type SloData, sloOf } from "./record-slo.ts";
import { type GpuTelemetry, gpuTelemetryOf } from "./record-telemetry.ts";
import {
  basisNoteOf,
  factsOf,
  flagsOf,
  identityOf,
  intervalNoteOf,
  reproductionOf,
  subtitleOf,
} from "./record-texts.ts";
import { needsTokens, tokenNoteOf, tokenRemarks } from "./record-tokens.ts";
import { workloadsOf } from "./record-workload.ts";

export interface RecordData {
  readonly schema: 1;
  readonly run: string;
  readonly recordId: { readonly digest: string; readonly short: string };
  readonly title: LocalText;
  readonly subtitle: Phrase;
  readonly verdict: Verdict;
  /** "2026-01-14". */
  readonly date: string;
  readonly tool: string;
  readonly variants: readonly VariantData[];
  readonly points: readonly PointData[];
  readonly percentiles: readonly number[];
  /** Every key that a point has a number for. */
  readonly metrics: Readonly<Record<string, MetricText>>;
  readonly intervalNote: LocalText;
  /** The same in a few words, for captions. */
  readonly basisNote: LocalText;
  /** Who counted the tokens; undefined: the server all of them, and nothing need be said at a figure. */
  readonly tokenNote: LocalText | undefined;
  readonly identity: readonly TextRow[];
  readonly workloads: readonly { readonly name: string; readonly rows: readonly TextRow[] }[];
  readonly reproduction: { readonly command: string; readonly rows: readonly TextRow[] };
  readonly environment: EnvironmentData;
  /** What the prefix cache did, a row per measured point. */
  readonly cache: readonly CacheRow[];
  /** The figures of every measured point by the definitions of other tools beside ours. */
  readonly definitions: readonly PointDefinitions[];
  /** Up to which load the SLO is met; undefined: the experiment has none. */
  readonly slo: SloData | undefined;
  readonly gpus: GpuTelemetry;
  /** Of the client itself; empty where nothing is known. */
  readonly instrument: readonly TextRow[];
  readonly findings: readonly FindingData[];
  readonly notChecked: readonly {
    readonly rule: string;
    readonly label: LocalText;
    readonly why: LocalText;
  }[];
  readonly checked: readonly string[];
  readonly deviations: readonly Deviation[];
  readonly starts: readonly StartData[];
  readonly experimentSource: string;
  readonly experimentDefaults: readonly FilledDefault[];
  /** Sentences that a notebook can ask for by name. */
  readonly facts: Readonly<Record<string, Phrase>>;
  /** What a notebook can ask whether it holds. */
  readonly flags: Readonly<Record<string, boolean>>;
  readonly charts: readonly ChartPoint[];
}

/** Everything that a record of this run prints. */
export function buildRecordData(material: RecordMaterial): RecordData {
  const { run, experiment, audit } = material;
  const variants = experiment.variants.map(
    (variant, place): VariantData => ({
      name: variant.name,
      title: variant.title ?? { zh: variant.name, en: variant.name },
      place,
      model: variant.model,
    }),
  );
  const findings = findingsOf(material);
  const columns = columnsOf(material.measured);
  const points = material.points.map((point) =>
    pointData(point, material, variants, findings, columns),
  );
  return {
    schema: 1,
    run: run.id,
    recordId: material.recordId,
    title: experiment.title,
    subtitle: subtitleOf(material),
    verdict: audit.verdict,
    date: run.createdAt.slice(0, 10),
    tool: `benchbook ${run.tool.version}`,
    variants,
    points,
    percentiles: experiment.measure.percentiles,
    metrics: Object.fromEntries(columns),
    intervalNote: intervalNoteOf(material),
    basisNote: basisNoteOf(material),
    tokenNote: tokenNoteOf(material.measured),
    identity: identityOf(material, points),
    workloads: workloadsOf(material),
    reproduction: reproductionOf(material),
    environment: environmentOf(
      material.environment,
      variants.map(({ name }) => name),
    ),
    cache: cacheRowsOf(material),
    definitions: definitionsOf(material),
    slo: sloOf(material),
    gpus: gpuTelemetryOf(material),
    instrument: instrumentRows(material.instrument),
    findings,
    notChecked: audit.notChecked.map(({ rule, where, why }) => ({
      rule,
      label: labelOf(where, material),
      why,
    })),
    checked: audit.checked,
    deviations: deviationsOf(material),
    starts: run.starts.map((start) => startData(start, run.trials)),
    experimentSource: run.experimentSource,
    experimentDefaults: material.experimentDefaults ?? [],
    facts: factsOf(material, points, findings),
    flags: flagsOf(material, points),
    charts: points.flatMap((point) => chartPointOf(point, material, variants)),
  };
}

type Columns = ReadonlyMap<string, MetricText & { readonly decimals: number }>;

/** Every metric key that some point has, with decimals for the whole record. */
function columnsOf(measured: readonly PointMaterial[]): Columns {
  const byKey = new Map<string, Estimate[]>();
  for (const { estimates } of measured) {
    for (const [key, estimate] of estimates) {
      byKey.set(key, [...(byKey.get(key) ?? []), estimate]);
    }
  }
  const columns = new Map<string, MetricText & { readonly decimals: number }>();
  for (const key of [...byKey.keys()].sort()) {
    const text = metricText(key);
    if (text === undefined) continue;
    const most =
      (findMetric(key.split(".")[0] ?? "")?.decimals ?? 4) - (text.scale === 100 ? 2 : 0);
    const decimals = Math.min(Math.max(0, most), decimalsOf(byKey.get(key) ?? [], text.scale));
    columns.set(key, { ...text, decimals });
  }
  return columns;
}

function pointData(
  point: Point,
  material: RecordMaterial,
  variants: readonly VariantData[],
  findings: readonly FindingData[],
  columns: Columns,
): PointData {
  const measured = material.measured.find((one) => one.point === point.name);
  const variant = variants.find((one) => one.name === point.variant);
  const audited = material.audit.points.find((one) => one.point === point.name);
  const own = new Set((audited?.findings ?? []).map(findingKey));
  const numbers: Record<string, PrintedNumber> = { ...countsOf(point, measured, material) };
  const counting = tokenRemarks(measured?.tokenSources);
  for (const [key, column] of columns) {
    const remarks = measured === undefined ? [notMeasured] : needsTokens(key) ? counting : [];
    numbers[key] = printEstimate(measured?.estimates.get(key), point.name, column, remarks);
  }
  const shortLabel = shortLabelOf(point, material);
  return {
    name: point.name,
    variant: point.variant,
    place: variant?.place ?? 0,
    workload: point.workload,
    load: { kind: point.load.kind, label: loadLabel(point.load) },
    label: { zh: `${point.variant} ${shortLabel.zh}`, en: `${point.variant}, ${shortLabel.en}` },
    shortLabel,
    measured: measured !== undefined,
    mark: measured === undefined ? "not_checked" : (audited?.verdict ?? "not_checked"),
    reasons: findings.filter((one) => one.mark !== undefined && own.has(findingKey(one))),
    numbers,
  };
}

const notMeasured: LocalText = { zh: "未测量", en: "not measured" };

/** Planned and counted figures of a point, and its actual lengths. */
function countsOf(
  point: Point,
  measured: PointMaterial | undefined,
  { experiment }: RecordMaterial,
): Record<string, PrintedNumber> {
  const workload = experiment.workloads.find((one) => one.name === point.workload);
  const planned = { zh: "不是定值", en: "not a single value" };
  const exact = (length: { readonly kind: string; readonly tokens?: number } | undefined) =>
    length?.kind === "exact" ? length.tokens : undefined;
  const figures: readonly (readonly [string, number | undefined, LocalText])[] = [
    ["planned_input_tokens", exact(workload?.input), planned],
    ["planned_output_tokens", exact(workload?.output), planned],
    ["requests_measured", measured?.requests.measured, notMeasured],
    ["requests_completed", measured?.requests.completed, notMeasured],
    ["requests_failed", measured?.requests.failed, notMeasured],
    ...lengthFigures("input_tokens", measured),
    ...lengthFigures("output_tokens", measured),
    point.load.kind === "concurrency"
      ? ["planned_concurrency", point.load.concurrency, planned]
      : [
          "planned_rate",
          point.load.kind === "rate" ? point.load.requestRatePerS : undefined,
          planned,
        ],
  ];
  const counting = tokenRemarks(measured?.tokenSources);
  return Object.fromEntries(
    figures.map(([key, count, why]) => {
      const unit = metricText(key)?.unit ?? { zh: "", en: "" };
      const remarks = needsTokens(key) ? counting : [];
      return [key, printCount(point.name, key, count, unit, why, remarks)];
    }),
  );
}

function lengthFigures(
  key: "input_tokens" | "output_tokens",
  measured: PointMaterial | undefined,
): readonly (readonly [string, number | undefined, LocalText])[] {
  const lengths = key === "input_tokens" ? measured?.inputTokens : measured?.outputTokens;
  const why =
    measured === undefined ? notMeasured : { zh: "没有 token 计数", en: "no token count" };
  return [
    [key, lengths?.mean, why],
    [`${key}.min`, lengths?.min, why],
    [`${key}.p99`, lengths?.p99, why],
    [`${key}.max`, lengths?.max, why],
  ];
}

/** All findings, of points and of the run, worst first, each once. */
function findingsOf(material: RecordMaterial): readonly FindingData[] {
  const { audit, points } = material;
  const seen = new Set<string>();
  const all = [...audit.findings, ...audit.points.flatMap((point) => point.findings)].filter(
    (one) => {
      const key = findingKey(one);
      const first = !seen.has(key);
      seen.add(key);
      return first;
    },
  );
  const place = ({ where }: Finding): number => points.findIndex((point) => point.name === where);
  return all
    .map((finding, order) => ({ finding, order }))
    .sort(
      (a, b) =>
        severityOrder.indexOf(a.finding.severity) - severityOrder.indexOf(b.finding.severity) ||
        place(a.finding) - place(b.finding) ||
        a.order - b.order,
    )
    .map(({ finding }, order) => ({
      id: `f-${order + 1}`,
      rule: finding.rule,
      severity: finding.severity,
      mark: markOf(finding),
      where: finding.where,
      label: labelOf(finding.where, material),
      seen: finding.seen,
      expected: finding.expected,
      mend: finding.mend,
      waived: finding.waived,
    }));
}

/** The same finding may stand under a point and under the run. */
function findingKey({ rule, where, seen }: Pick<Finding, "rule" | "where" | "seen">): string {
  return JSON.stringify([rule, where, seen.en]);
}

function markOf({ severity, waived }: Finding): Mark | undefined {
  if (waived !== undefined || severity === "warn" || severity === "info") return undefined;
  return severity === "block" ? "invalid" : "qualified";
}

/** A place's name for people: a point's label, the run, the environment. */
function labelOf(where: string, material: RecordMaterial): LocalText {
  const point = material.points.find((one) => one.name === where);
  if (point !== undefined) {
    const short = shortLabelOf(point, material);
    return { zh: `${point.variant} ${short.zh}`, en: `${point.variant}, ${short.en}` };
  }
  if (where === "run") return { zh: "整次运行", en: "the run" };
  return where === "environment" ? { zh: "环境", en: "the environment" } : { zh: where, en: where };
}

function shortLabelOf(point: Point, { experiment }: RecordMaterial): LocalText {
  const load = loadLabel(point.load);
  if (experiment.workloads.length < 2) return load;
  return { zh: `${point.workload} ${load.zh}`, en: `${point.workload}, ${load.en}` };
}

function loadLabel(load: Load): LocalText {
  switch (load.kind) {
    case "concurrency":
      return { zh: `并发 ${load.concurrency}`, en: `concurrency ${load.concurrency}` };
    case "rate":
      return { zh: `速率 ${load.requestRatePerS}/s`, en: `rate ${load.requestRatePerS}/s` };
    case "ramp": {
      const { fromPerS, toPerS } = load;
      return { zh: `爬坡 ${fromPerS}→${toPerS}/s`, en: `ramp ${fromPerS} to ${toPerS}/s` };
    }
    case "trace":
      return { zh: `轨迹 ${load.name}`, en: `trace ${load.name}` };
  }
}

type Run = RecordMaterial["run"];

function startData(start: Run["starts"][number], trials: Run["trials"]): StartData {
  const { facts } = start;
  const { kvCacheTokens } = facts.settings;
  const served = trials.filter((trial) => trial.start === start.start).map(({ round }) => round);
  const [first, last] = [Math.min(...served), Math.max(...served)];
  const config =
    facts.config === undefined
      ? undefined
      : Object.entries(facts.config)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, value]) => [key, String(value)] as const);
  return {
    start: String(start.start),
    variant: start.variant,
    round: String(start.round),
    startupS: start.startupMs === undefined ? undefined : formatNumber(start.startupMs / 1000, 1),
    kvCacheTokens: kvCacheTokens === undefined ? undefined : formatNumber(kvCacheTokens, 0),
    servedRounds: last > first ? `${first}–${last}` : undefined,
    ready: start.ended.kind !== "never_ready" && (facts.name !== "" || facts.argv !== undefined),
    argv: facts.argv,
    env: facts.env,
    config,
    configDigest: facts.configDigest,
    ended: endOf(start.ended),
  };
}

function endOf(ended: Run["starts"][number]["ended"]): Phrase {
  switch (ended.kind) {
    case "stopped":
      return [{ text: { zh: "按计划停止", en: "stopped as planned" } }];
    case "detached":
      return [{ text: { zh: "外部服务，测完未停", en: "only attached to, and left as it was" } }];
    case "running":
      return [
        { text: { zh: "生成记录时仍在运行", en: "still running when this record was made" } },
      ];
    case "unknown":
      return [
        {
          text: {
            zh: "未知，benchbook 被强制终止",
            en: "not known: benchbook was killed",
          },
        },
      ];
    case "died":
      return [{ text: { zh: "中途退出：", en: "died: " } }, { data: ended.reason }];
    case "never_ready":
      return [{ text: { zh: "未能就绪：", en: "never became ready: " } }, { data: ended.reason }];
  }
}
