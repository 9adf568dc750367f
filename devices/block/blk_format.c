/* SPDX-License-Identifier: Apache-2.0 */
#include "blk_format.h"

#include <string.h>

#include "util.h"

#define CONVERT	"qemu-img convert -O raw makes a raw image of it"
#define UNPACK	"unpack it first"

struct magic {
	const char *name, *advice;
	const char *bytes;
	uint16_t len, at;
};

#define MAGIC(text) .bytes = (text), .len = sizeof(text) - 1

static const struct magic head_magics[] = {
	{ "qcow2", CONVERT, MAGIC("QFI\xfb") },
	{ "qed", CONVERT, MAGIC("QED\0") },
	{ "vmdk", CONVERT, MAGIC("KDMV") },
	{ "vmdk", CONVERT, MAGIC("COWD") },
	{ "vmdk", CONVERT, MAGIC("# Disk DescriptorFile") },
	{ "vhdx", CONVERT, MAGIC("vhdxfile") },
	{ "vhd", CONVERT, MAGIC("conectix") },
	{ "vdi", CONVERT, MAGIC("\x7f\x10\xda\xbe"), 0x40 },
	{ "parallels", CONVERT, MAGIC("WithoutFreeSpace") },
	{ "parallels", CONVERT, MAGIC("WithouFreSpacExt") },
	{ "bochs", CONVERT, MAGIC("Bochs Virtual HD Image") },
	{ "gzip", UNPACK, MAGIC("\x1f\x8b\x08") },
	{ "xz", UNPACK, MAGIC("\xfd" "7zXZ\0") },
	{ "zstd", UNPACK, MAGIC("\x28\xb5\x2f\xfd") },
	{ "bzip2", UNPACK, MAGIC("BZh") },
	{ "lz4", UNPACK, MAGIC("\x04\x22\x4d\x18") },
	{ "zip", UNPACK, MAGIC("PK\x03\x04") },
	{ "tar", "make a file system of it first", MAGIC("ustar"), 257 },
};

static const struct magic tail_magics[] = {
	{ "vhd", CONVERT, MAGIC("conectix") },
	{ "dmg", CONVERT, MAGIC("koly") },
};

static const char *find(const struct magic *m, size_t nr, const uint8_t *data,
			const char **advice)
{
	for (size_t i = 0; i < nr; i++) {
		if (memcmp(data + m[i].at, m[i].bytes, m[i].len))
			continue;
		*advice = m[i].advice;
		return m[i].name;
	}
	return NULL;
}

const char *blk_format_name(const uint8_t head[BLK_FORMAT_HEAD], const char **advice)
{
	return find(head_magics, ARRAY_SIZE(head_magics), head, advice);
}

const char *blk_format_at_end(const uint8_t tail[BLK_FORMAT_TAIL], const char **advice)
{
	return find(tail_magics, ARRAY_SIZE(tail_magics), tail, advice);
}
