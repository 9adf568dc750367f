/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each read of guest memory yields any value, so a second read of the same
 * place may differ: the guest writes whenever it likes. Addresses and lengths
 * have their full width; guest_mem_ptr() says yes or no as CBMC likes.
 * Indices wrap on purpose, so sums are proven by adding up in 64 bits.
 *
 * cbmc: --unwind 5
 * catches: 022-head-twice 024-next-unchecked 032-readable-after-writable
 * catches: 033-chain-length-wraps 034-chain-longer-than-list 201-push-believes-its-head
 */
#include "harness.h"

#include <stdatomic.h>

#include "guest_mem.h"

#define MAX_SIZE	2u	/* of a queue */
#define MAX_GRANTS	(2 * MAX_SIZE + 4u)
#define SLOT		(16u * MAX_SIZE)	/* bytes: the longest table */

/* What guest_mem_ptr() handed out: a slot of the arena each, taken to be so long. */
static uint8_t arena[MAX_GRANTS * SLOT];
static uint64_t granted_len[MAX_GRANTS];
static unsigned int nr_grants;

static uint8_t *grant(uint64_t len)
{
	PROVE(nr_grants < MAX_GRANTS, "no more buffers than the walk has steps");
	granted_len[nr_grants] = len;
	return arena + SLOT * nr_grants++;
}

void *guest_mem_ptr(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	(void)mem;
	(void)gpa;
	return len && nondet_bool() ? grant(len) : NULL;
}

/* Are these bytes part of one grant? */
static bool is_granted(const void *p, uint64_t len)
{
	uint64_t off = (uint64_t)((const uint8_t *)p - arena), slot = off / SLOT, at = off % SLOT;

	return __CPROVER_same_object(p, arena) && slot < nr_grants &&
	       at <= granted_len[slot] && len <= granted_len[slot] - at;
}

void *zalloc(size_t nr, size_t size)
{
	return calloc(nr, size);
}

/* Another value at each read; the place must be there. */
static uint16_t read_ring(const void *p)
{
	PROVE(is_granted(p, sizeof(uint16_t)), "a read of a ring stays inside it");
	return nondet_u16();
}

static void *guest_copy(void *to, const void *from, size_t n);

#define memcpy(to, from, n) guest_copy(to, from, n)
#undef atomic_load_explicit
#define atomic_load_explicit(p, order) read_ring((const void *)(p))

#include "virtq.c"

#undef memcpy

static void *guest_copy(void *to, const void *from, size_t n)
{
	if (n == sizeof(struct vring_desc)) {
		struct vring_desc any;

		PROVE(is_granted(from, n), "a read of a table stays inside it");
		*(struct vring_desc *)to = any;
	} else {
		PROVE(n == sizeof(struct vring_used_elem), "a used element");
		PROVE(is_granted(to, n), "a used element lies in its ring");
		*(struct vring_used_elem *)to = *(const struct vring_used_elem *)from;
	}
	return to;
}

/* Any started queue, with any heads in flight. */
static struct virtq *any_queue(void)
{
	struct virtq *q = any_memory(sizeof(*q) + sizeof(q->inflight[0]));
	unsigned int shift = nondet_u8();

	ASSUME(shift <= 1);
	q->mem = NULL;
	q->max_size = MAX_SIZE;
	q->size = (uint16_t)(1u << shift);
	q->desc = (void *)grant(16u * q->size);
	q->avail = grant(AVAIL_RING + 2u * q->size + 2);
	q->used = grant(USED_RING + 8u * q->size + 2);
	q->indirect = nondet_bool();
	q->event_idx = nondet_bool();
	q->broken = nondet_bool();
	ASSUME(!(q->inflight[0] >> q->size));
	q->nr_inflight = (uint16_t)__builtin_popcountll(q->inflight[0]);
	return q;
}

static void check_chain(const struct virtq_chain *c, const struct iovec *iov, int max_iov)
{
	uint64_t out_len = 0, in_len = 0;

	PROVE(c->nr_out + c->nr_in <= max_iov, "a chain fits its list");
	for (int i = 0; i < (int)MAX_SIZE; i++) {
		if (i >= c->nr_out + c->nr_in)
			break;
		PROVE(iov[i].iov_len && is_granted(iov[i].iov_base, iov[i].iov_len),
		      "a buffer is memory of the guest");
		if (i < c->nr_out)
			out_len += iov[i].iov_len;
		else
			in_len += iov[i].iov_len;
	}
	PROVE(out_len == c->out_len && in_len == c->in_len, "sums");
}

