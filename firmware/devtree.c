/* SPDX-License-Identifier: Apache-2.0 */
#include "devtree.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libfdt.h>

#include "devtree_arch.h"
#include "util.h"

#define NODE_NAME_MAX 48
#define CELLS_MAX 16u

/* Each step is made only if all before it succeeded. */
static void note(struct devtree *t, int err)
{
	if (!t->err)
		t->err = err;
}

void devtree_begin(struct devtree *t, const char *name)
{
	if (!t->err)
		note(t, fdt_begin_node(t->fdt, name));
}

void devtree_begin_at(struct devtree *t, const char *name, uint64_t unit_address)
{
	char full[NODE_NAME_MAX];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, unit_address);
	devtree_begin(t, full);
}

void devtree_end(struct devtree *t)
{
	if (!t->err)
		note(t, fdt_end_node(t->fdt));
}

static void property(struct devtree *t, const char *name, const void *val, size_t len)
{
	if (!t->err)
		note(t, fdt_property(t->fdt, name, val, (int)len));
}

void devtree_flag(struct devtree *t, const char *name)
{
	property(t, name, NULL, 0);
}

void devtree_string(struct devtree *t, const char *name, const char *val)
{
	property(t, name, val, strlen(val) + 1);
}

void devtree_u32(struct devtree *t, const char *name, uint32_t val)
{
	devtree_cells(t, name, &val, 1);
}

void devtree_u64(struct devtree *t, const char *name, uint64_t val)
{
	const uint32_t cells[] = { (uint32_t)(val >> 32), (uint32_t)val };

	devtree_cells(t, name, cells, ARRAY_SIZE(cells));
}

void devtree_cells(struct devtree *t, const char *name, const uint32_t *cells, unsigned int nr)
{
	fdt32_t big_endian[CELLS_MAX];

	assert(nr <= CELLS_MAX);
	for (unsigned int i = 0; i < nr; i++)
		big_endian[i] = cpu_to_fdt32(cells[i]);
	property(t, name, big_endian, nr * sizeof(big_endian[0]));
}

void devtree_reg(struct devtree *t, uint64_t base, uint64_t len)
{
	const uint32_t cells[] = {
		(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(len >> 32), (uint32_t)len,
	};

	devtree_cells(t, "reg", cells, ARRAY_SIZE(cells));
}

static void add_chosen(struct devtree *t, const struct fw_desc *d,
		       const struct devtree_arch *arch, const char *bootargs)
{
	devtree_begin(t, "chosen");
	devtree_string(t, "bootargs", bootargs);
	if (d->serial.present)
		devtree_string(t, "stdout-path", arch->stdout_path);
	if (d->initrd.len) {
		devtree_u64(t, "linux,initrd-start", d->initrd.base);
		devtree_u64(t, "linux,initrd-end", d->initrd.base + d->initrd.len);
	}
	devtree_end(t);
}

static void add_memory(struct devtree *t, const struct fw_range *r)
{
	devtree_begin_at(t, "memory", r->base);
	devtree_string(t, "device_type", "memory");
	devtree_reg(t, r->base, r->len);
	devtree_end(t);
}

static void add_cpus(struct devtree *t, const struct fw_desc *d, const struct devtree_arch *arch)
{
	devtree_begin(t, "cpus");
	devtree_u32(t, "#address-cells", 1);
	devtree_u32(t, "#size-cells", 0);
	for (uint32_t i = 0; i < d->nr_cpus; i++) {
		devtree_begin_at(t, "cpu", i);
		devtree_string(t, "device_type", "cpu");
		arch->add_cpu(t, i);
		devtree_end(t);
	}
	devtree_end(t);
}

/* Linux: Documentation/devicetree/bindings/virtio/mmio.yaml */
static void add_virtio(struct devtree *t, const struct fw_virtio *v,
		       const struct devtree_arch *arch)
{
	devtree_begin_at(t, "virtio", v->base);
	devtree_string(t, "compatible", "virtio,mmio");
	devtree_reg(t, v->base, v->len);
	arch->add_interrupt(t, v->gsi);
	devtree_flag(t, "dma-coherent");
	devtree_end(t);
}

static void add_root(struct devtree *t, const struct fw_desc *d, const struct devtree_arch *arch,
		     const char *bootargs)
{
	devtree_begin(t, "");
	devtree_string(t, "compatible", arch->compatible);
	devtree_string(t, "model", "mimsy");
	devtree_u32(t, "#address-cells", 2);
	devtree_u32(t, "#size-cells", 2);
	devtree_u32(t, "interrupt-parent", DEVTREE_INTC);
	add_chosen(t, d, arch, bootargs);
	for (uint32_t i = 0; i < d->nr_ram; i++)
		add_memory(t, &d->ram[i]);
	add_cpus(t, d, arch);
	arch->add_platform(t, d);
	for (uint32_t i = 0; i < d->nr_virtio; i++)
		add_virtio(t, &d->virtio[i], arch);
	devtree_end(t);
}

size_t devtree_build(void *buf, size_t cap, const struct fw_desc *d,
		     const struct devtree_arch *arch, const char *bootargs)
{
	struct devtree t = { .fdt = buf };

	note(&t, fdt_create(buf, (int)MIN(cap, (size_t)INT32_MAX)));
	if (!t.err)
		note(&t, fdt_finish_reservemap(buf));
	add_root(&t, d, arch, bootargs);
	if (!t.err)
		note(&t, fdt_finish(buf));
	return t.err ? 0 : fdt_totalsize(buf);
}
