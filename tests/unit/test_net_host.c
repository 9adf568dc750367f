/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver asks of the host through a network device, and a host that refuses it. */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#include "clock.h"
#include "fake_transport.h"
#include "log.h"
#include "log_capture.h"
#include "net_ctrl.h"
#include "net_fixture.h"
#include "net_hdr.h"
#include "net_limit.h"
#include "real_tap.h"
#include "runner.h"
#include "util.h"

#define BIT(n) (1ull << (n))
#define NR_OFFLOAD_SETS 64u

static struct net_fixture *f;

static const unsigned int offload_bit[] = {
	VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
	VIRTIO_NET_F_GUEST_ECN, NET_F_GUEST_USO4, NET_F_GUEST_USO6,
};

/* The features without those of the offloads that are not in set, a bit for each. */
static uint64_t with_offloads(uint64_t features, unsigned int set)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(offload_bit); i++)
		if (!(set >> i & 1))
			features &= ~BIT(offload_bit[i]);
	return features;
}

/* rows N9, V3 */
START_TEST(a_host_that_refuses_everything_is_not_complained_about_for_ever)
{
	const uint16_t pairs[] = { 2, 1 };
	struct log_capture cap;

	f = net_fixture_create(2);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	f->host_result = -EINVAL;
	log_capture_begin(&cap);
	for (int i = 0; i < 40; i++) {
		ck_assert_uint_eq(net_control(f, 4, VIRTIO_NET_CTRL_MQ,
					      VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs[i % 2], 2),
				  VIRTIO_NET_ERR);
	}
	for (int i = 0; i < 40; i++) {
		fake_stop(f->ft);
		ck_assert_int_eq(fake_start(f->ft, with_offloads(f->dev->features, i % 2)),
				 -EINVAL);
	}
	log_capture_end(&cap);
	ck_assert_uint_ge(cap.nr_lines, 1);
	ck_assert_uint_le(cap.nr_lines, 2 * GUEST_ERROR_BURST);
	net_fixture_free(f);
}
END_TEST

START_TEST(every_subset_of_the_offered_offloads_starts_a_device)
{
	f = net_fixture_create(1);
	for (unsigned int set = 0; set < NR_OFFLOAD_SETS; set++) {
		ck_assert_int_eq(fake_start(f->ft, with_offloads(f->dev->features, set)), 0);
		fake_stop(f->ft);
	}
	net_fixture_free(f);
}
END_TEST

/* No more than the limit allows in this time, which may be long on a busy machine. */
static void check_limit(unsigned int nr, uint64_t since_ns)
{
	ck_assert_uint_le(nr, NET_LIMIT_BURST + 1 +
			  (clock_now_ns() - since_ns) / NET_LIMIT_PERIOD_NS);
}

static uint8_t command_offloads(unsigned int i)
{
	const uint64_t bits = i % 2 ? BIT(VIRTIO_NET_F_GUEST_CSUM) : 0;

	return net_control(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
			   VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &bits, sizeof(bits));
}

/* row H13 */
START_TEST(commands_beyond_the_limit_wait_and_are_not_lost)
{
	uint64_t since = clock_now_ns();

	f = net_fixture_create(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	for (unsigned int i = 0; i < NET_LIMIT_BURST + 30; i++) {
		ck_assert_uint_eq(command_offloads(i), VIRTIO_NET_OK);
		check_limit(f->nr_offload_calls - 1, since);
		ck_assert_uint_eq(f->offloads, i % 2 ? NET_OFFLOAD_CSUM : 0);
	}
	net_fixture_free(f);
}
END_TEST

/* Does not wait for the answer. */
static void add_command(void)
{
	struct vdriver *d = fake_driver(f->ft, 2);
	gpa_t gpa = vdriver_alloc(d, 3);
	struct vbuf buf[2] = { { gpa, 2, false }, { gpa + 2, 1, true } };

	vdriver_add(d, buf, 2);
	fake_force_kick(f->ft, 2);
}

/* row H13 */
START_TEST(while_a_command_waits_frames_pass_and_the_device_can_be_stopped)
{
	f = net_fixture_create(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	for (unsigned int i = 0; i < NET_LIMIT_BURST; i++)
		command_offloads(i);
	for (unsigned int i = 0; i < 20; i++) {
		add_command();
		net_move_frame(f, 100, NET_TX);
		net_move_frame(f, 100, NET_RX);
	}
	fake_stop(f->ft);
	net_fixture_free(f);
}
END_TEST

/* A reset gives nothing back, and what a driver does not take it never gets. row H13 */
START_TEST(starts_in_a_loop_do_not_change_offloads_for_ever)
{
	uint64_t since = clock_now_ns();
	unsigned int nr = 0, before = 0;

	f = net_fixture_create(1);
	for (unsigned int i = 0; i < 2 * (NET_LIMIT_BURST + 30); i++) {
		ck_assert_int_eq(fake_start(f->ft, with_offloads(f->dev->features, i % 2 ? 63 : 0)),
				 0);
		if (!(i % 2))
			ck_assert_uint_eq(f->offloads, 0);
		nr += f->offloads & ~before ? 1 : 0;
		before = f->offloads;
		check_limit(nr, since);
		fake_stop(f->ft);
	}
	ck_assert_uint_ge(nr, NET_LIMIT_BURST / 2);
	net_fixture_free(f);
}
END_TEST

static struct fake_transport *open_real_tap(struct virtio_dev **dev)
{
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct net_backend *be;

	real_tap_namespace();
	cfg.tap = "test0";
	real_tap_make(cfg.tap, IFF_TAP);
	cfg.vhost = VIRTIO_NET_VHOST_OFF;
	ck_assert_int_eq(tap_open(&be, &cfg, "net0"), 0);
	ck_assert_int_eq(virtio_net_create(dev, &cfg, be, "net0"), 0);
	return fake_transport_create(*dev, NET_RING);
}

START_TEST(every_subset_of_the_offered_offloads_starts_a_device_on_a_tap)
{
	struct virtio_dev *dev;
	struct fake_transport *ft = open_real_tap(&dev);

	for (unsigned int set = 0; set < NR_OFFLOAD_SETS; set++) {
		ck_assert_int_eq(fake_start(ft, with_offloads(dev->features, set)), 0);
		fake_stop(ft);
	}
	fake_transport_free(ft);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net and host");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_host_that_refuses_everything_is_not_complained_about_for_ever);
	tcase_add_test(tc, every_subset_of_the_offered_offloads_starts_a_device);
	tcase_add_test(tc, commands_beyond_the_limit_wait_and_are_not_lost);
	tcase_add_test(tc, while_a_command_waits_frames_pass_and_the_device_can_be_stopped);
	tcase_add_test(tc, starts_in_a_loop_do_not_change_offloads_for_ever);
	if (real_tap_possible())
		tcase_add_test(tc, every_subset_of_the_offered_offloads_starts_a_device_on_a_tap);
	suite_add_tcase(s, tc);
	return s;
}
