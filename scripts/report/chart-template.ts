// A chart's spec is Vega-Lite in a JSON file of templates/charts/, where "$name" stands for a value
// and {"$each": "panels", ...} for one view per panel. This fills one in; it computes nothing.

import { readFileSync } from "node:fs";

/** What placeholders stand for; a panel's own values come before those of the chart. */
export type TemplateValues = Readonly<Record<string, unknown>>;

/** The parsed file templates/charts/<name>.json. */
export function readChartTemplate(name: string): unknown {
  const file = new URL(`../../templates/charts/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8"));
}

/**
 * The template with every placeholder replaced.
 *
 * @throws Error for a placeholder without a value: template and chart do not belong together
 * @example fillTemplate({ width: "$w" }, { w: 744 }) // { width: 744 }
 */
export function fillTemplate(template: unknown, values: TemplateValues): unknown {
  if (typeof template === "string") {
    return /^\$[a-z]/i.test(template) && template !== "$schema"
      ? valueOf(template.slice(1), values)
      : template;
  }
  if (Array.isArray(template)) {
    return template.flatMap((item: unknown) =>
      isRepeated(item) ? repeat(item, values) : [fillTemplate(item, values)],
    );
  }
  if (isObject(template)) {
    return Object.fromEntries(
      Object.entries(template).map(([key, value]) => [key, fillTemplate(value, values)]),
    );
  }
  return template;
}

function repeat({ $each: name, ...view }: Repeated, values: TemplateValues): unknown[] {
  const panels = valueOf(name, values);
  if (!Array.isArray(panels)) throw new Error(`chart template: ${name} is no list`);
  return panels.map((panel: unknown) => {
    if (!isObject(panel)) throw new Error(`chart template: an entry of ${name} is no object`);
    return fillTemplate(view, { ...values, ...panel });
  });
}

function valueOf(name: string, values: TemplateValues): unknown {
  if (!Object.hasOwn(values, name)) throw new Error(`chart template: no value for $${name}`);
  return values[name];
}

interface Repeated {
  readonly $each: string;
}

function isRepeated(item: unknown): item is Repeated {
  return isObject(item) && typeof item["$each"] === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
