// The address of a running server to one of the models that it serves: what `benchbook init` writes an
// experiment from.
import { type ServedModel, servedModels } from "../engine/self-report.ts";
import { exitCode, UserError } from "../errors.ts";

/**
 * Asks a server for its models.
 * @param options.model which of them; undefined: the first
 * @param options.key name of the environment variable that holds the server's key
 * @throws UserError when nobody answers, the key is missing, or the model is not served
 */
export async function modelServedAt(
  url: string,
  options: { readonly model: string | undefined; readonly key: string | undefined },
): Promise<{ readonly baseUrl: string; readonly model: ServedModel }> {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UserError({ what: `"${url}" is no http URL`, mend: "http://127.0.0.1:8000" });
  }
  const baseUrl = url.replace(/\/+$/, "").replace(/\/v1$/, "");
  const key = options.key === undefined ? undefined : process.env[options.key];
  if (options.key !== undefined && key === undefined) {
    throw new UserError({
      what: `the environment variable ${options.key}, which should hold the server's key, is not set`,
      mend: `export ${options.key}=... in this shell; the key itself is never written anywhere`,
    });
  }
  const served = await servedModels({
    baseUrl,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  });
  if ("why" in served) {
    throw new UserError(
      {
        what: `no OpenAI-compatible server answers there: ${served.why}`,
        where: baseUrl,
        mend: "start it, or correct the address; --key NAME when it wants a key",
      },
      { exitCode: exitCode.failed },
    );
  }
  const model = served.models.find(({ id }) => options.model === undefined || id === options.model);
  if (model === undefined) {
    throw new UserError({
      what:
        options.model === undefined
          ? "the server lists no model"
          : `the server has no model "${options.model}"`,
      where: `${baseUrl}/v1/models`,
      mend: `one of: ${served.models.map(({ id }) => id).join(", ") || "none is served"}`,
    });
  }
  return { baseUrl, model };
}
