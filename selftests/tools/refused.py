#!/usr/bin/env python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""A client that expects to be refused, and looks at the refusal on the wire.

refused.py tcp|udp|gso|ping|tun ADDRESS PORT [SIZE] [--sums]

Prints how it went: "refused", "silence" or what else; then what is wrong with the ICMP error, as
RFC 792, RFC 4443 and RFC 1812 have it. --sums: its checksum too, which is only whole where no
device is left to complete what is quoted. tun: a datagram that comes in by a TUN device "cali9",
made here and without any link-layer header, from the address that the environment names PEER.
"""
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

# Seconds. A refusal takes none, but on one machine the answer to a SYN comes while connect() still
# has the socket locked, and is dropped (TcpExtLockDroppedIcmps), as netfilter's REJECT is; then the
# SYN is sent again after a second.
PATIENCE = {"tcp": 2.5}
PATIENCE_ELSE = 0.6
UDP_SEGMENT = 103


def total(data):
    data += b"\0" * (len(data) % 2)
    value = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value


class Refusal:
    """What must be true of an IP packet that refuses one sent to (address, size)."""

    def __init__(self, address, sums):
        self.six = ":" in address
        self.family = socket.AF_INET6 if self.six else socket.AF_INET
        self.address = socket.inet_pton(self.family, address)
        self.sums = sums

    def split(self, ip):
        """Source, protocol, TTL and payload, or None for another family."""
        if self.six and ip[0] >> 4 == 6:
            return ip[8:24], ip[6], ip[7], ip[40 : 40 + struct.unpack("!H", ip[4:6])[0]]
        if not self.six and ip[0] >> 4 == 4:
            header = (ip[0] & 15) * 4
            return ip[12:16], ip[9], ip[8], ip[header : struct.unpack("!H", ip[2:4])[0]]
        return None

    def is_answer(self, ip):
        parts = self.split(ip) if ip else None
        return parts and parts[0] == self.address and parts[1] == (58 if self.six else 1)

    def wrong(self, ip):
        """What is wrong with it; None: nothing."""
        _, protocol, ttl, icmp = self.split(ip)
        quote = icmp[8:]
        if icmp[:2] != (b"\1\4" if self.six else b"\3\3"):
            return "type and code %d %d" % (icmp[0], icmp[1])
        if ttl not in (63, 64) or len(quote) > 512 or len(quote) % 4:
            return "ttl %d, %d bytes quoted" % (ttl, len(quote))
        if (quote[24:40] if self.six else quote[16:20]) != self.address:
            return "another packet is quoted"
        if not self.six and (ip[1] & 0xE0 != 0xC0 or total(ip[:20]) != 0xFFFF):
            return "IP header"
        pseudo = ip[8:40] + struct.pack("!II", len(icmp), protocol) if self.six else b""
        if self.sums and total(pseudo + icmp) != 0xFFFF:
            return "checksum"
        return None


class Wire:
    """Everything that comes in by the namespace's devices."""

    def __init__(self, refusal):
        self.refusal = refusal
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.setblocking(False)

    def verdict(self):
        end = time.monotonic() + PATIENCE_ELSE
        while time.monotonic() < end:
            if not select.select([self.socket], [], [], 0.05)[0]:
                continue
            ip, where = self.socket.recvfrom(65536)
            if where[2] != socket.PACKET_OUTGOING and self.refusal.is_answer(ip):
                return self.refusal.wrong(ip) or "right"
        return "none"


def outcome(attempt):
    """refused, silence, or the error."""
    try:
        attempt()
    except OSError as error:
        if isinstance(error, socket.timeout) or error.errno == errno.ETIMEDOUT:
            return "silence"
        if error.errno != errno.ECONNREFUSED:
            return str(error)
        return "refused"
    return "answered"


def connect(refusal, way, address, port, size):
    kind = socket.SOCK_STREAM if way == "tcp" else socket.SOCK_DGRAM
    with socket.socket(refusal.family, kind) as s:
        s.settimeout(PATIENCE.get(way, PATIENCE_ELSE))
        if way == "gso":
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 700)
        s.connect((address, port))
        s.send(bytes(i & 0xFF for i in range(size)))
        s.recv(65536)


def ping(refusal, address, size):
    protocol = socket.IPPROTO_ICMPV6 if refusal.six else socket.IPPROTO_ICMP
    echo = struct.pack("!BBHHH", 128 if refusal.six else 8, 0, 0, 4711, 1) + b"p" * size
    check = struct.pack("!H", ~total(echo) & 0xFFFF)  # of IPv6 the kernel makes it
    with socket.socket(refusal.family, socket.SOCK_RAW, protocol) as s:
        s.sendto(echo[:2] + check + echo[4:], (address, 0))


def datagram(refusal, port, size):
    peer = socket.inet_pton(refusal.family, os.environ["PEER"])
    udp = struct.pack("!HHHH", 40000, port, 8 + size, 0) + b"t" * size
    if refusal.six:
        check = total(peer + refusal.address + struct.pack("!II", len(udp), 17) + udp)
        udp = udp[:6] + struct.pack("!H", ~check & 0xFFFF) + udp[8:]
        return struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + peer + refusal.address + udp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0)
    check = struct.pack("!H", ~total(ip + peer + refusal.address) & 0xFFFF)
    return ip[:10] + check + peer + refusal.address + udp


def tun(refusal, port, size):
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", b"cali9", 0x1001))  # IFF_TUN, NO_PI
    subprocess.run(["ip", "link", "set", "cali9", "up"], check=True)
    subprocess.run(["ip", "route", "add", os.environ["PEER"], "dev", "cali9"], check=True)
    print("ready", flush=True)
    sys.stdin.readline()
    os.write(device, datagram(refusal, port, size))
    end = time.monotonic() + PATIENCE_ELSE
    while time.monotonic() < end:
        if select.select([device], [], [], 0.05)[0]:
            ip = os.read(device, 65536)
            if refusal.is_answer(ip):
                return refusal.wrong(ip) or "right"
    return "none"


def main():
    way, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    size = int(sys.argv[4]) if len(sys.argv) > 4 and sys.argv[4].isdigit() else 1
    refusal = Refusal(address, "--sums" in sys.argv)
    if way == "tun":
        print(tun(refusal, port, size))
        return
    wire = Wire(refusal)
    if way == "ping":
        ping(refusal, address, size)
        print(wire.verdict())
        return
    result = outcome(lambda: connect(refusal, way, address, port, size))
    print(result, wire.verdict())


main()
