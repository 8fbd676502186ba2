"""Talks to websocket_server.py through whatever listens at the address: ADDRESS [AUTHORITY_FILE SERVER_NAME].

Every function below `case_` is one thing that must work; each prints a line, the last line is `all passed`.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

LARGE_BYTES = 8 * 1024 * 1024


async def case_text(open_connection):
    async with open_connection() as connection:
        await connection.send("grüße")
        assert await connection.recv() == "grüße"


async def case_binary(open_connection):
    async with open_connection() as connection:
        await connection.send(bytes(range(256)))
        assert await connection.recv() == bytes(range(256))


async def case_a_large_message(open_connection):
    message = bytes(range(251)) * (LARGE_BYTES // 251)
    async with open_connection() as connection:
        await connection.send(message)
        assert await connection.recv() == message


async def case_many_small_messages(open_connection):
    async with open_connection() as connection:
        for number in range(500):
            await connection.send(str(number))
        assert [await connection.recv() for _ in range(500)] == [str(number) for number in range(500)]


async def case_a_message_in_fragments(open_connection):
    async with open_connection() as connection:
        await connection.send(["one ", "two ", "three"])
        assert await connection.recv() == "one two three"


async def case_ping(open_connection):
    async with open_connection() as connection:
        pong = await connection.ping()
        await asyncio.wait_for(pong, 10)


async def case_path_and_query(open_connection):
    async with open_connection("/chat/room?user=a%20b") as connection:
        await connection.send("path")
        assert await connection.recv() == "/chat/room?user=a%20b"


async def case_a_subprotocol(open_connection):
    async with open_connection(subprotocols=["superchat"]) as connection:
        assert connection.subprotocol == "superchat"


async def case_compression(open_connection):
    async with open_connection() as connection:
        assert "permessage-deflate" in connection.response.headers["Sec-WebSocket-Extensions"]


async def case_the_server_closes_with_a_code(open_connection):
    async with open_connection() as connection:
        await connection.send("close with 4321")
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4321, "as you wish"), closed
        else:
            raise AssertionError("the connection was not closed")


async def case_the_client_closes_with_a_code(open_connection):
    connection = await open_connection()
    await connection.close(4999, "enough")
    assert (connection.close_code, connection.close_reason) == (4999, "enough")


def opener(address, authority=None, name=None):
    if authority is None:
        scheme, trust = "ws", None
    else:
        scheme, trust = "wss", ssl.create_default_context(cafile=authority)

    def open_connection(target="/", **options):
        return connect(
            f"{scheme}://{name or address}{target}",
            host=address.rsplit(":")[0],
            port=int(address.rsplit(":")[1]),
            ssl=trust,
            max_size=None,
            proxy=None,
            **options,
        )

    return open_connection


async def main():
    open_connection = opener(*sys.argv[1:])
    for name, case in list(globals().items()):
        if name.startswith("case_"):
            await case(open_connection)
            print("ok", name.removeprefix("case_").replace("_", " "), flush=True)
    print("all passed", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
