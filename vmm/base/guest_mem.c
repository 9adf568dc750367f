/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_mem.h"

#include <errno.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"
#include "util.h"
#include "zalloc.h"

#define HUGE_PAGE MIB(2)

/* Also the alignment, so that huge pages of guest and host coincide. */
#define GUARD HUGE_PAGE

static void *map_pages(uint8_t *at, uint64_t len, enum guest_mem_backing backing)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	/* Huge pages are reserved: to miss one at the guest's first access would be SIGBUS. */
	flags |= backing == GUEST_MEM_HUGETLB ? MAP_HUGETLB | MAP_HUGE_2MB : MAP_NORESERVE;
	return mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0);
}

/*
 * Reserves address space, then maps the RAM into it where it is aligned. What
 * is left on both sides, a guard's length at least, stays inaccessible.
 */
static int map_region(struct guest_mem_region *r, enum guest_mem_backing backing)
{
	uint64_t total = r->len + 3 * GUARD;
	void *space;
	uint8_t *ram;

	space = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return log_errno("reserve %llu MiB of address space for guest memory",
				 (unsigned long long)(total >> 20));
	r->space = space;
	r->space_len = total;
	ram = (uint8_t *)(uintptr_t)align_up((uintptr_t)space + GUARD, GUARD);
	if (map_pages(ram, r->len, backing) == MAP_FAILED)
		return log_errno("map %llu MiB of guest memory",
				 (unsigned long long)(r->len >> 20));
	if (backing == GUEST_MEM_THP)
		madvise(ram, r->len, MADV_HUGEPAGE);	/* a hint */
	madvise(ram, r->len, MADV_DONTDUMP);		/* guest memory stays out of core dumps */
	r->host = ram;
	return 0;
}

static int plan_regions(struct guest_mem *mem, uint64_t size, gpa_t hole_start, gpa_t hole_end)
{
	uint64_t low = MIN(size, hole_start);
	uint64_t high = size - low, end;

	if (!size || size % GUEST_MEM_PAGE || __builtin_add_overflow(hole_end, high, &end))
		return log_fail(-EINVAL, "guest memory of %llu bytes: not a number of pages",
				(unsigned long long)size);
	mem->region[mem->nr_regions++] = (struct guest_mem_region){ .gpa = 0, .len = low };
	if (high)
		mem->region[mem->nr_regions++] =
			(struct guest_mem_region){ .gpa = hole_end, .len = high };
	return 0;
}

int guest_mem_create(struct guest_mem **out, uint64_t size, gpa_t hole_start, gpa_t hole_end,
		     enum guest_mem_backing backing)
{
	struct guest_mem *mem = zalloc(1, sizeof(*mem));
	int ret;

	if (!mem)
		return -ENOMEM;
	ret = plan_regions(mem, size, hole_start, hole_end);
	if (ret)
		goto fail;
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		ret = map_region(&mem->region[i], backing);
		if (ret)
			goto fail;
	}
	*out = mem;
	return 0;
fail:
	guest_mem_free(mem);
	return ret;
}

void guest_mem_free(struct guest_mem *mem)
{
	if (!mem)
		return;
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		struct guest_mem_region *r = &mem->region[i];

		if (r->space)
			munmap(r->space, r->space_len);
	}
	free(mem);
}

uint64_t guest_mem_size(const struct guest_mem *mem)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		size += mem->region[i].len;
	return size;
}

void *guest_mem_ptr(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	if (!len)
		return NULL;
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct guest_mem_region *r = &mem->region[i];
		uint64_t off = gpa - r->gpa;	/* huge if gpa lies below the region */

		if (off < r->len && len <= r->len - off)
			return r->host + off;
	}
	return NULL;
}

int guest_mem_write(const struct guest_mem *mem, gpa_t gpa, const void *src, uint64_t len)
{
	void *dst = guest_mem_ptr(mem, gpa, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int guest_mem_read(const struct guest_mem *mem, gpa_t gpa, void *dst, uint64_t len)
{
	const void *src = guest_mem_ptr(mem, gpa, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}
