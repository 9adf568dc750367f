/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by loader*.c and nobody else. */
#ifndef MIMSY_LOADER_PRIV_H
#define MIMSY_LOADER_PRIV_H

#include <stddef.h>

#include "loader.h"

struct loader_file {
	const char *name;	/* for log lines */
	int fd;
	bool owned;		/* we opened it */
	uint64_t len;		/* when it was opened */
	uint32_t head_len;	/* 0 if head was not read */
	uint8_t head[4096];	/* the file's first bytes: most headers are there */
};

struct loader_target {
	const struct guest_mem *mem;
	gpa_t low_end;		/* nothing is loaded below */
};

/* All len bytes at off, which the caller has checked to be inside the file. */
int loader_read(const struct loader_file *f, uint64_t off, void *buf, uint64_t len);

/* Whether [off, off + len) is inside the file. */
bool loader_file_has(const struct loader_file *f, uint64_t off, uint64_t len);

/*
 * Where a kernel may go: RAM at or above low_end and below 4 GiB, because both
 * entries run on a one-to-one map of 4 GiB. NULL if [gpa, gpa + len) is not.
 */
void *loader_place(const struct loader_target *t, gpa_t gpa, uint64_t len);

/* Says so, and what there is instead. Returns -ENOSPC. */
int loader_no_room(const struct loader_target *t, const struct loader_file *f, gpa_t gpa,
		   uint64_t len);

/* The file is known to start with the ELF magic. Sets all but the initrd's fields. */
int loader_elf(struct loaded_kernel *out, const struct loader_target *t,
	       const struct loader_file *f, enum loader_entry entry);

/* The PVH entry out of a note segment; see loader_elf_note.c. */
int loader_elf_pvh_note(const struct loader_file *f, uint64_t off, uint64_t len, uint64_t align,
			uint64_t *entry);

/* A bzImage's header is at the same place in the file as in the zero page. */
#define LOADER_BZ_HEADER offsetof(struct boot_params, hdr)

bool loader_is_bzimage(const struct setup_header *header);

/* header is what the file has at LOADER_BZ_HEADER, and is a bzImage's. */
int loader_bzimage(struct loaded_kernel *out, const struct loader_target *t,
		   const struct loader_file *f, const struct setup_header *header,
		   enum loader_entry entry);

#endif
