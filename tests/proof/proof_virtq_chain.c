/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every descriptor table, as far as a walk can tell tables apart: an entry
 * gets its value when the walk first comes to it, and then each value in turn.
 * What the walk has not come to is filled with one thing, then with another,
 * so a walk that looked there would be found out.
 *
 * The rule that the queue is held to: a chain is sound if it ends, comes to no
 * entry twice, stays inside its table, names RAM only, has its readable bytes
 * first, no more than 2^32 - 1 of either, no more buffers than the queue has
 * entries; an indirect table stands alone at the end and is a whole number of
 * entries. Everything else is refused, and the queue stays broken.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "proof.h"
#include "virtq.h"

#define MAX_SIZE	4u
#define DESC		0x1000u
#define AVAIL		0x2000u
#define USED		0x3000u
#define TABLE		0x4000u
#define DATA		0x10000u
#define RAM		GIB(6)
#define BIG		0xfffffff0u

struct entry {
	struct vring_desc d;
	bool known, visited;
};

struct walk {
	struct virtq *q;
	struct vring_desc *memory[2];	/* guest memory: the queue's table, the indirect one */
	struct entry entry[2][MAX_SIZE];
	uint16_t *avail;
	const struct guest_mem *mem;
	uint32_t size, head;
	bool indirect;			/* negotiated */
	bool few;			/* leave out the lengths that only matter for sums */
	uint32_t table_max;		/* entries of an indirect table */
	uint64_t cases;
};

/* What the walk has come by so far. Passed by value: each branch has its own. */
struct chain {
	uint64_t out_len, in_len;
	uint32_t nr_out, nr_in;
	struct iovec iov[MAX_SIZE];
	bool is_table;
	uint32_t table_len, at;
};

static void step(struct walk *w, struct chain c);

static void show(struct walk *w, const struct vring_desc *unknown)
{
	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int i = 0; i < MAX_SIZE; i++)
			w->memory[t][i] = w->entry[t][i].known ? w->entry[t][i].d : *unknown;
		w->memory[t][MAX_SIZE] = *unknown;
	}
}

static void check_taken(const struct chain *want, const struct virtq_chain *c,
			const struct iovec *iov)
{
	PROVE(c->nr_out == want->nr_out && c->nr_in == want->nr_in, "%u and %u, not %u and %u",
	      c->nr_out, c->nr_in, want->nr_out, want->nr_in);
	PROVE(c->out_len == want->out_len && c->in_len == want->in_len, "lengths %u, %u",
	      c->out_len, c->in_len);
	for (uint32_t i = 0; i < want->nr_out + want->nr_in; i++)
		PROVE(iov[i].iov_base == want->iov[i].iov_base &&
		      iov[i].iov_len == want->iov[i].iov_len, "buffer %u", i);
}

/* want NULL: the chain must be refused. */
static void run(struct walk *w, const struct chain *want)
{
	static const struct vring_desc unknown[] = {
		{ .addr = 0, .len = 0, .flags = 0, .next = 0 },
		{ .addr = UINT64_MAX, .len = 16, .flags = VRING_DESC_F_NEXT, .next = UINT16_MAX },
	};
	struct virtq_cfg cfg = { DESC, AVAIL, USED, w->size, true };
	uint64_t features = w->indirect ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0;
	struct iovec iov[MAX_SIZE + 1];
	struct virtq_chain c;

	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++, w->cases++) {
		int ret;

		show(w, &unknown[i]);
		PROVE(!virtq_start(w->q, &cfg, features), "size %u", w->size);
		memset(&iov[w->size], 0xa5, sizeof(iov[0]));
		ret = virtq_pop(w->q, &c, iov, (int)w->size);
		PROVE(ret == (want ? 0 : -EPROTO), "%d", ret);
		PROVE(iov[w->size].iov_len == 0xa5a5a5a5a5a5a5a5, "list of %u entries overrun",
		      w->size);
		if (want)
			check_taken(want, &c, iov);
		else
			PROVE(virtq_pop(w->q, &c, iov, (int)w->size) == -EPROTO, "works again");
	}
}

static void step_table(struct walk *w, struct chain c, const struct vring_desc *d)
{
	bool whole = d->len && d->len % sizeof(*d) == 0 && d->len / sizeof(*d) <= w->size;
	bool in_ram = (proof_wide)d->addr + d->len <= RAM;

	if (!w->indirect || c.is_table || d->flags & VRING_DESC_F_NEXT || !whole || !in_ram) {
		run(w, NULL);
		return;
	}
	c.is_table = true;
	c.table_len = d->len / (uint32_t)sizeof(*d);
	c.at = 0;
	step(w, c);
}

/* false: refused. */
static bool add_buffer(const struct walk *w, struct chain *c, const struct vring_desc *d)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	uint64_t *total = writable ? &c->in_len : &c->out_len;

	if (!writable && c->in_len)
		return false;
	if (!d->len)
		return true;
	*total += d->len;
	if (c->nr_out + c->nr_in == w->size || *total > UINT32_MAX ||
	    (proof_wide)d->addr + d->len > RAM)
		return false;
	c->iov[c->nr_out + c->nr_in] = (struct iovec){ guest_mem_ptr(w->mem, d->addr, d->len),
						       d->len };
	if (writable)
		c->nr_in++;
	else
		c->nr_out++;
	return true;
}

