/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports by which a guest ends: ACPI's, and those that a kernel without
 * ACPI knows of a PC. All others on these addresses read as 0.
 */
#include "arch.h"
#include "log.h"
#include "vm.h"
#include "vm_priv.h"

#define SLP_EN		(1u << 5)	/* ACPI 6.4, 4.8.3.7 */
#define SLP_TYP_S5	(5u << 2)
#define SLP_TYP		(7u << 2)
#define I8042_RESET	0xfe		/* pulse the line that resets the CPU */
#define PC_RESET_CPU	(1u << 2)

/* QEMU's docs/specs/pvpanic.rst */
#define PVPANIC_PANICKED	(1u << 0)
#define PVPANIC_CRASH_LOADED	(1u << 1)	/* a crash kernel takes over: let it */

static void port_read_zero(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	(void)ctx, (void)off, (void)buf, (void)len;	/* the bus has cleared buf */
}

/*
 * All CPUs may ask at once; it is said once, and first: once the VM ends, the
 * signal that takes vCPUs out of the guest may cut the write short.
 */
static void end_by_guest(struct vm *vm, int status, const char *what)
{
	if (atomic_load(&vm->end_status) < 0 && !atomic_exchange(&vm->end_is_told, true))
		log_info("%s", what);
	vm_end(vm, status);
}

static void reset(struct vm *vm)
{
	end_by_guest(vm, VM_EXIT_REBOOT, "guest asked for a reset");
}

static void power_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	uint8_t val = *(const uint8_t *)buf;

	(void)len;
	if (off == 0 && (val & (SLP_EN | SLP_TYP)) == (SLP_EN | SLP_TYP_S5)) {
		end_by_guest(ctx, VM_EXIT_OK, "guest powered off");
	} else if (off == LAYOUT_PORT_RESET - LAYOUT_PORT_SLEEP && val == 1) {
		reset(ctx);
	}
}

static void i8042_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	(void)off, (void)len;
	if (*(const uint8_t *)buf == I8042_RESET)
		reset(ctx);
}

/* Linux sets bit 1 first and bit 2 with its second write. */
static void pc_reset_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	(void)off, (void)len;
	if (*(const uint8_t *)buf & PC_RESET_CPU)
		reset(ctx);
}

static void pvpanic_read(void *ctx, uint64_t off, void *buf, uint32_t len)
{
	(void)ctx, (void)off, (void)len;
	*(uint8_t *)buf = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	(void)off, (void)len;
	if (*(const uint8_t *)buf & PVPANIC_PANICKED)
		vm_end(ctx, VM_EXIT_PANIC);
}

static void debug_exit_write(void *ctx, uint64_t off, const void *buf, uint32_t len)
{
	(void)off, (void)len;
	vm_end(ctx, VM_EXIT_DEBUG + *(const uint8_t *)buf);
}

static const struct bus_ops power_ops = { port_read_zero, power_write };
static const struct bus_ops i8042_ops = { port_read_zero, i8042_write };
static const struct bus_ops pc_reset_ops = { port_read_zero, pc_reset_write };
static const struct bus_ops pvpanic_ops = { pvpanic_read, pvpanic_write };
static const struct bus_ops debug_exit_ops = { port_read_zero, debug_exit_write };

int vm_add_ports(struct vm *vm)
{
	int ret = bus_add(&vm->pio, LAYOUT_PORT_SLEEP, LAYOUT_PORT_RESET - LAYOUT_PORT_SLEEP + 1,
			  &power_ops, vm);

	if (!ret)
		ret = bus_add(&vm->pio, LAYOUT_PORT_I8042, 1, &i8042_ops, vm);
	if (!ret)
		ret = bus_add(&vm->pio, LAYOUT_PORT_PC_RESET, 1, &pc_reset_ops, vm);
	if (!ret)
		ret = bus_add(&vm->pio, LAYOUT_PORT_PVPANIC, 1, &pvpanic_ops, vm);
	if (!ret && vm->cfg->debug_exit)
		ret = bus_add(&vm->pio, LAYOUT_PORT_DEBUG_EXIT, 1, &debug_exit_ops, vm);
	return ret;
}

/* Without ACPI nobody has unmasked the pin, or somebody has for what is not there. */
bool vm_press_button(struct vm *vm)
{
	return vm->cfg->stop_timeout && arch_pin_is_heard(&vm->kvm, LAYOUT_GSI_BUTTON) &&
	       !kvm_pulse(&vm->kvm, LAYOUT_GSI_BUTTON);
}

void vm_console_byte(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	panic_watch_byte(&vm->panic, byte);
}

int vm_final_status(const struct vm *vm)
{
	int status = atomic_load(&vm->end_status);

	if (status != VM_EXIT_PANIC && !(status == VM_EXIT_REBOOT && vm->panic.panicked))
		return status;
	log_error("guest panicked%s%s", vm->panic.panicked ? ": " : "",
		  vm->panic.panicked ? vm->panic.text : "");
	return VM_EXIT_PANIC;
}
