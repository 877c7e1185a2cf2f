"""policy.py: decides about every connection before it is made, by the rules of policy.txt.

    wc-run --handlers policy.py --decide-default fail -o calls.txt PROGRAM

A rule is `allow NETWORK PORT` or `deny NETWORK PORT`, * for any port; the first that fits counts, and what no rule fits
is denied. The file is read again when it has changed. What is neither IPv4 nor IPv6 (Unix sockets) is let through.
"""

import ipaddress
import sys
from pathlib import Path

from wc_intercept.consumer import decide, socket_address

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


@decide("connect")
def by_policy(call):
    address = socket_address(call.args["addr"])
    if not isinstance(address, tuple) or is_allowed(ipaddress.ip_address(address[0]), address[1]):
        return None
    print(f"policy: process {call.pid} may not connect to {address[0]} port {address[1]}", file=sys.stderr)
    return call.fail("EACCES")
