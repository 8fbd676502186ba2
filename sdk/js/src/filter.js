// From the hooks of a filter to the functions that the proxy calls.

import { body } from "./bytes.js";
import { outcome } from "./exchange.js";
import { refusal } from "./errors.js";
import { host } from "./host.js";
import { request, response } from "./message.js";
import { Reply } from "./reply.js";
import { Setup } from "./setup.js";
import { log } from "./system.js";

/** What a hook returns to end the exchange without an answer. */
export const reset = Object.freeze({ verdict: "reset" });

/** Each hook by the words of the proxy, and what makes it wanted. */
const HOOKS = {
  request: ["onRequest"],
  "request-chunk": ["onRequestChunk"],
  response: ["onResponse"],
  "response-chunk": ["onResponseChunk"],
  trailers: ["onRequestTrailers", "onResponseTrailers"],
  complete: ["onComplete"],
  tick: ["onTick"],
};

const METHODS = ["configure", ...Object.values(HOOKS).flat()];

/** A filter: `configure` and its hooks. */
export function filter(hooks) {
  for (const name of Object.keys(hooks)) {
    if (!METHODS.includes(name)) throw new TypeError(`a filter has no hook ${name}; there are ${METHODS.join(", ")}`);
    if (typeof hooks[name] !== "function") throw new TypeError(`expected ${name} to be a function, found ${typeof hooks[name]}`);
  }
  if (Object.keys(hooks).every((name) => name === "configure")) throw new TypeError("the filter has no hook");
  return Object.freeze({ ...hooks });
}

/** Goes on with what a hook returned, now or when its promise is kept. */
function settle(returned, then) {
  return typeof returned?.then === "function" ? returned.then(then) : then(returned);
}

function verdict(returned) {
  if (returned === undefined) return "next";
  if (returned === reset) return "reset";
  if (returned instanceof Reply) {
    returned.check();
    return "replied";
  }
  throw new TypeError(`expected nothing, a Reply or reset from the hook, found ${typeof returned}`);
}

function chunkVerdict(returned) {
  if (returned === undefined) return "keep";
  if (returned === reset) return "reset";
  host.chunk.replace(body(returned));
  return "replaced";
}

const nothing = () => undefined;

/** The functions that the proxy calls, one for each of wit/hooks.wit. */
export function exported(hooks) {
  let state;

  /** An error that nobody caught is logged, then traps: the exchange gets what `on-failure` says. */
  const call = (name, then, ...given) => {
    const told = (error) => {
      log.error(`${name}: ${error}`, error?.stack ?? "");
      throw error;
    };
    try {
      const settled = settle(hooks[name]?.(...given, state), then);
      return typeof settled?.then === "function" ? settled.then(undefined, told) : settled;
    } catch (error) {
      told(error);
    }
  };

  const configure = (config, inputs) => {
    const refuse = (error) => {
      throw refusal(error);
    };
    const setup = new Setup(inputs);
    const keep = (configured) => {
      state = configured;
      if (setup.chosen) return;
      for (const [word, names] of Object.entries(HOOKS)) {
        if (names.some((name) => hooks[name] !== undefined)) host.setup.want(word);
      }
    };
    try {
      const settled = settle(hooks.configure?.(JSON.parse(config), setup), keep);
      return typeof settled?.then === "function" ? settled.then(undefined, refuse) : settled;
    } catch (error) {
      refuse(error);
    }
  };

  return {
    configure,
    onRequest: () => call("onRequest", verdict, request),
    onRequestChunk: (bytes, end) => call("onRequestChunk", chunkVerdict, request, { bytes, end }),
    onResponse: () => call("onResponse", verdict, response),
    onResponseChunk: (bytes, end) => call("onResponseChunk", chunkVerdict, response, { bytes, end }),
    onRequestTrailers: () => call("onRequestTrailers", nothing, request),
    onResponseTrailers: () => call("onResponseTrailers", nothing, response),
    onComplete: () => call("onComplete", nothing, outcome(request, response)),
    onTick: () => call("onTick", nothing),
  };
}
