// The conformance guest of sdk/CONFORMANCE.md: a request names the steps that each hook takes, the answer tells what each gave.

import {
  type Ask, BodyError, ConfigError, type Counter, type Gauge, type Histogram, type Hook, HttpError, type Outcome, Refused, Reply, type Request,
  type Response, Store, StoreError, clock, entropy, filter, http, log, quota, reset, type Severity, type Verdict,
} from "tamis-sdk";

interface Config {
  greeting?: string;
  "keep-state"?: boolean;
  "tick-every-ms"?: number;
  want?: Hook[];
  routes?: { path: string }[];
  counter?: string;
  throw?: string;
}

interface State {
  greeting: string;
  inputs: Map<string, Uint8Array>;
  steps: Counter<"kind">;
  level: Gauge;
  size: Histogram;
  remembered?: string;
}

/** What a hook was given in which steps are taken. */
interface At {
  request: Request;
  response?: Response;
  outcome?: Outcome;
}

const results = new Store("results");
const utf8 = new TextDecoder();

function decoded(word: string): Uint8Array {
  if (word === "%") return new Uint8Array();
  const bytes: number[] = [];
  for (let at = 0; at < word.length; at++) {
    if (word[at] === "%") {
      bytes.push(parseInt(word.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(word.charCodeAt(at));
    }
  }
  return Uint8Array.from(bytes);
}

function encoded(content: Uint8Array): string {
  const plain = (byte: number) => byte > 0x20 && byte < 0x7f && byte !== 0x25;
  const one = (byte: number) => (plain(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`);
  return Array.from(content, one).join("");
}

/** Text of the proxy's; `bytes` for values of fields, in which a character is a byte. */
const text = (content: string) => `=${encoded(new TextEncoder().encode(content))}`;
const bytes = (content: Uint8Array) => `=${encoded(content)}`;
const field = (content: string) => `=${encoded(Uint8Array.from(content, (one) => one.charCodeAt(0)))}`;
const some = <T>(content: T | undefined, written: (content: T) => string) => (content === undefined ? "none" : written(content));
const list = (words: string[]) => (words.length === 0 ? "none" : words.join(" "));

/** `ok`, what it gave, or why not. */
function done(action: () => unknown): string {
  try {
    const given = action();
    return given === undefined ? "ok" : String(given);
  } catch (error) {
    if (error instanceof Refused) return `!${text(error.message).slice(1)}`;
    if (error instanceof BodyError || error instanceof StoreError || error instanceof HttpError) return `!${error.reason}`;
    throw error;
  }
}

function fields(all: Iterable<[string, string]>): string[] {
  return [...all].filter(([name]) => name.startsWith("x-")).map(([name, value]) => name + field(value));
}

class Words {
  constructor(private readonly raw: string[]) {}

  get count() {
    return this.raw.length;
  }
  bytes(at: number) {
    const word = this.raw[at];
    if (word === undefined) throw new Error(`the step has no word ${at}: ${this.raw}`);
    return decoded(word);
  }
  text(at: number) {
    return utf8.decode(this.bytes(at));
  }
  number(at: number) {
    return Number(this.text(at));
  }
  some(at: number) {
    return this.raw[at] === "-" ? undefined : this.text(at);
  }
  time(at: number) {
    return this.raw[at] === "-" ? undefined : this.number(at);
  }
  rest(at: number) {
    return this.raw.slice(at).map((_, offset) => this.text(at + offset));
  }
  pairs(at: number): [string, Uint8Array][] {
    return this.raw.slice(at).flatMap((_, offset) => (offset % 2 === 0 ? [[this.text(at + offset), this.bytes(at + offset + 1)] as [string, Uint8Array]] : []));
  }
}

/** What the steps of a hook came to. */
class Taken {
  readonly lines: string[] = [];
  reply?: Reply;
  reset = false;

  take(state: State, step: string, at: At) {
    const words = new Words(step.split(" "));
    const [subject = "", name = ""] = words.text(0).split(".");
    this.lines.push(`${words.text(0)} ${this.result(state, subject, name, words, at)}`);
  }

  private result(state: State, subject: string, name: string, words: Words, { request, response, outcome }: At): string {
    switch (subject) {
      case "request":
        return ofRequest(name, words, request) ?? ofMessage(name, words, request);
      case "response":
        if (response === undefined) throw new Error("no response in this hook");
        return ofResponse(name, words, response) ?? ofMessage(name, words, response);
      case "outcome":
        if (outcome === undefined) throw new Error("no outcome in this hook");
        return ofOutcome(name, words, outcome);
      case "connection":
        return ofConnection(name, request);
      case "destination":
        return ofDestination(name, words, request);
      case "notes":
        return name === "get" ? some(request.notes.get(words.text(1)), text) : done(() => request.notes.set(words.text(1), words.text(2)));
      case "http":
        return ofHttp(name, words);
      case "store":
        return ofStore(name, words);
      case "quota":
        return ofQuota(words);
      case "metrics":
        return ofMetrics(name, words, state);
      case "log":
      case "clock":
      case "entropy":
        return ofSystem(words);
      default:
        return this.own(state, words);
    }
  }

  private own(state: State, words: Words): string {
    switch (words.text(0)) {
      case "config":
        return text(state.greeting);
      case "input":
        return some(state.inputs.get(words.text(1)), bytes);
      case "remember":
        state.remembered = words.text(1);
        return "ok";
      case "recall":
        return some(state.remembered, text);
      case "reply":
        return this.replied(new Reply(words.number(1), { body: words.bytes(2), headers: words.pairs(3) }));
      case "reply-grpc":
        return this.replied(Reply.grpc(words.number(1), words.text(2)));
      case "reset":
        this.reset = true;
        return "ok";
      case "throw":
        throw new Error(words.text(1));
      default:
        throw new Error(`no such step: ${words.text(0)}`);
    }
  }

  /** A reply that is refused is forgotten. */
  private replied(reply: Reply): string {
    return done(() => {
      reply.check();
      this.reply = reply;
    });
  }
}

function ofRequest(name: string, words: Words, request: Request): string | undefined {
  switch (name) {
    case "method":
      return text(request.method);
    case "scheme":
      return text(request.scheme);
    case "authority":
      return text(request.authority);
    case "path":
      return text(request.path);
    case "query":
      return some(request.query, text);
    case "id":
      return text(request.id);
    case "deadline-left":
      return some(request.deadlineLeft, String);
    case "set-method":
      return done(() => void (request.method = words.text(1)));
    case "set-authority":
      return done(() => void (request.authority = words.text(1)));
    case "set-target":
      return done(() => void (request.target = words.text(1)));
    default:
      return undefined;
  }
}

function ofResponse(name: string, words: Words, response: Response): string | undefined {
  switch (name) {
    case "status":
      return String(response.status);
    case "set-status":
      return done(() => void (response.status = words.number(1)));
    case "origin":
      return text(response.origin);
    default:
      return undefined;
  }
}

function ofMessage(name: string, words: Words, message: Request | Response): string {
  switch (name) {
    case "header":
      return some(message.headers.get(words.text(1)), field);
    case "headers":
      return list(message.headers.getAll(words.text(1)).map(field));
    case "all-headers":
      return list(fields(message.headers));
    case "set-header":
      return done(() => message.headers.set(words.text(1), words.bytes(2)));
    case "add-header":
      return done(() => message.headers.append(words.text(1), words.bytes(2)));
    case "remove-header":
      return done(() => message.headers.delete(words.text(1)));
    case "trailer":
      return some(message.trailers.get(words.text(1)), field);
    case "set-trailer":
      return done(() => message.trailers.set(words.text(1), words.bytes(2)));
    case "read-body":
      return done(() => bytes(message.readBody(words.number(1))));
    case "read-body-length":
      return done(() => String(message.readBody(words.number(1)).length));
    case "set-body":
      return done(() => message.setBody(words.bytes(1)));
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofOutcome(name: string, words: Words, outcome: Outcome): string {
  switch (name) {
    case "status":
      return String(outcome.status ?? 0);
    case "request-bytes":
      return String(outcome.requestBytes);
    case "response-bytes":
      return String(outcome.responseBytes);
    case "duration":
      return String(Math.round(outcome.duration * 1000));
    case "upstream":
      return some(outcome.upstream, text);
    case "attempts":
      return String(outcome.attempts);
    case "failure":
      return some(outcome.failure, text);
    case "mirrored":
      return some(outcome.mirrored(words.number(1)), ({ status }) => String(status ?? 0));
    case "mirrored-headers":
      return list(outcome.mirroredHeaders(words.number(1), words.text(2)).map(field));
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofConnection(name: string, { connection }: Request): string {
  switch (name) {
    case "source-address":
      return text(connection.source);
    case "peer-address":
      return text(connection.peer);
    case "local-address":
      return text(connection.local);
    case "original-destination":
      return some(connection.originalDestination, text);
    case "trusted":
      return String(connection.trusted);
    case "listener":
      return text(connection.listener);
    case "protocol":
      return text(connection.protocol);
    case "tls-version":
      return some(connection.tlsVersion, text);
    case "server-name":
      return some(connection.serverName, text);
    case "client-identities":
      return list(connection.clientIdentities.map(text));
    case "client-fingerprint":
      return some(connection.clientFingerprint, text);
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofDestination(name: string, words: Words, { destination }: Request): string {
  switch (name) {
    case "cluster":
      return some(destination.cluster, text);
    case "set-cluster":
      return done(() => void (destination.cluster = words.text(1)));
    case "set-fallback":
      return done(() => destination.setFallback(words.text(1)));
    case "set-endpoint":
      return done(() => destination.setEndpoint(words.text(1)));
    case "route":
      return some(destination.route, text);
    case "set-route":
      return done(() => void (destination.route = words.text(1)));
    case "set-chain":
      return done(() => destination.setChain(words.text(1)));
    case "set-subset":
      return done(() => destination.setSubset(Object.fromEntries(words.pairs(1).map(([name, value]) => [name, utf8.decode(value)]))));
    case "set-hash-key":
      return done(() => destination.setHashKey(words.bytes(1)));
    case "set-timeout":
      return done(() => destination.setTimeout(words.time(1)));
    case "set-retry":
      return done(() => destination.setRetry({ attempts: words.number(1), on: words.rest(3), perTryTimeout: words.time(2) }));
    case "mirror":
      return done(() => destination.mirror(words.text(1), { headers: words.pairs(3), bodyLimit: words.number(2) }));
    case "set-response-rate":
      return done(() => destination.setResponseRate(words.time(1)));
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofHttp(name: string, words: Words): string {
  if (name === "send-all") {
    const answers = http.sendAll(words.rest(2).map((target) => ({ cluster: words.text(1), target })));
    return list(answers.map((answer) => (answer instanceof HttpError ? `!${answer.reason}` : String(answer.status))));
  }
  if (name === "send-trailers") {
    return done(() => {
      const [cluster, target] = [words.text(1), words.text(2)];
      const answer = http.send({ cluster, method: "POST", target, body: words.bytes(3), trailers: words.pairs(4) });
      return [answer.status, ...fields(answer.trailers)].join(" ");
    });
  }
  return done(() => {
    const answer = http.send({
      cluster: words.text(1),
      method: words.text(2),
      target: words.text(3),
      timeout: words.time(4),
      authority: words.some(5),
      body: words.bytes(6),
      headers: words.pairs(7),
    });
    return [answer.status, ...fields(answer.headers), bytes(answer.body)].join(" ");
  });
}

function ofStore(name: string, words: Words): string {
  const [store, key] = [new Store(words.text(1)), words.text(2)];
  switch (name) {
    case "get":
      return done(() => some(store.get(key), bytes));
    case "set":
      return done(() => store.set(key, words.bytes(3), { ttl: words.time(4) }));
    case "compare-and-set":
      return done(() => store.compareAndSet(key, words.some(3) === undefined ? undefined : words.bytes(3), words.bytes(4), { ttl: words.time(5) }));
    case "delete":
      return done(() => store.delete(key));
    case "increment":
      return done(() => store.increment(key, BigInt(words.text(3)), { ttl: words.time(4) }));
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofQuota(words: Words): string {
  const asks: Ask[] = [];
  for (let at = 2; at < words.count; at += 6) {
    const kind = words.text(at + 1) as "rate" | "calendar" | "concurrency";
    asks.push({ key: words.text(at), kind, limit: words.number(at + 2), window: words.time(at + 3), burst: words.number(at + 4), cost: words.number(at + 5) });
  }
  return done(() => {
    const decisions = quota.take(new Store(words.text(1)), ...asks);
    return list(decisions.map(({ allowed, remaining, retryAfter }) => `${allowed ? "allowed" : "refused"}/${remaining}/${retryAfter === 0 ? "now" : "later"}`));
  });
}

function ofMetrics(name: string, words: Words, state: State): string {
  switch (name) {
    case "count":
      return done(() => state.steps.add(words.number(2), { kind: words.text(1) }));
    case "level":
      return done(() => state.level.set(words.number(1)));
    case "size":
      return done(() => state.size.observe(words.number(1)));
    default:
      throw new Error(`no such step: ${name}`);
  }
}

function ofSystem(words: Words): string {
  switch (words.text(0)) {
    case "log.enabled":
      return String(log.enabled(words.text(1) as Severity));
    case "log.write":
      return done(() => log.write(words.text(1) as Severity, words.text(2)));
    case "clock.now":
      return String(clock.now());
    case "clock.monotonic":
      return String(clock.monotonic());
    case "clock.sleep":
      return done(() => clock.sleep(words.number(1)));
    case "entropy.next":
      return String(entropy.next());
    case "entropy.bytes":
      return bytes(entropy.bytes(words.number(1)));
    default:
      throw new Error(`no such step: ${words.text(0)}`);
  }
}

const lines = ({ notes }: Request) => notes.get("did")?.split("\n") ?? [];

/** Takes the steps of a hook and notes their lines. */
function takeAll(state: State, name: string, at: At): Taken {
  const taken = new Taken();
  for (const step of at.request.headers.getAll(name)) taken.take(state, step, at);
  if (taken.lines.length > 0) at.request.notes.set("did", [...lines(at.request), ...taken.lines].join("\n"));
  return taken;
}

function verdict(taken: Taken, request: Request): Verdict {
  if (taken.reset) return reset;
  for (const line of taken.reply === undefined ? [] : lines(request)) taken.reply?.header("x-did", line);
  return taken.reply;
}

function chunkVerdict(request: Request, name: string, content: Uint8Array, end: boolean) {
  const step = request.headers.get(name);
  if (step === undefined) return undefined;
  const words = new Words(step.split(" "));
  switch (words.text(0)) {
    case "keep":
      return undefined;
    case "upper":
      return content.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte));
    case "drop":
      return "";
    case "append":
      return end ? Uint8Array.from([...content, ...words.bytes(1)]) : undefined;
    case "reset":
      return reset;
    default:
      throw new Error(`no step of a chunk hook: ${step}`);
  }
}

export default filter({
  configure(config: Config, setup): State {
    if (config.throw !== undefined) throw new Error(config.throw);
    config.routes?.forEach(({ path }, at) => {
      if (!path.startsWith("/")) throw ConfigError.at(`routes[${at}].path`, `expected a path that begins with "/", found ${JSON.stringify(path)}`);
    });
    const or = <T>(path: string, action: () => T): T => {
      try {
        return action();
      } catch (error) {
        throw error instanceof Refused ? ConfigError.at(path, error.message) : error;
      }
    };
    config.want?.forEach((hook, at) => or(`want[${at}]`, () => setup.want(hook)));
    if (config["keep-state"]) setup.keepState();
    setup.tickEvery(config["tick-every-ms"] ?? 0);
    if (config.counter !== undefined) or("counter", () => setup.counter(config.counter!, "Declared by the configuration"));
    return {
      greeting: config.greeting ?? "",
      inputs: new Map(setup.inputs),
      steps: setup.counter("conformance_steps_total", "What steps counted", ["kind"]),
      level: setup.gauge("conformance_level", "What steps set"),
      size: setup.histogram("conformance_size", "What steps observed"),
    };
  },

  onRequest(request, state) {
    return verdict(takeAll(state, "do-request", { request }), request);
  },

  onRequestChunk(request, { bytes, end }) {
    return chunkVerdict(request, "do-request-chunk", bytes, end);
  },

  // As a filter may be written that awaits something.
  async onResponse(response, state) {
    const { request } = response;
    const taken = takeAll(state, "do-response", { request, response });
    const decided = await Promise.resolve(verdict(taken, request));
    if (decided === undefined) for (const line of lines(request)) response.headers.append("x-did", line);
    return decided;
  },

  onResponseChunk(response, { bytes, end }) {
    return chunkVerdict(response.request, "do-response-chunk", bytes, end);
  },

  onRequestTrailers(request, state) {
    takeAll(state, "do-request-trailers", { request });
  },

  onResponseTrailers(response, state) {
    takeAll(state, "do-response-trailers", { request: response.request, response });
  },

  onComplete(outcome, state) {
    const { request } = outcome;
    takeAll(state, "do-complete", { request, outcome });
    const id = request.headers.get("do-id");
    if (id !== undefined) results.set(id, lines(request).join("\n"));
  },

  onTick() {
    results.increment("ticks");
  },
});
