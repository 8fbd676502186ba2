// Request and response of the exchange in hand. They hold nothing: every property asks the proxy.

import { body, text, unpacked, utf8, value } from "./bytes.js";
import { connection, destination, notes } from "./exchange.js";
import { BodyError, Refused, or } from "./errors.js";
import { host } from "./host.js";

/** The fields of one message, as the filters before this one left them. */
class Headers {
  #of;

  constructor(of) {
    this.#of = of;
  }

  get(name) {
    return text(host[this.#of].header(name));
  }

  getAll(name) {
    return host[this.#of].headers(name).map(text);
  }

  has(name) {
    return host[this.#of].header(name) !== undefined;
  }

  set(name, to) {
    or(Refused, () => host[this.#of].setHeader(name, value(to)));
  }

  append(name, to) {
    or(Refused, () => host[this.#of].addHeader(name, value(to)));
  }

  delete(name) {
    host[this.#of].removeHeader(name);
  }

  entries() {
    return unpacked(host[this.#of].allHeaders());
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

class Trailers {
  #of;

  constructor(of) {
    this.#of = of;
  }

  get(name) {
    return text(host[this.#of].trailer(name));
  }

  set(name, to) {
    or(Refused, () => host[this.#of].setTrailer(name, value(to)));
  }
}

/** All that a body may be, where a filter names no limit: the proxy has its own. */
const ANY = 0xffffffff;

/** What request and response have both. */
class Message {
  #of;

  constructor(of) {
    this.#of = of;
    this.headers = new Headers(of);
    this.trailers = new Trailers(of);
    this.connection = connection;
    this.destination = destination;
    this.notes = notes;
  }

  readBody(limit = ANY) {
    return or(BodyError, () => host[this.#of].readBody(limit));
  }

  text(limit = ANY) {
    return utf8(this.readBody(limit));
  }

  json(limit = ANY) {
    return JSON.parse(this.text(limit));
  }

  setBody(to) {
    host[this.#of].setBody(body(to));
  }
}

class Request extends Message {
  get method() {
    return host.request.method();
  }

  set method(method) {
    or(Refused, () => host.request.setMethod(method));
  }

  get scheme() {
    return host.request.scheme();
  }

  get authority() {
    return host.request.authority();
  }

  set authority(authority) {
    or(Refused, () => host.request.setAuthority(authority));
  }

  get path() {
    return host.request.path();
  }

  get query() {
    return host.request.query();
  }

  get target() {
    const { path, query } = this;
    return query === undefined ? path : `${path}?${query}`;
  }

  set target(target) {
    or(Refused, () => host.request.setTarget(target));
  }

  get searchParams() {
    return new URLSearchParams(this.query ?? "");
  }

  get id() {
    return host.request.id();
  }

  get deadlineLeft() {
    const left = host.request.deadlineLeftMs();
    return left === undefined ? undefined : Number(left);
  }
}

class Response extends Message {
  get status() {
    return host.response.status();
  }

  set status(status) {
    or(Refused, () => host.response.setStatus(status));
  }

  get origin() {
    return host.response.origin();
  }

  get request() {
    return request;
  }
}

// One of each is enough: an instance runs for one exchange at a time.
export const request = new Request("request");
export const response = new Response("response");
