/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel runs the program on frames made here, and the answers are held
 * against the model. Needs the right to load it: root.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rss_model.h"
#include "runner.h"
#include "tap_rss.h"
#include "util.h"

#define SKIP 77
#define ETHERNET 14u
#define MAX_FRAME 512u

struct frame {
	uint8_t data[ETHERNET + MAX_FRAME];	/* behind a header that the kernel takes off */
	unsigned int len;			/* without that */
};

static struct tap_rss *rss;
static struct net_rss config;

static void setup(void)
{
	ck_assert_int_eq(tap_rss_open(&rss, "net0"), 0);
	config = (struct net_rss){ .hash_types = NET_RSS_HASH_TYPES, .mask = 127,
				   .unclassified = 777, .nr_pairs = 1 };
	memcpy(config.key, rss_model_key, sizeof(config.key));
	/* Each entry by itself: a queue is seven bits of the hash. */
	for (unsigned int i = 0; i < NET_RSS_MAX_QUEUES; i++)
		config.queue[i] = (uint16_t)(1000 + i);
	tap_rss_write(rss, &config);
}

static void teardown(void)
{
	tap_rss_free(rss);
}

/* The kernel takes an Ethernet header off before it runs a program of this type; tun does not. */
static unsigned int run(struct frame *f)
{
	union bpf_attr a;

	f->data[12] = 0x88;
	f->data[13] = 0xb5;
	memset(&a, 0, sizeof(a));
	a.test.prog_fd = (uint32_t)tap_rss_fd(rss);
	a.test.data_in = (uintptr_t)f->data;
	a.test.data_size_in = ETHERNET + f->len;
	ck_assert_int_eq(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &a, sizeof(a)), 0);
	return a.test.retval;
}

static void agree(struct frame *f)
{
	ck_assert_uint_eq(run(f), rss_model_queue(&config, f->data + ETHERNET, f->len));
}

static void add(struct frame *f, const void *data, unsigned int len)
{
	memcpy(f->data + ETHERNET + f->len, data, len);
	f->len += len;
}

static void add_ethernet(struct frame *f, unsigned int type)
{
	const uint8_t header[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, (uint8_t)(type >> 8),
				     (uint8_t)type };

	f->len = 0;
	add(f, header, sizeof(header));
}

static void add_ipv4(struct frame *f, const uint8_t *addresses, unsigned int protocol,
		     unsigned int words, unsigned int fragment)
{
	uint8_t header[60] = { 0x40, 0, 0, 0, 0, 0, (uint8_t)(fragment >> 8), (uint8_t)fragment,
			       64, (uint8_t)protocol };

	header[0] = (uint8_t)(0x40 | words);
	memcpy(header + 12, addresses, 8);
	add(f, header, 4 * words);
}

static void add_ipv6(struct frame *f, const uint8_t *addresses, unsigned int next)
{
	uint8_t header[40] = { 0x60, 0, 0, 0, 0, 0, (uint8_t)next, 64 };

	memcpy(header + 8, addresses, 32);
	add(f, header, sizeof(header));
}

static void add_ports(struct frame *f, const uint8_t *ports)
{
	static const uint8_t rest[16];

	add(f, ports, 4);
	add(f, rest, sizeof(rest));
}

/* An extension header of len bytes; what follows it is next. */
static void add_extension(struct frame *f, unsigned int kind, unsigned int next, unsigned int len,
			  unsigned int fragment)
{
	uint8_t header[256] = { (uint8_t)next };

	if (kind == 44) {
		header[2] = (uint8_t)(fragment >> 8);
		header[3] = (uint8_t)fragment;
	} else {
		header[1] = (uint8_t)(kind == 51 ? len / 4 - 2 : len / 8 - 1);
	}
	add(f, header, len);
}

static void make(struct frame *f, const struct rss_example *e, unsigned int protocol)
{
	add_ethernet(f, e->v6 ? 0x86dd : 0x0800);
	if (e->v6)
		add_ipv6(f, e->tuple, protocol);
	else
		add_ipv4(f, e->tuple, protocol, 5, 0x4000);	/* "don't fragment" is none */
	add_ports(f, e->tuple + (e->v6 ? 32 : 8));
}

START_TEST(the_published_examples_go_where_their_hash_says)
{
	const struct rss_example *e = &rss_examples[_i];
	struct frame f;

	make(&f, e, 6);
	ck_assert_uint_eq(run(&f), 1000 + (e->hash_with_ports & 127));
	make(&f, e, 17);
	ck_assert_uint_eq(run(&f), 1000 + (e->hash_with_ports & 127));
	make(&f, e, 1);
	ck_assert_uint_eq(run(&f), 1000 + (e->hash & 127));
	agree(&f);
}
END_TEST

