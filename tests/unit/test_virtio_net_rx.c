/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_hdr.h"
#include "net_rx.h"
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

static void teardown(void)
{
	net_fixture_free(f);
}

static void setup_large_rings(void)
{
	f = net_fixture_create_ring(1, VDRIVER_MAX_SIZE);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void setup_large_rings_without_merging(void)
{
	f = net_fixture_create_ring(1, VDRIVER_MAX_SIZE);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~BIT(VIRTIO_NET_F_MRG_RXBUF)), 0);
}

static void setup_without_merging(void)
{
	start(1, BIT(VIRTIO_NET_F_MRG_RXBUF));
}

START_TEST(a_frame_from_the_host_lands_in_a_buffer)
{
	gpa_t gpa = net_add_rx(f, NET_RX, 2048);
	const uint8_t *behind;

	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 0x5a);
	net_expect_rx(f, NET_RX, gpa, FRAME, 0x5a);
	behind = vdriver_ptr(fake_driver(f->ft, NET_RX), gpa + NET_HDR_LEN + FRAME);
	ck_assert_uint_eq(*behind, 0xee);
	ck_assert(fake_wait_irq(f->ft, NET_RX, 1000));
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "bytes"), FRAME);
}
END_TEST

START_TEST(a_frame_that_waits_is_taken_when_the_driver_adds_a_buffer)
{
	gpa_t gpa;

	net_host_sends(f, 0, FRAME, 0x11);
	ck_assert(!fake_wait_irq(f->ft, NET_RX, 50));
	gpa = net_add_rx(f, NET_RX, 2048);
	fake_kick(f->ft, NET_RX);
	net_expect_rx(f, NET_RX, gpa, FRAME, 0x11);
}
END_TEST

/* row N4 */
START_TEST(a_frame_without_buffers_does_not_keep_the_thread_busy)
{
	uint64_t before;

	net_host_sends(f, 0, FRAME, 0x11);
	fake_wait_irq(f->ft, NET_RX, 50);
	before = net_cpu_ms();
	fake_wait_irq(f->ft, NET_RX, 500);
	ck_assert_uint_lt(net_cpu_ms() - before, 50);
}
END_TEST

/* As many as the host can keep; then buffers come, one by one. row N10 */
START_TEST(a_host_that_sends_without_end_waits_for_buffers)
{
	static const uint8_t frame[12 + FRAME] = { 0 };
	uint64_t before, sent = 0;

	while (send(f->peer[0], frame, sizeof(frame), MSG_DONTWAIT) > 0)
		sent++;
	ck_assert_uint_gt(sent, NET_RING);
	before = net_cpu_ms();
	fake_wait_irq(f->ft, NET_RX, 300);
	ck_assert_uint_lt(net_cpu_ms() - before, 50);
	for (uint64_t i = 0; i < sent; i++) {
		gpa_t gpa = net_add_rx(f, NET_RX, 2048);

		fake_kick(f->ft, NET_RX);
		net_expect_rx(f, NET_RX, gpa, FRAME, 0);
	}
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "frames"), sent);
}
END_TEST

START_TEST(a_long_frame_is_spread_over_merged_buffers)
{
	enum { BUFS = 10, LEN = 1000, TOTAL = 4 * LEN - 12 };
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t gpa[BUFS];
	uint16_t head;
	uint32_t len;

	for (int i = 0; i < BUFS; i++)
		gpa[i] = net_add_rx(f, NET_RX, LEN);
	fake_kick(f->ft, NET_RX);
	for (int round = 0; round < 2; round++) {
		const struct virtio_net_hdr_v1 *hdr = vdriver_ptr(d, gpa[4 * round]);

		net_host_sends(f, 0, TOTAL, (uint8_t)(0x70 + round));
		for (int i = 0; i < 4; i++) {
			const uint8_t *p = vdriver_ptr(d, gpa[4 * round + i]);

			fake_wait_used(f->ft, NET_RX, &head, &len);
			ck_assert_uint_eq(len, LEN);
			ck_assert_uint_eq(p[LEN - 1], 0x70 + round);
			ck_assert_uint_eq(p[i ? 0 : 12], 0x70 + round);
		}
		ck_assert_uint_eq(hdr->num_buffers, 4);
	}
}
END_TEST

