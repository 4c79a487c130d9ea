// An nvidia-smi that answers from a folder of files, for tests of machines that are not there:
//   node dist/testing/replayed-smi.js HOST_FOLDER ...what nvidia-smi is asked
// The folder's file `state` names the state that holds now; a loop (-lms) looks at it every time.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How a machine in some state differs from the files of its host. */
export interface ReplayedState {
  /** Cells of `--query-gpu`, by GPU index or "*" for all, then by column. */
  readonly cells?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Counters of `--query-gpu` that grow: column -> units per second, of all GPUs. */
  readonly growing?: Readonly<Record<string, number>>;
  /** Columns that this driver does not know. */
  readonly refused?: readonly string[];
  /** Whole files in the place of the host's: "compute-apps.csv" -> its text. */
  readonly files?: Readonly<Record<string, string>>;
  /** Texts replaced in the host's files: "query.xml" -> [from, to] pairs; each has to be there. */
  readonly replace?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  /** Lines that a loop prints in the place of its rows. */
  readonly lines?: readonly string[];
  /** How every call ends, a loop too; `cut`: the share of its text that it still prints. */
  readonly failure?:
    | { readonly kind: "hang" }
    | { readonly kind: "exit"; readonly code: number; readonly text: string }
    | { readonly kind: "cut"; readonly share: number };
}

const [folder = "", ...argv] = process.argv.slice(2);

/** Nobody reads any more: as nvidia-smi does, it ends. */
process.stdout.on("error", () => process.exit(0));

await answer();

async function answer(): Promise<void> {
  const query = optionOf("--query-gpu");
  if (query !== undefined) {
    await answerQuery(query.split(","));
    return;
  }
  const state = readState();
  await failAs(state);
  const apps = optionOf("--query-compute-apps");
  if (apps !== undefined) say(table("compute-apps.csv", apps.split(","), state), state);
  else if (argv.includes("--help-query-gpu")) say(helpText(state), state);
  else say(fileText(fileOf(argv), state), state);
}

/** Rows of the asked columns, once or in a loop. */
async function answerQuery(columns: readonly string[]): Promise<void> {
  const loopMs = loopOf();
  const startedMs = performance.now();
  for (;;) {
    const state = readState();
    await failAs(state);
    const elapsedS = (performance.now() - startedMs) / 1000;
    say(state.lines?.join("\n") ?? table("query-gpu.csv", columns, state, elapsedS), state);
    if (loopMs === undefined) return;
    await delay(loopMs);
  }
}

/** A file of rows under a header, cut down to the asked columns. */
function table(
  file: string,
  columns: readonly string[],
  state: ReplayedState,
  elapsedS = 0,
): string {
  const [header = "", ...lines] = fileText(file, state).split("\n");
  const known = cellsOf(header);
  const format = (optionOf("--format") ?? "csv").split(",");
  const refused = columns.find(
    (column) =>
      state.refused?.includes(column) === true ||
      (!known.includes(columnOf(column, known)) && column !== "timestamp"),
  );
  if (refused !== undefined) end(2, `Field "${refused}" is not a valid field to query.\n`);
  const rows = lines
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const row = new Map(cellsOf(line).map((cell, at) => [known[at] ?? "", cell]));
      const index = row.get("index") ?? "";
      const changes = { ...state.cells?.["*"], ...state.cells?.[index] };
      for (const [column, cell] of Object.entries(changes)) row.set(column, cell);
      for (const [column, perSecond] of Object.entries(state.growing ?? {})) {
        const from = Number.parseFloat(row.get(column) ?? "0");
        row.set(column, `${Math.round(from + perSecond * elapsedS)} us`);
      }
      return columns
        .map((column) =>
          column === "timestamp" ? timestamp() : (row.get(columnOf(column, known)) ?? ""),
        )
        .map((cell) => (format.includes("nounits") ? withoutUnit(cell) : cell))
        .join(", ");
    });
  return [...(format.includes("noheader") ? [] : [columns.join(", ")]), ...rows].join("\n");
}

