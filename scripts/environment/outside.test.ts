import { describe, expect, it } from "vitest";
import { real } from "./outside.ts";

describe("exec", () => {
  it("gives exit code, stdout and stderr apart", async () => {
    const script = "process.stdout.write('out'); process.stderr.write('err'); process.exit(9)";
    const ran = await real.exec([process.execPath, "-e", script], { limitMs: 20_000 });
    expect(ran).toMatchObject({ exitCode: 9, stdout: "out", stderr: "err", failure: undefined });
  });

  it("hands words over as they are, whatever a shell would make of them", async () => {
    const words = ["$HOME", "`id`", "a b", "'", "*"];
    const script = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";
    const ran = await real.exec([process.execPath, "-e", script, ...words], { limitMs: 20_000 });
    expect(JSON.parse(ran.stdout)).toEqual(words);
  });

  it("names a program that is not installed", async () => {
    const ran = await real.exec(["no-such-program-anywhere"], { limitMs: 1000 });
    expect(ran).toMatchObject({ exitCode: undefined, failure: "missing" });
  });

  it("ends a program that hangs, with everything it started, and keeps what it had said", async () => {
    // The child holds stdout open as a hanging driver's helper would.
    const script =
      "const c = require('node:child_process').spawn('sleep', ['600'], { stdio: 'inherit' });" +
      "process.stdout.write(String(c.pid) + '\\n'); setInterval(() => {}, 1000)";
    const ran = await real.exec([process.execPath, "-e", script], { limitMs: 1500 });
    expect(ran.failure).toBe("timed out");
    expect(ran.exitCode).toBeUndefined();
    const child = Number(ran.stdout);
    expect(child).toBeGreaterThan(1);
    await expect.poll(() => isRunning(child), { timeout: 5000 }).toBe(false);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
