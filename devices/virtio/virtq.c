/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All memory ordering towards the driver is in this file, in the four ring_*
 * helpers at the top.
 *
 * Bounds that hold by construction: the table pointers cover size entries and
 * every index is compared or masked before use; a chain is walked for at most
 * size steps; a head that is in flight is never taken again, and one that is
 * not is never given back; avail_idx and used_idx are ours and never read back
 * from guest memory.
 */
#include "virtq.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "zalloc.h"

#define BITS_PER_WORD 64

struct virtq {
	const struct guest_mem *mem;	/* set once */
	uint16_t max_size;		/* set once */

	/* Between start and stop, by the thread that owns the queue: */
	struct vring_desc *desc;	/* guest memory, as are the next two */
	uint8_t *avail;
	uint8_t *used;
	uint16_t size;
	uint16_t avail_idx;		/* next entry to take */
	uint16_t used_idx;		/* next entry to fill */
	uint16_t settled_idx;		/* up to where it is decided who is interrupted */
	uint16_t nr_inflight;
	bool event_idx, indirect, broken;
	uint64_t inflight[];		/* a bit for each head */
};

/* Offsets inside the two rings. virtio 1.2, 2.7.6 and 2.7.8 */
#define AVAIL_FLAGS	0u
#define AVAIL_IDX	2u
#define AVAIL_RING	4u
#define USED_FLAGS	0u
#define USED_IDX	2u
#define USED_RING	4u

static uint16_t ring_load(const uint8_t *p)
{
	const _Atomic uint16_t *a = (const _Atomic uint16_t *)(const void *)p;

	return atomic_load_explicit(a, memory_order_relaxed);
}

/* What the driver wrote before the index is visible after this. */
static uint16_t ring_load_acquire(const uint8_t *p)
{
	const _Atomic uint16_t *a = (const _Atomic uint16_t *)(const void *)p;

	return atomic_load_explicit(a, memory_order_acquire);
}

/* What we wrote before is visible to the driver when it sees the value. */
static void ring_store_release(uint8_t *p, uint16_t val)
{
	atomic_store_explicit((_Atomic uint16_t *)(void *)p, val, memory_order_release);
}

/* "Show mine, then look at theirs": the store is ordered before later loads. */
static void ring_full_barrier(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

int virtq_create(struct virtq **out, const struct guest_mem *mem, uint16_t max_size)
{
	size_t words = (max_size + BITS_PER_WORD - 1u) / BITS_PER_WORD;
	struct virtq *q = zalloc(1, sizeof(*q) + words * sizeof(q->inflight[0]));

	if (!q)
		return -ENOMEM;
	q->mem = mem;
	q->max_size = max_size;
	*out = q;
	return 0;
}

void virtq_free(struct virtq *q)
{
	free(q);
}

/* virtio 1.2, 2.7: size a power of two; alignment 16, 2, 4; the event index words included. */
int virtq_start(struct virtq *q, const struct virtq_cfg *cfg, uint64_t features)
{
	uint32_t n = cfg->size;

	if (!n || n > q->max_size || n & (n - 1))
		return -EINVAL;
	if (cfg->desc % 16 || cfg->avail % 2 || cfg->used % 4)
		return -EINVAL;
	q->desc = guest_mem_ptr(q->mem, cfg->desc, 16ull * n);
	q->avail = guest_mem_ptr(q->mem, cfg->avail, AVAIL_RING + 2ull * n + 2);
	q->used = guest_mem_ptr(q->mem, cfg->used, USED_RING + 8ull * n + 2);
	if (!q->desc || !q->avail || !q->used) {
		virtq_stop(q);
		return -EINVAL;
	}
	q->size = (uint16_t)n;
	q->avail_idx = q->used_idx = q->settled_idx = q->nr_inflight = 0;
	q->event_idx = features & 1ull << VIRTIO_RING_F_EVENT_IDX;
	q->indirect = features & 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	q->broken = false;
	memset(q->inflight, 0, (n + BITS_PER_WORD - 1) / BITS_PER_WORD * sizeof(q->inflight[0]));
	return 0;
}

void virtq_stop(struct virtq *q)
{
	q->desc = NULL;
	q->avail = q->used = NULL;
	q->size = 0;
}

uint16_t virtq_size(const struct virtq *q)
{
	return q->size;
}

const struct guest_mem *virtq_mem(const struct virtq *q)
{
	return q->mem;
}

uint16_t virtq_nr_inflight(const struct virtq *q)
{
	return q->nr_inflight;
}

static bool head_is_inflight(const struct virtq *q, uint16_t head)
{
	return head < q->size && q->inflight[head / BITS_PER_WORD] >> head % BITS_PER_WORD & 1;
}

static void head_set_inflight(struct virtq *q, uint16_t head, bool inflight)
{
	uint64_t bit = 1ull << head % BITS_PER_WORD;

	if (inflight)
		q->inflight[head / BITS_PER_WORD] |= bit;
	else
		q->inflight[head / BITS_PER_WORD] &= ~bit;
	q->nr_inflight = (uint16_t)(q->nr_inflight + (inflight ? 1 : -1));
}

/* One walk over a chain, or over the indirect table that takes its place. */
struct walk {
	const struct vring_desc *table;
	uint32_t table_len;		/* entries */
	uint32_t next;
	uint32_t steps_left;
	bool in_indirect;
};

/*
 * Takes a private copy: a second vCPU may rewrite the entry meanwhile, so the
 * compiler must not go back to guest memory. Indirect tables may be unaligned.
 */
static struct vring_desc desc_load(const struct vring_desc *d)
{
	struct vring_desc copy;

	memcpy(&copy, d, sizeof(copy));
	__asm__ __volatile__("" : "+m"(copy));
	return copy;
}

/* virtio 1.2, 2.7.5.3: never nested, never with NEXT, at most queue size entries. */
static int walk_enter_indirect(const struct virtq *q, struct walk *w, const struct vring_desc *d)
{
	uint32_t n = d->len / (uint32_t)sizeof(*d);

	if (!q->indirect || w->in_indirect || d->flags & VRING_DESC_F_NEXT)
		return -EPROTO;
	if (!n || d->len % sizeof(*d) || n > q->size)
		return -EPROTO;
	w->table = guest_mem_ptr(q->mem, d->addr, d->len);
	if (!w->table)
		return -EPROTO;
	w->table_len = n;
	w->next = 0;
	w->steps_left = n;
	w->in_indirect = true;
	return 0;
}

/* Adds one buffer. Readable ones come first (virtio 1.2, 2.7.4.2). */
static int chain_add(const struct virtq *q, struct virtq_chain *c, struct iovec *iov, int max_iov,
		     const struct vring_desc *d)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	uint32_t *total = writable ? &c->in_len : &c->out_len;
	int at = c->nr_out + c->nr_in;

	if (!writable && c->in_len)
		return -EPROTO;
	if (!d->len)
		return 0;
	if (at == max_iov || __builtin_add_overflow(*total, d->len, total))
		return -EPROTO;
	iov[at].iov_base = guest_mem_ptr(q->mem, d->addr, d->len);
	iov[at].iov_len = d->len;
	if (!iov[at].iov_base)
		return -EPROTO;
	if (writable)
		c->nr_in++;
	else
		c->nr_out++;
	return 0;
}

