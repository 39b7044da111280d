/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Small programs made of raw instructions: the empty ones that are measured against, and
 * "preludes", which put a packet back as it was (or give it a new client) and tail-call what is to
 * be measured. A prelude's baseline is the same prelude before the empty program, so that its own
 * cost, tail call included, is not in the difference. XDP needs one because it takes one from the
 * TTL in every turn, and after 255 turns there is nothing left to forward.
 */
#ifndef NEARPATH_BENCH_PROGRAMS_H
#define NEARPATH_BENCH_PROGRAMS_H

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "frame.h"

#define OP(c, d, s, o, i)                                                                          \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define OP_MOV(d, s)		 OP(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define OP_MOV_IMM(d, i)	 OP(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define OP_ADD_IMM(d, i)	 OP(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define OP_AND_IMM(d, i)	 OP(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, i)
#define OP_SHIFT_R(d, i)	 OP(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define OP_LOAD(z, d, s, o)	 OP(BPF_LDX | BPF_MEM | (z), d, s, o, 0)
#define OP_STORE(z, d, o, s)	 OP(BPF_STX | BPF_MEM | (z), d, s, o, 0)
#define OP_STORE_IMM(z, d, o, i) OP(BPF_ST | BPF_MEM | (z), d, 0, o, i)
#define OP_LESS(d, s, o)	 OP(BPF_JMP | BPF_JGT | BPF_X, d, s, o, 0)
#define OP_CALL(f)		 OP(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define OP_EXIT()		 OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define OP_MAP(d, fd)		 OP(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), OP(0, 0, 0, 0, 0)

#define PROGRAM_MAX 64

/* What a prelude does to the packet before the program sees it: any of these. */
enum prelude {
	PRELUDE_LINK = 1,    /* put back TTL and Ethernet address, which XDP changes */
	PRELUDE_MSS = 2,     /* put back the MSS, which is clamped, and TCP's checksum */
	PRELUDE_RANDOM = 4,  /* the client's port, and last byte of its address, at random */
	PRELUDE_COUNTER = 8, /* the source: another client with every packet */
};

struct program {
	struct bpf_insn insn[PROGRAM_MAX];
	uint32_t count;
};

static inline void program_add(struct program *p, struct bpf_insn insn)
{
	p->insn[p->count++] = insn;
}

static inline void program_add_map(struct program *p, int reg, int fd)
{
	struct bpf_insn insn[] = {OP_MAP(reg, fd)};

	program_add(p, insn[0]);
	program_add(p, insn[1]);
}

/* A descriptor or -errno. */
static inline int program_load(const struct program *p, bool xdp)
{
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = xdp ? BPF_XDP : 0);
	char log[4096] = "";
	int fd;

	o.log_buf = log;
	o.log_size = sizeof(log);
	o.log_level = 1;
	fd = bpf_prog_load(xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "bench", "GPL",
			   p->insn, p->count, &o);
	if (fd < 0)
		fprintf(stderr, "%s", log);
	return fd;
}

static inline int program_empty(bool xdp)
{
	struct program p = {0};

	program_add(&p, OP_MOV_IMM(BPF_REG_0, xdp ? XDP_PASS : -1));
	program_add(&p, OP_EXIT());
	return program_load(&p, xdp);
}

/* r7 becomes the packet; r6 is the context. Leaves by the last two instructions if it is short. */
static inline void prelude_begin(struct program *p, const struct frame *f, bool xdp)
{
	uint32_t data = xdp ? offsetof(struct xdp_md, data) : offsetof(struct __sk_buff, data);
	uint32_t end =
		xdp ? offsetof(struct xdp_md, data_end) : offsetof(struct __sk_buff, data_end);

	program_add(p, OP_MOV(BPF_REG_6, BPF_REG_1));
	program_add(p, OP_LOAD(BPF_W, BPF_REG_7, BPF_REG_1, data));
	program_add(p, OP_LOAD(BPF_W, BPF_REG_3, BPF_REG_1, end));
	program_add(p, OP_MOV(BPF_REG_4, BPF_REG_7));
	program_add(p, OP_ADD_IMM(BPF_REG_4, f->length));
	program_add(p, OP_LESS(BPF_REG_4, BPF_REG_3, 1));
	program_add(p, OP(BPF_JMP | BPF_JA, 0, 0, 2, 0));
	program_add(p, OP_MOV_IMM(BPF_REG_0, 0));
	program_add(p, OP_EXIT());
}

