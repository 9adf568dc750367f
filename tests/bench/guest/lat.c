/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lat_init(struct lat *l, size_t max)
{
	l->ns = malloc(max * sizeof(*l->ns));
	l->nr = 0;
	l->max = max;
	if (!l->ns)
		return fail("memory for %zu samples", max);
	memset(l->ns, 0, max * sizeof(*l->ns));	/* touched now, not while measuring */
	return 0;
}

void lat_add(struct lat *l, uint64_t ns)
{
	if (l->nr < l->max)
		l->ns[l->nr++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* In per mille, finer towards the end. */
void lat_print(struct lat *l)
{
	qsort(l->ns, l->nr, sizeof(*l->ns), by_value);
	printf("@lat");
	for (unsigned int p = 0; l->nr && p <= 1000; p += p < 950 ? 25 : 5)
		printf(" %u:%u", p, l->ns[(l->nr - 1) * p / 1000]);
	printf("\n");
	free(l->ns);
}
