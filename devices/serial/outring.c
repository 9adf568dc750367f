/* SPDX-License-Identifier: Apache-2.0 */
#include "outring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"
#include "zalloc.h"

#define POLLED_CHUNK 256u	/* what a descriptor that is ready takes without blocking */

enum outring_mode {
	OUTRING_PLAIN,		/* write(2) does not block */
	OUTRING_SOCKET,
	OUTRING_POLLED,		/* it may: ask first, write little */
	OUTRING_DEAD,		/* the host end is gone */
};

struct outring {
	enum outring_mode mode;
	int fd;				/* what is written to */
	int own_fd;			/* ours to close, or -1 */
	uint32_t size, start, len;
	uint64_t nr_writes, nr_dropped;
	uint8_t ring[];
};

/* A description of our own, so that O_NONBLOCK is nobody else's. */
static int reopen_nonblocking(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void choose_mode(struct outring *o)
{
	struct stat st;
	int fd = o->fd, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st)) {
		o->mode = OUTRING_DEAD;
		return;
	}
	if (S_ISSOCK(st.st_mode)) {
		o->mode = OUTRING_SOCKET;
		return;
	}
	if (S_ISREG(st.st_mode) || flags & O_NONBLOCK)
		return;
	o->own_fd = reopen_nonblocking(fd);
	if (o->own_fd >= 0)
		o->fd = o->own_fd;
	else
		o->mode = OUTRING_POLLED;
}

int outring_create(struct outring **out, int fd, bool plain, uint32_t len)
{
	struct outring *o = zalloc(1, sizeof(*o) + len);

	if (!o)
		return -ENOMEM;
	o->size = len;
	o->fd = fd;
	o->own_fd = -1;
	if (!plain)
		choose_mode(o);
	*out = o;
	return 0;
}

void outring_free(struct outring *o)
{
	if (!o)
		return;
	outring_flush(o);
	if (o->own_fd >= 0)
		close(o->own_fd);
	free(o);
}

bool outring_put(struct outring *o, uint8_t byte)
{
	if (o->mode == OUTRING_DEAD || o->len == o->size) {
		o->nr_dropped++;
		return false;
	}
	o->ring[(o->start + o->len) % o->size] = byte;
	o->len++;
	return true;
}

uint32_t outring_pending(const struct outring *o)
{
	return o->len;
}

static ssize_t write_some(struct outring *o, const uint8_t *p, uint32_t len)
{
	struct pollfd ready = { .fd = o->fd, .events = POLLOUT };

	o->nr_writes++;
	if (o->mode == OUTRING_SOCKET)
		return send(o->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (o->mode == OUTRING_PLAIN)
		return write(o->fd, p, len);
	if (poll(&ready, 1, 0) == 1)
		return write(o->fd, p, MIN(len, POLLED_CHUNK));
	errno = EAGAIN;
	return -1;
}

/* An empty ring starts over at its first byte, so that little of it is ever touched. */
static void drop_front(struct outring *o, uint32_t n)
{
	o->len -= n;
	o->start = o->len ? (o->start + n) % o->size : 0;
}

bool outring_flush(struct outring *o)
{
	while (o->len) {
		uint32_t chunk = MIN(o->len, o->size - o->start);
		ssize_t n = write_some(o, o->ring + o->start, chunk);

		if (n > 0) {
			drop_front(o, (uint32_t)n);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == EBADF))
			o->mode = OUTRING_DEAD;
		o->nr_dropped += o->len;	/* a full disk, or nobody there */
		drop_front(o, o->len);
	}
	return true;
}

bool outring_is_plain(const struct outring *o)
{
	return o->mode != OUTRING_SOCKET && o->mode != OUTRING_POLLED;
}

uint64_t outring_nr_writes(const struct outring *o)
{
	return o->nr_writes;
}

uint64_t outring_nr_dropped(const struct outring *o)
{
	return o->nr_dropped;
}
