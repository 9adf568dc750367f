/* SPDX-License-Identifier: Apache-2.0 */
#include "gsi_pool.h"

#include <errno.h>

int gsi_alloc(struct gsi_pool *p, uint32_t *gsi)
{
	for (uint32_t i = 0; i < NR_MSI_GSIS; i++) {
		uint32_t g = LAYOUT_GSI_MSI_FIRST + (p->hint + i) % NR_MSI_GSIS;

		if (p->used[g / 64] >> g % 64 & 1)
			continue;
		p->used[g / 64] |= 1ull << g % 64;
		p->hint = g - LAYOUT_GSI_MSI_FIRST + 1;
		p->nr_used++;
		*gsi = g;
		return 0;
	}
	return -ENOSPC;
}

void gsi_free(struct gsi_pool *p, uint32_t gsi)
{
	p->used[gsi / 64] &= ~(1ull << gsi % 64);
	p->nr_used--;
}
