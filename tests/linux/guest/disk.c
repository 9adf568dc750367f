/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random verified block traffic. Worker i owns slice i of the disk and runs a sequence of reads and
 * writes that depends on the seed alone; so mode=check can tell afterwards, from outside the guest
 * or after a kexec, what each block must hold. mode=loop repeats the sequence until it is killed.
 */
#define _GNU_SOURCE
#include "guestio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
	const char *path;
	uint64_t ops, block_len, span, seed;
	bool writes;		/* run the sequence, not only check its result */
	bool forever;
	int nr_workers;
};

struct slice {
	const struct disk *disk;
	int fd, cpu;
	uint64_t first, nr_blocks;	/* in blocks of the disk */
	uint32_t *generation;		/* per block; 0: never written */
	void *buf;
	uint64_t nr_reads, nr_writes;
};

static uint64_t block_seed(const struct slice *s, uint64_t block)
{
	return s->disk->seed + (s->first + block) * 0x10001 +
	       ((uint64_t)s->generation[block] << 40);
}

static off_t block_offset(const struct slice *s, uint64_t block)
{
	return (off_t)((s->first + block) * s->disk->block_len);
}

static int block_write(struct slice *s, uint64_t block)
{
	size_t len = s->disk->block_len;

	s->generation[block]++;
	if (!s->disk->writes)
		return 0;
	fill(s->buf, len, block_seed(s, block));
	s->nr_writes++;
	if (pwrite(s->fd, s->buf, len, block_offset(s, block)) != (ssize_t)len)
		return complain("%s: write block %llu: %s", s->disk->path,
				(unsigned long long)(s->first + block), strerror(errno));
	return 0;
}

static int block_check(struct slice *s, uint64_t block)
{
	size_t len = s->disk->block_len;

	if (!s->generation[block])
		return 0;
	s->nr_reads++;
	if (pread(s->fd, s->buf, len, block_offset(s, block)) != (ssize_t)len)
		return complain("%s: read block %llu: %s", s->disk->path,
				(unsigned long long)(s->first + block), strerror(errno));
	if (!filled(s->buf, len, block_seed(s, block)))
		return complain("%s: block %llu does not hold what was written", s->disk->path,
				(unsigned long long)(s->first + block));
	return 0;
}

static int slice_sequence(struct slice *s, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;
	uint64_t i;

	for (i = 0; i < s->disk->ops; i++) {
		uint64_t dice = random_next(&state) >> 8;
		uint64_t block = (dice >> 8) % s->nr_blocks;

		if (dice & 1) {
			if (block_write(s, block))
				return 1;
		} else if (s->disk->writes && block_check(s, block)) {
			return 1;
		}
	}
	return 0;
}

static int slice_check_all(struct slice *s)
{
	uint64_t block;

	for (block = 0; block < s->nr_blocks; block++)
		if (block_check(s, block))
			return 1;
	return 0;
}

static int slice_run(struct slice *s)
{
	uint64_t round = 0;

	do {
		if (slice_sequence(s, s->disk->seed + s->first + round++))
			return 1;
		if (s->disk->writes && fdatasync(s->fd))
			return complain("%s: fdatasync: %s", s->disk->path, strerror(errno));
	} while (s->disk->forever);
	if (slice_check_all(s))
		return 1;
	printf("disk %s cpu %d reads %llu writes %llu\n", s->disk->path, s->cpu,
	       (unsigned long long)s->nr_reads, (unsigned long long)s->nr_writes);
	return 0;
}

static int disk_worker(int idx, int cpu, void *ctx)
{
	const struct disk *d = ctx;
	struct slice s = { .disk = d, .cpu = cpu };

	s.nr_blocks = d->span / d->block_len / (uint64_t)d->nr_workers;
	s.first = s.nr_blocks * (uint64_t)idx;
	s.fd = open(d->path, (d->writes ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (s.fd < 0 && errno == EINVAL)	/* an image on a file system without O_DIRECT */
		s.fd = open(d->path, (d->writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (s.fd < 0)
		return complain("%s: open: %s", d->path, strerror(errno));
	s.generation = calloc(s.nr_blocks, sizeof(*s.generation));
	if (!s.nr_blocks || !s.generation || posix_memalign(&s.buf, 4096, d->block_len))
		return complain("%s: no room for a worker", d->path);
	return slice_run(&s);
}

static int disk_len(const char *path, uint64_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return complain("%s: open: %s", path, strerror(errno));
	*len = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, len))
		return complain("%s: size: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int disk_main(int argc, char **argv)
{
	const char *mode = option(argc, argv, "mode", "run");
	int cpus[GUESTIO_CPUS_MAX], nr, i;
	struct disk d = {
		.ops = number(argc, argv, "ops", 200),
		.block_len = number(argc, argv, "block", 4096),
		.seed = number(argc, argv, "seed", 1),
		.writes = strcmp(mode, "check") != 0,
		.forever = !strcmp(mode, "loop"),
	};

	if (argc < 1 || !d.block_len || d.block_len % 512)
		return complain("disk: a path is needed, and blocks of 512 bytes or a multiple");
	d.path = argv[0];
	if (disk_len(d.path, &d.span))
		return 1;
	if (number(argc, argv, "span", d.span) < d.span)
		d.span = number(argc, argv, "span", d.span);
	nr = cpu_list(option(argc, argv, "cpus", "all"), cpus, GUESTIO_CPUS_MAX);
	d.nr_workers = (int)number(argc, argv, "workers", (uint64_t)nr);
	if (d.nr_workers < 1 || d.nr_workers > GUESTIO_CPUS_MAX || nr < 1)
		return complain("disk: no CPU to work on");
	for (i = nr; i < d.nr_workers; i++)
		cpus[i] = d.writes ? cpus[i % nr] : -1;
	return each_cpu(cpus, d.nr_workers, disk_worker, &d);
}
