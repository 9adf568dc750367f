/* SPDX-License-Identifier: Apache-2.0 */
#include "blk.h"
#include "print.h"

#define PAGE 4096

struct blk_state {
	struct blk_req req[VDEV_MAX_QUEUES];
	uint8_t *page[VDEV_MAX_QUEUES];
};

static struct blk_state *state_of(const struct vdev *d)
{
	struct vdev *dev = (struct vdev *)(uintptr_t)d;

	if (!dev->priv)
		dev->priv = heap_alloc(sizeof(struct blk_state), 16);
	return dev->priv;
}

struct blk_req *blk_req(const struct vdev *d, unsigned int q)
{
	return &state_of(d)->req[q];
}

uint8_t *blk_page(const struct vdev *d, unsigned int q)
{
	struct blk_state *s = state_of(d);

	if (!s->page[q])
		s->page[q] = heap_alloc(PAGE, PAGE);
	return s->page[q];
}

uint16_t blk_build(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
		   uint32_t len)
{
	struct blk_req *req = blk_req(d, q);
	struct piece p[3] = {
		{ &req->hdr, sizeof(req->hdr), false },
		{ data, len, type != VIRTIO_BLK_T_OUT },
		{ &req->status, 1, true },
	};

	req->hdr = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	req->status = BLK_NO_ANSWER;
	if (len)
		return ring_chain(&d->ring[q], p, 3);
	p[1] = p[2];
	return ring_chain(&d->ring[q], p, 2);
}

void blk_submit(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
		uint32_t len)
{
	ring_offer(&d->ring[q], blk_build(d, q, type, sector, data, len));
	ring_publish(&d->ring[q]);
	vdev_kick(d, q);
}

uint8_t blk_do(struct vdev *d, unsigned int q, uint32_t type, uint64_t sector, void *data,
	       uint32_t len)
{
	blk_submit(d, q, type, sector, data, len);
	if (!WAIT(ring_nr_used(&d->ring[q]), BLK_MS))
		return BLK_NO_ANSWER;
	ring_take(&d->ring[q], NULL, NULL);
	return blk_req(d, q)->status;
}

bool blk_works(struct vdev *d, unsigned int q)
{
	return blk_do(d, q, VIRTIO_BLK_T_IN, 0, blk_page(d, q), SECTOR) == VIRTIO_BLK_S_OK;
}

uint64_t blk_capacity(const struct vdev *d)
{
	return vdev_read(d, VIRTIO_MMIO_CONFIG) |
	       (uint64_t)vdev_read(d, VIRTIO_MMIO_CONFIG + 4) << 32;
}

void sector_fill(uint8_t *sector, uint64_t number)
{
	uint64_t *word = (uint64_t *)(void *)sector;
	unsigned int i;

	for (i = 0; i < SECTOR / 8; i++)
		word[i] = number ^ (uint64_t)i << 56;
}

bool sector_is(const uint8_t *sector, uint64_t number)
{
	const uint64_t *word = (const uint64_t *)(const void *)sector;
	unsigned int i;

	for (i = 0; i < SECTOR / 8; i++)
		if (word[i] != (number ^ (uint64_t)i << 56))
			return false;
	return true;
}
