/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel and initrd files into guest RAM.
 *
 * Files are believed in nothing: every field is checked before it is used,
 * and a defect is one log line that names the file and the defect. They are
 * read with pread(2), so one that shrinks meanwhile is an error, never SIGBUS.
 *
 * Runs before the first vCPU, on the main thread.
 */
#ifndef MIMSY_LOADER_H
#define MIMSY_LOADER_H

#include <linux/types.h>
#include <asm/bootparam.h>

#include "fw_desc.h"
#include "guest_mem.h"

/* Which way into the kernel. */
enum loader_entry {
	LOADER_ENTRY_AUTO,	/* ELF: PVH if the kernel has it, else 64-bit; bzImage: 64-bit */
	LOADER_ENTRY_PVH,	/* 32-bit protected mode, paging off; EBX = struct hvm_start_info */
	LOADER_ENTRY_LINUX64,	/* long mode, 4 GiB mapped one to one; RSI = struct boot_params */
};

struct loader_cfg {
	const char *kernel;	/* path; also names the file in log lines */
	int kernel_fd;		/* -1: open the path; else borrowed, must be readable */
	const char *initrd;	/* NULL: none */
	int initrd_fd;		/* as kernel_fd */
	enum loader_entry entry;
};

struct loaded_kernel {
	enum loader_entry entry;	/* never AUTO */
	gpa_t entry_gpa;
	gpa_t start, end;		/* all memory that the kernel takes before it looks at
					 * the memory map; end is exclusive */
	struct fw_range initrd;		/* len 0: none */
	uint64_t initrd_max;		/* the initrd's last byte lies at or below it */
	uint32_t cmdline_max;		/* bytes with the NUL; 0: the file does not say */
	struct setup_header header;	/* from a bzImage; all 0 for an ELF file */
};

/*
 * Loads both files. Memory below low_end is the caller's and stays untouched.
 * 0, or -errno after one log line: -ENOEXEC for a malformed kernel, -ENOSPC if
 * a file does not fit into RAM, -EINVAL if the file is none or the entry is
 * not there, else what open(2) or pread(2) said.
 */
int loader_load(struct loaded_kernel *out, const struct guest_mem *mem,
		const struct loader_cfg *cfg, gpa_t low_end);

#endif
