/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout.h"
#include "log.h"
#include "util.h"

/* The engine's names for its two entries. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int report_fd = STDERR_FILENO;	/* the engine takes stderr away from the code under test */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	report_fd = dup(STDERR_FILENO);
	log_set_level(LOG_LEVEL_ERROR);		/* guest errors are counted, not read */
	fuzz_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };

	fuzz_one(&in);
	return 0;
}

void fuzz_bytes(struct fuzz_input *in, void *dst, size_t len)
{
	size_t n = MIN(len, in->left);

	memset(dst, 0, len);
	if (!n)
		return;
	memcpy(dst, in->data, n);
	in->data += n;
	in->left -= n;
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

uint64_t fuzz_number(struct fuzz_input *in, uint64_t limit)
{
	uint8_t kind = fuzz_u8(in);

	switch (kind & 7) {
	case 0:		return fuzz_u64(in);
	case 1:		return fuzz_u32(in);
	case 2:		return limit - (uint64_t)(kind >> 3);
	case 3:		return limit + (uint64_t)(kind >> 3);
	case 4:		return 1ull << (kind >> 3) * 2;
	case 5:		return fuzz_u8(in);
	default:	return limit ? fuzz_u32(in) % limit : 0;
	}
}

void fuzz_fail(const char *file, int line, const char *what)
{
	dprintf(report_fd, "%s:%d: check failed: %s\n", file, line, what);
	abort();
}

struct guest_mem *fuzz_guest(uint64_t size)
{
	struct guest_mem *mem;

	if (guest_mem_create(&mem, size, LAYOUT_HOLE_START, LAYOUT_HOLE_END, GUEST_MEM_ANON))
		fuzz_fail(__FILE__, __LINE__, "memory for the guest");
	return mem;
}
