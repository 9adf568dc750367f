/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "print.h"
#include "ring.h"

static size_t avail_len(uint16_t size)
{
	return 6 + 2 * (size_t)size;
}

static size_t used_len(uint16_t size)
{
	return 6 + 8 * (size_t)size;
}

void ring_init(struct ring *r, uint16_t size, bool event_idx)
{
	if (r->max < size) {
		r->desc = heap_alloc(16 * (size_t)size, 16);
		r->avail = heap_alloc(avail_len(size), 2);
		r->used = heap_alloc(used_len(size), 4);
		r->max = size;
	}
	memset((void *)(uintptr_t)r->desc, 0, 16 * (size_t)size);
	memset((void *)(uintptr_t)r->avail, 0, avail_len(size));
	memset((void *)(uintptr_t)r->used, 0, used_len(size));
	r->size = size;
	r->event_idx = event_idx;
	r->next_desc = r->next_avail = r->last_used = 0;
}

void ring_set(struct ring *r, uint16_t idx, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next)
{
	r->desc[idx].addr = addr;
	r->desc[idx].len = len;
	r->desc[idx].flags = flags;
	r->desc[idx].next = next;
}

static uint16_t flags_of(const struct piece *p, bool last)
{
	return (uint16_t)((p->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
}

static uint16_t take_desc(struct ring *r)
{
	uint16_t idx = r->next_desc;

	r->next_desc = (uint16_t)((idx + 1) % r->size);
	return idx;
}

uint16_t ring_chain(struct ring *r, const struct piece *p, unsigned int nr)
{
	uint16_t head = r->next_desc, idx;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		idx = take_desc(r);
		ring_set(r, idx, (uint64_t)p[i].ptr, p[i].len, flags_of(&p[i], i + 1 == nr),
			 r->next_desc);
	}
	return head;
}

uint16_t ring_chain_indirect(struct ring *r, struct vring_desc *table, const struct piece *p,
			     unsigned int nr)
{
	uint16_t head = take_desc(r);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		table[i].addr = (uint64_t)p[i].ptr;
		table[i].len = p[i].len;
		table[i].flags = flags_of(&p[i], i + 1 == nr);
		table[i].next = (uint16_t)(i + 1);
	}
	ring_set(r, head, (uint64_t)table, 16 * nr, VRING_DESC_F_INDIRECT, 0);
	return head;
}

void ring_offer(struct ring *r, uint16_t head)
{
	r->avail->ring[r->next_avail % r->size] = head;
	r->next_avail++;
}

void ring_publish(struct ring *r)
{
	barrier();
	r->avail->idx = r->next_avail;
	full_barrier();
}

bool ring_take(struct ring *r, uint32_t *id, uint32_t *len)
{
	const volatile struct vring_used_elem *e;

	if (!ring_nr_used(r))
		return false;
	barrier();
	e = &r->used->ring[r->last_used % r->size];
	if (id)
		*id = e->id;
	if (len)
		*len = e->len;
	r->last_used++;
	return true;
}

uint16_t ring_nr_used(const struct ring *r)
{
	return (uint16_t)(r->used->idx - r->last_used);
}

volatile uint16_t *ring_used_event(struct ring *r)
{
	return &r->avail->ring[r->size];
}

volatile uint16_t *ring_avail_event(struct ring *r)
{
	return (volatile uint16_t *)(volatile void *)&r->used->ring[r->size];
}
