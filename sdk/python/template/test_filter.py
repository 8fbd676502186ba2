"""The filter against the SDK's fake host: no proxy is needed, and no Wasm."""

import unittest

from tamis_sdk import ConfigError
from tamis_sdk.testing import configure

from filter import Closing


class ClosedPaths(unittest.TestCase):
    def test_what_is_closed_is_answered_and_what_is_not_passes(self) -> None:
        closing = configure(Closing, {"closed": ["/shop"]})
        closed = closing.exchange("/shop/7")
        self.assertEqual((closed.response.status, closed.response.header("retry-after")), (503, "60"))
        self.assertIsNone(closed.upstream)
        opened = closing.exchange("/shopping")
        self.assertEqual((opened.upstream.target, opened.response.header("x-filter")), ("/shopping", "{name}"))

    def test_a_bad_path_is_refused_with_its_place(self) -> None:
        with self.assertRaisesRegex(ConfigError, r"^closed\[1\]: expected a path"):
            configure(Closing, {"closed": ["/shop", "blog"]})


if __name__ == "__main__":
    unittest.main()
