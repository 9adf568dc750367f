/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_mem_ptr() and the bus against arithmetic in 128 bits. Both decide by
 * comparing a bound and a difference, so what can go wrong goes wrong next to
 * a bound or where a sum wraps: at both ends of the 64-bit range everything is
 * tried, in between the bounds of a real machine.
 */
#include <string.h>

#include "bus.h"
#include "guest_mem.h"
#include "layout.h"
#include "proof.h"

#define EDGE 7u
#define NR_EDGES (2 * EDGE)

/* 0, 1 ... and ... 2^64 - 2, 2^64 - 1 */
static uint64_t edge(unsigned int i)
{
	return i < EDGE ? i : UINT64_MAX - (NR_EDGES - 1 - i);
}

struct range {
	uint64_t base, len;
};

static bool holds(const struct range *r, uint64_t at, uint64_t len)
{
	return at >= r->base && (proof_wide)at + len <= (proof_wide)r->base + r->len;
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->base < (proof_wide)b->base + b->len && b->base < (proof_wide)a->base + a->len;
}

/* Every range that is not empty and begins and ends at an edge, or at 2^64. */
static unsigned int all_ranges(struct range *out)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NR_EDGES; i++)
		for (unsigned int j = i; j < NR_EDGES; j++)
			if (edge(j) - edge(i) != UINT64_MAX)
				out[n++] = (struct range){ edge(i), edge(j) - edge(i) + 1 };
	return n;
}

static void check_ptr(const struct guest_mem *mem, const struct range *r, unsigned int nr_ranges,
		      uint64_t gpa, uint64_t len)
{
	uint8_t *want = NULL;

	for (unsigned int i = 0; i < nr_ranges; i++)
		if (len && holds(&r[i], gpa, len))
			want = mem->region[i].host + (gpa - r[i].base);
	PROVE(guest_mem_ptr(mem, gpa, len) == want, "region 0 %#" PRIx64 "+%#" PRIx64
	      ", gpa %#" PRIx64 ", len %#" PRIx64, r[0].base, r[0].len, gpa, len);
}

static uint64_t all_queries(const struct guest_mem *mem, const struct range *r)
{
	for (unsigned int at = 0; at < NR_EDGES; at++)
		for (unsigned int len = 0; len < NR_EDGES; len++)
			check_ptr(mem, r, mem->nr_regions, edge(at), edge(len));
	return (uint64_t)NR_EDGES * NR_EDGES;
}

/* guest_mem_ptr() forms the pointer but never follows it, so any base will do. */
static struct guest_mem memory_of(const struct range *a, const struct range *b)
{
	struct guest_mem mem = { .nr_regions = b ? 2 : 1 };

	mem.region[0] = (struct guest_mem_region){ .gpa = a->base, .len = a->len,
						   .host = (uint8_t *)0x10000 };
	if (b)
		mem.region[1] = (struct guest_mem_region){ .gpa = b->base, .len = b->len,
							   .host = (uint8_t *)0x20000 };
	return mem;
}

static void prove_any_memory(void)
{
	struct range ranges[NR_EDGES * NR_EDGES];
	unsigned int n = all_ranges(ranges);
	uint64_t cases = 0;

	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int j = 0; j < n; j++) {
			struct range both[2] = { ranges[i], ranges[j] };
			struct guest_mem mem = memory_of(&both[0], i == j ? NULL : &both[1]);

			if (i == j || !overlap(&both[0], &both[1]))
				cases += all_queries(&mem, both);
		}
	}
	proved("an address is RAM exactly if all its bytes lie in one region, whatever the regions",
	       cases);
}

/* Around each bound of a machine, with each length from there to each bound. */
static uint64_t around_bounds(const struct guest_mem *mem)
{
	uint64_t at[64], cases = 0;
	struct range r[GUEST_MEM_MAX_REGIONS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		r[i] = (struct range){ mem->region[i].gpa, mem->region[i].len };
	for (unsigned int i = 0; i < 2 * mem->nr_regions; i++)
		for (unsigned int d = 0; d < 5; d++)
			at[n++] = r[i / 2].base + (i % 2 ? r[i / 2].len : 0) + d - 2;
	at[n++] = LAYOUT_HOLE_START;
	at[n++] = LAYOUT_HOLE_END - 1;
	at[n++] = INT64_MAX;
	at[n++] = 1ull << 63;
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < n; j++, cases++)
			check_ptr(mem, r, mem->nr_regions, at[i], at[j] - at[i]);
	return cases;
}

static void prove_real_memory(void)
{
	static const uint64_t sizes[] = { GUEST_MEM_PAGE, MIB(1), LAYOUT_HOLE_START - 4096,
					  LAYOUT_HOLE_START, LAYOUT_HOLE_START + 4096, GIB(64) };
	uint64_t cases = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct guest_mem *mem;

		PROVE(!guest_mem_create(&mem, sizes[i], LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					GUEST_MEM_ANON), "%" PRIu64 " bytes", sizes[i]);
		cases += around_bounds(mem);
		guest_mem_free(mem);
	}
	proved("the same for machines from a page to 64 GiB, at every bound", cases);
}

struct seen {
	const struct range *window;
	uint64_t nr_hits;
};

static void see(struct seen *s, uint64_t off, uint32_t len)
{
	PROVE(off < s->window->len && len <= s->window->len - off,
	      "offset %#" PRIx64 "+%u of %#" PRIx64, off, len, s->window->len);
	s->nr_hits++;
}

static void see_read(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	memset(buf, 0, len);
	see(ctx, off, len);
}

static void see_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	(void)buf;
	see(ctx, off, len);
}

static const struct bus_ops see_ops = { .read = see_read, .write = see_write };

static uint64_t all_accesses(const struct bus *bus, struct seen *seen, unsigned int n)
{
	uint8_t buf[16] = { 0 };

	for (unsigned int at = 0; at < NR_EDGES; at++) {
		for (uint32_t len = 0; len <= 9; len++) {
			bool want = false;

			for (unsigned int i = 0; i < n; i++)
				want |= len && len <= 8 && holds(seen[i].window, edge(at), len);
			PROVE(bus_read(bus, edge(at), buf, len) == want, "read %u", len);
			PROVE(bus_write(bus, edge(at), buf, len) == want, "write %u", len);
		}
	}
	return NR_EDGES * 10u * 2u;
}

/* What does not overlap is taken, in whichever order, and each access finds its own window. */
static uint64_t check_bus(const struct range *a, const struct range *b)
{
	struct seen seen[2] = { { a, 0 }, { b, 0 } };
	struct bus bus = { 0 };
	bool apart = !overlap(a, b);

	PROVE(!bus_add(&bus, a->base, a->len, &see_ops, &seen[0]), "one window");
	PROVE(!bus_add(&bus, b->base, b->len, &see_ops, &seen[1]) == apart,
	      "%#" PRIx64 "+%#" PRIx64 ", %#" PRIx64 "+%#" PRIx64, a->base, a->len, b->base,
	      b->len);
	return all_accesses(&bus, seen, apart ? 2 : 1);
}

static void prove_bus(void)
{
	struct range ranges[NR_EDGES * NR_EDGES];
	unsigned int n = all_ranges(ranges);
	uint64_t cases = 0;

	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < n; j++)
			cases += check_bus(&ranges[i], &ranges[j]);
	proved("a device sees an access exactly if it lies in its window whole; no two overlap",
	       cases);
}

int main(void)
{
	prove_any_memory();
	prove_real_memory();
	prove_bus();
	return 0;
}
