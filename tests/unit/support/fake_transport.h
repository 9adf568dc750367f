/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands where a transport would: hands a device its queues, each with a
 * vdriver on the other side, and records interrupts and resets asked for.
 *
 * It defines virtio_irq_*(), virtio_needs_reset() and virtio_config_changed();
 * a test that uses it must not use vmmio as well.
 */
#ifndef MIMSY_TEST_FAKE_TRANSPORT_H
#define MIMSY_TEST_FAKE_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "vdriver.h"
#include "virtio_dev.h"

struct fake_transport;

/* Takes dev. Each queue gets a ring of ring_size entries; the guest has 4 GiB in two regions. */
struct fake_transport *fake_transport_create(struct virtio_dev *dev, uint16_t ring_size);
/* The same with all that the drivers use above 4 GiB. */
struct fake_transport *fake_transport_create_high(struct virtio_dev *dev, uint16_t ring_size);
void fake_transport_free(struct fake_transport *ft);	/* stops and frees the device */

/* The driver leaves queue q out at the next start. */
void fake_leave_out(struct fake_transport *ft, unsigned int q);

/* DRIVER_OK with fresh rings; features as the driver accepted them. Returns start()'s result. */
int fake_start(struct fake_transport *ft, uint64_t features);
void fake_stop(struct fake_transport *ft);

struct vdriver *fake_driver(struct fake_transport *ft, unsigned int q);

/* Publishes what was added; rings the doorbell if the device asks for it. */
void fake_kick(struct fake_transport *ft, unsigned int q);
/* Rings it in any case. */
void fake_force_kick(struct fake_transport *ft, unsigned int q);

/* Waits for an interrupt of the queue, at most ms. */
bool fake_wait_irq(struct fake_transport *ft, unsigned int q, int ms);
/* Waits, with or without interrupts, for the next used element; fails the test after 5 s. */
void fake_wait_used(struct fake_transport *ft, unsigned int q, uint16_t *head, uint32_t *len);
void fake_mask(struct fake_transport *ft, unsigned int q, bool masked);

/* Before the start: fn is called by the device, each time it is about to interrupt. */
void fake_on_irq(struct fake_transport *ft, unsigned int q, void (*fn)(void *arg), void *arg);

unsigned int fake_nr_irqs(struct fake_transport *ft, unsigned int q);
unsigned int fake_nr_resets(struct fake_transport *ft);
unsigned int fake_nr_config_changes(struct fake_transport *ft);
/* Waits until the device has asked for a reset, at most 5 s. */
bool fake_wait_reset(struct fake_transport *ft);

/* The device's counter of that name; ~0 if there is none. */
uint64_t fake_stat(struct fake_transport *ft, const char *key);
/* The same for a queue. */
uint64_t fake_queue_stat(struct fake_transport *ft, unsigned int q, const char *key);

#endif
