// From an address, a path and headers to what a wire needs of them: the head that all its requests
// share, and a way to open a socket that reads into the wire's buffer.
import { validateHeaderName, validateHeaderValue } from "node:http";
import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import { UserError } from "../errors.ts";

/** Where requests go. */
export interface WireTarget {
  /** Scheme, host, port, and a path that goes before each request's. */
  readonly baseUrl: string;
  /** Below the base URL; a query may follow. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Certificates to trust in place of Node's own, PEM. */
  readonly ca?: string;
}

/** What a wire makes of its target. */
export interface ParsedTarget {
  /** A POST's head up to the value of `content-length`, Latin-1. */
  readonly head: string;
  readonly isSecure: boolean;
  /** Begins a connection whose every read goes to the callback. */
  readonly connect: (onread: OnReadOpts) => Socket;
}

/** @throws UserError when the address, the path or a header is none that HTTP allows */
export function parseTarget(target: WireTarget): ParsedTarget {
  const base = parseBase(target.baseUrl);
  return {
    head: headOf(base, target),
    isSecure: base.protocol === "https:",
    connect: connectorTo(base, target.ca),
  };
}

function parseBase(baseUrl: string): URL {
  const base = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (base !== undefined && /^https?:$/.test(base.protocol)) return base;
  throw new UserError({
    what: `not an address that requests can go to: ${JSON.stringify(baseUrl)}`,
    mend: "give it as http://host:port or https://host:port",
  });
}

function headOf(base: URL, { path, headers }: WireTarget): string {
  const target = `${base.pathname.replace(/\/+$/, "")}${path}`;
  if (!/^\/[!-~]*$/.test(target))
    throw new UserError({
      what: `not a path that requests can go to: ${JSON.stringify(target)}`,
      mend: "begin it with / and write spaces and other letters as %20 and the like",
    });
  const lines = Object.entries({ host: base.host, connection: "keep-alive", ...headers }).map(
    ([name, value]) => {
      try {
        validateHeaderName(name);
        validateHeaderValue(name, value);
      } catch (error) {
        throw new UserError(
          {
            // Not the value: it may be a key.
            what: `the header ${JSON.stringify(name)} holds what no HTTP header may hold`,
            mend: "look for a line break or a letter outside Latin-1 in its value, such as the last line break of a key file",
          },
          { cause: error },
        );
      }
      return `${name}: ${value}\r\n`;
    },
  );
  return `POST ${target} HTTP/1.1\r\n${lines.join("")}content-length: `;
}

function connectorTo(base: URL, ca: string | undefined): (onread: OnReadOpts) => Socket {
  const host = base.hostname.replace(/^\[(.*)\]$/, "$1");
  if (base.protocol === "http:") {
    const port = Number(base.port || 80);
    return (onread) => connectPlain({ host, port, onread });
  }
  // One context for all: each of its own would parse the root certificates again.
  const secureContext = createSecureContext(ca === undefined ? {} : { ca });
  const target = {
    host,
    port: Number(base.port || 443),
    secureContext,
    ALPNProtocols: ["http/1.1"],
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
  return (onread) => {
    // Node reads into the buffer here too, though its types don't say so.
    const options = { ...target, onread };
    return connectTls(options);
  };
}
