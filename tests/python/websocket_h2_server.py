"""A WebSocket service over HTTP/2 (RFC 8441), by hypercorn. Prints its port, and serves until it is killed."""

import asyncio
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def echo(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    chosen = "superchat" if "superchat" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "path":
            path, query = scope["raw_path"].decode().split("?")[0], scope["query_string"].decode()
            await send({"type": "websocket.send", "text": path + (f"?{query}" if query else "")})
        elif event.get("text") == "close with 4321":
            await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
            return
        elif event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"port {listening.getsockname()[1]}", flush=True)
    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.websocket_max_message_size = 64 * 1024 * 1024
    config.loglevel = "ERROR"
    await serve(echo, config, shutdown_trigger=asyncio.Event().wait)


if __name__ == "__main__":
    asyncio.run(main())
