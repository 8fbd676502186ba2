// What can go wrong, each with a class of its own.

/** What is wrong with a configuration, and where: `routes[3].path`. */
export class ConfigError extends Error {
  name = "ConfigError";

  constructor(message, path = "") {
    super(message);
    this.path = path;
  }

  /** A mistake at a path. */
  static at(path, message) {
    return new ConfigError(message, path);
  }

  toString() {
    return this.path === "" ? this.message : `${this.path}: ${this.message}`;
  }
}

/** The proxy does not take it; the message says why. Nothing has changed. */
export class Refused extends Error {
  name = "Refused";
}

class Because extends Error {
  constructor(what, reason) {
    super(`${what}: ${reason}`);
    this.reason = reason;
  }
}

/** Why a body could not be read: `too-large`, `peer-gone` or `already-streamed`. */
export class BodyError extends Because {
  name = "BodyError";
  constructor(reason) {
    super("the body cannot be read", reason);
  }
}

/** Why a call has no answer: `timeout`, `not-allowed` and the others of wit/http-client.wit. */
export class HttpError extends Because {
  name = "HttpError";
  constructor(reason) {
    super("the call has no answer", reason);
  }
}

/** Why a store did not do it: `not-allowed`, `unavailable` or `too-large`. */
export class StoreError extends Because {
  name = "StoreError";
  constructor(reason) {
    super("the store did not do it", reason);
  }
}

/** Calls the host. The error value of its result is thrown as this class; anything else is a mistake and passes. */
export function or(Failure, call) {
  try {
    return call();
  } catch (error) {
    throw error !== null && typeof error === "object" && "payload" in error ? new Failure(error.payload) : error;
  }
}

/** The mistake of a configuration as the proxy reads it: the path first. */
export function refusal(error) {
  const issue = Array.isArray(error?.issues) ? error.issues[0] : undefined;
  if (error instanceof ConfigError || issue === undefined) return String(error);
  // A schema library's own error: its first issue has the path.
  const steps = (issue.path ?? []).map((step) => (typeof step === "object" ? step.key : step));
  const path = steps.reduce((path, step) => (typeof step === "number" ? `${path}[${step}]` : path === "" ? String(step) : `${path}.${String(step)}`), "");
  return ConfigError.at(path, issue.message).toString();
}
