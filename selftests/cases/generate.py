# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""Random cases: states an API server would accept, in every corner of the rules, and packets.

The same seed and number give the same case. What to expect of it is not decided here.
"""

import random

from model import (FAMILIES, HEADLESS_LABEL, PROXY_NAME_LABEL, SERVICE_LABEL, ZONE_LABEL, Model,
                   cidrs, ips, of_kind, to_ip, within)

NODE_NAME, NEIGHBOURS = "node-1", ["node-2", "node-3"]
ZONES = ["zone-a", "zone-b"]
WORLD = {  # by family; what has a % takes two numbers
    4: {"node": ["192.168.0.2", "192.168.1.2", "192.168.99.11", "10.244.0.1"],
        "pod": "10.244.%d.%d", "other pod": "10.245.%d.%d", "outside": "198.18.%d.%d",
        "service": "172.30.%d.%d", "loopback": ["127.0.0.1", "127.0.0.1", "127.5.6.7"],
        "external": ["192.0.2.10", "192.0.2.11", "203.0.113.1", "203.0.113.2"],
        "vip": ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"],
        "ranges": ["198.18.0.0/24", " 198.18.0.0/24 ", "198.18.1.0/24\n", "192.168.0.0/24",
                   "192.168.0.2/32", "10.244.0.0/16", "10.244.1.0/24", "203.0.113.0/31"],
        "cluster": ["10.244.0.0/16", "10.0.0.0/8", "10.244.0.0/16,10.245.0.0/16", ""],
        "nodeports": ["192.168.0.0/24", "192.168.0.0/16", "10.244.0.0/24", "172.16.0.0/12",
                      "127.0.0.0/8", "0.0.0.0/0"],
        "all": "0.0.0.0/0", "services": ["172.30.0.0/16", "172.30.0.0/23"]},
    6: {"node": ["2001:db8::1", "2001:db8:1::2", "2001:db8:99::11", "fd00:10:244::1"],
        "pod": "fd00:10:244:%d::%d", "other pod": "fd00:10:245:%d::%d",
        "outside": "2001:db8:ff:%d::%d", "service": "fd00:172:30::%d:%d", "loopback": ["::1"],
        "external": ["2001:db8:ee::10", "2001:db8:ee::11", "2001:db8:aa::1", "2001:db8:aa::2"],
        "vip": ["2001:db8:aa::1", "2001:db8:aa::2", "2001:db8:aa::3", "2001:db8:aa::4"],
        "ranges": ["2001:db8:ff::/64", " 2001:db8:ff::/64 ", "2001:db8:ff:1::/64\n",
                   "2001:db8::/64", "2001:db8::1/128", "fd00:10:244::/48", "fd00:10:244:1::/64",
                   "2001:db8:aa::/127"],
        "cluster": ["fd00:10:244::/48", "fd00::/16", "fd00:10:244::/48,fd00:10:245::/48", ""],
        "nodeports": ["2001:db8::/64", "2001:db8::/32", "fd00:10:244::/64", "fd01::/16",
                      "::1/128", "::/0"],
        "all": "::/0", "services": ["fd00:172:30::/96", "fd00:172:30::/111"]},
}


class Random(random.Random):
    def chance(self, percent):
        return self.random() * 100 < percent

    def some(self, pool, least, most):
        return self.sample(pool, min(len(pool), self.randint(least, most)))

    def address(self, kind, family):
        return str(to_ip(WORLD[family][kind] % (self.randint(0, 2), self.randint(2, 6))))


def random_node(rng):
    """The node's addresses, first of a family first, and Node objects: its own and another's."""
    families = rng.choice([[4, 6], [4, 6], [6, 4], [4], [6]])
    by_family = [WORLD[f]["node"][:1] + rng.some(WORLD[f]["node"][1:], 0, 3) for f in families]
    addresses = [a for some in by_family for a in some]
    own = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME, "labels": {}},
           "status": {"addresses": [{"type": "Hostname", "address": NODE_NAME}] + [
               {"type": "InternalIP", "address": a} for a in addresses]}}
    if rng.chance(80):
        own["metadata"]["labels"][ZONE_LABEL] = rng.choice(ZONES)
    other = {"apiVersion": "v1", "kind": "Node",
             "metadata": {"name": NEIGHBOURS[0], "labels": {ZONE_LABEL: rng.choice(ZONES)}},
             "status": {"addresses": [{"type": "InternalIP", "address": "192.168.7.7"}]}}
    return addresses, [other, own] if rng.chance(50) else [own]


def random_options(rng):
    node_port_addresses = rng.choice([[], [], ["primary"], [
        c for f in FAMILIES for c in rng.some(WORLD[f]["nodeports"], 0, 2)]])
    return {"cluster-cidr": ",".join(c for c in (rng.choice(WORLD[f]["cluster"]) for f in FAMILIES)
                                     if c),
            "masquerade-all": rng.chance(20), "localhost-nodeports": rng.chance(70),
            "nodeport-addresses": node_port_addresses}


class ServiceMaker:
    """Services whose addresses, ports and nodePorts never collide."""

    def __init__(self, rng, node_addresses):
        self.rng, self.node_addresses = rng, node_addresses
        self.claims = {}
        self.used = set()

    def unused(self, make):
        while True:
            value = make()
            if value not in self.used:
                self.used.add(value)
                return value

    def claim(self, name, address, ports):
        """True if the address is this service's on all its ports."""
        keys = [(address, p["port"], p["protocol"]) for p in ports]
        if any(self.claims.get(key, name) != name for key in keys):
            return False
        self.claims.update((key, name) for key in keys)
        return True

    def node_port(self):
        return self.unused(lambda: self.rng.choice(
            [self.rng.randint(30000, 32767), self.rng.randint(3001, 3099)]))

    def ports(self, has_node_ports):
        keys = [(n, p) for n in (53, 80, 443, 8080) for p in ("TCP", "UDP", "SCTP")]
        chosen = [(53, "TCP"), (53, "UDP"), (53, "SCTP")] if self.rng.chance(20) \
            else self.rng.some(keys, 1, 3)
        shared = self.node_port() if self.rng.chance(40) else None
        if len({protocol for _, protocol in chosen}) < len(chosen):
            shared = None
        ports = []
        for number, protocol in chosen:
            port = {"name": "%s-%d" % (protocol.lower(), number), "protocol": protocol,
                    "port": number, "targetPort": self.rng.choice([number, 7, "http"])}
            if has_node_ports:
                port["nodePort"] = shared or self.node_port()
            ports.append(port)
        if len(ports) == 1 and self.rng.chance(30):
            del ports[0]["name"]
        return ports

    def ingress(self, name, ports):
        entries = []
        for address in self.rng.some(WORLD[4]["vip"] + WORLD[6]["vip"], 0, 5):
            mode = self.rng.choice(["VIP", None, None, "Proxy"])
            if mode == "Proxy" or self.claim(name, address, ports):
                entries.append({"ip": address, **({"ipMode": mode} if mode else {})})
        if self.rng.chance(20):
            entries.append({"hostname": "lb.example.com"})
        return entries

    def source_ranges(self):
        ranges = [r for f in FAMILIES for r in self.rng.some(WORLD[f]["ranges"], 0, 3)]
        ranges += [c for f in FAMILIES for c in [WORLD[f]["all"]] if self.rng.chance(7)]
        return ranges + ["not-a-range", "198.18.2.2"] if self.rng.chance(15) else ranges

    def cluster_ips(self):
        families = self.rng.choice([[4], [6], [4, 6], [6, 4]])
        return [self.unused(lambda f=f: self.rng.address("service", f)) for f in families]

    def service(self, number):
        rng, name = self.rng, "svc%d" % number
        kind = rng.choice(["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"])
        ports = self.ports(kind == "NodePort" or (kind == "LoadBalancer" and rng.chance(80)))
        addresses = self.cluster_ips()
        spec = {"type": kind, "clusterIP": addresses[0], "clusterIPs": addresses, "ports": ports,
                "internalTrafficPolicy": rng.choice(["Cluster", "Cluster", "Local"])}
        pool = [a for f in FAMILIES for a in WORLD[f]["external"]] + self.node_addresses
        outer = [a for a in rng.some(pool, 0, 4) if self.claim(name, a, ports)]
        if outer and rng.chance(60):
            spec["externalIPs"] = outer
        if kind != "ClusterIP" or "externalIPs" in spec:
            spec["externalTrafficPolicy"] = rng.choice(["Cluster", "Local"])
        load_balancer = {}
        if kind == "LoadBalancer":
            load_balancer["ingress"] = self.ingress(name, ports)
            if rng.chance(60):
                spec["loadBalancerSourceRanges"] = self.source_ranges()
            if spec["externalTrafficPolicy"] == "Local":
                spec["healthCheckNodePort"] = self.unused(lambda: rng.randint(30000, 32767))
        return {"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": rng.choice(["ns1", "ns2"])},
                "spec": spec, "status": {"loadBalancer": load_balancer}}

    def skipped(self, number):
        """A service that must look as if it were not there."""
        service = self.service(number)
        spec, kind = service["spec"], self.rng.choice(["headless", "external name", "other proxy"])
        if kind == "other proxy":
            service["metadata"]["labels"] = {PROXY_NAME_LABEL: "other"}
        if kind == "headless":
            service["spec"] = {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"],
                               "ports": [{k: p[k] for k in p if k != "nodePort"}
                                         for p in spec["ports"]]}
        if kind == "external name":
            service["spec"] = {"type": "ExternalName", "externalName": "www.example.com",
                               "ports": [{k: p[k] for k in p if k != "nodePort"}
                                         for p in spec["ports"]]}
            if "externalIPs" in spec:
                service["spec"]["externalIPs"] = spec["externalIPs"]
        if kind != "other proxy":
            service["status"] = {"loadBalancer": {}}
        return service


