"""An origin for WebSockets that sends back what it is sent, as raw bytes in unmasked frames. Prints its port."""

import asyncio


async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    try:
        while True:
            frame = await reader.readexactly(10)
            # Masked with zeroes: the content is as it stands.
            writer.write(bytes([frame[0], 4]) + frame[6:])
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
