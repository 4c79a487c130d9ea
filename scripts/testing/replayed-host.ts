// A machine with GPUs that is not there, for a test: a folder whose `nvidia-smi`, put in front of
// PATH, answers as one of the hosts in hosts/ does, in whichever state the test chooses.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { ReplayedState } from "./replayed-smi.ts";

/** Names of the folders in hosts/. */
export type HostName = "rtx-pro-6000-vgpu" | "h100-mig";

/** A replayed host, gone after `remove`. */
export interface ReplayedHost {
  /** Its nvidia-smi, absolute. */
  readonly smi: string;
  /** PATH with its nvidia-smi in front. */
  readonly env: Readonly<Record<string, string>>;
  /** Switches to a state from the next answer on, that of a running loop too. */
  setState(state: ReplayedState): void;
  /** Back to the host as its files have it. */
  reset(): void;
  /** Text of a file of the host, as it stands in its folder. */
  file(name: string): string;
  remove(): void;
}

const program = join(import.meta.dirname, "../../dist/testing/replayed-smi.js");

/** Lays out a host in a folder of its own, in its plain state unless told. */
export function replayedHost(name: HostName, state?: ReplayedState): ReplayedHost {
  const root = mkdtempSync(join(tmpdir(), "benchbook-host-"));
  const folder = join(root, "host");
  const bin = join(root, "bin");
  cpSync(join(import.meta.dirname, "hosts", name), folder, { recursive: true });
  mkdirSync(join(folder, "states"));
  mkdirSync(bin);
  const smi = join(bin, "nvidia-smi");
  writeFileSync(smi, `#!/bin/sh\nexec '${process.execPath}' '${program}' '${folder}' "$@"\n`);
  chmodSync(smi, 0o755);

  let count = 0;
  /** In one step: a loop never sees half a state. */
  const put = (path: string, text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const setState = (next: ReplayedState): void => {
    count += 1;
    put(join(folder, "states", `${count}.json`), JSON.stringify(next));
    put(join(folder, "state"), String(count));
  };
  const reset = (): void => {
    put(join(folder, "state"), "plain");
  };
  if (state === undefined) reset();
  else setState(state);
  return {
    smi,
    env: { PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` },
    setState,
    reset,
    file: (file) => readFileSync(join(folder, file), "utf8"),
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}