/* The read gathers for small frames first, so the rest comes through the spill. */
START_TEST(a_64_kib_frame_arrives_whole)
{
	enum { LEN = 2048, TOTAL = 65000, BUFS = 32 };
	gpa_t gpa[BUFS];
	uint32_t got = 0, len;
	uint16_t head;

	for (int i = 0; i < BUFS; i++)
		gpa[i] = net_add_rx(f, NET_RX, LEN);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, TOTAL, 0xab);
	for (int i = 0; got < TOTAL + NET_HDR_LEN; i++) {
		const uint8_t *p = vdriver_ptr(fake_driver(f->ft, NET_RX), gpa[i]);

		fake_wait_used(f->ft, NET_RX, &head, &len);
		for (uint32_t k = i ? 0 : NET_HDR_LEN; k < len; k++)
			ck_assert_uint_eq(p[k], 0xab);
		got += len;
	}
	ck_assert_uint_eq(got, TOTAL + NET_HDR_LEN);
}
END_TEST

/* row N5 */
START_TEST(a_frame_longer_than_all_buffers_waits_for_more_of_them)
{
	uint16_t head;
	uint32_t len, got = 0;

	net_add_rx(f, NET_RX, 1500);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, 4000, 0x22);
	ck_assert(!fake_wait_irq(f->ft, NET_RX, 50));
	for (int i = 0; i < 2; i++)
		net_add_rx(f, NET_RX, 1500);
	fake_kick(f->ft, NET_RX);
	for (int i = 0; i < 3; i++) {
		fake_wait_used(f->ft, NET_RX, &head, &len);
		got += len;
	}
	ck_assert_uint_eq(got, 4000 + NET_HDR_LEN);
}
END_TEST

/* row N5 */
START_TEST(a_frame_that_no_ring_can_hold_is_dropped_and_the_next_one_arrives)
{
	gpa_t first = 0;

	for (unsigned int i = 0; i < NET_RING; i++) {
		gpa_t gpa = net_add_rx(f, NET_RX, 100);

		first = first ? first : gpa;
	}
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, 60000, 0x33);
	net_host_sends(f, 0, 50, 0x44);
	net_expect_rx(f, NET_RX, first, 50, 0x44);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "dropped"), 1);
}
END_TEST

/* row N5 */
START_TEST(a_frame_may_need_every_descriptor_of_the_largest_ring)
{
	enum { LEN = 64, TOTAL = LEN * VDRIVER_MAX_SIZE - NET_HDR_LEN };
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t gpa[VDRIVER_MAX_SIZE];
	uint16_t head;
	uint32_t len;

	for (unsigned int i = 0; i < VDRIVER_MAX_SIZE; i++)
		gpa[i] = net_add_rx(f, NET_RX, LEN);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, TOTAL, 0x5a);
	for (unsigned int i = 0; i < VDRIVER_MAX_SIZE; i++) {
		const uint8_t *p = vdriver_ptr(d, gpa[i]);

		fake_wait_used(f->ft, NET_RX, &head, &len);
		ck_assert_uint_eq(len, LEN);
		for (unsigned int k = i ? 0 : NET_HDR_LEN; k < LEN; k++)
			ck_assert_uint_eq(p[k], 0x5a);
	}
	ck_assert_uint_eq(((struct virtio_net_hdr_v1 *)vdriver_ptr(d, gpa[0]))->num_buffers,
			  VDRIVER_MAX_SIZE);
}
END_TEST

