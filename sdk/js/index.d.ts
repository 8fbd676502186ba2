// What a filter is written with.

/** Bytes, or text that becomes them as UTF-8. */
export type Body = string | Uint8Array | ArrayBuffer | ArrayBufferView;

/** The value of a field. In text a character is a byte, as `fetch` has it. */
export type FieldValue = string | number | Uint8Array;

/** Fields that a filter hands over; a list is several values. */
export type Fields = Record<string, FieldValue | FieldValue[]> | Iterable<readonly [string, FieldValue | FieldValue[]]>;

/** Returned by a hook, it ends the exchange without an answer: both sides see one that broke off. */
export declare const reset: { readonly verdict: "reset" };

/** What a hook of a head decides: nothing (the exchange goes on), an answer of its own, or an end. */
export type Verdict = void | undefined | Reply | typeof reset;

/** What a hook of a piece decides: nothing (it goes on as it came), other bytes in its place, or an end. */
export type ChunkVerdict = void | undefined | Body | typeof reset;

type Later<T> = T | Promise<T>;

/** A filter. Hooks that it does not have cost nothing. Each may be `async`; calls to the proxy wait by themselves. */
export interface Hooks<Config, State> {
  /** Once for a configuration. What it returns is the `state` that the hooks are given. What it throws refuses the configuration. */
  configure?(config: Config, setup: Setup): Later<State>;
  /** The request's head has come. */
  onRequest?(request: Request, state: State): Later<Verdict>;
  /** A piece of its body is there. */
  onRequestChunk?(request: Request, chunk: Chunk, state: State): Later<ChunkVerdict>;
  /** The response's head has come, whoever made it. */
  onResponse?(response: Response, state: State): Later<Verdict>;
  /** A piece of its body is there. */
  onResponseChunk?(response: Response, chunk: Chunk, state: State): Later<ChunkVerdict>;
  onRequestTrailers?(request: Request, state: State): Later<void>;
  onResponseTrailers?(response: Response, state: State): Later<void>;
  /** The client has its answer, or has gone. Nobody waits for it. */
  onComplete?(outcome: Outcome, state: State): Later<void>;
  /** Every `setup.tickEvery(…)`, once a process, in an instance of its own. */
  onTick?(state: State): Later<void>;
}

declare const made: unique symbol;

/** What a module exports as its default. */
export interface Filter {
  readonly [made]?: true;
}

export declare function filter<Config = unknown, State = undefined>(hooks: Hooks<Config, State>): Filter;

/** A word of the proxy for a hook. */
export type Hook = "request" | "request-chunk" | "response" | "response-chunk" | "trailers" | "complete" | "tick";

/** What a filter hears, and may say, while it is being configured. */
export interface Setup {
  /** The content of a file or resource that the filter's `inputs` names; undefined if none is named so. */
  input(name: string): Uint8Array | undefined;
  inputText(name: string): string | undefined;
  readonly inputs: Iterable<[string, Uint8Array]>;
  /** Only hooks that are named so are called, where the configuration leaves some without work. Throws `Refused`. */
  want(hook: Hook): void;
  /** What one hook leaves in memory is there in the next: the instance is held until the exchange ends. */
  keepState(): void;
  /** The time between two ticks, in milliseconds. */
  tickEvery(ms: number): void;
  /** Declares a metric. Throws `Refused` if the name is no valid one. */
  counter<Label extends string = never>(name: string, help: string, labels?: readonly Label[]): Counter<Label>;
  gauge<Label extends string = never>(name: string, help: string, labels?: readonly Label[]): Gauge<Label>;
  histogram<Label extends string = never>(name: string, help: string, labels?: readonly Label[]): Histogram<Label>;
}

type Labels<Label extends string> = { [name in Label]: string | number };

export interface Counter<Label extends string = never> {
  /** Adds one, or this. */
  add(value?: number, labels?: Labels<Label>): void;
}

export interface Gauge<Label extends string = never> {
  set(value: number, labels?: Labels<Label>): void;
}

export interface Histogram<Label extends string = never> {
  observe(value: number, labels?: Labels<Label>): void;
}

/** A piece of a body, as it passes. Where one ends says nothing: a word may be torn in two. */
export interface Chunk {
  readonly bytes: Uint8Array;
  /** Whether none follows. The last piece may be empty. */
  readonly end: boolean;
}

/** The fields of a message. Names match in any case; what the proxy does not take throws `Refused`. */
export interface Headers extends Iterable<[string, string]> {
  /** All values, joined by `, `. Where one of several decides about access, use `getAll`. */
  get(name: string): string | undefined;
  getAll(name: string): string[];
  has(name: string): boolean;
  /** One value in the place of all. */
  set(name: string, value: FieldValue): void;
  /** One more value. */
  append(name: string, value: FieldValue): void;
  delete(name: string): void;
  /** All at once: cheaper than many calls of `get`. */
  entries(): IterableIterator<[string, string]>;
}

