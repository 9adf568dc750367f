/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of the AML subset that our namespace uses, values and a Notify, written
 * apart from our writer. Fails the test on anything else, and on any length
 * that does not end exactly where its contents do.
 */
#ifndef MIMSY_TEST_AML_WALK_H
#define MIMSY_TEST_AML_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml_seen_device {
	char path[16];		/* "V003" */
	char hid[12];		/* string, or the EISA id spelled out */
	uint64_t uid;
	bool has_memory, has_io, has_irq, shared;
	uint32_t mem_base, mem_len, irq;
	uint16_t io_base;
	uint8_t irq_flags, io_len;
	char method[6], notifies[6];	/* its one method, and whom that notifies */
	uint8_t nr_args;
	uint64_t event;
};

struct aml_seen {
	struct aml_seen_device dev[600];
	unsigned int nr_devs;
	uint64_t s5[8];
	unsigned int nr_s5;	/* elements of \_S5 */
};

/* The body of a DSDT, behind its header. */
void aml_walk(struct aml_seen *seen, const uint8_t *p, size_t len);

#endif
