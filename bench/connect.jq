# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The samples of bench/connect.sh as lines for its tables: tab-separated, the first field says which
# table. $modes: [{mode, base}]. Ratios are made round by round, between neighbours in time, in %.

def quantile($q):
	sort as $s | ((($s | length) - 1) * $q) as $at | ($at | floor) as $i | ($at - $i) as $part |
	$s[$i] + (if $part > 0 then ($s[$i + 1] - $s[$i]) * $part else 0 end);

# [median, lower quartile, upper quartile] of what is there.
def spread:
	map(select(. != null)) |
	if length == 0 then [null, null, null]
	else [quantile(0.5), quantile(0.25), quantile(0.75)] end;

def median: spread | .[0];

def column($key): map(.[$key]);

# Of two lists of samples, round by round.
def ratios($key; $others):
	(reduce $others[] as $o ({}; .[$o.round | tostring] = $o[$key])) as $by |
	map(select(.[$key] != null and $by[.round | tostring] != null) |
		100 * .[$key] / $by[.round | tostring]);

def of($all; $services; $mode; $place):
	[$all[] | select(.services == $services and .mode == $mode and .place == $place)];

def connections($case; $base):
	["connections", $case[0].services, $case[0].mode, $case[0].place] +
	($case | column("connections_per_s") | spread) +
	[$case | (column("connect_us_p50"), column("connect_us_p90"), column("connect_us_p99"),
		column("cpu_us_per_connection")) | median] +
	($case | ratios("connections_per_s"; $base) | spread) +
	[$case | ratios("connect_us_p99"; $base) | median,
	 ($case | column("connections_busy") | map(select(. != null) | 100 * .) | median)];

def transactions($case; $base):
	["transactions", $case[0].services, $case[0].mode, $case[0].place] +
	($case | column("transactions_per_s") | spread) +
	[$case | (column("transaction_us_p50"), column("transaction_us_p99"),
		column("cpu_us_per_transaction")) | median] +
	($case | ratios("transactions_per_s"; $base) | spread) +
	[$case | (column("gbit_1"), column("gbit_4")) | median];

# What nearpath is to be: mode and place, with what it is compared, in what, and the limit.
def targets($all; $services):
	["tc", "first", "direct", "none", "connections_per_s", ">= 97"],
	["tc", "first", "hooks", "none", "connections_per_s", "-"],
	["tc", "first", "direct", "none", "cpu_us_per_connection", "-"],
	["tc", "first", "direct", "none", "connect_us_p95", "-"],
	["tc", "first", "direct", "none", "connect_us_p99", "<= 103"],
	["sock", "first", "node", "none", "connections_per_s", ">= 99"],
	["sock", "first", "node", "none", "cpu_us_per_connection", "-"],
	["redirect", "first", "direct", "none", "connections_per_s", "> 100"],
	["tc", "first", "iptables", "first", "connections_per_s", "> 100"],
	["tc", "first", "iptables", "last", "connections_per_s", "> 100"],
	["tc", "first", "nftables", "first", "connections_per_s", "> 100"],
	["sock", "first", "node-iptables", "first", "connections_per_s", "> 100"],
	["sock", "first", "node-nftables", "first", "connections_per_s", "> 100"] |
	of($all; $services; .[0]; .[1]) as $case | of($all; $services; .[2]; .[3]) as $base |
	select(($case | length) > 0 and ($base | length) > 0) |
	["targets", $services, .[0], .[2], .[3], .[4], .[5]] +
	(.[4] as $key | $case | ratios($key; $base) | spread);

.samples as $all |
($all | map(.services) | unique) as $counts |
[$counts[] as $services | $modes[] as $m | ["none", "first", "middle", "last"][] as $place |
	of($all; $services; $m.mode; $place) | select(length > 0) |
	{case: ., base: of($all; $services; $m.base; "none")}] as $cases |
($cases[] | connections(.case; .base)),
($cases[] | transactions(.case; .base)),
($counts[] as $services | targets($all; $services)) | @tsv
