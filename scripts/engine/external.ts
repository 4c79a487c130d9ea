// A server that somebody else started: benchbook attaches, asks what it says of itself, and leaves.
import type { UserErrorParts } from "../errors.ts";
import type { ExternalEngine } from "../experiment/experiment.ts";
import type {
  EngineAdapter,
  EngineEndpoint,
  EngineExit,
  EngineFacts,
  RunningEngine,
  VariantOf,
} from "./engine.ts";
import { EngineStartError, usualPaths } from "./engine.ts";
import { probe } from "./http.ts";
import { resetPrefixCache } from "./reset-prefix-cache.ts";
import { laterDescriptionMs, type SelfReport, selfReport, servedModels } from "./self-report.ts";

export const external: EngineAdapter<ExternalEngine> = { check, start };

function check({ engine }: VariantOf<ExternalEngine>): Promise<readonly UserErrorParts[]> {
  const where = `engines.${engine.name}`;
  const missing = (name: string): boolean => (process.env[name] ?? "") === "";
  const problems: UserErrorParts[] = [];
  if (engine.key !== undefined && missing(engine.key.env)) {
    problems.push({
      what: `the environment variable ${engine.key.env}, which holds the server's key, is not set`,
      where: `${where}.key`,
      mend: `export ${engine.key.env}=... in this shell, or take \`key\` out when the server wants none`,
    });
  }
  for (const [header, value] of Object.entries(engine.headers)) {
    if (typeof value === "string" || !missing(value.env)) continue;
    problems.push({
      what: `the environment variable ${value.env}, which holds the header ${header}, is not set`,
      where: `${where}.headers.${header}`,
      mend: `export ${value.env}=... in this shell`,
    });
  }
  return Promise.resolve(problems);
}

async function start(variant: VariantOf<ExternalEngine>): Promise<RunningEngine> {
  const { engine, model } = variant;
  const baseUrl = engine.url.replace(/\/+$/, "").replace(/\/v1$/, "");
  const paths = { ...usualPaths, ...engine.paths };
  const endpoint: EngineEndpoint = { baseUrl, model, headers: headersOf(engine), paths };
  const notes = await findModel(endpoint);
  const factsOf = (said: SelfReport): EngineFacts => ({
    ...said,
    argv: undefined,
    env: {},
    container: undefined,
  });
  const facts = factsOf(await selfReport(endpoint, { model }));
  return {
    endpoint,
    facts,
    readFacts: async () => {
      // It may have gone away, or serve something else by now.
      await findModel(endpoint);
      return factsOf(await selfReport(endpoint, { model, limitMs: laterDescriptionMs }));
    },
    startupMs: undefined,
    pid: undefined,
    logPath: undefined,
    exited: new Promise<EngineExit>(() => {
      // It never ends as far as we can see: its failures show as failed requests.
    }),
    interpreter: undefined,
    notes,
    resetPrefixCache: () =>
      resetPrefixCache(endpoint, { dialect: facts.name === "SGLang" ? "SGLang" : "vLLM" }),
    stop: () => Promise.resolve([]),
  };
}

function headersOf({ key, headers }: ExternalEngine): Readonly<Record<string, string>> {
  const secret = key === undefined ? undefined : process.env[key.env];
  return {
    ...Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        typeof value === "string" ? value : (process.env[value.env] ?? ""),
      ]),
    ),
    ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
  };
}

/**
 * Makes sure that the server serves the model, as far as it tells.
 *
 * @returns what it does not tell, for the record
 * @throws EngineStartError when nobody answers, the key is refused, or the model is not served
 */
async function findModel(endpoint: EngineEndpoint): Promise<readonly string[]> {
  const { baseUrl, model: wanted } = endpoint;
  const listed = await servedModels(endpoint);
  if ("models" in listed) {
    const names = listed.models.map(({ id }) => id);
    // Ollama takes a name without its tag.
    if (names.includes(wanted) || names.includes(`${wanted}:latest`)) return [];
    if (names.length === 0) {
      return [
        `the server at ${baseUrl} lists no model; that it serves "${wanted}" is not confirmed`,
      ];
    }
    throw new EngineStartError(
      `the server at ${baseUrl} does not serve "${wanted}"`,
      `one of: ${names.join(", ")}`,
    );
  }
  const { why, status } = listed;
  const refused = status === 401 || status === 403;
  const answers =
    status === 404 || status === 405 || status === 501 ? await asksBack(endpoint) : undefined;
  if (answers === true) {
    return [
      `the server at ${baseUrl} has no list of models; that it serves "${wanted}" is not confirmed`,
    ];
  }
  throw new EngineStartError(
    `no OpenAI-compatible server answers at ${baseUrl}: ${typeof answers === "string" ? answers : why}`,
    refused || typeof answers === "string"
      ? "name the variable that holds the key with `key: { env: NAME }`, or the header that the server wants with `headers`"
      : "start the server, or correct `url` (without /v1), `paths` and `key`",
  );
}

/**
 * Whether a server without a list of models knows one of the paths for requests: it then finds fault
 * with an empty one. A text: it does, but refuses us.
 */
async function asksBack({
  baseUrl,
  headers,
  paths = usualPaths,
}: EngineEndpoint): Promise<boolean | string> {
  for (const path of [paths.chat, paths.completions]) {
    const answer = await probe(`${baseUrl}${path}`, { headers, body: {} });
    if (answer.kind === "unreachable" || answer.status === 404 || answer.status === 405) continue;
    if (answer.status === 401 || answer.status === 403)
      return `it answers ${answer.status}: the key is missing or wrong`;
    return true;
  }
  return false;
}
