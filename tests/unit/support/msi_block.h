/* SPDX-License-Identifier: Apache-2.0 */
/* The MSI register block of a transport over a recording sink, and a driver's hand on it. */
#ifndef MIMSY_TEST_MSI_BLOCK_H
#define MIMSY_TEST_MSI_BLOCK_H

#include <stdint.h>

#include "fake_irq.h"
#include "log.h"
#include "vmmio_msi.h"

/* Offsets in the block. */
#define MSI_BLOCK_CSR 0u
#define MSI_BLOCK_CMD 2u
#define MSI_BLOCK_ADDR_LOW 4u
#define MSI_BLOCK_ADDR_HIGH 8u
#define MSI_BLOCK_DATA 12u

#define MSI_BLOCK_ADDRESS 0xfee00000u

struct msi_block {
	struct fake_irq irq;
	struct guest_errors errors;
	struct vmmio_msi m;
};

void msi_block_init(struct msi_block *k, unsigned int nr_vectors);
void msi_block_release(struct msi_block *k);

/* A register write of a device that does not run. */
void block_write(struct msi_block *k, uint32_t off, uint32_t len, uint32_t val);

/* These return the result register. */
unsigned int block_command(struct msi_block *k, unsigned int code, unsigned int vector);
unsigned int block_update(struct msi_block *k, unsigned int vector, uint32_t hi, uint32_t lo,
			  uint32_t data);
unsigned int block_enable(struct msi_block *k, unsigned int nr_used);

/* A message that can be told from that of every other vector: CPU v, vector 0x30 + v. */
unsigned int block_program(struct msi_block *k, unsigned int vector);
void block_program_all(struct msi_block *k);

/* What a queue thread does; the second returns how many signals it brought at once. */
void block_raise(struct msi_block *k, unsigned int vector);
uint64_t block_try_raise(struct msi_block *k, unsigned int vector);

#endif
