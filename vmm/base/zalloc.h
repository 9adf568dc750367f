/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for what lives as long as the machine. Nothing is allocated on the data path. */
#ifndef MIMSY_ZALLOC_H
#define MIMSY_ZALLOC_H

#include <stddef.h>

/* nr zeroed objects of size bytes, for free(3); NULL after one log line. */
void *zalloc(size_t nr, size_t size) __attribute__((malloc, alloc_size(1, 2)));

#endif
