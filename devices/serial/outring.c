/* SPDX-License-Identifier: Apache-2.0 */
#include "outring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"
#include "zalloc.h"

enum outring_mode {
	OUTRING_PLAIN,		/* write(2) does not block */
	OUTRING_SOCKET,
	OUTRING_DEAD,		/* the host end is gone */
};

struct outring {
	enum outring_mode mode;
	int fd;				/* what is written to */
	uint32_t size, start, len;
	uint64_t nr_writes, nr_dropped;
	uint8_t ring[];
};

int outring_create(struct outring **out, int fd, bool is_socket, uint32_t len)
{
	struct outring *o = zalloc(1, sizeof(*o) + len);

	if (!o)
		return -ENOMEM;
	o->size = len;
	o->fd = fd;
	o->mode = fd < 0 ? OUTRING_DEAD : is_socket ? OUTRING_SOCKET : OUTRING_PLAIN;
	*out = o;
	return 0;
}

void outring_free(struct outring *o)
{
	if (!o)
		return;
	outring_flush(o);
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
	o->nr_writes++;
	if (o->mode == OUTRING_SOCKET)
		return send(o->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(o->fd, p, len);
}

/* An empty ring starts over at its first byte, so that little of it is ever touched. */
static void drop_front(struct outring *o, uint32_t n)
{
	o->len -= n;
	o->start = o->len ? (o->start + n) % o->size : 0;
}

void outring_drop(struct outring *o)
{
	o->nr_dropped += o->len;
	drop_front(o, o->len);
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
		outring_drop(o);	/* a full disk, or nobody there */
	}
	return true;
}

bool outring_is_plain(const struct outring *o)
{
	return o->mode != OUTRING_SOCKET;
}

uint64_t outring_nr_writes(const struct outring *o)
{
	return o->nr_writes;
}

uint64_t outring_nr_dropped(const struct outring *o)
{
	return o->nr_dropped;
}
