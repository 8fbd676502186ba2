// Log, time and randomness.

import { host } from "./host.js";

const shown = (part) => {
  if (typeof part === "string") return part;
  if (part instanceof Error) return part.stack ? `${part}\n${part.stack}` : String(part);
  try {
    return JSON.stringify(part, (_, value) => (typeof value === "bigint" ? String(value) : value)) ?? String(part);
  } catch {
    return String(part);
  }
};

const write = (severity, parts) => {
  if (host.log.enabled(severity)) host.log.write(severity, parts.map(shown).join(" "));
};

export const log = {
  enabled: (severity) => host.log.enabled(severity),
  write: (severity, ...parts) => write(severity, parts),
  trace: (...parts) => write("trace", parts),
  debug: (...parts) => write("debug", parts),
  info: (...parts) => write("info", parts),
  warn: (...parts) => write("warn", parts),
  error: (...parts) => write("error", parts),
};

export const clock = {
  /** Nanoseconds since the Unix epoch; `Date.now()` has milliseconds. */
  now: () => host.clock.nowNs(),
  /** Nanoseconds since an unknown moment. */
  monotonic: () => host.clock.monotonicNs(),
  /** Waits, in milliseconds. */
  sleep: (ms) => host.clock.sleepMs(Math.ceil(ms)),
};

export const entropy = {
  /** 64 bits. */
  next: () => host.entropy.next(),
  bytes: (count) => host.entropy.bytes(count),
};
