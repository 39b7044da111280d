# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Samples of a result as points for bench/plot.sh: tab-separated, the name of the line they are on,
# x, then median and quartiles of each value. $part says which.

def quantile($q):
	sort as $s | ((($s | length) - 1) * $q) as $at | ($at | floor) as $i | ($at - $i) as $rest |
	$s[$i] + (if $rest > 0 then ($s[$i + 1] - $s[$i]) * $rest else 0 end);

# "?" is what gnuplot is told to take for missing.
def spread($key):
	map(.[$key] | select(. != null)) |
	if length == 0 then "?", "?", "?" else quantile(0.5, 0.25, 0.75) end;

def points(line; x; $keys):
	group_by([line, x])[] | [(.[0] | line, x), spread($keys[])];

def connect:
	points(.mode + (if .place == "none" then "" else "-" + .place end); .services;
		["connect_us_p50", "connect_us_p99", "cpu_us_per_connection"]);

def family: if .family == "ipv4" then "IPv4" else "IPv6" end;

# Only what was measured with several numbers of flows is a line.
def packet:
	def line: .case + ", " + family;
	map(select(.protocol == "tcp")) | group_by(line) |
	map(select(map(.flows) | unique | length > 1)) | add // [] | points(line; .flows; ["ns"]);

def change:
	map(if .what == "full load" then .what = "load" | .ms = .value * 1000
		elif .what == "one endpoint, p50" then .what = "endpoint" | .ms = .value
		else empty end) |
	points(.system + "-" + .what; .services; ["ms"]);

# Bars: x is the group, in their order.
def forward:
	map(select(.direction == "to_backend") | .packets_per_s /= 1e6) |
	points(.mode; [.family, .uplink != "same", .flows]; ["packets_per_s"]) |
	.[1] |= "IPv\(.[0][3:]), \(if .[1] then "other" else "same" end) uplink, \(.[2]) flow\(
		if .[2] > 1 then "s" else "" end)";

.samples |
if $part == "connect" then connect elif $part == "packet" then packet
elif $part == "change" then change else forward end | @tsv
