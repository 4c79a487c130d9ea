// Finds secrets that are written into an experiment, which is archived and published: a key is
// named by the environment variable that holds it. What is found is never repeated in a message.
import type { Mistake, WrittenNode, WrittenPath } from "./written.ts";

/** Values that look like keys of well-known services, bearer tokens, or JSON Web Tokens. */
const keyLook =
  /(?:^|[\s=:"'])(?:sk-[\w-]{4,}|hf_\w{4,}|gh[pousr]_\w{8,}|xox[abp]-[\w-]{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|glpat-[\w-]{8,}|nvapi-[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]+\.)|^(?:bearer|basic)\s+\S/i;

/** Names of settings that hold a secret: HF_TOKEN, api-key, x-auth-token, but not tokenizer. */
const secretName =
  /(?:^|[-_.])(?:key|apikey|token|secret|password|passwd|credentials?|authorization|auth|cookie)$/i;

const urlWithCredentials = /^[a-z][a-z0-9+.-]*:\/\/[^/\s@]*@/i;

/** Whether a text must not be shown. */
export function looksSecret(value: string): boolean {
  return keyLook.test(value) || urlWithCredentials.test(value);
}

/** Whether the value at a path may be a secret, whatever it looks like. */
export function isSecretPath(path: WrittenPath): boolean {
  return path.some((step) => typeof step === "string" && secretName.test(step));
}

const mendKey = "write key: { env: API_KEY }, the name of the environment variable that holds it";
const mendHeader =
  "write { env: NAME } as the header's value, the name of the environment variable that holds it";
const mendInherited =
  "take it out and set it in the shell that starts benchbook; the engine inherits its environment (vLLM reads VLLM_API_KEY and HF_TOKEN)";

/** One mistake for each secret in the tree. */
export function findSecrets(tree: WrittenNode): readonly Mistake[] {
  const found: Mistake[] = [];

  function visit(node: WrittenNode, path: WrittenPath): void {
    if (node.kind === "map") {
      for (const [key, entry] of node.entries) visit(entry.node, [...path, key]);
    } else if (node.kind === "list") {
      for (const [index, item] of node.items.entries()) visit(item, [...path, index]);
    } else if (typeof node.value === "string" && node.value !== "") {
      const mistake = secretAt(path, node.value);
      if (mistake !== undefined) found.push({ path, part: "value", ...mistake });
    }
  }

  visit(tree, []);
  return found;
}

function secretAt(path: WrittenPath, value: string): Pick<Mistake, "what" | "mend"> | undefined {
  const [top, , section, name, variable] = path;
  const what = "a secret is written in the file (its value is not shown here)";
  if (top === "engines" && section === "key" && path.length === 3) {
    return {
      what: "key takes the name of an environment variable, not the key itself (not shown here)",
      mend: mendKey,
    };
  }
  if (urlWithCredentials.test(value)) {
    return {
      what: "the URL holds credentials (not shown here)",
      mend: `take them out; ${mendKey}`,
    };
  }
  const inEngine = top === "engines" || top === "variants";
  const secretSetting =
    inEngine &&
    (section === "args" || section === "env" || section === "headers") &&
    typeof name === "string" &&
    secretName.test(name) &&
    // headers: { x-api-key: { env: NAME } } only says where it is.
    !(section === "headers" && variable === "env" && !keyLook.test(value));
  if (!secretSetting && !keyLook.test(value)) return undefined;
  if (section === "headers") return { what, mend: mendHeader };
  return { what, mend: section === "args" || section === "env" ? mendInherited : mendKey };
}
