#!/usr/bin/env python3
"""A service that knows nothing of a proxy: plain HTTP on 127.0.0.1:8080, and on port 9090 of every address for whoever is no part of the mesh."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        client = self.headers.get("x-forwarded-client-cert", "")
        identity = next((part[4:] for part in client.split(";") if part.startswith("URI=")), "nobody in particular")
        body = f"{sys.argv[1]} here; this is a secret between us, {identity}\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class V4(ThreadingHTTPServer):
    daemon_threads = True


class Both(V4):
    import socket

    address_family = socket.AF_INET6


threading.Thread(target=Both(("::", 9090), Service).serve_forever, daemon=True).start()
V4(("127.0.0.1", 8080), Service).serve_forever()
