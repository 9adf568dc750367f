/* SPDX-License-Identifier: Apache-2.0 */
/* The register block: what it reads as, in which widths, and what it refuses. */
#include "subject.h"

#define CODE_UPDATE VIRTIO_MMIO_MSI_CMD_UPDATE
#define CODE_UNMASK VIRTIO_MMIO_MSI_CMD_UNMASK

static void vendor_id_names_the_extension(void)
{
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_VERSION), 2);
	EXPECT_EQ(dev->vendor & VIRTIO_MMIO_VENDOR_MSI_MASK, VIRTIO_MMIO_VENDOR_MSI);
	EXPECT(dev->vendor & VIRTIO_MMIO_VENDOR_F_MSI_INTR);
}

static void csr_tells_the_number_of_vectors(void)
{
	EXPECT(msi_csr(dev) & VIRTIO_MMIO_MSI_CSR_SUPPORTED);
	EXPECT_EQ(msi_csr(dev), VIRTIO_MMIO_MSI_CSR_SUPPORTED | dev->nr_vectors);
	EXPECT(dev->nr_vectors >= 2);
	EXPECT(dev->nr_vectors <= dev->nr_queues + 1);
}

/* Else the block would hide the QueueReset register of virtio 1.2. */
static void ring_reset_is_not_offered(void)
{
	EXPECT(!(vdev_offered(dev) >> 40 & 1));
}

static void staged_registers_are_write_only(void)
{
	msi_stage(dev, 0xfee01000, 0, 0x55);

	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MSI_ADDR_LOW), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MSI_ADDR_HIGH), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MSI_DATA), 0);
}

static void a_32_bit_read_gives_csr_and_result(void)
{
	msi_mask(dev, dev->nr_vectors);		/* leaves a result that is not 0 */

	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_MSI_CSR),
		  (uint32_t)VIRTIO_MMIO_MSI_E_VECTOR << 16 | msi_csr(dev));
}

static void a_32_bit_write_is_enable_and_command(void)
{
	vdev_prepare(dev, 1, 0);
	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_QUEUE(dev, 0));

	vdev_write(dev, VIRTIO_MMIO_MSI_CSR, VIRTIO_MMIO_MSI_CSR_ENABLE |
		   (uint32_t)(CODE_UPDATE << VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | 1) << 16);

	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
	vdev_run(dev);
	expect_queue_fires(dev, 0);
}

static void a_32_bit_write_may_enable_only(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));

	vdev_write(dev, VIRTIO_MMIO_MSI_CSR, VIRTIO_MMIO_MSI_CSR_ENABLE);

	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
	vdev_run(dev);
	expect_queue_fires(dev, 0);
}

/* The halves of one write stand on their own. */
static void a_command_is_done_although_control_is_refused(void)
{
	uint8_t other = (uint8_t)(VEC_QUEUE(dev, 0) + 8);

	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);
	msi_stage(dev, MSI_ADDRESS(0), 0, other);

	vdev_write(dev, VIRTIO_MMIO_MSI_CSR, (uint32_t)(CODE_UPDATE <<
		   VIRTIO_MMIO_MSI_CMD_CODE_SHIFT | 1) << 16);

	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
	irq_counts_clear();
	EXPECT(blk_works(dev, 0));
	expect_irqs(0, other, 1);
}

static void reserved_bits_of_control_are_ignored(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));

	mmio_write16(dev->base + VIRTIO_MMIO_MSI_CSR, VIRTIO_MMIO_MSI_CSR_ENABLE | 0x7800);

	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_csr(dev), VIRTIO_MMIO_MSI_CSR_SUPPORTED | dev->nr_vectors);
	vdev_run(dev);
	expect_queue_fires(dev, 0);
}

static void other_widths_read_0(void)
{
	uint64_t csr = dev->base + VIRTIO_MMIO_MSI_CSR;
	unsigned int i;

	for (i = 0; i < 4; i++)
		EXPECT_EQ(mmio_read8(csr + i), 0);
	EXPECT_EQ(mmio_read64(csr), 0);
	EXPECT_EQ(mmio_read64(csr + 8), 0);
	for (i = 4; i < 16; i += 2)
		EXPECT_EQ(mmio_read16(csr + i), 0);
	EXPECT_EQ(mmio_read16(csr + 1), 0);
	EXPECT_EQ(mmio_read32(csr + 2), 0);
}

static void write_in_other_widths(void)
{
	uint64_t block = dev->base + VIRTIO_MMIO_MSI_CSR;
	unsigned int i;

	for (i = 0; i < 16; i++)
		mmio_write8(block + i, 0x80);
	for (i = 4; i < 16; i += 2)
		mmio_write16(block + i, 0x1234);
	mmio_write64(block, 0x8000800080008000);
	mmio_write64(block + 8, 0x5a5a5a5a5a5a5a5a);
}

