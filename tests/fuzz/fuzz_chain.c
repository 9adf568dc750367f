/* SPDX-License-Identifier: Apache-2.0 */
/* Split queues over a hostile guest's memory. Rows Q1 to Q16 of docs/hostile-cases.md. */
#include "chain_ops.h"

static struct fuzz_ring ring;

void fuzz_setup(void)
{
	fuzz_ring_create(&ring);
}

void fuzz_one(struct fuzz_input *in)
{
	chain_ops_run(&ring, in, true);
}
