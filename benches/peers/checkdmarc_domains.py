"""Checks domains with checkdmarc against one DNS server, for benches/dns.rs.

Arguments: the server's port. Reads a JSON list of domains from standard input. Prints one JSON object:
{"wall": s, "cpu": s, "domains": n, "good": n, "version": v}; good are those whose SPF and DMARC records it calls valid.
"""

import json
import sys
import time

import checkdmarc
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = ["127.0.0.1"]
resolver.port = int(sys.argv[1])
domains = json.load(sys.stdin)
wall, cpu = time.monotonic(), time.process_time()
results = checkdmarc.check_domains(domains, resolver=resolver, wait=0.0)
wall, cpu = time.monotonic() - wall, time.process_time() - cpu
results = results if isinstance(results, list) else [results]
good = sum(1 for result in results if result["spf"]["valid"] and result["dmarc"]["valid"])
print(json.dumps({"wall": wall, "cpu": cpu, "domains": len(results), "good": good, "version": checkdmarc.__version__}))
