/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acpi.h"
#include "bootparams.h"
#include "devtree.h"
#include "layout.h"
#include "log.h"
#include "mptable.h"
#include "pvh.h"
#include "reset_vector.h"
#include "util.h"

#define CMDLINE_PIECE 400u
#define DEVICE_PARAM_MAX 64	/* " virtio_mmio.device=8K@0xffffffffffffffff:4294967295" */

struct boot {
	const struct guest_mem *mem;
	struct fw_desc *desc;
	struct loaded_kernel kernel;
	gpa_t rsdp, setup_data;		/* 0: none */
};

/* What is in low memory is all below LAYOUT_HIGH_RAM, so one check does for every table. */
static int check_low_ram(const struct guest_mem *mem)
{
	if (!guest_mem_ptr(mem, 0, LAYOUT_HIGH_RAM))
		return log_fail(-EINVAL, "guest memory: less than 1 MiB");
	return 0;
}

static void *low_ram(const struct boot *b, gpa_t gpa, uint64_t len)
{
	return guest_mem_ptr(b->mem, gpa, len);
}

/* Appends to the line at buf, which has len bytes already; returns the new length. */
static size_t append_devices(char *buf, size_t cap, size_t len, const struct fw_desc *d)
{
	for (unsigned int i = 0; i < d->nr_virtio && len < cap; i++)
		len += (size_t)snprintf(buf + len, cap - len,
					" virtio_mmio.device=%uK@0x%llx:%u",
					d->virtio[i].len / 1024,
					(unsigned long long)d->virtio[i].base, d->virtio[i].gsi);
	return len;
}

static int place_cmdline(struct boot *b, const char *cmdline)
{
	char line[LAYOUT_CMDLINE_MAX + DEVICE_PARAM_MAX];
	uint32_t max = b->kernel.cmdline_max;
	size_t len = strlen(cmdline);

	max = max && max < LAYOUT_CMDLINE_MAX ? max : LAYOUT_CMDLINE_MAX;
	if (len < max) {
		memcpy(line, cmdline, len + 1);
		if (b->desc->describe == FW_DESCRIBE_CMDLINE)
			len = append_devices(line, sizeof(line), len, b->desc);
	}
	if (len >= max)
		return log_fail(-E2BIG,
				"kernel command line: longer than %u bytes, devices included",
				max - 1);
	memcpy(low_ram(b, LAYOUT_CMDLINE, len + 1), line, len + 1);
	b->desc->cmdline = (struct fw_range){ .base = LAYOUT_CMDLINE, .len = len };
	return 0;
}

static int place_acpi(struct boot *b)
{
	if (!acpi_build(low_ram(b, LAYOUT_ACPI, LAYOUT_ACPI_LEN), LAYOUT_ACPI_LEN, LAYOUT_ACPI,
			b->desc))
		return log_fail(-ENOSPC, "ACPI tables: more than %u KiB", LAYOUT_ACPI_LEN / 1024);
	b->rsdp = LAYOUT_ACPI;
	return 0;
}

/* A kernel with ACPI can do without; too many CPUs are thus only an error without ACPI. */
static int place_mptable(const struct boot *b)
{
	const uint32_t cap = LAYOUT_EBDA - LAYOUT_MPTABLE;

	if (!mptable_build(low_ram(b, LAYOUT_MPTABLE, cap), cap, b->desc))
		return b->rsdp ? 0 : log_fail(-EINVAL, "MP table: more than %u CPUs",
					      MPTABLE_MAX_CPUS);
	mptable_build_pointer(low_ram(b, LAYOUT_EBDA, MPTABLE_POINTER_LEN), LAYOUT_MPTABLE);
	return 0;
}

/* The tree follows its node of the setup_data list. */
static int place_devtree(struct boot *b)
{
	const uint32_t room = LAYOUT_MPTABLE - LAYOUT_DTB;
	struct setup_data *node = low_ram(b, LAYOUT_DTB, room);
	size_t len = devtree_build(node + 1, room - sizeof(*node), b->desc, &devtree_x86,
				   low_ram(b, LAYOUT_CMDLINE, b->desc->cmdline.len + 1));

	if (!len)
		return log_fail(-ENOSPC, "device tree: more than %u KiB", room / 1024);
	bootparams_dtb_node(node, (uint32_t)len);
	b->setup_data = LAYOUT_DTB;
	return 0;
}

