/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How often programs call into the kernel, and how often they leave a packet to handle()
 * (datapath/fast.h), counted while they run. While this is on, what is loaded has a stub in place
 * of each such call that the kernel does not inline: a function at the end of the program that
 * counts, and calls. So nothing moves, and the verifier sees the same arguments.
 */
#ifndef NEARPATH_BENCH_CALLS_H
#define NEARPATH_BENCH_CALLS_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "programs.h"
#include "util.h"

#define CALLS_MAX	64	  /* functions that are called */
#define CALLS_LEFT	CALLS_MAX /* in "count": calls of handle() */
#define CALLS_FUNCTIONS 256
#define CALLS_BACK	16 /* instructions between a map in r1 and the call it is for */

struct calls {
	int map_fd;
	const volatile uint64_t *count; /* by callee */
	struct bpf_insn callee[CALLS_MAX];
	int callees;
	int handler[2];
	bool jiffies_inlined; /* by this kernel */
	bool cpu_inlined;
};

static struct calls calls;

static inline const char *calls_kernel_name(uint32_t id)
{
	static struct btf *kernel;
	const struct btf_type *type;

	if (!kernel)
		kernel = btf__load_vmlinux_btf();
	type = kernel ? btf__type_by_id(kernel, id) : NULL;
	return type ? btf__name_by_offset(kernel, type->name_off) : "";
}

/* What is called: a helper by its number, or a function of the kernel's own or of a module. */
static inline const char *calls_name(const struct bpf_insn *call)
{
	static const char *const helpers[] = {
#define NAME(name) #name
		__BPF_FUNC_MAPPER(NAME)
#undef NAME
	};

	if (!call->src_reg)
		return (size_t)call->imm < ARRAY_SIZE(helpers) ? helpers[call->imm] : "helper";
	return call->off ? "module" : calls_kernel_name(call->imm);
}

static inline bool calls_is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg != BPF_PSEUDO_CALL && insn->imm;
}

/* Does the kernel make other instructions of a call of this helper, which takes no arguments? */
static inline bool calls_probe(int helper)
{
	struct program p = {.insn = {OP_CALL(helper), OP_EXIT()}, .count = 2};
	struct bpf_insn made[PROGRAM_MAX] = {};
	struct bpf_prog_info info = {.xlated_prog_len = sizeof(made),
				     .xlated_prog_insns = (uintptr_t)made};
	uint32_t length = sizeof(info);
	int fd = program_load(&p, false);
	bool call = fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length);

	for (uint32_t i = 0; !call && i < info.xlated_prog_len / sizeof(*made); i++)
		call = calls_is_call(&made[i]);
	if (fd >= 0)
		close(fd);
	return !call;
}

/* Can the processor come to an instruction between these two from elsewhere? */
static inline bool calls_is_joined(const struct bpf_insn *insns, size_t count, size_t from,
				   size_t to)
{
	for (size_t i = 0; i < count; i++) {
		int class = BPF_CLASS(insns[i].code), op = BPF_OP(insns[i].code);
		size_t target = i + 1 + insns[i].off;

		if ((class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT &&
		    target > from && target <= to)
			return true;
	}
	return false;
}

/*
 * A lookup in an array is inlined, if it is one and the same array by whatever way the processor
 * comes there; in no other map that programs here look into.
 */
static inline bool calls_is_array_lookup(const struct bpf_insn *insns, size_t count, size_t at)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	if (insns[at].src_reg || insns[at].imm != BPF_FUNC_map_lookup_elem)
		return false;
	for (size_t i = at - 1; i > 0 && i + CALLS_BACK > at; i--) {
		if (insns[i].code == (BPF_LD | BPF_DW | BPF_IMM) && insns[i].dst_reg == BPF_REG_1)
			return !bpf_obj_get_info_by_fd(insns[i].imm, &info, &length) &&
			       info.type == BPF_MAP_TYPE_ARRAY &&
			       !calls_is_joined(insns, count, i, at);
	}
	return false;
}

/* Nothing to the processor: the pointer gets another type. */
static inline bool calls_is_cast(const struct bpf_insn *call)
{
	return call->src_reg && !strcmp(calls_name(call), "bpf_cast_to_kern_ctx");
}

static inline bool calls_is_counted(const struct bpf_insn *insns, size_t count, size_t at)
{
	if (!calls_is_call(&insns[at]) || calls_is_array_lookup(insns, count, at) ||
	    calls_is_cast(&insns[at]))
		return false;
	if (insns[at].src_reg)
		return true;
	switch (insns[at].imm) {
	case BPF_FUNC_jiffies64:
		return !calls.jiffies_inlined;
	case BPF_FUNC_get_smp_processor_id:
		return !calls.cpu_inlined;
	default:
		return insns[at].imm != BPF_FUNC_tail_call;
	}
}

/* Its number, from 0. */
static inline int calls_callee(const struct bpf_insn *call)
{
	int i = 0;

	while (i < calls.callees && memcmp(&calls.callee[i], call, sizeof(*call)))
		i++;
	if (i < calls.callees)
		return i;
	if (i == CALLS_MAX)
		return -E2BIG;
	calls.callee[calls.callees++] = *call;
	return i;
}

/* Counted under that number, for a call of a function of the program relative to the stub. */
static inline void calls_add_stub(struct bpf_insn *to, int number, struct bpf_insn call)
{
	struct bpf_insn stub[] = {
		OP(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_6, BPF_PSEUDO_MAP_VALUE, 0, calls.map_fd),
		OP(0, 0, 0, 0, number * (int)sizeof(uint64_t)),
		OP_LOAD(BPF_DW, BPF_REG_7, BPF_REG_6, 0),
		OP_ADD_IMM(BPF_REG_7, 1),
		OP_STORE(BPF_DW, BPF_REG_6, 0, BPF_REG_7),
		call,
		OP_EXIT(),
	};

	memcpy(to, stub, sizeof(stub));
}

