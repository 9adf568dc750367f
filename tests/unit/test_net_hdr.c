/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "net_hdr.h"
#include "runner.h"
#include "util.h"

#define BIT(n) (1ull << (n))
#define CSUM BIT(VIRTIO_NET_F_CSUM)
#define TSO4 BIT(VIRTIO_NET_F_HOST_TSO4)
static const struct {
	uint64_t features;
	uint32_t frame_len;
	struct virtio_net_hdr_v1 hdr;
	int expect;
} hdrs[] = {
	{ 0, 14, { 0 }, 0 },
	{ 0, 13, { 0 }, -EINVAL },
	{ 0, NET_MAX_FRAME, { 0 }, 0 },
	{ 0, NET_MAX_FRAME + 1, { 0 }, -EINVAL },
	{ 0, 100, { .flags = 1 }, -EINVAL },
	{ CSUM, 100, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, 0 },
	{ CSUM, 52, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, 0 },
	{ CSUM, 51, { .flags = 1, .csum_start = 34, .csum_offset = 16 }, -EINVAL },
	{ CSUM, 100, { .flags = 1, .csum_start = 65535, .csum_offset = 65535 }, -EINVAL },
	{ CSUM, 100, { .hdr_len = 101 }, -EINVAL },
	{ CSUM, 100, { .gso_type = 1, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .gso_type = 1, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 1, .gso_size = 10 }, 0 },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 1, .gso_size = 0 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 4, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4, 100, { .flags = 1, .gso_type = 0x81, .gso_size = 10 }, -EINVAL },
	{ CSUM | TSO4 | BIT(VIRTIO_NET_F_HOST_ECN), 100,
	  { .flags = 1, .gso_type = 0x81, .gso_size = 10 }, 0 },
	{ ~0ull, 100, { .flags = 1, .gso_type = 2, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 3, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 5, .gso_size = 10 }, 0 },
	{ ~0ull, 100, { .flags = 1, .gso_type = 0x80, .gso_size = 10 }, -EINVAL },
	{ ~0ull, 100, { .flags = 1, .gso_type = 0xff, .gso_size = 10 }, -EINVAL },
};

/* row N3 */
START_TEST(headers_are_checked)
{
	struct virtio_net_hdr_v1 hdr = hdrs[_i].hdr;

	ck_assert_int_eq(net_hdr_check(&hdr, hdrs[_i].frame_len, hdrs[_i].features),
			 hdrs[_i].expect);
}
END_TEST

/* row N3 */
START_TEST(bits_that_a_device_ignores_do_not_reach_the_host)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 0xfe, .gso_size = 7, .num_buffers = 9 };

	ck_assert_int_eq(net_hdr_check(&hdr, 100, ~0ull), 0);
	ck_assert_uint_eq(hdr.flags, 0);
	ck_assert_uint_eq(hdr.gso_size, 0);
	ck_assert_uint_eq(hdr.num_buffers, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("net_hdr");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, headers_are_checked, 0, ARRAY_SIZE(hdrs));
	tcase_add_test(tc, bits_that_a_device_ignores_do_not_reach_the_host);
	suite_add_tcase(s, tc);
	return s;
}
