/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register file: what each register reads, which accesses do nothing,
 * configuration space, notification. The status machine is in
 * test_vmmio_status.c, MSI in test_vmmio_msi.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bus.h"
#include "fake_dev.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"
#include "vmmio_msi_abi.h"
#include "vmmio_priv.h"

#define VECTORS (FAKE_DEV_QUEUES + 1)
#define WINDOW 0xc0000000u

static struct vmmio_bench b;

static void setup(void)
{
	bench_init(&b, VECTORS, true);
}

static void setup_plain(void)
{
	bench_init(&b, 0, true);
}

static void teardown(void)
{
	bench_release(&b);
}

/* All that a driver can change and read back, to see that it did not change. */
struct snapshot {
	uint32_t status, num_max, ready, features, generation;
	unsigned int nr_starts, nr_config_writes, nr_messages;
	uint8_t config[FAKE_DEV_CONFIG_LEN];
	uint64_t cfg_sum;
};

static struct snapshot snapshot(void)
{
	struct snapshot s;

	memset(&s, 0, sizeof(s));
	s.status = bench_status(&b);
	s.num_max = reg_read(&b, VIRTIO_MMIO_QUEUE_NUM_MAX);
	s.ready = reg_read(&b, VIRTIO_MMIO_QUEUE_READY);
	s.features = reg_read(&b, VIRTIO_MMIO_DEVICE_FEATURES);
	s.generation = reg_read(&b, VIRTIO_MMIO_CONFIG_GENERATION);
	s.nr_starts = b.dev.nr_starts;
	s.nr_config_writes = b.dev.nr_config_writes;
	s.nr_messages = b.irq.nr_messages;
	memcpy(s.config, b.dev.config, sizeof(s.config));
	return s;
}

static void check_unchanged(const struct snapshot *before, uint64_t off, uint32_t len)
{
	struct snapshot after = snapshot();

	if (memcmp(before, &after, sizeof(after)))
		ck_abort_msg("a write of %u bytes at %#llx did something", len,
			     (unsigned long long)off);
}

static const struct {
	uint32_t off, val;
} reset_value[] = {
	{ VIRTIO_MMIO_MAGIC_VALUE, 0x74726976 },
	{ VIRTIO_MMIO_VERSION, 2 },
	{ VIRTIO_MMIO_DEVICE_ID, FAKE_DEV_ID },
	{ VIRTIO_MMIO_VENDOR_ID, 0xdbfcdb06 },
	{ VIRTIO_MMIO_DEVICE_FEATURES, (uint32_t)FAKE_DEV_FEATURES },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, FAKE_DEV_QUEUE_SIZE },
	{ VIRTIO_MMIO_QUEUE_READY, 0 },
	{ VIRTIO_MMIO_DOORBELL, 0x00041000 },
	{ VIRTIO_MMIO_INTERRUPT_STATUS, 0 },
	{ VIRTIO_MMIO_STATUS, 0 },
	{ VIRTIO_MMIO_CONFIG_GENERATION, 0 },
	/* T18: no shared memory region: length and base are all ones */
	{ VIRTIO_MMIO_SHM_LEN_LOW, 0xffffffff },
	{ VIRTIO_MMIO_SHM_LEN_HIGH, 0xffffffff },
	{ VIRTIO_MMIO_SHM_BASE_LOW, 0xffffffff },
	{ VIRTIO_MMIO_SHM_BASE_HIGH, 0xffffffff },
};

/* row T18 */
START_TEST(a_register_reads_its_initial_value)
{
	ck_assert_uint_eq(reg_read(&b, reset_value[_i].off), reset_value[_i].val);
	ck_assert_uint_eq(bench_guest_errors(&b), 0);
}
END_TEST

static bool is_readable(uint32_t off)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(reset_value); i++)
		if (reset_value[i].off == off)
			return true;
	return off == VIRTIO_MMIO_MSI_CSR;	/* with 4 bytes: control and result */
}

/* T3: write-only and unknown registers. */
/* row T3 */
START_TEST(every_other_register_reads_zero_and_is_counted)
{
	uint64_t errors = 0;

	for (uint32_t off = 0; off < 0x100; off += 4) {
		if (is_readable(off))
			continue;
		ck_assert_uint_eq(reg_read(&b, off), 0);
		ck_assert_uint_eq(bench_guest_errors(&b), ++errors);
	}
}
END_TEST

static bool is_msi(uint64_t off)
{
	return off >= VIRTIO_MMIO_MSI_CSR && off < VIRTIO_MMIO_MSI_END;
}

