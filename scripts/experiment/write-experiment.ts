// From what a running server says of itself to the text of an experiment file, for `benchbook init`.
import { stringify } from "yaml";

export interface ServerDescription {
  /** Base URL without /v1. */
  readonly url: string;
  /** As the server names it. */
  readonly model: string;
  /** Slug. */
  readonly name: string;
  /** undefined: the server did not say. */
  readonly maxModelLen: number | undefined;
  /** Name of the environment variable that holds its key; undefined: it wants none. */
  readonly key: string | undefined;
  /** Folder of the tokenizer on this machine; undefined: the server is asked. */
  readonly tokenizer: string | undefined;
}

/**
 * An experiment that runs as it is: one variant, one workload that fits the model, three loads. Its
 * comments say what to look at first.
 */
export function experimentFor(server: ServerDescription): string {
  const output = 128;
  const input = Math.max(16, Math.min(1024, (server.maxModelLen ?? 2048) - output));
  const value = (text: string): string => stringify(text).trim();
  const limit =
    server.maxModelLen === undefined ? "" : `, at most ${server.maxModelLen} with the output`;
  return `experiment: ${server.name}
title: ${value(`${server.model}, ${input} in, ${output} out`)}

engines:
  server:
    kind: external                # somebody else started it; benchbook only attaches
    url: ${value(server.url)}${server.key === undefined ? "" : `\n    key: { env: ${server.key} }          # the variable's name; the key itself is never stored`}

variants:
  ${server.name}:
    model: ${value(server.model)}
    engine: server
    precision: auto               # what the weights are: fp8, nvfp4, bf16, ...; \`auto\` says "not stated"${
      server.tokenizer === undefined
        ? "\n    # tokenizer: /models/x       # folder with tokenizer.json; without it the server's /tokenize is asked"
        : `\n    tokenizer: ${value(server.tokenizer)}`
    }

workloads:
  ${input}-${output}:
    input: ${input}                   # tokens, exact${limit}
    output: ${output}                   # tokens, exact
    cache: cold                   # every prompt is new: the prefix cache can't help

loads:
  concurrency: [1, 4, 16]         # requests in flight

measure:
  rounds: 3                       # more rounds, narrower intervals
  percentiles: [50, 90]           # p99 needs 368 requests a point in all

# slo: { ttft: 2 s, tpot: 50 ms } # then goodput is printed too

stated:                           # what no probe can see; printed as stated by the user
  # site:
  # node:
  # operator:
`;
}
