// Program: writes data/experiment.schema.json from the schema. Run it when the schema changed.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { experimentJsonSchemaText } from "./json-schema.ts";

// Two folders up both from scripts/experiment/ and from dist/experiment/.
const path = join(import.meta.dirname, "../../data/experiment.schema.json");
writeFileSync(path, experimentJsonSchemaText());
process.stdout.write(`${path}\n`);