/* T1, T2: every offset with every width but an aligned 4. */
/* row T1 */
START_TEST(a_read_of_another_width_or_alignment_gives_zero)
{
	for (uint64_t off = 0; off < 0x100; off++) {
		for (uint32_t len = 1; len <= 8; len++) {
			if (is_msi(off) || (len == 4 && off % 4 == 0))
				continue;
			if (bench_read(&b, off, len))
				ck_abort_msg("%u bytes at %#x", len, (unsigned int)off);
		}
	}
}
END_TEST

/* row T1 */
START_TEST(a_write_of_another_width_or_alignment_does_nothing)
{
	struct snapshot before = snapshot();

	for (uint64_t off = 0; off < 0x100; off++) {
		for (uint32_t len = 1; len <= 8; len++) {
			if (len == 4 && off % 4 == 0)
				continue;
			if (is_msi(off) && len == 2)
				continue;
			bench_write(&b, off, len, 0x0101010101010101);
			check_unchanged(&before, off, len);
		}
	}
	ck_assert_uint_gt(bench_guest_errors(&b), 0);
}
END_TEST

/* T3 */
static const uint32_t read_only[] = {
	VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_VERSION, VIRTIO_MMIO_DEVICE_ID,
	VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_QUEUE_NUM_MAX,
	VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_CONFIG_GENERATION,
	VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH, VIRTIO_MMIO_SHM_BASE_LOW,
	VIRTIO_MMIO_SHM_BASE_HIGH,
	0x018, 0x01c, 0x028, 0x02c, 0x03c, 0x040, 0x048, 0x04c, 0x054, 0x068, 0x0d0, 0x0f8,
};

/* rows T3, T18 */
START_TEST(writing_a_read_only_or_unknown_register_does_nothing)
{
	struct snapshot before;
	uint64_t errors;

	bench_to_features_ok(&b);
	before = snapshot();
	errors = bench_guest_errors(&b);
	reg_write(&b, read_only[_i], 0xffffffff);
	check_unchanged(&before, read_only[_i], 4);
	ck_assert_uint_eq(bench_guest_errors(&b), errors + 1);
}
END_TEST

/* T2, T3: through a bus, as a vCPU comes. */
/* row T3 */
START_TEST(the_window_ends_where_it_ends)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		bool claimed;
	} access[] = {
		{ WINDOW, 4, true },
		{ WINDOW + VMMIO_WINDOW_LEN - 1, 1, true },
		{ WINDOW + VMMIO_WINDOW_LEN - 4, 4, true },
		{ WINDOW + VMMIO_WINDOW_LEN, 1, false },
		{ WINDOW + VMMIO_WINDOW_LEN - 1, 2, false },
		{ WINDOW + VMMIO_WINDOW_LEN - 4, 8, false },
		{ WINDOW - 1, 1, false },
		{ WINDOW - 1, 4, false },
		{ WINDOW, 0, false },
		{ UINT64_MAX, 8, false },
	};
	struct bus bus = { .nr_windows = 0 };

	ck_assert_int_eq(bus_add(&bus, WINDOW, VMMIO_WINDOW_LEN, &vmmio_bus_ops, b.t), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(access); i++) {
		uint64_t val = 0;

		ck_assert_int_eq(bus_read(&bus, access[i].addr, &val, access[i].len),
				 access[i].claimed);
		ck_assert_int_eq(bus_write(&bus, access[i].addr, &val, access[i].len),
				 access[i].claimed);
	}
}
END_TEST

/* T1..T3 at random, whatever state it leads to: nothing falls over. */
/* row T2 */
START_TEST(random_accesses_all_over_the_window_are_survived)
{
	uint64_t r = 88172645463325252ull + (uint64_t)_i;

	for (int i = 0; i < 200000; i++) {
		uint64_t off;
		uint32_t len;

		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		len = 1 + (uint32_t)(r >> 61);
		off = (r >> 40) % (r & 1 ? 0x110 : VMMIO_WINDOW_LEN - 8);
		if (r & 2)
			off &= ~3ull, len = 4;
		if (r & 4)
			bench_read(&b, off, len);
		else
			bench_write(&b, off, len, r & 8 ? r >> 32 & 0xff : r >> 20);
	}
	bench_reset(&b);
	ck_assert_uint_eq(bench_status(&b), 0);
	bench_to_driver_ok(&b);
	ck_assert_uint_eq(bench_status(&b), 0xf);
	ck_assert(b.dev.started);
}
END_TEST

