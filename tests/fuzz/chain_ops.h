/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a split queue, chosen by an input; with or without a guest that flips memory. */
#ifndef MIMSY_FUZZ_CHAIN_OPS_H
#define MIMSY_FUZZ_CHAIN_OPS_H

#include "fuzz_ring.h"

#define CHAIN_OPS_MAX 256u

/* memory_is_mine: nobody else writes to the guest, so what we wrote reads back. */
void chain_ops_run(struct fuzz_ring *r, struct fuzz_input *in, bool memory_is_mine);

#endif
