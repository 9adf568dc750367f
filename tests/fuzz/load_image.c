/* SPDX-License-Identifier: Apache-2.0 */
#include "load_image.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

#define LOW_END		0x10000u	/* ours: the kernel must not touch it */
#define MAX_CHANGES	32u
#define HEADERS_LEN	0x400u
#define HOT_LEN		64u

static struct guest_mem *mem;
static int kernel_fd, initrd_fd;
static struct kernel_image img;

void load_image_create(uint64_t memory)
{
	mem = fuzz_guest(memory);
	memset(guest_mem_ptr(mem, 0, LOW_END), 0x77, LOW_END);
	kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	FUZZ_CHECK(kernel_fd >= 0 && initrd_fd >= 0);
}

/* A field of 1, 2, 4 or 8 bytes; mostly in the headers, or at hot. */
static void change(struct fuzz_input *in, uint32_t hot)
{
	uint8_t how = fuzz_u8(in);
	uint32_t at = fuzz_u16(in), len = 1u << (how & 3);
	uint64_t val = how & 4 ? fuzz_number(in, img.len) : fuzz_number(in, mem->region[0].len);

	if (how & 0x10)
		at = hot + at % HOT_LEN;
	else
		at %= how & 8 ? (uint32_t)img.len - 8 : HEADERS_LEN;
	memcpy(img.data + at, &val, len);
}

static void make_image(struct fuzz_input *in, const struct kernel_image *sound, uint32_t hot,
		       uint8_t how)
{
	img = *sound;
	if (how & 1) {		/* the input is the file */
		img.len = MIN(in->left, sizeof(img.data));
		fuzz_bytes(in, img.data, img.len);
		return;
	}
	for (unsigned int i = 0; i < MAX_CHANGES && fuzz_left(in); i++)
		change(in, hot);
	if (how & 2)
		img.len = fuzz_u16(in) % sizeof(img.data);
}

static void put_file(int fd, const void *data, size_t len)
{
	FUZZ_CHECK(!ftruncate(fd, 0));
	FUZZ_CHECK(!len || pwrite(fd, data, len, 0) == (ssize_t)len);
}

static bool is_ram(uint64_t gpa, uint64_t len)
{
	return guest_mem_ptr(mem, gpa, len);
}

static void check_loaded(const struct loaded_kernel *k, const struct loader_cfg *cfg)
{
	FUZZ_CHECK(k->entry == LOADER_ENTRY_PVH || k->entry == LOADER_ENTRY_LINUX64);
	FUZZ_CHECK(cfg->entry == LOADER_ENTRY_AUTO || cfg->entry == k->entry);
	FUZZ_CHECK(k->start >= LOW_END && k->start < k->end);
	FUZZ_CHECK(is_ram(k->start, k->end - k->start));
	FUZZ_CHECK(k->entry_gpa >= k->start && k->entry_gpa < k->end);
	FUZZ_CHECK(k->entry == LOADER_ENTRY_LINUX64 || k->entry_gpa <= UINT32_MAX);
	FUZZ_CHECK(!cfg->initrd == !k->initrd.len);
	if (!k->initrd.len)
		return;
	FUZZ_CHECK(k->initrd.base >= k->end && k->initrd.base >= LOW_END);
	FUZZ_CHECK(is_ram(k->initrd.base, k->initrd.len));
	FUZZ_CHECK(k->initrd.base + k->initrd.len - 1 <= k->initrd_max);
}

static void check_low_memory(void)
{
	const uint8_t *p = guest_mem_ptr(mem, 0, LOW_END);

	FUZZ_CHECK(p[0] == 0x77 && !memcmp(p, p + 1, LOW_END - 1));
}

void load_image(struct fuzz_input *in, const struct kernel_image *sound, uint32_t hot)
{
	uint8_t how = fuzz_u8(in);
	struct loader_cfg cfg = { .kernel = "kernel", .kernel_fd = kernel_fd,
				  .initrd_fd = initrd_fd, .entry = how >> 2 & 3 };
	struct loaded_kernel k;
	int ret;

	if (cfg.entry > LOADER_ENTRY_LINUX64)
		cfg.entry = LOADER_ENTRY_AUTO;
	make_image(in, sound, hot, how);
	put_file(kernel_fd, img.data, img.len);
	if (how & 0x10) {
		cfg.initrd = "initrd";
		put_file(initrd_fd, img.data, how >> 5 ? (how >> 5) * 0x7ffu : 0);
	}
	ret = loader_load(&k, mem, &cfg, LOW_END);
	FUZZ_CHECK(!ret || ret == -ENOEXEC || ret == -ENOSPC || ret == -EINVAL);
	if (!ret)
		check_loaded(&k, &cfg);
	check_low_memory();
}
