import assert from "node:assert/strict";
import { test } from "node:test";

import { configure, exchange } from "tamis-sdk/testing";

import filter from "../dist/filter.js";

test("what is closed is answered, and what is not passes", () => {
  const configured = configure(filter, { closed: ["/shop"] });
  const closed = exchange(configured, { target: "/shop/7" });
  assert.equal(closed.response.status, 503);
  assert.equal(closed.response.headers.get("retry-after"), "60");
  assert.equal(closed.upstream, undefined);
  const open = exchange(configured, { target: "/shopping" });
  assert.equal(open.upstream.target, "/shopping");
  assert.equal(open.response.headers.get("x-filter"), "{name}");
});

test("a bad path is refused with its place", () => {
  assert.throws(() => configure(filter, { closed: ["/shop", "blog"] }), { message: /^closed\[1\]: expected a path/ });
});
