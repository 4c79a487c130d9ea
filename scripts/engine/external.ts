// A server that somebody else started: benchbook attaches, asks what it says of itself, and leaves.
import type { UserErrorParts } from "../errors.ts";
import type { ExternalEngine } from "../experiment/experiment.ts";
import type { EngineAdapter, EngineExit, EngineFacts, RunningEngine, VariantOf } from "./engine.ts";
import { EngineStartError, undisclosedSettings } from "./engine.ts";
import { type ServedModel, selfReport, servedModels } from "./self-report.ts";

export const external: EngineAdapter<ExternalEngine> = { check, start };

function check(variant: VariantOf<ExternalEngine>): Promise<readonly UserErrorParts[]> {
  const key = variant.engine.key;
  if (key === undefined || (process.env[key.env] ?? "") !== "") return Promise.resolve([]);
  return Promise.resolve([
    {
      what: `the environment variable ${key.env}, which holds the server's key, is not set`,
      where: `engines.${variant.engine.name}.key`,
      mend: `export ${key.env}=... in this shell, or take \`key\` out when the server wants none`,
    },
  ]);
}

async function start(variant: VariantOf<ExternalEngine>): Promise<RunningEngine> {
  const { engine } = variant;
  const baseUrl = engine.url.replace(/\/+$/, "").replace(/\/v1$/, "");
  const key = engine.key === undefined ? undefined : process.env[engine.key.env];
  const headers = {
    ...engine.headers,
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
  };
  const connection = { baseUrl, headers };
  const readFacts = async (): Promise<EngineFacts> => {
    const model = await findModel(connection, variant.model);
    const report = await selfReport(connection);
    return {
      name: model.ownedBy ?? "OpenAI-compatible server",
      ...report,
      argv: undefined,
      env: {},
      maxModelLen: model.maxModelLen,
      settings: undisclosedSettings,
      nonDefaultArgs: undefined,
      container: undefined,
    };
  };
  return {
    endpoint: { baseUrl, model: variant.model, headers },
    facts: await readFacts(),
    readFacts,
    startupMs: undefined,
    pid: undefined,
    logPath: undefined,
    exited: new Promise<EngineExit>(() => {
      // It never ends as far as we can see: its failures show as failed requests.
    }),
    interpreter: undefined,
    resetPrefixCache: () => Promise.resolve("not_offered"),
    stop: () => Promise.resolve([]),
  };
}

/** @throws EngineStartError when nobody answers or the model is not served */
async function findModel(
  connection: Parameters<typeof servedModels>[0],
  wanted: string,
): Promise<ServedModel> {
  const { baseUrl } = connection;
  const listed = await servedModels(connection);
  if ("why" in listed) {
    throw new EngineStartError(
      `no OpenAI-compatible server answers at ${baseUrl}: ${listed.why}`,
      "start the server, or correct `url` (without /v1) and `key`",
    );
  }
  const model = listed.models.find(({ id }) => id === wanted);
  if (model !== undefined) return model;
  const names = listed.models.map(({ id }) => id).join(", ");
  throw new EngineStartError(
    `the server at ${baseUrl} does not serve "${wanted}"`,
    names === "" ? "its list of models is empty" : `one of: ${names}`,
  );
}
