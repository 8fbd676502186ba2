// What JavaScript brings of time, randomness and output, over the proxy's own: so a filter needs no WASI, which would cost it its image.

import { clock, entropy, log } from "./system.js";

/** Most that is drawn at once. */
const DRAWN_MAX = 65536;

function fill(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let at = 0; at < bytes.length; at += DRAWN_MAX) {
    bytes.set(entropy.bytes(Math.min(DRAWN_MAX, bytes.length - at)), at);
  }
  return array;
}

function uuid() {
  const bytes = fill(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join("-");
}

function instead(of, way) {
  return () => {
    throw new Error(`a filter has no ${of}: ${way}`);
  };
}

/** From the first call of the proxy on: while the module is built, there is nobody to ask. */
export function takeOver() {
  const Engine = globalThis.Date;
  const now = () => Number(clock.now() / 1_000_000n);
  globalThis.Date = new Proxy(Engine, {
    construct: (_, parts, made) => Reflect.construct(Engine, parts.length === 0 ? [now()] : parts, made),
    apply: () => new Engine(now()).toString(),
    get: (engine, name) => (name === "now" ? now : Reflect.get(engine, name)),
  });
  Math.random = () => Number(entropy.next() >> 11n) / 2 ** 53;
  const replace = (on, name, by) => Object.defineProperty(on, name, { value: by, configurable: true, writable: true });
  if (globalThis.performance !== undefined) replace(globalThis.performance, "now", () => Number(clock.monotonic()) / 1e6);
  if (globalThis.crypto !== undefined) {
    replace(globalThis.crypto, "getRandomValues", fill);
    replace(globalThis.crypto, "randomUUID", uuid);
  }
  const { trace, debug, info, warn, error } = log;
  replace(globalThis, "console", { trace, debug, log: info, info, warn, error, assert: (holds, ...parts) => holds || error(...parts) });
  replace(globalThis, "setTimeout", instead("setTimeout", "clock.sleep waits, setup.tickEvery calls onTick"));
  replace(globalThis, "setInterval", instead("setInterval", "setup.tickEvery calls onTick"));
  replace(globalThis, "fetch", instead("fetch", "http.send calls a cluster that `allow` grants"));
}
