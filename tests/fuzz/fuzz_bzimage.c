/* SPDX-License-Identifier: Apache-2.0 */
/* bzImages. Rows L1 and L4 of docs/hostile-cases.md. */
#include "load_image.h"
#include "util.h"

#define HEADER 0x1f1u	/* in the file */

static struct kernel_image sound;

void fuzz_setup(void)
{
	load_image_create(MIB(32));
	bz_image_init(&sound);
}

void fuzz_one(struct fuzz_input *in)
{
	load_image(in, &sound, HEADER);
}
