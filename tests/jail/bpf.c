/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf.h"

#include <stdbool.h>
#include <string.h>

static bool jump_taken(const struct sock_filter *f, uint32_t acc)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return acc == f->k;
	case BPF_JGT:
		return acc > f->k;
	case BPF_JGE:
		return acc >= f->k;
	default:
		return acc & f->k;	/* BPF_JSET */
	}
}

uint32_t bpf_run(const struct sock_fprog *prog, const struct seccomp_data *data)
{
	uint32_t acc = 0;

	for (unsigned int pc = 0; pc < prog->len; pc++) {
		const struct sock_filter *f = &prog->filter[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k > sizeof(*data) - sizeof(acc))
				return UINT32_MAX;
			memcpy(&acc, (const uint8_t *)data + f->k, sizeof(acc));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			acc &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += jump_taken(f, acc) ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			return UINT32_MAX;
		}
	}
	return UINT32_MAX;
}