/** There only in the hooks of trailers. */
export interface Trailers {
  get(name: string): string | undefined;
  set(name: string, value: FieldValue): void;
}

export interface Message {
  readonly headers: Headers;
  readonly trailers: Trailers;
  readonly connection: Connection;
  readonly destination: Destination;
  readonly notes: Notes;
  /** Waits for the whole body, at most `limit` bytes. It still goes on. Throws `BodyError`. */
  readBody(limit?: number): Uint8Array;
  text(limit?: number): string;
  json(limit?: number): any;
  /** Sends this body in the place of the message's own. */
  setBody(body: Body): void;
}

/** The request, as the filters before this one left it. */
export interface Request extends Message {
  method: string;
  readonly scheme: string;
  /** Host and port, as the client named them; empty if it named none. */
  authority: string;
  readonly path: string;
  /** What follows the first `?`; undefined if there is none. */
  readonly query: string | undefined;
  /** Path and query in one. */
  target: string;
  /** The query, taken apart. A copy: `target` changes the request. */
  readonly searchParams: URLSearchParams;
  /** The same in logs and upstream. */
  readonly id: string;
  /** What is left of the time that the exchange may take, in milliseconds; undefined if it may take any. */
  readonly deadlineLeft: number | undefined;
}

/** The response: the upstream's, or one that the proxy or another filter made. */
export interface Response extends Message {
  status: number;
  /** `upstream`, or the word that the access log has for an answer of the proxy's or a filter's. */
  readonly origin: string;
  readonly request: Request;
}

/** An answer of the filter's own, which a hook returns. */
export declare class Reply {
  constructor(status: number, content?: { headers?: Fields; body?: Body });
  static text(status: number, text: string, headers?: Fields): Reply;
  static json(status: number, content: unknown, headers?: Fields): Reply;
  /** HTTP 200, with status and message where gRPC clients look for them. */
  static grpc(status: number, message: string): Reply;
  /** One more field. */
  header(name: string, value: FieldValue): this;
  /** Throws `Refused` if the proxy does not take it. */
  check(): void;
}

/** Who is speaking, and over what. */
export interface Connection {
  /** The client, as far as trusted hops tell, without a port. */
  readonly source: string;
  /** The other end of the socket, with its port. */
  readonly peer: string;
  readonly local: string;
  readonly originalDestination: string | undefined;
  readonly trusted: boolean;
  readonly listener: string;
  readonly protocol: "http/1.0" | "http/1.1" | "h2" | "tcp";
  readonly tlsVersion: string | undefined;
  readonly serverName: string | undefined;
  readonly clientIdentities: string[];
  readonly clientFingerprint: string | undefined;
}

/** Where the request goes. What the proxy does not know throws `Refused`. */
export interface Destination {
  get cluster(): string | undefined;
  set cluster(name: string);
  get route(): string | undefined;
  set route(name: string);
  setFallback(cluster: string): void;
  /** This very endpoint of the cluster, by its address with the port. */
  setEndpoint(address: string): void;
  /** The exchange goes on through this chain after the present one. */
  setChain(name: string): void;
  /** Only endpoints that carry all of these labels are eligible. */
  setSubset(labels: Record<string, string>): void;
  /** What a hashing balancer hashes. */
  setHashKey(key: FieldValue): void;
  /** How long the exchange may take in all, in milliseconds; undefined: as long as it likes. */
  setTimeout(ms: number | undefined): void;
  setRetry(retry: { attempts: number; on?: string[]; perTryTimeout?: number }): void;
  /** Sends a copy to another cluster. The number finds its result in `outcome.mirrored`. */
  mirror(cluster: string, copy?: { headers?: Fields; bodyLimit?: number }): number;
  setResponseRate(bytesPerSecond: number | bigint | undefined): void;
}

/** What filters tell each other about the exchange in hand. */
export interface Notes {
  get(key: string): string | undefined;
  set(key: string, value: string | number): void;
}

/** How the exchange went. */
export interface Outcome {
  /** What the client got; undefined if it got nothing. */
  readonly status: number | undefined;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** In milliseconds, with a fraction. */
  readonly duration: number;
  readonly upstream: string | undefined;
  readonly attempts: number;
  /** The reason word of an answer that the proxy made, or of an exchange that broke off. */
  readonly failure: string | undefined;
  mirrored(copy: number): { status: number | undefined; bodyHash: bigint; duration: number } | undefined;
  mirroredHeaders(copy: number, name: string): string[];
  readonly request: Request;
  readonly response: Response;
  readonly connection: Connection;
  readonly destination: Destination;
  readonly notes: Notes;
}

