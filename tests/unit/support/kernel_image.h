/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiny kernels to load: well-formed when built, then spoilt by the test that
 * uses them. Plain values, a few KiB each.
 */
#ifndef MIMSY_TEST_KERNEL_IMAGE_H
#define MIMSY_TEST_KERNEL_IMAGE_H

#include <elf.h>
#include <linux/types.h>
#include <asm/bootparam.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_mem.h"
#include "loader.h"

#define KERNEL_IMAGE_MAX 16384u

struct kernel_image {
	_Alignas(16) uint8_t data[KERNEL_IMAGE_MAX];
	size_t len;
};

/*
 * ELF: header 0 is text at 1 MiB (file 0x1000..0x2000), 1 is data at 1 MiB +
 * 0x2000 (file 0x2000..0x2800, 0x3000 in memory), 2 is the notes (file
 * 0x1f00): a note of another owner, then the PVH note. Each byte of text and
 * data is the low byte of its offset ^ 0x5a, but for the notes.
 */
#define ELF_TEXT_GPA 0x100000u
#define ELF_DATA_GPA 0x102000u
#define ELF_END_GPA 0x105000u
#define ELF_ENTRY_64 0x100100u
#define ELF_ENTRY_PVH 0x100200u
#define ELF_NOTES 0x1f00u

void elf_image_init(struct kernel_image *img);
Elf64_Ehdr *elf_image_ehdr(struct kernel_image *img);
Elf64_Phdr *elf_image_phdr(struct kernel_image *img, unsigned int i);
Elf64_Nhdr *elf_image_pvh_note(struct kernel_image *img);

/* Appends a note to the notes segment. */
void elf_image_add_note(struct kernel_image *img, const char *name, uint32_t type,
			const void *desc, uint32_t len);

/* bzImage, protocol 2.15: one setup sector, body of 0x1000 bytes as above, to 16 MiB. */
#define BZ_BODY 1024u
#define BZ_BODY_LEN 0x1000u
#define BZ_GPA 0x1000000u
#define BZ_INIT_SIZE 0x4000u

void bz_image_init(struct kernel_image *img);
struct setup_header *bz_image_header(struct kernel_image *img);

/* A memfd with these bytes; the caller closes it. */
int image_fd(const void *data, size_t len);

#endif