static void step_known(struct walk *w, struct chain c, const struct vring_desc *d)
{
	if (d->flags & VRING_DESC_F_INDIRECT) {
		step_table(w, c, d);
		return;
	}
	if (!add_buffer(w, &c, d)) {
		run(w, NULL);
		return;
	}
	if (!(d->flags & VRING_DESC_F_NEXT)) {
		run(w, &c);
		return;
	}
	c.at = d->next;
	step(w, c);
}

/* One value for the entry that the walk has come to. */
static void try(struct walk *w, const struct chain *c, struct vring_desc d)
{
	struct entry *e = &w->entry[c->is_table][c->at];

	*e = (struct entry){ d, true, true };
	step_known(w, *c, &d);
	*e = (struct entry){ .known = false };
}

static void try_nexts(struct walk *w, const struct chain *c, struct vring_desc d)
{
	d.next = UINT16_MAX;
	try(w, c, d);
	if (!(d.flags & VRING_DESC_F_NEXT))
		return;
	for (d.next = 0; d.next <= w->size; d.next++)
		try(w, c, d);
}

static void try_buffers(struct walk *w, const struct chain *c, uint16_t flags)
{
	uint64_t own = DATA + 0x100u * (c->at + (c->is_table ? MAX_SIZE : 0));
	const struct vring_desc kind[] = {
		{ own, 16, flags, 0 },
		{ UINT64_MAX, 0, flags, 0 },		/* no bytes, wherever they are */
		{ RAM - 8, 16, flags, 0 },
		{ RAM, 1, flags, 0 },
		{ UINT64_MAX - 7, 16, flags, 0 },
		{ own, BIG, flags, 0 },			/* two of these are too long */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(kind) - w->few; i++)
		try_nexts(w, c, kind[i]);
}

static void try_tables(struct walk *w, const struct chain *c, uint16_t flags)
{
	const struct vring_desc odd[] = {
		{ TABLE, 0, flags, 0 },
		{ TABLE, 15, flags, 0 },
		{ TABLE, 17, flags, 0 },
		{ TABLE, 16 * w->size + 16, flags, 0 },
		{ TABLE, UINT32_MAX - 15, flags, 0 },
		{ RAM - 15, 16, flags, 0 },
		{ UINT64_MAX - 15, 16, flags, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++)
		try(w, c, odd[i]);
	for (uint32_t n = 1; n <= w->table_max; n++)
		try(w, c, (struct vring_desc){ TABLE, 16 * n, flags, 0 });
}

static void step(struct walk *w, struct chain c)
{
	if (c.at >= c.table_len || w->entry[c.is_table][c.at].visited) {
		run(w, NULL);
		return;
	}
	for (uint16_t flags = 0; flags < 8; flags++) {
		if (flags & VRING_DESC_F_INDIRECT)
			try_tables(w, &c, flags);
		else
			try_buffers(w, &c, flags);
	}
}

static uint64_t all_tables(const struct guest_mem *mem, struct virtq *q, uint32_t size,
			   uint32_t table_max)
{
	struct walk w = { .q = q, .mem = mem, .size = size, .indirect = table_max,
			  .few = size == MAX_SIZE && table_max, .table_max = table_max };

	w.memory[0] = guest_mem_ptr(mem, DESC, 4096);
	w.memory[1] = guest_mem_ptr(mem, TABLE, 4096);
	w.avail = guest_mem_ptr(mem, AVAIL, 4096);
	w.avail[1] = 1;
	for (uint16_t head = 0; head < size; head++) {
		w.avail[2] = head;
		step(&w, (struct chain){ .table_len = size, .at = head });
	}
	return w.cases;
}

int main(int argc, char **argv)
{
	struct guest_mem *mem;
	struct virtq *q;

	PROVE(!guest_mem_create(&mem, RAM, RAM, RAM, GUEST_MEM_ANON), "no memory");
	PROVE(!virtq_create(&q, mem, MAX_SIZE), "no queue");
	proved("chains in a queue of 1 are sound and taken as they are, or refused",
	       all_tables(mem, q, 1, 0) + all_tables(mem, q, 1, 1));
	proved("the same in a queue of 2, with indirect tables",
	       all_tables(mem, q, 2, 0) + all_tables(mem, q, 2, 2));
	proved("the same in a queue of 4", all_tables(mem, q, 4, 0));
	proved("the same in a queue of 4 with indirect tables of up to 2",
	       all_tables(mem, q, 4, 2));
	if (proof_is_full(argc, argv))
		proved("the same in a queue of 4 with indirect tables of up to 4",
		       all_tables(mem, q, 4, 4));
	virtq_free(q);
	guest_mem_free(mem);
	return 0;
}
