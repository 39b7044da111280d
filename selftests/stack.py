#!/usr/bin/env python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""Do the programs fit the stack as Linux 6.1 counts it?

All frames of a chain of calls share 512 bytes, each rounded up to 32; kernels since 6.8 round to 16
where they have a JIT and would not say. Reads the disassembly of the object files: frames are what
is addressed below r10, calls are followed by their relocations or offsets. --list: names and bytes
alone, for bench-packet.
"""
import os
import re
import subprocess
import sys

LIMIT = 512
ROUND = 32
OBJECTS = ["tc/tc.bpf.o", "xdp/xdp.bpf.o", "sock/sock.bpf.o"]
ANY = ["any/tc/tc.bpf.o", "any/xdp/xdp.bpf.o"]  # as machines need them that reorder loads

HEADER = re.compile(r"^([0-9a-f]{16}) <([^>]+)>:")
LINE = re.compile(r"^\s+(\d+):\s+((?:[0-9a-f]{2} ){7}[0-9a-f]{2})(?: [0-9a-f]{2})*\s+(.*)")
RELOCATION = re.compile(r"R_BPF_64_32\s+(\S+)")
ACCESS = re.compile(r"\(r10 - (0x[0-9a-f]+|\d+)\)")
COPY = re.compile(r"^(r\d) = r10$")
ADD = re.compile(r"^(r\d) \+= -(0x[0-9a-f]+|\d+)$")


class Function:
    def __init__(self):
        self.frame = 0
        self.copies = set()  # registers that hold r10
        self.calls = set()

    def read(self, text):
        match = ACCESS.search(text)
        if match:
            self.frame = max(self.frame, int(match[1], 0))
        match = COPY.match(text)
        if match:
            self.copies.add(match[1])
        match = ADD.match(text)
        if match and match[1] in self.copies:
            self.frame = max(self.frame, int(match[2], 0))
            self.copies.discard(match[1])


def disassemble(path):
    command = ["llvm-objdump", "-dr", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")


def functions_of(path):
    """By name. A call without a relocation is to a function of the same section, by offset."""
    functions, starts, local, name, section = {}, {}, [], None, None
    pending = None
    for line in disassemble(path) + [""]:
        if line.startswith("Disassembly of section"):
            section, name = line, None
        header, relocation, code = HEADER.match(line), RELOCATION.search(line), LINE.match(line)
        if pending and relocation:
            functions[name].calls.add(relocation[1])
        elif pending and (code or header):
            local.append((name, section, pending))
        pending = None if (code or header or relocation) else pending
        if header and not header[2].startswith("LBB"):
            name = header[2]
            functions[name] = Function()
            starts[(section, int(header[1], 16) // 8)] = name
        elif code and name:
            functions[name].read(code[3])
            if code[2].startswith("85 10"):
                offset = int.from_bytes(bytes.fromhex(code[2])[4:8], "little", signed=True)
                pending = int(code[1]) + 1 + offset
    for caller, where, target in local:
        if (where, target) in starts:
            functions[caller].calls.add(starts[(where, target)])
    return functions


def deepest(functions, name):
    """Bytes, and the chain that needs them."""
    own = max(functions[name].frame, 1)
    own = (own + ROUND - 1) // ROUND * ROUND
    below = [deepest(functions, called) for called in functions[name].calls if called in functions]
    most, chain = max(below, default=(0, []))
    return own + most, ["%s %d" % (name, functions[name].frame)] + chain


def main():
    build = os.environ.get("NEARPATH_BUILD") or os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build"
    )
    failed = False
    for path in OBJECTS if "--list" in sys.argv else OBJECTS + ANY:
        functions = functions_of(os.path.join(build, path))
        called = set().union(*(f.calls for f in functions.values()))
        for name in sorted(set(functions) - called):
            need, chain = deepest(functions, name)
            if "--list" in sys.argv:
                print(name, need)
                continue
            bad = need > LIMIT
            failed |= bad
            place = os.path.dirname(path) + "/" + name
            print("%s - %s: %d bytes of stack" % ("FAIL" if bad else "ok  ", place, need))
            if bad:
                print("       " + " > ".join(chain))
    sys.exit(failed)


if __name__ == "__main__":
    if not any(os.access(os.path.join(d, "llvm-objdump"), os.X_OK) for d in os.get_exec_path()):
        print("SKIP: needs the command \"llvm-objdump\"")
        sys.exit(4)
    main()
