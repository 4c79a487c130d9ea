// Text, values and environment variables with their secrets taken out, before anything is stored; and
// the scan that refuses to publish one that came through. A secret is known by the name it stands
// under, by its form, or because the caller knows it.

import { reasons } from "./reasons.ts";
import type { FieldValue } from "./snapshot.ts";

/** What stands where a secret stood. */
export const redactedMark = "[redacted]";

export interface SecretHit {
  /** "api key", "url credentials", ... : the rule that found it. */
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  /** Line within the text, from 1. */
  readonly line: number;
  /** Its first characters at most, so that a person finds it and a log does not leak it. */
  readonly excerpt: string;
}

interface Span {
  readonly kind: string;
  readonly start: number;
  readonly end: number;
}

/** Forms that are a secret wherever they stand. Group `secret`, where there is one, is what goes. */
const forms: readonly { readonly kind: string; readonly pattern: RegExp }[] = [
  {
    kind: "private key",
    pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/dg,
  },
  {
    kind: "authorization",
    pattern:
      /\b(?:[Bb]earer|BEARER)\s+(?<secret>(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})/dg,
  },
  {
    kind: "authorization",
    pattern: /\bBasic\s+(?<secret>(?=[A-Za-z0-9+/]*(?:[a-z][A-Z]|\d|=))[A-Za-z0-9+/]{8,}={0,2})/dg,
  },
  {
    kind: "authorization",
    pattern:
      /\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?<secret>(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s"',;]+)/dgi,
  },
  {
    kind: "authorization",
    pattern: /\b(?:x-)?(?:api-key|auth-token)["']?\s*[:=]\s*["']?(?<secret>[^\s"',;]+)/dgi,
  },
  { kind: "password", pattern: /\bsshpass["',\s]+-p["',\s]*(?<secret>[^\s"',]+)/dg },
  { kind: "cookie", pattern: /\b(?:set-)?cookie["']?\s*:\s*["']?(?<secret>[^"'\r\n]+)/dgi },
  // The last @ before the path ends the credentials: a password may hold one.
  {
    kind: "url credentials",
    pattern: /(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}:\/\/(?<secret>[^\s/?#"'<>]+)@/dgi,
  },
  {
    kind: "url signature",
    pattern: /[?&](?:sig|signature|x-amz-signature|x-amz-credential)=(?<secret>[^\s&#"'<>]+)/dgi,
  },
  { kind: "api key", pattern: /(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}/dg },
  { kind: "api key", pattern: /\b(?:hf|gsk|r8|npm|pypi)_[A-Za-z0-9]{16,}/dg },
  { kind: "api key", pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,})/dg },
  { kind: "api key", pattern: /\b(?:glpat|nvapi|xox[abeoprs]|tskey)-[\w-]{10,}/dg },
  { kind: "api key", pattern: /\bms-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/dg },
  { kind: "cloud key", pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/dg },
  { kind: "cloud key", pattern: /\bLTAI[A-Za-z0-9]{12,26}\b/dg },
  { kind: "cloud key", pattern: /\bAKID[A-Za-z0-9]{32}\b/dg },
  { kind: "cloud key", pattern: /\bAIza[\w-]{35}/dg },
  { kind: "json web token", pattern: /\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*/dg },
];

/** A name and what stands between it and its value; the value begins where the match ends. */
const assignments: readonly { readonly head: RegExp; readonly value: RegExp }[] = [
  {
    // NAME=value, --name=value, "name": "value", 'name': ['value'], name='value'.
    head: /(?<![\w.-])-*(?<name>[A-Za-z_][\w.-]{0,80})(?:["']?\s?:\s?(?=["'[])|\s?=(?!=)\s?)/g,
    value: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|[^\s,;&|"'<>]+/y,
  },
  {
    // --name value. A value that starts with a dash is the next flag.
    head: /(?<![\w-])--?(?<name>[A-Za-z][\w.-]{0,80})\s+/g,
    value: /"[^"]*"|'[^']*'|[^\s"'-][^\s"']*/y,
  },
  {
    // '--name', 'value', of a list of words.
    head: /(?<![\w-])--?(?<name>[A-Za-z][\w.-]{0,80})["']\s?,\s?(?=["'])/g,
    value: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/y,
  },
  {
    // api_key: value, of YAML and of logs; only names that mean nothing else.
    head: /(?<![\w-])(?<name>(?:[\w-]{0,80}[_-])?(?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|(?:auth|access|hf|bearer)[_-]token|password|passwd))\s*:\s+/gi,
    value: /[^\s,;"'<>]+/y,
  },
];

/**
 * The text with every secret in it replaced by `[redacted]`; the same text where there is none.
 * Redacting twice changes nothing.
 *
 * @param known secrets that are known in full: they go wherever they stand
 * @example redactText("--api-key sk-abc --port 8000") // "--api-key [redacted] --port 8000"
 */
export function redactText(text: string, known: readonly string[] = []): string {
  let redacted = "";
  let from = 0;
  for (const { start, end } of secretSpans(text, known, isSecretName)) {
    redacted += text.slice(from, start) + redactedMark;
    from = end;
  }
  return redacted + text.slice(from);
}

/**
 * Secrets that are left in a text that is about to be published; empty for one that may be. Unlike
 * `redactText` it does not stop at a bare `key` or `token`, which documents and charts are full of.
 */
export function findSecrets(text: string, known: readonly string[] = []): readonly SecretHit[] {
  const isTellingName = (name: string): boolean =>
    isSecretName(name) && (wordsOf(name).length > 1 || /^passw/i.test(name));
  // Fonts and pictures that a page carries within itself are base64, and long.
  const withoutData = text.replaceAll(
    /data:[\w/+.;=-]{0,80};base64,([A-Za-z0-9+/=]+)/g,
    (whole, data: string) => whole.slice(0, -data.length) + " ".repeat(data.length),
  );
  return secretSpans(withoutData, known, isTellingName).map(({ kind, start, end }) => ({
    kind,
    start,
    end,
    line: text.slice(0, start).split("\n").length,
    excerpt: `${text.slice(start, start + Math.min(4, Math.floor((end - start) / 4)))}…`,
  }));
}

/** The variables with the values of secret ones replaced and secrets within the others too. */
export function redactEnvironmentVariables(
  variables: Readonly<Record<string, string>>,
  known: readonly string[] = [],
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      isSecretAssignment(name, value) ? redactedMark : redactText(value, known),
    ]),
  );
}

/** A value under its name: of the state `redacted` where the name or the whole value is a secret's. */
export function redactValue(
  name: string,
  value: string | number | boolean,
  known: readonly string[] = [],
): FieldValue {
  const redacted: FieldValue = { state: "redacted", reason: reasons.looksSecret };
  if (isSecretAssignment(name, String(value))) return redacted;
  if (typeof value !== "string") return { state: "value", value };
  const text = redactText(value, known);
  return text === redactedMark ? redacted : { state: "value", value: text };
}

/** A command line with the values of secret flags and every other secret replaced. */
export function redactArguments(
  argv: readonly string[],
  known: readonly string[] = [],
): readonly string[] {
  return argv.map((word, position) => {
    const before = argv[position - 1];
    const name = before === undefined ? undefined : /^--?([A-Za-z][\w.-]*)$/.exec(before)?.[1];
    if (name !== undefined && !word.startsWith("--") && isSecretAssignment(name, word))
      return redactedMark;
    const [, assigned = "", value = ""] = /^-*([A-Za-z_][\w.-]*)=(.*)$/s.exec(word) ?? [];
    if (isSecretAssignment(assigned, value)) return word.slice(0, -value.length) + redactedMark;
    return redactText(word, known);
  });
}

/**
 * Values of secret variables, long and odd enough that replacing them everywhere takes no ordinary
 * word away. For `known`.
 */
export function secretsOf(
  variables: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const odd = (value: string): boolean =>
    value.length >= 8 &&
    (value.length >= 20 || (/[A-Za-z]/.test(value) && /[^A-Za-z]/.test(value)));
  return Object.entries(variables).flatMap(([name, value]) =>
    value !== undefined && odd(value) && isSecretAssignment(name, value) ? [value] : [],
  );
}

/**
 * Whether a name is that of a secret: `api_key`, `HF_TOKEN`, `dbPassword`, but not `max_tokens`,
 * `tokenizer`, `num_key_value_heads`, `key_file`.
 */
export function isSecretName(name: string): boolean {
  const words = wordsOf(name);
  const last = words.at(-1) ?? "";
  // Where the secret is kept, or what it is like, is no secret.
  if (/^(env|file|files|path|dir|folder|sock|type|method|mode|count|length|len|size)$/.test(last))
    return false;
  return words.some((word, position) => {
    const before = words[position - 1] ?? "";
    const after = words[position + 1] ?? "";
    if (/^(secrets?|passwords?|passwd|passphrase|credentials?|authorization|apikeys?)$/.test(word))
      return true;
    if (/^(auth|authtoken|sshpass|pgpassword)$/.test(word)) return true;
    if (word === "keys" || word === "tokens") return /^(api|access|secret|auth)$/.test(before);
    if (word === "token")
      return (
        !/^(max|min|num|per|pad|eos|bos|unk|sep|cls|mask|special|image|video|audio|stop|first|last|next|input|output|prompt|start|end|think|of|added|by)$/.test(
          before,
        ) &&
        !/^(id|ids|index|budgets?|limit|latency|time|times|strategy|embeddings?|s|ms)$/.test(after)
      );
    if (word === "key")
      return (
        !/^(sort|primary|foreign|group|cache|partition|row|column|data|map|hash|field|json|public|per|qk|query)$/.test(
          before,
        ) && !/^(value|values|dtype|head|heads|dim|proj|scale|cache|states|padding)$/.test(after)
      );
    return false;
  });
}

/** A switch, a number of tokens or nothing at all is no secret, whatever its name. */
function isSecretAssignment(name: string, value: string): boolean {
  const bare = value.trim().replace(/^(["'])(.*)\1$/s, "$2");
  if (bare === "" || bare.includes(redactedMark)) return false;
  if (/^(true|false|yes|no|on|off|none|null|undefined|nil)$/i.test(bare)) return false;
  const numeric = /^-?\d+(\.\d+)?$/.test(bare);
  return isSecretName(name) && (!numeric || /secret|pass|credential/i.test(name));
}

/** "dbPassword", "DB_PASSWORD", "db.password" -> ["db", "password"]. */
function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "");
}

/** Ascending, none within or beside another. */
function secretSpans(
  text: string,
  known: readonly string[],
  isName: (name: string) => boolean,
): readonly Span[] {
  const spans: Span[] = [];
  for (const secret of known) {
    for (const form of new Set([
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
    ])) {
      if (form === "") continue;
      for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + form.length))
        spans.push({ kind: "known secret", start: at, end: at + form.length });
    }
  }
  for (const { kind, pattern } of forms) {
    for (const match of text.matchAll(pattern)) {
      const [start, end] = match.indices?.groups?.["secret"] ?? [
        match.index,
        match.index + match[0].length,
      ];
      if (!text.slice(start, end).includes(redactedMark)) spans.push({ kind, start, end });
    }
  }
  for (const { head, value } of assignments) {
    let end = 0;
    for (const match of text.matchAll(head)) {
      const name = match.groups?.["name"] ?? "";
      const at = match.index + match[0].length;
      // Within a secret there is no further name; within any other value there may be one.
      if (at < end || !isName(name)) continue;
      value.lastIndex = at;
      const assigned = value.exec(text)?.[0] ?? "";
      if (!isSecretAssignment(name, assigned)) continue;
      const quoted = /^(["']).*\1$/s.test(assigned) ? 1 : 0;
      end = at + assigned.length;
      spans.push({ kind: "secret name", start: at + quoted, end: end - quoted });
    }
  }
  for (const match of text.matchAll(/[A-Za-z0-9+_=-]{28,}/g)) {
    const before = text.slice(Math.max(0, match.index - 8), match.index + 8);
    // A digest in base64 says what it is: "sha512-...".
    if (/sha\d{3}[-:]/.test(before)) continue;
    if (match[0].replaceAll(publicNames, "").split(/[-_]/).some(looksRandom))
      spans.push({ kind: "high entropy", start: match.index, end: match.index + match[0].length });
  }
  return merge(spans.sort((a, b) => a.start - b.start || b.end - a.end));
}

function merge(sorted: readonly Span[]): readonly Span[] {
  const merged: Span[] = [];
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last === undefined || span.start > last.end) merged.push(span);
    else if (span.end > last.end) merged[merged.length - 1] = { ...last, end: span.end };
  }
  return merged;
}

/** Ids of requests, and the names under which a linker knows C++ functions. */
const publicNames =
  /(?<![A-Za-z0-9])(?:(?:chatcmpl|cmpl|embd|resp)-[A-Za-z0-9-]+|_{1,2}Z[A-Z0-9]\w*)/g;

/**
 * Whether a run of letters and digits was drawn rather than written: at least 20 long, all three
 * classes well present, at least 3.6 bits a character, and not written in words as the name of a
 * class is. A hex digest has one class of letters.
 */
function looksRandom(run: string): boolean {
  const count = (pattern: RegExp): number => run.match(pattern)?.length ?? 0;
  if (run.length < 20 || count(/\d/g) < 3 || count(/[a-z]/g) < 3 || count(/[A-Z]/g) < 3)
    return false;
  // Of characters that are drawn six in ten are of another class than the one before.
  if (/[a-z]{6}/.test(run) && count(/[a-z]+|[A-Z]+|\d+/g) < run.length / 2) return false;
  const times = new Map<string, number>();
  for (const letter of run) times.set(letter, (times.get(letter) ?? 0) + 1);
  let bits = 0;
  for (const n of times.values()) bits -= (n / run.length) * Math.log2(n / run.length);
  return bits >= 3.6;
}
