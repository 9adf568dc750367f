/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands where io_uring and its kernel would, for devices/block/blk_uring.c:
 * it makes the transfers itself, in an order of its own, and as badly as the
 * test asks for. And it knows what a power cut would leave.
 *
 * It defines the functions of liburing that the engine calls, and syscall(2)
 * for the one registration that goes there. A test that uses it has no ring
 * of the kernel, but any number of these, on one disk.
 */
#ifndef MIMSY_TEST_FAKE_URING_H
#define MIMSY_TEST_FAKE_URING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_URING_DISK (1024 * 1024)

struct fake_uring {
	pthread_mutex_t lock;		/* all below */
	unsigned int seed;
	unsigned int percent_short;	/* transfers of which a part is done */
	unsigned int percent_again;	/* ... that come back with EINTR or EAGAIN */
	unsigned int fail_nth;		/* this transfer or flush from now (1: the next); 0: none */
	int fail_result;		/* ... ends so; 0 bytes: a file that ends early */
	unsigned int percent_refused;	/* submissions that fail with EBUSY */
	unsigned int fail_signals;	/* so many interrupts fail with ECANCELED */
	bool hold;			/* nothing is completed until it is cleared */
	unsigned int nr_pending, max_pending;
	unsigned int nr_syncs, max_syncs;	/* flushes pending, and writes that flush */
	bool lose;			/* what the next sync is to make stable is lost ... */
	unsigned int epoch, nr_lost;	/* ... and so for those that overlap it, */
	bool error_told;		/* of which one says so */
	bool pretend;			/* transfers move nothing, at most MAX_RW_COUNT at once */
	int no_ring;			/* -errno of making a ring; 0: they can be made */
	unsigned int nr_asleep;		/* threads that wait in one for a completion */
	unsigned int nr_calls;		/* of io_uring_enter(2) */
	unsigned int nr_transfers, nr_flushes, nr_dsync, nr_unfixed;
	uint8_t durable[FAKE_URING_DISK];	/* what a power cut would leave */
};

extern struct fake_uring fake_uring;

/* Rules and counters as new; the disk is all zeroes. */
void fake_uring_reset(void);
/* Percentages of transfers cut short and sent back, and of submissions refused. */
void fake_uring_rules(unsigned int seed, unsigned int cut, unsigned int again,
		      unsigned int refused);
void fake_uring_fail(unsigned int nth, int result);
void fake_uring_hold(bool hold);
/* The host loses what is not stable yet: an error that one sync hears of. */
void fake_uring_lose(void);
unsigned int fake_uring_pending(void);
/* Returns when a thread waits for a completion that is not there. */
void fake_uring_wait_asleep(void);

#endif