/* It ends _i bytes before the chain does, then behind it. row N4 */
START_TEST(without_merging_a_frame_may_fill_a_chain_of_the_largest_ring)
{
	enum { LEN = 32, TOTAL = LEN * VDRIVER_MAX_SIZE };
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t gpa = vdriver_alloc(d, TOTAL);
	struct vbuf buf[VDRIVER_MAX_SIZE];

	for (unsigned int i = 0; i < VDRIVER_MAX_SIZE; i++)
		buf[i] = (struct vbuf){ gpa + LEN * i, LEN, true };
	memset(vdriver_ptr(d, gpa), 0xee, TOTAL);
	vdriver_add(d, buf, VDRIVER_MAX_SIZE);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, TOTAL - NET_HDR_LEN + 1, 0x44);
	net_host_sends(f, 0, TOTAL - NET_HDR_LEN - (uint32_t)_i, 0x66);
	net_expect_rx(f, NET_RX, gpa, TOTAL - NET_HDR_LEN - (uint32_t)_i, 0x66);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "dropped"), 1);
}
END_TEST

START_TEST(without_merging_a_frame_has_one_chain_to_itself)
{
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t gpa = vdriver_alloc(d, 4096);
	struct vbuf buf[] = { { gpa, 5, true }, { gpa + 5, 7, true }, { gpa + 12, 500, true },
			      { gpa + 512, 1500, true } };

	memset(vdriver_ptr(d, gpa), 0xee, 4096);
	vdriver_add(d, buf, 4);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, 600, 0x66);
	net_expect_rx(f, NET_RX, gpa, 600, 0x66);
}
END_TEST

/* row N4 */
START_TEST(without_merging_a_frame_too_long_for_its_chain_is_dropped)
{
	gpa_t gpa = net_add_rx(f, NET_RX, 300);

	net_add_rx(f, NET_RX, 3000);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, 1000, 0x66);
	net_host_sends(f, 0, FRAME, 0x77);
	net_expect_rx(f, NET_RX, gpa, FRAME, 0x77);
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "dropped"), 1);
}
END_TEST

/* row N4 */
START_TEST(a_receive_buffer_shorter_than_a_header_asks_for_a_reset)
{
	net_add_rx(f, NET_RX, 11);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 1);
	ck_assert(fake_wait_reset(f->ft));
}
END_TEST

/* row N4 */
START_TEST(a_readable_receive_buffer_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	struct vbuf buf = { vdriver_alloc(d, 2048), 2048, false };

	vdriver_add(d, &buf, 1);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 1);
	ck_assert(fake_wait_reset(f->ft));
}
END_TEST

START_TEST(many_frames_are_received_in_order)
{
	enum { N = 3000 };
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t start = d->next_gpa;

	for (int i = 0; i < N; i++) {
		gpa_t gpa;

		d->next_gpa = start;
		gpa = net_add_rx(f, NET_RX, 2048);
		fake_kick(f->ft, NET_RX);
		net_host_sends(f, 0, FRAME, (uint8_t)i);
		net_expect_rx(f, NET_RX, gpa, FRAME, (uint8_t)i);
	}
	ck_assert_uint_eq(fake_queue_stat(f->ft, NET_RX, "frames"), N);
}
END_TEST

START_TEST(a_burst_is_received_with_few_interrupts)
{
	uint16_t head;
	uint32_t len;

	for (int i = 0; i < 32; i++) {
		net_host_sends(f, 0, FRAME, (uint8_t)i);
		net_add_rx(f, NET_RX, 2048);
	}
	vdriver_want_irq_at(fake_driver(f->ft, NET_RX), 31);
	fake_kick(f->ft, NET_RX);
	for (int i = 0; i < 32; i++)
		fake_wait_used(f->ft, NET_RX, &head, &len);
	ck_assert(fake_wait_irq(f->ft, NET_RX, 1000));
	ck_assert_uint_eq(fake_nr_irqs(f->ft, NET_RX), 1);
}
END_TEST

/* A receive buffer of len bytes that names the same 64 MiB of memory again and again. */
static void add_huge_rx(uint32_t len)
{
	struct vbuf buf[VDRIVER_MAX_SIZE];
	unsigned int n = 0;

	for (; len; len -= buf[n++].len)
		buf[n] = (struct vbuf){ MIB(128), (uint32_t)MIN(len, MIB(64)), true };
	vdriver_add(fake_driver(f->ft, NET_RX), buf, n);
}

