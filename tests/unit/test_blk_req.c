/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "blk_req.h"
#include "runner.h"
#include "util.h"

#define SECTORS 2048u

/* A request in ordinary memory: what virtq_pop() would hand over. */
static struct {
	struct virtio_blk_outhdr hdr;
	uint8_t data[64 * 1024];
	uint8_t status;
} mem;
static struct iovec iov[BLK_MAX_IOV + 8];
static struct virtq_chain chain;
static struct blk_limits limits;
static struct blk_req req;

static void setup(void)
{
	memset(&mem, 0, sizeof(mem));
	memset(iov, 0, sizeof(iov));
	mem.status = 0xee;
	chain = (struct virtq_chain){ 0 };
	limits = (struct blk_limits){ .nr_sectors = SECTORS };
}

static void put(bool in, void *base, uint32_t len)
{
	iov[chain.nr_out + chain.nr_in] = (struct iovec){ base, len };
	if (in) {
		chain.nr_in++;
		chain.in_len += len;
	} else {
		chain.nr_out++;
		chain.out_len += len;
	}
}

static int parse(void)
{
	return blk_req_parse(&req, &limits, &chain, iov);
}

/* A whole request: header, len bytes of data, status. */
static int parse_request(uint32_t type, uint64_t sector, uint32_t len)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	mem.hdr.type = type;
	mem.hdr.sector = sector;
	put(false, &mem.hdr, sizeof(mem.hdr));
	if (len)
		put(in, mem.data, len);
	put(true, &mem.status, 1);
	return parse();
}

START_TEST(a_read_is_taken_apart)
{
	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_IN, 7, 1024), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.type, VIRTIO_BLK_T_IN);
	ck_assert_uint_eq(req.sector, 7);
	ck_assert_uint_eq(req.data_len, 1024);
	ck_assert_int_eq(req.nr_iov, 1);
	ck_assert_ptr_eq(req.iov[0].iov_base, mem.data);
	ck_assert_ptr_eq(req.status, &mem.status);
}
END_TEST

/* row B1 */
START_TEST(a_header_split_into_single_bytes_is_put_together)
{
	mem.hdr.type = VIRTIO_BLK_T_OUT;
	mem.hdr.sector = 0x123;
	for (unsigned int i = 0; i < sizeof(mem.hdr); i++)
		put(false, (uint8_t *)&mem.hdr + i, 1);
	put(false, mem.data, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.sector, 0x123);
	ck_assert_ptr_eq(req.iov[0].iov_base, mem.data);
	ck_assert_int_eq(req.nr_iov, 1);
}
END_TEST

/* virtio 1.2, 2.7.4: the driver may lay the parts out as it likes. */
/* row B1 */
START_TEST(header_and_data_may_share_a_buffer)
{
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_OUT, .sector = 1 };

	memcpy(mem.data, &hdr, sizeof(hdr));
	put(false, mem.data, sizeof(hdr) + 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.data_len, 512);
	ck_assert_ptr_eq(req.iov[0].iov_base, mem.data + sizeof(hdr));
}
END_TEST

/* row B2 */
START_TEST(the_status_may_be_the_last_byte_of_a_data_buffer)
{
	mem.hdr.type = VIRTIO_BLK_T_IN;
	put(false, &mem.hdr, sizeof(mem.hdr));
	put(true, mem.data, 513);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.data_len, 512);
	ck_assert_uint_eq(req.iov[0].iov_len, 512);
	ck_assert_ptr_eq(req.status, mem.data + 512);
}
END_TEST

/* row B2 */
START_TEST(a_request_without_writable_part_cannot_be_answered)
{
	put(false, &mem.hdr, sizeof(mem.hdr));
	ck_assert_int_eq(parse(), -EPROTO);
}
END_TEST

/* row B1 */
START_TEST(a_short_header_is_an_error)	/* _i bytes of it */
{
	if (_i)
		put(false, &mem.hdr, (uint32_t)_i);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_IOERR);
	ck_assert_ptr_eq(req.status, &mem.status);
}
END_TEST

/* row B1 */
START_TEST(a_writable_header_is_an_error)
{
	put(true, &mem.hdr, sizeof(mem.hdr));
	put(true, mem.data, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_IOERR);
}
END_TEST

static const uint32_t bad_lengths[] = { 0, 1, 511, 513, 1023 };

/* row B3 */
START_TEST(data_that_is_no_whole_number_of_sectors_is_an_error)
{
	uint32_t type = _i & 1 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

	ck_assert_int_eq(parse_request(type, 0, bad_lengths[_i / 2]), VIRTIO_BLK_S_IOERR);
}
END_TEST

static const struct {
	uint64_t sector;
	uint32_t len;
	int expect;
} ranges[] = {
	{ SECTORS - 1, 512, VIRTIO_BLK_S_OK },
	{ SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
	{ SECTORS, 512, VIRTIO_BLK_S_IOERR },
	{ 1ull << 55, 512, VIRTIO_BLK_S_IOERR },
	{ ~0ull, 512, VIRTIO_BLK_S_IOERR },
	{ ~0ull, 1024, VIRTIO_BLK_S_IOERR },
	{ 0, 65536, VIRTIO_BLK_S_OK },
};

/* row B4 */
START_TEST(ranges_are_checked_against_the_capacity)
{
	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_OUT, ranges[_i].sector, ranges[_i].len),
			 ranges[_i].expect);
}
END_TEST