static void other_widths_do_not_enable(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	write_in_other_widths();
	vdev_run(dev);

	expect_queue_is_quiet(dev, 0);
}

/* The message staged before is what UPDATE takes. */
static void other_widths_do_not_stage(void)
{
	vdev_prepare(dev, 1, 0);
	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_QUEUE(dev, 0));
	write_in_other_widths();
	EXPECT_EQ(msi_command(dev, CODE_UPDATE, 1), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_enable(dev, true), VIRTIO_MMIO_MSI_DONE);
	vdev_run(dev);

	expect_queue_fires(dev, 0);
}

/* row M9 */
static void enable_after_driver_ok_is_refused(void)
{
	vdev_prepare(dev, 1, 0);
	EXPECT(!msi_update(dev, 1, 0, VEC_QUEUE(dev, 0)));
	vdev_run(dev);

	EXPECT_EQ(msi_enable(dev, true), VIRTIO_MMIO_MSI_E_STATE);
	expect_queue_is_quiet(dev, 0);
}

/* row M9 */
static void disable_after_driver_ok_is_refused(void)
{
	vdev_start(dev, 1, 0, IRQ_MSI_UPDATE_FIRST);

	EXPECT_EQ(msi_enable(dev, false), VIRTIO_MMIO_MSI_E_STATE);
	expect_queue_fires(dev, 0);
}

static void unknown_commands_are_refused(void)
{
	unsigned int code;

	for (code = 0; code < 16; code++)
		if (code < CODE_UPDATE || code > CODE_UNMASK)
			EXPECT_EQ(msi_command(dev, code, 0), VIRTIO_MMIO_MSI_E_COMMAND);
	EXPECT_EQ(msi_mask(dev, 0), VIRTIO_MMIO_MSI_DONE);
}

/* row M1 */
static void vectors_out_of_range_are_refused(void)
{
	unsigned int code;

	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_CONFIG(dev));
	for (code = CODE_UPDATE; code <= CODE_UNMASK; code++) {
		EXPECT_EQ(msi_command(dev, code, dev->nr_vectors), VIRTIO_MMIO_MSI_E_VECTOR);
		EXPECT_EQ(msi_command(dev, code, 0xfff), VIRTIO_MMIO_MSI_E_VECTOR);
		EXPECT_EQ(msi_command(dev, code, dev->nr_vectors - 1), VIRTIO_MMIO_MSI_DONE);
	}
}

static void a_result_stays_until_the_next_command(void)
{
	EXPECT_EQ(msi_mask(dev, 0xfff), VIRTIO_MMIO_MSI_E_VECTOR);
	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_E_VECTOR);
	EXPECT_EQ(msi_mask(dev, 0), VIRTIO_MMIO_MSI_DONE);
	EXPECT_EQ(msi_result(dev), VIRTIO_MMIO_MSI_DONE);
}

static void the_block_leaves_its_neighbours_alone(void)
{
	uint32_t shm_len = vdev_read(dev, VIRTIO_MMIO_SHM_LEN_LOW);

	msi_stage(dev, MSI_ADDRESS(0), 0, VEC_CONFIG(dev));
	msi_command(dev, CODE_UPDATE, 0);

	EXPECT_EQ(shm_len, 0xffffffff);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_SHM_LEN_LOW), shm_len);
	EXPECT_EQ(vdev_status(dev), 0);
	EXPECT_EQ(vdev_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

CHECKS_WITH("registers", subject_msi_setup,
	CHECK(vendor_id_names_the_extension),
	CHECK(csr_tells_the_number_of_vectors),
	CHECK(ring_reset_is_not_offered),
	CHECK(staged_registers_are_write_only),
	CHECK(a_32_bit_read_gives_csr_and_result),
	CHECK(a_32_bit_write_is_enable_and_command),
	CHECK(a_32_bit_write_may_enable_only),
	CHECK(a_command_is_done_although_control_is_refused),
	CHECK(reserved_bits_of_control_are_ignored),
	CHECK(other_widths_read_0),
	CHECK(other_widths_do_not_enable),
	CHECK(other_widths_do_not_stage),
	CHECK(enable_after_driver_ok_is_refused),
	CHECK(disable_after_driver_ok_is_refused),
	CHECK(unknown_commands_are_refused),
	CHECK(vectors_out_of_range_are_refused),
	CHECK(a_result_stays_until_the_next_command),
	CHECK(the_block_leaves_its_neighbours_alone))
