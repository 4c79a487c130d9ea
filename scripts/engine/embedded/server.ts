// The embedded engine: a process of its own that serves one small model over the OpenAI API, so
// that a whole measurement can be made on any machine. From argv to a listening server and its end.
import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import { env } from "@huggingface/transformers";
import { z } from "zod";
import { exitCode, messageOf, systemCodeOf, UserError } from "../../errors.ts";
import { epochMsOf, formatDuration, isoWithOffset, nowMs } from "../../units.ts";
import { createApi, type ServedEngine } from "./api.ts";
import { loadModel, type SteppedModel } from "./model.ts";
import { type ModelFolder, readModelFolder } from "./model-folder.ts";
import { type EngineOptions, parseOptions, resolveNumBlocks, usage } from "./options.ts";
import { startScheduler } from "./scheduler.ts";
import { loadTokenizer } from "./tokenizer.ts";

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv);
  if (options === "help") {
    process.stdout.write(usage);
    return;
  }
  const engine = await loadEngine(options);
  const server = createApi(engine, log);
  const port = await listen(server, options);
  stopWhenTold(server, options);
  log(
    `${engine.modelName} in ${options.precision}, loaded in ${formatDuration(performance.now())}`,
  );
  log(`configuration ${JSON.stringify(engine.configuration)}`);
  log(`ready http://${options.host}:${port}`);
}

async function loadEngine(options: EngineOptions): Promise<ServedEngine> {
  const folder = await readModelFolder(options.model, options.precision);
  const maxModelLen = options.maxModelLen ?? folder.maxPositionEmbeddings;
  if (maxModelLen > folder.maxPositionEmbeddings) {
    throw new UserError({
      what: `--max-model-len ${maxModelLen} is more than the ${folder.maxPositionEmbeddings} tokens that the model was made for`,
      where: folder.path,
      mend: `--max-model-len ${folder.maxPositionEmbeddings}`,
    });
  }
  const tokenizer = await loadTokenizer(folder);
  const model = await loadWeights(folder, options);
  const cache = {
    blockSize: options.blockSize,
    numBlocks: resolveNumBlocks(options, maxModelLen, model.tokenFloats),
    prefixCaching: options.enablePrefixCaching,
    dtype: "float32",
  };
  const scheduler = startScheduler({
    model,
    limits: { ...options, ...cache },
    prefixCaching: cache.prefixCaching,
    onFailure: (error) => {
      log(`the engine failed and answers no more: ${error.stack ?? error.message}`);
    },
  });
  const version = await ownVersion();
  return {
    scheduler,
    tokenizer,
    endTokens: folder.endTokens,
    vocabularySize: folder.vocabularySize,
    modelName: options.servedModelName,
    modelRoot: options.model,
    maxModelLen,
    cache,
    seed: options.seed,
    version,
    configuration: {
      model: options.model,
      served_model_name: options.servedModelName,
      model_type: folder.modelType,
      precision: options.precision,
      load_format: "onnx",
      dtype: "float32",
      quantization: options.precision === "q8" ? "dynamic int8" : "none",
      kv_cache_dtype: cache.dtype,
      block_size: cache.blockSize,
      num_gpu_blocks: cache.numBlocks,
      kv_cache_size_tokens: cache.numBlocks * cache.blockSize,
      enable_prefix_caching: cache.prefixCaching,
      enable_chunked_prefill: true,
      max_model_len: maxModelLen,
      max_num_seqs: options.maxNumSeqs,
      max_num_batched_tokens: options.maxNumBatchedTokens,
      attention_backend: "onnxruntime-cpu",
      cudagraph_mode: "none",
      tensor_parallel_size: 1,
      pipeline_parallel_size: 1,
      data_parallel_size: 1,
      speculative_config: "none",
      executor: "onnxruntime cpu",
      threads: options.threads,
      seed: options.seed,
      version,
      transformers_js_version: env.version,
      onnxruntime_version: env.backends.onnx.versions?.node ?? null,
      node_version: process.versions.node,
    },
  };
}

async function loadWeights(folder: ModelFolder, options: EngineOptions): Promise<SteppedModel> {
  try {
    const { precision, threads } = options;
    return await loadModel({ folder: folder.path, precision, threads });
  } catch (cause) {
    throw new UserError(
      {
        what: `the model's weights cannot be loaded: ${messageOf(cause)}`,
        where: folder.path,
        mend: "an unbroken copy of the model folder",
      },
      { cause },
    );
  }
}

/** The port that it got. */
async function listen(server: Server, options: EngineOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new UserError(
          {
            what:
              systemCodeOf(cause) === "EADDRINUSE"
                ? `port ${options.port} is taken`
                : `cannot listen on port ${options.port}: ${messageOf(cause)}`,
            where: `${options.host}:${options.port}`,
            mend: "another --port, or 0 for any free one",
          },
          { exitCode: exitCode.failed, cause },
        ),
      );
    });
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : options.port;
}

/** Streams that are under way are cut: whoever stops an engine does not wait for its answers. */
function stopWhenTold(server: Server, { exitWithStdin }: EngineOptions): void {
  const stop = (why: string): void => {
    log(`stopping: ${why}`);
    server.close();
    server.closeAllConnections();
    // An open standard input would keep the process alive.
    process.stdin.destroy();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stop(signal);
    });
  }
  if (!exitWithStdin) return;
  process.stdin.resume().once("end", () => {
    stop("its starter is gone");
  });
}

async function ownVersion(): Promise<string> {
  const file = await readFile(new URL("../../../package.json", import.meta.url), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(file)).version;
}

function log(line: string): void {
  process.stdout.write(`${isoWithOffset(epochMsOf(nowMs()))} ${line}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
