import { hostname } from "node:os";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type SshServer, startSshServer, whyNoSshServer } from "../testing/ssh-server.ts";
import { captureEnvironment } from "./capture.ts";
import { differenceOf } from "./difference.ts";
import {
  describeUnreachable,
  HostUnreachable,
  openRemote,
  type RemoteOutside,
} from "./outside-remote.ts";

const missing = whyNoSshServer();
if (missing !== undefined) process.stderr.write(`skipped, engine's host over ssh: ${missing}\n`);

describe.skipIf(missing !== undefined)("a host over ssh", () => {
  let server: SshServer;
  beforeAll(async () => {
    server = await startSshServer();
  });
  afterAll(async () => {
    await server.close();
  });
  const opened: RemoteOutside[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((outside) => outside.close()));
  });
  async function open(): Promise<RemoteOutside> {
    const outside = await openRemote(server.command);
    opened.push(outside);
    return outside;
  }

  it("gives the fields that its own benchbook would, and says where each was read", async () => {
    const outside = await open();
    const options = { engines: [], stated: { other: {} }, projectRoot: "/p" };
    const there = await captureEnvironment({ ...options, host: { kind: "probed", outside } });
    const here = await captureEnvironment(options);
    const { comparable, differences } = differenceOf(here, there);
    expect(comparable).toBe(true);
    // A session of its own has limits and a control group of its own.
    const ofSession = ["host.memlock_bytes"];
    expect(
      differences
        .filter(({ class: of, id }) => of !== "noise" && !ofSession.includes(id))
        .map(({ id }) => id),
    ).toEqual([]);
    for (const { group, readOn, id } of there.fields)
      expect(readOn, id).toBe(group === "host" || group === "gpu" ? hostname() : undefined);
    const offset = there.fields.find(({ id }) => id === "host.clock_offset_ms");
    expect(offset?.value).toMatchObject({ state: "value", unit: "ms" });
    expect(here.fields.map(({ id }) => id)).not.toContain("host.clock_offset_ms");
  });

  it("is connected to again when its session broke", async () => {
    const outside = await open();
    server.endSessions();
    await expect.poll(() => outside.readFile("/etc/os-release")).toContain("NAME=");
    const light = await captureEnvironment({
      light: true,
      engines: [],
      stated: { other: {} },
      projectRoot: "/p",
      host: { kind: "probed", outside },
    });
    expect(light.fields.find(({ id }) => id === "host.load_1m")?.value.state).toBe("value");
  });

  it("that lets nobody in says so at once instead of asking for a password", async () => {
    const refused: readonly (readonly [readonly string[], RegExp, RegExp])[] = [
      [server.commandWith({ key: server.strangersKey }), /Permission denied/, /ssh-copy-id/],
      [
        server.commandWith({ knownHosts: "/dev/null" }),
        /Host key verification failed/,
        /log in once/,
      ],
      [server.commandWith({ port: 1 }), /Connection refused/, /start the host/],
    ];
    for (const [command, what, mend] of refused) {
      const error = await openRemote(command).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof HostUnreachable)) throw new Error("it lets somebody in");
      const parts = describeUnreachable(error, command);
      expect(parts.what).toMatch(what);
      expect(parts.mend).toMatch(mend);
    }
  });
});