/* All sets of hash types, for TCP, UDP and what is neither, over IPv4 and IPv6. */
START_TEST(only_hash_types_that_are_on_are_used)
{
	static const unsigned int protocols[] = { 6, 17, 1 };
	struct frame f;

	config.hash_types = (uint32_t)_i;
	tap_rss_write(rss, &config);
	for (unsigned int i = 0; i < RSS_NR_EXAMPLES; i += 5) {
		for (unsigned int j = 0; j < ARRAY_SIZE(protocols); j++) {
			make(&f, &rss_examples[i], protocols[j]);
			agree(&f);
		}
	}
}
END_TEST

START_TEST(a_table_of_any_length_is_used_as_a_whole)
{
	struct frame f;

	config.mask = (uint16_t)((1 << _i) - 1);
	tap_rss_write(rss, &config);
	for (unsigned int i = 0; i < RSS_NR_EXAMPLES; i++) {
		make(&f, &rss_examples[i], 6);
		agree(&f);
		ck_assert_uint_eq(run(&f), 1000 + (rss_examples[i].hash_with_ports & config.mask));
	}
}
END_TEST

START_TEST(what_is_written_holds_for_the_next_frame)
{
	struct frame f;

	make(&f, &rss_examples[0], 6);
	for (unsigned int i = 0; i < 5; i++) {
		config.queue[rss_examples[0].hash_with_ports & 127] = (uint16_t)i;
		config.key[0] ^= 0xff;
		tap_rss_write(rss, &config);
		agree(&f);
	}
}
END_TEST

START_TEST(frames_of_other_protocols_are_unclassified)
{
	static const unsigned int types[] = { 0x0806, 0x88cc, 0x0800 ^ 0x0008, 0x86dc, 46 };
	struct frame f;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		make(&f, &rss_examples[0], 6);
		f.data[ETHERNET + 12] = (uint8_t)(types[i] >> 8);
		f.data[ETHERNET + 13] = (uint8_t)types[i];
		ck_assert_uint_eq(run(&f), config.unclassified);
		agree(&f);
	}
}
END_TEST

/* Any first byte of an IP header: versions, lengths with options, lengths that are too short. */
START_TEST(headers_of_any_version_and_length_are_understood_or_unclassified)
{
	struct frame f;

	for (unsigned int v6 = 0; v6 < 2; v6++) {
		add_ethernet(&f, v6 ? 0x86dd : 0x0800);
		if (v6)
			add_ipv6(&f, rss_examples[6].tuple, 6);
		else
			add_ipv4(&f, rss_examples[1].tuple, 6, 15, 0);
		f.data[ETHERNET + 14] = (uint8_t)_i;
		add_ports(&f, rss_examples[1].tuple + 8);
		agree(&f);
	}
}
END_TEST

static const unsigned int fragments[] = { 0x2000, 1, 0x1fff, 0x3fff, 0x4000, 0x8000, 0x6000 };

START_TEST(all_fragments_of_a_packet_go_to_one_queue)
{
	const struct rss_example *v4 = &rss_examples[0], *v6 = &rss_examples[5];
	unsigned int fragment = fragments[_i];
	bool whole4 = !(fragment & 0x3fff), whole6 = !(fragment & 0xfff9);
	struct frame f;

	add_ethernet(&f, 0x0800);
	add_ipv4(&f, v4->tuple, 6, 5, fragment);
	add_ports(&f, v4->tuple + 8);
	ck_assert_uint_eq(run(&f), 1000 + ((whole4 ? v4->hash_with_ports : v4->hash) & 127));
	agree(&f);
	add_ethernet(&f, 0x86dd);
	add_ipv6(&f, v6->tuple, 44);
	add_extension(&f, 44, 6, 8, fragment);
	add_ports(&f, v6->tuple + 32);
	ck_assert_uint_eq(run(&f), 1000 + ((whole6 ? v6->hash_with_ports : v6->hash) & 127));
	agree(&f);
}
END_TEST

/* Up to two; a third hides the addresses. */
START_TEST(vlan_tags_are_passed_over)
{
	static const uint8_t tags[][4] = { { 0x81, 0, 0, 5 }, { 0x88, 0xa8, 0, 6 } };
	const struct rss_example *e = &rss_examples[5];
	struct frame f;

	add_ethernet(&f, 0);
	f.len -= 2;
	for (int i = 0; i < _i / 2; i++)
		add(&f, tags[(_i + i) % 2], 4);
	add(&f, "\x86\xdd", 2);
	add_ipv6(&f, e->tuple, 17);
	add_ports(&f, e->tuple + 32);
	ck_assert_uint_eq(run(&f), _i / 2 > 2 ? 777 : 1000 + (e->hash_with_ports & 127));
	agree(&f);
}
END_TEST

static const struct {
	unsigned int kind, len;
} extensions[] = {
	{ 0, 8 }, { 60, 24 }, { 43, 40 }, { 44, 8 }, { 51, 12 }, { 51, 28 }, { 60, 256 },
	{ 50, 8 },	/* encrypted: what follows is not to be seen */
	{ 135, 8 },	/* mobility: nothing follows */
};