/* T4 */
static const uint32_t no_queue[] = { FAKE_DEV_QUEUES, 0xff, 0xffff, 0x10000, 0xffffffff };

/* row T4 */
START_TEST(a_queue_that_is_not_there_has_no_size)
{
	reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, no_queue[_i]);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
}
END_TEST

/* row T4 */
START_TEST(writes_to_a_queue_that_is_not_there_do_nothing)
{
	uint64_t errors;

	bench_to_features_ok(&b);
	errors = bench_guest_errors(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, no_queue[_i]);
	for (uint32_t off = VIRTIO_MMIO_QUEUE_NUM; off <= VIRTIO_MMIO_QUEUE_USED_HIGH; off += 4)
		if (off == VIRTIO_MMIO_QUEUE_NUM || off == VIRTIO_MMIO_QUEUE_READY ||
		    off >= VIRTIO_MMIO_QUEUE_DESC_LOW)
			reg_write(&b, off, 1);
	ck_assert_uint_gt(bench_guest_errors(&b), errors);
	for (unsigned int q = 0; q < FAKE_DEV_QUEUES; q++) {
		reg_write(&b, VIRTIO_MMIO_QUEUE_SEL, q);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_QUEUE_READY), 0);
	}
}
END_TEST

/* row T10 */
START_TEST(features_come_in_two_words_and_no_more)
{
	uint32_t word[] = { (uint32_t)FAKE_DEV_FEATURES,
			    (uint32_t)((FAKE_DEV_FEATURES | FAKE_VERSION_1) >> 32), 0, 0 };

	for (uint32_t i = 0; i < ARRAY_SIZE(word); i++) {
		reg_write(&b, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_DEVICE_FEATURES), word[i]);
	}
	reg_write(&b, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0xffffffff);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}
END_TEST

/* T16. Configuration space is 12 bytes, 0xa0, 0xa1... */
static const struct {
	uint64_t off;
	uint32_t len;
	uint64_t val;
} config[] = {
	{ 0, 1, 0xa0 },
	{ 11, 1, 0xab },
	{ 1, 2, 0xa2a1 },
	{ 8, 4, 0xabaaa9a8 },
	{ 3, 4, 0xa6a5a4a3 },
	{ 0, 8, 0xa7a6a5a4a3a2a1a0 },
	{ 4, 8, 0xabaaa9a8a7a6a5a4 },
	{ 12, 1, 0 },
	{ 11, 2, 0 },
	{ 9, 4, 0 },
	{ 5, 8, 0 },
	{ 0xeff, 1, 0 },
	{ 0xefc, 8, 0 },		/* into the doorbells */
	{ 0x1eff, 1, 0 },		/* the window's last byte */
};

/* row T16 */
START_TEST(configuration_reads_stop_at_its_end)
{
	ck_assert_uint_eq(bench_read(&b, VIRTIO_MMIO_CONFIG + config[_i].off, config[_i].len),
			  config[_i].val);
}
END_TEST

/* row T16 */
START_TEST(configuration_writes_stop_at_its_end)
{
	bench_write(&b, VIRTIO_MMIO_CONFIG + config[_i].off, config[_i].len, 0);
	ck_assert_uint_eq(b.dev.nr_config_writes, config[_i].val != 0);
}
END_TEST

/* row T16 */
START_TEST(a_device_without_configuration_reads_zero)
{
	b.dev.dev.config_len = 0;
	for (uint32_t len = 1; len <= 8; len++)
		ck_assert_uint_eq(bench_read(&b, VIRTIO_MMIO_CONFIG, len), 0);
	bench_write(&b, VIRTIO_MMIO_CONFIG, 4, 1);
	ck_assert_uint_eq(b.dev.nr_config_writes, 0);
}
END_TEST

/* row T16 */
START_TEST(a_write_to_a_read_only_configuration_is_counted)
{
	struct virtio_dev_ops ops = *b.dev.dev.ops;
	const struct virtio_dev_ops *saved = b.dev.dev.ops;

	ops.write_config = NULL;
	b.dev.dev.ops = &ops;
	bench_write(&b, VIRTIO_MMIO_CONFIG, 4, 1);
	ck_assert_uint_eq(bench_guest_errors(&b), 1);
	b.dev.dev.ops = saved;
}
END_TEST

