/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: one host mapping per region, PROT_NONE pages on both sides.
 *
 * guest_mem_ptr() is the only place that turns a guest address into a host
 * pointer. Regions are never adjacent in guest address space (the hole under
 * 4 GiB lies between them), so a valid range has exactly one host range.
 *
 * Immutable after creation, so every thread may use it without a lock.
 */
#ifndef MIMSY_GUEST_MEM_H
#define MIMSY_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t;

#define GUEST_MEM_MAX_REGIONS 2
#define GUEST_MEM_PAGE 4096u

struct guest_mem_region {
	gpa_t gpa;		/* page aligned */
	uint64_t len;		/* bytes, page multiple, not 0 */
	uint8_t *host;		/* set by guest_mem_create(), as are the next two */
	void *space;		/* reserved address space: the RAM and guards around it */
	uint64_t space_len;
};

enum guest_mem_backing {
	GUEST_MEM_ANON,		/* private, MAP_NORESERVE */
	GUEST_MEM_THP,		/* the same, with transparent huge pages asked for */
	GUEST_MEM_HUGETLB,	/* reserved in the hugetlb pool; len is a multiple of 2 MiB */
};

struct guest_mem {
	struct guest_mem_region region[GUEST_MEM_MAX_REGIONS];	/* set once */
	unsigned int nr_regions;
};

/*
 * Maps size bytes of RAM: from 0 up to hole_start, the rest from hole_end up.
 * -EINVAL: size 0, not a page multiple or wrapping; -ENOMEM and friends from mmap.
 */
int guest_mem_create(struct guest_mem **out, uint64_t size, gpa_t hole_start, gpa_t hole_end,
		     enum guest_mem_backing backing);
void guest_mem_free(struct guest_mem *mem);	/* NULL is allowed */

/* Total bytes of RAM. */
uint64_t guest_mem_size(const struct guest_mem *mem);

/* NULL unless all of [gpa, gpa + len) is RAM. len 0 is never RAM. */
void *guest_mem_ptr(const struct guest_mem *mem, gpa_t gpa, uint64_t len);

/* -EFAULT unless the range is RAM. */
int guest_mem_write(const struct guest_mem *mem, gpa_t gpa, const void *src, uint64_t len);
int guest_mem_read(const struct guest_mem *mem, gpa_t gpa, void *dst, uint64_t len);

#endif
