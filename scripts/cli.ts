#!/usr/bin/env node
// argv -> command -> exit code. Results go to stdout, talk to stderr.
import { parseArgs } from "node:util";
import { type ExitCode, exitCode, UserError } from "./errors.ts";

/** Loaded when a command runs: help and mistakes answer at once. */
const load = () => import("./pipeline.ts");

interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** Shown in help: "--rounds N". */
  readonly value?: string;
  readonly help: string;
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

interface Command {
  readonly usage: string;
  readonly summary: string;
  readonly details?: string;
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** How many nouns it takes: [least, most]. */
  readonly nouns: readonly [number, number];
  run(nouns: readonly string[], values: Values): Promise<ExitCode>;
}

const everyCommand: Readonly<Record<string, Option>> = {
  project: {
    type: "string",
    value: "DIR",
    help: "the folder with experiments/, data/, reports/ (default: the nearest one upwards)",
  },
  json: { type: "boolean", help: "one JSON object on stdout, nothing else there" },
  help: { type: "boolean", help: "this text" },
};

const lang: Option = { type: "string", value: "zh,en", help: "languages of the record" };
const format: Option = { type: "string", value: "html,md", help: "formats of the record" };

const commands: Readonly<Record<string, Command>> = {
  plan: {
    usage: "plan <experiment.yaml>",
    summary: "show what a run would measure, in which order, and how long it takes",
    options: {
      only: {
        type: "string",
        multiple: true,
        value: "PATTERN",
        help: "only these points (fp8/c40, */c200)",
      },
      rounds: { type: "string", value: "N", help: "this many rounds instead of the experiment's" },
      diff: { type: "string", value: "OTHER.yaml", help: "what differs from another experiment" },
    },
    examples: ["plan experiments/quickstart.yaml", "plan a.yaml --diff b.yaml"],
    nouns: [1, 1],
    run: async ([path = ""], values) =>
      (await load()).plan(path, {
        ...common(values),
        only: texts(values, "only"),
        rounds: count(values, "rounds"),
        diff: text(values, "diff"),
      }),
  },
  run: {
    usage: "run <experiment.yaml> | run --resume [run]",
    summary: "measure an experiment and write its record",
    details:
      "Ctrl-C once stops well: the engine is stopped, every sample is kept, --resume goes on.\n" +
      "Twice at once leaves immediately; even then nothing measured is lost.",
    options: {
      only: {
        type: "string",
        multiple: true,
        value: "PATTERN",
        help: "only these points (fp8/c40, */c200)",
      },
      rounds: { type: "string", value: "N", help: "this many rounds instead of the experiment's" },
      resume: {
        type: "boolean",
        help: "go on with the trials that are missing in a run (default: the latest)",
      },
      lang,
      format,
    },
    examples: [
      "run experiments/quickstart.yaml",
      "run experiments/external.yaml --only '*/c16' --rounds 5",
      "run --resume",
      "run --resume 20261124T083904Z-quickstart-3fa2",
    ],
    nouns: [0, 1],
    run: async ([noun], values) =>
      (await load()).run(noun, {
        ...common(values),
        only: texts(values, "only"),
        rounds: count(values, "rounds"),
        resume: values["resume"] === true,
        languages: list(values, "lang"),
        formats: list(values, "format"),
      }),
  },
  report: {
    usage: "report [run]",
    summary: "render the record of a run again; starts no engine, changes no sample",
    options: {
      lang,
      format,
      definitions: {
        type: "boolean",
        help: "print what other tools would call the same samples; of one point: report <run> --definitions <point>",
      },
    },
    examples: [
      "report",
      "report latest --lang zh --format html",
      "report 3fa2",
      "report latest --definitions fp8/c40 --lang zh",
    ],
    nouns: [0, 2],
    run: async ([run = "latest", point], values) =>
      (await load()).report(run, {
        ...common(values),
        languages: list(values, "lang"),
        formats: list(values, "format"),
        definitions: values["definitions"] === true,
        point,
      }),
  },
  env: {
    usage: "env [experiment.yaml]",
    summary: "capture this machine's environment and show it, or what differs from another",
    details:
      "With an experiment the files of its models are read too.\n" +
      "With --against it exits 1 when something differs that must be equal to compare.",
    options: {
      against: {
        type: "string",
        value: "RUN|FILE",
        help: "show what differs from a run's environment, or from a file of env --json",
      },
      probe: {
        type: "string",
        value: "COMMAND",
        help: 'capture another machine, on which this command runs a shell ("ssh gpu-node-7")',
      },
    },
    examples: [
      "env",
      "env --json > env.json",
      "env experiments/external.yaml --json > env.json",
      "env --against latest",
      "env --against env.json --json",
      'env --probe "ssh gpu-node-7"',
    ],
    nouns: [0, 1],
    run: async ([path], values) =>
      (await load()).env(path, {
        ...common(values),
        against: text(values, "against"),
        probe: text(values, "probe"),
      }),
  },
  compare: {
    usage: "compare <run> [run]",
    summary: "hold two runs, or two variants of one run, against each other",
    details:
      "Says first whether they may be compared, then for each point and metric the ratio with its\n" +
      "95 % interval and an outcome: equivalent, differs, inconclusive, not testable.",
    options: {
      variants: { type: "string", value: "A,B", help: "which two variants of the one run" },
      margin: {
        type: "string",
        value: "5%",
        help: "how far apart is still equivalent (default: 5 %, or three times the measured spread, 20 % at most)",
      },
      lang: { type: "string", value: "zh|en", help: "language of the text (default: en)" },
      html: {
        type: "string",
        value: "FILE",
        help: "write the table and the figure of the ratios to one offline page too",
      },
      "fail-on": {
        type: "string",
        value: "differs|inconclusive",
        help: "exit 1 when the outcome is differs (inconclusive: when it is not equivalent), or there is nothing to compare",
      },
    },
    examples: [
      "compare latest",
      "compare latest --variants fp8,nvfp4 --lang zh",
      "compare 20261124 20261125 --margin 3% --fail-on differs",
      "compare 20261124 20261125 --html compare.html",
    ],
    nouns: [0, 2],
    run: async (nouns, values) =>
      (await load()).compare(nouns, {
        ...common(values),
        variants: text(values, "variants"),
        margin: text(values, "margin"),
        lang: text(values, "lang"),
        failOn: text(values, "fail-on"),
        html: text(values, "html"),
      }),
  },
  calibrate: {
    usage: "calibrate",
    summary: "measure this client's own error against a server of known truth",
    details:
      "Prints how far its time stamps are off, and keeps it: later runs of this machine go by it.\n" +
      "`benchbook run` does this by itself, at its largest load, where nothing recent is known.",
    options: {
      streams: {
        type: "string",
        value: "N,M",
        help: "streams at once, one calibration for each (default: 200,1000)",
      },
      rate: { type: "string", value: "N", help: "chunks per second of each stream (default: 30)" },
      threads: { type: "string", value: "N|auto", help: "client threads (default: auto)" },
      poll: { type: "boolean", help: "the threads never sleep, each takes a core (client.poll)" },
      seconds: { type: "string", value: "N", help: "length of each pass (default: 3)" },
    },
    examples: [
      "calibrate",
      "calibrate --streams 64 --seconds 2",
      "calibrate --streams 1000 --poll",
      "calibrate --streams 1000 --rate 50 --threads 2 --json",
    ],
    nouns: [0, 0],
    run: async (_nouns, values) =>
      (await load()).calibrate({
        ...common(values),
        streams: list(values, "streams")?.map((one) => within("streams", one, 10_000)) ?? [
          200, 1000,
        ],
        ratePerS: number(values, "rate", 10_000) ?? 30,
        threads:
          text(values, "threads") === "auto" ? "auto" : (number(values, "threads", 64) ?? "auto"),
        poll: values["poll"] === true,
        seconds: number(values, "seconds", 600) ?? 3,
      }),
  },
  list: {
    usage: "list",
    summary: "the runs in the database, newest first",
    options: {},
    examples: ["list", "list --json"],
    nouns: [0, 0],
    run: async (_nouns, values) => (await load()).list(common(values)),
  },
  init: {
    usage: "init <url>",
    summary: "write an experiment from a running OpenAI-compatible server",
    options: {
      model: {
        type: "string",
        value: "NAME",
        help: "which of the models it serves (default: the first)",
      },
      key: {
        type: "string",
        value: "ENV_NAME",
        help: "name of the environment variable that holds the key",
      },
      tokenizer: { type: "string", value: "DIR", help: "folder with the model's tokenizer.json" },
      out: {
        type: "string",
        value: "FILE",
        help: "where to write (default: experiments/<model>.yaml)",
      },
    },
    examples: [
      "init http://127.0.0.1:8000",
      "init https://llm.example.com --key LLM_API_KEY --model qwen3-14b",
    ],
    nouns: [1, 1],
    run: async ([url = ""], values) =>
      (await load()).init(url, {
        ...common(values),
        model: text(values, "model"),
        key: text(values, "key"),
        tokenizer: text(values, "tokenizer"),
        out: text(values, "out"),
      }),
  },
};

