"""Calls the service of grpc_server.py through whatever listens at the address: ADDRESS [AUTHORITY_FILE SERVER_NAME].

Every function below `case_` is one thing that must work; each prints a line, the last line is `all passed`.
"""

import queue
import sys

import grpc

LARGE_BYTES = 3 * 1024 * 1024


def case_unary(call):
    assert call.unary_unary("Unary")(b"hello") == b"hello"


def case_an_empty_message(call):
    assert call.unary_unary("Unary")(b"") == b""


def case_a_large_message(call):
    message = bytes(range(256)) * (LARGE_BYTES // 256)
    assert call.unary_unary("Unary")(message) == message


def case_metadata(call):
    sent = (("ask-head", "h"), ("ask-trail", "t"), ("ask-bin", b"\x00\xff"))
    answer, outcome = call.unary_unary("Metadata").with_call(b"", metadata=sent)
    assert answer == b"ok"
    assert dict(outcome.initial_metadata())["echo-head"] == "h"
    trailing = dict(outcome.trailing_metadata())
    assert (trailing["echo-trail"], trailing["echo-bin"]) == ("t", b"\x00\xff")


def case_server_streaming(call):
    assert list(call.unary_stream("Count")(b"500")) == [str(number).encode() for number in range(500)]


def case_client_streaming(call):
    assert call.stream_unary("Add")(iter([b"1", b"2", b"39"])) == b"42"


def case_bidirectional_streaming(call):
    """Each message is sent only after the answer to the one before it has come."""
    outgoing = queue.Queue()
    answers = call.stream_stream("Chat")(iter(outgoing.get, None))
    for word in [b"one", b"two", b"three"]:
        outgoing.put(word)
        assert next(answers) == word.upper()
    outgoing.put(None)
    assert list(answers) == []


def case_an_error_comes_in_the_trailers(call):
    error = expect_error(lambda: call.unary_unary("Fail")(b""))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "not today: 100 % ünlikely", error
    assert dict(error.trailing_metadata())["detail"] == "of the failure"


def case_an_error_after_a_message(call):
    answers = call.unary_stream("FailLate")(b"")
    assert next(answers) == b"first"
    error = expect_error(lambda: next(answers))
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "after one message"), error


def case_an_unknown_method(call):
    error = expect_error(lambda: call.unary_unary("Missing")(b""))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def case_a_deadline(call):
    error = expect_error(lambda: call.unary_unary("Slow")(b"", timeout=0.3))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def case_cancelling(call):
    future = call.unary_unary("Slow").future(b"")
    future.cancel()
    assert future.cancelled()


def expect_error(action):
    try:
        action()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


class Calls:
    """The methods of the service over one channel."""

    def __init__(self, channel):
        self.channel = channel

    def __getattr__(self, kind):
        return lambda method: getattr(self.channel, kind)(f"/tests.Service/{method}")


def connect(address, authority=None, name=None):
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    if authority is None:
        return grpc.insecure_channel(address, options=options)
    with open(authority, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(address, credentials, options=options + [("grpc.ssl_target_name_override", name)])


def main():
    with connect(*sys.argv[1:]) as channel:
        for name, case in list(globals().items()):
            if name.startswith("case_"):
                case(Calls(channel))
                print("ok", name.removeprefix("case_").replace("_", " "), flush=True)
    print("all passed", flush=True)


if __name__ == "__main__":
    main()
