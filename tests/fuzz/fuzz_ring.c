/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_ring.h"

#include <string.h>
#include <sys/mman.h>

#include "util.h"

#define AVAIL_IDX	1u	/* in 16-bit words */
#define AVAIL_RING	2u
#define MAX_TABLE	8u	/* entries of an indirect table that an input fills in */

void fuzz_ring_create(struct fuzz_ring *r)
{
	FUZZ_CHECK(!guest_mem_create(&r->mem, 2 * FUZZ_REGION_LEN, FUZZ_REGION_LEN,
				     FUZZ_HOLE_END, GUEST_MEM_ANON));
	FUZZ_CHECK(!virtq_create(&r->vq, r->mem, FUZZ_RING_MAX));
}

void fuzz_ring_start(struct fuzz_ring *r, uint16_t size, uint64_t features)
{
	memset(guest_mem_ptr(r->mem, 0, FUZZ_GUEST_LEN), 0, FUZZ_GUEST_LEN);
	for (unsigned int i = 0; i < r->mem->nr_regions; i++) {
		uint32_t kept = i ? 0 : FUZZ_GUEST_LEN;

		madvise(r->mem->region[i].host + kept, FUZZ_REGION_LEN - kept, MADV_DONTNEED);
	}
	vdriver_init(&r->d, r->mem, 0, size, false);
	r->next_desc = 0;
	FUZZ_CHECK(!virtq_start(r->vq, &r->d.cfg, features));
}

uint16_t fuzz_ring_size(struct fuzz_input *in)
{
	return (uint16_t)(1u << fuzz_u8(in) % 11);
}

static uint64_t desc_addr(struct fuzz_input *in, uint8_t how)
{
	switch (how & 7) {
	case 0:		return fuzz_number(in, FUZZ_GUEST_LEN);
	case 1:		return FUZZ_REGION_LEN - fuzz_u8(in);
	case 3:		return FUZZ_HOLE_END - 16 + fuzz_u16(in);
	case 4:		return FUZZ_HOLE_END + FUZZ_REGION_LEN - fuzz_u8(in);
	case 2:		return fuzz_u16(in) % FUZZ_RING_DATA;	/* the rings themselves */
	default:	return FUZZ_RING_DATA + fuzz_u16(in) % (FUZZ_GUEST_LEN - FUZZ_RING_DATA);
	}
}

static uint32_t desc_len(struct fuzz_input *in, uint8_t how)
{
	switch (how & 7) {
	case 0:		return (uint32_t)fuzz_number(in, FUZZ_GUEST_LEN);
	case 1:		return 512u * (fuzz_u8(in) % 16u);
	case 2:		return 16;
	case 3:		return 1;
	case 4:		return 16u * (fuzz_u16(in) % (FUZZ_RING_MAX + 2));
	case 5:		return (uint32_t)FUZZ_REGION_LEN - fuzz_u8(in);
	default:	return fuzz_u8(in);
	}
}

static void direct_desc(struct fuzz_input *in, struct vring_desc *d, uint16_t next_idx)
{
	uint8_t how = fuzz_u8(in), flags = fuzz_u8(in);

	d->addr = desc_addr(in, how);
	d->len = desc_len(in, how >> 3);
	d->flags = flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	d->flags |= flags >> 4 == 1 ? VRING_DESC_F_INDIRECT : 0;
	d->flags |= flags >> 4 == 2 ? (uint16_t)(flags << 8) : 0;
	d->next = flags >> 4 == 3 ? fuzz_u16(in) : next_idx;
}

/* Entries of an indirect table, as far as they lie in RAM; it may well say that it goes on. */
static void fill_table(struct fuzz_ring *r, struct fuzz_input *in, gpa_t gpa)
{
	for (uint16_t i = 0; i < MAX_TABLE; i++, gpa += sizeof(struct vring_desc)) {
		struct vring_desc d;

		direct_desc(in, &d, (uint16_t)(i + 1));
		if (guest_mem_write(r->mem, gpa, &d, sizeof(d)) || !(d.flags & VRING_DESC_F_NEXT))
			return;
	}
}

void fuzz_ring_desc(struct fuzz_ring *r, struct fuzz_input *in, struct vring_desc *d,
		    uint16_t next_idx)
{
	direct_desc(in, d, next_idx);
	if (d->flags & VRING_DESC_F_INDIRECT)
		fill_table(r, in, d->addr);
}

