/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bzImage by the 64-bit boot protocol, as the kernel's own documentation of
 * the x86 boot protocol describes it: the real-mode part is skipped, its
 * header is kept for the zero page, the rest goes to the preferred address and
 * is entered 0x200 bytes behind its start.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "loader_priv.h"
#include "log.h"
#include "util.h"

#define SECTOR 512u
#define HDR_FIXED_END 0x202u		/* where the jump's displacement counts from */
#define BOOT_FLAG 0xaa55u
#define HDR_MAGIC 0x53726448u		/* "HdrS" */
#define MIN_VERSION 0x020cu		/* the first with xloadflags */
#define ENTRY_64 0x200u
#define JUMP_SHORT 0xebu

struct bzimage {
	const struct loader_file *f;
	struct setup_header hdr;
	uint64_t body;			/* offset of the protected-mode part in the file */
	uint64_t body_len;
};

static int bz_bad(const struct bzimage *b, const char *defect)
{
	return log_fail(-ENOEXEC, "%s: bad bzImage: %s", b->f->name, defect);
}

bool loader_is_bzimage(const struct setup_header *h)
{
	return h->boot_flag == BOOT_FLAG && h->header == HDR_MAGIC;
}

/* The jump over the header tells how long this kernel's header is; the rest is code. */
static int bz_cut_header(struct bzimage *b)
{
	uint64_t len = HDR_FIXED_END - LOADER_BZ_HEADER + (b->hdr.jump >> 8);

	if ((b->hdr.jump & 0xff) != JUMP_SHORT ||
	    len < offsetof(struct setup_header, init_size) + sizeof(b->hdr.init_size))
		return bz_bad(b, "its header is too short for its version");
	if (len < sizeof(b->hdr))
		memset((uint8_t *)&b->hdr + len, 0, sizeof(b->hdr) - len);
	return 0;
}

static int bz_check_header(struct bzimage *b)
{
	const struct setup_header *h = &b->hdr;

	if (h->version < MIN_VERSION)
		return bz_bad(b, "boot protocol older than 2.12");
	if (!(h->loadflags & LOADED_HIGH))
		return bz_bad(b, "not to be loaded above 1 MiB");
	if (!(h->xloadflags & XLF_KERNEL_64))
		return bz_bad(b, "no 64-bit entry");
	if (!h->init_size)
		return bz_bad(b, "init_size is 0");
	return bz_cut_header(b);
}

/* Anything behind the syssize paragraphs (a signature) is loaded with them and does no harm. */
static int bz_find_body(struct bzimage *b)
{
	uint64_t setup_sects = b->hdr.setup_sects ? b->hdr.setup_sects : 4;
	uint64_t said = (uint64_t)b->hdr.syssize * 16;

	b->body = (setup_sects + 1) * SECTOR;
	if (!loader_file_has(b->f, b->body, said))
		return bz_bad(b, "shorter than its header says");
	if (said <= ENTRY_64)
		return bz_bad(b, "no 64-bit code in it");
	b->body_len = b->f->len - b->body;
	if (b->body_len > b->hdr.init_size)
		return bz_bad(b, "longer than its init_size");
	return 0;
}

static int bz_place(struct loaded_kernel *out, const struct bzimage *b,
		    const struct loader_target *t)
{
	uint64_t at = b->hdr.pref_address;
	void *to = loader_place(t, at, b->hdr.init_size);

	if (!to)
		return loader_no_room(t, b->f, at, b->hdr.init_size);
	out->start = at;
	out->end = at + b->hdr.init_size;
	out->entry = LOADER_ENTRY_LINUX64;
	out->entry_gpa = at + ENTRY_64;
	out->initrd_max = b->hdr.initrd_addr_max;
	out->cmdline_max = b->hdr.cmdline_size < UINT32_MAX ? b->hdr.cmdline_size + 1 : UINT32_MAX;
	out->header = b->hdr;
	return loader_read(b->f, b->body, to, b->body_len);
}

int loader_bzimage(struct loaded_kernel *out, const struct loader_target *t,
		   const struct loader_file *f, const struct setup_header *header,
		   enum loader_entry entry)
{
	struct bzimage b = { .f = f, .hdr = *header };
	int ret;

	if (entry == LOADER_ENTRY_PVH)
		return log_fail(-EINVAL, "%s: a bzImage has no PVH entry", f->name);
	ret = bz_check_header(&b);
	if (!ret)
		ret = bz_find_body(&b);
	return ret ? ret : bz_place(out, &b, t);
}
