/* SPDX-License-Identifier: Apache-2.0 */
/* ELF kernels. Rows L1 to L3 of docs/hostile-cases.md. */
#include "load_image.h"
#include "util.h"

static struct kernel_image sound;

void fuzz_setup(void)
{
	load_image_create(MIB(4));
	elf_image_init(&sound);
}

void fuzz_one(struct fuzz_input *in)
{
	load_image(in, &sound, ELF_NOTES);
}
