// A host for tests in node: enough of the proxy to run the hooks of one exchange. The module in the real host is what
// `tamis filter test` runs.

import { body, text, utf8, value } from "./bytes.js";
import { ConfigError } from "./errors.js";
import { exported } from "./filter.js";
import { bind, host } from "./host.js";

const FRAMING = ["connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The error value of a function of the host, as the engine throws it. */
const refuse = (payload) => {
  throw Object.assign(new Error(String(payload)), { payload });
};

const outOfPlace = (name) => () => {
  throw new Error(`${name} has no answer in this test: give the exchange one`);
};

function checked(name, bytes) {
  const lower = name.toLowerCase();
  if (!TOKEN.test(name)) refuse(`expected the name of a field, found ${JSON.stringify(name)}`);
  if (FRAMING.includes(lower)) refuse(`\`${lower}\` belongs to the framing, which is the proxy's`);
  if (lower === "host") refuse("`host` is set by the authority");
  if (bytes.some((byte) => byte === 0 || byte === 10 || byte === 13)) refuse(`the value of \`${lower}\` has a character that HTTP does not allow`);
  return lower;
}

/** A message as the host keeps it: fields in order, a body. */
class Message {
  constructor({ headers = {}, body: content = "", trailers = {} }) {
    const pairs = (of) => Object.entries(of).flatMap(([name, values]) => [values].flat().map((one) => [name.toLowerCase(), value(one)]));
    this.fields = pairs(headers);
    this.trailers = new Map(pairs(trailers));
    this.body = body(content);
  }

  /** The functions that request and response have both. */
  functions() {
    const all = (name) => this.fields.filter(([known]) => known === name.toLowerCase()).map(([, bytes]) => bytes);
    return {
      header: (name) => (all(name).length === 0 ? undefined : value(all(name).map(text).join(name.toLowerCase() === "cookie" ? "; " : ", "))),
      headers: all,
      allHeaders: () => packed(this.fields),
      setHeader: (name, bytes) => {
        const lower = checked(name, bytes);
        this.fields = [...this.fields.filter(([known]) => known !== lower), [lower, bytes]];
      },
      addHeader: (name, bytes) => void this.fields.push([checked(name, bytes), bytes]),
      removeHeader: (name) => {
        if (!FRAMING.includes(name.toLowerCase())) this.fields = this.fields.filter(([known]) => known !== name.toLowerCase());
      },
      trailer: (name) => this.trailers.get(name.toLowerCase()),
      setTrailer: (name, bytes) => void this.trailers.set(checked(name, bytes), bytes),
      readBody: (limit) => (this.body.length > limit ? refuse("too-large") : this.body),
      setBody: (bytes) => {
        this.body = bytes;
      },
    };
  }

  /** As a test looks at it. */
  seen() {
    const all = (name) => this.fields.filter(([known]) => known === name.toLowerCase()).map(([, bytes]) => text(bytes));
    const headers = { get: (name) => (all(name).length === 0 ? undefined : all(name).join(", ")), getAll: all };
    return { headers, body: this.body, text: () => utf8(this.body), json: () => JSON.parse(utf8(this.body)) };
  }
}

function packed(fields) {
  const pieces = fields.flatMap(([name, bytes]) => [value(name), bytes]);
  const view = new DataView(new ArrayBuffer(4 + pieces.reduce((sum, piece) => sum + 4 + piece.length, 0)));
  view.setUint32(0, fields.length, true);
  let at = 4;
  for (const piece of pieces) {
    view.setUint32(at, piece.length, true);
    new Uint8Array(view.buffer).set(piece, at + 4);
    at += 4 + piece.length;
  }
  return new Uint8Array(view.buffer);
}

const SYSTEM = {
  log: { enabled: () => true, write: () => undefined },
  clock: { nowNs: () => BigInt(Date.now()) * 1_000_000n, monotonicNs: () => process.hrtime.bigint(), sleepMs: () => undefined },
  entropy: {
    next: () => crypto.getRandomValues(new BigUint64Array(1))[0],
    bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  },
};

/** Configures a filter; throws a ConfigError where it refuses. */
export function configure(filter, config = {}, { inputs = {} } = {}) {
  const wanted = new Set();
  const declared = [];
  bind({
    ...SYSTEM,
    setup: { want: (hook) => void wanted.add(hook), keepState: () => undefined, tickEveryMs: () => undefined },
    metrics: { declare: (name) => declared.push(name) - 1, observe: () => undefined },
  });
  const hooks = exported(filter);
  try {
    hooks.configure(JSON.stringify(config), Object.entries(inputs).map(([name, content]) => ({ name, content: body(content) })));
  } catch (said) {
    if (typeof said !== "string") throw said;
    throw new ConfigError(said);
  }
  return { hooks, wanted, stores: new Map() };
}

/** Puts one exchange through. `calls` answers for other services: (call) => ({ status, headers, body }), or the word of an error. */
export function exchange(configured, { method = "GET", target = "/", answer = {}, calls, ...message } = {}) {
  const request = new Message(message);
  const notes = new Map();
  const state = { method, target, authority: "localhost", cluster: "origin", route: undefined };
  const path = () => state.target.split("?")[0];
  let reply;
  let response;
  const store = configured.stores;
  const key = (name, of) => `${name}\0${of}`;
  const outgoing = (call) => {
    if (calls === undefined) return outOfPlace("a call of http")();
    const said = calls({ ...call, headers: Object.fromEntries(call.fields.map(({ name, value }) => [name.toLowerCase(), text(value)])), body: utf8(call.body) });
    if (typeof said === "string") return { tag: "err", val: said };
    const { fields, body } = new Message(said);
    return { tag: "ok", val: { status: said.status ?? 200, fields: fields.map(([name, value]) => ({ name, value })), body, trailers: [] } };
  };
  bind({
    ...SYSTEM,
    request: {
      ...request.functions(),
      method: () => state.method,
      scheme: () => "http",
      authority: () => state.authority,
      path,
      query: () => (state.target.includes("?") ? state.target.slice(path().length + 1) : undefined),
      setMethod: (to) => (TOKEN.test(to) && to !== "CONNECT" ? void (state.method = to) : refuse(`expected a method, found ${JSON.stringify(to)}`)),
      setAuthority: (to) => (/\s/.test(to) ? refuse(`expected a host, found ${JSON.stringify(to)}`) : void (state.authority = to)),
      setTarget: (to) => (to.startsWith("/") ? void (state.target = to) : refuse(`expected a path, found ${JSON.stringify(to)}`)),
      id: () => "00000000000000000000000000000001",
      deadlineLeftMs: () => undefined,
    },
    connection: new Proxy({ sourceAddress: () => "192.0.2.1", peerAddress: () => "192.0.2.1:50000", localAddress: () => "127.0.0.1:8080", listener: () => "edge", protocol: () => "http/1.1", trusted: () => false, clientIdentities: () => [] }, { get: (known, name) => known[name] ?? (() => undefined) }),
    destination: new Proxy({ cluster: () => state.cluster, setCluster: (to) => void (state.cluster = to), route: () => state.route, setRoute: (to) => void (state.route = to), mirror: () => 0 }, { get: (known, name) => known[name] ?? (() => undefined) }),
    notes: { get: (of) => notes.get(of), set: (of, to) => void notes.set(of, to) },
    reply: {
      set: (status, fields, content) => {
        if (status < 200 || status > 599) refuse(`expected a status from 200 to 599, found ${status}`);
        const made = new Message({ body: content });
        for (const { name, value } of fields) made.functions().addHeader(name, value);
        reply = { status, message: made };
      },
      setGrpc: (status, message) => {
        reply = { status: 200, message: new Message({ headers: { "content-type": "application/grpc", "grpc-status": status, "grpc-message": message } }) };
      },
    },
    httpClient: {
      send: (call) => {
        const { tag, val } = outgoing(call);
        return tag === "ok" ? val : refuse(val);
      },
      sendAll: (all) => all.map(outgoing),
    },
    store: {
      get: (name, of) => store.get(key(name, of)),
      set: (name, of, to) => void store.set(key(name, of), to),
      delete: (name, of) => void store.delete(key(name, of)),
      compareAndSet: (name, of, expected, to) => {
        const same = text(store.get(key(name, of))) === text(expected);
        if (same) store.set(key(name, of), to);
        return same;
      },
      increment: (name, of, by) => {
        const sum = BigInt(text(store.get(key(name, of))) ?? 0) + by;
        store.set(key(name, of), value(String(sum)));
        return sum;
      },
    },
    quota: { take: outOfPlace("quota.take") },
  });

  const { hooks, wanted } = configured;
  let verdict = wanted.has("request") ? hooks.onRequest() : "next";
  let upstream;
  if (verdict === "next") {
    upstream = { method: state.method, target: state.target, authority: state.authority, cluster: state.cluster, ...request.seen() };
    response = { status: answer.status ?? 200, message: new Message(answer) };
    host.response = {
      ...response.message.functions(),
      status: () => response.status,
      setStatus: (to) => (to < 200 || to > 599 ? refuse(`expected a status from 200 to 599, found ${to}`) : void (response.status = to)),
      origin: () => "upstream",
    };
    verdict = wanted.has("response") ? hooks.onResponse() : "next";
  }
  if (verdict === "replied") response = reply;
  return {
    upstream,
    response: verdict === "reset" ? undefined : { status: response.status, ...response.message.seen() },
    notes: Object.fromEntries(notes),
  };
}
