/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Xen note that holds a kernel's 32-bit physical entry, which is what
 * makes an ELF file bootable by PVH. Notes are headers of three words, a name
 * and a descriptor, each padded to the segment's alignment.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader_priv.h"
#include "log.h"
#include "util.h"

#define NOTES_MAX KIB(64)		/* a kernel's notes are a few hundred bytes */
#define XEN_ELFNOTE_PHYS32_ENTRY 18	/* xen/interface/elfnote.h */

static const char xen_name[] = "Xen";	/* its NUL is part of a note's name */

static int note_bad(const struct loader_file *f, const char *defect)
{
	return log_fail(-ENOEXEC, "%s: bad ELF file: notes: %s", f->name, defect);
}

/* Little-endian, 4 or 8 bytes: both are in use. */
static int note_entry(const struct loader_file *f, const uint8_t *desc, uint32_t len,
		      uint64_t *entry)
{
	uint64_t val = 0;

	if (len != 4 && len != 8)
		return note_bad(f, "PVH entry is neither 4 nor 8 bytes");
	if (*entry)
		return note_bad(f, "two PVH entries");
	memcpy(&val, desc, len);
	if (!val || val > UINT32_MAX)
		return note_bad(f, "PVH entry is 0 or not below 4 GiB");
	*entry = val;
	return 0;
}

/* Walks one note at *pos and moves on; the sums cannot wrap: 32-bit lengths in 64 bits. */
static int note_step(const struct loader_file *f, const uint8_t *buf, uint64_t len,
		     uint64_t align, uint64_t *pos, uint64_t *entry)
{
	uint64_t name = *pos + sizeof(Elf64_Nhdr), desc, end;
	Elf64_Nhdr n;

	memcpy(&n, buf + *pos, sizeof(n));
	desc = align_up(name + n.n_namesz, align);
	end = desc + n.n_descsz;
	if (end > len)
		return note_bad(f, "one reaches beyond its segment");
	*pos = align_up(end, align);
	if (n.n_type != XEN_ELFNOTE_PHYS32_ENTRY || n.n_namesz != sizeof(xen_name) ||
	    memcmp(buf + name, xen_name, sizeof(xen_name)))
		return 0;
	return note_entry(f, buf + desc, n.n_descsz, entry);
}

int loader_elf_pvh_note(const struct loader_file *f, uint64_t off, uint64_t len, uint64_t align,
			uint64_t *entry)
{
	uint64_t pos = 0;
	uint8_t *buf;
	int ret;

	if (len > NOTES_MAX)
		return note_bad(f, "more than 64 KiB");
	buf = malloc(len + 1);	/* + 1: 0 bytes are fine too */
	if (!buf)
		return log_fail(-ENOMEM, "%s: no memory for its notes", f->name);
	ret = loader_read(f, off, buf, len);
	while (!ret && pos < len && len - pos >= sizeof(Elf64_Nhdr))
		ret = note_step(f, buf, len, align == 8 ? 8 : 4, &pos, entry);
	free(buf);
	return ret;
}
