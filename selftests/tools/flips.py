#!/usr/bin/python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""flips: puts an endpoint in and takes it out again, while others open connections, and counts those
that were given it after the daemon had answered that it is out.

  flips.py SOCKET IN OUT ROUNDS

IN and OUT are files with the params of apply. The endpoint is the only one of its zone class
"other_zone", and its connections are read from the services' counters: asked for in the same write
as the change, so that the daemon reads them right after its answer, and again a while later.
Prints "ROUNDS CONNECTIONS LATE LONGEST MEDIAN": connections given the endpoint in all, those of them
that came late, and how many milliseconds taking it out took.
"""
import json
import socket
import sys
import time

LATER = 0.05


class Daemon:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("r")

    def ask(self, *calls):
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": i, "method": method, "params": params})
            for i, (method, params) in enumerate(calls)
        ]
        self.socket.sendall(("\n".join(lines) + "\n").encode())
        answers = [json.loads(self.file.readline()) for _ in calls]
        for answer in answers:
            if "error" in answer:
                sys.exit(f"flips: {answer['error']}")
        return [answer["result"] for answer in answers]


def given(services):
    return sum(s["connections"]["other_zone"] for s in services["services"])


def main():
    path, file_in, file_out, rounds = sys.argv[1:5]
    daemon = Daemon(path)
    objects = [{"objects": [json.load(open(name, encoding="utf-8"))]} for name in (file_in, file_out)]
    services = ("get", {"what": "services"})
    first = given(daemon.ask(services)[0])
    late = 0
    times = []
    for _ in range(int(rounds)):
        before = given(daemon.ask(("apply", objects[0]), services)[1])
        until = time.monotonic() + 10
        while given(daemon.ask(services)[0]) < before + 10 and time.monotonic() < until:
            time.sleep(0.002)
        begun = time.monotonic()
        at_answer = given(daemon.ask(("apply", objects[1]), services)[1])
        times.append((time.monotonic() - begun) * 1000)
        time.sleep(LATER)
        late += given(daemon.ask(services)[0]) - at_answer
    total = given(daemon.ask(services)[0]) - first
    times.sort()
    print(rounds, total, late, f"{times[-1]:.1f}", f"{times[len(times) // 2]:.1f}")


if __name__ == "__main__":
    main()