/* row B4 */
START_TEST(the_capacity_is_checked_over_all_buffers_together)
{
	mem.hdr.type = VIRTIO_BLK_T_OUT;
	mem.hdr.sector = SECTORS - 4;
	put(false, &mem.hdr, sizeof(mem.hdr));
	for (int i = 0; i < 5; i++)
		put(false, mem.data + 512 * i, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(more_buffers_than_one_system_call_takes_are_an_error)
{
	limits.nr_sectors = 1ull << 40;
	mem.hdr.type = VIRTIO_BLK_T_IN;
	put(false, &mem.hdr, sizeof(mem.hdr));
	for (int i = 0; i < BLK_MAX_IOV + _i; i++)
		put(true, mem.data, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), _i ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}
END_TEST

static const uint32_t unknown_types[] = { 2, 3, 5, 6, 7, 9, 10, 12, 14, 255, 0x80000000, ~0u };

/* row B5 */
START_TEST(unknown_types_are_unsupported)
{
	ck_assert_int_eq(parse_request(unknown_types[_i], 0, 512), VIRTIO_BLK_S_UNSUPP);
	ck_assert_ptr_eq(req.status, &mem.status);
}
END_TEST

static const uint32_t changing_types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
					   VIRTIO_BLK_T_WRITE_ZEROES };

/* row B6 */
START_TEST(a_read_only_disk_refuses_every_change)
{
	limits.readonly = true;
	ck_assert_int_eq(parse_request(changing_types[_i], 0, 512), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* row Q12 */
START_TEST(a_write_into_writable_buffers_is_an_error)
{
	mem.hdr.type = VIRTIO_BLK_T_OUT;
	put(false, &mem.hdr, sizeof(mem.hdr));
	put(true, mem.data, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* row Q12 */
START_TEST(a_read_from_readable_buffers_is_an_error)
{
	mem.hdr.type = VIRTIO_BLK_T_IN;
	put(false, &mem.hdr, sizeof(mem.hdr));
	put(false, mem.data, 512);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* row B7 */
START_TEST(get_id_wants_at_least_20_bytes)
{
	int expect = _i < (int)BLK_ID_LEN ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;

	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_GET_ID, 0, (uint32_t)_i), expect);
}
END_TEST

START_TEST(filling_spreads_over_the_buffers_and_stops_at_the_length)
{
	uint8_t src[20], expect[25] = { 0 };

	mem.hdr.type = VIRTIO_BLK_T_GET_ID;
	put(false, &mem.hdr, sizeof(mem.hdr));
	put(true, mem.data, 3);
	put(true, mem.data + 3, 22);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_OK);
	memset(src, 0x77, sizeof(src));
	memset(expect, 0x77, sizeof(src));
	ck_assert(blk_req_fill(&req, src, sizeof(src)));
	ck_assert_mem_eq(mem.data, expect, sizeof(expect));
}
END_TEST

static const struct {
	uint32_t type;
	uint64_t sector;
	uint32_t nr, flags;
	int expect;
} range_cases[] = {
	{ VIRTIO_BLK_T_DISCARD, 0, SECTORS, 0, VIRTIO_BLK_S_OK },
	{ VIRTIO_BLK_T_DISCARD, 0, SECTORS, 1, VIRTIO_BLK_S_UNSUPP },
	{ VIRTIO_BLK_T_DISCARD, 0, SECTORS, 2, VIRTIO_BLK_S_UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1, VIRTIO_BLK_S_OK },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 3, VIRTIO_BLK_S_UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0x80000000, VIRTIO_BLK_S_UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, 0, VIRTIO_BLK_S_IOERR },
	{ VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR },
	{ VIRTIO_BLK_T_WRITE_ZEROES, ~0ull, 2, 0, VIRTIO_BLK_S_IOERR },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_MAX_WRITE_ZEROES + 1, 0, VIRTIO_BLK_S_IOERR },
	{ VIRTIO_BLK_T_DISCARD, 0, BLK_MAX_DISCARD + 1, 0, VIRTIO_BLK_S_IOERR },
};

/* row B8 */
START_TEST(ranges_of_discard_and_write_zeroes_are_checked)
{
	struct virtio_blk_discard_write_zeroes r = { range_cases[_i].sector, range_cases[_i].nr,
						     range_cases[_i].flags };

	if (range_cases[_i].expect == VIRTIO_BLK_S_IOERR && range_cases[_i].nr > SECTORS)
		limits.nr_sectors = 1ull << 40;	/* so that only the length is wrong */
	memcpy(mem.data, &r, sizeof(r));
	ck_assert_int_eq(parse_request(range_cases[_i].type, 0, sizeof(r)),
			 range_cases[_i].expect);
}
END_TEST

static const struct {
	uint32_t len;
	int expect;
} list_cases[] = {
	{ 0, VIRTIO_BLK_S_IOERR }, { 8, VIRTIO_BLK_S_IOERR }, { 17, VIRTIO_BLK_S_IOERR },
	{ 16 * BLK_MAX_RANGES, VIRTIO_BLK_S_OK },
	{ 16 * (BLK_MAX_RANGES + 1), VIRTIO_BLK_S_IOERR }, { 65536, VIRTIO_BLK_S_IOERR },
};

/* row B8 */
START_TEST(the_list_of_ranges_has_its_limits)
{
	struct virtio_blk_discard_write_zeroes r = { 0, 1, 0 };

	for (unsigned int i = 0; i < sizeof(mem.data) / sizeof(r); i++)
		memcpy(mem.data + i * sizeof(r), &r, sizeof(r));
	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_DISCARD, 0, list_cases[_i].len),
			 list_cases[_i].expect);
}
END_TEST

