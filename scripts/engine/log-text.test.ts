import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lastLines } from "./log-text.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-text-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function lastOf(text: string): string {
  const path = join(folder, "engine.log");
  writeFileSync(path, text);
  return lastLines(path);
}

describe("the last words of a log", () => {
  it("are its last twenty lines", () => {
    const lines = Array.from({ length: 30 }, (_, index) => `line ${index + 1}`);
    expect(lastOf(`${lines.join("\n")}\n`)).toBe(lines.slice(10).join("\n"));
  });

  it("are all of a short one", () => {
    expect(lastOf("only words\n")).toBe("only words");
  });

  it("hold no rest of a word that was cut, which could be a secret's", () => {
    // The cut falls into the key: 8,192 bytes from the end, 8 of its characters are left.
    const after = ` ${"x".repeat(8183)}`;
    expect(lastOf(`key plainpassword77${after}`)).toBe("x".repeat(8183));
  });

  it("are empty for a log that is gone", () => {
    expect(lastLines(join(folder, "none.log"))).toBe("");
  });
});
