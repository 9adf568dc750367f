/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that the guest sends. What reaches the host's network stack has a
 * header that the negotiated features allow and payload from guest memory.
 * Rows N1 to N3 and N7 of docs/hostile-cases.md.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "fuzz_fake_transport.h"
#include "fuzz_ring.h"
#include "net_hdr.h"
#include "net_tx.h"
#include "util.h"

#define MAX_OPS		64u
#define FD		1000		/* nobody writes to it: writev(2) is answered below */

ssize_t __wrap_writev(int fd, const struct iovec *iov, int nr_iov);

static struct fuzz_ring ring;
static struct net_tx *tx;
static struct guest_errors errors;
static struct fuzz_input *input;
static unsigned int nr_sent;

static bool has(unsigned int bit)
{
	return net_tx_queue(tx)->features >> bit & 1;
}

static void check_gso(const struct virtio_net_hdr_v1 *h)
{
	uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	FUZZ_CHECK(h->gso_size);
	FUZZ_CHECK(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
	FUZZ_CHECK(!(h->gso_type & VIRTIO_NET_HDR_GSO_ECN) || has(VIRTIO_NET_F_HOST_ECN));
	FUZZ_CHECK((type == VIRTIO_NET_HDR_GSO_TCPV4 && has(VIRTIO_NET_F_HOST_TSO4)) ||
		   (type == VIRTIO_NET_HDR_GSO_TCPV6 && has(VIRTIO_NET_F_HOST_TSO6)) ||
		   (h->gso_type == NET_GSO_UDP_L4 && has(NET_F_HOST_USO)));
}

static void check_header(const struct virtio_net_hdr_v1 *h, uint32_t frame_len)
{
	FUZZ_CHECK(frame_len >= NET_MIN_FRAME && frame_len <= NET_MAX_FRAME);
	FUZZ_CHECK(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
	FUZZ_CHECK(!h->num_buffers);
	FUZZ_CHECK(le16toh(h->hdr_len) <= frame_len);
	if (h->flags) {
		FUZZ_CHECK(has(VIRTIO_NET_F_CSUM));
		FUZZ_CHECK((uint32_t)le16toh(h->csum_start) + le16toh(h->csum_offset) + 2 <=
			   frame_len);
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		check_gso(h);
}

/* The host's side. */
ssize_t __wrap_writev(int fd, const struct iovec *iov, int nr_iov)
{
	static const int results[] = { EAGAIN, EIO, ENOBUFS, EINVAL, EBADFD };
	uint8_t how = fuzz_u8(input);
	struct virtio_net_hdr_v1 hdr;
	uint64_t len = 0;

	FUZZ_CHECK(fd == FD && nr_iov >= 1 && nr_iov <= 1024);
	FUZZ_CHECK(iov[0].iov_len == NET_HDR_LEN);
	FUZZ_CHECK(!fuzz_ring_owns(&ring, iov, 1));	/* a private copy */
	FUZZ_CHECK(fuzz_ring_owns(&ring, iov + 1, (unsigned int)nr_iov - 1));
	memcpy(&hdr, iov[0].iov_base, sizeof(hdr));
	for (int i = 1; i < nr_iov; i++)
		len += iov[i].iov_len;
	check_header(&hdr, (uint32_t)len);
	nr_sent++;
	if (how < 200)
		return (ssize_t)(NET_HDR_LEN + len);
	errno = results[how % ARRAY_SIZE(results)];
	return -1;
}

static void add_sound_frame(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	gpa_t gpa = FUZZ_RING_DATA + 64u * (how >> 4);
	struct virtio_net_hdr_v1 hdr = { 0 };
	uint32_t len = how & 1 ? fuzz_u16(in) % (FUZZ_GUEST_LEN - 0x3000) : fuzz_u8(in);
	struct vbuf buf[] = { { gpa, NET_HDR_LEN, false }, { gpa + NET_HDR_LEN, len, false } };

	hdr.flags = how & 2 ? fuzz_u8(in) : VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.gso_type = how & 4 ? fuzz_u8(in) : VIRTIO_NET_HDR_GSO_NONE;
	hdr.csum_start = htole16(fuzz_u8(in));
	hdr.csum_offset = htole16(how & 8 ? fuzz_u16(in) : 6);
	hdr.gso_size = htole16(how & 4 ? fuzz_u16(in) : 0);
	hdr.hdr_len = htole16(fuzz_u8(in));
	guest_mem_write(ring.mem, gpa, &hdr, sizeof(hdr));
	if (how & 1)				/* one buffer for both */
		buf[0].len += len;
	fuzz_ring_add_sound(&ring, buf, how & 1 ? 1 : 2);
}

static uint64_t some_features(struct fuzz_input *in)
{
	uint32_t low = fuzz_u32(in);

	return low | (low & 2 ? 1ull << NET_F_HOST_USO : 0);
}

static void send_some(unsigned int budget)
{
	unsigned int nr_done;

	net_tx_run(tx, budget, &nr_done);
	FUZZ_CHECK(nr_done <= budget);
	net_queue_publish(net_tx_queue(tx));
}

void fuzz_setup(void)
{
	fuzz_ring_create(&ring);
	guest_errors_init(&errors, "net0");
	FUZZ_CHECK(!net_tx_create(&tx, FD, &errors, FUZZ_RING_MAX));
}

void fuzz_one(struct fuzz_input *in)
{
	uint64_t features = some_features(in);
	struct virtio_transport transport = { 0 };
	struct virtio_irq irq = { 0 };
	struct net_queue *q = net_tx_queue(tx);

	fuzz_ring_start(&ring, fuzz_ring_size(in), features);
	q->vq = ring.vq;
	q->irq = &irq;
	q->transport = &transport;
	q->features = features;
	q->broken = false;
	input = in;
	for (unsigned int i = 0; i < MAX_OPS && fuzz_left(in); i++) {
		switch (fuzz_u8(in) % 8) {
		case 0:				fuzz_ring_add(&ring, in);	break;
		case 1:				fuzz_ring_add_huge(&ring, in);	break;
		case 2: case 3: case 4:		add_sound_frame(in);		break;
		case 5:				fuzz_ring_poke(&ring, in);	break;
		default:			send_some(fuzz_u8(in) % 32u);
		}
		FUZZ_CHECK(!virtq_nr_inflight(ring.vq));
	}
	FUZZ_CHECK(q->broken == (transport.nr_resets == 1));
	virtq_stop(ring.vq);
}
