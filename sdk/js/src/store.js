// State that outlives an exchange, and decisions about rates over it.

import { body } from "./bytes.js";
import { StoreError, or } from "./errors.js";
import { host } from "./host.js";

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
    return or(StoreError, () => host.store.increment(this.name, key, BigInt(by), ms(ttl)));
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