static void show(struct fuzz_ring *r, uint16_t head)
{
	r->d.avail[AVAIL_RING + r->d.avail_idx % r->d.size] = head;
	r->d.avail[AVAIL_IDX] = ++r->d.avail_idx;
}

/* The table of an indirect chain, or the place of a direct one's next descriptor. */
static struct vring_desc *huge_desc(struct fuzz_ring *r, struct vring_desc *table, unsigned int i)
{
	return table ? &table[i] : &r->d.desc[(r->next_desc + i) % r->d.size];
}

void fuzz_ring_add_huge(struct fuzz_ring *r, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), less = fuzz_u8(in);
	uint16_t head = r->next_desc, size = r->d.size;
	unsigned int n = MIN(32u << how % 6u, (unsigned int)size);
	uint32_t len = (uint32_t)MIN(GIB(4) / n, FUZZ_REGION_LEN);
	struct vring_desc *table = how & 0x80 ? guest_mem_ptr(r->mem, MIB(1), 16ull * n) : NULL;

	for (unsigned int i = 0; i < n; i++)
		*huge_desc(r, table, i) = (struct vring_desc){
			.addr = how & 0x40 ? FUZZ_HOLE_END : FUZZ_REGION_LEN - len,
			.len = i ? len : len - less,
			.flags = (uint16_t)((how & 8 ? 0 : VRING_DESC_F_WRITE) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(table ? i + 1 : (head + i + 1) % size),
		};
	if (table)
		r->d.desc[head] = (struct vring_desc){ .addr = MIB(1), .len = 16u * n,
						       .flags = VRING_DESC_F_INDIRECT };
	r->next_desc = (uint16_t)((head + (table ? 1 : n)) % size);
	show(r, head);
}

void fuzz_ring_add(struct fuzz_ring *r, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	unsigned int n = how % 8u + 1u;
	uint16_t head = r->next_desc, size = r->d.size;

	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc *d = &r->d.desc[r->next_desc];

		r->next_desc = (uint16_t)((r->next_desc + 1u) % size);
		fuzz_ring_desc(r, in, d, r->next_desc);
		if (how & 0x80 && !(d->flags & VRING_DESC_F_INDIRECT))	/* as they should be */
			d->flags = (uint16_t)((d->flags & VRING_DESC_F_WRITE) |
					      (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		if (!(d->flags & VRING_DESC_F_NEXT))
			break;
	}
	show(r, how & 0x40 ? fuzz_u16(in) : head);
}

void fuzz_ring_add_sound(struct fuzz_ring *r, const struct vbuf *buf, unsigned int n)
{
	uint16_t head = r->next_desc, size = r->d.size;

	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc *d = &r->d.desc[r->next_desc];

		r->next_desc = (uint16_t)((r->next_desc + 1u) % size);
		*d = (struct vring_desc){
			.addr = buf[i].gpa, .len = buf[i].len, .next = r->next_desc,
			.flags = (uint16_t)((buf[i].write ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
		};
	}
	show(r, head);
}

void fuzz_ring_poke(struct fuzz_ring *r, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), len = how % 16u + 1u;
	uint32_t at = fuzz_u16(in);

	if (how & 0x80)			/* more often where it hurts */
		at %= FUZZ_RING_DATA;
	at = MIN(at, FUZZ_GUEST_LEN - len);
	fuzz_bytes(in, guest_mem_ptr(r->mem, at, len), len);
}

bool fuzz_ring_is_ram(uint64_t gpa, uint64_t len)
{
	unsigned __int128 end = (unsigned __int128)gpa + len;

	return end <= FUZZ_REGION_LEN ||
	       (gpa >= FUZZ_HOLE_END && end <= FUZZ_HOLE_END + FUZZ_REGION_LEN);
}

static bool region_owns(const struct guest_mem_region *g, const struct iovec *v)
{
	uintptr_t start = (uintptr_t)g->host, at = (uintptr_t)v->iov_base;

	return at >= start && at <= start + g->len && v->iov_len <= start + g->len - at;
}

bool fuzz_ring_owns(const struct fuzz_ring *r, const struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!region_owns(&r->mem->region[0], &iov[i]) &&
		    !region_owns(&r->mem->region[1], &iov[i]))
			return false;
	return true;
}
