/* SPDX-License-Identifier: Apache-2.0 */
/* The DSDT: a namespace of values, and a line of code that the power button's interrupt runs. */
#include <stdio.h>

#include "acpi_aml.h"
#include "acpi_table.h"

#define S5_SLEEP_TYPE 5
#define SERIAL_NR_PORTS 8
#define BUTTON_PRESSED 0x80	/* 4.8.3.1.1 */

static bool is_gsi_shared(const struct fw_desc *d, uint32_t gsi)
{
	unsigned int users = d->serial.present && d->serial.gsi == gsi;

	for (uint32_t i = 0; i < d->nr_virtio; i++)
		users += d->virtio[i].gsi == gsi;
	return users > 1;
}

/* Segment names are a letter and the index; 4096 of each kind is far beyond what we have. */
static struct aml_block open_device(struct out *o, char letter, uint32_t idx)
{
	char name[8];

	snprintf(name, sizeof(name), "%c%03X", letter, idx & 0xfff);
	return aml_device(o, name);
}

static void put_cpu(struct out *o, uint32_t idx)
{
	struct aml_block dev = open_device(o, 'C', idx);

	aml_name(o, "_HID");
	aml_string(o, "ACPI0007");
	aml_name(o, "_UID");
	aml_int(o, idx);
	aml_close(o, dev);
}

static void put_virtio(struct out *o, const struct fw_desc *d, uint32_t idx)
{
	const struct fw_virtio *v = &d->virtio[idx];
	struct aml_block dev = open_device(o, 'V', idx);
	struct aml_resources crs;

	aml_name(o, "_HID");
	aml_string(o, "LNRO0005");
	aml_name(o, "_UID");
	aml_int(o, idx);
	aml_name(o, "_CCA");
	aml_int(o, 1);
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	aml_memory32(o, (uint32_t)v->base, v->len);
	aml_interrupt(o, v->gsi, is_gsi_shared(d, v->gsi));
	aml_resources_close(o, crs);
	aml_close(o, dev);
}

static void put_serial(struct out *o, const struct fw_desc *d)
{
	struct aml_block dev = aml_device(o, "COM1");
	struct aml_resources crs;

	aml_name(o, "_HID");
	aml_eisaid(o, "PNP0501");
	aml_name(o, "_UID");
	aml_int(o, 1);
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	aml_io(o, d->serial.port, SERIAL_NR_PORTS);
	aml_interrupt(o, d->serial.gsi, is_gsi_shared(d, d->serial.gsi));
	aml_resources_close(o, crs);
	aml_close(o, dev);
}

/* Linux's pvpanic driver tells of a panic here, if it is loaded by then. */
static void put_pvpanic(struct out *o, const struct fw_desc *d)
{
	struct aml_block dev = aml_device(o, "PEVT");
	struct aml_resources crs;

	aml_name(o, "_HID");
	aml_string(o, "QEMU0001");
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	aml_io(o, d->pvpanic_port, 1);
	aml_resources_close(o, crs);
	aml_close(o, dev);
}

/*
 * Hardware-reduced ACPI has no fixed buttons. The interrupt of a Generic Event
 * Device (5.6.9) notifies a control method button, whose name comes first.
 */
static void put_button(struct out *o, const struct fw_desc *d)
{
	struct aml_block dev = aml_device(o, "PWRB"), method;
	struct aml_resources crs;

	aml_name(o, "_HID");
	aml_eisaid(o, "PNP0C0C");
	aml_close(o, dev);
	dev = aml_device(o, "GED0");
	aml_name(o, "_HID");
	aml_string(o, "ACPI0013");
	aml_name(o, "_CRS");
	crs = aml_resources(o);
	aml_interrupt(o, d->button_gsi, false);
	aml_resources_close(o, crs);
	method = aml_method(o, "_EVT", 1);
	aml_notify(o, "PWRB", BUTTON_PRESSED);
	aml_close(o, method);
	aml_close(o, dev);
}

/* 7.4.2: what goes into SLP_TYP to power off. */
static void put_s5(struct out *o)
{
	struct aml_block package;

	aml_name(o, "\\_S5_");
	package = aml_package(o, 4);
	aml_int(o, S5_SLEEP_TYPE);
	aml_int(o, 0);
	aml_int(o, 0);
	aml_int(o, 0);
	aml_close(o, package);
}

size_t acpi_dsdt_build(struct out *o, const struct fw_desc *d)
{
	struct aml_block scope;
	struct acpi_table t;

	acpi_table_begin(&t, o, "DSDT", 2);
	scope = aml_scope(o, "\\_SB_");
	for (uint32_t i = 0; i < d->nr_cpus; i++)
		put_cpu(o, i);
	if (d->serial.present)
		put_serial(o, d);
	for (uint32_t i = 0; i < d->nr_virtio; i++)
		put_virtio(o, d, i);
	put_pvpanic(o, d);
	put_button(o, d);
	aml_close(o, scope);
	put_s5(o);
	acpi_table_end(&t, o);
	return t.start;
}
