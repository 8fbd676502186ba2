"""The SDK against the host that it brings for tests."""

from __future__ import annotations

import json
import logging
import unittest

from tamis_sdk import RESET, BodyError, ConfigError, Filter, HttpError, Refused, Reply, Store, StoreError, clock, entropy, http, log
from tamis_sdk.testing import configure


def requests(hook):
    """A filter with this request hook, configured."""

    class Requests(Filter):
        def on_request(self, request):
            return hook(request)

    return configure(Requests)


class Testing(unittest.TestCase):
    def test_a_request_is_read_and_written(self):
        def hook(request):
            self.assertEqual((request.method, request.path, request.query, request.target), ("POST", "/a", "b=1", "/a?b=1"))
            self.assertEqual(request.headers.get_all("X-Many"), ["1", "2"])
            self.assertEqual((request.headers["x-many"], request.headers.get("x-none")), ("1, 2", None))
            self.assertEqual(list(request.headers.items()), [("x-many", "1"), ("x-many", "2"), ("x-bytes", "ä")])
            self.assertEqual(request.json(), {"c": "ü"})
            self.assertEqual((request.connection.source, request.connection.trusted), ("192.0.2.1", False))
            request.method, request.target = "PUT", "/d"
            request.headers["x-many"] = "3"
            request.headers.add("X-New", b"\xff")
            del request.headers["x-bytes"]
            request.set_body("other")
            request.destination.cluster = "users"
            request.destination.set_retry(2, ["5xx"], 0.5)
            request.notes.set("a", "b")

        given = {"x-many": ["1", "2"], "x-bytes": "ä"}
        seen = requests(hook).exchange("/a?b=1", "POST", headers=given, body='{"c": "ü"}')
        self.assertEqual((seen.upstream.method, seen.upstream.target, seen.upstream.text), ("PUT", "/d", "other"))
        self.assertEqual((seen.upstream.headers("x-many"), seen.upstream.header("x-new")), (["3"], "ÿ"))
        self.assertIsNone(seen.upstream.header("x-bytes"))
        self.assertEqual((seen.upstream.cluster, seen.destination["set_retry"]), ("users", (2, ["5xx"], 500)))
        self.assertEqual((seen.notes, seen.response.status), ({"a": "b"}, 200))

    def test_what_the_proxy_refuses_is_raised_and_changes_nothing(self):
        def hook(request):
            for name, value in [("Connection", "close"), ("host", "a"), ("x y", "1"), ("x-a", "1\r\nx-b: 2")]:
                with self.assertRaises(Refused):
                    request.headers[name] = value
            with self.assertRaises(UnicodeEncodeError):
                request.headers["x-a"] = "€"
            with self.assertRaises(Refused):
                request.method = "CONNECT"
            with self.assertRaises(Refused):
                Reply(199).check()
            with self.assertRaises(BodyError) as caught:
                request.read_body(1)
            self.assertEqual(caught.exception.reason, "too-large")

        self.assertIsNone(requests(hook).exchange(body="long").upstream.header("x-a"))

    def test_verdicts_are_what_a_hook_returns(self):
        replied = requests(lambda _: Reply(418, json={"a": 1}, headers={"x-b": 2})).exchange()
        self.assertEqual((replied.response.status, replied.response.json()), (418, {"a": 1}))
        self.assertEqual((replied.response.header("x-b"), replied.upstream), ("2", None))
        self.assertIsNone(requests(lambda _: RESET).exchange().response)
        self.assertEqual(requests(lambda _: Reply.grpc(7, "no")).exchange().response.header("grpc-status"), "7")
        with self.assertRaisesRegex(TypeError, "expected None, a Reply or RESET"):
            requests(lambda _: 403).exchange()

    def test_an_answer_is_read_and_written(self):
        class Answers(Filter):
            def on_response(self, response):
                if response.status == 500:
                    return Reply(503, text="later")
                response.status = 201
                response.headers["x-path"] = response.request.path
                response.set_body(response.read_body().upper())

        answers = configure(Answers)
        self.assertEqual(answers.wanted, ["response"])
        seen = answers.exchange("/a", answer={"headers": {"x-a": "1"}, "body": "text"})
        self.assertEqual((seen.response.status, seen.response.text), (201, "TEXT"))
        self.assertEqual((seen.response.header("x-a"), seen.response.header("x-path")), ("1", "/a"))
        self.assertEqual(answers.exchange(answer={"status": 500}).response.status, 503)

    def test_calls_and_stores_are_answered_by_the_test(self):
        seen = Store("seen")

        def hook(request):
            known, unknown = http.send_all([http.Call("idp", "/who"), http.Call("gone")])
            self.assertEqual(known.json()["name"], "ada")
            self.assertTrue(isinstance(unknown, HttpError) and unknown.reason == "timeout")
            with self.assertRaises(HttpError):
                http.get("gone", "/")
            request.headers["x-count"] = seen.increment("ada")
            self.assertTrue(seen.compare_and_set("lock", None, "1"))
            self.assertFalse(seen.compare_and_set("lock", None, "1"))
            seen.delete("lock")
            seen.set("word", "word")
            with self.assertRaises(StoreError):
                seen.increment("word")
            self.assertEqual(seen.increment("below", -7), -7)
            seen.delete("below")

        def calls(call):
            return {"body": json.dumps({"name": "ada"})} if call.cluster == "idp" else "timeout"

        configured = requests(hook)
        self.assertEqual(configured.exchange(calls=calls).upstream.header("x-count"), "1")
        self.assertEqual(configured.exchange(calls=calls).upstream.header("x-count"), "2")
        self.assertEqual(configured.stores["seen", "ada"], b"2")
        with self.assertRaisesRegex(NotImplementedError, "`idp`"):
            configured.exchange()

    def test_a_configuration_is_refused_and_says_what_it_wants(self):
        class Chosen(Filter):
            def __init__(self, config, setup):
                if config.get("bad"):
                    raise ConfigError("expected c", at="a[1].b")
                self.hits = setup.counter("hits_total", "Hits", ["path"])
                self.keys = setup.inputs["keys"]
                with_name = None
                try:
                    setup.counter("no name", "")
                except Refused as error:
                    with_name = str(error)
                self.refused = with_name
                setup.want("request")

            def on_request(self, request):
                self.hits.add(path=request.path)
                log.info(f"{request.path} with {len(entropy.bytes(4))} bytes")
                logging.warning("%s again", clock.now_ns() > 0)

            def on_response(self, response):
                response.status = 500

        with self.assertRaisesRegex(ConfigError, r"^a\[1\]\.b: expected c$"):
            configure(Chosen, {"bad": True})
        chosen = configure(Chosen, inputs={"keys": "secret"})
        self.assertEqual((chosen.filter.keys, chosen.wanted), (b"secret", ["request"]))
        self.assertIn("no name", chosen.filter.refused)
        self.assertEqual((chosen.exchange("/a").response.status, chosen.exchange("/a").response.status), (200, 200))
        self.assertEqual(chosen.metrics["hits_total", "/a"], 2.0)
        self.assertEqual(chosen.log[:2], [("info", "/a with 4 bytes"), ("warn", "True again")])


if __name__ == "__main__":
    unittest.main()
