/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net_rss.h"
#include "rss_model.h"
#include "runner.h"
#include "util.h"

#define MAX_PAIRS 4u

static uint32_t by_table(const uint8_t *input, unsigned int len)
{
	struct net_rss_toeplitz t;
	uint32_t hash = 0;

	net_rss_toeplitz(&t, rss_model_key);
	for (unsigned int i = 0; i < len; i++)
		hash ^= t.nibble[2 * i][input[i] >> 4] ^ t.nibble[2 * i + 1][input[i] & 15];
	return hash;
}

START_TEST(the_hash_is_that_of_the_published_examples)
{
	const struct rss_example *e = &rss_examples[_i];
	unsigned int addresses = e->v6 ? 32 : 8;

	ck_assert_uint_eq(by_table(e->tuple, addresses), e->hash);
	ck_assert_uint_eq(by_table(e->tuple, addresses + 4), e->hash_with_ports);
}
END_TEST

START_TEST(each_bit_of_the_input_has_its_window_of_the_key)
{
	uint8_t input[NET_RSS_MAX_INPUT] = { 0 };

	input[_i / 8] = (uint8_t)(0x80 >> _i % 8);
	ck_assert_uint_eq(by_table(input, sizeof(input)),
			  rss_model_hash(rss_model_key, input, sizeof(input)));
}
END_TEST

/* A command with a table of entries and a key of key_len bytes. */
struct command {
	uint32_t hash_types;
	uint16_t mask, unclassified;
	uint16_t entry;			/* the last one; the others are 0 */
	uint16_t max_tx_vq;
	uint8_t key_len;
	int extra;			/* bytes that are too many, or too few */
};

static int parse(const struct command *c, struct net_rss *r)
{
	uint32_t table = 2 * (c->mask + 1u), len = 8 + table + 3 + c->key_len;
	uint8_t *data = calloc(1, len), *exact;
	int ret;

	memcpy(data, &c->hash_types, 4);
	memcpy(data + 4, &c->mask, 2);
	memcpy(data + 6, &c->unclassified, 2);
	memcpy(data + 8 + 2 * c->mask, &c->entry, 2);
	memcpy(data + 8 + table, &c->max_tx_vq, 2);
	data[8 + table + 2] = c->key_len;
	memset(data + 8 + table + 3, 0xaa, c->key_len);
	len += (uint32_t)c->extra;
	exact = calloc(1, len + !len);	/* a sanitizer sees what is read behind it */
	memcpy(exact, data, MIN(len, len - (uint32_t)MAX(c->extra, 0)));
	ret = net_rss_parse(r, exact, len, MAX_PAIRS);
	free(exact);
	free(data);
	return ret;
}

static const struct {
	struct command c;
	unsigned int nr_pairs;
} good[] = {
	{ { NET_RSS_HASH_TYPES, 127, 0, 3, 4, 40, 0 }, 4 },
	{ { NET_RSS_HASH_TYPES, 127, 0, 1, 2, 40, 0 }, 2 },
	{ { 0, 0, 0, 0, 1, 0, 0 }, 1 },
	{ { 1, 1, 0, 1, 2, 16, 0 }, 2 },
	{ { 1, 1, 0, 3, 1, 40, 0 }, 4 },	/* receives on more than it sends on */
	{ { 1, 1, 2, 0, 1, 40, 0 }, 3 },
	{ { 1, 127, 0, 3, 4, 40, 1 }, 4 },	/* Linux 6.12.117 pads it */
};

START_TEST(a_well_formed_command_is_taken)
{
	const struct command *c = &good[_i].c;
	struct net_rss r;

	memset(&r, 0xff, sizeof(r));
	ck_assert_int_eq(parse(c, &r), 0);
	ck_assert_uint_eq(r.hash_types, c->hash_types);
	ck_assert_uint_eq(r.mask, c->mask);
	ck_assert_uint_eq(r.unclassified, c->unclassified);
	ck_assert_uint_eq(r.queue[c->mask], c->entry);
	ck_assert_uint_eq(r.nr_pairs, good[_i].nr_pairs);
	for (unsigned int i = 0; i < NET_RSS_MAX_KEY; i++)
		ck_assert_uint_eq(r.key[i], i < c->key_len ? 0xaa : 0);
}
END_TEST

static const struct command bad[] = {
	{ 0x40, 127, 0, 0, 4, 40, 0 },			/* hash types not supported */
	{ 0x80000000, 127, 0, 0, 4, 40, 0 },
	{ 1, 255, 0, 0, 4, 40, 0 },			/* a table too long */
	{ 1, 0xffff, 0, 0, 4, 40, 0 },
	{ 1, 128, 0, 0, 4, 40, 0 },
	{ 1, 2, 0, 0, 4, 40, 0 },			/* no power of two */
	{ 1, 126, 0, 0, 4, 40, 0 },
	{ 1, 127, 4, 0, 4, 40, 0 },			/* queues that are not there */
	{ 1, 127, 0xffff, 0, 4, 40, 0 },
	{ 1, 127, 0, 4, 4, 40, 0 },
	{ 1, 0, 0, 0xffff, 4, 40, 0 },
	{ 1, 127, 0, 0x8000, 4, 40, 0 },
	{ 1, 127, 0, 0, 0, 40, 0 },			/* pairs to send on */
	{ 1, 127, 0, 0, 5, 40, 0 },
	{ 1, 127, 0, 0, 0xffff, 40, 0 },
	{ 1, 127, 0, 0, 4, 41, 0 },			/* a key too long */
	{ 1, 127, 0, 0, 4, 255, 0 },
	{ 1, 127, 0, 0, 4, 40, 2 },			/* too long as a whole */
	{ 1, 0, 0, 0, 4, 0, 2 },
};

/* row N9; entries of the table beyond the queues are CVE-2024-6505 */
START_TEST(a_malformed_command_is_refused)
{
	struct net_rss r;

	ck_assert_int_eq(parse(&bad[_i], &r), -EINVAL);
}
END_TEST

/* row N9 */
START_TEST(a_command_cut_at_any_byte_is_refused)
{
	struct command c = { NET_RSS_HASH_TYPES, 127, 0, 1, 2, 40, 0 };
	struct net_rss r;

	c.extra = -1 - _i;
	ck_assert_int_eq(parse(&c, &r), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_rss");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, the_hash_is_that_of_the_published_examples, 0, RSS_NR_EXAMPLES);
	tcase_add_loop_test(tc, each_bit_of_the_input_has_its_window_of_the_key, 0,
			    8 * NET_RSS_MAX_INPUT);
	tcase_add_loop_test(tc, a_well_formed_command_is_taken, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tc, a_malformed_command_is_refused, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(tc, a_command_cut_at_any_byte_is_refused, 0, 8 + 256 + 3 + 40);
	suite_add_tcase(s, tc);
	return s;
}
