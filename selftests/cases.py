#!/usr/bin/python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""A second opinion: what kube-proxy would decide, by a model that does not know nearpath's code.

It owns the form of cases: cases/model.py decides, cases/generate.py invents. Nothing here runs
nearpath.

    cases.py check FILE...                    recompute expectations, print what differs
    cases.py expect FILE...                   print the cases with recomputed expectations
    cases.py random --seed N --count M        packet cases
    cases.py endpoints --seed N --count M     endpoint selection cases
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases"))

import generate
from model import Endpoint, Model, names, select, to_ip


def listed_endpoint(entry):
    host, port = entry["address"].rsplit(":", 1)
    return Endpoint(to_ip(host.strip("[]")), int(port), entry["local"], entry["ready"],
                    entry["serving"], entry["terminating"], entry["forZones"], entry["forNodes"])


def expected_lists(case):
    flags, node = case["service"], case["node"]
    cluster, local, has_any = select(
        [listed_endpoint(e) for e in case["endpoints"]], flags["internalTrafficPolicyLocal"],
        flags["externalTrafficPolicyLocal"], flags["nodePort"] != 0, node["name"], node["zone"])
    return {"cluster": names(cluster), "local": names(local), "hasAny": has_any}


def expectations(case):
    """(what, the dict that holds "expect", the model's expectation) for all that a case asks."""
    if "packets" not in case:
        yield case["name"], case, expected_lists(case)
        return
    model = Model(case)
    for packet in case["packets"]:
        yield "%s: %s" % (case["name"], packet["name"]), packet, model.decide(packet)


def read_cases(paths):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield path, json.loads(line)


def check(paths):
    passed = failed = 0
    for path, case in read_cases(paths):
        for what, holder, expect in expectations(case):
            if holder["expect"] == expect:
                passed += 1
                continue
            failed += 1
            print("%s: %s\n  written  %s\n  computed %s" % (
                path, what, json.dumps(holder["expect"]), json.dumps(expect)))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


def fill(case):
    for _, holder, expect in expectations(case):
        holder["expect"] = expect
    return case


def write(cases):
    for case in cases:
        print(json.dumps(fill(case), separators=(",", ":")))
    return 0


def main():
    parser = argparse.ArgumentParser(description="kube-proxy's decisions, computed independently")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("check", "expect"):
        verbs.add_parser(verb).add_argument("files", nargs="+")
    makers = {"random": generate.random_packet_case, "endpoints": generate.random_endpoint_case}
    for verb in makers:
        options = verbs.add_parser(verb)
        options.add_argument("--seed", type=int, default=1)
        options.add_argument("--count", type=int, default=1)
    args = parser.parse_args()
    if args.verb == "check":
        return check(args.files)
    if args.verb == "expect":
        return write(case for _, case in read_cases(args.files))
    return write(makers[args.verb](args.seed, number) for number in range(args.count))


if __name__ == "__main__":
    sys.exit(main())
