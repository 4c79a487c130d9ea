// How a model is served: one schema for each kind of engine.
import { z } from "zod";
import { writtenDefaults } from "./defaults.ts";
import {
  choice,
  duration,
  environmentNamePattern,
  keysWritten,
  says,
  text,
  words,
} from "./leaves.ts";

const argumentName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)
  .meta({ title: "an argument as on the command line, without the dashes in front" });

const environmentName = z
  .string()
  .regex(environmentNamePattern)
  .meta({ title: "the name of an environment variable" });

const setting = z
  .union([z.string(), z.number(), z.boolean()])
  .meta(says("a text, a number, true or false", "Its value; true is a bare flag.", [16]));

export const engineArguments = (description: string) =>
  z
    .record(argumentName, setting)
    .meta(
      says("a map of arguments", description, [{ "max-model-len": 16384, "max-num-seqs": 256 }]),
    );

export const engineEnvironment = (description: string) =>
  z
    .record(environmentName, setting)
    .meta(says("a map of environment variables", description, [{ CUDA_VISIBLE_DEVICES: "0" }]));

const kind = <const Kind extends string>(value: Kind, description: string) =>
  z.literal(value).meta(says(value, description, [value]));

const launched = {
  port: z
    .union([z.literal("auto"), z.int().min(1).max(65535)])
    .meta(
      says(
        "auto, or a port from 1 to 65535",
        "Port on 127.0.0.1; auto takes a free one.",
        ["auto", 8000],
        writtenDefaults.port,
      ),
    )
    .optional(),
  args: engineArguments("As on the engine's command line, without the dashes.").optional(),
  env: engineEnvironment(
    "Set for the engine, which also inherits benchbook's own; no secrets here.",
  ).optional(),
};

const ready = (standsFor: string) =>
  duration("How long a start may take until the engine is ready.", "15 min", standsFor).optional();

const embeddedEngine = z.strictObject({
  kind: kind("embedded", "The tiny engine that ships with benchbook."),
  ...launched,
  ready: ready(writtenDefaults.ready.embedded),
});

const containerImage = z
  .strictObject({
    image: text("Image with its tag.", "vllm/vllm-openai:v0.12.0"),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .meta(
        says("sha256: and 64 hex digits", "Digest that pins the image.", [
          `sha256:${"0".repeat(64)}`,
        ]),
      )
      .optional(),
    runtime: choice(["docker", "podman"], "Program that runs it.", "docker").optional(),
    args: words(
      "Added to its run command; cores are pinned here, and accelerators named where not all are meant.",
      ["--cpuset-cpus", "0-7"],
    ).optional(),
  })
  .meta(
    says("a map with image", "Container image that has vLLM.", [
      { image: "vllm/vllm-openai:v0.12.0" },
    ]),
  );

const vllmPrograms = ["venv", "python", "command", "container"];

const vllmEngine = z
  .strictObject({
    kind: kind("vllm", "vLLM, launched by benchbook for every start."),
    venv: text("Virtual environment that has vLLM.", "/opt/vllm-0.12.0").optional(),
    python: text("Python interpreter that has vLLM.", "/usr/bin/python3").optional(),
    command: words("Starts the server; the model and the arguments are added to it.", [
      "vllm",
      "serve",
    ]).optional(),
    container: containerImage.optional(),
    prefix: words("Put before the command, for instance to pin cores.", [
      "taskset",
      "-c",
      "0-7",
    ]).optional(),
    ...launched,
    ready: ready(writtenDefaults.ready.vllm),
  })
  .superRefine(keysWritten(vllmPrograms, { most: 1 }, `keep one of ${vllmPrograms.join(", ")}`));

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)
  .meta({ title: "the name of an HTTP header" });

const variableOf = (meaning: string, name: string) =>
  z.strictObject({
    env: z
      .string()
      .regex(environmentNamePattern)
      .meta(says("the name of an environment variable", meaning, [name])),
  });

const headerValue = z
  .union([
    z.string().regex(/^[\t\x20-\x7e]*$/),
    variableOf("Holds the value, which is never stored.", "GATEWAY_KEY"),
  ])
  .meta(
    says(
      "a text of ASCII characters, or { env: NAME }, where NAME is an environment variable",
      "Its value, or where a secret one is read from.",
      ["team-a", { env: "GATEWAY_KEY" }],
    ),
  );

const requestPath = (what: string, example: string) =>
  z
    .string()
    .regex(/^\/[^\s#]*$/)
    .meta(says("a path that begins with /, with a query where one is needed", what, [example]));

const externalEngine = z.strictObject({
  kind: kind("external", "Any OpenAI-compatible server that is already running."),
  url: z
    .string()
    .regex(/^https?:\/\/[^\s?#]+$/)
    .refine((written) => URL.canParse(written), "this is no URL")
    .meta(
      says(
        "a URL that begins with http:// or https://, without query",
        "Base URL of the server; a /v1 at its end may be left out.",
        ["http://127.0.0.1:8000"],
      ),
    ),
  key: variableOf("Holds the key, which is never stored.", "API_KEY")
    .meta(
      says(
        "{ env: NAME }, where NAME is an environment variable",
        "Where the API key is read from.",
        [{ env: "API_KEY" }],
      ),
    )
    .optional(),
  headers: z
    .record(headerName, headerValue)
    .meta(
      says("a map of HTTP headers", "Sent with every request; secrets by the variable's name.", [
        { "x-route": "team-a", "x-api-key": { env: "GATEWAY_KEY" } },
      ]),
    )
    .optional(),
  paths: z
    .strictObject({
      completions: requestPath("For workloads of completions.", "/completions").optional(),
      chat: requestPath(
        "For workloads of chat.",
        "/chat/completions?api-version=2024-10-21",
      ).optional(),
    })
    .meta(
      says("a map with completions and chat", "Paths below `url`, where they are not /v1/...", [
        { chat: "/chat/completions?api-version=2024-10-21" },
      ]),
    )
    .optional(),
});

export const engineSchema = z
  .discriminatedUnion("kind", [embeddedEngine, vllmEngine, externalEngine])
  .meta(
    says("a map with kind", "How a model is served.", [
      { kind: "external", url: "http://127.0.0.1:8000" },
    ]),
  );
