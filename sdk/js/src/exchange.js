// What an exchange has beside its messages: who speaks, where it goes, what filters tell each other, how it went.

import { fields, text, value } from "./bytes.js";
import { Refused, or } from "./errors.js";
import { host } from "./host.js";

export const connection = {
  get source() {
    return host.connection.sourceAddress();
  },
  get peer() {
    return host.connection.peerAddress();
  },
  get local() {
    return host.connection.localAddress();
  },
  get originalDestination() {
    return host.connection.originalDestination();
  },
  get trusted() {
    return host.connection.trusted();
  },
  get listener() {
    return host.connection.listener();
  },
  get protocol() {
    return host.connection.protocol();
  },
  get tlsVersion() {
    return host.connection.tlsVersion();
  },
  get serverName() {
    return host.connection.serverName();
  },
  get clientIdentities() {
    return host.connection.clientIdentities();
  },
  get clientFingerprint() {
    return host.connection.clientFingerprint();
  },
};

export const destination = {
  get cluster() {
    return host.destination.cluster();
  },
  set cluster(name) {
    or(Refused, () => host.destination.setCluster(name));
  },
  get route() {
    return host.destination.route();
  },
  set route(name) {
    host.destination.setRoute(name);
  },
  setFallback(cluster) {
    or(Refused, () => host.destination.setFallback(cluster));
  },
  setEndpoint(address) {
    or(Refused, () => host.destination.setEndpoint(address));
  },
  setChain(name) {
    or(Refused, () => host.destination.setChain(name));
  },
  setSubset(labels) {
    host.destination.setSubset(Object.entries(labels));
  },
  setHashKey(key) {
    host.destination.setHashKey(value(key));
  },
  setTimeout(ms) {
    host.destination.setTimeoutMs(ms === undefined ? 0 : Math.max(1, Math.ceil(ms)));
  },
  setRetry({ attempts, on = [], perTryTimeout }) {
    or(Refused, () => host.destination.setRetry(attempts, on, perTryTimeout));
  },
  mirror(cluster, { headers, bodyLimit = 1 << 20 } = {}) {
    return or(Refused, () => host.destination.mirror(cluster, fields(headers), bodyLimit));
  },
  setResponseRate(bytesPerSecond) {
    host.destination.setResponseRate(BigInt(bytesPerSecond ?? 0));
  },
};

export const notes = {
  get(key) {
    return host.notes.get(key);
  },
  set(key, to) {
    host.notes.set(key, String(to));
  },
};

class Outcome {
  constructor(request, response) {
    this.request = request;
    this.response = response;
    this.connection = connection;
    this.destination = destination;
    this.notes = notes;
  }

  get status() {
    return host.outcome.status() || undefined;
  }

  get requestBytes() {
    return Number(host.outcome.requestBytes());
  }

  get responseBytes() {
    return Number(host.outcome.responseBytes());
  }

  get duration() {
    return Number(host.outcome.durationUs()) / 1000;
  }

  get upstream() {
    return host.outcome.upstream();
  }

  get attempts() {
    return host.outcome.attempts();
  }

  get failure() {
    return host.outcome.failure();
  }

  mirrored(id) {
    const found = host.outcome.mirrored(id);
    if (found === undefined) return undefined;
    return { status: found.status || undefined, bodyHash: found.bodyHash, duration: Number(found.durationUs) / 1000 };
  }

  mirroredHeaders(id, name) {
    return host.outcome.mirroredHeaders(id, name).map(text);
  }
}

export function outcome(request, response) {
  return new Outcome(request, response);
}
