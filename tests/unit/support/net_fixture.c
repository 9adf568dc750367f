/* SPDX-License-Identifier: Apache-2.0 */
#include "net_fixture.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_hdr.h"
#include "util.h"

static struct net_fixture *to_fixture(struct net_backend *b)
{
	return container_of(b, struct net_fixture, be);
}

static int host_set_offloads(struct net_backend *b, unsigned int offloads)
{
	to_fixture(b)->offloads = offloads;
	to_fixture(b)->nr_offload_calls++;
	return to_fixture(b)->host_result;
}

static int host_set_pairs(struct net_backend *b, unsigned int n)
{
	to_fixture(b)->pairs = n;
	return to_fixture(b)->host_result;
}

static int host_set_rss(struct net_backend *b, const struct net_rss *r)
{
	struct net_fixture *f = to_fixture(b);

	if (f->rss_result || f->host_result)
		return f->rss_result ? f->rss_result : f->host_result;
	f->rss_on = r != NULL;
	if (r)
		f->rss = *r;
	return 0;
}

static bool host_link_is_up(struct net_backend *b)
{
	eventfd_t v;

	eventfd_read(b->link_fd, &v);
	return to_fixture(b)->link_up;
}

static void host_free(struct net_backend *b)
{
	for (unsigned int i = 0; i < b->nr_pairs; i++) {
		close(b->fd[i]);
		close(to_fixture(b)->peer[i]);
	}
	close(b->link_fd);
}

static const struct net_backend_ops host_ops = {
	.set_offloads = host_set_offloads,
	.set_pairs = host_set_pairs,
	.set_rss = host_set_rss,
	.link_is_up = host_link_is_up,
	.free = host_free,
};

static void connect_pair(struct net_fixture *f, unsigned int i)
{
	int fd[2], big = 1 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
			 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	f->be.fd[i] = fd[0];
	f->peer[i] = fd[1];
}

static struct net_fixture *create(unsigned int pairs, uint16_t ring, bool inline_kick, bool rss)
{
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct net_fixture *f = calloc(1, sizeof(*f));

	ck_assert_ptr_nonnull(f);
	f->link_up = true;
	f->be = (struct net_backend){ .ops = &host_ops, .nr_pairs = pairs, .offloads = ~0u,
				      .has_rss = rss,
				      .link_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	for (unsigned int i = 0; i < pairs; i++)
		connect_pair(f, i);
	cfg.pairs = (uint16_t)pairs;
	cfg.queue_size = ring;
	cfg.has_mac = true;
	cfg.mtu = 1400;
	cfg.inline_kick = inline_kick;
	cfg.rss = rss;
	memcpy(cfg.mac, "\x52\x54\x00\x12\x34\x56", 6);
	ck_assert_int_eq(virtio_net_create(&f->dev, &cfg, &f->be, "net0"), 0);
	f->ft = fake_transport_create(f->dev, ring);
	return f;
}

struct net_fixture *net_fixture_create(unsigned int pairs)
{
	return create(pairs, NET_RING, false, false);
}

struct net_fixture *net_fixture_create_inline(unsigned int pairs)
{
	return create(pairs, NET_RING, true, false);
}

struct net_fixture *net_fixture_create_rss(unsigned int pairs)
{
	return create(pairs, NET_RING, false, true);
}

struct net_fixture *net_fixture_create_ring(unsigned int pairs, uint16_t ring)
{
	return create(pairs, ring, false, false);
}

void net_fixture_free(struct net_fixture *f)
{
	fake_transport_free(f->ft);
	free(f);
}

uint8_t net_control(struct net_fixture *f, unsigned int q, uint8_t class, uint8_t cmd,
		    const void *data, uint32_t len)
{
	struct vdriver *d = fake_driver(f->ft, q);
	gpa_t gpa = vdriver_alloc(d, 2 + len + 1);
	struct vbuf buf[3] = { { gpa, 2, false }, { gpa + 2, len, false },
			       { gpa + 2 + len, 1, true } };
	uint8_t *p = vdriver_ptr(d, gpa);
	uint16_t head;
	uint32_t used;

	p[0] = class;
	p[1] = cmd;
	memcpy(p + 2, data, len);
	p[2 + len] = 0xee;
	vdriver_add(d, buf, 3);
	fake_kick(f->ft, q);
	fake_wait_used(f->ft, q, &head, &used);
	ck_assert_uint_eq(used, 1);
	return p[2 + len];
}

gpa_t net_add_rx(struct net_fixture *f, unsigned int q, uint32_t len)
{
	struct vdriver *d = fake_driver(f->ft, q);
	struct vbuf buf = { vdriver_alloc(d, len), len, true };

	memset(vdriver_ptr(d, buf.gpa), 0xee, len);
	vdriver_add(d, &buf, 1);
	return buf.gpa;
}

void net_host_sends(struct net_fixture *f, unsigned int pair, uint32_t frame_len, uint8_t fill)
{
	static uint8_t frame[NET_HDR_LEN + 70000];

	memset(frame, 0, NET_HDR_LEN);
	memset(frame + NET_HDR_LEN, fill, frame_len);
	ck_assert_int_eq(write(f->peer[pair], frame, NET_HDR_LEN + frame_len),
			 (ssize_t)(NET_HDR_LEN + frame_len));
}

void net_expect_rx(struct net_fixture *f, unsigned int q, gpa_t gpa, uint32_t frame_len,
		   uint8_t fill)
{
	const uint8_t *p = vdriver_ptr(fake_driver(f->ft, q), gpa);
	uint16_t head;
	uint32_t len;

	fake_wait_used(f->ft, q, &head, &len);
	ck_assert_uint_eq(len, NET_HDR_LEN + frame_len);
	ck_assert_uint_eq(((const struct virtio_net_hdr_v1 *)p)->num_buffers, 1);
	for (uint32_t i = 0; i < frame_len; i++)
		ck_assert_uint_eq(p[NET_HDR_LEN + i], fill);
}

uint64_t net_cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

uint16_t net_add_tx(struct net_fixture *f, unsigned int q, const struct virtio_net_hdr_v1 *hdr,
		    uint32_t frame_len, uint8_t fill)
{
	struct vdriver *d = fake_driver(f->ft, q);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + MAX(frame_len, 1u));
	struct vbuf buf[2] = { { gpa, NET_HDR_LEN, false },
			       { gpa + NET_HDR_LEN, frame_len, false } };

