/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of creation is that of docs/architecture.md. First everything is
 * opened, then the jail is entered, then the machine is built in it. vCPUs come before
 * anything is put on KVM's I/O buses: some host kernels make the first vCPU
 * wait for an SRCU grace period otherwise.
 */
#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch.h"
#include "log.h"
#include "msi.h"
#include "sandbox.h"
#include "uart16550.h"
#include "vm_priv.h"
#include "zalloc.h"

bool vm_end(struct vm *vm, int status)
{
	uint64_t one = 1;
	int running = -1;
	ssize_t n;

	if (!atomic_compare_exchange_strong(&vm->end_status, &running, status))
		return false;
	atomic_store(&vm->env.over, true);
	n = write(vm->end_fd, &one, sizeof(one));
	(void)n;
	return true;
}

static void vm_on_vcpu_end(void *ctx, enum vcpu_end end)
{
	vm_end(ctx, end == VCPU_END_CRASH ? VM_EXIT_CRASH : VM_EXIT_ERROR);
}

static int add_console(struct vm *vm)
{
	const struct worker_entry *entry = sandbox_entry(vm->sandbox, SANDBOX_RELAY);
	struct uart16550_cfg cfg = { .out_socket = vm->console.is_socket,
				     .sent = vm_console_byte, .ctx = vm };
	int ret;

	if (vm->cfg->console == VM_CONSOLE_NONE)
		return 0;
	ret = output_start(&vm->console, "console", entry);
	if (!ret)
		ret = input_start(&vm->input, entry);
	cfg.out_fd = vm->console.fd;
	if (!ret)
		ret = msi_router_line(vm->router, LAYOUT_GSI_SERIAL, &cfg.irq_fd);
	if (!ret)
		ret = uart16550_create(&vm->uart, &cfg);
	if (!ret)
		ret = bus_add(&vm->pio, LAYOUT_PORT_COM1, UART16550_PORTS, &uart16550_bus_ops,
			      vm->uart);
	return ret;
}

static int start_log(struct vm *vm)
{
	int ret = output_start(&vm->log, "log", sandbox_entry(vm->sandbox, SANDBOX_RELAY));

	if (!ret)
		log_set_fd(vm->log.fd, vm->log.is_socket);
	return ret;
}

/* The last lines go to its file at once. */
static void finish_log(struct vm *vm)
{
	log_tell_lost();
	if (vm->log.relay)
		log_set_fd(vm->log.file, false);
	output_finish(&vm->log);
}

static int map_memory(struct vm *vm)
{
	int ret = guest_mem_create(&vm->mem, vm->cfg->memory, LAYOUT_HOLE_START, LAYOUT_HOLE_END,
				   vm->cfg->backing);

	for (unsigned int i = 0; !ret && i < vm->mem->nr_regions; i++) {
		const struct guest_mem_region *r = &vm->mem->region[i];

		ret = kvm_map_memory(&vm->kvm, i, r->gpa, r->len, r->host);
	}
	return ret;
}

/* A vCPU that sends frames may make one system call more. */
static enum sandbox_role vcpu_role(const struct vm_config *c)
{
	for (unsigned int i = 0; i < c->nr_nets; i++)
		if (c->net[i].net.inline_kick)
			return SANDBOX_VCPU_INLINE;
	return SANDBOX_VCPU;
}

static int create_vcpus(struct vm *vm)
{
	int ret = 0;

	vm->env = (struct vcpu_env){
		.kvm = &vm->kvm,
		.mmio = &vm->mmio,
		.pio = &vm->pio,
		.ended = vm_on_vcpu_end,
		.ctx = vm,
		.entry = sandbox_entry(vm->sandbox, vcpu_role(vm->cfg)),
		.gate = PTHREAD_RWLOCK_INITIALIZER,
	};
	for (unsigned int i = 0; i < vm->cfg->nr_cpus && !ret; i++) {
		ret = vcpu_create(&vm->vcpu[i], &vm->env, i);
		if (ret)
			break;
		vm->nr_vcpus++;
		ret = arch_vcpu_init(vm->cpu, vcpu_fd(vm->vcpu[i]), i);
	}
	return ret;
}

