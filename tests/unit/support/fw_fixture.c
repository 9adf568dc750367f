/* SPDX-License-Identifier: Apache-2.0 */
#include "fw_fixture.h"

#include <string.h>

#include "layout.h"
#include "util.h"

void fw_fixture_init(struct fw_desc *d, uint32_t nr_cpus, uint32_t nr_virtio)
{
	static const uint32_t lines[] = LAYOUT_LINE_GSIS;

	memset(d, 0, sizeof(*d));
	d->nr_cpus = nr_cpus;
	d->ram[0] = (struct fw_range){ .len = GIB(3) };
	d->ram[1] = (struct fw_range){ .base = GIB(4), .len = GIB(1) };
	d->nr_ram = 2;
	d->lapic = LAYOUT_LAPIC;
	d->ioapic = LAYOUT_IOAPIC;
	d->nr_ioapic_pins = LAYOUT_NR_IOAPIC_PINS;
	d->sleep_port = LAYOUT_PORT_SLEEP;
	d->reset_port = LAYOUT_PORT_RESET;
	d->pvpanic_port = LAYOUT_PORT_PVPANIC;
	d->button_gsi = LAYOUT_GSI_BUTTON;
	d->serial = (struct fw_serial){ .present = true, .port = LAYOUT_PORT_COM1,
					.gsi = LAYOUT_GSI_SERIAL };
	d->nr_virtio = nr_virtio;
	for (uint32_t i = 0; i < nr_virtio; i++)
		d->virtio[i] = (struct fw_virtio){
			.base = LAYOUT_VIRTIO_BASE + (uint64_t)i * LAYOUT_VIRTIO_STRIDE,
			.len = LAYOUT_VIRTIO_STRIDE, .gsi = lines[i % ARRAY_SIZE(lines)],
		};
	d->tables = (struct fw_range){ .base = LAYOUT_MPTABLE,
				       .len = LAYOUT_HIGH_RAM - LAYOUT_MPTABLE };
}
