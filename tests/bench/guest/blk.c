/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random 4 KiB O_DIRECT requests to /dev/vda. At depth 1 plain pread and pwrite; deeper by the
 * kernel's native AIO, whose system calls need no library. Each request's latency is taken.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096
#define MAX_DEPTH 256

struct blk {
	int fd;
	bool write;
	uint64_t n, depth, jobs, nr_blocks, state;
	char *buf;		/* depth blocks */
	struct lat lat;
	aio_context_t aio;
	struct iocb cb[MAX_DEPTH];
	uint64_t began[MAX_DEPTH];
};

/* xorshift64: the same places in the same order for every monitor. */
static off_t next_place(struct blk *b)
{
	b->state ^= b->state << 13;
	b->state ^= b->state >> 7;
	b->state ^= b->state << 17;
	return (off_t)(b->state % b->nr_blocks * BLOCK);
}

static int one_by_one(struct blk *b)
{
	for (uint64_t i = 0; i < b->n; i++) {
		uint64_t began = now_ns();
		off_t at = next_place(b);
		ssize_t got = b->write ? pwrite(b->fd, b->buf, BLOCK, at) :
					 pread(b->fd, b->buf, BLOCK, at);

		if (got != BLOCK)
			return fail("request %llu", (unsigned long long)i);
		lat_add(&b->lat, now_ns() - began);
	}
	return 0;
}

static int submit(struct blk *b, const unsigned int *slots, unsigned int nr)
{
	struct iocb *list[MAX_DEPTH];
	unsigned int i;
	long done;

	for (i = 0; i < nr; i++) {
		unsigned int s = slots[i];

		b->cb[s] = (struct iocb){
			.aio_data = s,
			.aio_lio_opcode = b->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)b->fd,
			.aio_buf = (uintptr_t)(b->buf + (size_t)s * BLOCK),
			.aio_nbytes = BLOCK,
			.aio_offset = next_place(b),
		};
		b->began[s] = now_ns();
		list[i] = &b->cb[s];
	}
	for (i = 0; i < nr; i += (unsigned int)done) {
		done = syscall(SYS_io_submit, b->aio, (long)(nr - i), list + i);
		if (done <= 0)
			return fail("io_submit");
	}
	return 0;
}

static int all_at_once(struct blk *b)
{
	unsigned int slots[MAX_DEPTH], nr = 0;
	struct io_event ev[MAX_DEPTH];
	uint64_t sent, got = 0;

	for (sent = 0; sent < b->depth && sent < b->n; sent++)
		slots[nr++] = (unsigned int)sent;
	while (got < b->n) {
		long n;

		if (nr && submit(b, slots, nr))
			return 1;
		n = syscall(SYS_io_getevents, b->aio, 1L, (long)b->depth, ev, NULL);
		if (n <= 0)
			return fail("io_getevents");
		for (nr = 0; n > 0; n--) {
			unsigned int s = (unsigned int)ev[n - 1].data;

			if (ev[n - 1].res != BLOCK)
				return fail("request: %lld", (long long)ev[n - 1].res);
			lat_add(&b->lat, now_ns() - b->began[s]);
			got++;
			if (sent < b->n) {
				slots[nr++] = s;
				sent++;
			}
		}
	}
	return 0;
}

static int work(struct blk *b)
{
	return b->depth > 1 ? all_at_once(b) : one_by_one(b);
}

/* Waits for the gate to close, so that all begin at once. */
static int start_job(struct blk *b, const int gate[2], int job, int cpu)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid < 0 ? fail("fork") : 0;
	close(gate[1]);
	pin(cpu);
	b->state += (uint64_t)job << 32;
	if (b->depth > 1 && syscall(SYS_io_setup, (unsigned int)b->depth, &b->aio))
		_exit(fail("io_setup"));
	if (read(gate[0], &c, 1))
		_exit(1);
	_exit(work(b));
}

/* jobs=N: a process on each of the first N CPUs, each with n operations. */
static int many(struct blk *b, const int gate[2])
{
	int status, failed = 0;

	close(gate[1]);
	while (wait(&status) > 0)
		failed |= status;
	b->n *= b->jobs;
	return failed;
}

static int prepare(struct blk *b, const struct args *a)
{
	uint64_t bytes = 0;

	b->write = arg(a, "write", 0);
	b->n = arg(a, "n", 1000);
	b->depth = arg(a, "depth", 1);
	b->jobs = arg(a, "jobs", 1);
	b->state = arg(a, "seed", 1) * 0x9e3779b97f4a7c15u | 1;
	pin((int)arg(a, "cpu", 0));
	b->fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (b->fd < 0 || ioctl(b->fd, BLKGETSIZE64, &bytes))
		return fail("/dev/vda");
	b->nr_blocks = bytes / BLOCK;
	if (!b->nr_blocks || !b->depth || b->depth > MAX_DEPTH)
		return fail("depth or disk");
	if (posix_memalign((void **)&b->buf, BLOCK, b->depth * BLOCK))
		return fail("buffer");
	memset(b->buf, 0x5a, b->depth * BLOCK);
	if (b->depth > 1 && b->jobs == 1 &&
	    syscall(SYS_io_setup, (unsigned int)b->depth, &b->aio))
		return fail("io_setup");
	return lat_init(&b->lat, b->n);
}

static int measure(struct blk *b)
{
	struct irqs before, after;
	uint64_t began, ended;
	int ret, gate[2];

	if (pipe(gate))
		return 1;
	for (int job = 0; b->jobs > 1 && job < (int)b->jobs; job++)
		if (start_job(b, gate, job, job))
			return 1;
	step_ready();
	if (irqs_read(&before))
		return 1;
	began = now_ns();
	ret = b->jobs > 1 ? many(b, gate) : work(b);
	ended = now_ns();
	irqs_read(&after);
	close(gate[0]);
	if (b->jobs == 1)
		close(gate[1]);
	if (ret)
		return ret;
	step_done();
	printf("@res n=%llu ns=%llu\n", (unsigned long long)b->n,
	       (unsigned long long)(ended - began));
	lat_print(&b->lat);
	irqs_print(&before, &after);
	return 0;
}

int blk_run(const struct args *a)
{
	static struct blk b;
	int ret;

	memset(&b, 0, sizeof(b));
	ret = prepare(&b, a);
	if (!ret)
		ret = measure(&b);
	if (b.aio)
		syscall(SYS_io_destroy, b.aio);
	if (b.fd > 0)
		close(b.fd);
	free(b.buf);
	return ret;
}