def random_conditions(rng):
    """Half ready, a third leaving, the rest anything, unset and null included."""
    if rng.chance(50):
        return rng.choice([{}, {"ready": True}, {"ready": True, "serving": True,
                                                 "terminating": False}])
    if rng.chance(60):
        return {"ready": False, "serving": rng.chance(70), "terminating": True}
    values = {key: rng.choice([True, False, None]) for key in ("ready", "serving", "terminating")}
    return {key: values[key] for key in values if values[key] is not None or rng.chance(20)}


def random_hints(rng, mode, ready):
    """Hints as a service's mode has them; the odd endpoint goes without."""
    if mode == "none" or (rng.chance(70) and not ready) or rng.chance(4):
        return {}
    hints = {"forZones": [{"name": z} for z in rng.some(ZONES, 1, 2)],
             "forNodes": [{"name": n} for n in rng.some([NODE_NAME] + NEIGHBOURS, 1, 2)]}
    return {key: hints[key] for key in hints if mode in (key, "both")}


def random_endpoint(rng, family, node_addresses, mode):
    """The faces an address may show in the slices of a service: staying, and leaving.

    Two that differ and both stay, or both leave, would leave open which one counts.
    """
    addresses = [a for a in node_addresses if to_ip(a).version == family]
    kind = rng.choice(["pod"] * 12 + ["other pod", "outside"] + ["node"] * bool(addresses))
    entry = {"addresses": [addresses[0] if kind == "node" else rng.address(kind, family)]}
    if rng.chance(10):
        entry["addresses"].append(rng.address("other pod", family))
    node_name = NODE_NAME if kind == "node" else rng.choice([NODE_NAME] + NEIGHBOURS + [None])
    if node_name:
        entry["nodeName"] = node_name
    faces = []
    for conditions in (random_conditions(rng), {"ready": False, "serving": rng.chance(70),
                                                "terminating": True}):
        face = dict(entry, conditions=conditions)
        hints = random_hints(rng, mode, conditions.get("ready") is not False)
        faces.append(dict(face, hints=hints) if hints else face)
    if faces[0]["conditions"].get("terminating"):
        del faces[1]
    if not faces[0]["conditions"] and rng.chance(50):
        del faces[0]["conditions"]
    return faces


