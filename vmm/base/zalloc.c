/* SPDX-License-Identifier: Apache-2.0 */
#include "zalloc.h"

#include <stdlib.h>

#include "log.h"

void *zalloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		log_error("out of memory: %zu bytes", nr * size);
	return p;
}
