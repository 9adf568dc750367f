/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_image.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

static void fill(struct kernel_image *img, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		img->data[i] = (uint8_t)i ^ 0x5a;
}

Elf64_Ehdr *elf_image_ehdr(struct kernel_image *img)
{
	return (Elf64_Ehdr *)(void *)img->data;
}

Elf64_Phdr *elf_image_phdr(struct kernel_image *img, unsigned int i)
{
	return (Elf64_Phdr *)(void *)(img->data + sizeof(Elf64_Ehdr)) + i;
}

/* "other" + NUL padded to 8, desc of 3 bytes padded to 4: 24 bytes before ours. */
Elf64_Nhdr *elf_image_pvh_note(struct kernel_image *img)
{
	return (Elf64_Nhdr *)(void *)(img->data + ELF_NOTES + 24);
}

void elf_image_add_note(struct kernel_image *img, const char *name, uint32_t type,
			const void *desc, uint32_t len)
{
	Elf64_Phdr *p = elf_image_phdr(img, 2);
	Elf64_Nhdr n = { .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = len, .n_type = type };
	uint8_t *to = img->data + p->p_offset + p->p_filesz;
	size_t name_len = align_up(n.n_namesz, 4), desc_len = align_up(len, 4);

	memset(to, 0, sizeof(n) + name_len + desc_len);
	memcpy(to, &n, sizeof(n));
	memcpy(to + sizeof(n), name, n.n_namesz);
	memcpy(to + sizeof(n) + name_len, desc, len);
	p->p_filesz += sizeof(n) + name_len + desc_len;
	p->p_memsz = p->p_filesz;
}

void elf_image_init(struct kernel_image *img)
{
	static const uint64_t pvh = ELF_ENTRY_PVH;

	memset(img, 0, sizeof(*img));
	img->len = 0x2800;
	fill(img, 0x1000, img->len);
	*elf_image_ehdr(img) = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = ELF_ENTRY_64, .e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 3,
	};
	*elf_image_phdr(img, 0) = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = 0x1000, .p_paddr = ELF_TEXT_GPA,
		.p_filesz = 0x1000, .p_memsz = 0x1000,
	};
	*elf_image_phdr(img, 1) = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = 0x2000, .p_paddr = ELF_DATA_GPA,
		.p_filesz = 0x800, .p_memsz = ELF_END_GPA - ELF_DATA_GPA,
	};
	*elf_image_phdr(img, 2) = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = ELF_NOTES, .p_align = 4,
	};
	elf_image_add_note(img, "other", 18, "abc", 3);
	elf_image_add_note(img, "Xen", 18, &pvh, sizeof(pvh));
}

struct setup_header *bz_image_header(struct kernel_image *img)
{
	return (struct setup_header *)(void *)(img->data + 0x1f1);
}

void bz_image_init(struct kernel_image *img)
{
	memset(img, 0, sizeof(*img));
	img->len = BZ_BODY + BZ_BODY_LEN;
	fill(img, BZ_BODY, img->len);
	*bz_image_header(img) = (struct setup_header){
		.setup_sects = 1, .syssize = BZ_BODY_LEN / 16, .boot_flag = 0xaa55,
		.jump = 0x6aeb, .header = 0x53726448, .version = 0x020f,
		.loadflags = LOADED_HIGH, .code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff, .kernel_alignment = 0x200000,
		.relocatable_kernel = 1, .min_alignment = 21, .xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047, .pref_address = BZ_GPA, .init_size = BZ_INIT_SIZE,
	};
}

int image_fd(const void *data, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	return fd;
}
