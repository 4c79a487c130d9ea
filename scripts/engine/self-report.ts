// What a running server says of itself over HTTP: models, version, resolved configuration.
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { z } from "zod";
import { placeSettings } from "../environment/engine-fields.ts";
import type { EngineFacts } from "./engine.ts";
import { probe, probeJson } from "./http.ts";

const modelList = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      owned_by: z.string().optional(),
      max_model_len: z.number().nullish(),
    }),
  ),
});

export interface ServedModel {
  readonly id: string;
  readonly ownedBy: string | undefined;
  readonly maxModelLen: number | undefined;
}

interface Connection {
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The models of GET /v1/models, or why there are none. */
export async function servedModels({
  baseUrl,
  headers,
}: Connection): Promise<{ readonly models: readonly ServedModel[] } | { readonly why: string }> {
  const answer = await probe(`${baseUrl}/v1/models`, { headers });
  if (answer.kind === "unreachable") return { why: answer.why };
  if (answer.status === 401 || answer.status === 403) {
    return { why: `it answers ${answer.status}: the key is missing or wrong` };
  }
  if (answer.status !== 200) return { why: `GET /v1/models answered ${answer.status}` };
  const parsed = modelList.safeParse(parseJson(answer.text));
  if (!parsed.success) return { why: "GET /v1/models did not answer with a list of models" };
  return {
    models: parsed.data.data.map((model) => ({
      id: model.id,
      ownedBy: model.owned_by,
      maxModelLen: model.max_model_len ?? undefined,
    })),
  };
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** Version and resolved configuration, as far as the server offers them. */
export async function selfReport({
  baseUrl,
  headers,
}: Connection): Promise<Pick<EngineFacts, "version" | "config" | "configDigest" | "maxNumSeqs">> {
  const [versionAnswer, info] = await Promise.all([
    probeJson(`${baseUrl}/version`, { headers }),
    probeJson(`${baseUrl}/server_info?config_format=json`, { headers }),
  ]);
  const version = z.object({ version: z.string() }).safeParse(versionAnswer);
  const config = info === undefined ? undefined : flatten(info);
  const maxNumSeqs =
    config?.["max_num_seqs"] ?? config?.["vllm_config.scheduler_config.max_num_seqs"];
  return {
    version: version.success ? version.data.version : undefined,
    config,
    configDigest:
      config === undefined
        ? undefined
        : createHash("sha256")
            .update(canonicalize(withoutPlaces(config)) ?? "")
            .digest("hex"),
    maxNumSeqs: typeof maxNumSeqs === "number" ? maxNumSeqs : undefined,
  };
}

/** Where an engine lies and listens differs between machines that serve the same. */
function withoutPlaces(
  config: NonNullable<EngineFacts["config"]>,
): NonNullable<EngineFacts["config"]> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !placeSettings.test(key)));
}

/** Nested objects become dotted keys; lists and other values their JSON. */
function flatten(value: unknown, prefix = ""): Record<string, string | number | boolean | null> {
  const flat: Record<string, string | number | boolean | null> = {};
  const record = z.record(z.string(), z.unknown()).safeParse(value);
  if (!record.success) return flat;
  for (const [key, child] of Object.entries(record.data)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    const plain = scalar.safeParse(child);
    if (plain.success) flat[path] = plain.data;
    else if (Array.isArray(child)) flat[path] = JSON.stringify(child);
    else Object.assign(flat, flatten(child, path));
  }
  return flat;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
