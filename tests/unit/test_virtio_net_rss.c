/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "fake_transport.h"
#include "net_fixture.h"
#include "runner.h"
#include "util.h"

#define BIT(n) (1ull << (n))
#define PAIRS 4u
#define CTRL (2 * PAIRS)

static struct net_fixture *f;

struct __attribute__((packed)) command {
	uint32_t hash_types;
	uint16_t mask, unclassified, queue[4], max_tx_vq;
	uint8_t key_len, key[NET_RSS_MAX_KEY];
};

static const struct command good = {
	.hash_types = NET_RSS_HASH_TYPES, .mask = 3, .unclassified = 1, .queue = { 0, 1, 0, 2 },
	.max_tx_vq = 3, .key_len = NET_RSS_MAX_KEY, .key = "the guest's key",
};

static void setup(void)
{
	f = net_fixture_create_rss(PAIRS);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
}

static void teardown(void)
{
	net_fixture_free(f);
}

static uint8_t configure(const struct command *c)
{
	return net_control(f, CTRL, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, c,
			   sizeof(*c));
}

START_TEST(the_driver_chooses_how_frames_are_spread)
{
	ck_assert_uint_eq(fake_stat(f->ft, "rss"), 0);
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	ck_assert(f->rss_on);
	ck_assert_uint_eq(f->rss.hash_types, good.hash_types);
	ck_assert_uint_eq(f->rss.unclassified, 1);
	ck_assert_mem_eq(f->rss.queue, good.queue, sizeof(good.queue));
	ck_assert_mem_eq(f->rss.key, good.key, sizeof(good.key));
	ck_assert_uint_eq(fake_stat(f->ft, "rss"), 1);
}
END_TEST

START_TEST(the_command_sets_the_number_of_pairs_too)
{
	const unsigned int q = 2 * 2;	/* of pair 2 */
	gpa_t gpa;

	ck_assert_uint_eq(f->pairs, 1);
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	ck_assert_uint_eq(f->pairs, 3);
	gpa = net_add_rx(f, q, 2048);
	fake_kick(f->ft, q);
	net_host_sends(f, 2, 100, 7);
	net_expect_rx(f, q, gpa, 100, 7);
}
END_TEST

/* virtio 1.2, 5.1.6.5.5: what was asked for last holds. */
START_TEST(a_number_of_pairs_alone_ends_it)
{
	uint16_t two = 2;

	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	ck_assert_uint_eq(net_control(f, CTRL, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				      &two, 2), VIRTIO_NET_OK);
	ck_assert(!f->rss_on);
	ck_assert_uint_eq(f->pairs, 2);
}
END_TEST

START_TEST(a_reset_ends_it)
{
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	fake_stop(f->ft);
	ck_assert(!f->rss_on);
	ck_assert_uint_eq(f->pairs, 1);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features), 0);
	ck_assert(!f->rss_on);
}
END_TEST

/* row N9; CVE-2024-6505 */
START_TEST(a_table_with_a_queue_that_is_not_there_changes_nothing)
{
	struct command c = good;

	c.queue[3] = (uint16_t)_i;
	ck_assert_uint_eq(configure(&c), VIRTIO_NET_ERR);
	ck_assert(!f->rss_on);
	ck_assert_uint_eq(f->pairs, 1);
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	ck_assert_uint_eq(configure(&c), VIRTIO_NET_ERR);
	ck_assert_mem_eq(f->rss.queue, good.queue, sizeof(good.queue));
}
END_TEST

/* row H1 */
START_TEST(steering_that_the_host_refuses_is_an_error)
{
	f->rss_result = -EIO;
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_ERR);
	ck_assert_uint_eq(fake_stat(f->ft, "rss"), 0);
	f->rss_result = 0;
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
}
END_TEST

/* virtio 1.2, 5.1.2: all queues are there with one of the two features. */
START_TEST(without_mq_all_queues_are_there_all_the_same)
{
	fake_stop(f->ft);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~BIT(VIRTIO_NET_F_MQ)), 0);
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_OK);
	ck_assert_uint_eq(f->pairs, 3);
}
END_TEST

START_TEST(without_the_feature_the_command_is_refused)
{
	fake_stop(f->ft);
	ck_assert_int_eq(fake_start(f->ft, f->dev->features & ~BIT(VIRTIO_NET_F_RSS)), 0);
	ck_assert_uint_eq(configure(&good), VIRTIO_NET_ERR);
	ck_assert(!f->rss_on);
}
END_TEST

START_TEST(the_configuration_space_tells_what_is_supported)
{
	struct virtio_net_config c;

	ck_assert_uint_eq(f->dev->config_len, sizeof(c));
	f->dev->ops->read_config(f->dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.rss_max_key_size, 40);
	ck_assert_uint_eq(le16toh(c.rss_max_indirection_table_length), 128);
	ck_assert_uint_eq(le32toh(c.supported_hash_types), 0x3f);
	ck_assert(f->dev->features & BIT(VIRTIO_NET_F_RSS));
}
END_TEST

static void keep(struct net_backend *b)
{
	(void)b;
}

START_TEST(it_takes_a_backend_that_can_and_more_than_one_pair)
{
	static const struct net_backend_ops ops = { .free = keep };
	struct net_backend be = { .ops = &ops, .nr_pairs = 2, .link_fd = -1, .has_rss = _i };
	struct virtio_net_cfg cfg = VIRTIO_NET_CFG_DEFAULT;
	struct virtio_dev *other;

	cfg.rss = true;
	cfg.pairs = _i ? 1 : 2;
	ck_assert_int_eq(virtio_net_create(&other, &cfg, &be, "net1"), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_net_rss");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_driver_chooses_how_frames_are_spread);
	tcase_add_test(tc, the_command_sets_the_number_of_pairs_too);
	tcase_add_test(tc, a_number_of_pairs_alone_ends_it);
	tcase_add_test(tc, a_reset_ends_it);
	tcase_add_loop_test(tc, a_table_with_a_queue_that_is_not_there_changes_nothing, PAIRS,
			    PAIRS + 5);
	tcase_add_test(tc, steering_that_the_host_refuses_is_an_error);
	tcase_add_test(tc, without_mq_all_queues_are_there_all_the_same);
	tcase_add_test(tc, without_the_feature_the_command_is_refused);
	tcase_add_test(tc, the_configuration_space_tells_what_is_supported);
	tcase_add_loop_test(tc, it_takes_a_backend_that_can_and_more_than_one_pair, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
