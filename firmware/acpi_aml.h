/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of ACPI's machine language (ACPI 6.5, chapter 20) and of its
 * resource descriptors (6.4) that our DSDT needs. What has a length is a
 * block: opened, filled, closed; the length is written when it is closed.
 */
#ifndef MIMSY_ACPI_AML_H
#define MIMSY_ACPI_AML_H

#include "out.h"

struct aml_block {
	size_t start;		/* of the PkgLength */
};

/* Names are segments of four characters, with a leading backslash for the root. */
struct aml_block aml_scope(struct out *o, const char *name);
struct aml_block aml_device(struct out *o, const char *name);
struct aml_block aml_method(struct out *o, const char *name, uint8_t nr_args);
struct aml_block aml_package(struct out *o, uint8_t nr_elements);
void aml_close(struct out *o, struct aml_block block);

/* Name(name, <the next object>) */
void aml_name(struct out *o, const char *name);

/* Notify(name, event), in a method */
void aml_notify(struct out *o, const char *name, uint8_t event);

void aml_int(struct out *o, uint64_t val);
void aml_string(struct out *o, const char *s);
void aml_eisaid(struct out *o, const char *id);		/* as "PNP0501" */

/* ResourceTemplate() as an object: a buffer of descriptors. */
struct aml_resources {
	struct aml_block block;
	size_t size_at;		/* of the buffer's size */
};

struct aml_resources aml_resources(struct out *o);
void aml_resources_close(struct out *o, struct aml_resources r);

void aml_memory32(struct out *o, uint32_t base, uint32_t len);	/* fixed, read-write */
void aml_io(struct out *o, uint16_t base, uint8_t len);		/* fixed, 16-bit decode */
void aml_interrupt(struct out *o, uint32_t gsi, bool shared);	/* edge, active high */

#endif
