// An answer of the filter's own.

import { body, fields, value } from "./bytes.js";
import { Refused, or } from "./errors.js";
import { host } from "./host.js";

export class Reply {
  #status;
  #fields;
  #body;
  #grpc;

  constructor(status, { headers, body: content = "" } = {}) {
    this.#status = status;
    this.#fields = fields(headers);
    this.#body = body(content);
  }

  static text(status, text, headers) {
    return new Reply(status, { body: text }).header("content-type", "text/plain; charset=utf-8").#and(headers);
  }

  static json(status, content, headers) {
    return new Reply(status, { body: JSON.stringify(content) }).header("content-type", "application/json").#and(headers);
  }

  static grpc(status, message) {
    const reply = new Reply(200);
    reply.#grpc = { status, message };
    return reply;
  }

  /** One more field. */
  header(name, to) {
    this.#fields.push({ name, value: value(to) });
    return this;
  }

  /** Whether the proxy takes it: throws what it refuses. */
  check() {
    if (this.#grpc !== undefined) return host.reply.setGrpc(this.#grpc.status, this.#grpc.message);
    or(Refused, () => host.reply.set(this.#status, this.#fields, this.#body));
  }

  #and(headers) {
    this.#fields.push(...fields(headers));
    return this;
  }
}