	memcpy(vdriver_ptr(d, gpa), hdr, sizeof(*hdr));
	memset((uint8_t *)vdriver_ptr(d, gpa) + NET_HDR_LEN, fill, frame_len);
	return vdriver_add(d, buf, frame_len ? 2 : 1);
}

void net_expect_sent(struct net_fixture *f, unsigned int pair, uint32_t frame_len, uint8_t fill)
{
	static uint8_t got[NET_HDR_LEN + 70000];
	struct pollfd p = { .fd = f->peer[pair], .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(read(p.fd, got, sizeof(got)), (ssize_t)(NET_HDR_LEN + frame_len));
	for (uint32_t i = 0; i < frame_len; i++)
		ck_assert_uint_eq(got[NET_HDR_LEN + i], fill);
}

void net_expect_completed(struct net_fixture *f, unsigned int q, uint16_t expect_head)
{
	uint16_t head;
	uint32_t len;

	fake_wait_used(f->ft, q, &head, &len);
	ck_assert_uint_eq(head, expect_head);
	ck_assert_uint_eq(len, 0);
}

void net_send_one(struct net_fixture *f, uint32_t frame_len, uint8_t fill)
{
	const struct virtio_net_hdr_v1 plain = { 0 };

	net_add_tx(f, NET_TX, &plain, frame_len, fill);
	fake_kick(f->ft, NET_TX);
	net_expect_sent(f, 0, frame_len, fill);
}

void net_move_frame(struct net_fixture *f, uint32_t frame_len, unsigned int q)
{
	const struct virtio_net_hdr_v1 plain = { 0 };
	bool to_host = q % 2;
	uint16_t head = to_host ? net_add_tx(f, q, &plain, frame_len, 9) : 0;
	gpa_t gpa = to_host ? 0 : net_add_rx(f, q, 2048);

	fake_kick(f->ft, q);
	if (to_host) {
		net_expect_completed(f, q, head);
		net_expect_sent(f, q / 2, frame_len, 9);
	} else {
		net_host_sends(f, q / 2, frame_len, 9);
		net_expect_rx(f, q, gpa, frame_len, 9);
	}
}

void net_take_used(struct net_fixture *f, unsigned int q)
{
	struct vdriver *d = fake_driver(f->ft, q);
	uint16_t head;
	uint32_t len;

	fake_wait_used(f->ft, q, &head, &len);
	vdriver_want_irq_at(d, d->used_seen);
}
