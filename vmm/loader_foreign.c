/* SPDX-License-Identifier: Apache-2.0 */
#include "loader_foreign.h"

#include <stdbool.h>
#include <string.h>

#include "util.h"

#define MULTIBOOT_1 0x1badb002u
#define MULTIBOOT_2 0xe85250d6u

struct magic {
	uint32_t off, len;
	const char *bytes, *what;
};

#define MAGIC(off, bytes, what) { off, sizeof(bytes) - 1, bytes, what }

/* The first that fits. */
static const struct magic magics[] = {
	MAGIC(0, "\x1f\x8b", "compressed with gzip: unpack it first"),
	MAGIC(0, "\xfd" "7zXZ", "compressed with xz: unpack it first"),
	MAGIC(0, "\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
	MAGIC(0, "BZh", "compressed with bzip2: unpack it first"),
	MAGIC(0, "\x02\x21\x4c\x18", "compressed with lz4: unpack it first"),
	MAGIC(0, "\x04\x22\x4d\x18", "compressed with lz4: unpack it first"),
	MAGIC(0, "\x5d\0\0", "compressed with lzma: unpack it first"),
	MAGIC(0, "\x89LZO", "compressed with lzop: unpack it first"),
	MAGIC(56, "ARM\x64", "a kernel for arm64, not x86-64"),
	MAGIC(56, "RSC\x05", "a kernel for RISC-V, not x86-64"),
	MAGIC(0, "\x27\x05\x19\x56", "an image for U-Boot"),
	MAGIC(0, "MZ\0\0zimg", "a compressed kernel for EFI, not a bzImage"),
	MAGIC(0, "MZ", "a program for EFI or Windows without a Linux kernel for x86 in it"),
	MAGIC(0, "070701", "an initrd (cpio), not a kernel"),
};

const char *loader_foreign(const struct loader_file *f)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (m->off + m->len <= f->head_len &&
		    !memcmp(f->head + m->off, m->bytes, m->len))
			return m->what;
	}
	return "neither an ELF file nor a bzImage";
}

const char *loader_foreign_elf(const Elf64_Ehdr *h)
{
	if (h->e_ident[EI_CLASS] == ELFCLASS32)
		return "a 32-bit ELF file; only 64-bit kernels are booted";
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
		return NULL;		/* spoilt, or of a machine with another byte order */
	switch (h->e_machine) {
	case EM_X86_64:
		return NULL;
	case EM_AARCH64:
		return "an ELF file for arm64, not x86-64";
	case EM_RISCV:
		return "an ELF file for RISC-V, not x86-64";
	default:
		return "an ELF file for another machine, not x86-64";
	}
}

/* Magic, and words behind it that make the sum 0. */
static bool has_header(const struct loader_file *f, uint32_t magic, unsigned int words,
		       unsigned int align)
{
	for (uint32_t off = 0; off + words * 4 <= f->head_len; off += align) {
		uint32_t sum = 0, word;

		memcpy(&word, f->head + off, sizeof(word));
		if (word != magic)
			continue;
		for (unsigned int i = 0; i < words; i++) {
			memcpy(&word, f->head + off + i * 4, sizeof(word));
			sum += word;
		}
		if (!sum)
			return true;
	}
	return false;
}

bool loader_is_multiboot(const struct loader_file *f)
{
	return has_header(f, MULTIBOOT_1, 3, 4) || has_header(f, MULTIBOOT_2, 4, 8);
}
