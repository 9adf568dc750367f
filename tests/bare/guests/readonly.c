/* SPDX-License-Identifier: Apache-2.0 */
/* A read-only disk refuses what would change it; the runner compares the file. */
#include "subject.h"

static void the_feature_says_so(void)
{
	EXPECT(vdev_offered(dev) >> VIRTIO_BLK_F_RO & 1);
}

static void reads_work(void)
{
	vdev_start(dev, 2, 0, IRQ_NONE);
	EXPECT(blk_works(dev, 0));
	EXPECT(blk_works(dev, 1));
	EXPECT(sector_is(blk_page(dev, 1), 0));
}

static void refuses(uint32_t type)
{
	uint8_t *page = blk_page(dev, 0);
	uint8_t status;

	vdev_start(dev, 2, 1ull << VIRTIO_BLK_F_RO, IRQ_NONE);
	sector_fill(page, 0x1234);
	status = blk_do(dev, 0, type, 3, page, SECTOR);
	EXPECT_MSG(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP,
		   "type %u: status %u", type, status);
	EXPECT(blk_works(dev, 0));
}

/* row B6 */
static void writes_are_refused(void)
{
	refuses(VIRTIO_BLK_T_OUT);
}

/* row B6 */
static void discard_and_write_zeroes_are_refused(void)
{
	refuses(VIRTIO_BLK_T_DISCARD);
	refuses(VIRTIO_BLK_T_WRITE_ZEROES);
}

static void data_is_unchanged(void)
{
	vdev_start(dev, 1, 0, IRQ_NONE);
	EXPECT_EQ(blk_do(dev, 0, VIRTIO_BLK_T_IN, 3, blk_page(dev, 0), SECTOR), VIRTIO_BLK_S_OK);
	EXPECT(sector_is(blk_page(dev, 0), 3));
}

CHECKS_WITH("readonly", subject_setup,
	CHECK(the_feature_says_so),
	CHECK(reads_work),
	CHECK(writes_are_refused),
	CHECK(discard_and_write_zeroes_are_refused),
	CHECK(data_is_unchanged))
