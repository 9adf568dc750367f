/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers are taken from the ring ahead of the frames and wait in a stash, so
 * that each is popped once however many frames come. A read gathers as much of
 * the stash as a frame of the current kind needs, with a spill buffer behind:
 * a frame that is longer goes on there and is copied over, and later reads
 * gather more. A frame for which the driver has too few buffers waits in the
 * spill until it adds some.
 *
 * Without MRG_RXBUF a frame has one chain to itself and is dropped if that is
 * too short. virtio 1.2, 5.1.6.3 and 5.1.6.4.
 */
#include "net_rx.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "iov.h"
#include "net_hdr.h"
#include "util.h"
#include "zalloc.h"

#define MAX_READ	(NET_HDR_LEN + 65536u + 256u)	/* more than any frame */
#define SMALL_READ	4096u
#define SMALL_STREAK	32u	/* this many small frames in a row: gather little again */
#define MIN_STASH_IOV	512u
#define MAX_READ_IOV	1023u	/* and the spill: what one readv(2) takes */
#define GUARD		4096u	/* a page that nobody may touch */
#define PROBES		8u	/* reads that may find nothing before we stop asking ... */
#define PROBE_EVERY	16u	/* ... but for one in so many visits */

struct rx_buf {
	uint16_t head;
	uint16_t nr_iov;
	uint32_t len;
};

struct net_rx {
	struct net_queue q;
	uint16_t max_size;		/* set once */
	uint32_t stash_iov;		/* set once: with so many entries it takes no more */
	/* All below: worker. The stash is buf[first..first + nr), its lists iov[...] likewise. */
	uint32_t first_buf, nr_bufs;
	uint32_t first_iov, nr_iov;
	uint64_t stash_len;		/* bytes */
	uint32_t gather;		/* bytes of stash for a read */
	uint32_t small_streak;
	uint32_t probes_left;		/* reads that may find nothing */
	uint32_t lone_frames;		/* visits that did not ask for a second frame */
	uint32_t frame_len;		/* of a frame that waits in the spill; 0: none */
	uint32_t frame_done;		/* bytes of it that are in the stash */
	struct rx_buf *buf;		/* max_size */
	struct iovec *iov;		/* stash_iov + max_size + 1 */
	uint8_t *spill;			/* MAX_READ bytes, hardly ever touched */
	uint8_t *space;			/* where these two lie; set once */
	size_t space_len;
};

/*
 * Addresses for readv(2) and bytes from the network: should an index into one
 * ever go wrong, it must not reach the other. So each lies between pages that
 * nobody may touch, the list right in front of one.
 */
static int map_space(struct net_rx *rx)
{
	size_t iov_len = (rx->stash_iov + rx->max_size + 1u) * sizeof(*rx->iov);
	size_t iov_pages = align_up(iov_len, GUARD), spill_pages = align_up(MAX_READ, GUARD);
	size_t len = 3 * GUARD + iov_pages + spill_pages;
	uint8_t *space = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (space == MAP_FAILED)
		return log_errno("%s: memory for frames", rx->q.errors->name);
	rx->space = space;
	rx->space_len = len;
	rx->spill = space + GUARD + iov_pages + GUARD;
	rx->iov = (struct iovec *)(void *)(space + GUARD + iov_pages - iov_len);
	if (mprotect(space + GUARD, iov_pages, PROT_READ | PROT_WRITE) ||
	    mprotect(rx->spill, spill_pages, PROT_READ | PROT_WRITE))
		return log_errno("%s: memory for frames", rx->q.errors->name);
	return 0;
}

int net_rx_create(struct net_rx **out, int fd, struct guest_errors *errors, uint16_t max_size)
{
	struct net_rx *rx = zalloc(1, sizeof(*rx));
	int ret;

	if (!rx)
		return -ENOMEM;
	rx->q.fd = fd;
	rx->q.errors = errors;
	rx->max_size = max_size;
	rx->stash_iov = MAX(MIN_STASH_IOV, max_size);	/* a ring's descriptors all have room */
	rx->buf = zalloc(max_size, sizeof(*rx->buf));
	ret = rx->buf ? map_space(rx) : -ENOMEM;
	if (ret) {
		net_rx_free(rx);
		return ret;
	}
	*out = rx;
	return 0;
}

void net_rx_free(struct net_rx *rx)
{
	if (!rx)
		return;
	free(rx->buf);
	if (rx->space)
		munmap(rx->space, rx->space_len);
	free(rx);
}

