/* SPDX-License-Identifier: Apache-2.0 */
#include "vdriver.h"

#include <assert.h>
#include <string.h>

#include "util.h"

#define AVAIL_IDX	1u	/* in 16-bit words */
#define AVAIL_RING	2u

void vdriver_init(struct vdriver *d, struct guest_mem *mem, gpa_t base, uint16_t size,
		  bool event_idx)
{
	uint32_t avail_len = 6 + 2u * size, used_len = 6 + 8u * size;

	assert(size <= VDRIVER_MAX_SIZE);
	*d = (struct vdriver){ .mem = mem, .size = size, .event_idx = event_idx,
			       .nr_free = size };
	d->cfg.desc = base;
	d->cfg.avail = base + 16ull * size;
	d->cfg.used = align_up(d->cfg.avail + avail_len, 4);
	d->cfg.size = size;
	d->cfg.ready = true;
	d->next_gpa = align_up(d->cfg.used + used_len, 4096);
	d->desc = guest_mem_ptr(mem, d->cfg.desc, 16ull * size);
	d->avail = guest_mem_ptr(mem, d->cfg.avail, avail_len);
	d->used = guest_mem_ptr(mem, d->cfg.used, used_len);
	assert(d->desc && d->avail && d->used);
	memset(d->avail, 0, avail_len);
	memset(d->used, 0, used_len);
	for (uint16_t i = 0; i < size; i++)
		d->free[i] = (uint16_t)(size - 1 - i);
}

gpa_t vdriver_alloc(struct vdriver *d, uint32_t len)
{
	gpa_t gpa = d->next_gpa;

	assert(guest_mem_ptr(d->mem, gpa, len));
	d->next_gpa = align_up(gpa + len, 16);
	return gpa;
}

void *vdriver_ptr(const struct vdriver *d, gpa_t gpa)
{
	return guest_mem_ptr(d->mem, gpa, 1);
}

static void make_available(struct vdriver *d, uint16_t head)
{
	d->avail[AVAIL_RING + d->avail_idx % d->size] = head;
	d->avail_idx++;
}

static struct vring_desc to_desc(const struct vbuf *buf, bool last, uint16_t next)
{
	return (struct vring_desc){
		.addr = buf->gpa,
		.len = buf->len,
		.flags = (uint16_t)((buf->write ? VRING_DESC_F_WRITE : 0) |
				    (last ? 0 : VRING_DESC_F_NEXT)),
		.next = last ? 0 : next,
	};
}

uint16_t vdriver_add(struct vdriver *d, const struct vbuf *buf, unsigned int n)
{
	uint16_t at = d->free[d->nr_free - 1], head = at;

	assert(n && n <= d->nr_free);
	for (unsigned int i = 0; i < n; i++) {
		uint16_t next;

		d->nr_free--;
		next = i + 1 < n ? d->free[d->nr_free - 1] : 0;
		d->desc[at] = to_desc(&buf[i], i + 1 == n, next);
		at = next;
	}
	make_available(d, head);
	return head;
}

uint16_t vdriver_add_indirect(struct vdriver *d, const struct vbuf *buf, unsigned int n)
{
	gpa_t gpa = vdriver_alloc(d, n * (uint32_t)sizeof(struct vring_desc));
	struct vring_desc *table = vdriver_ptr(d, gpa);
	uint16_t head = d->free[d->nr_free - 1];

	assert(n && d->nr_free);
	d->nr_free--;
	for (unsigned int i = 0; i < n; i++)
		table[i] = to_desc(&buf[i], i + 1 == n, (uint16_t)(i + 1));
	d->desc[head] = (struct vring_desc){ .addr = gpa, .len = n * (uint32_t)sizeof(*table),
					     .flags = VRING_DESC_F_INDIRECT };
	make_available(d, head);
	return head;
}

static uint16_t load16(const void *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
}

uint16_t vdriver_kick_at(const struct vdriver *d)
{
	return load16(d->used + 4 + 8u * d->size);
}

bool vdriver_show(struct vdriver *d)
{
	uint16_t old = d->avail_shown;

	__atomic_store_n(&d->avail[AVAIL_IDX], d->avail_idx, __ATOMIC_RELEASE);
	d->avail_shown = d->avail_idx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (d->event_idx)
		return vring_need_event(vdriver_kick_at(d), d->avail_idx, old);
	return !(load16(d->used) & VRING_USED_F_NO_NOTIFY);
}

static void free_chain(struct vdriver *d, uint16_t head)
{
	uint16_t flags;

	do {
		flags = d->desc[head].flags;
		d->free[d->nr_free++] = head;
		head = d->desc[head].next;
	} while (flags & VRING_DESC_F_NEXT);
}

bool vdriver_take(struct vdriver *d, uint16_t *head, uint32_t *len)
{
	struct vring_used_elem elem;

	if (load16(d->used + 2) == d->used_seen)
		return false;
	memcpy(&elem, d->used + 4 + 8u * (d->used_seen % d->size), sizeof(elem));
	d->used_seen++;
	*head = (uint16_t)elem.id;
	*len = elem.len;
	free_chain(d, *head);
	return true;
}

void vdriver_want_irq_at(struct vdriver *d, uint16_t idx)
{
	__atomic_store_n(&d->avail[AVAIL_RING + d->size], idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
