// Makes a fresh clone ready: installs what package-lock.json names, builds dist/. Plain JavaScript,
// since it must run before anything is installed. Does nothing, fast, when nothing changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old`, "install Node 20.19 or newer, then try again");
}

const stamp = join(root, "node_modules", ".benchbook-setup");
const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .update(process.version)
  .digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  // npm ci empties the folder, and through a link somebody else's.
  if (lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    fail("node_modules is a link to packages of another state", "remove the link, then try again");
  }
  say("installing packages (about a minute; better-sqlite3 may compile)");
  npm(["ci", "--no-audit", "--no-fund"]);
  writeFileSync(stamp, lock);
}
// Incremental: a second or two when nothing changed.
execute(process.execPath, [
  join(root, "node_modules/typescript/bin/tsc"),
  "-p",
  "tsconfig.build.json",
]);

function npm(args) {
  // npm tells its own path to the scripts it runs; elsewhere it is found on the PATH.
  const npmCli = process.env.npm_execpath;
  if (npmCli?.endsWith(".js")) execute(process.execPath, [npmCli, ...args]);
  else execute("npm", args);
}

function execute(command, args) {
  // The child's talk goes to stderr: stdout belongs to results.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error)
    fail(`${command} could not be started: ${error.message}`, "is Node's npm on the PATH?");
  if (status !== 0) {
    fail(
      `"${[command, ...args].join(" ")}" ended with status ${status}`,
      "the lines above say why",
    );
  }
}

function say(text) {
  process.stderr.write(`benchbook setup: ${text}\n`);
}

function fail(what, mend) {
  say(`${what}; ${mend}`);
  process.exit(1);
}
