/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Frames that are sent for real, by BPF_PROG_TEST_RUN in its live mode: a "source" writes them and
 * sends them over a link, whose other end gets them as from a wire; a "sink" at the end of their
 * way counts them. All on the core of the process that runs the source. The kernel hands out the
 * same few pages again and again, as they were left the turn before, so a source writes all headers
 * anew.
 */
#ifndef NEARPATH_BENCH_LIVE_H
#define NEARPATH_BENCH_LIVE_H

#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>

#include "programs.h"

#define LIVE_BATCH	64    /* frames a turn, as NAPI has it */
#define LIVE_PORT_FIRST 32768 /* of the clients; flows are told apart by it */

/* What is at the far end of a link counts and drops. */
struct arrived {
	uint64_t packets;
	uint64_t keep;	   /* so many bytes, at most 255, of each packet, which is this long */
	uint8_t byte[255]; /* of the last one */
	uint8_t pad;
};

static inline uint32_t live_sum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i + 1 < length; i += 2)
		sum += byte[i] << 8 | byte[i + 1];
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

/* Of TCP and the pseudo header: 0xFFFF if the checksum is in it and right. */
static inline uint32_t live_l4_sum(const uint8_t *byte, int family, uint32_t length)
{
	uint32_t addresses = family == NP_IPV4 ? 8 : 32;
	uint32_t l4 =
		ETH_HLEN + (family == NP_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	uint32_t sum = live_sum(byte + l4 - addresses, addresses, IPPROTO_TCP + length - l4);

	return live_sum(byte + l4, length - l4, sum);
}

static inline uint32_t live_l3_sum(const uint8_t *byte, int family)
{
	return family == NP_IPV4 ? live_sum(byte + ETH_HLEN, sizeof(struct iphdr), 0) : 0xFFFF;
}

/* Where the payload begins. Its first two bytes make up for the port: the sum is of all flows. */
static inline uint32_t live_payload(const struct frame *f)
{
	return frame_l4(f) + sizeof(struct tcphdr);
}

/* A TCP packet in mid-flow with right checksums. dst_mac: the receiving interface's. */
static inline void live_frame(struct frame *f, int family, const struct end *src,
			      const struct end *dst, const uint8_t dst_mac[6], uint32_t client_port)
{
	struct iphdr *four = (void *)(f->byte + ETH_HLEN);
	struct tcphdr *tcp;

	frame_make(f, family, IPPROTO_TCP, 0x10, src, dst);
	memcpy(f->byte, dst_mac, 6);
	*(uint16_t *)(f->byte + live_payload(f)) = ~htons(client_port);
	if (family == NP_IPV4) {
		four->check = 0;
		four->check = htons(~live_l3_sum(f->byte, family));
	}
	tcp = (void *)(f->byte + frame_l4(f));
	tcp->check = 0;
	tcp->check = htons(~live_l4_sum(f->byte, family, f->length));
}

/* One of so many flows (a power of two), its port at this offset. */
static inline void live_draw(struct program *p, const struct frame *f, uint32_t flows,
			     uint32_t port_at)
{
	program_add(p, OP_CALL(BPF_FUNC_get_prandom_u32));
	program_add(p, OP_AND_IMM(BPF_REG_0, flows - 1));
	program_add(p, OP_ADD_IMM(BPF_REG_0, LIVE_PORT_FIRST));
	program_add(p, OP(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_0, 0, 0, 16));
	program_add(p, OP_STORE(BPF_H, BPF_REG_7, port_at, BPF_REG_0));
	program_add(p, OP(BPF_ALU64 | BPF_XOR | BPF_K, BPF_REG_0, 0, 0, 0xFFFF));
	program_add(p, OP_STORE(BPF_H, BPF_REG_7, live_payload(f), BPF_REG_0));
}

static inline void live_send(struct program *p, uint32_t ifindex)
{
	program_add(p, OP_MOV_IMM(BPF_REG_1, ifindex));
	program_add(p, OP_MOV_IMM(BPF_REG_2, 0));
	program_add(p, OP_CALL(BPF_FUNC_redirect));
	program_add(p, OP_EXIT());
}

/* Sends a frame out of a device, its headers anew, and the port drawn. A descriptor or -errno. */
static inline int live_source(const struct frame *f, uint32_t flows, uint32_t port_at,
			      uint32_t ifindex)
{
	struct program p = {0};
	uint32_t end = live_payload(f) + 2;

	prelude_begin(&p, f, true);
	for (uint32_t at = 0; at < end; at += 4) {
		uint32_t word;

		memcpy(&word, f->byte + at, sizeof(word));
		program_add(&p, OP_STORE_IMM(BPF_W, BPF_REG_7, at, word));
	}
	if (flows > 1)
		live_draw(&p, f, flows, port_at);
	live_send(&p, ifindex);
	return program_load(&p, true);
}

static inline int live_redirect(uint32_t ifindex)
{
	struct program p = {0};

	live_send(&p, ifindex);
	return program_load(&p, true);
}

/* Back out of the device it came by. */
static inline int live_turn(void)
{
	struct program p = {0};

	program_add(&p, OP_MOV_IMM(BPF_REG_0, XDP_TX));
	program_add(&p, OP_EXIT());
	return program_load(&p, true);
}

/*
 * For the far end of a link, at its XDP or tc ingress hook; arrived_fd: an array of one. What is
 * shorter than all frames, or multicast, is the kernel's own (neighbour discovery).
 */
static inline int live_sink(bool xdp, int arrived_fd, const struct frame *shortest)
{
	struct program p = {0};
	uint32_t jump[3];
	int load = xdp ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes;

	prelude_begin(&p, shortest, xdp);
	program_add(&p, OP_LOAD(BPF_B, BPF_REG_1, BPF_REG_7, 0));
	jump[0] = p.count;
	program_add(&p, OP(BPF_JMP | BPF_JSET | BPF_K, BPF_REG_1, 0, 0, 1));
	program_add(&p, OP_STORE_IMM(BPF_W, BPF_REG_10, -4, 0));
	program_add(&p, OP_MOV(BPF_REG_2, BPF_REG_10));
	program_add(&p, OP_ADD_IMM(BPF_REG_2, -4));
	program_add_map(&p, BPF_REG_1, arrived_fd);
	program_add(&p, OP_CALL(BPF_FUNC_map_lookup_elem));
	jump[1] = p.count;
	program_add(&p, OP(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0));
	program_add(&p, OP_LOAD(BPF_DW, BPF_REG_1, BPF_REG_0, offsetof(struct arrived, packets)));
	program_add(&p, OP_ADD_IMM(BPF_REG_1, 1));
	program_add(&p, OP_STORE(BPF_DW, BPF_REG_0, offsetof(struct arrived, packets), BPF_REG_1));
	program_add(&p, OP_LOAD(BPF_DW, BPF_REG_4, BPF_REG_0, offsetof(struct arrived, keep)));
	program_add(&p, OP_AND_IMM(BPF_REG_4, 0xFF));
	jump[2] = p.count;
	program_add(&p, OP(BPF_JMP | BPF_JLT | BPF_K, BPF_REG_4, 0, 0, 1));
	program_add(&p, OP_MOV(BPF_REG_1, BPF_REG_6));
	program_add(&p, OP_MOV_IMM(BPF_REG_2, 0));
	program_add(&p, OP_MOV(BPF_REG_3, BPF_REG_0));
	program_add(&p, OP_ADD_IMM(BPF_REG_3, offsetof(struct arrived, byte)));
	program_add(&p, OP_CALL(load));
	for (int i = 0; i < 3; i++)
		p.insn[jump[i]].off = p.count - jump[i] - 1;
	program_add(&p, OP_MOV_IMM(BPF_REG_0, xdp ? XDP_DROP : TC_ACT_SHOT));
	program_add(&p, OP_EXIT());
	return program_load(&p, xdp);
}

/*
 * Run a source so many times. *ns: what a frame took, by the kernel's clock, which runs while
 * source, links, programs, stack and far ends are at work, and not while other processes have the
 * core.
 */
static inline int live_run(int source_fd, const struct frame *f, uint32_t frames, uint32_t *ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->byte, .data_size_in = f->length,
		    .repeat = frames, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = LIVE_BATCH);
	int rc = bpf_prog_test_run_opts(source_fd, &o);

	*ns = o.duration;
	return rc;
}

#endif