struct net_queue *net_rx_queue(struct net_rx *rx)
{
	return &rx->q;
}

void net_rx_reset(struct net_rx *rx)
{
	rx->first_buf = rx->nr_bufs = rx->first_iov = rx->nr_iov = 0;
	rx->stash_len = 0;
	rx->gather = SMALL_READ;
	rx->small_streak = rx->frame_len = rx->frame_done = 0;
	rx->probes_left = PROBES;
	rx->lone_frames = 0;
}

static bool is_mergeable(const struct net_rx *rx)
{
	return rx->q.features >> VIRTIO_NET_F_MRG_RXBUF & 1;
}

/* Moves the stash to the front of its arrays. */
static void compact(struct net_rx *rx)
{
	memmove(rx->buf, rx->buf + rx->first_buf, rx->nr_bufs * sizeof(*rx->buf));
	memmove(rx->iov, rx->iov + rx->first_iov, rx->nr_iov * sizeof(*rx->iov));
	rx->first_buf = rx->first_iov = 0;
}

/* Pops one chain into the stash. virtio 1.2, 5.1.6.3.1: it has room for a header at least. */
static bool stash_one(struct net_rx *rx)
{
	struct virtq_chain c;

	if (rx->nr_iov >= rx->stash_iov || rx->nr_bufs == rx->max_size)
		return false;
	if (rx->first_buf + rx->nr_bufs == rx->max_size ||
	    rx->first_iov + rx->nr_iov >= rx->stash_iov)
		compact(rx);
	if (!net_queue_pop(&rx->q, &c, rx->iov + rx->first_iov + rx->nr_iov, rx->max_size))
		return false;
	if (c.nr_out || c.in_len < NET_HDR_LEN) {
		net_queue_break(&rx->q, "a receive buffer is read-only or shorter than a header");
		return false;
	}
	rx->buf[rx->first_buf + rx->nr_bufs++] =
		(struct rx_buf){ .head = c.head, .nr_iov = c.nr_in, .len = c.in_len };
	rx->nr_iov += c.nr_in;
	rx->stash_len += c.in_len;
	return true;
}

/* Has the stash hold len bytes if the driver gave that much. */
static void stash_fill(struct net_rx *rx, uint64_t len)
{
	while (rx->stash_len < len && stash_one(rx))
		;
}

/* Gives the first buffer back with len bytes used. */
static void use_first(struct net_rx *rx, uint32_t len)
{
	struct rx_buf *b = &rx->buf[rx->first_buf];

	virtq_push(rx->q.vq, b->head, len);
	rx->stash_len -= b->len;
	rx->nr_iov -= b->nr_iov;
	rx->first_iov += b->nr_iov;
	rx->first_buf++;
	rx->nr_bufs--;
}

/* num_buffers lies in the header, which may be spread over the first chain's entries. */
static void set_num_buffers(struct net_rx *rx, uint32_t nr)
{
	uint16_t le = htole16((uint16_t)nr);

	iov_copy_to(rx->iov + rx->first_iov, rx->buf[rx->first_buf].nr_iov,
		    offsetof(struct virtio_net_hdr_v1, num_buffers), &le, sizeof(le));
}

/* The stash holds the frame, header included: hands its buffers to the driver. */
static void deliver(struct net_rx *rx, uint32_t len)
{
	uint64_t covered = 0;	/* a buffer alone may have 4 GiB - 1 bytes */
	uint32_t nr = 0;

	while (covered < len && nr < rx->nr_bufs)
		covered += rx->buf[rx->first_buf + nr++].len;
	set_num_buffers(rx, nr);
	counter_add(&rx->q.stats.frames, 1);
	counter_add(&rx->q.stats.bytes, len - NET_HDR_LEN);
	while (nr--) {
		uint32_t n = MIN(len, rx->buf[rx->first_buf].len);

		use_first(rx, n);
		len -= n;
	}
}

/* Notes how long frames are these days, so that the next read gathers accordingly. */
static void adapt_gather(struct net_rx *rx, uint32_t len)
{
	if (len > SMALL_READ) {
		rx->gather = MAX_READ;
		rx->small_streak = 0;
	} else if (rx->small_streak++ >= SMALL_STREAK) {
		rx->gather = SMALL_READ;
	}
}

/* Can more buffers still make room, or is all that there can be in the stash already? */
static bool stash_may_grow(const struct net_rx *rx)
{
	return is_mergeable(rx) && rx->nr_iov < rx->stash_iov &&
	       rx->nr_bufs < virtq_size(rx->q.vq);
}