static int load_guest(struct vm *vm, bool pit)
{
	char cmdline[LAYOUT_CMDLINE_MAX];
	struct boot_cfg boot = { .files = vm->files, .cmdline = cmdline };
	struct boot_entry entry;
	struct fw_desc desc;
	int ret = vm_config_cmdline(vm->cfg, cmdline, sizeof(cmdline));

	if (ret)
		return ret;
	if (!vm_config_has_acpi(vm->cfg))
		log_info("without ACPI the guest cannot power off: a reboot ends it, or a signal");
	machine_describe(&vm->machine, vm->cfg, vm->mem, pit, &desc);
	ret = boot_load(&entry, &boot, vm->mem, &desc);
	vm_close_files(vm);
	if (ret)
		return ret;
	return arch_vcpu_boot(vcpu_fd(vm->vcpu[0]), vm->mem, &entry);
}

static int build_machine(struct vm *vm)
{
	const struct machine_env env = {
		vm->mem, &vm->kvm, vm->router, &vm->mmio, vm->sandbox,
	};

	return machine_build(&vm->machine, vm->cfg, &env);
}

static int check_nr_cpus(const struct vm *vm)
{
	unsigned int max = vm->cfg->nr_cpus > 1 ? kvm_max_vcpus(&vm->kvm) : 1;

	if (vm->cfg->nr_cpus <= max)
		return 0;
	return log_fail(-EINVAL, "--cpus %u: this host's KVM allows %u", vm->cfg->nr_cpus, max);
}

static int vm_build(struct vm *vm)
{
	bool pit;
	int ret;

	ret = start_log(vm);
	if (ret)
		return ret;
	ret = kvm_open(&vm->kvm, vm->kvm.sys_fd);
	if (ret)
		return ret;
	ret = check_nr_cpus(vm);
	if (ret)
		return ret;
	ret = arch_cpu_create(&vm->cpu, &vm->kvm, vm->cfg->nr_cpus);
	if (ret)
		return ret;
	pit = vm_config_wants_pit(vm->cfg) || !arch_cpu_has_timer(vm->cpu);
	ret = map_memory(vm);
	if (!ret)
		ret = arch_vm_init(&vm->kvm, pit);
	if (!ret)
		ret = create_vcpus(vm);
	if (!ret)
		ret = msi_router_create(&vm->router, &vm->kvm);
	if (!ret)
		ret = add_console(vm);
	if (!ret)
		ret = vm_add_ports(vm);
	if (!ret)
		ret = build_machine(vm);
	if (!ret)
		ret = load_guest(vm, pit);
	return ret ? ret : vm_empty_outputs(vm);
}

int vm_create(struct vm **out, const struct vm_config *c)
{
	struct vm *vm = zalloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return -ENOMEM;
	vm->cfg = c;
	vm->kvm = (struct kvm){ .sys_fd = -1, .vm_fd = -1 };
	vm->files.kernel_fd = vm->files.initrd_fd = -1;
	vm->end_fd = vm->stats_fd = vm->input.fd = -1;
	vm->console.fd = vm->console.file = -1;
	vm->log.fd = vm->log.file = STDERR_FILENO;
	atomic_init(&vm->end_status, -1);
	ret = vm_open(vm);
	if (!ret)
		ret = vm_enter_sandbox(vm);
	if (!ret)
		ret = vm_build(vm);
	if (ret) {
		vm_free(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	machine_free(&vm->machine);
	uart16550_free(vm->uart);
	output_finish(&vm->console);
	input_finish(&vm->input);
	msi_router_free(vm->router);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_free(vm->vcpu[i]);
	arch_cpu_free(vm->cpu);
	kvm_close(&vm->kvm);
	guest_mem_free(vm->mem);
	vm_close(vm);
	finish_log(vm);
	sandbox_free(vm->sandbox);
	if (vm->end_fd >= 0)
		close(vm->end_fd);
	free(vm);
}
