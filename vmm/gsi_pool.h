/* SPDX-License-Identifier: Apache-2.0 */
/* Which GSIs are free for MSI vectors. A value; its owner locks. */
#ifndef MIMSY_GSI_POOL_H
#define MIMSY_GSI_POOL_H

#include <stdint.h>

#include "layout.h"

#define NR_MSI_GSIS	(LAYOUT_GSI_MSI_LAST - LAYOUT_GSI_MSI_FIRST + 1)

struct gsi_pool {			/* zeroes: all are free */
	uint32_t hint;			/* where to look for a free one */
	unsigned int nr_used;
	uint64_t used[(LAYOUT_GSI_MSI_LAST + 64) / 64];	/* a bit per GSI */
};

/* 0, or -ENOSPC: none is left. */
int gsi_alloc(struct gsi_pool *p, uint32_t *gsi);
void gsi_free(struct gsi_pool *p, uint32_t gsi);

#endif
