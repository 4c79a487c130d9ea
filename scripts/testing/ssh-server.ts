// An sshd of a test's own on 127.0.0.1, with keys of its own: another host as far as ssh can tell.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface SshServer {
  /** Words that log in there by the test's own key, whatever the person who runs it has set up. */
  readonly command: readonly string[];
  /** The same with parts changed: another port, a key that it does not know, a host key nobody saw. */
  commandWith(parts: {
    readonly port?: number;
    readonly key?: string;
    readonly knownHosts?: string;
  }): readonly string[];
  /** A key that may not log in. */
  readonly strangersKey: string;
  /** Ends every session, as a network that broke would. */
  endSessions(): void;
  close(): Promise<void>;
}

const program = "/usr/sbin/sshd";

/** Why there can be none here; undefined: there can. */
export function whyNoSshServer(): string | undefined {
  if (!existsSync(program)) return `${program} is not installed`;
  return ["/usr/bin/ssh", "/usr/bin/ssh-keygen"].find((path) => !existsSync(path)) === undefined
    ? undefined
    : "ssh is not installed";
}

export async function startSshServer(): Promise<SshServer> {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-sshd-"));
  const [hostKey = "", ownKey = "", strangersKey = ""] = ["host", "own", "stranger"].map((name) => {
    const path = join(folder, `${name}-key`);
    execFileSync("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]);
    return path;
  });
  const port = await freePort();
  const authorized = join(folder, "authorized");
  writeFileSync(authorized, readFileSync(`${ownKey}.pub`));
  const knownHosts = join(folder, "known-hosts");
  const [type = "", key = ""] = readFileSync(`${hostKey}.pub`, "utf8").split(" ");
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${type} ${key}\n`);
  const configuration = join(folder, "sshd-config");
  writeFileSync(
    configuration,
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorized}`,
      `PidFile ${join(folder, "pid")}`,
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      // The keys lie in a folder below /tmp, which everybody may write to.
      "StrictModes no",
      "UsePAM no",
      "PrintMotd no",
      "",
    ].join("\n"),
  );
  // A system that never started its sshd lacks the folder that it insists on.
  if (userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const child = spawn(program, ["-D", "-e", "-f", configuration], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await listening(port, child, () => said);

  const commandWith: SshServer["commandWith"] = (parts) => [
    "ssh",
    ...["-F", "/dev/null", "-p", String(parts.port ?? port), "-i", parts.key ?? ownKey],
    ...["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"],
    ...["-o", `UserKnownHostsFile=${parts.knownHosts ?? knownHosts}`],
    ...["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"],
    "127.0.0.1",
  ];
  return {
    command: commandWith({}),
    commandWith,
    strangersKey,
    endSessions: () => {
      for (const pid of childrenOf(child.pid)) process.kill(pid, "SIGKILL");
    },
    close: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

async function listening(port: number, child: ChildProcess, said: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`sshd did not start: ${said()}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => {
        resolve(false);
      });
    });
    if (isOpen) return;
    await delay(50);
  }
  throw new Error(`sshd does not listen: ${said()}`);
}

function childrenOf(pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
