/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF64 kernel: vmlinux, or any other with a PVH entry.
 *
 * The program headers are read once into an array that we own and are checked
 * there. Segments go to their physical addresses. What a segment has beyond
 * its file bytes stays as it is: guest RAM is fresh, so it is zero.
 */
#include <elf.h>
#include <errno.h>

#include "loader_foreign.h"
#include "loader_priv.h"
#include "log.h"
#include "util.h"

#define ELF_MAX_PHDRS 64u
#define ELF_INITRD_MAX 0x7fffffffu	/* what x86-64 bzImages of the same kernels say */

struct elf_image {
	const struct loader_file *f;
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[ELF_MAX_PHDRS];
};

static int elf_bad(const struct elf_image *e, const char *defect)
{
	return log_fail(-ENOEXEC, "%s: bad ELF file: %s", e->f->name, defect);
}

static int elf_bad_phdr(const struct elf_image *e, unsigned int i, const char *defect)
{
	return log_fail(-ENOEXEC, "%s: bad ELF file: program header %u: %s", e->f->name, i, defect);
}

static int elf_check_ehdr(const struct elf_image *e)
{
	const Elf64_Ehdr *h = &e->ehdr;
	const char *foreign = loader_foreign_elf(h);

	if (foreign)
		return log_fail(-ENOEXEC, "%s: %s", e->f->name, foreign);
	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return elf_bad(e, "not 64-bit");
	if (h->e_ident[EI_DATA] != ELFDATA2LSB)
		return elf_bad(e, "not little-endian");
	if (h->e_ident[EI_VERSION] != EV_CURRENT || h->e_version != EV_CURRENT)
		return elf_bad(e, "unknown version");
	if (h->e_machine != EM_X86_64)
		return elf_bad(e, "not for x86-64");
	if (h->e_type != ET_EXEC)
		return elf_bad(e, "not an executable with fixed addresses");
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return elf_bad(e, "wrong size of a program header");
	if (!h->e_phnum || h->e_phnum > ELF_MAX_PHDRS)
		return elf_bad(e, "no program headers or more than 64");
	if (!loader_file_has(e->f, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
		return elf_bad(e, "program headers beyond the end of the file");
	return 0;
}

static int elf_read_headers(struct elf_image *e)
{
	int ret;

	if (!loader_file_has(e->f, 0, sizeof(e->ehdr)))
		return elf_bad(e, "shorter than its header");
	ret = loader_read(e->f, 0, &e->ehdr, sizeof(e->ehdr));
	if (!ret)
		ret = elf_check_ehdr(e);
	if (!ret)
		ret = loader_read(e->f, e->ehdr.e_phoff, e->phdr,
				  e->ehdr.e_phnum * sizeof(e->phdr[0]));
	return ret;
}

static bool elf_is_load(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD && (p->p_memsz || p->p_filesz);
}

/* Both are checked already, so the sums do not wrap. */
static bool elf_overlap(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	return a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz;
}

static int elf_check_segment(const struct elf_image *e, const struct loader_target *t,
			     unsigned int i)
{
	const Elf64_Phdr *p = &e->phdr[i];

	if (p->p_filesz > p->p_memsz)
		return elf_bad_phdr(e, i, "more bytes in the file than in memory");
	if (!loader_file_has(e->f, p->p_offset, p->p_filesz))
		return elf_bad_phdr(e, i, "segment beyond the end of the file");
	if (!loader_place(t, p->p_paddr, p->p_memsz))
		return loader_no_room(t, e->f, p->p_paddr, p->p_memsz);
	for (unsigned int j = 0; j < i; j++)
		if (elf_is_load(&e->phdr[j]) && elf_overlap(p, &e->phdr[j]))
			return elf_bad_phdr(e, i, "segment overlaps another");
	return 0;
}

static int elf_check_segments(const struct elf_image *e, const struct loader_target *t)
{
	unsigned int nr = 0;
	int ret;

	for (unsigned int i = 0; i < e->ehdr.e_phnum; i++) {
		if (!elf_is_load(&e->phdr[i]))
			continue;
		ret = elf_check_segment(e, t, i);
		if (ret)
			return ret;
		nr++;
	}
	return nr ? 0 : elf_bad(e, "nothing to load");
}

static int elf_copy_segments(struct loaded_kernel *out, const struct elf_image *e,
			     const struct loader_target *t)
{
	int ret = 0;

	out->start = UINT64_MAX;
	for (unsigned int i = 0; !ret && i < e->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &e->phdr[i];

		if (!elf_is_load(p))
			continue;
		ret = loader_read(e->f, p->p_offset, loader_place(t, p->p_paddr, p->p_memsz),
				  p->p_filesz);
		out->start = MIN(out->start, p->p_paddr);
		out->end = MAX(out->end, p->p_paddr + p->p_memsz);
	}
	return ret;
}

/* Code must come from the file, so the entry is checked against the file's part. */
static bool elf_has_code_at(const struct elf_image *e, gpa_t entry)
{
	for (unsigned int i = 0; i < e->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &e->phdr[i];

		if (p->p_type == PT_LOAD && entry >= p->p_paddr &&
		    entry - p->p_paddr < p->p_filesz)
			return true;
	}
	return false;
}

/* *entry stays 0 if there is no PVH note. */
static int elf_find_pvh(const struct elf_image *e, uint64_t *entry)
{
	int ret = 0;

	*entry = 0;
	for (unsigned int i = 0; !ret && i < e->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &e->phdr[i];

		if (p->p_type != PT_NOTE)
			continue;
		if (!loader_file_has(e->f, p->p_offset, p->p_filesz))
			return elf_bad_phdr(e, i, "notes beyond the end of the file");
		ret = loader_elf_pvh_note(e->f, p->p_offset, p->p_filesz, p->p_align, entry);
	}
	return ret;
}

static int elf_choose_entry(struct loaded_kernel *out, const struct elf_image *e,
			    enum loader_entry want)
{
	uint64_t pvh = 0;
	int ret = want == LOADER_ENTRY_LINUX64 ? 0 : elf_find_pvh(e, &pvh);

	if (ret)
		return ret;
	if (want == LOADER_ENTRY_PVH && !pvh)
		return log_fail(-EINVAL, "%s: has no PVH entry", e->f->name);
	if (want == LOADER_ENTRY_AUTO && !pvh && loader_is_multiboot(e->f))
		return log_fail(-ENOEXEC, "%s: a Multiboot kernel without a PVH entry; "
				"--entry linux64 boots it as a Linux kernel", e->f->name);
	out->entry = pvh ? LOADER_ENTRY_PVH : LOADER_ENTRY_LINUX64;
	out->entry_gpa = pvh ? pvh : e->ehdr.e_entry;
	if (!elf_has_code_at(e, out->entry_gpa))
		return elf_bad(e, pvh ? "PVH entry outside of what is loaded" :
					"entry outside of what is loaded");
	return 0;
}

int loader_elf(struct loaded_kernel *out, const struct loader_target *t,
	       const struct loader_file *f, enum loader_entry entry)
{
	struct elf_image e = { .f = f };
	int ret = elf_read_headers(&e);

	if (!ret)
		ret = elf_check_segments(&e, t);
	if (!ret)
		ret = elf_choose_entry(out, &e, entry);
	if (!ret)
		ret = elf_copy_segments(out, &e, t);
	out->initrd_max = ELF_INITRD_MAX;
	return ret;
}
