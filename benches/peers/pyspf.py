"""Evaluates SPF with pyspf from a zone in memory, for benches/spf.rs.

Reads one JSON object from standard input: {"records": [[name, type, value]...], "checks": [[ip, sender, helo]...],
"rounds": n}. Prints one JSON object: {"seconds": s, "results": [...], "version": v}.
"""

import json
import sys
import time

import spf

given = json.load(sys.stdin)
zone = {}
for name, kind, value in given["records"]:
    if kind == "MX":
        value = (10, value)
    elif kind == "TXT":
        value = (value.encode(),)
    zone.setdefault((name, kind), []).append(((name, kind), value))


def look_up(name, kind, tcpfallback=True, timeout=30):
    """Answers from memory."""
    return zone.get((name.lower().rstrip("."), kind), [])


spf.DNSLookup = look_up


def run():
    """Evaluates every check once; nothing is remembered between them but the zone."""
    return [spf.check2(i=ip, s=sender, h=helo)[0] for ip, sender, helo in given["checks"]]


results = run()
began = time.process_time()
for _ in range(given["rounds"]):
    run()
print(json.dumps({"seconds": time.process_time() - began, "results": results, "version": spf.__version__}))