/* T17 */
/* row T17 */
START_TEST(each_configuration_change_has_its_own_generation)
{
	bench_to_driver_ok(&b);
	for (uint32_t i = 1; i <= 3; i++) {
		virtio_config_changed(b.dev.start.transport);
		ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_CONFIG_GENERATION), i);
	}
}
END_TEST

static bool is_kicked(unsigned int q)
{
	struct pollfd p = { .fd = b.t->kick_fd[q], .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* T14 */
START_TEST(a_notification_kicks_its_queue_and_no_other)
{
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, (uint32_t)_i);
	for (int q = 0; q < (int)FAKE_DEV_QUEUES; q++)
		ck_assert_int_eq(is_kicked((unsigned int)q), q == _i);
}
END_TEST

START_TEST(a_doorbell_kicks_its_queue_with_any_width_and_value)
{
	bench_write(&b, VMMIO_DOORBELL + 4 * (unsigned int)_i, 1u << _i, 0xdeadbeef);
	for (int q = 0; q < (int)FAKE_DEV_QUEUES; q++)
		ck_assert_int_eq(is_kicked((unsigned int)q), q == _i);
}
END_TEST

/* row T14 */
START_TEST(a_notification_of_no_queue_is_counted)
{
	static const uint32_t q[] = { FAKE_DEV_QUEUES, 64, 0xffff, 0x10000, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(q); i++)
		reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, q[i]);
	bench_write(&b, VMMIO_DOORBELL + 4 * FAKE_DEV_QUEUES, 4, 0);
	bench_write(&b, VMMIO_WINDOW_LEN - 1, 1, 0);
	ck_assert_uint_eq(bench_guest_errors(&b), ARRAY_SIZE(q) + 2);
	for (unsigned int i = 0; i < FAKE_DEV_QUEUES; i++)
		ck_assert(!is_kicked(i));
}
END_TEST

/* row T14 */
START_TEST(a_kick_before_driver_ok_waits_for_the_device)
{
	bench_to_features_ok(&b);
	reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	bench_set_up_queue(&b, 1);
	reg_write(&b, VIRTIO_MMIO_STATUS, 0xf);
	ck_assert(b.dev.started);
	ck_assert_int_eq(b.dev.start.queue[1].kick_fd, b.t->kick_fd[1]);
	ck_assert(is_kicked(1));
}
END_TEST

/* row T14 */
START_TEST(a_million_kicks_block_nobody)
{
	struct vmmio_stats s;

	for (int i = 0; i < 1000000; i++)
		reg_write(&b, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	vmmio_stats(b.t, &s);
	ck_assert_uint_eq(s.notify_writes, 1000000);
	ck_assert_uint_eq(s.register_writes, 1000000);
	bench_reset(&b);
	ck_assert(!is_kicked(0));
}
END_TEST

/* A device with its line only: no MSI, no doorbells, another vendor. */
START_TEST(without_vectors_the_device_is_a_plain_one)
{
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_VENDOR_ID), 0x4d4d5349);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_DOORBELL), 0);
	bench_write(&b, VMMIO_DOORBELL, 4, 0);
	ck_assert(!is_kicked(0));
}
END_TEST

/* T18: the registers at 0x0c0 are QueueReset elsewhere, which is not offered. */
/* row M9 */
START_TEST(without_vectors_the_msi_block_is_deaf)
{
	ck_assert_uint_eq(bench_read(&b, VIRTIO_MMIO_MSI_CSR, 2), 0);
	ck_assert_uint_eq(reg_read(&b, VIRTIO_MMIO_MSI_CSR), 0);
	bench_msi_enable(&b, 0);
	bench_msi_update(&b, 0, 0xfee00000, 0x30);
	ck_assert_uint_eq(b.irq.nr_messages + b.irq.nr_commits, 0);
	bench_reset(&b);
	ck_assert_uint_eq(b.irq.nr_releases, 0);
}
END_TEST

START_TEST(without_vectors_a_doorbell_write_does_nothing)
{
	bench_write(&b, VMMIO_DOORBELL, 4, 0);
	ck_assert(!is_kicked(0));
	ck_assert_uint_eq(bench_guest_errors(&b), 1);
}
END_TEST

START_TEST(doorbells_can_be_left_out_alone)
{
	struct vmmio_bench o;

	bench_init(&o, VECTORS, false);
	ck_assert_uint_eq(reg_read(&o, VIRTIO_MMIO_VENDOR_ID), 0xdbfcdb02);
	ck_assert_uint_eq(reg_read(&o, VIRTIO_MMIO_DOORBELL), 0);
	ck_assert_uint_eq(bench_read(&o, VIRTIO_MMIO_MSI_CSR, 2), 0x8000 | VECTORS);
	bench_release(&o);
}
END_TEST