static int place_tables(struct boot *b)
{
	int ret;

	if (b->desc->describe == FW_DESCRIBE_FDT)
		return place_devtree(b);
	ret = b->desc->describe == FW_DESCRIBE_ACPI ? place_acpi(b) : 0;
	return ret ? ret : place_mptable(b);
}

/* The structure that the entry's argument register points to. */
static gpa_t place_start_info(const struct boot *b)
{
	struct bootparams_cfg cfg = {
		.header = &b->kernel.header, .rsdp = b->rsdp, .setup_data = b->setup_data,
	};

	if (b->kernel.entry == LOADER_ENTRY_PVH) {
		pvh_build(low_ram(b, LAYOUT_PVH_INFO, GUEST_MEM_PAGE), GUEST_MEM_PAGE,
			  LAYOUT_PVH_INFO, b->desc, b->rsdp);
		return LAYOUT_PVH_INFO;
	}
	bootparams_build(low_ram(b, LAYOUT_ZERO_PAGE, sizeof(struct boot_params)), b->desc, &cfg);
	return LAYOUT_ZERO_PAGE;
}

/* Only the zero page has a place for a device tree. */
static int choose_entry(enum loader_entry *entry, const struct fw_desc *d)
{
	if (d->describe != FW_DESCRIBE_FDT)
		return 0;
	if (*entry == LOADER_ENTRY_PVH)
		return log_fail(-EINVAL, "a PVH entry cannot take a device tree");
	*entry = LOADER_ENTRY_LINUX64;
	return 0;
}

/* A line of the log is shorter than the longest command line. */
static void tell_cmdline(const struct boot *b)
{
	const char *line = low_ram(b, LAYOUT_CMDLINE, b->desc->cmdline.len + 1);
	const char *what = "kernel command line";

	for (size_t len = strlen(line), n; len || *what == 'k'; line += n, len -= n) {
		n = MIN(len, CMDLINE_PIECE);
		log_debug("%s: %.*s", what, (int)n, line);
		what = "continued";
	}
}

static void tell_range(const char *what, uint64_t base, uint64_t end)
{
	log_debug("%s: 0x%" PRIx64 " to 0x%" PRIx64, what, base, end - 1);
}

static void tell(const struct boot *b, const struct boot_entry *entry)
{
	const struct fw_desc *d = b->desc;

	for (unsigned int i = 0; i < d->nr_ram; i++)
		tell_range("memory", d->ram[i].base, d->ram[i].base + d->ram[i].len);
	tell_range("kernel", b->kernel.start, b->kernel.end);
	if (d->initrd.len)
		tell_range("initrd", d->initrd.base, d->initrd.base + d->initrd.len);
	log_debug("entry: %s at 0x%" PRIx64,
		  entry->mode == LOADER_ENTRY_PVH ? "pvh" : "linux64", (uint64_t)entry->rip);
	tell_cmdline(b);
}

int boot_load(struct boot_entry *entry, const struct boot_cfg *cfg,
	      const struct guest_mem *mem, struct fw_desc *desc)
{
	struct boot b = { .mem = mem, .desc = desc };
	struct loader_cfg files = cfg->files;
	int ret = check_low_ram(mem);

	if (!ret)
		ret = choose_entry(&files.entry, desc);
	if (!ret)
		ret = loader_load(&b.kernel, mem, &files, LAYOUT_HIGH_RAM);
	if (ret)
		return ret;
	desc->tables = (struct fw_range){
		.base = LAYOUT_MPTABLE, .len = LAYOUT_HIGH_RAM - LAYOUT_MPTABLE,
	};
	desc->initrd = b.kernel.initrd;
	reset_vector_build(low_ram(&b, LAYOUT_RESET_VECTOR, RESET_VECTOR_LEN), desc->reset_port);
	ret = place_cmdline(&b, cfg->cmdline);
	if (!ret)
		ret = place_tables(&b);
	if (ret)
		return ret;
	entry->mode = b.kernel.entry;
	entry->rip = b.kernel.entry_gpa;
	entry->arg = place_start_info(&b);
	tell(&b, entry);
	return 0;
}
