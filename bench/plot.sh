#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Plots of the benchmarks' results, as SVG beside them. What was not measured is not drawn.

set -euo pipefail

BENCH=$(dirname "$0")
RESULTS=${1:-$BENCH/results}
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

# Of Okabe and Ito, whose colours are told apart by colour-blind readers too.
BLACK='#000000' GREY='#888888' BLUE='#0072B2' SKY='#56B4E9' GREEN='#009E73'
VERMILION='#D55E00' ORANGE='#E69F00' PURPLE='#CC79A7'
SERVICES='"1" 1, "10" 10, "100" 100, "1,000" 1000, "10,000" 10000, "100,000" 100000'

# --- parts -------------------------------------------------------------------------------------

# points PART: each line of it is a file in $DIR/PART, its name in the file NAMES.
points() {
	mkdir "$DIR/$1"
	jq -r --arg part "$1" -f "$BENCH/plot.jq" "$RESULTS/$1.json" | awk -F '\t' -v dir="$DIR/$1" '
		!($1 in file) {
			file[$1] = dir "/" (++lines)
			print $1 > (dir "/names")
		}
		{ print > file[$1] }'
}

# file_of PART LINE: where its points are; nothing if it has none.
file_of() {
	local number
	number=$(grep -nxF -- "$2" "$DIR/$1/names" | cut -d : -f 1)
	[[ -z $number ]] || echo "$DIR/$1/$number"
}

# machine_of PART: on what it was measured, in one line.
machine_of() {
	jq -r '.machine | "\(.cpu), \(.cores) cores, Linux \(.kernel), \(.date[:10])" |
		gsub("\\(R\\)"; "")' "$RESULTS/$1.json"
}

# --- gnuplot -----------------------------------------------------------------------------------

# begin NAME WIDTH HEIGHT PART TITLE
begin() {
	cat <<-END
		set terminal svg size $2,$3 background "white" font "Helvetica,Arial,sans-serif,14" noenhanced
		set output "$RESULTS/$1.svg"
		set datafile separator "\t"
		set datafile missing "?"
		set border 3 lc rgb "$GREY"
		set tics nomirror out textcolor rgb "$BLACK"
		set grid ytics lc rgb "#DDDDDD" lt 1 lw 1
		set label 1 "$5" at screen 0.012, 1 offset 0,-1.1 font ",17"
		set label 2 "$(machine_of "$4")" at screen 0.012, 0 offset 0,0.8 font ",11" tc rgb "#666666"
		set key left top Left reverse samplen 2.5 spacing 1.15
	END
}

# panel LEFT RIGHT BOTTOM TOP: of the whole, from 0 to 1.
panel() {
	echo "set lmargin at screen $1; set rmargin at screen $2"
	echo "set bmargin at screen $3; set tmargin at screen $4"
}

# Above the axis, as labels beside it are hard to read.
subtitle() {
	echo "set label 3 '$1' at graph 0, graph 1 offset -6,0.8"
}

key_at() {
	echo "set key at screen $1, $2 left top vertical Left reverse samplen 2.5 spacing 1.2"
}

# lines PART COLUMN: the plot command for lines of stdin, "NAME|TITLE|COLOUR|DASHES|POINT", in this
# order; their medians are in the column, their quartiles in the two after it. Nothing: no lines.
lines() {
	local part=$1 column=$2 name title colour dashes point file comma='plot '
	while IFS='|' read -r name title colour dashes point; do
		file=$(file_of "$part" "$name")
		[[ -n $file ]] || continue
		printf '%s"%s" using 2:%d:%d:%d with yerrorlines lc rgb "%s" dt %s pt %s ps 0.7 lw 2 title "%s"' \
			"$comma" "$file" "$column" $((column + 1)) $((column + 2)) "$colour" "$dashes" \
			"$point" "$title"
		comma=', \
	'
	done
	echo
}

# --- plots -------------------------------------------------------------------------------------