def random_slice_port(rng, port):
    """The port as a slice has it: mostly well, sometimes nameless, without number, or absent."""
    entry = {"name": port.get("name", ""), "protocol": port["protocol"],
             "port": rng.choice([port["port"], port["port"], 8000, 9000])}
    flaw = rng.randint(1, 60)
    if flaw == 1 or (flaw < 9 and not entry["name"]):
        del entry["name"]
    if flaw == 2:
        entry["port"] = 0
    if flaw == 3:
        del entry["port"]
    if flaw == 4:
        entry["protocol"] = "SCTP" if port["protocol"] == "TCP" else "TCP"
    return [] if flaw == 5 else [entry]


def random_slices(rng, service, family, node_addresses):
    mode = rng.choice(["none", "none", "forZones", "forZones", "forNodes", "both", "both"])
    faces = {}
    for _ in range(rng.randint(1, 6)):
        new = random_endpoint(rng, family, node_addresses, mode)
        faces.setdefault(new[0]["addresses"][0], new)
    for number in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        entries = [rng.choice(f) if rng.chance(30) else f[0]
                   for f in rng.some(list(faces.values()), 1, 6)]
        ports = [e for p in service["spec"]["ports"] for e in random_slice_port(rng, p)]
        piece = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                 "metadata": {"name": "%s-v%d-%d" % (service["metadata"]["name"], family, number),
                              "namespace": service["metadata"]["namespace"],
                              "labels": {SERVICE_LABEL: service["metadata"]["name"]}},
                 "addressType": "IPv%d" % family, "endpoints": entries, "ports": ports}
        yield foreign(rng, piece) if rng.chance(10) else piece