/** Columns that have two names are in a host's table under one of them. */
function columnOf(query: string, known: readonly string[]): string {
  const names: Readonly<Record<string, string>> = {
    gpu_uuid: "uuid",
    gpu_name: "name",
    "clocks.current.sm": "clocks.sm",
    "clocks.current.memory": "clocks.mem",
    "clocks.max.mem": "clocks.max.memory",
    "clocks_throttle_reasons.active": "clocks_event_reasons.active",
    used_gpu_memory: "used_memory",
  };
  return known.includes(query) ? query : (names[query] ?? query);
}

/** The file that answers a call: "-q -x" from query.xml, "topo -m" from topo.txt. */
function fileOf(words: readonly string[]): string {
  const known: Readonly<Record<string, string>> = {
    "-q -x": "query.xml",
    "-x -q": "query.xml",
    "-q": "query.txt",
    "-L": "list.txt",
    "topo -m": "topo.txt",
    "mig -lgi": "mig-gi.txt",
    "mig -lci": "mig-ci.txt",
  };
  return known[words.join(" ")] ?? `${words.join("-").replaceAll(/[^a-z0-9]+/gi, "-")}.txt`;
}

/** The text of a host's file as the state has it. Ends with nvidia-smi's complaint where there is none. */
function fileText(file: string, state: ReplayedState): string {
  const other = state.files?.[file];
  if (other !== undefined) return other;
  if (!readdirSync(folder).includes(file))
    end(1, `ERROR: Option ${argv.join(" ")} is not recognized. Please run 'nvidia-smi -h'.\n`);
  return (state.replace?.[file] ?? []).reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) end(70, `${file} does not hold ${JSON.stringify(from)}\n`);
      return text.replaceAll(from, to);
    },
    readFileSync(join(folder, file), "utf8"),
  );
}

function helpText(state: ReplayedState): string {
  const [header = ""] = fileText("query-gpu.csv", state).split("\n");
  return cellsOf(header)
    .filter((column) => state.refused?.includes(column) !== true)
    .map((column) => `"${column}"\n`)
    .join("\n");
}

/** The state that holds now; plain where the folder names none. */
function readState(): ReplayedState {
  const name = readFileSync(join(folder, "state"), "utf8").trim();
  if (name === "plain") return {};
  return JSON.parse(readFileSync(join(folder, "states", `${name}.json`), "utf8")) as ReplayedState;
}

async function failAs({ failure }: ReplayedState): Promise<void> {
  if (failure?.kind === "exit") end(failure.code, failure.text);
  // Longer than any test; the process that waits for it ends it.
  if (failure?.kind === "hang") await delay(3_600_000);
}

function say(text: string, { failure }: ReplayedState): void {
  const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  const length = failure?.kind === "cut" ? whole.length * failure.share : whole.length;
  process.stdout.write(whole.slice(0, length));
}

function end(code: number, text: string): never {
  process.stdout.write(text);
  process.exit(code);
}

/** "--name=value" and "--name value". */
function optionOf(name: string): string | undefined {
  const joined = argv.find((word) => word.startsWith(`${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 1);
  const at = argv.indexOf(name);
  return at === -1 ? undefined : argv[at + 1];
}

function loopOf(): number | undefined {
  const ms = optionOf("-lms") ?? optionOf("--loop-ms");
  if (ms !== undefined) return Number(ms);
  const seconds = optionOf("-l") ?? optionOf("--loop");
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

function cellsOf(line: string): readonly string[] {
  return line.split(",").map((cell) => cell.trim());
}

function withoutUnit(cell: string): string {
  return cell.replace(/^(-?[\d.]+) (?:W|MHz|MiB|us|%)$/, "$1");
}

/** As nvidia-smi prints the time: local, without an offset. */
function timestamp(): string {
  const now = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString();
  return now.slice(0, 23).replaceAll("-", "/").replace("T", " ");
}