/* row B8 */
START_TEST(one_bad_range_of_several_refuses_the_request)
{
	struct virtio_blk_discard_write_zeroes r[2] = { { 0, 1, 0 }, { SECTORS, 1, 0 } };

	memcpy(mem.data, r, sizeof(r));
	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_DISCARD, 0, sizeof(r)), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* What they were read from is in no list that somebody could use again. */
START_TEST(ranges_are_no_data)
{
	struct virtio_blk_discard_write_zeroes r[3] = { { 0, 1, 0 }, { 8, 2, 0 }, { 16, 3, 0 } };
	const uint32_t cut = 16 * (uint32_t)_i + 5;

	memcpy(mem.data, r, sizeof(r));
	mem.hdr.type = VIRTIO_BLK_T_DISCARD;
	put(false, &mem.hdr, sizeof(mem.hdr));
	put(false, mem.data, cut);
	put(false, mem.data + cut, sizeof(r) - cut);
	put(true, &mem.status, 1);
	ck_assert_int_eq(parse(), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(req.nr_ranges, 3);
	ck_assert_uint_eq(req.range[2].nr_sectors, 3);
	ck_assert_int_eq(req.nr_iov, 0);
}
END_TEST

/* row B8 */
START_TEST(a_refused_range_leaves_those_behind_it)
{
	struct virtio_blk_discard_write_zeroes r[2] = { { SECTORS, 1, 0 }, { 0, 1, 0 } };

	memcpy(mem.data, r, sizeof(r));
	ck_assert_int_eq(parse_request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(r)),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(req.nr_iov, 1);
	ck_assert_ptr_eq(req.iov[0].iov_base, mem.data + sizeof(r[0]));
	ck_assert_uint_eq(req.iov[0].iov_len, sizeof(r[1]));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_req");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_read_is_taken_apart);
	tcase_add_test(tc, a_header_split_into_single_bytes_is_put_together);
	tcase_add_test(tc, header_and_data_may_share_a_buffer);
	tcase_add_test(tc, the_status_may_be_the_last_byte_of_a_data_buffer);
	tcase_add_test(tc, a_request_without_writable_part_cannot_be_answered);
	tcase_add_loop_test(tc, a_short_header_is_an_error, 0, 16);
	tcase_add_test(tc, a_writable_header_is_an_error);
	tcase_add_loop_test(tc, data_that_is_no_whole_number_of_sectors_is_an_error, 0,
			    2 * ARRAY_SIZE(bad_lengths));
	tcase_add_loop_test(tc, ranges_are_checked_against_the_capacity, 0, ARRAY_SIZE(ranges));
	tcase_add_test(tc, the_capacity_is_checked_over_all_buffers_together);
	tcase_add_loop_test(tc, more_buffers_than_one_system_call_takes_are_an_error, 0, 2);
	tcase_add_loop_test(tc, unknown_types_are_unsupported, 0, ARRAY_SIZE(unknown_types));
	tcase_add_loop_test(tc, a_read_only_disk_refuses_every_change, 0,
			    ARRAY_SIZE(changing_types));
	tcase_add_test(tc, a_write_into_writable_buffers_is_an_error);
	tcase_add_test(tc, a_read_from_readable_buffers_is_an_error);
	tcase_add_loop_test(tc, get_id_wants_at_least_20_bytes, 0, 22);
	tcase_add_test(tc, filling_spreads_over_the_buffers_and_stops_at_the_length);
	tcase_add_loop_test(tc, ranges_of_discard_and_write_zeroes_are_checked, 0,
			    ARRAY_SIZE(range_cases));
	tcase_add_loop_test(tc, the_list_of_ranges_has_its_limits, 0, ARRAY_SIZE(list_cases));
	tcase_add_test(tc, one_bad_range_of_several_refuses_the_request);
	tcase_add_loop_test(tc, ranges_are_no_data, 0, 3);
	tcase_add_test(tc, a_refused_range_leaves_those_behind_it);
	suite_add_tcase(s, tc);
	return s;
}