pod_lines() {
	cat <<-END
		iptables-last|iptables, last service|$VERMILION|2|8
		iptables-middle|iptables, middle|$ORANGE|2|10
		iptables-first|iptables, first|$VERMILION|1|9
		nftables-first|nftables|$PURPLE|1|5
		tc-first|nearpath|$BLUE|1|7
		redirect-first|nearpath, redirect|$SKY|1|13
		direct|no service, no rules|$BLACK|3|6
	END
}

node_lines() {
	cat <<-END
		node-iptables-first|iptables, first service|$VERMILION|1|9
		node-nftables-first|nftables|$PURPLE|1|5
		sock-first|nearpath, sock|$GREEN|1|7
		node|no service, no rules|$BLACK|3|6
	END
}

services_axis() {
	echo 'set logscale x; set xrange [0.8:125000]'
	echo "set xtics ($SERVICES) font ',12'; set xlabel 'services' offset 0,0.4"
}

# time_axis COLUMN: for the lines of stdin, in microseconds. From 0; or in steps of a factor, where
# the largest is more than five times the smallest.
time_axis() {
	local name file
	while IFS='|' read -r name _; do
		file=$(file_of connect "$name")
		[[ -z $file ]] || cat "$file"
	done | awk -F '\t' -v column="$1" '
		$column == "?" { next }
		!n++ || $(column + 1) < min { min = $(column + 1) }
		$(column + 2) > max { max = $(column + 2) }
		END {
			if (max <= 5 * min) {
				print "unset logscale y; set ytics autofreq; set yrange [0:" 1.1 * max "]"
				exit
			}
			print "set logscale y; set yrange [" min / 1.2 ":" max * 1.2 "]"
			print "set ytics (1, 2, 5, 10, 20, 50, 100, 200, 500, \"1,000\" 1000," \
				"\"2,000\" 2000, \"5,000\" 5000, \"10,000\" 10000, \"20,000\" 20000)"
		}'
}

# connections LINES COLUMN TITLE: one panel.
connections() {
	"$1" | time_axis "$2"
	subtitle "$3"
	"$1" | lines connect "$2"
	echo 'unset label 1; unset label 2'
}

plot_latency() {
	begin latency-by-services 1000 860 connect \
		"A new connection and its first answer, by number of services"
	echo "set multiplot; unset key"
	services_axis
	panel 0.075 0.385 0.575 0.88
	connections pod_lines 3 "µs, from a pod: median"
	panel 0.45 0.76 0.575 0.88
	key_at 0.775 0.88
	connections pod_lines 6 "µs, from a pod: 99 of 100 within"
	echo 'unset key'
	panel 0.075 0.385 0.115 0.42
	connections node_lines 3 "µs, from a process of the node: median"
	panel 0.45 0.76 0.115 0.42
	key_at 0.775 0.42
	connections node_lines 6 "µs, from a process of the node: 99 of 100 within"
}

plot_cpu() {
	begin cpu-by-services 1000 860 connect "CPU time of a new connection, by number of services"
	echo "set multiplot"
	services_axis
	panel 0.075 0.74 0.575 0.88
	key_at 0.76 0.88
	connections pod_lines 9 "µs, from a pod"
	panel 0.075 0.74 0.115 0.42
	key_at 0.76 0.42
	connections node_lines 9 "µs, from a process of the node"
}

# Every line that there is: a colour for each case, dashes for IPv6.
packet_lines() {
	local -a colours=("$BLUE" "$GREEN" "$VERMILION" "$PURPLE" "$SKY" "$ORANGE" "$BLACK" "$GREY")
	local -A number=()
	local name case n dashes
	while read -r name; do
		case=${name%, IPv?}
		: "${number[$case]:=${#number[@]}}"
		n=${number[$case]}
		[[ $name == *6 ]] && dashes=2 || dashes=1
		echo "$name|$name|${colours[n % ${#colours[@]}]}|$dashes|$((5 + 2 * (n % 5)))"
	done <"$DIR/packet/names"
}

