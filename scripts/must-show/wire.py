"""Listens on an interface until it is told to stop, then says what passed: `wire.py INTERFACE WORD…`.

Each direction of each TCP connection has to be records of TLS 1.3 from its first byte to its last, and no WORD may be in it. Prints what it
saw as JSON; exit code 0 if all of it was TLS 1.3, and there was something."""

import json
import signal
import socket
import struct
import sys

ETH_P_ALL, IPV4, IPV6, TCP = 0x0003, 0x0800, 0x86DD, 6
HANDSHAKE, RECORD_TYPES, RECORD_BYTES_MAX = 22, {20, 21, 22, 23}, 16384 + 256
SERVER_HELLO, SUPPORTED_VERSIONS, TLS13 = 2, 43, 0x0304


def payload(frame):
    """The connection's direction, the sequence number and the bytes of a segment of TCP."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == IPV4 and frame[23] == TCP:
        start, length = 14 + (frame[14] & 15) * 4, struct.unpack_from("!H", frame, 16)[0]
        end, ends = 14 + length, (frame[26:30], frame[30:34])
    elif kind == IPV6 and frame[20] == TCP:
        start, length = 54, struct.unpack_from("!H", frame, 18)[0]
        end, ends = 54 + length, (frame[22:38], frame[38:54])
    else:
        return None
    source, target, sequence = struct.unpack_from("!HHI", frame, start)
    begins = start + (frame[start + 12] >> 4) * 4
    # Without a length (segments that were put together), what is there counts.
    data = frame[begins : end if length else len(frame)]
    return (ends[0], source, ends[1], target), sequence, data


def stream(segments):
    """The bytes of a direction in their order; None where some are missing."""
    first = min(segments)
    joined, at = b"", first
    for sequence in sorted(segments):
        data = segments[sequence]
        if sequence > at:
            return None
        joined += data[at - sequence :]
        at = max(at, sequence + len(data))
    return joined


def records(data):
    while data:
        if len(data) < 5:
            return
        kind, version, length = struct.unpack_from("!BHH", data)
        if kind not in RECORD_TYPES or version not in (0x0301, 0x0303) or length > RECORD_BYTES_MAX:
            raise ValueError("no record of TLS")
        yield kind, data[5 : 5 + length]
        data = data[5 + length :]


def agrees_on_13(body):
    """Whether a handshake's first message is a ServerHello of TLS 1.3."""
    if body[0] != SERVER_HELLO:
        return False
    at = 4 + 2 + 32
    at += 1 + body[at] + 2 + 1
    (length,) = struct.unpack_from("!H", body, at)
    at, end = at + 2, at + 2 + length
    while at < end:
        kind, size = struct.unpack_from("!HH", body, at)
        if kind == SUPPORTED_VERSIONS:
            return struct.unpack_from("!H", body, at + 4)[0] == TLS13
        at += 4 + size
    return False


def main():
    interface, words = sys.argv[1], [word.encode() for word in sys.argv[2:]]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    wire.bind((interface, ETH_P_ALL))
    wire.settimeout(0.2)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    print("listening", flush=True)
    directions = {}
    while not stopped:
        try:
            frame = wire.recv(1 << 17)
        except TimeoutError:
            continue
        found = payload(frame)
        if found and found[2]:
            directions.setdefault(found[0], {})[found[1]] = found[2]
    said = {"directions": len(directions), "bytes": 0, "servers-of-tls-1.3": 0, "others": [], "words": []}
    for way, segments in directions.items():
        data = stream(segments)
        name = f"{way[1]} to {way[3]}"
        if data is None:
            said["others"].append(f"{name}: not all of it was seen")
            continue
        said["bytes"] += len(data)
        said["words"] += [word.decode() for word in words if word in data]
        try:
            parts = list(records(data))
        except ValueError as error:
            said["others"].append(f"{name}: {error}: {data[:40]!r}")
            continue
        kind, body = parts[0]
        if kind == HANDSHAKE and body and body[0] == SERVER_HELLO:
            if agrees_on_13(body):
                said["servers-of-tls-1.3"] += 1
            else:
                said["others"].append(f"{name}: an older version")
    print(json.dumps(said))
    sys.exit(0 if said["servers-of-tls-1.3"] and not said["others"] and not said["words"] else 1)


main()
