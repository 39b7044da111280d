#!/usr/bin/env python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""Do kube-proxy's rules decide as the decision cases say, in the kernel's own netfilter?

packets.py iptables|nftables NODE FILE...: run in the namespace at the far end of the node's only
link, "wire"; NODE is the name of the node's namespace, which has the other end, "node0". For each case
the rules are made by bench/kubeproxy and loaded there; each packet is sent, by the wire or by the
node itself, and what comes of it is looked at: where it leaves to, an ICMP error, or nothing.
Prints the packets that went otherwise, and at the end how many did and did not. Where a mode of
kube-proxy itself does otherwise than nearpath, which the cases are of, excuse() has the reason.
"""
import ctypes
import ipaddress
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

BUILD = os.environ["NEARPATH_BUILD"]
NODE_MAC, WIRE_MAC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
ETH_P_ALL, CLONE_NEWNET = 3, 0x40000000
GRACE = 0.004  # seconds for what goes by the node's loopback
TRIES = 12  # for each backend that may be drawn
# Addresses that no case has: what is sent there comes back after all that was sent before it.
MARK = {4: ("198.18.0.1", "198.18.0.2"), 6: ("2001:2::1", "2001:2::2")}
NOBODY = ("198.18.0.9", "2001:2::9")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    value = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return ~value & 0xFFFF


def packet(source, target, protocol, source_port, port, token):
    """One that opens a connection, with a token that no translation changes."""
    number = PROTOCOLS[protocol]
    ports = struct.pack("!HH", source_port, port)
    if protocol == "TCP":
        parts = [ports + token + b"\0" * 4 + b"\x50\x02\xff\xff", b"\0\0"]
    elif protocol == "UDP":
        parts = [ports + struct.pack("!HH", 12, 0)[:2], token]
    else:  # its checksum is looked at by nobody here
        init = b"\x01\0\0\x14" + token + struct.pack("!IHHI", 65536, 1, 1, 1)
        parts = [ports + b"\0" * 4, init]
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    length = len(parts[0]) + len(parts[1]) + (4 if protocol == "SCTP" else 2)
    sum16 = checksum(a + b + struct.pack("!HH", number, length) + parts[0] + b"\0\0" + parts[1])
    if protocol == "SCTP":
        payload = parts[0] + b"\0" * 4 + parts[1]
    else:
        payload = parts[0] + struct.pack("!H", sum16 or 0xFFFF) + parts[1]
    if len(a) == 16:
        return struct.pack("!IHBB", 0x60000000, len(payload), number, 64) + a + b + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, number, 0) + a + b
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def parse(frame):
    """source, target, protocol number, what comes after the IP header; None of another kind."""
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        ends, number, rest = (ip[12:16], ip[16:20]), ip[9], ip[(ip[0] & 15) * 4 :]
    elif kind == b"\x86\xdd":
        ends, number, rest = (ip[8:24], ip[24:40]), ip[6], ip[40:]
    else:
        return None
    source, target = (str(ipaddress.ip_address(end)) for end in ends)
    return source, target, number, rest


class Wire:
    def __init__(self, node):
        self.wire = self.open("wire")
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        with open("/run/netns/" + node, "rb") as there:
            self.enter(there.fileno())
        self.loopback = self.open("lo")
        self.raw = {
            4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
            6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
        }
        self.enter(home)
        self.counter = itertools.count(1)

    @staticmethod
    def open(device):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.bind((device, ETH_P_ALL))
        return s

    @staticmethod
    def enter(namespace):
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def frame(self, data):
        kind = b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"
        self.wire.send(NODE_MAC + WIRE_MAC + kind + data)

    def send(self, p):
        """The frames that came of it."""
        n = next(self.counter)
        token, mark = struct.pack("!I", 0x4E500000 + 2 * n), struct.pack("!I", 0x4D500000 + n)
        version = ipaddress.ip_address(p["to"]).version
        data = packet(p["from"], p["to"], p["protocol"], 1024 + n % 60000, p["port"], token)
        if p["origin"] == "node":
            try:
                self.raw[version].sendto(data, (p["to"], 0))
            except PermissionError:  # what netfilter drops on its way out
                pass
            time.sleep(GRACE)
        else:
            self.frame(data)
        self.frame(packet(*MARK[version], "UDP", 1000, 1000, mark))
        return token, self.collect(mark)

    def collect(self, mark):
        frames, until = [], time.monotonic() + 2
        while time.monotonic() < until:
            for s in select.select([self.wire, self.loopback], [], [], 0.5)[0]:
                data = s.recv(4096)
                if mark in data:
                    while select.select([self.loopback], [], [], 0)[0]:
                        frames.append(self.loopback.recv(4096))
                    return frames
                frames.append(data)
        raise TimeoutError("the node does not forward")


def judge(p, token, frames):
    """What became of the packet: (verdict, backend, whether the source was translated)."""
    found = ("drop", None, None)
    answer = struct.pack("!I", struct.unpack("!I", token)[0] + 1)
    for parsed in filter(None, map(parse, frames)):
        source, target, number, rest = parsed
        if number in (1, 58) and token in rest:
            found = ("reject", None, None)
        elif number == 6 and rest[13] & 4 and rest[8:12] == answer:
            found = ("pass", None, None)  # the node's own answer
        elif number == PROTOCOLS[p["protocol"]] and token in rest:
            port = struct.unpack("!H", rest[2:4])[0]
            if (target, port) != (p["to"], p["port"]):
                text = "[%s]:%d" if ":" in target else "%s:%d"
                return "forward", text % (target, port), source != p["from"]
            if p["origin"] != "node" or found[0] == "drop":
                found = ("pass", None, None)
    return found


def chosen_addresses(case, version):
    """What --nodeport-addresses of kube-proxy chooses of the node's addresses."""
    listed = case["options"]["nodeport-addresses"]
    if "primary" in listed:
        return "primary"
    ranges = [r for r in map(ipaddress.ip_network, listed) if r.version == version]
    if not ranges:
        return "all"
    own = map(ipaddress.ip_address, case["node"]["addresses"] + ["127.0.0.1", "::1"])
    return ",".join(str(a) for a in own if any(a in r for r in ranges)) or ",".join(NOBODY)


