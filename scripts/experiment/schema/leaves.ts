// The smallest parts of the experiment schema. Every part carries a `title` (what a value must be;
// error messages quote it), a `description` (what it means) and `examples`; editors show all three.
import { z } from "zod";
import { parseDurationMs, parseShare } from "../../units.ts";
import { durationPattern, sharePattern } from "../quantity.ts";

export const environmentNamePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Metadata of a schema part; `standsFor` is the default that a key which is not written stands for. */
export const says = (
  title: string,
  description: string,
  examples: readonly unknown[],
  standsFor?: unknown,
) => ({
  title,
  description,
  examples: [...examples],
  ...(standsFor === undefined ? {} : { default: standsFor }),
});

/** Any text but an empty one. */
export const text = (description: string, example: string, standsFor?: string) =>
  z
    .string()
    .regex(/\S/)
    .meta(says("a text", description, [example], standsFor));

export const slugTitle = "a name of a-z, 0-9 and single dashes, at most 64 characters";

/** A name that may stand in point names, run ids and file names. */
export const slug = (description: string, example: string) =>
  z
    .string()
    .max(64)
    .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/)
    .meta(says(slugTitle, description, [example]));

/** A whole number of `min` to `max`. */
export const count = (
  [min, max]: readonly [number, number],
  description: string,
  example: number,
  standsFor?: number,
) =>
  z
    .int()
    .min(min)
    .max(max)
    .meta(says(`a whole number from ${min} to ${max}`, description, [example], standsFor));

/** A number above `above` and up to `max`. */
export const numberAbove = (above: number, max: number, description: string, example: number) =>
  z
    .number()
    .gt(above)
    .max(max)
    .meta(says(`a number above ${above}, at most ${max}`, description, [example]));

/** Tokens of one request. */
export const tokens = (description: string, example: number) =>
  count([1, 10_000_000], description, example);

const sevenDaysMs = 7 * 24 * 3_600_000;

/** "2 s": above 0, at most a week, which is also far below what a timer can hold. */
export const duration = (description: string, example: string, standsFor?: string) =>
  z
    .string()
    .regex(durationPattern)
    .refine((written) => {
      const durationMs = parseDurationMs(written);
      return durationMs === undefined || (durationMs > 0 && durationMs <= sevenDaysMs);
    }, "a duration must be above 0 and at most 168 h")
    .meta(says("a duration with its unit", description, [example], standsFor));

/** "1%": from `least` (a ratio) to 100%. */
export const share = (least: number, description: string, example: string, standsFor?: string) =>
  z
    .string()
    .regex(sharePattern)
    .refine(
      (written) => {
        const ratio = parseShare(written);
        return ratio === undefined || (ratio >= least && ratio <= 1);
      },
      `a share must be from ${least * 100}% to 100%`,
    )
    .meta(says("a share in percent", description, [example], standsFor));

export const flag = (description: string, standsFor: boolean) =>
  z.boolean().meta(says("true or false", description, [standsFor], standsFor));

export const choice = <const Values extends readonly [string, ...string[]]>(
  values: Values,
  description: string,
  standsFor?: Values[number],
) =>
  z
    .enum(values)
    .meta(says(`one of ${values.join(", ")}`, description, [standsFor ?? values[0]], standsFor));

/** The words of a command. */
export const words = (description: string, example: readonly [string, ...string[]]) =>
  z
    .array(text("One word of it.", example[0]))
    .min(1)
    .meta(says("a list of words", description, [example]));

/** Refuses a value that stands in a list twice, at its second place. */
const refuseTwice = (list: readonly unknown[], context: z.RefinementCtx) => {
  for (const [index, item] of list.entries()) {
    if (list.indexOf(item) === index) continue;
    context.addIssue({
      code: "custom",
      path: [index],
      message: `${String(item)} is in this list twice`,
      params: { mend: "keep one of the two" },
      input: item,
    });
  }
};

/** At least one item, none twice. */
export const list = <Item extends z.ZodType>(item: Item) =>
  z.array(item).min(1).superRefine(refuseTwice);

export const oneOrMany = <Item extends z.ZodType>(item: Item) => z.union([item, list(item)]);

/** Of some keys at least `least` and at most `most` must be written. */
export const keysWritten =
  (keys: readonly string[], { least = 0, most = keys.length }, mend: string) =>
  (map: object, context: z.RefinementCtx) => {
    const written = keys.filter((key) => key in map);
    if (written.length < least) {
      const message = `none of ${keys.join(", ")} is written`;
      context.addIssue({ code: "custom", message, params: { mend }, input: map });
    }
    for (const key of written.slice(most)) {
      const message = `${key} and ${written[0] ?? ""} can't both be written`;
      context.addIssue({ code: "custom", path: [key], message, params: { mend }, input: map });
    }
  };

/** At least one key, whatever its name. */
export const refuseEmpty =
  (what: string, mend: string) => (map: object, context: z.RefinementCtx) => {
    if (Object.keys(map).length > 0) return;
    context.addIssue({ code: "custom", message: what, params: { mend }, input: map });
  };

/** Values by names that are slugs. */
export const named = <Value extends z.ZodType>(value: Value) =>
  z.record(slug("A name.", "fp8"), value);

/** A text for both languages, or one for each. */
export const localText = (description: string, example: string) =>
  z
    .union([
      text(description, example),
      z
        .strictObject({
          zh: text("In Chinese.", "推理性能测试记录").optional(),
          en: text("In English.", "Serving performance").optional(),
        })
        .superRefine(
          keysWritten(["zh", "en"], { least: 1 }, "write { zh: ..., en: ... }, or one of them"),
        ),
    ])
    .meta(says("a text, or { zh: ..., en: ... }", description, [example]));
