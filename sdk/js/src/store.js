// State that outlives an exchange, and decisions about rates over it.

import { body, utf8 } from "./bytes.js";
import { StoreError, or } from "./errors.js";
import { host } from "./host.js";

/** The least number of 64 bits, at which the host stops as well. */
const LEAST = -(2n ** 63n);

const ms = (ttl) => (ttl === undefined ? undefined : BigInt(Math.max(1, Math.ceil(ttl))));

export class Store {
  constructor(name) {
    this.name = name;
  }

  get(key) {
    return or(StoreError, () => host.store.get(this.name, key));
  }

  set(key, value, { ttl } = {}) {
    or(StoreError, () => host.store.set(this.name, key, body(value), ms(ttl)));
  }

  compareAndSet(key, expected, value, { ttl } = {}) {
    const present = expected === undefined ? undefined : body(expected);
    return or(StoreError, () => host.store.compareAndSet(this.name, key, present, body(value), ms(ttl)));
  }

  delete(key) {
    or(StoreError, () => host.store.delete(this.name, key));
  }

  increment(key, by = 1n, { ttl } = {}) {
    const amount = BigInt(by);
    if (amount < 0n) return this.#decrease(key, amount, ttl);
    return or(StoreError, () => host.store.increment(this.name, key, amount, ms(ttl)));
  }

  /**
   * The engine ends the instance over a number below zero that it is to hand over. The host keeps the sum as digits, so it can be
   * written in their place, as often as somebody else was quicker. What is written so has its own time to live, or none.
   */
  #decrease(key, by, ttl) {
    for (;;) {
      const present = this.get(key);
      const digits = present === undefined ? "0" : utf8(present);
      if (!/^-?\d+$/.test(digits)) throw new StoreError("unavailable");
      const exact = BigInt(digits) + by;
      const sum = exact < LEAST ? LEAST : exact;
      if (this.compareAndSet(key, present, String(sum), { ttl })) return sum;
    }
  }
}

const asked = ({ key, kind, limit, window = 0, burst = limit, cost = 1 }) => ({
  key,
  kind,
  limit: BigInt(limit),
  windowMs: BigInt(Math.ceil(window)),
  burst: BigInt(kind === "rate" ? burst : 0),
  cost: BigInt(cost),
});

export const quota = {
  /** All or nothing: unless every ask is allowed, none is taken. A decision for each. */
  take(store, ...asks) {
    const decisions = or(StoreError, () => host.quota.take(store.name, asks.map(asked)));
    return decisions.map(({ allowed, remaining, retryAfterMs, resetAfterMs }) => ({
      allowed,
      remaining: Number(remaining),
      retryAfter: Number(retryAfterMs),
      resetAfter: Number(resetAfterMs),
    }));
  },
};
