/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, up to two VLAN tags, IPv4 or IPv6 with a few extension headers, and
 * the ports of TCP or UDP. What the hash covers: virtio 1.2, 5.1.6.4.3. A fragment
 * counts as a packet without ports, so that all fragments go to one queue.
 *
 * All jumps go forward; what repeats is repeated here. While the program is put
 * together, a jump has a label where its distance will be.
 *
 * r6: the frame, r7: the table, r8: where the next header begins, r9: which it is.
 */
#include "tap_rss_prog.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define NR_TAGS		2u
#define NR_EXTENSIONS	6u	/* IPv6 headers that are passed over */
#define BYTES_EXTENSION	8	/* they are multiples of it, but AH */
#define BYTES_AH	4

/* On the stack. Ports come right behind the addresses, whichever they are. */
#define WORD		(-8)	/* type of a frame, or an extension header's first 4 bytes */
#define HEADER		(-56)	/* IPv4 or IPv6 */
#define V4_TUPLE	(HEADER + 12)
#define V6_TUPLE	(HEADER + 8)
#define V4_ADDRESSES	8u	/* bytes */
#define V6_ADDRESSES	32u
#define PORTS		4u

enum label {
	L_V4, L_V4_PORTS, L_V4_UDP, L_V4_NO_PORTS, L_V4_ADDRESSES,
	L_V6, L_V6_PORTS, L_V6_UDP, L_V6_NO_PORTS, L_V6_ADDRESSES,
	L_V6_LAST, L_SELECT, L_UNCLASSIFIED,
	L_TAG,						/* each has two */
	L_EXTENSION = L_TAG + 2 * NR_TAGS,		/* each has four */
	NR_LABELS = L_EXTENSION + 4 * NR_EXTENSIONS,
};

struct code {
	struct bpf_insn *insn;
	unsigned int nr;
	unsigned int place[NR_LABELS];
};

static void emit(struct code *c, int code, int dst, int src, int off, int imm)
{
	assert(c->nr < TAP_RSS_PROG_MAX);
	c->insn[c->nr++] = (struct bpf_insn){
		.code = (uint8_t)code, .dst_reg = (uint8_t)dst & 15, .src_reg = (uint8_t)src & 15,
		.off = (int16_t)off, .imm = imm,
	};
}

/* size: BPF_B, BPF_H, BPF_W */
static void load(struct code *c, int size, int dst, int base, int off)
{
	emit(c, BPF_LDX | BPF_MEM | size, dst, base, off, 0);
}