plot_packet() {
	begin ns-by-flows 1000 520 packet "Time of a packet in the program, by number of flows at random"
	panel 0.075 0.58 0.17 0.84
	cat <<-'END'
		set logscale x 2; set xrange [0.7:1500000]; set yrange [0:*]
		set xtics ("1" 1, "4,096" 4096, "65,536" 65536, "1,048,576" 1048576); set xlabel "flows" offset 0,0.4
	END
	subtitle "ns over the empty program; 1 flow: hot"
	key_at 0.60 0.84
	packet_lines | lines packet 3
}

plot_change() {
	begin change-by-services 1000 520 change "Time until packets see a change, by number of services"
	panel 0.08 0.66 0.17 0.88
	services_axis
	cat <<-'END'
		set logscale y; set yrange [0.01:*]; set xrange [80:125000]
		set ytics ("10 µs" 0.01, "0.1 ms" 0.1, "1 ms" 1, "10 ms" 10, "0.1 s" 100, "1 s" 1000, "10 s" 1e4, "100 s" 1e5, "1000 s" 1e6)
	END
	key_at 0.69 0.88
	lines change 3 <<-END
		iptables-load|iptables, all services anew|$VERMILION|1|9
		nftables-load|nftables, all services anew|$PURPLE|1|5
		nearpath-load|nearpath, all services anew|$BLUE|1|7
		iptables-endpoint|iptables, one endpoint|$VERMILION|2|8
		nftables-endpoint|nftables, one endpoint|$PURPLE|2|4
		nearpath-endpoint|nearpath, one endpoint|$BLUE|2|6
	END
}

# bars NUMBER MODE|TITLE|COLOUR: of each group the bar with this number.
bar() {
	local mode title colour file at="(\$0 * 5 + $1)"
	IFS='|' read -r mode title colour <<<"$2"
	file=$(file_of forward "$mode")
	echo "'$file' using $at:3 with boxes fs solid noborder lc rgb '$colour' title '$title', \\"
	echo "'$file' using $at:4:(0):(\$5 - \$4) with vectors nohead lw 2 lc rgb '$BLACK' notitle, \\"
	echo "'$file' using $at:5:(sprintf(\$3 < 10 ? '%.2f' : '%.1f', \$3)) with labels" \
		"offset 0,0.6 font ',11' notitle, \\"
}

plot_forward() {
	begin forward 1000 520 forward "NodePort packets to backends on other nodes, on one core"
	panel 0.075 0.98 0.22 0.78
	awk -F '\t' '{
			gsub(/, /, "\\n", $2)
			printf "%s \"%s\" %d", (NR == 1 ? "set xtics (" : ","), $2, (NR - 1) * 5 + 1.5
		}
		END { print ") font \",12\"" }' "$(file_of forward nearpath-xdp)"
	subtitle "million packets a second, from client to backend"
	cat <<-'END'
		set yrange [0:*]; set xrange [-1:*]; set boxwidth 0.9
		set key at screen 0.075, 0.92 left top horizontal maxrows 1 samplen 1.5 width 2
		plot \
	END
	bar 0 "bare-redirect|XDP, bare redirect|$GREY"
	bar 1 "nearpath-xdp|nearpath, XDP|$GREEN"
	bar 2 "nearpath-tc|nearpath, tc|$BLUE"
	bar 3 "iptables|iptables|$VERMILION"
	echo
}

# --- all ---------------------------------------------------------------------------------------

declare -A PLOTS=([packet]=packet [connect]="latency cpu" [change]=change [forward]=forward)

for part in "${!PLOTS[@]}"; do
	if [[ ! -e $RESULTS/$part.json ]]; then
		echo "plot.sh: no \"$RESULTS/$part.json\": make bench-$part" >&2
		continue
	fi
	points "$part"
	for plot in ${PLOTS[$part]}; do
		"plot_$plot" >"$DIR/commands"
		gnuplot "$DIR/commands"
	done
done
