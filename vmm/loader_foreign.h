/* SPDX-License-Identifier: Apache-2.0 */
/* What a file is that cannot be booted: for the line that refuses it. */
#ifndef MIMSY_LOADER_FOREIGN_H
#define MIMSY_LOADER_FOREIGN_H

#include <elf.h>

#include "loader_priv.h"

/* Of a file that is neither ELF nor bzImage, from its head. Never NULL. */
const char *loader_foreign(const struct loader_file *f);

/* Of an ELF file, from e_ident and e_machine. NULL: it is for x86-64. */
const char *loader_foreign_elf(const Elf64_Ehdr *h);

/* Whether a Multiboot header (1 or 2) is in the file's head. */
bool loader_is_multiboot(const struct loader_file *f);

#endif
