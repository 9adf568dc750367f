/* SPDX-License-Identifier: Apache-2.0 */
#include "msi_block.h"

#include <check.h>
#include <unistd.h>

#include "vmmio_msi_abi.h"

_Static_assert(MSI_BLOCK_CMD == VIRTIO_MMIO_MSI_CMD - VIRTIO_MMIO_MSI_CSR, "command");
_Static_assert(MSI_BLOCK_ADDR_LOW == VIRTIO_MMIO_MSI_ADDR_LOW - VIRTIO_MMIO_MSI_CSR, "low");
_Static_assert(MSI_BLOCK_ADDR_HIGH == VIRTIO_MMIO_MSI_ADDR_HIGH - VIRTIO_MMIO_MSI_CSR, "high");
_Static_assert(MSI_BLOCK_DATA == VIRTIO_MMIO_MSI_DATA - VIRTIO_MMIO_MSI_CSR, "data");

static void on_settled(void *owner, int result)
{
	if (!result)
		vmmio_msi_settled(owner);
}

void msi_block_init(struct msi_block *k, unsigned int nr_vectors)
{
	log_set_level(LOG_LEVEL_ERROR);		/* guest errors are counted, not read */
	guest_errors_init(&k->errors, "msi");
	fake_irq_init(&k->irq, nr_vectors);
	k->irq.sink.owner = &k->m;
	k->irq.sink.settled = on_settled;
	vmmio_msi_init(&k->m, &k->irq.sink, &k->errors);
}

void msi_block_release(struct msi_block *k)
{
	fake_irq_release(&k->irq);
}

void block_write(struct msi_block *k, uint32_t off, uint32_t len, uint32_t val)
{
	vmmio_msi_write(&k->m, off, len, val, false);
}

static unsigned int result(struct msi_block *k)
{
	return vmmio_msi_read(&k->m, MSI_BLOCK_CMD, 2);
}

unsigned int block_command(struct msi_block *k, unsigned int code, unsigned int vector)
{
	block_write(k, MSI_BLOCK_CMD, 2, code << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | vector);
	return result(k);
}

unsigned int block_update(struct msi_block *k, unsigned int vector, uint32_t hi, uint32_t lo,
			  uint32_t data)
{
	block_write(k, MSI_BLOCK_ADDR_LOW, 4, lo);
	block_write(k, MSI_BLOCK_ADDR_HIGH, 4, hi);
	block_write(k, MSI_BLOCK_DATA, 4, data);
	return block_command(k, VIRTIO_MMIO_MSI_CMD_UPDATE, vector);
}

unsigned int block_program(struct msi_block *k, unsigned int vector)
{
	return block_update(k, vector, 0, MSI_BLOCK_ADDRESS | vector << 12, 0x30 + vector);
}

void block_program_all(struct msi_block *k)
{
	for (unsigned int i = 0; i < k->irq.sink.nr_vectors; i++)
		ck_assert_uint_eq(block_program(k, i), VIRTIO_MMIO_MSI_DONE);
}

unsigned int block_enable(struct msi_block *k, unsigned int nr_used)
{
	block_write(k, MSI_BLOCK_CSR, 2, VIRTIO_MMIO_MSI_CSR_ENABLE | nr_used);
	return result(k);
}

void block_raise(struct msi_block *k, unsigned int vector)
{
	int fd = vmmio_msi_begin(&k->m, vector);
	uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) != sizeof(one))
		ck_abort_msg("eventfd of vector %u", vector);
}

uint64_t block_try_raise(struct msi_block *k, unsigned int vector)
{
	block_raise(k, vector);
	return fake_irq_signals(&k->irq, vector);
}