#define CALLS_STUB 7 /* instructions of it, */
#define CALLS_MADE 5 /* and before its call */

#define CALLS_HANDLES 6

/*
 * The program's BTF with one more function, that all stubs are; a descriptor or -errno. handles:
 * those that are handle(), of any hook and family.
 */
static inline int calls_btf(int fd, uint32_t *function, int32_t handles[CALLS_HANDLES])
{
	static const char *const names[CALLS_HANDLES] = {"tc_ingress4", "tc_ingress6",
							 "tc_egress4",	"tc_egress6",
							 "xdp_handle4", "xdp_handle6"};
	struct bpf_btf_info info = {};
	uint32_t length = sizeof(info);
	struct btf *btf;
	int id;

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	btf = btf__load_from_kernel_by_id(info.id);
	if (!btf)
		return -errno;
	for (int i = 0; i < CALLS_HANDLES; i++)
		handles[i] = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC);
	id = btf__add_func_proto(btf, 0);
	id = id < 0 ? id : btf__add_func(btf, "stub", BTF_FUNC_STATIC, id);
	*function = id;
	fd = id < 0 ? id : btf__load_into_kernel(btf);
	fd = fd ?: dup(btf__fd(btf));
	btf__free(btf);
	return fd;
}

/* Is this a call of a function that has one of these types? */
static inline bool calls_is_of(const struct bpf_prog_load_opts *o, const struct bpf_insn *insns,
			       size_t at, const int32_t types[CALLS_HANDLES])
{
	const struct bpf_func_info *info = o->func_info;

	if (insns[at].code != (BPF_JMP | BPF_CALL) || insns[at].src_reg != BPF_PSEUDO_CALL)
		return false;
	for (size_t i = 0; i < o->func_info_cnt; i++)
		for (int k = 0; k < CALLS_HANDLES; k++)
			if (info[i].insn_off == at + 1 + insns[at].imm &&
			    (int32_t)info[i].type_id == types[k])
				return true;
	return false;
}

/* libbpf calls this when all relocations are made, before the program is loaded. */
static inline int calls_prepare(struct bpf_program *program, struct bpf_prog_load_opts *o,
				long cookie)
{
	static struct bpf_func_info functions[CALLS_FUNCTIONS];
	size_t count = bpf_program__insn_cnt(program), end = count;
	size_t room = (count + CALLS_MAX * CALLS_STUB) * sizeof(struct bpf_insn);
	_cleanup_free_ struct bpf_insn *insns = calloc(1, room);
	int stub[CALLS_MAX] = {}; /* where it begins, 0: not yet */
	int32_t handles[CALLS_HANDLES];
	uint32_t function = 0;
	int rc;

	(void)cookie;
	if (!insns || o->func_info_rec_size != sizeof(*functions) ||
	    o->func_info_cnt + CALLS_MAX > CALLS_FUNCTIONS)
		return -E2BIG;
	memcpy(insns, bpf_program__insns(program), count * sizeof(*insns));
	memcpy(functions, o->func_info, o->func_info_cnt * sizeof(*functions));
	rc = calls_btf(o->prog_btf_fd, &function, handles);
	if (rc < 0)
		return rc;
	o->prog_btf_fd = rc;
	o->func_info = functions;
	o->line_info_cnt = 0; /* of the stubs there is none */
	for (size_t i = 0; i < count; i++) {
		if (!calls_is_counted(insns, count, i))
			continue;
		rc = calls_callee(&insns[i]);
		if (rc < 0)
			return rc;
		if (!stub[rc]) {
			stub[rc] = end;
			calls_add_stub(insns + end, rc, calls.callee[rc]);
			functions[o->func_info_cnt++] =
				(struct bpf_func_info){.insn_off = end, .type_id = function};
			end += CALLS_STUB;
		}
		insns[i] = OP(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, stub[rc] - (int)i - 1);
	}
	for (size_t i = 0; i < count; i++) {
		if (!calls_is_of(o, insns, i, handles))
			continue;
		calls_add_stub(insns + end, CALLS_LEFT,
			       OP(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0,
				  (int)i + insns[i].imm - (int)end - CALLS_MADE));
		functions[o->func_info_cnt++] =
			(struct bpf_func_info){.insn_off = end, .type_id = function};
		insns[i].imm = (int)end - (int)i - 1;
		end += CALLS_STUB;
	}
	return bpf_program__set_insns(program, insns, end);
}

/* From now on. */
static inline int calls_begin(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, o, .prog_prepare_load_fn = calls_prepare);
	LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = BPF_F_MMAPABLE);
	size_t size = (CALLS_MAX + 1) * sizeof(uint64_t);
	void *count;

	calls.jiffies_inlined = calls_probe(BPF_FUNC_jiffies64);
	calls.cpu_inlined = calls_probe(BPF_FUNC_get_smp_processor_id);
	calls.map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "calls", 4, size, 1, &mapped);
	if (calls.map_fd < 0)
		return calls.map_fd;
	count = mmap(NULL, size, PROT_READ, MAP_SHARED, calls.map_fd, 0);
	if (count == MAP_FAILED)
		return -errno;
	calls.count = count;
	calls.handler[0] = libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, 0, &o);
	calls.handler[1] = libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &o);
	return calls.handler[0] < 0 ? calls.handler[0] : calls.handler[1];
}

/* What is loaded from now on is as it is. */
static inline void calls_end(void)
{
	for (int i = 0; i < 2; i++)
		libbpf_unregister_prog_handler(calls.handler[i]);
}

#endif
