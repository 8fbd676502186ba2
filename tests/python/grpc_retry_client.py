"""Calls what fails at first of the service of grpc_server.py, through a proxy that tries UNAVAILABLE three times in all."""

import sys

import grpc
from grpc_client import Calls, connect, expect_error


def flaky(call, name, fails, head):
    return call.unary_unary("Flaky")(b"", metadata=(("name", name), ("fails", str(fails)), ("head", head)))


def case_a_status_in_trailers_is_tried_again(call):
    assert flaky(call, "trailers", 1, "yes") == b"2"


def case_a_status_in_the_head_is_tried_again(call):
    assert flaky(call, "head", 2, "no") == b"3"


def case_the_last_attempt_is_what_the_client_sees(call):
    error = expect_error(lambda: flaky(call, "often", 9, "yes"))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "call 3"), error
    assert dict(error.initial_metadata())["begun"] == "yes"


def case_another_code_is_not_tried_again(call):
    error = expect_error(lambda: call.unary_unary("Fail")(b""))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error


def case_what_streams_comes_through(call):
    assert list(call.unary_stream("Count")(b"50")) == [str(number).encode() for number in range(50)]
    assert list(call.stream_stream("Chat")(iter([b"one", b"two"]))) == [b"ONE", b"TWO"]
    assert call.stream_unary("Add")(iter([b"1", b"41"])) == b"42"


def main():
    with connect(*sys.argv[1:]) as channel:
        for name, case in list(globals().items()):
            if name.startswith("case_"):
                case(Calls(channel))
                print("ok", name.removeprefix("case_").replace("_", " "), flush=True)
    print("all passed", flush=True)


if __name__ == "__main__":
    main()
