/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "net_ctrl.h"
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

static void setup_inline(void)
{
	f = net_fixture_create_inline(1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void setup_two_pairs(void)
{
	start(2, 0);
}

static void setup_stopped(void)
{
	f = net_fixture_create(2);
}

static uint8_t control(unsigned int q, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	return net_control(f, q, class, cmd, data, len);
}

static void coalesce(uint8_t direction, uint32_t packets, uint32_t usecs)
{
	const uint32_t setting[] = { packets, usecs };

	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_NOTF_COAL, direction, setting, 8),
			  VIRTIO_NET_OK);
}

START_TEST(an_interrupt_waits_for_as_many_packets_as_the_driver_set)
{
	const unsigned int q = _i ? NET_TX : NET_RX;

	coalesce(_i ? VIRTIO_NET_CTRL_NOTF_COAL_TX_SET : VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, 4,
		 60000000);
	for (int i = 0; i < 3; i++)
		net_move_frame(f, FRAME, q);
	ck_assert(!fake_wait_irq(f->ft, q, 50));
	net_move_frame(f, FRAME, q);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

START_TEST(an_interrupt_waits_no_longer_than_the_driver_set)
{
	const unsigned int q = _i ? NET_TX : NET_RX;

	coalesce(_i ? VIRTIO_NET_CTRL_NOTF_COAL_TX_SET : VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, 1000,
		 20000);
	net_move_frame(f, FRAME, q);
	ck_assert(fake_wait_irq(f->ft, q, 5000));
}
END_TEST

START_TEST(a_reset_ends_coalescing)
{
	coalesce(VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, 1000, 60000000);
	fake_stop(f->ft);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	net_move_frame(f, FRAME, NET_RX);
	ck_assert(fake_wait_irq(f->ft, NET_RX, 5000));
}
END_TEST

START_TEST(the_driver_can_turn_on_more_pairs)
{
	uint16_t two = 2;
	gpa_t gpa;

	ck_assert_uint_eq(f->pairs, 1);
	ck_assert_uint_eq(control(4, VIRTIO_NET_CTRL_MQ, 0, &two, 2), VIRTIO_NET_OK);
	ck_assert_uint_eq(f->pairs, 2);
	gpa = net_add_rx(f, 2, 2048);
	fake_kick(f->ft, 2);
	net_host_sends(f, 1, FRAME, 7);
	net_expect_rx(f, 2, gpa, FRAME, 7);
}
END_TEST

START_TEST(a_pair_that_is_not_in_use_receives_nothing)
{
	net_add_rx(f, 2, 2048);
	fake_kick(f->ft, 2);
	net_host_sends(f, 1, FRAME, 7);
	ck_assert(!fake_wait_irq(f->ft, 2, 100));
}
END_TEST

static const uint16_t bad_pairs[] = { 0, 3, 0x8000, 65535 };

/* row N9 */
START_TEST(a_number_of_pairs_out_of_range_is_refused)
{
	ck_assert_uint_eq(control(4, VIRTIO_NET_CTRL_MQ, 0, &bad_pairs[_i], 2), VIRTIO_NET_ERR);
	ck_assert_uint_eq(f->pairs, 1);
}
END_TEST

START_TEST(without_mq_the_control_queue_is_number_two)
{
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~BIT(VIRTIO_NET_F_MQ)), 0);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1", 1),
			  VIRTIO_NET_OK);
}
END_TEST

/* row N6 */
START_TEST(the_driver_can_change_the_mac_until_reset)
{
	uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 }, got[6];

	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
			  VIRTIO_NET_OK);
	f->dev->ops->read_config(f->dev, 0, got, 6);
	ck_assert_mem_eq(got, mac, 6);
	fake_stop(f->ft);
	f->dev->ops->read_config(f->dev, 0, got, 6);
	ck_assert_mem_eq(got, "\x52\x54\x00\x12\x34\x56", 6);
}
END_TEST

START_TEST(the_driver_can_change_offloads_within_what_it_took)
{
	uint64_t some = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4), bad = 1;

	ck_assert_uint_eq(f->offloads, 0x3f);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &some, 8), VIRTIO_NET_OK);
	ck_assert_uint_eq(f->offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	ck_assert_uint_eq(control(2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bad, 8), VIRTIO_NET_ERR);
}
END_TEST

/* row N9 */
START_TEST(a_command_longer_than_any_is_refused)
{
	static uint8_t zeroes[NET_CTRL_MAX_LEN];

	ck_assert_uint_eq(control(2, 0, 0, zeroes, sizeof(zeroes)), VIRTIO_NET_ERR);
}
END_TEST

/* row N9 */
START_TEST(a_command_without_room_for_the_answer_asks_for_a_reset)
{
	struct vdriver *d = fake_driver(f->ft, 2);
	struct vbuf buf = { vdriver_alloc(d, 3), 3, false };

	vdriver_add(d, &buf, 1);
	fake_kick(f->ft, 2);
	ck_assert(fake_wait_reset(f->ft));
}
END_TEST