def generate(mode, case, version):
    options = case["options"]
    command = [BUILD + "/bench/kubeproxy", mode, "--node-name", case["node"]["name"]]
    command += ["--nodeport-addresses", chosen_addresses(case, version)]
    command += ["--ipv6"] if version == 6 else []
    command += ["--masquerade-all"] if options["masquerade-all"] else []
    command += [] if options["localhost-nodeports"] else ["--no-localhost-nodeports"]
    if options["cluster-cidr"]:
        command += ["--cluster-cidr", options["cluster-cidr"]]
    objects = "\n".join(json.dumps(o) for o in case["objects"]).encode()
    return subprocess.run(command, input=objects, stdout=subprocess.PIPE, check=True).stdout


def load(mode, node, case):
    for version in sorted({ipaddress.ip_address(p["to"]).version for p in case["packets"]}):
        rules = generate(mode, case, version)
        if mode == "nftables":
            table = b"%s kube-proxy" % (b"ip6" if version == 6 else b"ip")
            rules = b"add table %s\ndelete table %s\n" % (table, table) + rules
            loader = ["nft", "-f", "-"]
        else:
            loader = ["ip6tables-restore" if version == 6 else "iptables-restore"]
        subprocess.run(["ip", "netns", "exec", node, *loader], input=rules, check=True)


def frontends(case):
    """(kind, address, port, protocol, Service) of every one but NodePorts."""
    for service in (o for o in case["objects"] if o["kind"] == "Service"):
        spec = service["spec"]
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        addresses = [("cluster", a) for a in spec.get("clusterIPs") or [spec.get("clusterIP")]]
        addresses += [("external", a) for a in spec.get("externalIPs", [])]
        addresses += [("vip", i["ip"]) for i in ingress if "ip" in i]
        for (kind, address), port in itertools.product(addresses, spec["ports"]):
            yield kind, address, port["port"], port.get("protocol", "TCP"), service


def excuse(mode, case, p, got):
    """Why kube-proxy's mode does otherwise, or None: then it may not."""
    wanted, to = p["expect"]["verdict"], ipaddress.ip_address(p["to"])
    own = case["node"]["addresses"]
    kinds = {f[0] for f in frontends(case) if f[1:4] == (p["to"], p["port"], p["protocol"])}
    if got == "pass" and any(b.rsplit(":", 1)[0].strip("[]") in own
                             for b in p["expect"].get("backends", [])):
        return "the endpoint is the node itself, which answers"
    if got == "reject" and wanted == "pass" and p["to"] in own:
        return "nobody listens, which the node says"
    if mode == "iptables":
        if to.is_loopback and to.version == 6 and got in ("pass", "reject"):
            return "no NodePorts at ::1"
        if got == "pass" and wanted in ("reject", "drop") and not kinds:
            return "no rule for other ports of clusterIPs, or the rest of the service range"
        if got == "pass" and wanted in ("reject", "drop") and p["origin"] == "node":
            return "externalIPs and VIPs without endpoints are refused in input and forward only"
        if got == "reject" and wanted == "drop" and "vip" in kinds:
            return "without endpoints everyone is refused, whatever the source ranges"
    else:
        if to.is_loopback and got in ("pass", "reject"):
            return "no NodePorts at localhost"
        if got == "drop" and kinds == {"external", "vip"}:
            return "source ranges guard the address, though it is an externalIP too"
        if got == "source translated: False" and [p["from"]] == sorted(
                {b.rsplit(":", 1)[0].strip("[]") for b in p["expect"]["backends"]}):
            return "hairpins are known of the node's own endpoints only"
    return None


def differs(p, wire):
    """None, or what was seen instead."""
    expect = p["expect"]
    backends = set(expect.get("backends", []))
    seen = set()
    for _ in range(TRIES * max(len(backends), 1)):
        verdict, backend, snat = judge(p, *wire.send(p))
        if verdict != expect["verdict"]:
            return verdict + (" to " + backend if backend else "")
        if verdict != "forward":
            return None
        if backend not in backends:
            return "forward to " + backend
        if p["origin"] != "node" and snat != expect.get("snat", snat):
            return "source translated: %s" % snat
        seen.add(backend)
        if seen == backends:
            return None
    return "only forward to " + ", ".join(sorted(seen))


def main():
    mode, node, *files = sys.argv[1:]
    wire = Wire(node)
    passed = failed = 0
    excused = {}
    for name in files:
        with open(name, encoding="utf-8") as lines:
            cases = [json.loads(line) for line in lines]
        for case in (c for c in cases if "packets" in c):
            load(mode, node, case)
            for p in case["packets"]:
                got = differs(p, wire)
                why = got and excuse(mode, case, p, got)
                if why:
                    excused[why] = excused.get(why, 0) + 1
                elif got:
                    failed += 1
                    print("%s: %s: %s: wanted %s, got %s" % (os.path.basename(name), case["name"],
                                                             p["name"], p["expect"]["verdict"], got))
                else:
                    passed += 1
    for why, count in sorted(excused.items()):
        print("%d otherwise: %s" % (count, why))
    print("%d as the cases say, %d not" % (passed, failed))
    return failed > 0


sys.exit(main())