/* The sum of the two lengths is 11 more than 32 bits can say. rows N4, Q9 */
START_TEST(buffers_of_4_gib_take_a_frame_as_any_others)
{
	struct vdriver *d = fake_driver(f->ft, NET_RX);
	gpa_t gpa = net_add_rx(f, NET_RX, NET_HDR_LEN);
	const struct virtio_net_hdr_v1 *hdr = vdriver_ptr(d, gpa);
	uint16_t head;
	uint32_t len;

	add_huge_rx(UINT32_MAX);
	fake_kick(f->ft, NET_RX);
	net_host_sends(f, 0, FRAME, 0x5a);
	fake_wait_used(f->ft, NET_RX, &head, &len);
	ck_assert_uint_eq(len, NET_HDR_LEN);
	ck_assert_uint_eq(hdr->num_buffers, 2);
	fake_wait_used(f->ft, NET_RX, &head, &len);
	ck_assert_uint_eq(len, FRAME);
	ck_assert(!vdriver_take(d, &head, &len));
	ck_assert_uint_eq(*(uint8_t *)vdriver_ptr(d, MIB(128)), 0x5a);
}
END_TEST

/* Bytes of address space that nobody may touch, but for a sanitizer's large ranges. */
static uint64_t nr_inaccessible(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char rights[5], line[512];
	uint64_t total = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 &&
		    !strcmp(rights, "---p") && to - from <= 4 * 4096)
			total += to - from;
	fclose(maps);
	return total;
}

START_TEST(lists_of_buffers_and_bytes_of_frames_have_guards_around_them)
{
	struct guest_errors errors = { .name = "net0" };
	uint64_t before = nr_inaccessible();
	struct net_rx *rx;

	ck_assert_int_eq(net_rx_create(&rx, -1, &errors, VDRIVER_MAX_SIZE), 0);
	ck_assert_uint_eq(nr_inaccessible(), before + 3 * 4096);
	net_rx_free(rx);
	ck_assert_uint_eq(nr_inaccessible(), before);
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

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_net_rx");
	TCase *tc = tcase(s, "receive", setup);

	tcase_add_test(tc, a_frame_from_the_host_lands_in_a_buffer);
	tcase_add_test(tc, a_frame_that_waits_is_taken_when_the_driver_adds_a_buffer);
	tcase_add_test(tc, a_frame_without_buffers_does_not_keep_the_thread_busy);
	tcase_add_test(tc, a_host_that_sends_without_end_waits_for_buffers);
	tcase_add_test(tc, a_long_frame_is_spread_over_merged_buffers);
	tcase_add_test(tc, a_64_kib_frame_arrives_whole);
	tcase_add_test(tc, a_frame_longer_than_all_buffers_waits_for_more_of_them);
	tcase_add_test(tc, a_frame_that_no_ring_can_hold_is_dropped_and_the_next_one_arrives);
	tcase_add_test(tc, a_receive_buffer_shorter_than_a_header_asks_for_a_reset);
	tcase_add_test(tc, a_readable_receive_buffer_asks_for_a_reset);
	tcase_add_test(tc, many_frames_are_received_in_order);
	tcase_add_test(tc, a_burst_is_received_with_few_interrupts);
	tc = tcase(s, "receive with large rings", setup_large_rings);
	tcase_add_test(tc, buffers_of_4_gib_take_a_frame_as_any_others);
	tcase_add_test(tc, a_frame_may_need_every_descriptor_of_the_largest_ring);
	tc = tcase(s, "receive with large rings, without merging",
		   setup_large_rings_without_merging);
	tcase_add_loop_test(tc, without_merging_a_frame_may_fill_a_chain_of_the_largest_ring, 0,
			    40);
	tc = tcase_create("memory");
	suite_add_tcase(s, tc);
	tcase_add_test(tc, lists_of_buffers_and_bytes_of_frames_have_guards_around_them);
	tc = tcase(s, "receive without merging", setup_without_merging);
	tcase_add_test(tc, without_merging_a_frame_has_one_chain_to_itself);
	tcase_add_test(tc, without_merging_a_frame_too_long_for_its_chain_is_dropped);
	return s;
}
