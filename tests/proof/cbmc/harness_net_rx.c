/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive, by induction: from any stash that adds up, one step with any chains
 * from the ring and any answer of readv() leaves one that adds up, gives back
 * as many bytes as the frame has, and takes no more buffers than it needs.
 * Lengths have their full width. Nobody looks at the bytes.
 *
 * Counts run past 0 on purpose, so sums are proven by adding up in 64 bits.
 *
 * cbmc: --unwind 7
 * catches: 200-rx-sum-of-lengths-wraps 065-receive-buffer-too-short 066-receive-buffer-readable
 */
#include "harness.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define MAX_BUFS	3u	/* in the ring */
#define BUF_IOV		2u	/* buffers of one chain */

static void *guest_copy(void *to, const void *from, size_t n);
static void *move(void *to, const void *from, size_t n);

#define memcpy(to, from, n) guest_copy(to, from, n)
#define memmove(to, from, n) move(to, from, n)

#include "net_rx.c"

#undef memcpy
#undef memmove

/* What the ring and the frame have seen. */
static uint32_t nr_pushed;
static uint64_t pushed_len, pushed_room;
static uint8_t guest_byte;		/* no buffer is looked at, so all may begin here */

/* The two that write: num_buffers, and what waited in the spill. */
static void *guest_copy(void *to, const void *from, size_t n)
{
	PROVE(__CPROVER_same_object(to, &guest_byte), "frames go into buffers of the guest");
	(void)from;
	(void)n;
	return to;
}

/* memmove() by elements, which is what compact() moves. */
static void *move(void *to, const void *from, size_t n)
{
	if (n % sizeof(struct iovec)) {
		for (size_t i = 0; i < n / sizeof(struct rx_buf); i++)
			((struct rx_buf *)to)[i] = ((const struct rx_buf *)from)[i];
		return to;
	}
	for (size_t i = 0; i < n / sizeof(struct iovec); i++)
		((struct iovec *)to)[i] = ((const struct iovec *)from)[i];
	return to;
}

/* A chain as virtq_pop() makes them: harness_virtq proves that it does. */
bool net_queue_pop(struct net_queue *q, struct virtq_chain *c, struct iovec *iov, int max_iov)
{
	uint64_t out_len = 0, in_len = 0;

	(void)q;
	if (nondet_bool())
		return false;
	c->head = nondet_u16();
	c->nr_out = nondet_u16();
	c->nr_in = nondet_u16();
	ASSUME(c->nr_out + c->nr_in <= (int)BUF_IOV && (int)BUF_IOV <= max_iov);
	for (unsigned int i = 0; i < BUF_IOV; i++) {
		if (i >= (unsigned int)c->nr_out + c->nr_in)
			break;
		iov[i].iov_base = &guest_byte;
		iov[i].iov_len = nondet_u32();
		ASSUME(iov[i].iov_len);
		*(i < c->nr_out ? &out_len : &in_len) += iov[i].iov_len;
	}
	ASSUME(out_len <= UINT32_MAX && in_len <= UINT32_MAX);
	c->out_len = (uint32_t)out_len;
	c->in_len = (uint32_t)in_len;
	return true;
}

void net_queue_break(struct net_queue *q, const char *why)
{
	(void)why;
	q->broken = true;
}

uint16_t virtq_size(const struct virtq *q)
{
	(void)q;
	return MAX_BUFS;
}

static struct net_rx rx;
static struct rx_buf bufs[MAX_BUFS];
static struct iovec iov_list[MAX_STASH_IOV + MAX_BUFS + 1];
static uint8_t spill;

void virtq_push(struct virtq *q, uint16_t head, uint32_t bytes_written)
{
	const struct rx_buf *b = &rx.buf[rx.first_buf];

	(void)q;
	PROVE(rx.nr_bufs && head == b->head, "the first buffer of the stash goes back");
	PROVE(bytes_written <= b->len, "no more is written than a buffer has room for");
	PROVE(pushed_room < pushed_len + bytes_written || !nr_pushed || bytes_written,
	      "no buffer goes back empty");
	nr_pushed++;
	pushed_len += bytes_written;
	pushed_room += b->len;
}

