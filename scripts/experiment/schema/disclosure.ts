// What surrounds the numbers: where the environment is read, what the user states, which findings
// are accepted, how the record is rendered.
import { z } from "zod";
import { writtenDefaults } from "./defaults.ts";
import { choice, keysWritten, list, numberAbove, says, text, words } from "./leaves.ts";

export const environmentSchema = z
  .strictObject({
    from: text(
      "Snapshot made on the engine's host by `benchbook env --json`.",
      "env.json",
    ).optional(),
    probe: words("Runs the probes on the engine's host.", ["ssh", "gpu-node-7"]).optional(),
  })
  .superRefine(keysWritten(["from", "probe"], { most: 1 }, "keep one of the two"))
  .meta(
    says(
      "{}, { from: file } or { probe: [command] }",
      "Where the environment is read; {}: on this machine.",
      [{ from: "env.json" }],
    ),
  );

const price = z
  .strictObject({
    "per-gpu-hour": numberAbove(0, 1_000_000, "Price of one GPU for one hour.", 2.1),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/)
      .meta(says("a currency code of three capitals", "ISO 4217 code.", ["USD"])),
  })
  .meta(
    says("{ per-gpu-hour: 2.1, currency: USD }", "Price from which cost per token is computed.", [
      { "per-gpu-hour": 2.1, currency: "USD" },
    ]),
  );

export const statedSchema = z
  .strictObject({
    site: text("Data centre or region.", "ap-southeast-1").optional(),
    node: text("Name of the machine or VM.", "vm-gpu-07").optional(),
    operator: text("Who measured.", "Test team").optional(),
    ticket: text("Ticket or order that asked for the test.", "PERF-128").optional(),
    price: price.optional(),
    other: z
      .record(z.string().regex(/\S/).meta({ title: "a label" }), text("What is stated.", "liquid"))
      .meta(says("a map of label to text", "Whatever else is stated.", [{ Cooling: "liquid" }]))
      .optional(),
  })
  .meta(
    says("a map of site, node, operator, ticket, price, other", "Printed as stated by the user.", [
      { site: "ap-southeast-1", node: "vm-gpu-07" },
    ]),
  );

const waiver = z
  .strictObject({
    rule: z
      .string()
      .regex(/^[ERS][1-9]\d?$/)
      .meta(says("a rule such as E25, R3 or S1", "The rule that is waived.", ["E25"])),
    reason: text("Why its finding is accepted.", "client pinned to other cores with taskset"),
    by: text("Who accepts it.", "Test team"),
  })
  .meta(
    says("{ rule, reason, by }", "A finding that is accepted; the record prints the waiver.", [
      { rule: "E25", reason: "client pinned to other cores", by: "Test team" },
    ]),
  );

export const waiveSchema = z
  .array(waiver)
  .meta(
    says(
      "a list of { rule, reason, by }",
      "Findings that are accepted, with a reason and a name.",
      [[{ rule: "E25", reason: "client pinned to other cores", by: "Test team" }]],
    ),
  );

const { languages, formats, notebook } = writtenDefaults.report;

export const reportSchema = z
  .strictObject({
    languages: list(choice(["zh", "en"], "A language."))
      .meta(says("a list of zh, en", "Languages of the record.", [languages], languages))
      .optional(),
    formats: list(choice(["html", "md", "pdf"], "A format."))
      .meta(says("a list of html, md, pdf", "Formats of the record.", [formats], formats))
      .optional(),
    notebook: text("Notebook that the record is rendered from.", notebook, notebook).optional(),
  })
  .meta(
    says(
      "a map of languages, formats, notebook",
      "How the record is rendered; no sample depends on it.",
      [{ languages, formats }],
    ),
  );
