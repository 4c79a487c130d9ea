import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { request as undiciRequest } from "undici";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSelfSigned } from "../testing/self-signed.ts";
import { nowMs } from "../units.ts";
import { openWire, type Wire, type WireOptions } from "./wire.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface RawServer {
  readonly port: number;
  readonly sockets: readonly Socket[];
  /** Requests that came, whole. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

type Answer = (socket: Socket, request: string, index: number) => void;

/** Answers each whole request on the socket itself. */
async function rawServer(
  answer: Answer,
  { host = "127.0.0.1", tls }: { host?: string; tls?: { key: string; cert: string } } = {},
): Promise<RawServer> {
  const sockets: Socket[] = [];
  const requests: string[] = [];
  const onSocket = (socket: Socket): void => {
    sockets.push(socket);
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      for (;;) {
        const [, head, length] = /^([^]*?\r\ncontent-length: (\d+)\r\n\r\n)/.exec(text) ?? [];
        if (head === undefined || text.length < head.length + Number(length)) return;
        const request = text.slice(0, head.length + Number(length));
        text = text.slice(request.length);
        requests.push(request);
        answer(socket, request, requests.length - 1);
      }
    });
  };
  const server: Server =
    tls === undefined ? createServer(onSocket) : createTlsServer(tls, onSocket);
  await new Promise<void>((resolve) => server.listen(0, host, 4096, resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  closers.push(close);
  return { port: (server.address() as AddressInfo).port, sockets, requests, close };
}

async function wireTo(port: number, options: Partial<WireOptions> = {}): Promise<Wire> {
  const wire = await openWire({
    baseUrl: `http://127.0.0.1:${port}`,
    path: "/v1/completions",
    headers: {},
    connections: 1,
    mostConnections: options.connections ?? 1,
    stamp: nowMs,
    ...options,
  });
  closers.push(() => wire.close());
  return wire;
}

interface Told {
  status: number | undefined;
  contentType: string | undefined;
  body: string;
  /** Of each part of the body. */
  readonly reads: number[];
  sends: number;
  /** What was told, in order. */
  readonly order: ("send" | "head" | "body" | "end")[];
  /** "complete", or why it broke. */
  outcome: string | undefined;
}

/** Sends a body and gathers what is told; `done` resolves at the end. */
function send(wire: Wire, body = "{}"): { told: Told; done: Promise<Told>; abandon: () => void } {
  const told: Told = {
    status: undefined,
    contentType: undefined,
    body: "",
    reads: [],
    sends: 0,
    order: [],
    outcome: undefined,
  };
  let abandon: () => void = () => undefined;
  const done = new Promise<Told>((resolve) => {
    abandon = wire.send(Buffer.from(body), {
      onSend: () => {
        told.sends += 1;
        told.order.push("send");
      },
      onHead: ({ status, contentType }) => {
        Object.assign(told, { status, contentType });
        told.order.push("head");
      },
      onBody: (bytes, from, to) => {
        told.body += bytes.toString("latin1", from, to);
        told.reads.push(wire.lastRead.number);
        told.order.push("body");
      },
      onEnd: () => {
        told.outcome = "complete";
        told.order.push("end");
        resolve(told);
      },
      onBroken: (cause) => {
        told.outcome = cause;
        resolve(told);
      },
    });
  });
  return { told, done, abandon };
}

const chunked =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const hello = `${chunked}5\r\nhello\r\n0\r\n\r\n`;
const answerHello: Answer = (socket) => socket.write(hello);

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const probe = createServer().listen(0, "::1", () => {
    probe.close(() => {
      resolve(true);
    });
  });
  probe.once("error", () => {
    resolve(false);
  });
});

