/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs all vectors of all disks and resets them, for ever: the host is
 * asked for more interrupt routes than it can set up. Whoever runs the monitor
 * ends it all the same.
 */
#include "print.h"
#include "subject.h"

static void program_and_reset(struct vdev *d, uint8_t vector)
{
	unsigned int v;

	msi_enable(d, true);
	for (v = 0; v < d->nr_vectors; v++)
		msi_update(d, v, 0, vector);
	vdev_write_status(d, 0);
}

/* A storm of M5 that only a signal ends. */
static void it_never_ends_by_itself(void)
{
	unsigned int i, n;
	struct vdev *d;

	for (n = 0;; n++) {
		if (n == 3)
			print("without end\n");
		for (i = 0; (d = vdev_get(VIRTIO_ID_BLOCK, i)); i++)
			program_and_reset(d, (uint8_t)(0x50 + n % 8));
	}
}

CHECKS_WITH("deaf", vdev_reset_all,
	CHECK(it_never_ends_by_itself))
