import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { redactLog } from "./redact-log.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-log-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("the log of an engine that has ended", () => {
  it("loses its secrets, known ones and what looks like one, and nothing else", async () => {
    const path = join(folder, "fp8.log");
    writeFileSync(
      path,
      [
        "INFO non-default args: {'api_key': ['plainpassword77'], 'port': 8000}",
        "INFO loading from /models/plainpassword77/qwen",
        "INFO Authorization: Bearer abcdef0123456789abcdef",
        "INFO ready",
        "",
      ].join("\n"),
    );
    await redactLog(path, ["plainpassword77"]);
    const text = readFileSync(path, "utf8");
    expect(text).not.toContain("plainpassword77");
    expect(text).not.toContain("abcdef0123456789abcdef");
    expect(text).toContain("'port': 8000");
    expect(text.endsWith("INFO ready\n")).toBe(true);
    expect(readdirSync(folder)).toEqual(["fp8.log"]);
  });

  it("stays as it is without secrets, however long", async () => {
    const path = join(folder, "long.log");
    const text = "INFO Avg prompt throughput: 12.0 tokens/s\n".repeat(60_000);
    writeFileSync(path, text);
    await redactLog(path, ["plainpassword77"]);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(readdirSync(folder)).toEqual(["long.log"]);
  });

  it("keeps what progress bars drew over each other, and an end without a line's", async () => {
    const path = join(folder, "bars.log");
    const bars = "\rLoading shards:  50%\rLoading shards: 100%\r\n";
    writeFileSync(path, `key plainpassword77\n${bars.repeat(60_000)}the end`);
    await redactLog(path, ["plainpassword77"]);
    expect(readFileSync(path, "utf8")).toBe(`key [redacted]\n${bars.repeat(60_000)}the end`);
  });

  it("that can't be rewritten is an error, and leaves no second file", async () => {
    const path = join(folder, "a-folder.log");
    mkdirSync(path);
    await expect(redactLog(path, [])).rejects.toThrow("EISDIR");
    expect(readdirSync(folder)).toEqual(["a-folder.log"]);
  });

  it("need not be there", async () => {
    await expect(redactLog(join(folder, "none.log"), [])).resolves.toBeUndefined();
  });
});
