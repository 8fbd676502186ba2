"""Opens WebSockets over HTTP/2 (RFC 8441) through whatever listens at the address: ADDRESS [AUTHORITY_FILE SERVER_NAME].

Every function below `case_` is one thing that must work; each prints a line, the last line is `all passed`.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

WITHIN_SECONDS = 20


class Http2:
    """One connection, and the WebSockets on it."""

    def __init__(self, address, authority=None, name=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=WITHIN_SECONDS)
        self.scheme, self.name = "http", address
        if authority:
            context = ssl.create_default_context(cafile=authority)
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
            self.scheme, self.name = "https", name
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()
        self.streams = {}
        while self.http.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL) != 1:
            self.turn()

    def flush(self):
        self.socket.sendall(self.http.data_to_send())

    def turn(self):
        """Reads once, and hands out what came."""
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        for event in self.http.receive_data(data):
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                stream.status = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                stream.take(event.data)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                stream.ended = True
        self.flush()

    def websocket(self, path="/"):
        return WebSocket(self, path)

    def get(self, path, method="GET"):
        """The status of an ordinary exchange."""
        return WebSocket(self, path, method).status


class WebSocket:
    def __init__(self, connection, path, method="CONNECT"):
        self.connection, self.http = connection, connection.http
        self.status, self.ended, self.events, self.text, self.bytes = None, False, [], "", b""
        self.frames = Connection(ConnectionType.CLIENT)
        self.id = self.http.get_next_available_stream_id()
        connection.streams[self.id] = self
        head = [(":method", method), (":scheme", connection.scheme), (":authority", connection.name), (":path", path)]
        if method == "CONNECT":
            head += [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("origin", "https://a.example")]
        self.http.send_headers(self.id, head, end_stream=method != "CONNECT")
        connection.flush()
        while self.status is None:
            assert not self.ended, "it was reset"
            connection.turn()

    def take(self, data):
        if not data:
            # The frame that ends the stream.
            return
        self.frames.receive_data(data)
        for event in self.frames.events():
            if isinstance(event, TextMessage):
                self.text += event.data
                if event.message_finished:
                    self.events.append(self.text)
                    self.text = ""
            elif isinstance(event, BytesMessage):
                self.bytes += event.data
                if event.message_finished:
                    self.events.append(self.bytes)
                    self.bytes = b""
            else:
                self.events.append(event)

    def send(self, event):
        data = self.frames.send(event)
        while data:
            room = min(self.http.local_flow_control_window(self.id), self.http.max_outbound_frame_size)
            if room == 0:
                self.connection.turn()
                continue
            self.http.send_data(self.id, data[:room])
            data = data[room:]
            self.connection.flush()

    def receive(self):
        while not self.events:
            assert not self.ended, "the stream ended"
            self.connection.turn()
        return self.events.pop(0)

    def end(self):
        if not self.ended:
            self.http.end_stream(self.id)
            self.connection.flush()
        while not self.ended:
            self.connection.turn()


def case_text_and_binary(connection):
    socket = connection.websocket()
    assert socket.status == 200, socket.status
    socket.send(TextMessage("grüße"))
    assert socket.receive() == "grüße"
    socket.send(BytesMessage(bytes(range(256))))
    assert socket.receive() == bytes(range(256))


def case_a_large_message(connection):
    message = bytes(range(251)) * 8000
    socket = connection.websocket()
    socket.send(BytesMessage(message))
    assert socket.receive() == message


def case_several_on_one_connection_beside_other_requests(connection):
    sockets = [connection.websocket() for _ in range(20)]
    assert connection.get("/refused") in (200, 403, 404)
    for number, socket in enumerate(sockets):
        socket.send(TextMessage(str(number)))
    assert [socket.receive() for socket in sockets] == [str(number) for number in range(20)]


def case_path_and_query(connection):
    socket = connection.websocket("/chat/room?user=a%20b")
    socket.send(TextMessage("path"))
    assert socket.receive() in ("/chat/room?user=a%20b", "/chat/room?user=a b")


def case_ping(connection):
    socket = connection.websocket()
    socket.send(Ping(b"there?"))
    answer = socket.receive()
    assert isinstance(answer, Pong) and bytes(answer.payload) == b"there?", answer


def case_the_server_closes_with_a_code(connection):
    socket = connection.websocket()
    socket.send(TextMessage("close with 4321"))
    closed = socket.receive()
    assert isinstance(closed, CloseConnection) and closed.code == 4321, closed


def case_the_client_closes(connection):
    socket = connection.websocket()
    socket.send(CloseConnection(4999, "enough"))
    closed = socket.receive()
    assert isinstance(closed, CloseConnection), closed
    socket.end()


def case_what_is_refused_is_no_websocket(connection):
    assert connection.websocket("/refused").status == 403


def case_what_a_filter_answers_is_no_websocket(connection):
    assert connection.get("/made") == 200
    assert connection.websocket("/made").status == 501


def main():
    for name, case in list(globals().items()):
        if name.startswith("case_"):
            case(Http2(*sys.argv[1:]))
            print("ok", name.removeprefix("case_").replace("_", " "), flush=True)
    print("all passed", flush=True)


if __name__ == "__main__":
    main()
