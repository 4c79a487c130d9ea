// The house: who may import whom. Each rule's comment says how to mend a breach.

// From the bottom up. A folder imports values only from folders before it in this list.
const order = [
  "experiment",
  "environment",
  "engine",
  "workload",
  "bench",
  "store",
  "stats",
  "audit",
  "report",
  "review",
  "executor",
  "benchmarks",
];

// The last of them, benchmarks, may import all.
const below = order.slice(0, -1).map((folder, position) => ({
  name: `one-way-${folder}`,
  comment: `${folder}/ may import values only from folders before it (${order.slice(0, position).join(", ") || "none"}). Take the type with \`import type\`, move the code down, or let pipeline.ts join the two.`,
  severity: "error",
  from: { path: `^scripts/${folder}/`, pathNot: "\\.test\\.ts$" },
  to: {
    path: `^scripts/(${[...order.slice(position + 1), "testing"].join("|")})/`,
    dependencyTypesNot: ["type-only"],
  },
}));

// Packages enter by few doors.
const doors = [
  ["zx", ["environment", "engine", "executor"]],
  ["@huggingface/transformers", ["workload", "engine/embedded"]],
  ["undici", ["bench", "engine"]],
  ["better-sqlite3", ["store"]],
  ["simple-statistics", ["stats"]],
  [
    "(vega|vega-lite|handlebars|markdown-it|subset-font|opentype\\.js|@embedpdf/fonts-sc)",
    ["report"],
  ],
  ["yaml", ["experiment", "report", "review"]],
  ["fast-xml-parser", ["environment", "review"]],
].map(([name, folders]) => ({
  name: `door-${name.replaceAll(/[^a-z-]/g, "")}`,
  comment: `Only ${folders.join(", ")} may import ${name}. Offer what you need as a function there and call that.`,
  severity: "error",
  from: {
    path: "^scripts/",
    pathNot: [
      ...folders.map((folder) => `^scripts/${folder}/`),
      "^scripts/(testing|benchmarks)/",
      "\\.test\\.ts$",
    ],
  },
  to: { path: `node_modules/${name}/` },
}));

export default {
  forbidden: [
    ...below,
    ...doors,
    {
      name: "stats-is-pure",
      comment:
        "stats/ computes and nothing else: no clock, file, network or node: module. Pass the value in as an argument.",
      severity: "error",
      from: { path: "^scripts/stats/", pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "ground-floor",
      comment:
        "units.ts and errors.ts are below everything and import nothing of ours but each other.",
      severity: "error",
      from: { path: "^scripts/(units|errors)\\.ts$" },
      to: { path: "^scripts/", pathNot: "^scripts/(units|errors)\\.ts$" },
    },
    {
      name: "roof",
      comment: "Nothing imports pipeline.ts but cli.ts. What two places need lives in a folder.",
      severity: "error",
      from: {
        path: "^scripts/",
        pathNot: ["^scripts/cli\\.ts$", "^scripts/benchmarks/", "\\.test\\.ts$"],
      },
      to: { path: "^scripts/pipeline\\.ts$" },
    },
    {
      name: "thin-cli",
      comment: "cli.ts turns argv into a call of pipeline.ts. Move the work there or below.",
      severity: "error",
      from: { path: "^scripts/cli\\.ts$" },
      to: {
        path: "^scripts/",
        pathNot: "^scripts/(pipeline|units|errors)\\.ts$",
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "tests-stay-outside",
      comment: "testing/ serves tests and benchmarks only; the product must run without it.",
      severity: "error",
      from: { path: "^scripts/", pathNot: ["\\.test\\.ts$", "^scripts/(testing|benchmarks)/"] },
      to: { path: "^scripts/testing/" },
    },
    {
      name: "no-cycles",
      comment: "Two files that need each other are one, or the type is in the wrong one.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-junk-drawers",
      comment:
        "utils, helpers, common, types and index files have no meaning of their own. Name the file after the noun it holds.",
      severity: "error",
      from: {},
      to: {
        path: "^scripts/.*(/(utils|helpers|common)/|/(types|index|utils|helpers|common)\\.ts$)",
      },
    },
    {
      name: "dist-is-output",
      comment: "Import the source, not its build.",
      severity: "error",
      from: { path: "^scripts/" },
      to: { path: "^dist/" },
    },
  ],
  options: {
    tsPreCompilationDeps: "specify",
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
