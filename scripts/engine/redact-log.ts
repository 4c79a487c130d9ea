// An engine's log, fit to be kept: engines print their arguments, keys among them.
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { redactText } from "../environment/redact.ts";

/** Lines are redacted together, about so many bytes of them, since a secret may span lines. */
const pieceBytes = 1024 * 1024;

/**
 * Takes the secrets out of a log that nobody writes to any more; one without any stays as it is.
 * Does nothing where there is no log.
 * @param known secrets that are known in full
 * @throws when it can't be read or written; it is then as it was
 */
export async function redactLog(path: string, known: readonly string[]): Promise<void> {
  if (!existsSync(path)) return;
  const clean = `${path}.redacted`;
  const seen = { secret: false };
  async function* pieces(): AsyncGenerator<string> {
    for await (const piece of piecesOf(path)) {
      const text = redactText(piece, known);
      if (text !== piece) seen.secret = true;
      yield text;
    }
  }
  const { mode } = await stat(path);
  try {
    await pipeline(pieces, createWriteStream(clean, { mode }));
    if (seen.secret) await rename(clean, path);
  } finally {
    await rm(clean, { force: true });
  }
}

/** Whole lines, as they are: also those that a progress bar draws over each other. */
async function* piecesOf(path: string): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of createReadStream(path, {
    encoding: "utf8",
    highWaterMark: pieceBytes,
  })) {
    const text = rest + String(chunk);
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    if (end > 0) yield text.slice(0, end);
  }
  if (rest !== "") yield rest;
}
