"""Opens WebSockets to a path, keeps them busy, and tells when each ends: `websockets.py HOST PORT PATH COUNT`.

Prints `open` when all are, a line of JSON with how many are alive on SIGUSR1, and at the end when the first and the last of them ended, in
seconds since SIGUSR1."""

import asyncio
import json
import signal
import sys
import time


async def hold(host, port, path, opened, ended, alive):
    reader, writer = await asyncio.open_connection(host, port)
    ask = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    writer.write(ask.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    opened.release()
    alive.add(writer)
    try:
        while True:
            # A text frame, masked with zeroes; it comes back.
            writer.write(b"\x81\x84\x00\x00\x00\x00ping")
            await writer.drain()
            back = await reader.readexactly(6)
            assert back.endswith(b"ping"), back
            await asyncio.sleep(0.25)
    except (OSError, asyncio.IncompleteReadError):
        pass
    alive.discard(writer)
    ended.append(time.monotonic())


async def main():
    host, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    opened, ended, alive, asked = asyncio.Semaphore(0), [], set(), []

    def look():
        asked.append(time.monotonic())
        print(json.dumps({"alive": len(alive)}), flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, look)
    tasks = [asyncio.create_task(hold(host, port, path, opened, ended, alive)) for _ in range(count)]
    for _ in range(count):
        await opened.acquire()
    print("open", flush=True)
    await asyncio.gather(*tasks)
    since = asked[0] if asked else 0
    print(json.dumps({"ended": len(ended), "first": min(ended) - since, "last": max(ended) - since}), flush=True)


asyncio.run(main())
