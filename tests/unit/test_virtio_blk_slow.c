/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that takes its time: the ring reads from a pipe, empty until a test writes to it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blk_backend.h"
#include "blk_req.h"
#include "fake_transport.h"
#include "runner.h"
#include "util.h"
#include "virtio_blk.h"

#define SKIP 77
#define RING 256u
#define NR_READS 4u
#define NR_MANY 140u	/* more than are ever in flight */

static struct fake_transport *ft;
static struct virtio_dev *dev;
static struct blk_backend be;
static int to_disk;
static atomic_bool answered;

static int no_read(struct blk_backend *b, struct iovec *iov, int n, uint64_t off)
{
	(void)b;
	(void)iov;
	(void)n;
	(void)off;
	ck_abort_msg("the ring was to read");
	return 0;
}

static int flush(struct blk_backend *b)
{
	(void)b;
	return 0;
}

static void free_nothing(struct blk_backend *b)
{
	close(b->fd);
}

static const struct blk_backend_ops ops = {
	.readv = no_read, .flush = flush, .free = free_nothing,
};

static void setup(void)
{
	struct virtio_blk_cfg cfg = VIRTIO_BLK_CFG_DEFAULT;
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	to_disk = fd[1];
	be = (struct blk_backend){ .ops = &ops, .fd = fd[0], .size = MIB(1), .block_size = 512,
				   .physical_block_size = 512, .async_reads = true };
	cfg.queue_size = RING;
	cfg.aio = VIRTIO_BLK_AIO_IO_URING;
	ck_assert_int_eq(virtio_blk_create(&dev, &cfg, &be, "blk0"), 0);
	ft = fake_transport_create(dev, RING);
	ck_assert_uint_eq(fake_stat(ft, "io_uring"), 1);
	ck_assert_int_eq(fake_start(ft, dev->features), 0);
	atomic_store(&answered, false);
}

static void teardown(void)
{
	fake_transport_free(ft);
	close(to_disk);
}

struct read {
	gpa_t data, status;
};

static struct read add_read(uint64_t sector)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_IN, .sector = sector };
	gpa_t at = vdriver_alloc(d, 16 + 512 + 1);
	struct vbuf buf[3] = { { at, 16, false }, { at + 16, 512, true },
			       { at + 16 + 512, 1, true } };

	memcpy(vdriver_ptr(d, at), &hdr, sizeof(hdr));
	memset((uint8_t *)vdriver_ptr(d, at) + 16, 0xee, 513);
	vdriver_add_indirect(d, buf, 3);
	return (struct read){ at + 16, at + 16 + 512 };
}

static uint8_t *at(gpa_t gpa)
{
	return vdriver_ptr(fake_driver(ft, 0), gpa);
}

/* One after the other. */
static void *answer_later(void *arg)
{
	static const uint8_t sector[512] = { 0 };

	(void)arg;
	for (unsigned int i = 0; i < NR_READS; i++) {
		usleep(100000);
		atomic_store(&answered, i == NR_READS - 1);
		if (write(to_disk, sector, sizeof(sector)) != sizeof(sector))
			ck_abort_msg("pipe");
	}
	return NULL;
}

/* rows T13, B10 */
START_TEST(a_stop_waits_for_reads_that_the_host_has_not_answered)
{
	struct read r[NR_READS];
	pthread_t host;

	for (unsigned int i = 0; i < NR_READS; i++)
		r[i] = add_read(i);
	fake_kick(ft, 0);
	usleep(50000);		/* the device takes them */
	ck_assert_int_eq(pthread_create(&host, NULL, answer_later, NULL), 0);
	fake_stop(ft);
	ck_assert(atomic_load(&answered));
	for (unsigned int i = 0; i < NR_READS; i++) {
		ck_assert_uint_eq(*at(r[i].status), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(*at(r[i].data + 511), 0);
	}
	pthread_join(host, NULL);
}
END_TEST

/* row H3 */
START_TEST(other_requests_are_answered_while_reads_hang)
{
	struct vdriver *d = fake_driver(ft, 0);
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_GET_ID };
	gpa_t id = vdriver_alloc(d, 16 + 20 + 1);
	struct vbuf buf[3] = { { id, 16, false }, { id + 16, 20, true }, { id + 36, 1, true } };
	uint16_t head, id_head;
	pthread_t host;
	uint32_t len;

	for (unsigned int i = 0; i < NR_READS; i++)
		add_read(i);
	memcpy(vdriver_ptr(d, id), &hdr, sizeof(hdr));
	id_head = vdriver_add(d, buf, 3);
	fake_kick(ft, 0);
	fake_wait_used(ft, 0, &head, &len);
	ck_assert_uint_eq(head, id_head);
	ck_assert_uint_eq(len, 21);
	ck_assert_int_eq(pthread_create(&host, NULL, answer_later, NULL), 0);
	fake_stop(ft);
	pthread_join(host, NULL);
}
END_TEST

static uint64_t cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* Those that wait in the ring must not keep the thread busy. row H3 */
START_TEST(more_requests_than_can_be_in_flight_wait_for_the_host)
{
	static const uint8_t sector[512] = { 0 };
	uint16_t head;
	uint64_t before;
	uint32_t len;

	for (unsigned int i = 0; i < NR_MANY; i++)
		add_read(i);
	fake_kick(ft, 0);
	usleep(50000);
	before = cpu_ms();
	usleep(400000);
	ck_assert_uint_lt(cpu_ms() - before, 100);
	for (unsigned int i = 0; i < NR_MANY; i++) {
		ck_assert_int_eq(write(to_disk, sector, sizeof(sector)), sizeof(sector));
		fake_wait_used(ft, 0, &head, &len);
		ck_assert_uint_eq(len, 513);
	}
}
END_TEST

/* Without it the device would fall back. */
static void skip_without_uring(void)
{
	if (syscall(SYS_io_uring_setup, 0, NULL) < 0 && (errno == ENOSYS || errno == EPERM)) {
		puts("no io_uring: skipped");
		exit(SKIP);
	}
}

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_blk_slow");
	TCase *tc = tcase_create("all");

	skip_without_uring();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_stop_waits_for_reads_that_the_host_has_not_answered);
	tcase_add_test(tc, other_requests_are_answered_while_reads_hang);
	tcase_add_test(tc, more_requests_than_can_be_in_flight_wait_for_the_host);
	suite_add_tcase(s, tc);
	return s;
}