/** A call to a cluster that the filter's `allow` table grants. */
export interface Call {
  cluster: string;
  method?: string;
  /** Path and query. */
  target?: string;
  /** What it says as `host`; without it, the cluster's name. */
  authority?: string;
  headers?: Fields;
  body?: Body;
  trailers?: Fields;
  /** In milliseconds; without it, the proxy's limit. */
  timeout?: number;
}

export interface Answer {
  readonly status: number;
  /** Whether the status is 200 to 299. */
  readonly ok: boolean;
  readonly headers: AnswerFields;
  readonly body: Uint8Array;
  readonly trailers: AnswerFields;
  text(): string;
  json(): any;
}

export interface AnswerFields extends Iterable<[string, string]> {
  get(name: string): string | undefined;
  getAll(name: string): string[];
  has(name: string): boolean;
  entries(): IterableIterator<[string, string]>;
}

/** Calls to other services. They wait; the proxy goes on with other work meanwhile. */
export declare const http: {
  /** Any status is an answer. Throws `HttpError` where there is none. */
  send(call: Call): Answer;
  get(cluster: string, target: string, options?: Omit<Call, "cluster" | "target" | "method">): Answer;
  post(cluster: string, target: string, body: Body, options?: Omit<Call, "cluster" | "target" | "method" | "body">): Answer;
  /** All at once, side by side, in the order of the calls. */
  sendAll(calls: Call[]): (Answer | HttpError)[];
};

/** State that every instance of every worker shares. Throws `StoreError`. */
export declare class Store {
  constructor(name: string);
  readonly name: string;
  get(key: string): Uint8Array | undefined;
  /** `ttl` in milliseconds. */
  set(key: string, value: Body, options?: { ttl?: number }): void;
  /** Writes only if the present value is `expected` (undefined: if there is none). */
  compareAndSet(key: string, expected: Body | undefined, value: Body, options?: { ttl?: number }): boolean;
  delete(key: string): void;
  /** Adds to a number of 64 bits that begins at zero, and returns the sum. */
  increment(key: string, by?: number | bigint, options?: { ttl?: number }): bigint;
}

export interface Ask {
  key: string;
  kind: "rate" | "calendar" | "concurrency";
  limit: number | bigint;
  /** In milliseconds. */
  window?: number;
  /** How much of a rate can be saved up; without it, `limit`. */
  burst?: number | bigint;
  cost?: number | bigint;
}

export interface Decision {
  allowed: boolean;
  remaining: number;
  /** When asking again may help, in milliseconds; 0 if it was allowed. */
  retryAfter: number;
  resetAfter: number;
}

export declare const quota: {
  /** All or nothing: unless every ask is allowed, none is taken. Throws `StoreError`. */
  take(store: Store, ...asks: Ask[]): Decision[];
};

export type Severity = "trace" | "debug" | "info" | "warn" | "error";

/** Lines in the proxy's log. `console` writes there as well. */
export declare const log: {
  /** Whether a line would be written: ask before putting together one that is costly. */
  enabled(severity: Severity): boolean;
  write(severity: Severity, ...parts: unknown[]): void;
  trace(...parts: unknown[]): void;
  debug(...parts: unknown[]): void;
  info(...parts: unknown[]): void;
  warn(...parts: unknown[]): void;
  error(...parts: unknown[]): void;
};

export declare const clock: {
  /** Nanoseconds since the Unix epoch; `Date.now()` has milliseconds. */
  now(): bigint;
  /** Nanoseconds since an unknown moment; never goes back. */
  monotonic(): bigint;
  /** Waits, in milliseconds, without holding a thread. */
  sleep(ms: number): void;
};

/** Randomness that cannot be guessed. `Math.random` and `crypto.getRandomValues` draw from it. */
export declare const entropy: {
  next(): bigint;
  /** At most 64 KiB. */
  bytes(count: number): Uint8Array;
};

/** What is wrong with a configuration, and where. */
export declare class ConfigError extends Error {
  constructor(message: string, path?: string);
  /** A mistake at a path: `ConfigError.at("routes[3].path", "expected …")`. */
  static at(path: string, message: string): ConfigError;
  readonly path: string;
}

/** The proxy does not take it; the message says why. */
export declare class Refused extends Error {}

export declare class BodyError extends Error {
  readonly reason: "too-large" | "peer-gone" | "already-streamed";
}

export declare class HttpError extends Error {
  readonly reason: "not-allowed" | "no-such-cluster" | "no-healthy-endpoint" | "timeout" | "reset" | "too-large" | "protocol";
}

export declare class StoreError extends Error {
  readonly reason: "not-allowed" | "unavailable" | "too-large";
}
