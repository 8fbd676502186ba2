"""A gRPC service without generated code: messages are bytes. Prints its port, and serves until it is killed."""

import time
from concurrent import futures

import grpc


def unary(request, context):
    return request


def metadata(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("echo-head", sent.get("ask-head", "")),))
    context.set_trailing_metadata((("echo-trail", sent.get("ask-trail", "")), ("echo-bin", sent.get("ask-bin", b""))))
    return b"ok"


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def add(requests, context):
    return str(sum(int(request) for request in requests)).encode()


def chat(requests, context):
    for request in requests:
        yield request.upper()


def fail(request, context):
    context.set_trailing_metadata((("detail", "of the failure"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100 % ünlikely")


class Flaky:
    """Fails as many calls of one name as it says, before a message, and answers the next one with how many there were."""

    def __init__(self):
        self.calls = {}

    def __call__(self, request, context):
        sent = dict(context.invocation_metadata())
        number = self.calls[sent["name"]] = self.calls.get(sent["name"], 0) + 1
        if number <= int(sent["fails"]):
            # With a head of its own the status comes behind it, in trailers; without one it comes in the head.
            if sent["head"] == "yes":
                context.send_initial_metadata((("begun", "yes"),))
            context.abort(grpc.StatusCode.UNAVAILABLE, f"call {number}")
        return str(number).encode()


def fail_late(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "after one message")


def slow(request, context):
    while context.is_active():
        time.sleep(0.01)
    return b"nobody waits for this"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Add": grpc.stream_unary_rpc_method_handler(add),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Flaky": grpc.unary_unary_rpc_method_handler(Flaky()),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
}


def main():
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Service", HANDLERS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"port {port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