static bool stash_adds_up(void)
{
	uint64_t len = 0;
	uint32_t nr_iov = 0;

	if (rx.first_buf > MAX_BUFS || rx.nr_bufs > MAX_BUFS - rx.first_buf)
		return false;
	for (uint32_t i = 0; i < MAX_BUFS; i++) {
		if (i < rx.first_buf || i >= rx.first_buf + rx.nr_bufs)
			continue;
		if (!bufs[i].nr_iov || bufs[i].nr_iov > BUF_IOV || bufs[i].len < NET_HDR_LEN)
			return false;
		len += bufs[i].len;
		nr_iov += bufs[i].nr_iov;
	}
	return rx.stash_len == len && rx.nr_iov == nr_iov &&
	       rx.first_iov <= ARRAY_SIZE(iov_list) - 1 - nr_iov;
}

static void any_stash(void)
{
	rx.max_size = MAX_BUFS;
	rx.buf = bufs;
	rx.iov = iov_list;
	rx.spill = &spill;
	rx.first_buf = nondet_u32();
	rx.nr_bufs = nondet_u32();
	rx.first_iov = nondet_u32();
	rx.nr_iov = nondet_u32();
	rx.stash_len = nondet_u64();
	rx.q.features = nondet_u64();
	for (uint32_t i = 0; i < MAX_BUFS; i++)
		bufs[i] = (struct rx_buf){ nondet_u16(), nondet_u16(), nondet_u32() };
	ASSUME(stash_adds_up());
}

/* The entries of a stash that lies at the front. */
static void any_list(void)
{
	ASSUME(!rx.first_iov && !rx.first_buf);
	for (uint32_t i = 0; i < MAX_BUFS * BUF_IOV; i++)
		iov_list[i] = (struct iovec){ &guest_byte, nondet_u32() };
}

/* A frame that the stash holds, as place_frame() and receive_one() see to. */
void a_frame_takes_as_many_buffers_as_it_needs(void)
{
	uint32_t len = nondet_u32();
	uint64_t stash_len;

	any_stash();
	any_list();
	stash_len = rx.stash_len;
	ASSUME(len >= NET_HDR_LEN + NET_MIN_FRAME && len <= MAX_READ && len <= stash_len);
	ASSUME(rx.nr_bufs == 1 || is_mergeable(&rx));
	deliver(&rx, len);
	PROVE(pushed_len == len, "the buffers that went back hold the frame");
	PROVE(rx.stash_len == stash_len - pushed_room, "the stash has the rest");
	PROVE(stash_adds_up(), "the stash still adds up");
}

void a_stash_adds_up_after_each_chain(void)
{
	uint32_t nr_bufs;
	bool more;

	any_stash();
	nr_bufs = rx.nr_bufs;
	more = stash_one(&rx);
	PROVE(stash_adds_up(), "it adds up");
	PROVE(rx.nr_bufs == nr_bufs + more, "one buffer more, or none");
	PROVE(more || rx.nr_bufs == nr_bufs, "a refused chain is not in it");
}

void a_read_is_offered_what_the_stash_has_and_one_entry_more(void)
{
	unsigned int nr_iov;
	uint64_t len = 0;
	uint32_t target;

	any_stash();
	any_list();
	ASSUME(rx.nr_bufs);
	for (uint32_t i = 0; i < rx.nr_iov; i++)
		ASSUME(rx.iov[rx.first_iov + i].iov_len &&
		       rx.iov[rx.first_iov + i].iov_len <= UINT32_MAX);
	target = read_target(&rx, &nr_iov);
	PROVE(nr_iov <= rx.nr_iov && nr_iov <= MAX_READ_IOV, "entries of the stash only");
	PROVE(rx.first_iov + nr_iov < ARRAY_SIZE(iov_list), "there is one more for the spill");
	for (unsigned int i = 0; i < nr_iov; i++)
		len += rx.iov[rx.first_iov + i].iov_len;
	PROVE(target == MIN(len, UINT32_MAX), "its length is the sum, or too long for any frame");
}
