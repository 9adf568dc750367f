/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "net_ctrl.h"
#include "runner.h"
#include "util.h"

#define BIT(n) (1ull << (n))

static int result;	/* of what a command asks for */

static int set_pairs(void *ctx, unsigned int n)
{
	(void)ctx;
	(void)n;
	return result;
}

static int set_rss(void *ctx, const struct net_rss *r)
{
	(void)ctx;
	(void)r;
	return result;
}

static int set_mac(void *ctx, const uint8_t mac[6])
{
	(void)ctx;
	(void)mac;
	return result;
}

static int set_offloads(void *ctx, uint64_t guest_features)
{
	(void)ctx;
	(void)guest_features;
	return result;
}

static struct {
	bool tx;
	uint32_t packets, usecs;
} coalesced;

static int set_coalescing(void *ctx, bool tx, uint32_t packets, uint32_t usecs)
{
	(void)ctx;
	coalesced.tx = tx;
	coalesced.packets = packets;
	coalesced.usecs = usecs;
	return result;
}

static const struct net_ctrl_ops ops = {
	.set_pairs = set_pairs, .set_rss = set_rss, .set_mac = set_mac,
	.set_offloads = set_offloads, .set_coalescing = set_coalescing,
};

static struct net_ctrl ctrl = {
	.ops = &ops,
	.max_pairs = 4,
	.features = BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		    BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
		    BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_NOTF_COAL) |
		    BIT(VIRTIO_NET_F_RSS),
};

static const struct {
	uint8_t class, cmd;
	uint32_t len;
	uint8_t data[20];
	uint8_t expect;
} commands[] = {
	{ 0, 0, 1, { 1 }, VIRTIO_NET_OK },
	{ 0, 1, 1, { 0 }, VIRTIO_NET_OK },
	{ 0, 0, 1, { 2 }, VIRTIO_NET_ERR },
	{ 0, 0, 2, { 1 }, VIRTIO_NET_ERR },
	{ 0, 2, 1, { 1 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 0 }, VIRTIO_NET_OK },
	{ 1, 0, 14, { 1, 0, 0, 0, 2, 3, 4, 5, 6, 7 }, VIRTIO_NET_OK },
	{ 1, 0, 7, { 0 }, VIRTIO_NET_ERR },
	{ 1, 0, 9, { 0 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 255, 255, 255, 255 }, VIRTIO_NET_ERR },
	{ 1, 0, 8, { 1 }, VIRTIO_NET_ERR },
	{ 1, 0, 10, { 0xab, 0xaa, 0xaa, 0x2a }, VIRTIO_NET_ERR },	/* 6 of these wrap to 2 */
	{ 1, 1, 5, { 2 }, VIRTIO_NET_ERR },
	{ 1, 2, 6, { 2 }, VIRTIO_NET_ERR },
	{ 1, 1, 6, { 2 }, VIRTIO_NET_OK },
	{ 2, 0, 2, { 1 }, VIRTIO_NET_ERR },
	{ 4, 0, 1, { 1 }, VIRTIO_NET_ERR },
	{ 4, 0, 2, { 4 }, VIRTIO_NET_OK },
	{ 4, 0, 2, { 5 }, VIRTIO_NET_ERR },
	{ 4, 0, 2, { 0 }, VIRTIO_NET_ERR },
	{ 4, 0, 2, { 0, 0x80 }, VIRTIO_NET_ERR },
	{ 4, 1, 2, { 1 }, VIRTIO_NET_ERR },
	{ 4, 2, 13, { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, VIRTIO_NET_ERR },
	/* hash types, mask, unclassified queue, one entry, pairs to send on, no key */
	{ 4, 1, 13, { 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0 }, VIRTIO_NET_OK },
	{ 4, 1, 13, { 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 0 }, VIRTIO_NET_ERR },
	{ 4, 1, 13, { 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0 }, VIRTIO_NET_ERR },
	{ 4, 1, 12, { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0 }, VIRTIO_NET_ERR },
	{ 5, 0, 8, { 2 }, VIRTIO_NET_OK },
	{ 5, 0, 8, { 1 }, VIRTIO_NET_ERR },
	{ 5, 0, 7, { 0 }, VIRTIO_NET_ERR },
	{ 5, 1, 8, { 0 }, VIRTIO_NET_ERR },
	{ 6, 0, 8, { 1 }, VIRTIO_NET_OK },
	{ 6, 1, 8, { 1 }, VIRTIO_NET_OK },
	{ 6, 2, 8, { 1 }, VIRTIO_NET_ERR },
	{ 6, 1, 7, { 1 }, VIRTIO_NET_ERR },
	{ 6, 1, 9, { 1 }, VIRTIO_NET_ERR },
	{ 255, 255, 20, { 0 }, VIRTIO_NET_ERR },
};

/* row N9 */
START_TEST(control_commands_are_checked)
{
	uint8_t cmd[22] = { commands[_i].class, commands[_i].cmd };

	memcpy(cmd + 2, commands[_i].data, sizeof(commands[_i].data));
	ck_assert_uint_eq(net_ctrl_handle(&ctrl, cmd, 2 + commands[_i].len), commands[_i].expect);
}
END_TEST

START_TEST(coalescing_has_packets_first_then_microseconds)
{
	uint8_t cmd[] = { VIRTIO_NET_CTRL_NOTF_COAL, (uint8_t)_i, 1, 2, 3, 4, 5, 6, 7, 8 };

	ck_assert_uint_eq(net_ctrl_handle(&ctrl, cmd, sizeof(cmd)), VIRTIO_NET_OK);
	ck_assert_int_eq(coalesced.tx, _i == VIRTIO_NET_CTRL_NOTF_COAL_TX_SET);
	ck_assert_uint_eq(coalesced.packets, 0x04030201);
	ck_assert_uint_eq(coalesced.usecs, 0x08070605);
}
END_TEST

/* row N9 */
START_TEST(a_command_whose_feature_was_not_negotiated_is_refused)
{
	uint8_t cmd[22] = { commands[_i].class, commands[_i].cmd };

	ctrl.features = 0;
	memcpy(cmd + 2, commands[_i].data, sizeof(commands[_i].data));
	ck_assert_uint_eq(net_ctrl_handle(&ctrl, cmd, 2 + commands[_i].len), VIRTIO_NET_ERR);
}
END_TEST

/* row N9 */
START_TEST(a_command_that_the_host_cannot_carry_out_is_an_error)
{
	uint8_t cmd[4] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2 };

	result = -EIO;
	ck_assert_uint_eq(net_ctrl_handle(&ctrl, cmd, sizeof(cmd)), VIRTIO_NET_ERR);
}
END_TEST

/* row N9 */
START_TEST(half_a_header_is_refused)
{
	uint8_t cmd[2] = { 0 };

	ck_assert_uint_eq(net_ctrl_handle(&ctrl, cmd, (uint32_t)_i), VIRTIO_NET_ERR);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_ctrl");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, control_commands_are_checked, 0, ARRAY_SIZE(commands));
	tcase_add_loop_test(tc, coalescing_has_packets_first_then_microseconds, 0, 2);
	tcase_add_loop_test(tc, a_command_whose_feature_was_not_negotiated_is_refused, 0,
			    ARRAY_SIZE(commands));
	tcase_add_test(tc, a_command_that_the_host_cannot_carry_out_is_an_error);
	tcase_add_loop_test(tc, half_a_header_is_refused, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}
