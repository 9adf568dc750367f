/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of any length into receive buffers of any shape. The host's side only
 * writes where the device offers room; a driver whose buffers are sound finds
 * each frame complete. Rows N4, N5 and N7 of docs/hostile-cases.md.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "fuzz_fake_transport.h"
#include "fuzz_ring.h"
#include "net_hdr.h"
#include "net_rx.h"
#include "util.h"

#define MAX_OPS		64u
#define MAX_FRAME	(NET_HDR_LEN + 65536u)
#define FD		1000	/* nobody reads from it: readv(2) is answered below */

ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr_iov);

static struct fuzz_ring ring;
static struct net_rx *rx;
static struct guest_errors errors;
static struct fuzz_input *input;
static bool sound;			/* all buffers are, and none overlaps another */
static uint16_t used_seen;
static gpa_t next_gpa;
static uint64_t nr_read;		/* frames that the host delivered */

/* A frame is full of the low byte of its number; its header is zero. */
static void fill(const struct iovec *iov, int nr_iov, uint32_t len, uint8_t pattern)
{
	uint32_t done = 0;

	for (int i = 0; i < nr_iov && done < len; i++) {
		uint32_t n = (uint32_t)MIN((uint64_t)(len - done), iov[i].iov_len);

		memset(iov[i].iov_base, pattern, n);
		done += n;
	}
	FUZZ_CHECK(done == len);
}

static uint32_t frame_len(uint8_t how)
{
	switch (how & 3) {
	case 0:		return fuzz_u8(input);
	case 1:		return fuzz_u16(input);
	case 2:		return MAX_FRAME - fuzz_u8(input);
	default:	return NET_HDR_LEN + NET_MIN_FRAME + fuzz_u8(input);
	}
}

/* The host's side. The last entry is the device's own, for what the guest has no room for. */
ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr_iov)
{
	static const int results[] = { EAGAIN, EIO, ENOBUFS, EBADFD };
	uint8_t how = fuzz_u8(input);
	uint32_t len;

	FUZZ_CHECK(fd == FD && nr_iov >= 2 && nr_iov <= 1024);
	FUZZ_CHECK(fuzz_ring_owns(&ring, iov, (unsigned int)nr_iov - 1));
	FUZZ_CHECK(!fuzz_ring_owns(&ring, iov + nr_iov - 1, 1));
	if (!fuzz_left(input) || how >= 200) {
		errno = results[how % ARRAY_SIZE(results)];
		return -1;
	}
	len = frame_len(how);
	fill(iov, nr_iov, len, (uint8_t)++nr_read);
	return len;
}

static void add_sound_buffer(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	struct vbuf buf[2];
	uint32_t len = how & 1 ? fuzz_u16(in) % 0x3000u : fuzz_u8(in);
	unsigned int n = how & 2 ? 2 : 1;

	len = MAX(len, NET_HDR_LEN + 2u);
	if (len > FUZZ_GUEST_LEN - next_gpa)
		return;
	buf[0] = (struct vbuf){ next_gpa, n == 2 ? 1 + how % 12u : len, true };
	buf[1] = (struct vbuf){ next_gpa + buf[0].len, len - buf[0].len, true };
	next_gpa += len;
	fuzz_ring_add_sound(&ring, buf, n);
}

/* Length of a chain as its descriptors say. */
static uint32_t chain_len(uint32_t head, gpa_t *first)
{
	uint32_t len = ring.d.desc[head].len;

	*first = ring.d.desc[head].addr;
	if (ring.d.desc[head].flags & VRING_DESC_F_NEXT)
		len += ring.d.desc[(head + 1) % ring.d.size].len;
	return len;
}

static struct vring_used_elem used_elem(uint16_t idx)
{
	struct vring_used_elem e;

	memcpy(&e, ring.d.used + 4 + 8u * (idx % ring.d.size), sizeof(e));
	return e;
}

/* One frame as a driver takes it: as many buffers as its header says, all but the last full. */
static void take_frame(uint16_t used_idx)
{
	struct vring_used_elem e = used_elem(used_seen);
	const uint8_t *p;
	uint16_t nr;
	gpa_t gpa;

	chain_len(e.id, &gpa);
	p = guest_mem_ptr(ring.mem, gpa, NET_HDR_LEN);
	memcpy(&nr, p + offsetof(struct virtio_net_hdr_v1, num_buffers), sizeof(nr));
	FUZZ_CHECK(nr && nr <= (uint16_t)(used_idx - used_seen));
	for (uint16_t i = 0; i < nr; i++) {
		uint32_t room;

		e = used_elem(used_seen++);
		room = chain_len(e.id, &gpa);
		FUZZ_CHECK(e.len && e.len <= room && (i + 1 == nr || e.len == room));
		p = guest_mem_ptr(ring.mem, gpa, e.len);
		FUZZ_CHECK(i || e.len <= NET_HDR_LEN || p[NET_HDR_LEN] == p[0]);
		FUZZ_CHECK(p[e.len - 1] == p[i ? 0 : 1]);
	}
}

static void check_frames(void)
{
	uint16_t used_idx = ((uint16_t *)(void *)ring.d.used)[1];

	while (sound && used_seen != used_idx)
		take_frame(used_idx);
}

/* More than a ring of buffers at a time would reuse descriptors in flight. */
static bool ring_is_full(void)
{
	return (uint16_t)(ring.d.avail_idx - used_seen) >= ring.d.size / 2;
}

static void step(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 8) {
	case 0: case 1: case 2:
		if (!sound)
			fuzz_ring_add(&ring, in);
		else if (!ring_is_full())
			add_sound_buffer(in);
		break;
	case 3:
		if (!sound)
			fuzz_ring_poke(&ring, in);
		break;
	case 4:
		if (!sound)
			fuzz_ring_add_huge(&ring, in);
		break;
	default:
		net_rx_run(rx, fuzz_u8(in) % 32u);
		check_frames();
	}
}

static void start(struct fuzz_input *in, struct virtio_transport *t, struct virtio_irq *irq)
{
	uint8_t how = fuzz_u8(in);
	uint16_t size = fuzz_ring_size(in);
	uint64_t features = (how & 1 ? 1ull << VIRTIO_NET_F_MRG_RXBUF : 0) |
			    (how & 2 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
	struct net_queue *q = net_rx_queue(rx);

	fuzz_ring_start(&ring, size, features);
	q->vq = ring.vq;
	q->irq = irq;
	q->transport = t;
	q->features = features;
	q->broken = false;
	net_rx_reset(rx);
	sound = how & 4 && size >= 4;
	used_seen = 0;
	nr_read = 0;
	next_gpa = FUZZ_RING_DATA;
}

void fuzz_setup(void)
{
	fuzz_ring_create(&ring);
	guest_errors_init(&errors, "net0");
	FUZZ_CHECK(!net_rx_create(&rx, FD, &errors, FUZZ_RING_MAX));
}

void fuzz_one(struct fuzz_input *in)
{
	struct virtio_transport transport = { 0 };
	struct virtio_irq irq = { 0 };

	input = in;
	start(in, &transport, &irq);
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++)
		step(in);
	FUZZ_CHECK(net_rx_queue(rx)->broken == (transport.nr_resets == 1));
	FUZZ_CHECK(!sound || !transport.nr_resets);
	virtq_stop(ring.vq);
}
