// An engine's log, fit to be kept: engines print their arguments, keys among them.
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { redactText } from "../environment/redact.ts";

/** Lines are redacted together up to so many characters, since a secret may span lines. */
const pieceLength = 1024 * 1024;

/**
 * Takes the secrets out of a log that nobody writes to any more; one without any stays as it is.
 * Does nothing where there is no log.
 * @param known secrets that are known in full
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
  await pipeline(pieces, createWriteStream(clean, { mode }));
  if (seen.secret) await rename(clean, path);
  else await rm(clean);
}

async function* piecesOf(path: string): AsyncGenerator<string> {
  let piece = "";
  for await (const line of createInterface({ input: createReadStream(path, "utf8") })) {
    piece += `${line}\n`;
    if (piece.length < pieceLength) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}