for (const stream of [process.stdout, process.stderr]) {
  // A reader that went away (`| head`) must not end a measurement.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}
process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    const [topic = ""] = rest;
    const command = Object.hasOwn(commands, topic) ? commands[topic] : undefined;
    process.stdout.write(command === undefined ? overview() : helpOf(command));
    return name === undefined || (command === undefined && topic !== "")
      ? exitCode.wrongUse
      : exitCode.fine;
  }
  if (name === "--version" || name === "version") {
    process.stdout.write(`benchbook ${(await load()).version()}\n`);
    return exitCode.fine;
  }
  try {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) {
      throw new UserError({
        what: `there is no command "${name}"`,
        mend: `one of ${Object.keys(commands).join(", ")}; benchbook --help shows them with examples`,
      });
    }
    const { nouns, values } = parse(name, command, rest);
    if (values["help"] === true) {
      process.stdout.write(helpOf(command));
      return exitCode.fine;
    }
    return await command.run(nouns, values);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    if (rest.includes("--json"))
      process.stdout.write(`${JSON.stringify({ errors: error.parts }, null, 2)}\n`);
    return error.exitCode;
  }
}

function parse(
  name: string,
  command: Command,
  argv: readonly string[],
): { readonly nouns: readonly string[]; readonly values: Values } {
  const options = { ...command.options, ...everyCommand };
  const mend = `benchbook ${name} --help shows what it takes`;
  let parsed: { readonly positionals: string[]; readonly values: Values };
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(options).map(([key, { type, multiple }]) => [
          key,
          { type, multiple: multiple ?? false, ...(key === "help" ? { short: "h" } : {}) },
        ]),
      ),
    });
  } catch (error) {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split(". ");
    throw new UserError({ what: first, where: `benchbook ${name}`, mend }, { cause: error });
  }
  const [least, most] = command.nouns;
  const found = parsed.positionals.length;
  if (parsed.values["help"] !== true && (found < least || found > most)) {
    throw new UserError({
      what:
        found < least
          ? `benchbook ${command.usage}: something is missing`
          : `too much: ${parsed.positionals.slice(most).join(" ")}`,
      mend,
    });
  }
  return { nouns: parsed.positionals, values: parsed.values };
}