static inline void prelude_link(struct program *p, const struct frame *f)
{
	const struct iphdr *four = (const void *)(f->byte + ETH_HLEN);
	uint32_t at = ETH_HLEN, mac;

	memcpy(&mac, f->byte, sizeof(mac));
	program_add(p, OP_STORE_IMM(BPF_W, BPF_REG_7, 0, mac));
	memcpy(&mac, f->byte + 2, sizeof(mac));
	program_add(p, OP_STORE_IMM(BPF_W, BPF_REG_7, 2, mac));
	if (f->family == NP_IPV6) {
		at += offsetof(struct ipv6hdr, hop_limit);
		program_add(p, OP_STORE_IMM(BPF_B, BPF_REG_7, at, 64));
		return;
	}
	program_add(p, OP_STORE_IMM(BPF_B, BPF_REG_7, at + offsetof(struct iphdr, ttl), 64));
	program_add(
		p, OP_STORE_IMM(BPF_H, BPF_REG_7, at + offsetof(struct iphdr, check), four->check));
}

static inline void prelude_mss(struct program *p, const struct frame *f)
{
	uint32_t at = frame_l4(f);

	program_add(p, OP_STORE_IMM(BPF_H, BPF_REG_7, at + sizeof(struct tcphdr) + 2,
				    htons(FRAME_MSS)));
	program_add(p, OP_STORE_IMM(BPF_H, BPF_REG_7, at + offsetof(struct tcphdr, check),
				    FRAME_CHECK));
}

/* One of so many flows, a power of two, to 256 * 65,536. to_client: it is the destination. */
static inline void prelude_random(struct program *p, const struct frame *f, bool to_client,
				  uint32_t flows)
{
	uint32_t length = f->family == NP_IPV4 ? 4 : 16;
	uint32_t address = frame_l4(f) - (to_client ? 1 : 1 + length);

	program_add(p, OP_CALL(BPF_FUNC_get_prandom_u32));
	program_add(p, OP_AND_IMM(BPF_REG_0, flows - 1));
	program_add(p, OP_STORE(BPF_H, BPF_REG_7, frame_l4(f) + (to_client ? 2 : 0), BPF_REG_0));
	program_add(p, OP_SHIFT_R(BPF_REG_0, 16));
	program_add(p, OP_STORE(BPF_B, BPF_REG_7, address, BPF_REG_0));
}

/* The counter lives in an array of one: plain loads and stores, for one CPU measures. */
static inline void prelude_counter(struct program *p, const struct frame *f, int counter_fd)
{
	uint32_t source = f->family == NP_IPV4 ? offsetof(struct iphdr, saddr) + 2
					       : offsetof(struct ipv6hdr, saddr) + 14;

	program_add(p, OP_STORE_IMM(BPF_W, BPF_REG_10, -4, 0));
	program_add(p, OP_MOV(BPF_REG_2, BPF_REG_10));
	program_add(p, OP_ADD_IMM(BPF_REG_2, -4));
	program_add_map(p, BPF_REG_1, counter_fd);
	program_add(p, OP_CALL(BPF_FUNC_map_lookup_elem));
	program_add(p, OP(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 1, 0));
	program_add(p, OP_EXIT());
	program_add(p, OP_LOAD(BPF_W, BPF_REG_1, BPF_REG_0, 0));
	program_add(p, OP_ADD_IMM(BPF_REG_1, 1));
	program_add(p, OP_STORE(BPF_W, BPF_REG_0, 0, BPF_REG_1));
	program_add(p, OP_STORE(BPF_H, BPF_REG_7, frame_l4(f), BPF_REG_1));
	program_add(p, OP_SHIFT_R(BPF_REG_1, 16));
	program_add(p, OP_STORE(BPF_H, BPF_REG_7, ETH_HLEN + source, BPF_REG_1));
}

/* Tail-calls entry 0 of the program array. A descriptor or -errno. */
static inline int program_prelude(unsigned prelude, uint32_t flows, bool to_client,
				  const struct frame *f, bool xdp, int target_fd, int counter_fd)
{
	struct program p = {0};

	prelude_begin(&p, f, xdp);
	if (prelude & PRELUDE_LINK)
		prelude_link(&p, f);
	if (prelude & PRELUDE_MSS)
		prelude_mss(&p, f);
	if (prelude & PRELUDE_RANDOM)
		prelude_random(&p, f, to_client, flows);
	if (prelude & PRELUDE_COUNTER)
		prelude_counter(&p, f, counter_fd);
	program_add(&p, OP_MOV(BPF_REG_1, BPF_REG_6));
	program_add_map(&p, BPF_REG_2, target_fd);
	program_add(&p, OP_MOV_IMM(BPF_REG_3, 0));
	program_add(&p, OP_CALL(BPF_FUNC_tail_call));
	program_add(&p, OP_MOV_IMM(BPF_REG_0, 77)); /* seen by the caller: no tail call was made */
	program_add(&p, OP_EXIT());
	return program_load(&p, xdp);
}

#endif
