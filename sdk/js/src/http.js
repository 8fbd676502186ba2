// Calls to other services. They wait, and read as if they did not.

import { body, fields, text, utf8 } from "./bytes.js";
import { HttpError, or } from "./errors.js";
import { host } from "./host.js";

/** Fields of an answer, which has come whole. */
class Fields {
  #fields;

  constructor(fields) {
    this.#fields = fields.map(({ name, value }) => [name, text(value)]);
  }

  get(name) {
    const all = this.getAll(name);
    return all.length === 0 ? undefined : all.join(", ");
  }

  getAll(name) {
    const wanted = name.toLowerCase();
    return this.#fields.filter(([known]) => known === wanted).map(([, value]) => value);
  }

  has(name) {
    return this.getAll(name).length > 0;
  }

  entries() {
    return this.#fields.values();
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

class Answer {
  constructor({ status, fields, body, trailers }) {
    this.status = status;
    this.ok = status >= 200 && status < 300;
    this.headers = new Fields(fields);
    this.body = body;
    this.trailers = new Fields(trailers);
  }

  text() {
    return utf8(this.body);
  }

  json() {
    return JSON.parse(this.text());
  }
}

function outgoing({ cluster, method = "GET", target = "/", authority, headers, body: content = "", trailers, timeout }) {
  return {
    cluster,
    method,
    target,
    authority,
    fields: fields(headers),
    body: body(content),
    trailers: fields(trailers),
    timeoutMs: timeout === undefined ? 0 : Math.max(1, Math.ceil(timeout)),
  };
}

export const http = {
  /** Sends it and waits for the answer; any status is one. Throws an HttpError. */
  send(call) {
    return new Answer(or(HttpError, () => host.httpClient.send(outgoing(call))));
  },

  get(cluster, target, options) {
    return http.send({ ...options, cluster, target });
  },

  post(cluster, target, content, options) {
    return http.send({ ...options, cluster, target, method: "POST", body: content });
  },

  /** All at once, side by side: for each an answer, or the HttpError that it did not get one for. */
  sendAll(calls) {
    const results = host.httpClient.sendAll(calls.map(outgoing));
    return results.map(({ tag, val }) => (tag === "ok" ? new Answer(val) : new HttpError(val)));
  },
};
