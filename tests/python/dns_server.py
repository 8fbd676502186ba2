"""A DNS server over UDP, by dnslib: a few names of one zone, one of them with an answer of several KiB."""

from dnslib import QTYPE, RR, TXT, A, AAAA
from dnslib.server import BaseResolver, DNSLogger, DNSServer

ZONE = {
    ("a.example.", "A"): [A("192.0.2.7")],
    ("a.example.", "AAAA"): [AAAA("2001:db8::7")],
    # Without a limit of its own, dnslib answers over UDP with all of it.
    ("large.example.", "TXT"): [TXT(letter * 250) for letter in "abcdefghijklmnop"],
}


class Zone(BaseResolver):
    def resolve(self, request, handler):
        reply = request.reply()
        kind = QTYPE[request.q.qtype]
        for data in ZONE.get((str(request.q.qname), kind), []):
            reply.add_answer(RR(request.q.qname, getattr(QTYPE, kind), rdata=data, ttl=5))
        return reply


server = DNSServer(Zone(), port=0, address="127.0.0.1", logger=DNSLogger(log="-request,-reply,-truncated,-error"))
server.server.packet_size = 65535
server.start_thread()
print(f"port {server.server.server_address[1]}", flush=True)
server.thread.join()
