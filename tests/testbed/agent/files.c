/* SPDX-License-Identifier: Apache-2.0 */
/* Files: stored under a temporary name and renamed, fetched without their holes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define PSEUDO_MAX	65536	/* files up to this size without blocks may be sysfs or so */

struct put_msg {		/* then the path */
	uint64_t size;
	uint32_t mode;
} __attribute__((packed));

void make_parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

void do_put(struct agent *a, uint32_t len)
{
	struct put_msg m;
	size_t n = len - sizeof(m);

	a->put_errno = EINVAL;
	if (len < sizeof(m) || n >= sizeof(a->put_path))
		return;
	memcpy(&m, a->buf, sizeof(m));
	memcpy(a->put_path, a->buf + sizeof(m), n);
	a->put_path[n] = '\0';
	snprintf(a->put_tmp, sizeof(a->put_tmp), "%s.put", a->put_path);
	make_parents(a->put_path);
	a->put_mode = m.mode;
	a->put_fd = open(a->put_tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	a->put_errno = a->put_fd < 0 || ftruncate(a->put_fd, (off_t)m.size) < 0 ? errno : 0;
}

void do_data(struct agent *a, uint32_t len)
{
	uint64_t off;
	size_t n = len - sizeof(off);

	if (len < sizeof(off) || a->put_errno)
		return;
	memcpy(&off, a->buf, sizeof(off));
	errno = 0;
	if (pwrite(a->put_fd, a->buf + sizeof(off), n, (off_t)off) != (ssize_t)n)
		a->put_errno = errno ? errno : ENOSPC;
}

/* The identity of a file's contents, for the host to see whether it has been changed since. */
void reply_stat(struct agent *a, uint32_t id, const char *path)
{
	struct stat st;
	char text[160];

	if (stat(path, &st) < 0)
		return send_reply(a, id, errno, path);
	snprintf(text, sizeof(text), "%llu %llu %lld.%09ld %lld.%09ld %o",
		 (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
		 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		 (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, st.st_mode);
	send_reply(a, id, 0, text);
}

void do_finish(struct agent *a, uint32_t id)
{
	if (!a->put_errno && fchmod(a->put_fd, a->put_mode & 07777) < 0)
		a->put_errno = errno;
	close_fd(&a->put_fd);
	if (!a->put_errno && rename(a->put_tmp, a->put_path) < 0)
		a->put_errno = errno;
	if (a->put_errno) {
		unlink(a->put_tmp);
		send_reply(a, id, a->put_errno, a->put_path);
	} else {
		reply_stat(a, id, a->put_path);
	}
	a->put_errno = EINVAL;
}

/* Sends the bytes of [off, end) as frames that carry their offset. */
static int send_extent(struct agent *a, uint32_t id, int fd, off_t off, off_t end)
{
	static const size_t head = sizeof(uint64_t);
	char buf[CHUNK];
	ssize_t n;

	for (; off < end; off += n) {
		uint64_t at = (uint64_t)off;
		size_t want = sizeof(buf) - head;

		if ((off_t)want > end - off)
			want = (size_t)(end - off);
		n = pread(fd, buf + head, want, off);
		if (n <= 0)
			return n ? errno : 0;
		memcpy(buf, &at, head);
		send_frame(a, F_DATA, id, buf, head + (size_t)n);
	}
	return 0;
}

/* Skips the holes; an empty frame tells the end, which may lie in one. */
static int send_extents(struct agent *a, uint32_t id, int fd, uint64_t size)
{
	off_t data, hole = 0;
	int err = 0;

	while (!err && (data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return errno;
		err = send_extent(a, id, fd, data, hole);
	}
	send_frame(a, F_DATA, id, &size, sizeof(size));
	return err;
}

/* A pseudo-file or pipe-like file has no size and no holes: read to its end. */
static int send_stream(struct agent *a, uint32_t id, int fd)
{
	char buf[CHUNK];
	uint64_t off = 0;
	ssize_t n;

	while ((n = read(fd, buf + sizeof(off), sizeof(buf) - sizeof(off))) > 0) {
		memcpy(buf, &off, sizeof(off));
		send_frame(a, F_DATA, id, buf, sizeof(off) + (size_t)n);
		off += (uint64_t)n;
	}
	return n ? errno : 0;
}

void do_get(struct agent *a, uint32_t id, uint32_t len)
{
	struct stat st = { 0 };
	int fd, err;

	a->buf[len] = '\0';
	fd = open(a->buf, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		err = errno;
	else if (S_ISREG(st.st_mode) && (st.st_blocks || st.st_size > PSEUDO_MAX))
		err = send_extents(a, id, fd, (uint64_t)st.st_size);
	else
		err = send_stream(a, id, fd);
	close_fd(&fd);
	if (err)
		send_reply(a, id, err, a->buf);
	else
		reply_stat(a, id, a->buf);
}
