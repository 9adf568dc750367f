/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver of one queue: a ring as large as a user can choose, RAM on
 * both sides of the hole, and chains that an input makes up, some sound, some
 * not, some of nearly 4 GiB.
 */
#ifndef MIMSY_FUZZ_RING_H
#define MIMSY_FUZZ_RING_H

#include <sys/uio.h>

#include "fuzz.h"
#include "util.h"
#include "vdriver.h"
#include "virtq.h"

#define FUZZ_REGION_LEN		MIB(128)	/* of RAM at 0, as much above the hole */
#define FUZZ_HOLE_END		GIB(4)
#define FUZZ_GUEST_LEN		(128u * 1024)	/* where most of what inputs make up lies */
#define FUZZ_RING_MAX		1024u
#define FUZZ_RING_DATA		0x8000u		/* behind all rings */

struct fuzz_ring {
	struct guest_mem *mem;
	struct virtq *vq;
	struct vdriver d;
	uint16_t next_desc;
};

/* Once. */
void fuzz_ring_create(struct fuzz_ring *r);

/* A fresh guest, a ring of size entries at 0. */
void fuzz_ring_start(struct fuzz_ring *r, uint16_t size, uint64_t features);

/* A size from the input: a power of two up to FUZZ_RING_MAX. */
uint16_t fuzz_ring_size(struct fuzz_input *in);

/* Makes one descriptor: where, how long, which flags. next_idx is what NEXT means if sound. */
void fuzz_ring_desc(struct fuzz_ring *r, struct fuzz_input *in, struct vring_desc *d,
		    uint16_t next_idx);

/* Puts a chain into the ring and shows it. */
void fuzz_ring_add(struct fuzz_ring *r, struct fuzz_input *in);

/* The same, of n buffers as given: an honest one. */
void fuzz_ring_add_sound(struct fuzz_ring *r, const struct vbuf *buf, unsigned int n);

/* A chain that names one range of RAM until its length is 4 GiB, or somewhat less. */
void fuzz_ring_add_huge(struct fuzz_ring *r, struct fuzz_input *in);

/* Overwrites some bytes anywhere in the guest. */
void fuzz_ring_poke(struct fuzz_ring *r, struct fuzz_input *in);

/* Whether the range is RAM, said without the function under test. */
bool fuzz_ring_is_ram(uint64_t gpa, uint64_t len);

/* Whether all of the list is in the guest's RAM. */
bool fuzz_ring_owns(const struct fuzz_ring *r, const struct iovec *iov, unsigned int n);

#endif
