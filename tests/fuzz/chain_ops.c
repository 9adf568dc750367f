/* SPDX-License-Identifier: Apache-2.0 */
#include "chain_ops.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "util.h"

/* What we know of the queue without looking into it. */
struct model {
	struct fuzz_ring *r;
	struct fuzz_input *in;
	bool memory_is_mine;
	bool broken;
	bool inflight[FUZZ_RING_MAX];
	uint16_t nr_inflight, used_idx, published_idx;
	bool can_unpop;
	uint16_t last_head;
	struct iovec iov[FUZZ_RING_MAX];
};

static uint64_t sum(const struct iovec *iov, unsigned int n)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < n; i++) {
		FUZZ_CHECK(iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

static void check_chain(struct model *m, const struct virtq_chain *c, int max_iov)
{
	unsigned int n = c->nr_out + (unsigned int)c->nr_in;

	FUZZ_CHECK(c->head < m->r->d.size);
	FUZZ_CHECK(!m->inflight[c->head]);
	FUZZ_CHECK(n <= (unsigned int)max_iov);
	FUZZ_CHECK(fuzz_ring_owns(m->r, m->iov, n));
	FUZZ_CHECK(sum(m->iov, c->nr_out) == c->out_len);
	FUZZ_CHECK(sum(m->iov + c->nr_out, c->nr_in) == c->in_len);
}

static void pop(struct model *m)
{
	uint8_t how = fuzz_u8(m->in);
	int max_iov = how & 1 ? how % FUZZ_RING_MAX : virtq_size(m->r->vq);
	struct virtq_chain c;
	int ret = virtq_pop(m->r->vq, &c, m->iov, max_iov);

	if (m->broken)
		FUZZ_CHECK(ret == -EPROTO);
	if (ret) {
		FUZZ_CHECK(ret == -EAGAIN || ret == -EPROTO);
		m->broken = ret == -EPROTO;
		return;
	}
	check_chain(m, &c, max_iov);
	for (unsigned int i = 0; i < c.nr_in; i++)	/* the guest's own fault */
		memset(m->iov[c.nr_out + i].iov_base, how, MIN(m->iov[c.nr_out + i].iov_len, 64u));
	m->inflight[c.head] = true;
	m->nr_inflight++;
	m->last_head = c.head;
	m->can_unpop = true;
}

static void push(struct model *m)
{
	uint16_t at = fuzz_u16(m->in) % FUZZ_RING_MAX;

	for (unsigned int i = 0; i < FUZZ_RING_MAX; i++, at = (at + 1) % FUZZ_RING_MAX) {
		if (!m->inflight[at])
			continue;
		virtq_push(m->r->vq, at, fuzz_u32(m->in));
		m->inflight[at] = false;
		m->nr_inflight--;
		m->used_idx++;
		m->can_unpop = false;
		return;
	}
}

static void publish(struct model *m)
{
	virtq_publish(m->r->vq);
	if (m->memory_is_mine && m->used_idx != m->published_idx)
		FUZZ_CHECK(((uint16_t *)(void *)m->r->d.used)[1] == m->used_idx);
	m->published_idx = m->used_idx;
}

static void unpop(struct model *m)
{
	if (!m->can_unpop || !m->inflight[m->last_head])
		return;
	virtq_unpop(m->r->vq, m->last_head);
	m->inflight[m->last_head] = false;
	m->nr_inflight--;
	m->can_unpop = false;
}

static void kick(struct model *m)
{
	if (fuzz_u8(m->in) & 1)
		virtq_disable_kick(m->r->vq);
	else
		virtq_enable_kick(m->r->vq);
}

static uint64_t some_features(struct fuzz_input *in)
{
	uint8_t bits = fuzz_u8(in);

	return (bits & 1 ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0) |
	       (bits & 2 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
}

static void restart(struct model *m)
{
	fuzz_ring_start(m->r, fuzz_ring_size(m->in), some_features(m->in));
	*m = (struct model){ .r = m->r, .in = m->in, .memory_is_mine = m->memory_is_mine };
}

/* A configuration as a driver may write it. What is accepted has to lie in RAM. */
static void start_anywhere(struct model *m)
{
	struct virtq_cfg cfg = {
		.desc = fuzz_number(m->in, FUZZ_REGION_LEN),
		.avail = FUZZ_HOLE_END + fuzz_number(m->in, FUZZ_REGION_LEN),
		.used = fuzz_number(m->in, FUZZ_GUEST_LEN),
		.size = (uint32_t)fuzz_number(m->in, FUZZ_RING_MAX),
	};
	struct virtq_chain c;

	if (!virtq_start(m->r->vq, &cfg, some_features(m->in))) {
		FUZZ_CHECK(cfg.size && cfg.size <= FUZZ_RING_MAX && !(cfg.size & (cfg.size - 1)));
		FUZZ_CHECK(fuzz_ring_is_ram(cfg.desc, 16ull * cfg.size));
		FUZZ_CHECK(fuzz_ring_is_ram(cfg.avail, 6 + 2ull * cfg.size));
		FUZZ_CHECK(fuzz_ring_is_ram(cfg.used, 6 + 8ull * cfg.size));
		while (!virtq_pop(m->r->vq, &c, m->iov, FUZZ_RING_MAX))
			virtq_push(m->r->vq, c.head, c.in_len);
		virtq_publish(m->r->vq);
	}
	restart(m);
}

static void step(struct model *m)
{
	switch (fuzz_u8(m->in) % 16) {
	case 0: case 1:			fuzz_ring_add(m->r, m->in);	break;
	case 2:				fuzz_ring_add_huge(m->r, m->in);	break;
	case 3: case 4: case 5:		pop(m);				break;
	case 6: case 7:			push(m);			break;
	case 8:				publish(m);			break;
	case 9:				kick(m);			break;
	case 10:			unpop(m);			break;
	case 11: case 12: case 13:	fuzz_ring_poke(m->r, m->in);	break;
	case 14:			restart(m);			break;
	default:			start_anywhere(m);
	}
}

void chain_ops_run(struct fuzz_ring *r, struct fuzz_input *in, bool memory_is_mine)
{
	struct model m = { .r = r, .in = in, .memory_is_mine = memory_is_mine };

	restart(&m);
	for (unsigned int i = 0; i < CHAIN_OPS_MAX && fuzz_left(in); i++) {
		step(&m);
		FUZZ_CHECK(virtq_nr_inflight(r->vq) == m.nr_inflight);
	}
	virtq_stop(r->vq);
}
