"""policy.py: decides about every connection before it is made, by the rules of policy.txt.

    wc-run --handlers policy.py --decide-default fail -o calls.txt PROGRAM

A rule is `allow NETWORK PORT` or `deny NETWORK PORT`, * for any port; the first that fits counts, and what no rule fits
is denied. The file is read again when it has changed. What is neither IPv4 nor IPv6 (Unix sockets) is let through.
"""

import ipaddress
import socket
import sys
from pathlib import Path

from wc_intercept.consumer import decide

RULES = Path(__file__).with_name("policy.txt")
known = {"changed": 0, "rules": []}


def rules():
    """Return (verb, network, port) of every line. A file that cannot be understood changes nothing."""
    try:
        changed = RULES.stat().st_mtime_ns
        if changed != known["changed"]:
            lines = [line.split() for line in RULES.read_text().splitlines() if line]
            known.update(changed=changed, rules=[(verb, ipaddress.ip_network(net), port) for verb, net, port in lines])
    except (OSError, ValueError) as error:
        print(f"policy: {RULES.name} stays as it was: {error}", file=sys.stderr)
    return known["rules"]


def is_allowed(host, port):
    fitting = (verb for verb, network, only in rules() if host in network and only in ("*", str(port)))
    return next(fitting, "deny") == "allow"


def address_of(text):
    """Return host and port of a struct sockaddr, or None: a family in two bytes, a port in the next two, ..."""
    raw = text.encode("utf-8", "surrogateescape")
    family, port = int.from_bytes(raw[:2], sys.byteorder), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET:
        return ipaddress.ip_address(raw[4:8]), port
    if family == socket.AF_INET6:
        return ipaddress.ip_address(raw[8:24]), port
    return None


@decide("connect")
def by_policy(call):
    address = address_of(call.args["addr"])
    if address is None or is_allowed(*address):
        return None
    print(f"policy: process {call.pid} may not connect to {address[0]} port {address[1]}", file=sys.stderr)
    return call.fail("EACCES")