void a_popped_chain_is_memory_of_the_guest_and_adds_up(void)
{
	struct virtq *q = any_queue();
	struct iovec iov[MAX_SIZE];
	struct virtq_chain c;
	uint64_t inflight = q->inflight[0];
	uint16_t avail_idx = q->avail_idx;
	bool broken = q->broken;
	int max_iov = nondet_int(), ret;

	ASSUME(max_iov >= 0 && max_iov <= (int)MAX_SIZE);
	ret = virtq_pop(q, &c, iov, max_iov);
	PROVE(!ret || ret == -EAGAIN || ret == -EPROTO, "a known answer");
	PROVE(q->broken == (ret == -EPROTO), "an error of the driver's is final");
	PROVE(!broken || ret == -EPROTO, "a broken queue stays broken");
	if (ret) {
		PROVE(q->inflight[0] == inflight && q->avail_idx == avail_idx, "nothing taken");
		return;
	}
	check_chain(&c, iov, max_iov);
	PROVE(c.head < q->size && !(inflight >> c.head & 1), "a head is taken once");
	PROVE(q->inflight[0] == (inflight | 1ull << c.head), "its bit is set, no other");
	PROVE(q->nr_inflight == __builtin_popcountll(q->inflight[0]), "so many bits");
	PROVE(q->avail_idx == ((avail_idx + 1) & 0xffff), "one entry is taken");
}

void a_push_gives_back_what_is_in_flight_and_else_writes_nothing(void)
{
	struct virtq *q = any_queue();
	struct vring_used_elem *ring = (struct vring_used_elem *)(q->used + USED_RING);
	uint64_t inflight = q->inflight[0];
	uint16_t head = nondet_u16(), used_idx = q->used_idx;
	uint32_t len = nondet_u32();
	unsigned int at = used_idx % q->size, other = nondet_u8();
	struct vring_used_elem before;
	bool known = head < q->size && inflight >> head & 1;

	ASSUME(other < q->size);
	before = ring[other];
	virtq_push(q, head, len);
	PROVE(known || q->broken, "a stranger breaks the queue");
	PROVE(q->used_idx == ((used_idx + known) & 0xffff), "one entry more");
	PROVE(q->inflight[0] == (known ? inflight & ~(1ull << head) : inflight), "its bit is gone");
	PROVE(q->nr_inflight == __builtin_popcountll(q->inflight[0]), "so many bits");
	if (known)
		PROVE(ring[at].id == head && ring[at].len == len, "what was pushed");
	if (!known || other != at)
		PROVE(ring[other].id == before.id && ring[other].len == before.len, "no other");
}

void an_unpop_takes_back_what_is_in_flight_only(void)
{
	struct virtq *q = any_queue();
	uint64_t inflight = q->inflight[0];
	uint16_t head = nondet_u16(), avail_idx = q->avail_idx;
	bool known = head < q->size && inflight >> head & 1;

	virtq_unpop(q, head);
	PROVE(known || q->broken, "a stranger breaks the queue");
	PROVE(q->avail_idx == ((avail_idx - known) & 0xffff), "one entry less");
	PROVE(q->inflight[0] == (known ? inflight & ~(1ull << head) : inflight), "its bit is gone");
	PROVE(q->nr_inflight == __builtin_popcountll(q->inflight[0]), "so many bits");
}

void a_queue_starts_only_with_rings_that_are_there_and_aligned(void)
{
	struct virtq *q = any_memory(sizeof(*q) + sizeof(q->inflight[0]));
	struct virtq_cfg cfg = { nondet_u64(), nondet_u64(), nondet_u64(), nondet_u32(), true };
	uint32_t n = cfg.size;
	int ret;

	q->max_size = nondet_u16();
	ASSUME(q->max_size <= BITS_PER_WORD);
	ret = virtq_start(q, &cfg, nondet_u64());
	PROVE(!ret || ret == -EINVAL, "a known answer");
	if (ret)
		return;
	PROVE(n && n <= q->max_size && !(n & (n - 1)) && q->size == n, "a size that is allowed");
	PROVE(!(cfg.desc % 16 || cfg.avail % 2 || cfg.used % 4), "aligned");
	PROVE(is_granted(q->desc, 16u * n), "the table is there whole");
	PROVE(is_granted(q->avail, 2u * n + 6), "the available ring, with its event index");
	PROVE(is_granted(q->used, 8u * n + 6), "the used ring, with its event index");
	PROVE(!q->inflight[0] && !q->nr_inflight && !q->broken, "nothing in flight");
}