function common(values: Values): { readonly project: string | undefined; readonly json: boolean } {
  return { project: text(values, "project"), json: values["json"] === true };
}

function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

function texts(values: Values, name: string): readonly string[] {
  const value = values[name];
  return Array.isArray(value)
    ? value
        .flatMap((item) => (typeof item === "string" ? item.split(",") : []))
        .map((item) => item.trim())
        .filter((item) => item !== "")
    : [];
}

function list(values: Values, name: string): readonly string[] | undefined {
  return text(values, name)
    ?.split(",")
    .map((item) => item.trim());
}

function count(values: Values, name: string): number | undefined {
  return number(values, name, 1000);
}

function number(values: Values, name: string, most: number): number | undefined {
  const value = text(values, name);
  return value === undefined ? undefined : within(name, value, most);
}

/** A whole number from 1 on. */
function within(name: string, value: string, most: number): number {
  if (/^[1-9]\d*$/.test(value) && Number(value) <= most) return Number(value);
  throw new UserError({
    what: `--${name} must be a whole number from 1 to ${most}, got "${value}"`,
    mend: `--${name} 5`,
  });
}

function overview(): string {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length));
  const lines = Object.values(commands).map(
    ({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}`,
  );
  return [
    "benchbook: publishable, re-runnable test records for LLM serving",
    "",
    ...lines,
    "",
    "Examples",
    "  npm run quickstart                              measure the tiny model that ships with benchbook",
    "  benchbook init http://127.0.0.1:8000            write an experiment for a server of yours",
    "  benchbook run experiments/qwen3.yaml            measure it and write its record",
    "",
    "benchbook <command> --help shows options and examples.",
    "",
  ].join("\n");
}

function helpOf(command: Command): string {
  const options = Object.entries({ ...command.options, ...everyCommand }).map(([key, option]) => ({
    left: `--${key}${option.value === undefined ? "" : ` ${option.value}`}`,
    help: option.help,
  }));
  const width = Math.max(...options.map(({ left }) => left.length));
  return [
    `benchbook ${command.usage}`,
    "",
    command.summary,
    ...(command.details === undefined ? [] : ["", command.details]),
    "",
    "Options",
    ...options.map(({ left, help }) => `  ${left.padEnd(width)}  ${help}`),
    "",
    "Examples",
    ...command.examples.map((example) => `  benchbook ${example}`),
    "",
  ].join("\n");
}
