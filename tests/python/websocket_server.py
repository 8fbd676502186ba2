"""A WebSocket service. Prints its port, and serves until it is killed."""

import asyncio
import contextlib

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(connection):
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if message == "close with 4321":
                await connection.close(4321, "as you wish")
            elif message == "path":
                await connection.send(connection.request.path)
            else:
                await connection.send(message)


def choose(connection, offered):
    return "superchat" if "superchat" in offered else None


def refuse(connection, request):
    return connection.respond(403, "not here") if request.path == "/refused" else None


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=None, select_subprotocol=choose, process_request=refuse) as server:
        print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
