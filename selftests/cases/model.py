# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""kube-proxy's decision for a packet, computed from the objects of a case alone.

Written from the rules and not from nearpath's code, so that a mistake would have to be made twice.
Not here: session affinity, health ports, what happens to flows that already exist.
"""

import collections
import ipaddress

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
SERVICE_LABEL = "kubernetes.io/service-name"
ZONE_LABEL = "topology.kubernetes.io/zone"
FAMILIES = (4, 6)
CLUSTER_IP, EXTERNAL_IP, VIP, NODE_PORT = "clusterIP", "externalIP", "VIP", "nodePort"

# ---- reading objects -------------------------------------------------------------------------

Endpoint = collections.namedtuple("Endpoint", "ip port local ready serving terminating zones nodes")
ServicePort = collections.namedtuple(
    "ServicePort",
    "cluster_ip external_ips vips node_port port protocol"
    " internal_local external_local ranges cluster local has_any")


def to_ip(text):
    """An address, or None for what is none (a hostname, nothing)."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def to_cidr(text):
    """A network, or None; spaces around it do not matter, the prefix length is required."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False) if "/" in text else None
    except ValueError:
        return None


def ips(texts, family):
    found = [to_ip(text) for text in texts or []]
    return [ip for ip in found if ip and ip.version == family]


def cidrs(texts, family):
    found = [to_cidr(text) for text in texts or []]
    return [cidr for cidr in found if cidr and cidr.version == family]


def within(ip, networks):
    return any(ip in network for network in networks)


def labels(obj):
    return obj["metadata"].get("labels") or {}


def of_kind(objects, kind):
    return [obj for obj in objects if obj["kind"] == kind]


def cluster_ips(service, family):
    spec = service["spec"]
    return ips(spec.get("clusterIPs") or [spec.get("clusterIP")], family)


def is_watched(service):
    spec = service["spec"]
    return (PROXY_NAME_LABEL not in labels(service) and spec.get("type") != "ExternalName"
            and spec.get("clusterIP") not in (None, "", "None"))


def is_slice_of(piece, service, family):
    meta = piece["metadata"]
    return (HEADLESS_LABEL not in labels(piece) and piece["addressType"] == "IPv%d" % family
            and meta["namespace"] == service["metadata"]["namespace"]
            and labels(piece).get(SERVICE_LABEL) == service["metadata"]["name"])


def hint_names(entry, key):
    hints = (entry.get("hints") or {}).get(key) or []
    return [hint["name"] for hint in hints]


def read_endpoint(entry, port, node_name):
    conditions = entry.get("conditions") or {}
    return Endpoint(
        ip=to_ip(entry["addresses"][0]), port=port, local=entry.get("nodeName") == node_name,
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
        zones=hint_names(entry, "forZones"), nodes=hint_names(entry, "forNodes"))


def serves(slice_port, port):
    return (slice_port.get("name") is not None and bool(slice_port.get("port"))
            and slice_port["name"] == (port.get("name") or "")
            and slice_port.get("protocol", "TCP") == port.get("protocol", "TCP"))


def read_endpoints(slices, port, node_name):
    """The endpoints of a service port; of one IP:port a non-terminating entry wins."""
    found = {}
    for piece in slices:
        numbers = [p["port"] for p in piece.get("ports") or [] if serves(p, port)]
        for number in numbers:
            for entry in piece.get("endpoints") or []:
                new = read_endpoint(entry, number, node_name)
                old = found.get((new.ip, number))
                if old is None or (old.terminating and not new.terminating):
                    found[new.ip, number] = new
    return list(found.values())


# ---- endpoint selection ----------------------------------------------------------------------


def leaving(endpoint):
    return endpoint.serving and endpoint.terminating


def by_topology(ready, node_name, zone):
    """Node hints, else zone hints, else all: a mode needs a hint on every ready endpoint."""
    for mine, hints in ((node_name, [e.nodes for e in ready]), (zone, [e.zones for e in ready])):
        if mine and all(hints) and any(mine in names for names in hints):
            return [e for e, names in zip(ready, hints) if mine in names]
    return ready


def select(endpoints, internal_local, external_local, external, node_name, zone):
    """The cluster list, the local list, and whether there is any endpoint at all."""
    ready = [e for e in endpoints if e.ready]
    last = [e for e in endpoints if leaving(e)]
    cluster, local, has_any = [], [], False
    if not internal_local or external:
        cluster = by_topology(ready, node_name, zone) or last
        has_any = bool(cluster)
    if internal_local or (external_local and external):
        local = [e for e in ready if e.local] or [e for e in last if e.local]
        has_any = has_any or bool(ready or last)
    return cluster, local, has_any


# ---- the decision ----------------------------------------------------------------------------


def load_balancer_vips(service, family):
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ips([i.get("ip") for i in ingress if i.get("ipMode") in (None, "VIP")], family)


def source_ranges(service, family):
    """Empty means that every source is allowed."""
    ranges = cidrs(service["spec"].get("loadBalancerSourceRanges"), family)
    return [] if any(r.prefixlen == 0 for r in ranges) else ranges


def is_external_local(spec):
    reachable = spec.get("type") in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))
    return reachable and spec.get("externalTrafficPolicy") == "Local"


class Model:
    """One node's view of the objects."""

    def __init__(self, case):
        options, objects = case["options"], case["objects"]
        self.name = case["node"]["name"]
        self.addresses = [to_ip(a) for a in case["node"]["addresses"]]
        self.masquerade_all = options["masquerade-all"]
        self.localhost = options["localhost-nodeports"]
        self.read_node(objects)
        self.pods = {f: cidrs(options["cluster-cidr"].split(","), f)[:1] for f in FAMILIES}
        self.nodeport_cidrs = {f: self.expand(options["nodeport-addresses"], f) for f in FAMILIES}
        texts = [c for obj in of_kind(objects, "ServiceCIDR") for c in obj["spec"]["cidrs"]]
        self.service_cidrs = {f: cidrs(texts, f) for f in FAMILIES}
        self.watched = [s for s in of_kind(objects, "Service") if is_watched(s)]
        self.slices = of_kind(objects, "EndpointSlice")
        self.ports = {f: list(self.read_ports(f)) for f in FAMILIES}

    def read_node(self, objects):
        nodes = [n for n in of_kind(objects, "Node") if n["metadata"]["name"] == self.name]
        self.zone = labels(nodes[0]).get(ZONE_LABEL, "") if nodes else ""
        listed = nodes[0]["status"]["addresses"] if nodes else []
        internal = [a["address"] for a in listed if a["type"] == "InternalIP"]
        internal += [str(a) for a in self.addresses]
        self.own = {f: ips(internal, f)[:1] for f in FAMILIES}

    def expand(self, texts, family):
        if "primary" in texts:
            return [ipaddress.ip_network(ip) for ip in self.own[family]]
        return cidrs(texts, family)

    def read_ports(self, family):
        for service in self.watched:
            if cluster_ips(service, family):
                slices = [s for s in self.slices if is_slice_of(s, service, family)]
                for port in service["spec"]["ports"]:
                    yield self.read_port(service, port, slices, family)

    def read_port(self, service, port, slices, family):
        spec = service["spec"]
        outer = ips(spec.get("externalIPs"), family), load_balancer_vips(service, family)
        node_port = port.get("nodePort") or 0
        internal_local = spec.get("internalTrafficPolicy") == "Local"
        external_local = is_external_local(spec)
        endpoints = read_endpoints(slices, port, self.name)
        lists = select(endpoints, internal_local, external_local,
                       bool(node_port or outer[0] or outer[1]), self.name, self.zone)
        return ServicePort(
            cluster_ips(service, family)[0], *outer, node_port, port["port"],
            port.get("protocol", "TCP"), internal_local, external_local,
            source_ranges(service, family), *lists)

    def takes_node_ports(self, ip):
        """Loopback obeys the switch and, as in kube-proxy, also a list of CIDRs of its family."""
        chosen = self.nodeport_cidrs[ip.version]
        mine = self.localhost if ip.is_loopback else ip in self.addresses
        return mine and (not chosen or within(ip, chosen))

    def lookup(self, ip, number, protocol):
        ports = [p for p in self.ports[ip.version] if p.protocol == protocol]
        same = [p for p in ports if p.port == number]
        for kind, found in (
                (CLUSTER_IP, [p for p in same if p.cluster_ip == ip]),
                (EXTERNAL_IP, [p for p in same if ip in p.external_ips]),
                (VIP, [p for p in same if ip in p.vips]),
                (NODE_PORT, [p for p in ports if p.node_port == number])):
            if found and (kind != NODE_PORT or self.takes_node_ports(ip)):
                return kind, found[0]
        return None, None

    def may_enter(self, port, source):
        if not port.ranges or within(source, port.ranges):
            return True
        own = self.own[source.version]
        return source in port.vips and bool(own) and within(own[0], port.ranges)

    def from_pod(self, source):
        return within(source, self.pods[source.version])

    def route(self, kind, port, source):
        """The backends, and whether the source is translated (a hairpin apart)."""
        if kind == CLUSTER_IP:
            detector = bool(self.pods[source.version])
            snat = self.masquerade_all or (detector and not self.from_pod(source))
            return (port.local if port.internal_local else port.cluster), snat
        if not port.external_local:
            return port.cluster, True
        if self.from_pod(source):
            return port.cluster, False
        if source in self.addresses or source.is_loopback:
            return port.cluster, True
        return port.local, False

    def unclaimed(self, ip):
        if any(ip in cluster_ips(service, ip.version) for service in self.watched):
            return {"verdict": "reject"}
        if within(ip, self.service_cidrs[ip.version]):
            return {"verdict": "drop"}
        return {"verdict": "pass"}

    def decide(self, packet):
        source, ip = to_ip(packet["from"]), to_ip(packet["to"])
        kind, port = self.lookup(ip, packet["port"], packet["protocol"])
        if port is None:
            return self.unclaimed(ip)
        if kind == VIP and not self.may_enter(port, source):
            return {"verdict": "drop"}
        if not port.has_any:
            return {"verdict": "reject"}
        backends, snat = self.route(kind, port, source)
        if not backends:
            return {"verdict": "drop"}
        return forward(backends, snat, source, packet["origin"])


def forward(backends, snat, source, origin):
    """snat is left out for the node itself, and where it hangs on the backend that is chosen."""
    expect = {"verdict": "forward", "backends": names(backends)}
    hairpins = [b.ip == source for b in backends]
    if origin != "node" and (snat or all(hairpins) or not any(hairpins)):
        expect["snat"] = bool(snat or all(hairpins))
    return expect


def names(endpoints):
    return sorted(("[%s]:%d" if e.ip.version == 6 else "%s:%d") % (e.ip, e.port) for e in endpoints)
