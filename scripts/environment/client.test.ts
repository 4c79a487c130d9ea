import { describe, expect, it } from "vitest";
import { type ToldMachine, toldMachine } from "../testing/told-machine.ts";
import { probeClient } from "./client.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { FieldValue } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

const commit = "f".repeat(40);
const checkout = {
  "git -C /program rev-parse --show-cdup": { stdout: "\n" },
  "git -C /program rev-parse HEAD": { stdout: `${commit}\n` },
  "git -C /program status": { stdout: "" },
};
const files = {
  "/program/package.json": `{"name": "benchbook", "version": "1.2.3"}`,
  "/program/package-lock.json": "{}",
};

async function probe(
  told: ToldMachine,
  urls: readonly (string | undefined)[] = [],
): Promise<Map<string, FieldValue>> {
  const machine = toldMachine({ files, ...told });
  const { fields } = await probeClient(
    machine,
    recorder(machine, 1000, (text) => text),
    {
      engines: urls.map(engineAt),
      projectRoot: "/project",
      programRoot: "/program",
      secrets: [],
    },
  );
  return new Map(fields.map(({ id, value }) => [id.slice("client.".length), value]));
}

function engineAt(url: string | undefined): EngineUnderTest {
  return {
    variant: "v",
    kind: "external",
    model: "m",
    modelFolder: undefined,
    tokenizerPath: undefined,
    precision: "auto",
    url,
    interpreter: undefined,
    facts: undefined,
  };
}

describe("benchbook in a git checkout", () => {
  it("knows version, commit and lock digest", async () => {
    const fields = await probe({ commands: checkout });
    expect(fields.get("benchbook.version")).toEqual({ state: "value", value: "1.2.3" });
    expect(fields.get("benchbook.commit")).toEqual({ state: "value", value: commit });
    expect(fields.get("benchbook.dirty")).toEqual({ state: "value", value: false });
    // sha256sum of "{}".
    expect(fields.get("lock_digest")).toEqual({
      state: "value",
      value: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    });
  });

  it("says that its files differ from the commit", async () => {
    const commands = { ...checkout, "git -C /program status": { stdout: " M scripts/x.ts\n" } };
    const fields = await probe({ commands });
    expect(fields.get("benchbook.dirty")).toEqual({ state: "value", value: true });
  });
});

describe("benchbook without a git checkout of its own", () => {
  it.each([
    ["git is not installed", {}, reasons.noGit],
    [
      "an installed package",
      { git: { exitCode: 128, stderr: "fatal: not a git repository (or any parent)" } },
      reasons.notARepository,
    ],
    [
      "a package installed within somebody's repository, whose commit is not benchbook's",
      { ...checkout, "git -C /program rev-parse --show-cdup": { stdout: "../../\n" } },
      reasons.notARepository,
    ],
    [
      "git refuses",
      { git: { exitCode: 128, stderr: "fatal: dubious ownership" } },
      reasons.gitFailed,
    ],
    [
      "git hangs",
      { git: { exitCode: undefined, failure: "timed out" as const } },
      reasons.timedOut,
    ],
  ])("%s", async (_, commands, reason) => {
    const fields = await probe({ commands });
    expect(fields.get("benchbook.commit")).toEqual({ state: "not_collected", reason });
    expect(fields.get("benchbook.dirty")).toEqual({ state: "not_collected", reason });
  });

  it("was installed without a lock file", async () => {
    const fields = await probe({ files: {} });
    expect(fields.get("lock_digest")).toEqual({
      state: "not_collected",
      reason: reasons.noLockFile,
    });
    expect(fields.get("benchbook.version")?.state).toBe("not_collected");
  });
});

describe("the engine's place", () => {
  it.each([
    [[undefined], "same host"],
    [["http://127.0.0.1:8000"], "same host"],
    [["http://localhost:8000", "http://[::1]:8000"], "same host"],
    [["http://TOLD:8000"], "same host"],
    [["http://told.cluster.local:8000"], "same host"],
    [["http://told2.cluster.local:8000"], "other host"],
    [["http://10.1.2.3:8000"], "same host"],
    [["https://api.example.com"], "other host"],
    [["http://10.9.9.9:8000", undefined], "mixed"],
  ])("%j is %s", async (urls, relation) => {
    const fields = await probe({ hostname: "told", addresses: ["127.0.0.1", "10.1.2.3"] }, urls);
    expect(fields.get("engine_relation")).toEqual({ state: "value", value: relation });
  });

  it("does not apply where there is no engine", async () => {
    expect((await probe({})).get("engine_relation")?.state).toBe("not_applicable");
  });
});

it("the command is what a person would type again, without its secrets", async () => {
  const argv = ["/usr/bin/node", "/x/cli.js", "run", "my file.yaml", "--api-key", "abc"];
  expect((await probe({ argv })).get("command")).toEqual({
    state: "value",
    value: "benchbook run 'my file.yaml' --api-key '[redacted]'",
  });
});
