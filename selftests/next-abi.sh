#!/bin/bash
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# next-abi.sh SOURCES FOLDER: copies what nearpathd is built from and makes another ABI version of
# it, whose layout this one has never seen: flow records with their fields in another order and
# grown, states with other numbers, other structs for services, backends, counters and config. For
# the tests of upgrades, which exchange the two.

set -euo pipefail

SOURCES=$1
TARGET=$2
FOLDER=$TARGET.made

# edit FILE PYTHON-LIKE...: each pair OLD NEW must occur.
edit() {
	local file=$FOLDER/$1
	shift
	python3 - "$file" "$@" <<-'END'
		import sys
		path, pairs = sys.argv[1], sys.argv[2:]
		text = open(path).read()
		for old, new in zip(pairs[::2], pairs[1::2]):
		    if old not in text:
		        sys.exit("next-abi.sh: %s has no %r: bring this script in line" % (path, old))
		    text = text.replace(old, new, 1)
		if open(path).read() != text:
		    open(path, "w").write(text)
	END
}

version() {
	sed -nE 's/^#define NP_ABI_VERSION ([0-9]+)$/\1/p' "$SOURCES/maps/abi.h"
}

# The asserts of sizes are for whoever changes a struct by mistake.
no_asserts() {
	sed -i -E '/^NP_STATIC_ASSERT\(sizeof\(struct np_(flow|flow4|flow6|service|config|service_stats|backend)\) ==/d' \
		"$FOLDER"/maps/{flow,service,iface,stats}.h
	sed -i '/^NP_STATIC_ASSERT(0 CONFIG_LIST/d' "$FOLDER/loader/audit.c"
}

# Only what differs is written, so that only that is built again.
publish() {
	local file
	while read -r file; do
		cmp -s "$FOLDER/$file" "$TARGET/$file" && continue
		mkdir -p "$(dirname "$TARGET/$file")"
		cp "$FOLDER/$file" "$TARGET/$file"
	done < <(cd "$FOLDER" && find . -type f)
	while read -r file; do
		[[ -e $FOLDER/$file ]] || rm "$TARGET/$file"
	done < <(cd "$TARGET" && find . -type f)
	rm -rf "$FOLDER"
}

main() {
	rm -rf "$FOLDER"
	mkdir -p "$FOLDER"
	cp -rp "$SOURCES"/{Makefile,maps,datapath,tc,xdp,sock,loader} "$FOLDER"
	edit maps/abi.h "NP_ABI_VERSION $(version)" "NP_ABI_VERSION $(($(version) + 1))" \
		'	X(NO_SERVICE, "no_service", "passed: for no service (never counted)")' \
		'	X(NEXT, "next", "of the next version") X(NO_SERVICE, "no_service", "passed")' \
		'	X(NODE, "node") ' '	X(NEXT, "next") X(NODE, "node") '
	edit maps/flow.h '	__u32 seq;
	__u32 seen;' '	__u32 grown;
	__u32 backend;
	__u32 seen;' \
		'	__be16 port[NP_PLACES];
	__u32 index[NP_NAMES]; /*' '	__u32 index[NP_NAMES];
	__u32 seq;
	__be16 port[NP_PLACES]; /*' \
		'	__u32 backend; /* number' '	__u64 grown2[2]; /*' \
		'		__u8 protocol;
		__u8 state; /* enum np_flow_state */
		__u16 flags;' '		__u16 flags;
		__u8 state; /* enum np_flow_state */
		__u8 protocol;' \
		'			__u8 protocol;
			__u8 state; /* enum np_flow_state */
			__u16 flags;' '			__u16 flags;
			__u8 state; /* enum np_flow_state */
			__u8 protocol;' \
		'	__be32 addr[NP_PLACES];
};' '	__be32 addr[NP_PLACES];
	__u8 grown3[32];
};' \
		'	__u8 pad[16];' '	__u8 pad[48];' \
		'	X(TCP_SYN_SENT,' '	X(NEXT, "next", 60) X(TCP_SYN_SENT,'
	edit maps/service.h '	union np_addr addr; /* all zero for a NodePort' \
		'	__u32 grown[4];
	union np_addr addr; /* all zero for a NodePort' \
		'	__u8 spare[24];' '	__u8 spare[24];
	__u64 grown[2];' \
		'	union np_addr addr;
	union np_addr snat;' '	union np_addr snat;
	union np_addr addr;'
	edit maps/iface.h '	__u32 abi_version;
' '	__u32 abi_version;
	__u32 grown[4];
' '	__u32 handover;' '	__u32 grown2[2];
	__u32 handover;'
	no_asserts
	publish
}

main