static void drop_frame(struct net_rx *rx)
{
	counter_add(&rx->q.stats.dropped, 1);
	rx->frame_len = 0;
}

/* Goes on with the frame that is partly in the spill. false: buffers are missing. */
static bool place_frame(struct net_rx *rx)
{
	uint32_t missing = rx->frame_len - rx->frame_done;

	if (is_mergeable(rx))
		stash_fill(rx, rx->frame_len);
	if (rx->stash_len < rx->frame_len && stash_may_grow(rx))
		return false;
	if (rx->stash_len < rx->frame_len) {
		drop_frame(rx);
		return true;
	}
	iov_copy_to(rx->iov + rx->first_iov, rx->nr_iov, rx->frame_done, rx->spill, missing);
	deliver(rx, rx->frame_len);
	rx->frame_len = 0;
	return true;
}

/* How much of the stash is offered to a frame, in entries and in bytes. */
static uint32_t read_target(const struct net_rx *rx, unsigned int *nr_iov)
{
	uint32_t all = is_mergeable(rx) ? rx->nr_iov : rx->buf[rx->first_buf].nr_iov;
	uint64_t len = 0;
	unsigned int n = 0;

	while (n < MIN(all, MAX_READ_IOV) && len < MAX_READ)
		len += rx->iov[rx->first_iov + n++].iov_len;
	*nr_iov = n;
	return (uint32_t)MIN(len, UINT32_MAX);
}

/*
 * The entry behind the last one of the target is lent to the spill for the
 * call. Returns the frame's length, header included, or -errno.
 */
static ssize_t read_frame(struct net_rx *rx, uint32_t *target_len)
{
	unsigned int nr_iov;
	struct iovec *iov = rx->iov + rx->first_iov, saved;
	ssize_t n;

	*target_len = read_target(rx, &nr_iov);
	saved = iov[nr_iov];
	iov[nr_iov] = (struct iovec){ rx->spill, MAX_READ };
	do
		n = readv(rx->q.fd, iov, (int)nr_iov + 1);
	while (n < 0 && errno == EINTR);
	iov[nr_iov] = saved;
	return n < 0 ? -errno : n;
}

static enum net_more read_failed(int err)
{
	return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM ? NET_IDLE : NET_LINK_LOST;
}

/* One frame. NET_MORE: go on. */
static enum net_more receive_one(struct net_rx *rx)
{
	uint32_t target_len;
	ssize_t n;

	if (rx->frame_len)
		return place_frame(rx) ? NET_MORE : NET_NO_BUFFERS;
	stash_fill(rx, is_mergeable(rx) ? rx->gather : 1);
	if (!rx->nr_bufs)
		return NET_NO_BUFFERS;
	n = read_frame(rx, &target_len);
	if (n < 0)
		return read_failed((int)n);
	if (n < (ssize_t)(NET_HDR_LEN + NET_MIN_FRAME)) {
		counter_add(&rx->q.stats.dropped, 1);
		return n ? NET_MORE : NET_LINK_LOST;
	}
	adapt_gather(rx, (uint32_t)n);
	if ((uint64_t)n <= target_len) {
		deliver(rx, (uint32_t)n);
		return NET_MORE;
	}
	rx->frame_len = (uint32_t)n;
	rx->frame_done = target_len;
	return place_frame(rx) ? NET_MORE : NET_NO_BUFFERS;
}

/*
 * A read that finds nothing is a system call wasted on each lone frame, and
 * the descriptor tells again if there is more. So asking for a second frame is
 * given up while it does not pay, and tried now and then.
 */
static bool ask_again(struct net_rx *rx)
{
	if (rx->probes_left)
		return true;
	return !(++rx->lone_frames % PROBE_EVERY);
}

enum net_more net_rx_run(struct net_rx *rx, unsigned int budget)
{
	enum net_more more = NET_MORE;
	unsigned int n = 0;

	while (n < budget) {
		more = receive_one(rx);
		if (more != NET_MORE)
			break;
		if (++n == 1 && !ask_again(rx)) {
			more = NET_IDLE;
			break;
		}
	}
	if (n > 1)
		rx->probes_left = PROBES;
	else if (n && rx->probes_left)
		rx->probes_left--;
	net_queue_publish_soon(&rx->q, n);
	return rx->q.broken ? NET_IDLE : more;
}