START_TEST(extension_headers_are_passed_over)
{
	const struct rss_example *e = &rss_examples[7];
	bool passed = extensions[_i].kind != 50 && extensions[_i].kind != 135;
	struct frame f;

	add_ethernet(&f, 0x86dd);
	add_ipv6(&f, e->tuple, extensions[_i].kind);
	add_extension(&f, extensions[_i].kind, 6, extensions[_i].len, 0);
	add_ports(&f, e->tuple + 32);
	ck_assert_uint_eq(run(&f), 1000 + ((passed ? e->hash_with_ports : e->hash) & 127));
	agree(&f);
}
END_TEST

/* Six are; with more, a packet counts as one without ports. */
START_TEST(so_many_extension_headers_are_passed_over)
{
	const struct rss_example *e = &rss_examples[7];
	struct frame f;

	add_ethernet(&f, 0x86dd);
	add_ipv6(&f, e->tuple, 60);
	for (int i = 0; i < _i; i++)
		add_extension(&f, 60, i < _i - 1 ? 60 : 6, 8, 0);
	if (!_i)
		f.data[ETHERNET + 14 + 6] = 6;
	add_ports(&f, e->tuple + 32);
	ck_assert_uint_eq(run(&f), 1000 + ((_i <= 6 ? e->hash_with_ports : e->hash) & 127));
	agree(&f);
}
END_TEST

START_TEST(a_frame_cut_at_any_byte_is_steered_by_what_is_left)
{
	struct frame f;
	unsigned int len;

	for (unsigned int i = 0; i < RSS_NR_EXAMPLES; i += 5) {
		make(&f, &rss_examples[i], 6);
		for (len = f.len; f.len; f.len--)
			agree(&f);
		ck_assert_uint_gt(len, 14);
		agree(&f);
	}
	add_ethernet(&f, 0x86dd);
	add_ipv6(&f, rss_examples[7].tuple, 0);
	add_extension(&f, 0, 51, 16, 0);
	add_extension(&f, 51, 17, 12, 0);
	for (add_ports(&f, rss_examples[7].tuple + 32); f.len; f.len--)
		agree(&f);
}
END_TEST

/* Bytes with no plan, but such that many get far. */
START_TEST(random_frames_go_where_the_model_says)
{
	static const uint8_t kinds[] = { 0, 6, 17, 43, 44, 51, 60 };
	struct frame f;

	srandom((unsigned int)_i);
	for (unsigned int n = 0; n < 500; n++) {
		for (unsigned int i = 0; i < sizeof(f.data); i++)
			f.data[i] = (uint8_t)(random() % 3 ? random() % 4 : random());
		for (unsigned int i = ETHERNET + 54; i < sizeof(f.data); i += 4)
			f.data[i] = kinds[(unsigned int)random() % ARRAY_SIZE(kinds)];
		f.len = (unsigned int)random() % MAX_FRAME;
		f.data[ETHERNET + 12] = random() % 2 ? 0x08 : 0x86;
		f.data[ETHERNET + 13] = f.data[ETHERNET + 12] == 0x08 ? 0 : 0xdd;
		f.data[ETHERNET + 14] = f.data[ETHERNET + 13] ? 0x60 : 0x45 + random() % 2;
		f.data[ETHERNET + 14 + 6] = kinds[(unsigned int)random() % ARRAY_SIZE(kinds)];
		agree(&f);
	}
}
END_TEST

static void skip_without_rights(void)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = a.value_size = 4;
	a.max_entries = 1;
	if (syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)) < 0) {
		perror("no BPF map can be made here: skipped");
		exit(SKIP);
	}
}

Suite *test_suite(void)
{
	Suite *s = suite_create("tap_rss");
	TCase *tc = tcase_create("all");

	skip_without_rights();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_published_examples_go_where_their_hash_says, 0,
			    RSS_NR_EXAMPLES);
	tcase_add_loop_test(tc, only_hash_types_that_are_on_are_used, 0, NET_RSS_HASH_TYPES + 1);
	tcase_add_loop_test(tc, a_table_of_any_length_is_used_as_a_whole, 0, 8);
	tcase_add_test(tc, what_is_written_holds_for_the_next_frame);
	tcase_add_test(tc, frames_of_other_protocols_are_unclassified);
	tcase_add_loop_test(tc, headers_of_any_version_and_length_are_understood_or_unclassified,
			    0, 256);
	tcase_add_loop_test(tc, all_fragments_of_a_packet_go_to_one_queue, 0,
			    ARRAY_SIZE(fragments));
	tcase_add_loop_test(tc, vlan_tags_are_passed_over, 2, 8);
	tcase_add_loop_test(tc, extension_headers_are_passed_over, 0, ARRAY_SIZE(extensions));
	tcase_add_loop_test(tc, so_many_extension_headers_are_passed_over, 0, 9);
	tcase_add_test(tc, a_frame_cut_at_any_byte_is_steered_by_what_is_left);
	tcase_add_loop_test(tc, random_frames_go_where_the_model_says, 0, 10);
	suite_add_tcase(s, tc);
	return s;
}
