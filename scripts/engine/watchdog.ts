// A small shell beside every launched engine that ends it when benchbook itself is gone, a kill -9
// included: its standard input is a pipe that we hold, and closes with us.
import { $ } from "zx";
import { quoteWord } from "../environment/probe.ts";
import type { HostProcess } from "./processes.ts";

/** How to end what is no process of ours, a container for instance: first politely, then for good. */
export interface Release {
  readonly polite: readonly string[];
  readonly firm: readonly string[];
}

export interface Watchdog {
  /** Processes of the engine that its group does not hold. */
  know(processes: readonly Pick<HostProcess, "pid" | "startedAt">[]): void;
  /** The engine has ended in good order. */
  dismiss(): void;
}

/**
 * $1 is the group, $2 and $3 the commands of a release; others are known as pid:start, since a pid may
 * be another process's by the time. It waits a second for engines that see their own standard input
 * close, then ten for those that heed SIGTERM.
 */
const script = `
trap '' HUP INT TERM
others=
while IFS= read -r line; do
  [ "$line" = dismissed ] && exit 0
  others=$line
done
start_of() { s=$(cat "/proc/$1/stat" 2>/dev/null) || return 0; set -- \${s##*) }; echo "\${20}"; }
living() { for o in $others; do [ "$(start_of "\${o%:*}")" = "\${o#*:}" ] && echo "\${o%:*}"; done; }
alive() { for p in "-$1" $(living); do kill -s 0 -- "$p" 2>/dev/null && return 0; done; return 1; }
send() { for p in "-$2" $(living); do kill -s "$1" -- "$p" 2>/dev/null; done; }
wait_for_end() { n=0; while [ $n -lt $2 ] && alive "$1"; do sleep 0.2; n=$((n + 1)); done; }
wait_for_end "$1" 5
[ -n "$2" ] && eval "$2"
send TERM "$1"
wait_for_end "$1" 50
send KILL "$1"
[ -n "$3" ] && eval "$3"
exit 0
`;

/** Starts the watchdog of a process group, in a group of its own. */
export function startWatchdog(group: number, release: Release | undefined): Watchdog {
  const commands = [release?.polite ?? [], release?.firm ?? []].map((command) =>
    command.map(quoteWord).join(" "),
  );
  const child = $({
    detached: true,
    nothrow: true,
    quiet: true,
    stdio: ["pipe", "ignore", "ignore"],
  })`exec sh -c ${script} benchbook-watchdog ${group} ${commands}`;
  // Without a reader there is nobody left to tell.
  child.stdin.on("error", () => undefined);
  return {
    know: (processes) => {
      const known = processes.map(({ pid, startedAt }) => `${pid}:${startedAt}`);
      child.stdin.write(`${known.join(" ")}\n`);
    },
    dismiss: () => void child.stdin.end("dismissed\n"),
  };
}
