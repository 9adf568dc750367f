/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_hdr.h"
#include "runner.h"
#include "util.h"

#define FRAME 100u
#define BIT(n) (1ull << (n))

static struct net_fixture *f;

static void start(unsigned int pairs, uint64_t without)
{
	f = net_fixture_create(pairs);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~without), 0);
}

static void setup(void)
{
	start(1, 0);
}

/* The same tests again, with frames sent by whoever kicks. */
static void setup_inline(void)
{
	f = net_fixture_create_inline(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void setup_large_rings(void)
{
	f = net_fixture_create_ring(1, VDRIVER_MAX_SIZE);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void teardown(void)
{
	net_fixture_free(f);
}

static const struct virtio_net_hdr_v1 plain = { 0 };

START_TEST(a_frame_of_the_guest_reaches_the_host)
{
	uint16_t head = net_add_tx(f, NET_TX, &plain, FRAME, 0x99);

	fake_kick(f->ft, NET_TX);
	net_expect_sent(f, 0, FRAME, 0x99);
	net_expect_completed(f, NET_TX, head);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_TX, "bytes"), FRAME);
}
END_TEST

/* row N1 */
START_TEST(header_and_frame_may_be_cut_anywhere)	/* at byte _i */
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + FRAME);
	struct vbuf buf[2] = { { gpa, (uint32_t)_i, false },
			       { gpa + (gpa_t)_i, NET_HDR_LEN + FRAME - (uint32_t)_i, false } };

	memset(vdriver_ptr(d, gpa), 0, NET_HDR_LEN);
	memset((uint8_t *)vdriver_ptr(d, gpa) + NET_HDR_LEN, 0x21, FRAME);
	vdriver_add(d, buf, 2);
	fake_kick(f->ft, NET_TX);
	net_expect_sent(f, 0, FRAME, 0x21);
}
END_TEST

START_TEST(a_single_buffer_with_header_and_frame_is_sent)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	gpa_t gpa = vdriver_alloc(d, NET_HDR_LEN + FRAME);
	struct vbuf buf = { gpa, NET_HDR_LEN + FRAME, false };

	memset(vdriver_ptr(d, gpa), 0, NET_HDR_LEN + FRAME);
	vdriver_add(d, &buf, 1);
	fake_kick(f->ft, NET_TX);
	net_expect_sent(f, 0, FRAME, 0);
}
END_TEST

/* Lengths of the first, of each other and of the last of as many descriptors as a ring has. */
static const struct {
	uint32_t first, each, last;
} fullest[] = {
	{ NET_HDR_LEN, 64, 64 },
	{ 1, 1, 1 },
	{ NET_HDR_LEN + 1, 1, 1 },
	{ NET_HDR_LEN + 64, 64, 64 },
	{ 2000, 2, 61000 },
	{ 63000, 2, 2 },
	{ NET_HDR_LEN + 77, 64, NET_MAX_FRAME - 77 - (VDRIVER_MAX_SIZE - 2) * 64 },
};

/* row N2 */
START_TEST(a_frame_in_as_many_pieces_as_the_largest_ring_has_is_sent)
{
	static uint8_t got[NET_HDR_LEN + NET_MAX_FRAME + 1];
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	struct vbuf buf[VDRIVER_MAX_SIZE];
	gpa_t gpa = d->next_gpa;
	uint32_t len = 0;
	uint8_t *p;

	for (unsigned int i = 0; i < VDRIVER_MAX_SIZE; len += buf[i++].len)
		buf[i] = (struct vbuf){ gpa + len, i ? fullest[_i].each : fullest[_i].first,
					false };
	len += fullest[_i].last - fullest[_i].each;
	buf[VDRIVER_MAX_SIZE - 1].len = fullest[_i].last;
	p = vdriver_ptr(d, vdriver_alloc(d, len));
	memset(p, 0, NET_HDR_LEN);
	for (uint32_t i = NET_HDR_LEN; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	vdriver_add(d, buf, VDRIVER_MAX_SIZE);
	fake_kick(f->ft, NET_TX);
	net_take_used(f, NET_TX);
	ck_assert_int_eq(recv(f->peer[0], got, sizeof(got), MSG_DONTWAIT), (ssize_t)len);
	ck_assert_mem_eq(got, p, len);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_TX, "dropped"), 0);
}
END_TEST

static const uint32_t bad_frames[] = { 0, 1, 13, NET_MAX_FRAME + 1, 65000 + 1000 };

/* rows N1, N2 */
START_TEST(frames_too_short_or_too_long_are_dropped_and_completed)
{
	uint16_t head = net_add_tx(f, NET_TX, &plain, bad_frames[_i], 1);

	fake_kick(f->ft, NET_TX);
	net_expect_completed(f, NET_TX, head);
	head = net_add_tx(f, NET_TX, &plain, FRAME, 2);
	fake_kick(f->ft, NET_TX);
	net_expect_sent(f, 0, FRAME, 2);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_TX, "dropped"), 1);
}
END_TEST