describe("a wire", () => {
  it("writes each request whole, with its head, and reuses the connection", async () => {
    const server = await rawServer(answerHello);
    const wire = await wireTo(server.port, {
      baseUrl: `http://127.0.0.1:${server.port}/gateway/`,
      path: "/v1/chat/completions?a=b",
      headers: { authorization: "Bearer x" },
    });
    expect(wire.opened).toBe(1);
    const big = "x".repeat(100_000);
    for (const body of ["{}", '{"prompt":"é"}', big]) {
      const { status, contentType, body: text, outcome } = await send(wire, body).done;
      expect({ status, contentType, text, outcome }).toEqual({
        status: 200,
        contentType: "text/event-stream",
        text: "hello",
        outcome: "complete",
      });
    }
    expect(server.sockets).toHaveLength(1);
    expect(server.requests[1]).toBe(
      `POST /gateway/v1/chat/completions?a=b HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nconnection: keep-alive\r\nauthorization: Bearer x\r\ncontent-length: 15\r\n\r\n{"prompt":"Ã©"}`,
    );
    expect(server.requests[2]?.endsWith(`\r\n\r\n${big}`)).toBe(true);
  });

  it("takes a body that lies in shared memory", async () => {
    const server = await rawServer(answerHello);
    const wire = await wireTo(server.port);
    const shared = Buffer.from(new SharedArrayBuffer(40_000));
    for (const length of [10, 40_000]) {
      const done = new Promise((resolve) =>
        wire.send(shared.subarray(0, length), {
          onSend: () => undefined,
          onHead: () => undefined,
          onBody: () => undefined,
          onEnd: () => {
            resolve("complete");
          },
          onBroken: resolve,
        }),
      );
      expect(await done).toBe("complete");
    }
    expect(server.requests.map((request) => request.split("\r\n\r\n")[1]?.length)).toEqual([
      10, 40_000,
    ]);
  });

  it("tells what undici tells, of every shape of response", async () => {
    const responses = [
      hello,
      `${chunked}1;x=y\r\na\r\n0\r\nT: u\r\n\r\n`,
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy",
      "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      `HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${hello}`,
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: close\r\n\r\nup to the close",
      "HTTP/1.0 200 OK\r\n\r\nold",
    ];
    const server = await rawServer((socket, request) => {
      const [, which = "", place = ""] = /\r\n\r\n(\d+) (\d+)$/.exec(request) ?? [];
      const response = responses[Number(which)] ?? "";
      // In two writes, cut at a place that the request names.
      const cut = Number(place) % response.length;
      socket.write(response.slice(0, cut), () => {
        socket.write(response.slice(cut), () => {
          if (/close\r\n|^HTTP\/1\.0/.test(response)) socket.end();
        });
      });
    });
    const wire = await wireTo(server.port);
    for (const [which, response] of responses.entries())
      for (const place of [0, 9, 40, response.length - 3]) {
        const body = `${which} ${place}`;
        const own = await send(wire, body).done;
        const theirs = await undiciRequest(`http://127.0.0.1:${server.port}/v1/completions`, {
          method: "POST",
          body,
        });
        expect(own).toMatchObject({
          outcome: "complete",
          status: theirs.statusCode,
          contentType: theirs.headers["content-type"],
          body: await theirs.body.text(),
        });
        expect(own.order.filter((told) => told !== "body")).toEqual(["send", "head", "end"]);
        expect(own.reads).toEqual([...own.reads].sort((a, b) => a - b));
      }
  });

  it("gives what one read brought one stamp, and reads number upwards", async () => {
    const server = await rawServer((socket) => {
      socket.write(`${chunked}1\r\na\r\n1\r\nb\r\n1\r\nc\r\n`);
      setTimeout(() => socket.write("1\r\nd\r\n0\r\n\r\n"), 20);
    });
    const wire = await wireTo(server.port);
    const { reads, body } = await send(wire).done;
    const [first = 0, , , last = 0] = reads;
    expect(body).toBe("abcd");
    expect(reads).toEqual([first, first, first, last]);
    expect(last).toBeGreaterThan(first);
  });

  it("opens more connections as they are needed, up to the most", async () => {
    const waiting: Socket[] = [];
    const server = await rawServer((socket) => waiting.push(socket));
    const wire = await wireTo(server.port, { connections: 2, mostConnections: 4 });
    expect(wire.opened).toBe(2);
    const sent = Array.from({ length: 6 }, () => send(wire));
    await vi.waitFor(() => {
      expect(server.requests).toHaveLength(4);
    });
    expect(sent.map(({ told }) => told.sends)).toEqual([1, 1, 1, 1, 0, 0]);
    for (let answered = 0; answered < 6; answered += 1) {
      await vi.waitFor(() => {
        expect(waiting.length).toBeGreaterThan(0);
      });
      waiting.shift()?.write(hello);
    }
    const ends = await Promise.all(sent.map(({ done }) => done));
    expect(ends.map(({ outcome }) => outcome)).toEqual(Array(6).fill("complete"));
    expect(server.sockets).toHaveLength(4);
  });

  it("holds a thousand connections, each with a request on it", { timeout: 60_000 }, async () => {
    const waiting: Socket[] = [];
    const server = await rawServer((socket) => waiting.push(socket));
    const wire = await wireTo(server.port, { connections: 1000, openMs: 30_000 });
    expect(wire.opened).toBe(1000);
    const sent = Array.from({ length: 1000 }, () => send(wire));
    expect(sent.every(({ told }) => told.sends === 1)).toBe(true);
    await vi.waitFor(
      () => {
        expect(waiting).toHaveLength(1000);
      },
      { timeout: 30_000 },
    );
    for (const socket of waiting) socket.write(hello);
    const ends = await Promise.all(sent.map(({ done }) => done));
    expect(new Set(ends.map(({ outcome, body }) => `${outcome} ${body}`))).toEqual(
      new Set(["complete hello"]),
    );
    expect(server.sockets).toHaveLength(1000);
  });

  it("frees the server when a request is given up, and serves the next", async () => {
    const server = await rawServer((socket, _, index) =>
      socket.write(index === 0 ? `${chunked}1\r\na\r\n` : hello),
    );
    const wire = await wireTo(server.port);
    const first = send(wire);
    const second = send(wire);
    const third = send(wire);
    await vi.waitFor(() => {
      expect(first.told.body).toBe("a");
    });
    third.abandon();
    first.abandon();
    expect((await second.done).outcome).toBe("complete");
    await vi.waitFor(() => {
      expect(server.sockets[0]?.destroyed).toBe(true);
    });
    expect(server.requests).toHaveLength(2);
    expect([first.told.outcome, third.told.outcome]).toEqual([undefined, undefined]);
  });

  it("reopens a connection that the server closed while it lay idle", async () => {
    const server = await rawServer(answerHello);
    const wire = await wireTo(server.port);
    expect((await send(wire).done).outcome).toBe("complete");
    const closed = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    server.sockets[0]?.end();
    await closed;
    expect(await send(wire).done).toMatchObject({ outcome: "complete", body: "hello" });
    expect(server.sockets).toHaveLength(2);
  });

  it("sends once more what met a connection in the moment of its closing, and stamps it anew", async () => {
    // The server closes after it has taken the second request: for the client, the same as before it.
    const server = await rawServer((socket, _, index) => {
      if (index === 1) socket.resetAndDestroy();
      else socket.write(hello);
    });
    const wire = await wireTo(server.port);
    await send(wire).done;
    expect(await send(wire).done).toMatchObject({ outcome: "complete", body: "hello", sends: 2 });
    expect(server.requests).toHaveLength(3);
  });

  it("sends nothing twice that may have been served", async () => {
    const resets = await rawServer((socket) => socket.resetAndDestroy());
    const fresh = await send(await wireTo(resets.port)).done;
    expect(fresh).toMatchObject({
      outcome: expect.stringContaining("ECONNRESET") as string,
      sends: 1,
    });
    expect(resets.requests).toHaveLength(1);

    const begins = await rawServer((socket, _, index) => {
      if (index === 0) socket.write(hello);
      else socket.end("HTTP/1.1 200");
    });
    const wire = await wireTo(begins.port);
    await send(wire).done;
    const begun = await send(wire).done;
    expect(begun).toMatchObject({
      outcome: expect.stringContaining("mid-response") as string,
      sends: 1,
    });

    const always = await rawServer((socket, _, index) => {
      if (index === 0) socket.write(hello);
      else socket.destroy();
    });
    const third = await wireTo(always.port);
    await send(third).done;
    const gone = await send(third).done;
    expect(gone).toMatchObject({
      outcome: expect.stringContaining("without a response") as string,
      sends: 2,
    });
    expect(always.requests).toHaveLength(3);
  });

  it("closes idle connections before the server would, and takes a fresh one", async () => {
    const server = await rawServer((socket) =>
      socket.write("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n"),
    );
    let aheadMs = 0;
    const wire = await wireTo(server.port, { clock: () => nowMs() + aheadMs });
    await send(wire).done;
    aheadMs = 1500;
    await send(wire).done;
    expect(server.sockets).toHaveLength(1);
    aheadMs += 1700;
    await send(wire).done;
    expect(server.sockets).toHaveLength(2);
  });

  it("drops a connection on which more came than was asked for", async () => {
    const server = await rawServer((socket) => socket.write(`${hello}HTTP/1.1 200 OK\r\n`));
    const wire = await wireTo(server.port);
    expect((await send(wire).done).outcome).toBe("complete");
    expect((await send(wire).done).outcome).toBe("complete");
    expect(server.sockets).toHaveLength(2);
  });

  it("breaks with the reason on what is no HTTP, and on a server that is not there", async () => {
    const ssh = await rawServer((socket) => socket.write("SSH-2.0-x\r\n"));
    expect((await send(await wireTo(ssh.port)).done).outcome).toContain("not an HTTP/1 response");

    const gone = await rawServer(answerHello);
    await gone.close();
    const wire = await wireTo(gone.port, { connections: 2 });
    expect(wire.opened).toBe(0);
    const ends = await Promise.all([send(wire), send(wire), send(wire)].map(({ done }) => done));
    for (const { outcome, sends } of ends) {
      expect(outcome).toContain("ECONNREFUSED");
      expect(sends).toBe(0);
    }
  });

  it("speaks TLS to a server whose certificate it can trust, and to no other", async () => {
    const tls = createSelfSigned();
    const server = await rawServer(
      (socket) => {
        socket.write(`${chunked}1\r\na\r\n`);
        socket.write("1\r\nb\r\n");
        setTimeout(() => socket.write("5\r\nhello\r\n0\r\n\r\n"), 20);
      },
      { tls },
    );
    for (const host of ["127.0.0.1", "localhost"]) {
      const wire = await wireTo(server.port, {
        baseUrl: `https://${host}:${server.port}`,
        ca: tls.cert,
      });
      expect(wire.opened).toBe(1);
      expect(await send(wire).done).toMatchObject({ outcome: "complete", body: "abhello" });
      expect(await send(wire, "x".repeat(50_000)).done).toMatchObject({ outcome: "complete" });
    }
    expect(server.sockets).toHaveLength(2);

    const distrustful = await wireTo(server.port, { baseUrl: `https://127.0.0.1:${server.port}` });
    expect(distrustful.opened).toBe(0);
    expect((await send(distrustful).done).outcome).toContain("SELF_SIGNED_CERT");
  });

  it("counts TLS records of one read as one read", async () => {
    const tls = createSelfSigned();
    const server = await rawServer(
      (socket) => {
        socket.write(chunked, () => {
          for (const letter of "abcde") socket.write(`1\r\n${letter}\r\n`);
          socket.write("0\r\n\r\n");
        });
      },
      { tls },
    );
    const wire = await wireTo(server.port, {
      baseUrl: `https://127.0.0.1:${server.port}`,
      ca: tls.cert,
    });
    const { body, reads } = await send(wire).done;
    expect(body).toBe("abcde");
    expect(new Set(reads).size).toBeLessThan(5);
  });

  it.skipIf(!hasIpv6)("reaches an IPv6 address (skipped without ::1)", async () => {
    const server = await rawServer(answerHello, { host: "::1" });
    const wire = await wireTo(server.port, { baseUrl: `http://[::1]:${server.port}` });
    expect((await send(wire).done).outcome).toBe("complete");
    expect(server.requests[0]).toContain(`\r\nhost: [::1]:${server.port}\r\n`);
  });

  it("refuses what no request can be made of, without telling a key", async () => {
    await expect(wireTo(1, { baseUrl: "127.0.0.1:8000" })).rejects.toThrow("not an address");
    await expect(wireTo(1, { path: "/a b" })).rejects.toThrow("not a path");
    const withBreak = wireTo(1, { headers: { authorization: "Bearer sk-made-up\n" } });
    await expect(withBreak).rejects.toThrow('the header "authorization"');
    await expect(withBreak).rejects.not.toThrow("sk-made-up");
  });

  it("leaves no connection when it is closed, in mid-response too", async () => {
    const server = createHttpServer((_, response) => {
      response.write("a");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const wire = await wireTo(port, { connections: 3 });
    const { told } = send(wire);
    await vi.waitFor(() => {
      expect(told.body).toBe("a");
    });
    await Promise.all([wire.close(), wire.close()]);
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
    });
    expect(told.outcome).toBeUndefined();
    expect((await send(wire).done).outcome).toContain("closed");
  });
});
