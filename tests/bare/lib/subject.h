/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device that a program about the transport looks at: the first block
 * device with at least two queues (and MSI, for subject_msi_setup). A second
 * block device, if there is one, must go on working whatever happens to it.
 */
#ifndef BARE_SUBJECT_H
#define BARE_SUBJECT_H

#include "blk.h"
#include "vdev.h"

#define QUIET_MS 20		/* how long a test listens for what must not come */
#define ARRIVE_MS 3000		/* how long for what must */

extern struct vdev *dev;	/* chosen by the setups below */

/* For CHECKS_WITH(): reset every device, clear the counters. */
void subject_setup(void);
void subject_msi_setup(void);

/* Exactly n interrupts (0: none for QUIET_MS) on that CPU and vector, none elsewhere. */
void expect_irqs(unsigned int cpu, uint8_t vector, uint32_t n);

/* A request on queue q is done; exactly its own interrupt comes, on CPU 0. Clears the counters. */
void expect_queue_fires(struct vdev *d, unsigned int q);
/* A request on queue q is done, and no interrupt at all comes. */
void expect_queue_is_quiet(struct vdev *d, unsigned int q);

/* Breaks queue 0 (head beyond its size); the device must then say DEVICE_NEEDS_RESET. */
void break_queue(struct vdev *d, unsigned int q);

/* Restarts the device with MSI, and every queue fires. */
void expect_works_anew(struct vdev *d);

/* The second device; NULL: there is none. */
struct vdev *bystander(void);
struct vdev *bystander_start(void);
void expect_bystander_works(struct vdev *d);

#endif