def foreign(rng, piece):
    """A slice that must not count: headless, of names, of nobody, of another namespace."""
    flaw, meta = rng.choice(["headless", "names", "nobody", "namespace"]), piece["metadata"]
    if flaw == "headless":
        meta["labels"][HEADLESS_LABEL] = ""
    if flaw == "names":
        piece["addressType"] = "FQDN"
        piece["endpoints"] = [{"addresses": ["www.example.com"], "conditions": {"ready": True}}]
    if flaw == "nobody":
        meta["labels"] = {}
    if flaw == "namespace":
        meta["namespace"] = "elsewhere"
    return piece


def random_service_cidrs(rng):
    """Nothing, or one or both families, in one object or in two."""
    texts = [rng.choice(WORLD[family]["services"]) for family in rng.some([4, 6], 0, 2)]
    groups = [texts] if texts and rng.chance(50) else [[text] for text in texts]
    for number, group in enumerate(groups):
        yield {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
               "metadata": {"name": "range%d" % number}, "spec": {"cidrs": group}}


class PacketMaker:
    """Packets to everything a case names, and to nobody, from all kinds of sources."""

    def __init__(self, rng, case):
        self.rng, self.addresses = rng, case["node"]["addresses"]
        self.families = sorted({to_ip(a).version for a in self.addresses})
        self.model = Model(case)
        self.services = of_kind(case["objects"], "Service")
        self.entries = [e["addresses"][0] for s in of_kind(case["objects"], "EndpointSlice")
                        for e in s["endpoints"] if s["addressType"] != "FQDN"]

    def loopbacks(self, family):
        """127.x other than 127.0.0.1 counts as local only while no list restricts the family."""
        chosen = self.model.nodeport_cidrs[family]
        every = not chosen or any(c.prefixlen == 0 for c in chosen)
        return WORLD[family]["loopback"] if every else WORLD[family]["loopback"][:1]

    def destination(self, service):
        """What the address is called, the address, and whether the nodePort is meant."""
        spec, status = service["spec"], service["status"]["loadBalancer"]
        found = [("clusterIP", a, False) for a in spec.get("clusterIPs", []) if a != "None"] * 2
        found += [("externalIP", a, False) for a in spec.get("externalIPs", [])]
        found += [("VIP", i["ip"], False) for i in status.get("ingress", []) if "ip" in i] * 2
        if any("nodePort" in p for p in spec["ports"]) or not found or self.rng.chance(10):
            found += [("nodePort", a, True) for a in self.addresses]
            found += [("localhost nodePort", self.rng.choice(self.loopbacks(f)), True)
                      for f in self.families]
        reachable = [d for d in found if to_ip(d[1]).version in self.families]
        return self.rng.choice(reachable or [("nodePort", self.addresses[0], True)])

    def odd_target(self, family):
        """What no service has: a rest of the service range, a stranger, an endpoint itself."""
        rng = self.rng
        protocol = rng.choice(["TCP", "UDP", "SCTP"])
        behind = [a for a in self.entries if to_ip(a).version == family]
        return rng.choice(
            [("the service range", rng.address("service", family), 80, protocol, None),
             ("nobody", rng.address("outside", family), 80, protocol, None)]
            + [("an endpoint", a, 8000, protocol, None) for a in behind[:1]])

    def target(self):
        """What it is called, address, port, protocol, and the service that is meant."""
        rng = self.rng
        service = rng.choice(self.services)
        port = rng.choice(service["spec"]["ports"])
        what, address, is_node_port = self.destination(service)
        number = port.get("nodePort", 29999) if is_node_port else port["port"]
        protocol = port["protocol"]
        if rng.chance(5):
            number = rng.choice([81, 53, 80, 443])
        if rng.chance(5):
            protocol = rng.choice(["TCP", "UDP", "SCTP"])
        what = "%s of %s" % (what, service["metadata"]["name"])
        return what, address, number, protocol, service

    def likely_target(self):
        """Mostly something that is a service's: several draws, unless one hits."""
        if self.rng.chance(7):
            return self.odd_target(self.rng.choice(self.families))
        for _ in range(self.rng.randint(1, 6)):
            drawn = self.target()
            if self.model.lookup(to_ip(drawn[1]), drawn[2], drawn[3])[1]:
                break
        return drawn

    def source(self, to, port, protocol, service):
        rng, ip = self.rng, to_ip(to)
        family = ip.version
        own = [a for a in self.addresses if to_ip(a).version == family]
        if ip.is_loopback:
            return rng.choice(own + WORLD[family]["loopback"][:1] * 2)
        meant = self.model.lookup(ip, port, protocol)[1]
        behind = [str(e.ip) for e in meant.cluster + meant.local] if meant else []
        ingress = service["status"]["loadBalancer"].get("ingress", []) if service else []
        vips = [str(ip) for ip in ips([i.get("ip", "") for i in ingress], family)]
        return rng.choice(
            [rng.address("pod", family)] * 3 + [rng.address("outside", family)] * 3
            + [rng.address("other pod", family)] + [rng.choice(own)] * 2
            + [rng.choice(behind or own)] * 2
            + [rng.choice(vips or own)] * (4 if meant and meant.ranges else 1))

    def origin(self, source):
        ip = to_ip(source)
        if ip.is_loopback or ip in self.model.addresses:
            return "node"
        plausible = self.model.pods[ip.version] or cidrs([WORLD[ip.version]["cluster"][0]],
                                                         ip.version)
        return "pod" if within(ip, plausible) else "outside"

    def packet(self):
        what, to, port, protocol, service = self.likely_target()
        source = self.source(to, port, protocol, service)
        origin = self.origin(source)
        return {"name": "%s to %s, %s %d" % (origin, what, protocol, port), "from": source,
                "to": to, "port": port, "protocol": protocol, "origin": origin}


