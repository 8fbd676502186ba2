// The SDK against the host that it brings for tests.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ConfigError, HttpError, Refused, Reply, Store, filter, http, reset } from "tamis-sdk";
import { configure, exchange } from "tamis-sdk/testing";

/** A filter with this request hook, configured. */
const requests = (onRequest) => configure(filter({ onRequest }));

test("a request is read and written", () => {
  const configured = requests((request) => {
    assert.deepEqual([request.method, request.path, request.query], ["POST", "/a", "b=1"]);
    assert.equal(request.searchParams.get("b"), "1");
    assert.deepEqual(request.headers.getAll("X-Many"), ["1", "2"]);
    assert.equal(request.headers.get("x-many"), "1, 2");
    assert.equal(request.headers.get("x-none"), undefined);
    assert.deepEqual([...request.headers], [["x-many", "1"], ["x-many", "2"], ["x-bytes", "ä"]]);
    assert.deepEqual(request.json(), { c: "ü" });
    request.method = "PUT";
    request.target = "/d";
    request.headers.set("x-many", "3");
    request.headers.append("X-New", new Uint8Array([0xff]));
    request.headers.delete("x-bytes");
    request.setBody("other");
  });
  const sent = { method: "POST", target: "/a?b=1", headers: { "x-many": ["1", "2"], "x-bytes": "ä" }, body: '{"c": "ü"}' };
  const { upstream } = exchange(configured, sent);
  assert.deepEqual([upstream.method, upstream.target, upstream.text()], ["PUT", "/d", "other"]);
  assert.deepEqual([upstream.headers.getAll("x-many"), upstream.headers.get("x-new")], [["3"], "ÿ"]);
  assert.equal(upstream.headers.get("x-bytes"), undefined);
});

test("what the proxy refuses is thrown with its reason, and changes nothing", () => {
  const configured = requests((request) => {
    assert.throws(() => request.headers.set("Connection", "close"), { name: "Refused", message: /`connection`/ });
    assert.throws(() => request.headers.set("host", "a"), Refused);
    assert.throws(() => request.headers.set("x y", "1"), Refused);
    assert.throws(() => request.headers.set("x-a", "1\r\nx-b: 2"), Refused);
    assert.throws(() => request.headers.set("x-a", "€"), TypeError);
    assert.throws(() => (request.method = "CONNECT"), Refused);
    assert.throws(() => new Reply(199).check(), Refused);
    assert.throws(() => request.readBody(1), { name: "BodyError", reason: "too-large" });
  });
  const { upstream } = exchange(configured, { body: "long" });
  assert.equal(upstream.headers.get("x-a"), undefined);
});

test("verdicts are what a hook returns", () => {
  const json = exchange(requests(() => Reply.json(418, { a: 1 }, { "x-b": 2 })));
  assert.deepEqual([json.response.status, json.response.json(), json.response.headers.get("x-b")], [418, { a: 1 }, "2"]);
  assert.equal(json.upstream, undefined);
  assert.equal(exchange(requests(() => reset)).response, undefined);
  assert.equal(exchange(requests(() => Reply.grpc(7, "no"))).response.headers.get("grpc-status"), "7");
  assert.throws(() => exchange(requests(() => 403)), /expected nothing, a Reply or reset/);
});

test("calls and stores are answered by the test", () => {
  const seen = new Store("seen");
  const configured = requests((request) => {
    const [known, unknown] = http.sendAll([{ cluster: "idp", target: "/who" }, { cluster: "gone" }]);
    assert.equal(known.json().name, "ada");
    assert.ok(unknown instanceof HttpError && unknown.reason === "timeout");
    assert.throws(() => http.get("gone", "/"), { reason: "timeout" });
    request.headers.set("x-count", String(seen.increment("ada")));
    assert.equal(seen.compareAndSet("lock", undefined, "1"), true);
    assert.equal(seen.compareAndSet("lock", undefined, "1"), false);
    seen.delete("lock");
  });
  const calls = ({ cluster }) => (cluster === "idp" ? { body: '{"name": "ada"}' } : "timeout");
  assert.equal(exchange(configured, { calls }).upstream.headers.get("x-count"), "1");
  assert.equal(exchange(configured, { calls }).upstream.headers.get("x-count"), "2");
});

test("a configuration is refused with its place, and hooks are wanted that are there", () => {
  const onRequest = () => undefined;
  const refusing = (error) => filter({ onRequest, configure: () => { throw error; } });
  const message = (error) => {
    try {
      configure(refusing(error));
    } catch (refused) {
      assert.ok(refused instanceof ConfigError);
      return refused.message;
    }
  };
  assert.equal(message(ConfigError.at("a[1].b", "expected c")), "a[1].b: expected c");
  assert.equal(message({ issues: [{ path: ["a", 1, { key: "b" }], message: "expected c" }] }), "a[1].b: expected c");
  assert.equal(message(new Error("no")), "Error: no");
  assert.deepEqual([...configure(filter({ onRequest, onTick() {} })).wanted], ["request", "tick"]);
  assert.throws(() => filter({ onRequests: onRequest }), /a filter has no hook onRequests/);
  assert.throws(() => filter({ configure() {} }), /no hook/);
});