static int chain_walk(const struct virtq *q, struct virtq_chain *c, struct iovec *iov, int max_iov)
{
	struct walk w = { .table = q->desc, .table_len = q->size, .next = c->head,
			  .steps_left = q->size };

	for (;;) {
		struct vring_desc d;
		int ret;

		if (w.next >= w.table_len || !w.steps_left--)
			return -EPROTO;
		d = desc_load(&w.table[w.next]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			ret = walk_enter_indirect(q, &w, &d);
			if (ret)
				return ret;
			continue;
		}
		ret = chain_add(q, c, iov, max_iov, &d);
		if (ret)
			return ret;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		w.next = d.next;
	}
}

static int virtq_break(struct virtq *q)
{
	q->broken = true;
	return -EPROTO;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c, struct iovec *iov, int max_iov)
{
	uint16_t pending, head;

	if (q->broken)
		return -EPROTO;
	pending = (uint16_t)(ring_load_acquire(q->avail + AVAIL_IDX) - q->avail_idx);
	if (!pending)
		return -EAGAIN;
	if (pending > q->size)
		return virtq_break(q);
	head = ring_load(q->avail + AVAIL_RING + 2u * (q->avail_idx & (q->size - 1u)));
	if (head >= q->size || head_is_inflight(q, head))
		return virtq_break(q);
	*c = (struct virtq_chain){ .head = head };
	if (chain_walk(q, c, iov, max_iov))
		return virtq_break(q);
	head_set_inflight(q, head, true);
	q->avail_idx++;
	return 0;
}

void virtq_unpop(struct virtq *q, uint16_t head)
{
	if (!head_is_inflight(q, head)) {
		q->broken = true;
		return;
	}
	head_set_inflight(q, head, false);
	q->avail_idx--;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t bytes_written)
{
	struct vring_used_elem elem = { .id = head, .len = bytes_written };

	if (!head_is_inflight(q, head)) {
		q->broken = true;
		return;
	}
	memcpy(q->used + USED_RING + 8u * (q->used_idx & (q->size - 1u)), &elem, sizeof(elem));
	head_set_inflight(q, head, false);
	q->used_idx++;
}

/* virtio 1.2, 2.7.7.2: with EVENT_IDX, interrupt if used_event was passed by this batch. */
bool virtq_publish_open(struct virtq *q)
{
	uint16_t old = q->settled_idx, event;

	if (old == q->used_idx)
		return false;
	ring_store_release(q->used + USED_IDX, q->used_idx);
	ring_full_barrier();
	if (!q->event_idx)
		return !(ring_load(q->avail + AVAIL_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT);
	event = ring_load(q->avail + AVAIL_RING + 2u * q->size);
	return vring_need_event(event, q->used_idx, old);
}

bool virtq_publish(struct virtq *q)
{
	bool wanted = virtq_publish_open(q);

	q->settled_idx = q->used_idx;
	return wanted;
}

uint16_t virtq_nr_unsettled(const struct virtq *q)
{
	return (uint16_t)(q->used_idx - q->settled_idx);
}

void virtq_disable_kick(struct virtq *q)
{
	/* With EVENT_IDX an avail_event left behind does the same at no cost. */
	if (!q->event_idx)
		ring_store_release(q->used + USED_FLAGS, VRING_USED_F_NO_NOTIFY);
}

bool virtq_enable_kick(struct virtq *q)
{
	if (q->event_idx)
		ring_store_release(q->used + USED_RING + 8u * q->size, q->avail_idx);
	else
		ring_store_release(q->used + USED_FLAGS, 0);
	ring_full_barrier();
	return ring_load_acquire(q->avail + AVAIL_IDX) != q->avail_idx;
}
