/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel file that is sound but for what an input does to it, loaded into a small guest. */
#ifndef MIMSY_FUZZ_LOAD_IMAGE_H
#define MIMSY_FUZZ_LOAD_IMAGE_H

#include "fuzz.h"
#include "kernel_image.h"

/* Once. */
void load_image_create(uint64_t memory);

/*
 * The input is the file, or a list of changes to sound, many of them at hot. What is loaded lies in
 * RAM and leaves the memory below alone. Rows L1 to L5 of docs/hostile-cases.md.
 */
void load_image(struct fuzz_input *in, const struct kernel_image *sound, uint32_t hot);

#endif
