// A program that behaves like `vllm serve`: its command line, its log, a server process with a worker
// "VLLM::EngineCore", the calls that benchbook makes. It fails in the ways that vLLM does.
//   node dist/testing/fake-vllm.js serve MODEL --port N ...
// FAKE_VLLM names the ways, with spaces between: bad-argument, out-of-memory, port-taken, hang, stray
// (the worker leaves the group), shared-memory (the worker leaves a file behind).
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";

const ways = new Set((process.env["FAKE_VLLM"] ?? "").split(" "));
const engineCore = "VLLM::EngineCore";
const portTaken = "OSError: [Errno 98] Address already in use";

if (process.argv[2] === engineCore) work();
else serve();

/** The worker: holds shared memory, and lives on when its server is gone. */
function work(): void {
  process.title = engineCore;
  if (ways.has("shared-memory")) writeFileSync(`/dev/shm/psm_fake${process.pid}`, "left behind");
  say(`(EngineCore pid=${process.pid}) INFO 01-01 00:00:00 [core.py:402] init engine`);
  setInterval(() => undefined, 60_000);
  process.send?.("ready");
  process.disconnect();
}

function serve(): void {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    strict: false,
    allowPositionals: true,
    options: {
      port: { type: "string" },
      "served-model-name": { type: "string" },
      "max-num-seqs": { type: "string" },
    },
  });
  if (ways.has("bad-argument")) {
    fail("usage: vllm [-h] [-v]\nvllm: error: unrecognized arguments: --no-such-flag 3", 2);
  }
  if (ways.has("out-of-memory")) {
    fail(
      "(EngineCore pid=1) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.37 GiB. GPU 0 has a total capacity of 94.97 GiB of which 1.21 GiB is free.\n(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
      1,
    );
  }
  if (ways.has("port-taken")) fail(portTaken, 1);
  if (ways.has("hang")) {
    log("Starting to load model");
    setInterval(() => undefined, 60_000);
    return;
  }
  // As vLLM does, keys and all.
  log(`non-default args: ${JSON.stringify(values)}, environment: ${JSON.stringify(process.env)}`);
  const model = String(values["served-model-name"] ?? positionals[1]);
  const port = Number(values.port);
  const worker = spawn(process.execPath, [process.argv[1] ?? "", engineCore], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    detached: ways.has("stray"),
  });
  const server = createServer((request, response) => {
    void answer(request, response, model, Number(values["max-num-seqs"] ?? 256));
  });
  server.once("error", () => {
    worker.kill("SIGKILL");
    fail(portTaken, 1);
  });
  worker.once("message", () => {
    server.listen(port, "127.0.0.1");
    log(`Starting vLLM server on http://127.0.0.1:${port}`);
  });
  process.on("SIGTERM", () => {
    worker.kill("SIGTERM");
    process.exit(0);
  });
}

function log(line: string): void {
  say(`(APIServer pid=${process.pid}) INFO 01-01 00:00:00 [entry.py:140] ${line}`);
}

function fail(lines: string, code: number): never {
  complain(lines);
  process.exit(code);
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  model: string,
  maxNumSeqs: number,
): Promise<void> {
  const json = (value: unknown): void => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(value));
  };
  switch (new URL(request.url ?? "", "http://127.0.0.1").pathname) {
    case "/health":
      response.end();
      return;
    case "/version":
      json({ version: "0.32.0" });
      return;
    case "/v1/models":
      json({
        object: "list",
        data: [{ id: model, object: "model", owned_by: "vllm", max_model_len: 4096 }],
      });
      return;
    case "/server_info":
      json({
        vllm_config: {
          scheduler_config: { max_num_seqs: maxNumSeqs },
          model_config: { max_model_len: 4096 },
        },
        vllm_env: { seen: process.env["SEEN"] ?? "", path: process.env["PATH"] ?? "" },
      });
      return;
    case "/reset_prefix_cache":
      json({ success: true });
      return;
    case "/metrics":
      response.end("vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n");
      return;
    case "/v1/completions":
      stream(JSON.parse(await text(request)), response);
      return;
    default:
      response.statusCode = 404;
      response.end();
  }
}

/** One token an event, then the usage, as vLLM streams them. */
function stream(body: unknown, response: ServerResponse): void {
  const asked = typeof body === "object" && body !== null && "max_tokens" in body;
  const count = asked ? Number(body.max_tokens) : 16;
  response.setHeader("content-type", "text/event-stream");
  for (let index = 1; index <= count; index += 1) {
    const reason = index === count ? "length" : null;
    event(response, { choices: [{ index: 0, text: " word", finish_reason: reason }] });
  }
  const usage = { prompt_tokens: 8, completion_tokens: count, total_tokens: 8 + count };
  event(response, { choices: [], usage });
  response.end("data: [DONE]\n\n");
}

function event(response: ServerResponse, data: unknown): void {
  response.write(`data: ${JSON.stringify(data)}\n\n`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}
