"""Asks a DNS server over UDP, from many ports at once."""

import concurrent.futures
import sys

from dnslib import DNSRecord

host, port = sys.argv[1].rsplit(":", 1)


def ask(name, kind):
    question = DNSRecord.question(name, kind)
    # Each question has a socket of its own, connected to whom it asks: an answer of anybody else never arrives.
    answer = DNSRecord.parse(question.send(host, int(port), timeout=10))
    assert answer.header.id == question.header.id, "the answer is that of somebody else"
    return [str(record.rdata) for record in answer.rr]


with concurrent.futures.ThreadPoolExecutor(16) as pool:
    kinds = ["A", "AAAA"] * 50
    for kind, answer in zip(kinds, pool.map(lambda kind: ask("a.example", kind), kinds)):
        assert answer == (["192.0.2.7"] if kind == "A" else ["2001:db8::7"]), (kind, answer)

large = ask("large.example", "TXT")
assert len(large) == 16 and large[15] == '"' + "p" * 250 + '"', large
assert ask("nobody.example", "A") == []
print("all passed")
