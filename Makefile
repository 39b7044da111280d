# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
# Builds nearpath: BPF objects, their skeletons, nearpathd and nearpath, tests and benchmarks.
# "make help" lists the targets; V=1 shows the commands.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
VERSION := 0.1

CFLAGS  ?= -O2 -g
CFLAGS  += -std=gnu11 -D_GNU_SOURCE -DNEARPATH_VERSION='"$(VERSION)"' -Wall -Wextra -Werror \
	-Wno-format-truncation -MMD -MP
CPPFLAGS += -I$(BUILD) -I$(BUILD)/skel -Iloader
MULTIARCH = $(shell $(CC) -print-multiarch)
# The machine that runs the programs, for x86 and arm64 by libbpf's names.
BPFARCH = $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(firstword $(subst -, ,$(MULTIARCH)))))
BPFFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -MMD -MP -I/usr/include/$(MULTIARCH) \
	-D__TARGET_ARCH_$(BPFARCH)

DAEMON_LIBS  := -lpthread -lxdp -lbpf -lelf -lz -levent -ljansson -lmnl -lsystemd -lyaml
# The command can play the daemon (nearpath explain --state).
COMMAND_LIBS := -Wl,--as-needed $(DAEMON_LIBS)

# What the command is made of; what both share; all the rest of loader/ is the daemon's.
COMMAND_SRC := loader/nearpath.c loader/client.c loader/out.c $(wildcard loader/cmd*.c)
SHARED_SRC  := loader/rpc.c
DAEMON_SRC  := $(filter-out $(COMMAND_SRC) $(SHARED_SRC),$(wildcard loader/*.c))
DAEMON_LIB_SRC := $(filter-out loader/nearpathd.c,$(DAEMON_SRC))
TOOLS := $(patsubst selftests/tools/%.c,$(BUILD)/selftests/%,$(wildcard selftests/tools/*.c))
UNITS := $(patsubst selftests/unit/%.c,$(BUILD)/selftests/unit/%,$(wildcard selftests/unit/*/test_*.c))
PACKETS := $(patsubst selftests/packet/%.c,$(BUILD)/selftests/packet/%.o,$(wildcard selftests/packet/*.c))
STRESS := $(patsubst selftests/stress/%.c,$(BUILD)/selftests/stress/%.o,$(wildcard selftests/stress/*.c))
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(filter-out bench/kubeproxy_%.c bench/change_%.c,$(wildcard bench/*.c)))
SKELS := $(BUILD)/skel/tc.skel.h $(BUILD)/skel/xdp.skel.h $(BUILD)/skel/sock.skel.h

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

ifeq ($(V),1)
Q =
say =
else
Q = @
say = @printf '  %-6s %s\n' '$(1)' '$(2)';
endif

.PHONY: all tests deps demo check test model install uninstall clean help format lint \
	bench bench-quick bench-packet bench-connect bench-change bench-forward bench-plot
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/nearpathd $(BUILD)/nearpath $(TOOLS) ## build everything (default)

# Debian packages; installed only where one is missing, so that it is quiet and quick otherwise.
PACKAGES := gcc make clang llvm libbpf-dev libxdp-dev bpftool libelf-dev zlib1g-dev libevent-dev \
	libjansson-dev libmnl-dev libsystemd-dev uthash-dev libyaml-dev libgcrypt20-dev libcmocka-dev \
	pkg-config iproute2 iptables nftables ethtool procps python3 util-linux jq kmod curl spin \
	gnuplot-nox iperf3
deps: ## install what nearpath needs, from Debian's packages
	$(Q)missing=; for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	fi

demo: deps ## build, then show the same traffic over kube-proxy's rules and over nearpath
	$(Q)$(MAKE) --no-print-directory -s all $(BUILD)/bench/kubeproxy
	$(Q)NEARPATH_BUILD=$(abspath $(BUILD)) selftests/demo.sh

check: deps ## build, then run every test; ends with "N passed, N failed"
	$(Q)$(MAKE) --no-print-directory -s test

BENCH_CONNECT := $(addprefix $(BUILD)/bench/,load hooks objects kubeproxy machine)
ANY   := $(BUILD)/any/tc/tc.bpf.o $(BUILD)/any/xdp/xdp.bpf.o
TESTS := $(BUILD)/next/nearpathd $(ANY) $(UNITS) $(BUILD)/selftests/packet/run $(BUILD)/selftests/vectors \
	$(BUILD)/selftests/stress/stress $(BUILD)/bench/packet $(BUILD)/bench/forward $(BENCH_CONNECT)
tests: all $(TESTS) ## build all that selftests/run NAME... needs

test: tests
	$(Q)NEARPATH_BUILD=$(abspath $(BUILD)) selftests/run

model: ## the flow table's protocol in every order of its steps, by spin
	$(Q)selftests/model.sh --all

# Results of a quick run are not for keeping.
RESULTS ?= $(if $(QUICK),$(BUILD)/bench/results,bench/results)
bench_options = $(if $(QUICK),-q )--json $(RESULTS)/$(1).json
BENCH_PARTS := packet connect change forward

# Results say of what they are.
bench_commit = $(shell git rev-parse --short HEAD 2>/dev/null && { git diff --quiet HEAD -- . ':!bench/results' || echo changed; })
bench-packet bench-connect bench-forward bench-change: export NEARPATH_COMMIT = $(bench_commit)

bench: deps ## every benchmark, then plots, in bench/results: a quarter of an hour
	$(Q)n=0; for part in $(BENCH_PARTS); do \
		n=$$((n + 1)); \
		echo "== bench-$$part, $$n of $(words $(BENCH_PARTS))" >&2; \
		$(MAKE) --no-print-directory -s bench-$$part || exit; \
	done
	$(Q)$(MAKE) --no-print-directory -s bench-plot
	@echo "results and plots are in $(RESULTS)" >&2

bench-quick: ## the same in two minutes, roughly, in build/bench/results
	$(Q)$(MAKE) --no-print-directory -s bench QUICK=1

bench-plot: ## plots of the results that there are
	$(Q)bench/plot.sh $(RESULTS)

bench-packet: $(BUILD)/bench/packet ## ns a packet of the loaded programs, over the empty program
	$(Q)mkdir -p $(RESULTS)
	$(Q)NEARPATH_BUILD=$(abspath $(BUILD)) selftests/stack.py --list >$(BUILD)/bench/stack
	$(Q)$(BUILD)/bench/packet --stack $(BUILD)/bench/stack $(call bench_options,packet)

bench-connect: $(BUILD)/nearpathd $(BUILD)/nearpath $(BENCH_CONNECT) ## connections through a Service, by who carries it
	$(Q)mkdir -p $(RESULTS)
	$(Q)NEARPATH_BUILD=$(abspath $(BUILD)) bench/connect.sh $(call bench_options,connect)

bench-forward: $(BUILD)/bench/forward ## packets a second that XDP forwards, beside tc and iptables
	$(Q)mkdir -p $(RESULTS)
	$(Q)$(BUILD)/bench/forward $(call bench_options,forward)

bench-change: all $(BUILD)/bench/change $(BUILD)/bench/objects $(BUILD)/bench/kubeproxy ## what a change costs, beside iptables and nft
	$(Q)mkdir -p $(RESULTS)
	$(Q)$(BUILD)/bench/change $(call bench_options,change)

$(BUILD)/%.bpf.o: %.bpf.c
	$(call say,BPF,$@)mkdir -p $(@D) && $(CLANG) $(BPFFLAGS) -c $< -o $@

$(BUILD)/skel/%.skel.h: $(BUILD)/%.stripped.o
	$(call say,SKEL,$@)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/tc.stripped.o: $(BUILD)/tc/tc.bpf.o
	$(call say,GEN,$@)$(BPFTOOL) gen object $@ $<

$(BUILD)/xdp.stripped.o: $(BUILD)/xdp/xdp.bpf.o
	$(call say,GEN,$@)$(BPFTOOL) gen object $@ $<

$(BUILD)/sock.stripped.o: $(BUILD)/sock/sock.bpf.o
	$(call say,GEN,$@)$(BPFTOOL) gen object $@ $<

$(BUILD)/%.o: %.c | $(SKELS)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# Results say what compiled the programs.
$(BUILD)/bench/%.o: CPPFLAGS += -DNEARPATH_CLANG='"$(shell $(CLANG) --version | head -n 1)"'

$(BUILD)/nearpathd: $(call objects,$(DAEMON_SRC) $(SHARED_SRC))
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS)

$(BUILD)/nearpath: $(BUILD)/loader/nearpath.o $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(COMMAND_LIBS)

# The daemon without its main, and the command without its: what tests and benchmarks link.
$(BUILD)/libnearpath.a: $(call objects,$(DAEMON_LIB_SRC) $(filter-out loader/nearpath.c,$(COMMAND_SRC)) $(SHARED_SRC))
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/selftests/vectors: $(BUILD)/selftests/vectors.o $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS)

$(BUILD)/selftests/%: $(BUILD)/selftests/tools/%.o
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $< -o $@ -lbpf

# What happens in a grace period, this test does.
$(BUILD)/selftests/unit/loader/test_layout: LDFLAGS += -Wl,--wrap=tables_synchronize

$(BUILD)/selftests/unit/%: $(BUILD)/selftests/unit/%.o $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ -lcmocka $(DAEMON_LIBS)

$(BUILD)/selftests/packet/run: $(PACKETS) $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ -lcmocka $(DAEMON_LIBS)

$(BUILD)/selftests/stress/stress: $(STRESS) $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS) -lpthread

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS)

# kube-proxy's rules, of the same objects; libgcrypt has the hash of its names.
$(BUILD)/bench/change: $(call objects,$(wildcard bench/change*.c)) $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS)

$(BUILD)/bench/kubeproxy: $(call objects,$(wildcard bench/kubeproxy*.c)) $(BUILD)/libnearpath.a
	$(call say,LINK,$@)$(CC) $(LDFLAGS) $^ -o $@ $(DAEMON_LIBS) -lgcrypt

# The same daemon with another ABI version and layout, for the tests of upgrades; its programs order
# loads as for any machine.
NEXT_SRC := Makefile $(foreach d,maps datapath tc xdp sock loader,$(wildcard $(d)/*.[ch]))
$(BUILD)/next/nearpathd: selftests/next-abi.sh $(NEXT_SRC)
	$(call say,NEXT,$@)selftests/next-abi.sh . $(BUILD)/next/src && \
		CFLAGS=-O1 $(MAKE) --no-print-directory -s -C $(BUILD)/next/src BPFARCH=any \
		BUILD=$(abspath $(BUILD)/next) $(abspath $(BUILD)/next/nearpathd)

# As they are for machines that reorder loads: selftests/stack.py looks at them too.
$(ANY) &: Makefile $(foreach d,maps datapath tc xdp,$(wildcard $(d)/*.[ch]))
	$(call say,ANY,$(BUILD)/any)$(MAKE) --no-print-directory -s BPFARCH=any BUILD=$(BUILD)/any $(ANY)

install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/nearpathd $(DESTDIR)$(PREFIX)/sbin/nearpathd
	install -D -m 755 $(BUILD)/nearpath $(DESTDIR)$(PREFIX)/bin/nearpath
	install -D -m 644 deploy/nearpathd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/nearpathd.service

uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/sbin/nearpathd $(DESTDIR)$(PREFIX)/bin/nearpath \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/nearpathd.service

C_FILES = $(shell git ls-files '*.c' '*.h')
format: ## clang-format all C
	$(Q)clang-format -i $(C_FILES)

lint: $(SKELS) ## clang-format (dry), cppcheck, clang-tidy, shellcheck
	$(Q)clang-format --dry-run --Werror $(C_FILES)
	$(Q)cppcheck -q --error-exitcode=1 --enable=warning,portability --inline-suppr \
		--suppressions-list=.cppcheck-suppressions -Iloader loader selftests/tools bench
	$(Q)clang-tidy --quiet $(wildcard loader/*.c) -- $(CPPFLAGS) -std=gnu11 -D_GNU_SOURCE \
		-DNEARPATH_VERSION='""'
	$(Q)shellcheck -x -e SC1091 .ci/run selftests/run selftests/vectors $(shell git ls-files '*.sh')

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

-include $(shell find $(BUILD) -name '*.d' -not -path '$(BUILD)/next/*' -not -path '$(BUILD)/any/*' 2>/dev/null)
