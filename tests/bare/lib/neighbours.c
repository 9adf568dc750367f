/* SPDX-License-Identifier: Apache-2.0 */
#include "neighbours.h"

#include "print.h"
#include "subject.h"

#define RX 0
#define TX 1
#define NR_BUFS 8u
#define BUF_LEN 2048u
#define HDR ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define ARP_LEN 42u
#define ANSWER_MS 4000

static struct vdev *disk, *nic;
static uint8_t *buf, *frame;

/* Who has 192.168.78.1? Tell 192.168.78.2, 52:54:00:00:00:02. */
static const uint8_t question[ARP_LEN] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 2, 8, 6,
	0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 192, 168, 78, 2,
	0, 0, 0, 0, 0, 0, 192, 168, 78, 1,
};

static struct vdev *find_nic(void)
{
	struct vdev *d;
	unsigned int i;

	for (i = 0; (d = vdev_get(VIRTIO_ID_NET, i)); i++)
		if (d != dev)
			return d;
	return NULL;
}

static void offer_buffer(uint8_t *at)
{
	struct piece p = { at, BUF_LEN, true };

	ring_offer(&nic->ring[RX], ring_chain(&nic->ring[RX], &p, 1));
	ring_publish(&nic->ring[RX]);
	vdev_kick(nic, RX);
}

static void nic_start(void)
{
	unsigned int i;

	if (!buf) {
		buf = heap_alloc(NR_BUFS * BUF_LEN, 64);
		frame = heap_alloc(HDR + ARP_LEN, 64);
		memcpy(frame + HDR, question, ARP_LEN);
	}
	vdev_start(nic, 2, 0, IRQ_NONE);
	for (i = 0; i < NR_BUFS && !check_failed(); i++)
		offer_buffer(buf + i * BUF_LEN);
}

void neighbours_start(void)
{
	RETURN_IF_FAILED();
	nic = find_nic();
	EXPECT_MSG(nic || !option_number("nic", 0), "there is no second interface");
	disk = bystander_start();
	if (nic)
		nic_start();
}

/* Takes one frame if there is one; whether it is the answer. */
static bool take_answer(void)
{
	struct ring *r = &nic->ring[RX];
	uint32_t id, len;
	uint8_t *at;
	bool found;

	if (!ring_take(r, &id, &len))
		return false;
	at = (uint8_t *)r->desc[id].addr;
	found = len >= HDR + ARP_LEN && !memcmp(at + HDR + 12, question + 12, 2) &&
		at[HDR + 21] == 2 && !memcmp(at + HDR + 28, question + 38, 4);
	offer_buffer(at);
	return found;
}

static bool nic_works(void)
{
	struct ring *r = &nic->ring[TX];
	struct piece p = { frame, HDR + ARP_LEN, false };

	ring_offer(r, ring_chain(r, &p, 1));
	ring_publish(r);
	vdev_kick(nic, TX);
	return WAIT(ring_take(r, NULL, NULL), ANSWER_MS) && WAIT(take_answer(), ANSWER_MS);
}

void expect_neighbours_serve(void)
{
	expect_bystander_works(disk);
	RETURN_IF_FAILED();
	if (nic)
		EXPECT_MSG(nic_works(), "the second interface no longer works");
}

void neighbours_after_check(void)
{
	expect_neighbours_serve();
	RETURN_IF_FAILED();
	if (dev->device_id != VIRTIO_ID_BLOCK)
		return;
	EXPECT_MSG(vdev_reset(dev), "the device does not reset");
	vdev_start(dev, 1, 0, IRQ_NONE);
	RETURN_IF_FAILED();
	EXPECT_MSG(blk_works(dev, 0), "the device does not work after a reset");
}
