# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# The lines of connect.jq as tables.

function number(value, format) {
	return value == "" ? "-" : sprintf(format, value)
}

function range(low, high, format) {
	return low == "" ? "" : sprintf("(" format "-" format ")", low, high)
}

# A new table, or another number of services in the same.
function head(    ruler) {
	if ($1 != table) {
		printf "%s", (NR > 1 ? "\n" : "")
		if ($1 == "connections") {
			print "connections: connect, a byte there and back, reset; one at a time," \
				" client and server on one CPU"
			printf "%8s %-13s %-6s %7s %-15s %6s %6s %6s %6s %6s %-15s %6s %5s\n", \
				"services", "", "place", "per s", "(quartiles)", "p50 us", "p90", "p99", \
				"CPU us", "of dir", "(quartiles)", "p99 of", "busy"
		} else if ($1 == "transactions") {
			print "on open connections: a byte there and back, one at a time; iperf3"
			printf "%8s %-13s %-6s %7s %-15s %6s %6s %6s %6s %-15s %8s %8s\n", "services", \
				"", "place", "per s", "(quartiles)", "p50 us", "p99", "CPU us", \
				"of dir", "(quartiles)", "Gbit/s 1", "4"
		} else {
			print "what is aimed at: % of what it is compared with, in the same round"
		}
	} else if ($2 != services) {
		print ""
	}
	table = $1
	services = $2
}

{
	head()
}

$1 == "connections" {
	printf "%8d %-13s %-6s %7.0f %-15s %6.1f %6.1f %6.1f %6.1f %6s %-15s %6s %5s\n", $2, $3, \
		$4 == "none" ? "" : $4, $5, range($6, $7, "%.0f"), $8, $9, $10, $11, \
		number($12, "%.1f"), range($13, $14, "%.1f"), number($15, "%.1f"), \
		number($16, "%.0f")
}

$1 == "transactions" {
	printf "%8d %-13s %-6s %7.0f %-15s %6.2f %6.2f %6.2f %6s %-15s %8s %8s\n", $2, $3, \
		$4 == "none" ? "" : $4, $5, range($6, $7, "%.0f"), $8, $9, $10, \
		number($11, "%.1f"), range($12, $13, "%.1f"), number($14, "%.1f"), \
		number($15, "%.1f")
}

$1 == "targets" {
	what = $6 ~ /^connect_us_/ ? substr($6, 12) : ($6 ~ /^cpu/ ? "CPU" : "connections/s")
	with = $4 ($5 == "none" ? "" : " " $5)
	split($7, limit, " ") # as ">= 97"
	met = limit[1] == "-" || (limit[1] == "<=" && $8 <= limit[2] + 0) || \
		(limit[1] == ">=" && $8 >= limit[2] + 0) || (limit[1] == ">" && $8 > limit[2] + 0)
	printf "%8d %-8s %-13s of %-19s %-6s %7.1f %-15s %s\n", $2, $3, what, with, $7, $8, \
		range($9, $10, "%.1f"), met ? "" : "missed"
}

END {
	print "\nof dir: % of direct (node processes: of node), the median of the rounds. CPU: of client, server and"
	print "ksoftirqd, with the interrupts that came meanwhile; busy: how much of the time that is, %."
	print "p99 is where the timer begins to show: a tick 250 times a second meets 7 in 1000"
	print "connections of 27 us, 17 in 1000 of 69."
}
