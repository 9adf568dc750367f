/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image has one writer, or any number of readers. Held until the process is
 * gone and its last transfer has ended; nothing is left behind.
 *
 * - Open file description locks on all of the image keep out other monitors, and
 *   QEMU: its lock bytes (block/file-posix.c) say what a program does with an
 *   image and what it bears beside it. A reader leaves those free that would
 *   call it a writer, and looks whether somebody holds them.
 * - A lock of the process on a byte that no image has tells two processes apart
 *   that were passed one and the same description.
 * - A block device may have several nodes, so a writer claims the device itself
 *   (O_EXCL), as a mount does; a reader looks whether somebody has.
 */
#ifndef MIMSY_BLK_LOCK_H
#define MIMSY_BLK_LOCK_H

#include <stdbool.h>

/*
 * fd may come to be another description of the same device. path is for messages.
 * -EBUSY: somebody else has the image. Logged.
 */
int blk_lock(int fd, bool readonly, bool is_block_device, const char *path, const char *name);

#endif