START_TEST(freeing_the_transport_stops_and_frees_the_device)
{
	struct vmmio_bench o;

	bench_init(&o, VECTORS, true);
	bench_to_driver_ok(&o);
	bench_release(&o);
	ck_assert_uint_eq(o.dev.nr_stops, 1);
	ck_assert_uint_eq(o.dev.nr_frees, 1);
	vmmio_free(NULL);
}
END_TEST

/* H4: descriptors run out at each of the queues' eventfds. */
START_TEST(a_transport_that_cannot_be_made_frees_its_device)
{
	int first_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit limit = { (rlim_t)(first_free + _i), (rlim_t)(first_free + _i) };
	struct log_capture c;
	struct fake_dev dev;
	struct vmmio *t = NULL;
	int ret;

	log_capture_begin(&c);
	limit.rlim_cur += 2;		/* for the capture */
	limit.rlim_max += 2;
	close(first_free);
	fake_dev_init(&dev);
	setrlimit(RLIMIT_NOFILE, &limit);
	ret = vmmio_create(&t, &dev.dev, b.mem, &b.irq.sink, true);
	log_capture_end(&c);
	ck_assert_int_eq(ret, -EMFILE);
	ck_assert_uint_eq(dev.nr_frees, 1);
	ck_assert_uint_eq(c.nr_lines, 1);
}
END_TEST

static void add_accesses(TCase *tc)
{
	tcase_add_loop_test(tc, a_register_reads_its_initial_value, 0, ARRAY_SIZE(reset_value));
	tcase_add_test(tc, every_other_register_reads_zero_and_is_counted);
	tcase_add_test(tc, a_read_of_another_width_or_alignment_gives_zero);
	tcase_add_test(tc, a_write_of_another_width_or_alignment_does_nothing);
	tcase_add_loop_test(tc, writing_a_read_only_or_unknown_register_does_nothing, 0,
			    ARRAY_SIZE(read_only));
	tcase_add_test(tc, the_window_ends_where_it_ends);
	tcase_add_loop_test(tc, random_accesses_all_over_the_window_are_survived, 0, 4);
	tcase_add_loop_test(tc, a_queue_that_is_not_there_has_no_size, 0, ARRAY_SIZE(no_queue));
	tcase_add_loop_test(tc, writes_to_a_queue_that_is_not_there_do_nothing, 0,
			    ARRAY_SIZE(no_queue));
	tcase_add_test(tc, features_come_in_two_words_and_no_more);
	tcase_add_loop_test(tc, configuration_reads_stop_at_its_end, 0, ARRAY_SIZE(config));
	tcase_add_loop_test(tc, configuration_writes_stop_at_its_end, 0, ARRAY_SIZE(config));
	tcase_add_test(tc, a_device_without_configuration_reads_zero);
	tcase_add_test(tc, a_write_to_a_read_only_configuration_is_counted);
	tcase_add_test(tc, each_configuration_change_has_its_own_generation);
}

static TCase *plain(void)
{
	TCase *tc = tcase_create("plain");

	tcase_add_checked_fixture(tc, setup_plain, teardown);
	tcase_add_test(tc, without_vectors_the_device_is_a_plain_one);
	tcase_add_test(tc, without_vectors_the_msi_block_is_deaf);
	tcase_add_test(tc, without_vectors_a_doorbell_write_does_nothing);
	return tc;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("vmmio");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	add_accesses(tc);
	tcase_add_loop_test(tc, a_notification_kicks_its_queue_and_no_other, 0, FAKE_DEV_QUEUES);
	tcase_add_loop_test(tc, a_doorbell_kicks_its_queue_with_any_width_and_value, 0,
			    FAKE_DEV_QUEUES);
	tcase_add_test(tc, a_notification_of_no_queue_is_counted);
	tcase_add_test(tc, a_kick_before_driver_ok_waits_for_the_device);
	tcase_add_test(tc, a_million_kicks_block_nobody);
	tcase_add_test(tc, doorbells_can_be_left_out_alone);
	tcase_add_test(tc, freeing_the_transport_stops_and_frees_the_device);
	tcase_add_loop_test(tc, a_transport_that_cannot_be_made_frees_its_device, 0,
			    FAKE_DEV_QUEUES);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, plain());
	return s;
}
