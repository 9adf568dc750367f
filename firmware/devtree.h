/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flattened device tree of the machine. What every architecture has is in
 * devtree.c; an architecture adds one struct devtree_arch. The file is not
 * called fdt.h because libfdt's own header is.
 */
#ifndef MIMSY_DEVTREE_H
#define MIMSY_DEVTREE_H

#include <stddef.h>

#include "fw_desc.h"

struct devtree_arch;

extern const struct devtree_arch devtree_x86;

/*
 * bootargs is the command line's text; the addresses are in d. Returns the
 * tree's bytes, 0 if cap is too small.
 */
size_t devtree_build(void *buf, size_t cap, const struct fw_desc *d,
		     const struct devtree_arch *arch, const char *bootargs);

#endif