static void op_imm(struct code *c, int op, int dst, int imm)
{
	emit(c, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

static void op_reg(struct code *c, int op, int dst, int src)
{
	emit(c, BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}

static void jump_if(struct code *c, int op, int reg, int imm, unsigned int to)
{
	emit(c, BPF_JMP | op | BPF_K, reg, 0, (int)to, imm);
}

static void jump(struct code *c, unsigned int to)
{
	emit(c, BPF_JMP | BPF_JA, 0, 0, (int)to, 0);
}

static void label(struct code *c, unsigned int l)
{
	c->place[l] = c->nr;
}

static void resolve(struct code *c)
{
	for (unsigned int i = 0; i < c->nr; i++) {
		struct bpf_insn *in = &c->insn[i];
		bool jumps = BPF_CLASS(in->code) == BPF_JMP && BPF_OP(in->code) != BPF_CALL &&
			     BPF_OP(in->code) != BPF_EXIT;

		if (jumps)
			in->off = (int16_t)(c->place[in->off] - i - 1);
	}
}

/* Bytes of the frame, at r8 + off, to the stack. There are not so many: goes to end. */
static void fetch(struct code *c, int off, int stack, int len, unsigned int end)
{
	op_reg(c, BPF_MOV, BPF_REG_1, BPF_REG_6);
	op_reg(c, BPF_MOV, BPF_REG_2, BPF_REG_8);
	op_imm(c, BPF_ADD, BPF_REG_2, off);
	op_reg(c, BPF_MOV, BPF_REG_3, BPF_REG_10);
	op_imm(c, BPF_ADD, BPF_REG_3, stack);
	op_imm(c, BPF_MOV, BPF_REG_4, len);
	emit(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes);
	jump_if(c, BPF_JNE, BPF_REG_0, 0, end);
}

static void begin(struct code *c, int map_fd)
{
	op_reg(c, BPF_MOV, BPF_REG_6, BPF_REG_1);
	emit(c, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_7, BPF_PSEUDO_MAP_VALUE, 0, map_fd);
	emit(c, 0, 0, 0, 0, 0);
	load(c, BPF_W, BPF_REG_1, BPF_REG_7, offsetof(struct tap_rss_map, current));
	op_imm(c, BPF_AND, BPF_REG_1, 1);
	op_imm(c, BPF_MUL, BPF_REG_1, sizeof(struct tap_rss_table));
	op_imm(c, BPF_ADD, BPF_REG_7, offsetof(struct tap_rss_map, table));
	op_reg(c, BPF_ADD, BPF_REG_7, BPF_REG_1);
}

/* A type of frame is the last two bytes before r8. */
static void ethernet(struct code *c)
{
	op_imm(c, BPF_MOV, BPF_REG_8, ETH_HLEN);
	for (unsigned int i = 0; i <= NR_TAGS; i++) {
		fetch(c, -2, WORD, 2, L_UNCLASSIFIED);
		load(c, BPF_H, BPF_REG_1, BPF_REG_10, WORD);
		jump_if(c, BPF_JEQ, BPF_REG_1, htons(ETH_P_IP), L_V4);
		jump_if(c, BPF_JEQ, BPF_REG_1, htons(ETH_P_IPV6), L_V6);
		if (i == NR_TAGS)
			break;
		jump_if(c, BPF_JEQ, BPF_REG_1, htons(ETH_P_8021Q), L_TAG + 2 * i);
		jump_if(c, BPF_JNE, BPF_REG_1, htons(ETH_P_8021AD), L_UNCLASSIFIED);
		label(c, L_TAG + 2 * i);
		op_imm(c, BPF_ADD, BPF_REG_8, 4);
	}
	jump(c, L_UNCLASSIFIED);
}

/* Adds nr bytes of what is hashed, from number first on, to the hash in r0. */
static void hash(struct code *c, int tuple, unsigned int first, unsigned int nr)
{
	const int rows = offsetof(struct tap_rss_table, toeplitz);
	const int row = sizeof(((struct net_rss_toeplitz *)NULL)->nibble[0]);

	for (int i = (int)first; i < (int)(first + nr); i++) {
		load(c, BPF_B, BPF_REG_1, BPF_REG_10, tuple + i);
		op_reg(c, BPF_MOV, BPF_REG_2, BPF_REG_1);
		op_imm(c, BPF_RSH, BPF_REG_1, 2);
		op_imm(c, BPF_AND, BPF_REG_1, 15 << 2);
		op_reg(c, BPF_ADD, BPF_REG_1, BPF_REG_7);
		load(c, BPF_W, BPF_REG_1, BPF_REG_1, rows + 2 * i * row);
		op_reg(c, BPF_XOR, BPF_REG_0, BPF_REG_1);
		op_imm(c, BPF_AND, BPF_REG_2, 15);
		op_imm(c, BPF_LSH, BPF_REG_2, 2);
		op_reg(c, BPF_ADD, BPF_REG_2, BPF_REG_7);
		load(c, BPF_W, BPF_REG_2, BPF_REG_2, rows + (2 * i + 1) * row);
		op_reg(c, BPF_XOR, BPF_REG_0, BPF_REG_2);
	}
}

static void load_hash_types(struct code *c)
{
	load(c, BPF_W, BPF_REG_2, BPF_REG_7, offsetof(struct tap_rss_table, hash_types));
}

/* The last header is at r8; v4 and v6 have the same labels in the same order from first on. */
static void tuple(struct code *c, unsigned int first, int at, unsigned int addresses, int shift)
{
	const unsigned int with_ports = first + 1, udp = first + 2, no_ports = first + 3;

	load_hash_types(c);
	jump_if(c, BPF_JNE, BPF_REG_9, IPPROTO_TCP, udp);
	jump_if(c, BPF_JSET, BPF_REG_2, VIRTIO_NET_RSS_HASH_TYPE_TCPv4 << shift, with_ports);
	label(c, udp);
	jump_if(c, BPF_JNE, BPF_REG_9, IPPROTO_UDP, no_ports);
	jump_if(c, BPF_JSET, BPF_REG_2, VIRTIO_NET_RSS_HASH_TYPE_UDPv4 << shift, with_ports);
	jump(c, no_ports);
	label(c, with_ports);
	fetch(c, 0, at + (int)addresses, PORTS, no_ports);
	hash(c, at, addresses, PORTS);		/* r0 is 0 from the call */
	jump(c, first + 4);
	label(c, no_ports);
	load_hash_types(c);
	op_imm(c, BPF_AND, BPF_REG_2, VIRTIO_NET_RSS_HASH_TYPE_IPv4 << shift);
	jump_if(c, BPF_JEQ, BPF_REG_2, 0, L_UNCLASSIFIED);
	op_imm(c, BPF_MOV, BPF_REG_0, 0);
	label(c, first + 4);
	hash(c, at, 0, addresses);
	jump(c, L_SELECT);
}

static void ipv4(struct code *c)
{
	label(c, L_V4);
	fetch(c, 0, HEADER, 20, L_UNCLASSIFIED);
	load(c, BPF_B, BPF_REG_1, BPF_REG_10, HEADER);
	jump_if(c, BPF_JLT, BPF_REG_1, 0x45, L_UNCLASSIFIED);
	jump_if(c, BPF_JGT, BPF_REG_1, 0x4f, L_UNCLASSIFIED);
	op_imm(c, BPF_AND, BPF_REG_1, 15);
	op_imm(c, BPF_LSH, BPF_REG_1, 2);
	op_reg(c, BPF_ADD, BPF_REG_8, BPF_REG_1);
	load(c, BPF_B, BPF_REG_9, BPF_REG_10, HEADER + 9);
	load(c, BPF_H, BPF_REG_1, BPF_REG_10, HEADER + 6);
	jump_if(c, BPF_JSET, BPF_REG_1, htons(0x3fff), L_V4_NO_PORTS);
	tuple(c, L_V4, V4_TUPLE, V4_ADDRESSES, 0);
}

/* Passes over one header if it is an extension; else there are no more. */
static void extension(struct code *c, unsigned int l)
{
	static const int kinds[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				     IPPROTO_FRAGMENT };

	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		jump_if(c, BPF_JEQ, BPF_REG_9, kinds[i], l);
	jump_if(c, BPF_JNE, BPF_REG_9, IPPROTO_AH, L_V6_LAST);
	label(c, l);
	fetch(c, 0, WORD, 4, L_V6_NO_PORTS);
	load(c, BPF_B, BPF_REG_1, BPF_REG_10, WORD + 1);
	jump_if(c, BPF_JNE, BPF_REG_9, IPPROTO_AH, l + 1);
	op_imm(c, BPF_ADD, BPF_REG_1, 2);
	op_imm(c, BPF_MUL, BPF_REG_1, BYTES_AH);
	jump(c, l + 3);
	label(c, l + 1);
	jump_if(c, BPF_JNE, BPF_REG_9, IPPROTO_FRAGMENT, l + 2);
	load(c, BPF_H, BPF_REG_1, BPF_REG_10, WORD + 2);
	jump_if(c, BPF_JSET, BPF_REG_1, htons(0xfff9), L_V6_NO_PORTS);
	op_imm(c, BPF_MOV, BPF_REG_1, 0);
	label(c, l + 2);
	op_imm(c, BPF_ADD, BPF_REG_1, 1);
	op_imm(c, BPF_MUL, BPF_REG_1, BYTES_EXTENSION);
	label(c, l + 3);
	op_reg(c, BPF_ADD, BPF_REG_8, BPF_REG_1);
	load(c, BPF_B, BPF_REG_9, BPF_REG_10, WORD);
}

static void ipv6(struct code *c)
{
	label(c, L_V6);
	fetch(c, 0, HEADER, 40, L_UNCLASSIFIED);
	load(c, BPF_B, BPF_REG_1, BPF_REG_10, HEADER);
	op_imm(c, BPF_RSH, BPF_REG_1, 4);
	jump_if(c, BPF_JNE, BPF_REG_1, 6, L_UNCLASSIFIED);
	op_imm(c, BPF_ADD, BPF_REG_8, 40);
	load(c, BPF_B, BPF_REG_9, BPF_REG_10, HEADER + 6);
	for (unsigned int i = 0; i < NR_EXTENSIONS; i++)
		extension(c, L_EXTENSION + 4 * i);
	label(c, L_V6_LAST);
	tuple(c, L_V6, V6_TUPLE, V6_ADDRESSES, 3);
}

static void end(struct code *c)
{
	label(c, L_SELECT);
	load(c, BPF_W, BPF_REG_1, BPF_REG_7, offsetof(struct tap_rss_table, mask));
	op_reg(c, BPF_AND, BPF_REG_0, BPF_REG_1);
	op_imm(c, BPF_AND, BPF_REG_0, NET_RSS_MAX_QUEUES - 1);
	op_imm(c, BPF_LSH, BPF_REG_0, 1);
	op_reg(c, BPF_ADD, BPF_REG_7, BPF_REG_0);
	load(c, BPF_H, BPF_REG_0, BPF_REG_7, offsetof(struct tap_rss_table, queue));
	emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	label(c, L_UNCLASSIFIED);
	load(c, BPF_W, BPF_REG_0, BPF_REG_7, offsetof(struct tap_rss_table, unclassified));
	emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

unsigned int tap_rss_prog(struct bpf_insn *insn, int map_fd)
{
	struct code c = { .insn = insn };

	begin(&c, map_fd);
	ethernet(&c);
	ipv4(&c);
	ipv6(&c);
	end(&c);
	resolve(&c);
	return c.nr;
}
