#!/usr/bin/python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""tunlink: a link between two network namespaces, at each end a TUN device: IP from the first byte,
as wg0 and tunl0 are.

  tunlink.py DEVICE NAMESPACE OTHER_DEVICE

DEVICE is made in the namespace it is started in, OTHER_DEVICE in NAMESPACE (of ip netns). Prints
"ready"; both are gone when it ends.
"""
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000


def make(name):
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return device


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", encoding="ascii") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            sys.exit(f'tunlink: cannot enter "{namespace}": {os.strerror(ctypes.get_errno())}')


def main():
    here = make(sys.argv[1])
    enter(sys.argv[2])
    there = make(sys.argv[3])
    print("ready", flush=True)
    while True:
        for device in select.select([here, there], [], [])[0]:
            os.write(there if device == here else here, os.read(device, 65536))


if __name__ == "__main__":
    main()
