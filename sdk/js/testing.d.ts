// A host for tests in node.

import type { Body, FieldValue, Filter } from "./index.js";

type Headers = Record<string, FieldValue | FieldValue[]>;

export interface Configured {
  readonly stores: Map<string, Uint8Array>;
}

export interface Seen {
  headers: { get(name: string): string | undefined; getAll(name: string): string[] };
  body: Uint8Array;
  text(): string;
  json(): any;
}

export interface Exchanged {
  /** What reached the upstream; undefined if nothing did. */
  upstream: (Seen & { method: string; target: string; authority: string; cluster: string }) | undefined;
  /** What the client got; undefined after a reset. */
  response: (Seen & { status: number }) | undefined;
  notes: Record<string, string>;
}

/** Configures a filter; throws a `ConfigError` where it refuses. */
export declare function configure(filter: Filter, config?: unknown, around?: { inputs?: Record<string, Body> }): Configured;

/** Puts one exchange through: request and response hooks. `calls` answers for other services, or says the word of an error. */
export declare function exchange(
  configured: Configured,
  given?: {
    method?: string;
    target?: string;
    headers?: Headers;
    body?: Body;
    answer?: { status?: number; headers?: Headers; body?: Body };
    calls?: (call: { cluster: string; method: string; target: string; headers: Record<string, string>; body: string }) => { status?: number; headers?: Headers; body?: Body } | string;
  },
): Exchanged;
