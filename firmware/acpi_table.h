/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by acpi*.c and nobody else: the header that all tables but the RSDP have. */
#ifndef MIMSY_ACPI_TABLE_H
#define MIMSY_ACPI_TABLE_H

#include "fw_desc.h"
#include "out.h"

struct acpi_header {		/* ACPI 6.5, 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_table {
	size_t start;
};

void acpi_table_begin(struct acpi_table *t, struct out *o, const char *signature,
		      uint8_t revision);
void acpi_table_end(const struct acpi_table *t, struct out *o);

/* Returns the table's offset in o. */
size_t acpi_dsdt_build(struct out *o, const struct fw_desc *d);

#endif
