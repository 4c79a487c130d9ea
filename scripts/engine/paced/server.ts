// The paced server as a program: `node server.js '{"pace":"burst","ttftMs":100,"gapMs":25}'` prints
// its URL. It ends when its standard input does, unless `--stay` is given.
import { z } from "zod";
import { createPacedServer } from "./paced-server.ts";

const programOptions = z.object({
  pace: z.enum(["uniform", "burst", "flood"]).default("uniform"),
  ttftMs: z.number().nonnegative().default(20),
  gapMs: z.number().nonnegative().default(20),
  tokens: z.number().int().positive().optional(),
  tokensPerChunk: z.number().int().positive().optional(),
  usage: z.boolean().optional(),
  port: z.number().int().nonnegative().optional(),
});

const [argument = "{}", flag] = process.argv.slice(2);
const server = await createPacedServer(programOptions.parse(JSON.parse(argument)));
const stop = (): void => {
  process.stdin.destroy();
  void server.close();
};
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
// Whoever started it is gone.
if (flag !== "--stay") process.stdin.resume().once("end", stop);
process.stdout.write(`${server.url}\n`);