def random_packet_case(seed, number):
    rng = Random("packets %d %d" % (seed, number))
    addresses, objects = random_node(rng)
    maker = ServiceMaker(rng, addresses)
    services = [maker.service(n) for n in range(rng.randint(2, 6))]
    services += [maker.skipped(10 + n) for n in range(rng.randint(0, 2))]
    for service in services:
        for family in FAMILIES:
            objects += random_slices(rng, service, family, addresses)
    objects += services + list(random_service_cidrs(rng))
    rng.shuffle(objects)
    case = {"name": "random, seed %d, case %d" % (seed, number),
            "node": {"name": NODE_NAME, "addresses": addresses},
            "options": random_options(rng), "objects": objects}
    packets = PacketMaker(rng, case)
    return dict(case, packets=[packets.packet() for _ in range(rng.randint(10, 30))])


def random_listed_endpoint(rng, number, mode):
    ready = rng.chance(60)
    hints = random_hints(rng, mode, ready)
    return {"address": "10.1.2.%d:%d" % (number, rng.choice([80, 80, 8080])),
            "local": rng.chance(35), "ready": ready, "serving": rng.chance(60),
            "terminating": rng.chance(10 if ready else 60),
            "forZones": [h["name"] for h in hints.get("forZones", [])],
            "forNodes": [h["name"] for h in hints.get("forNodes", [])]}


def random_endpoint_case(seed, number):
    rng = Random("endpoints %d %d" % (seed, number))
    mode = rng.choice(["none", "forZones", "forNodes", "both"])
    return {"name": "random, seed %d, case %d" % (seed, number),
            "node": {"name": rng.choice(["", NODE_NAME, NODE_NAME, NODE_NAME]),
                     "zone": rng.choice(["", "zone-a", "zone-a", "zone-b"])},
            "service": {"internalTrafficPolicyLocal": rng.chance(40),
                        "externalTrafficPolicyLocal": rng.chance(40),
                        "nodePort": rng.choice([0, 8080])},
            "endpoints": [random_listed_endpoint(rng, n, mode) for n in range(rng.randint(0, 7))]}