/* row Q12 */
START_TEST(a_frame_with_a_writable_buffer_is_dropped)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	gpa_t gpa = vdriver_alloc(d, 200);
	struct vbuf buf[] = { { gpa, 100, false }, { gpa + 100, 100, true } };
	uint16_t head = vdriver_add(d, buf, 2);

	fake_kick(f->ft, NET_TX);
	net_expect_completed(f, NET_TX, head);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_TX, "dropped"), 1);
}
END_TEST

/* row N7 */
START_TEST(a_host_that_takes_nothing_costs_frames_but_does_not_block)
{
	uint64_t dropped;

	for (int i = 0; i < 2000; i++) {
		uint16_t head;

		fake_driver(f->ft, NET_TX)->next_gpa = MIB(10);
		head = net_add_tx(f, NET_TX, &plain, 1500, 1);
		fake_kick(f->ft, NET_TX);
		net_expect_completed(f, NET_TX, head);
	}
	dropped = fake_queue_stat(f->ft, NET_TX, "dropped");
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_eq(dropped + fake_queue_stat(f->ft, NET_TX, "frames"), 2000);
}
END_TEST

START_TEST(stop_sends_what_was_made_available_before)
{
	for (int i = 0; i < 8; i++)
		net_add_tx(f, NET_TX, &plain, FRAME, (uint8_t)i);
	vdriver_show(fake_driver(f->ft, NET_TX));	/* no doorbell */
	fake_stop(f->ft);
	for (int i = 0; i < 8; i++)
		net_expect_sent(f, 0, FRAME, (uint8_t)i);
}
END_TEST

/* row Q3 */
START_TEST(a_broken_transmit_ring_asks_for_a_reset_and_receiving_goes_on)
{
	struct vdriver *d = fake_driver(f->ft, NET_TX);
	gpa_t gpa;

	d->avail[2] = NET_RING;
	d->avail_idx = 1;
	fake_kick(f->ft, NET_TX);
	ck_assert(fake_wait_reset(f->ft));
	gpa = net_add_rx(f, NET_RX, 2048);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 3);
	net_expect_rx(f, NET_RX, gpa, FRAME, 3);
}
END_TEST

START_TEST(many_stops_and_starts_with_traffic_work)
{
	gpa_t gpa;

	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 4; k++) {
			net_add_rx(f, NET_RX, 2048);
			net_add_tx(f, NET_TX, &plain, FRAME, 1);
		}
		fake_kick(f->ft, NET_RX);
		fake_kick(f->ft, NET_TX);
		net_host_sends(f, 0, FRAME, 1);
		fake_stop(f->ft);
		ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
		while (read(f->peer[0], (char[256]){ 0 }, 256) > 0)
			;
	}
	while (recv(f->be.fd[0], (char[256]){ 0 }, 256, MSG_DONTWAIT) > 0)
		;
	gpa = net_add_rx(f, NET_RX, 2048);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 9);
	net_expect_rx(f, NET_RX, gpa, FRAME, 9);
}
END_TEST

static TCase *tcase(Suite *s, const char *name, void (*before)(void))
{
	TCase *tc = tcase_create(name);

	if (before)
		tcase_add_checked_fixture(tc, before, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_frame_of_the_guest_reaches_the_host);
	tcase_add_loop_test(tc, header_and_frame_may_be_cut_anywhere, 1, 30);
	tcase_add_test(tc, a_single_buffer_with_header_and_frame_is_sent);
	tcase_add_loop_test(tc, frames_too_short_or_too_long_are_dropped_and_completed, 0,
			    ARRAY_SIZE(bad_frames));
	tcase_add_test(tc, a_frame_with_a_writable_buffer_is_dropped);
	tcase_add_test(tc, a_host_that_takes_nothing_costs_frames_but_does_not_block);
	tcase_add_test(tc, stop_sends_what_was_made_available_before);
	tcase_add_test(tc, a_broken_transmit_ring_asks_for_a_reset_and_receiving_goes_on);
	tcase_add_test(tc, many_stops_and_starts_with_traffic_work);
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_net_tx");
	TCase *tc = tcase(s, "transmit with large rings", setup_large_rings);

	tcase_add_loop_test(tc, a_frame_in_as_many_pieces_as_the_largest_ring_has_is_sent, 0,
			    ARRAY_SIZE(fullest));

	add_tests(tcase(s, "transmit", setup));
	add_tests(tcase(s, "transmit, inline", setup_inline));
	return s;
}