static uint16_t link_status(void)
{
	uint16_t status;

	f->dev->ops->read_config(f->dev, offsetof(struct virtio_net_config, status), &status, 2);
	return status;
}

static void wait_config_change(unsigned int nr)
{
	for (int ms = 0; ms < 5000 && fake_nr_config_changes(f->ft) < nr; ms++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	ck_assert_uint_eq(fake_nr_config_changes(f->ft), nr);
}

/* row N8 */
START_TEST(the_driver_sees_the_link_go_down_and_up)
{
	ck_assert_uint_eq(link_status(), VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(fake_stat(f->ft, "link_up"), 1);
	f->link_up = false;
	eventfd_write(f->be.link_fd, 1);
	wait_config_change(1);
	ck_assert_uint_eq(link_status(), 0);
	f->link_up = true;
	eventfd_write(f->be.link_fd, 1);
	wait_config_change(2);
	ck_assert_uint_eq(link_status(), VIRTIO_NET_S_LINK_UP);
}
END_TEST

/* row N8 */
START_TEST(a_backend_that_goes_away_is_a_link_that_is_down)
{
	uint64_t before;

	net_add_rx(f, NET_RX, 2048);
	fake_kick(f->ft, NET_RX);
	shutdown(f->peer[0], SHUT_RDWR);
	wait_config_change(1);
	ck_assert_uint_eq(link_status(), 0);
	before = net_cpu_ms();
	fake_wait_irq(f->ft, NET_RX, 300);
	ck_assert_uint_lt(net_cpu_ms() - before, 50);
}
END_TEST

START_TEST(the_configuration_space_describes_the_device)
{
	struct virtio_net_config c;

	memset(&c, 0, sizeof(c));
	ck_assert_uint_le(f->dev->config_len, sizeof(c));
	f->dev->ops->read_config(f->dev, 0, &c, f->dev->config_len);
	ck_assert_mem_eq(c.mac, "\x52\x54\x00\x12\x34\x56", 6);
	ck_assert_uint_eq(c.max_virtqueue_pairs, 2);
	ck_assert_uint_eq(c.mtu, 1400);
	ck_assert_uint_eq(f->dev->nr_queues, 5);
	ck_assert_uint_eq(f->dev->config_len, 12);
}
END_TEST

static void keep(struct net_backend *b)
{
	(void)b;
}

START_TEST(a_random_mac_is_unicast_and_locally_administered)
{
	static const struct net_backend_ops ops = { .free = keep };
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct net_backend be = { .ops = &ops, .nr_pairs = 1, .fd = { f->be.fd[0] },
				  .link_fd = -1 };
	struct virtio_dev *other;
	uint8_t mac[6];

	ck_assert_int_eq(virtio_net_create(&other, &cfg, &be, "net1"), 0);
	other->ops->read_config(other, 0, mac, 6);
	ck_assert_uint_eq(mac[0] & 3, 2);
	other->ops->free(other);
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
	Suite *s = suite_create("virtio_net");
	TCase *tc = tcase(s, "control, two pairs", setup_two_pairs);

	tcase_add_test(tc, the_driver_can_turn_on_more_pairs);
	tcase_add_test(tc, a_pair_that_is_not_in_use_receives_nothing);
	tcase_add_loop_test(tc, a_number_of_pairs_out_of_range_is_refused, 0,
			    ARRAY_SIZE(bad_pairs));
	tc = tcase(s, "control", setup);
	tcase_add_loop_test(tc, an_interrupt_waits_for_as_many_packets_as_the_driver_set, 0, 2);
	tcase_add_loop_test(tc, an_interrupt_waits_no_longer_than_the_driver_set, 0, 2);
	tcase_add_test(tc, a_reset_ends_coalescing);
	tcase_add_test(tc, the_driver_can_change_the_mac_until_reset);
	tcase_add_test(tc, the_driver_can_change_offloads_within_what_it_took);
	tcase_add_test(tc, a_command_longer_than_any_is_refused);
	tcase_add_test(tc, a_command_without_room_for_the_answer_asks_for_a_reset);
	tcase_add_test(tc, the_driver_sees_the_link_go_down_and_up);
	tcase_add_test(tc, a_backend_that_goes_away_is_a_link_that_is_down);
	tc = tcase(s, "control, inline kicks", setup_inline);
	tcase_add_loop_test(tc, an_interrupt_waits_for_as_many_packets_as_the_driver_set, 0, 2);
	tcase_add_loop_test(tc, an_interrupt_waits_no_longer_than_the_driver_set, 0, 2);
	tc = tcase(s, "stopped", setup_stopped);
	tcase_add_test(tc, without_mq_the_control_queue_is_number_two);
	tcase_add_test(tc, the_configuration_space_describes_the_device);
	tcase_add_test(tc, a_random_mac_is_unicast_and_locally_administered);
	return s;
}
