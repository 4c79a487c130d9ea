// What a running server says of itself over HTTP, and its log where there is one: which engine it is,
// its version, its resolved configuration, the settings that decide a measurement.
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { z } from "zod";
import { isSettingOfItsOwn } from "../environment/engine-fields.ts";
import type { EngineEndpoint, EngineFacts } from "./engine.ts";
import { type Answers, type EngineKind, type EngineWords, engineKinds } from "./engine-kinds.ts";
import { probe } from "./http.ts";
import { type FlatSettings, readCacheInfo, readSettings } from "./settings.ts";
import { readStartLog, type StartLogFacts } from "./vllm-log.ts";

type Connection = Pick<EngineEndpoint, "baseUrl" | "headers">;

const modelList = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      owned_by: z.string().nullish(),
      max_model_len: z.number().nullish(),
      root: z.string().nullish(),
    }),
  ),
});

export interface ServedModel {
  readonly id: string;
  readonly ownedBy: string | undefined;
  readonly maxModelLen: number | undefined;
  /** The folder or hub id behind a served name; undefined: it does not say. */
  readonly root: string | undefined;
}

/** Why a server gave no list of models, and the status that it answered; undefined: nobody answered. */
export interface NoModels {
  readonly why: string;
  readonly status: number | undefined;
}

/** The models of GET /v1/models, or why there are none. */
export async function servedModels({
  baseUrl,
  headers,
}: Connection): Promise<{ readonly models: readonly ServedModel[] } | NoModels> {
  const answer = await probe(`${baseUrl}/v1/models`, { headers });
  if (answer.kind === "unreachable") return { why: answer.why, status: undefined };
  const { status } = answer;
  if (status === 401 || status === 403) {
    return { why: `it answers ${status}: the key is missing or wrong`, status };
  }
  if (status !== 200) return { why: `GET /v1/models answered ${status}`, status };
  const parsed = modelList.safeParse(parseJson(answer.text));
  if (!parsed.success)
    return { why: "GET /v1/models did not answer with a list of models", status };
  return {
    models: parsed.data.data.map((model) => ({
      id: model.id,
      ownedBy: model.owned_by ?? undefined,
      maxModelLen: model.max_model_len ?? undefined,
      root: model.root ?? undefined,
    })),
  };
}

export type SelfReport = Pick<
  EngineFacts,
  | "name"
  | "version"
  | "config"
  | "configDigest"
  | "maxNumSeqs"
  | "maxModelLen"
  | "settings"
  | "nonDefaultArgs"
>;

export interface SelfReportOptions {
  /** The log of its start, or its beginning; undefined: none is at hand. */
  readonly log?: string;
  /** The model's name on the server; undefined: the first that it lists. */
  readonly model?: string;
  /** Longest that it may take to describe itself; default `firstDescriptionMs`. */
  readonly limitMs?: number;
}

/**
 * How long a server may take to describe itself for the first time: vLLM then looks through its whole
 * machine, which takes many seconds on a busy one. It keeps what it found: a server that is asked
 * again, around a trial, answers within `laterDescriptionMs` or not at all.
 */
const firstDescriptionMs = 60_000;
export const laterDescriptionMs = 10_000;

/** What a server says of itself, as far as it does. Never throws. */
export async function selfReport(
  connection: Connection,
  { log, model, limitMs = firstDescriptionMs }: SelfReportOptions = {},
): Promise<SelfReport> {
  const listed = await servedModels(connection);
  const models = "models" in listed ? listed.models : [];
  const served =
    models.find(({ id }) => id === model) ?? (model === undefined ? models[0] : undefined);
  const logged = log === undefined ? undefined : readStartLog(log);
  const {
    name,
    version,
    config: disclosed,
    silent,
  } = await askKind(connection, {
    ownedBy: served?.ownedBy,
    model: model ?? served?.id ?? "",
    limitMs,
  });
  // A server that fell silent tells nothing now: another source for the same would look like a change.
  const config = disclosed ?? (silent ? undefined : logged?.config);
  const said = await settingsOf(connection, { name, config, logged });
  return {
    name: name ?? logged?.engine ?? served?.ownedBy ?? "OpenAI-compatible server",
    version: version ?? logged?.version,
    config,
    configDigest: config && digestOf(config),
    maxNumSeqs: said.maxNumSeqs,
    maxModelLen: served?.maxModelLen ?? said.maxModelLen,
    settings: said.settings,
    nonDefaultArgs: logged?.nonDefaultArgs,
  };
}

/** Asks as the owner of its models suggests, else in every way that is known. */
async function askKind(
  { baseUrl, headers }: Connection,
  {
    ownedBy,
    model,
    limitMs,
  }: { readonly ownedBy: string | undefined; readonly model: string; readonly limitMs: number },
): Promise<EngineWords & { readonly name: string | undefined; readonly silent: boolean }> {
  const owner = engineKinds.find(({ owners }) => ownedBy !== undefined && owners.includes(ownedBy));
  const kinds: readonly EngineKind[] = owner === undefined ? engineKinds : [owner];
  const paths = [...new Set(kinds.flatMap((kind) => kind.paths))];
  const asked = await Promise.all(
    paths.map(async (path) => {
      const answer = await probe(`${baseUrl}${path}`, { headers, timeoutMs: limitMs });
      return { path, answer };
    }),
  );
  const answers: Answers = new Map(
    asked.flatMap(({ path, answer }) =>
      answer.kind === "answer" && answer.status === 200 ? [[path, parseJson(answer.text)]] : [],
    ),
  );
  const silent = asked.some(({ answer }) => answer.kind === "unreachable");
  const kind = owner ?? kinds.find((candidate) => candidate.recognises(answers));
  if (kind !== undefined) return { name: kind.name, silent, ...kind.read(answers, model) };
  const version = z.object({ version: z.string() }).safeParse(answers.get("/version"));
  return {
    name: undefined,
    silent,
    version: version.success ? version.data.version : undefined,
    config: undefined,
  };
}

async function settingsOf(
  { baseUrl, headers }: Connection,
  {
    name,
    config,
    logged,
  }: {
    readonly name: string | undefined;
    readonly config: FlatSettings | undefined;
    readonly logged: StartLogFacts | undefined;
  },
): Promise<Pick<SelfReport, "settings" | "maxNumSeqs" | "maxModelLen">> {
  // What it found as it started is truer than what was asked for; arguments come last.
  const said = [logged?.found, config, logged?.config, logged?.nonDefaultArgs, logged?.args].filter(
    (source) => source !== undefined,
  );
  const first = readSettings(said);
  const { kvCacheTokens, prefixCaching, blockSize, gpuMemoryUtilization } = first;
  const isComplete = [kvCacheTokens, prefixCaching, blockSize, gpuMemoryUtilization].every(
    (setting) => setting !== undefined,
  );
  const mayHaveCacheInfo = name === "vLLM" || name === undefined;
  const page =
    isComplete || !mayHaveCacheInfo ? undefined : await probe(`${baseUrl}/metrics`, { headers });
  const { maxNumSeqs, maxModelLen, ...settings } =
    page?.kind === "answer" && page.status === 200
      ? readSettings([...said, readCacheInfo(page.text)])
      : first;
  return { settings, maxNumSeqs, maxModelLen };
}

/** The same for two starts that serve alike, on any machine. */
function digestOf(config: FlatSettings): string {
  const own = Object.fromEntries(
    Object.entries(config).filter(([name]) => isSettingOfItsOwn(name)),
  );
  return createHash("sha256")
    .update(canonicalize(own) ?? "")
    .digest("hex");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
