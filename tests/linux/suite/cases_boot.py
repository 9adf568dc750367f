# SPDX-License-Identifier: Apache-2.0
"""Every kernel, entry and description of the machine; the ways a guest ends."""

from .bench import Guest
from .cases import case
from .outcome import expect


# Without ACPI the guest cannot power off, and ends by a reboot.
REBOOT = 4


def four_queues(bench, status=0, **more):
    """Four vCPUs, a disk with four queues for raw traffic, another one for a file system."""
    guest = Guest(tests="irqs,disks,irqs,clocks", cpus=4, disks=("queues=4",), **more)
    outcome = bench.boot(guest).check("irqs", "disks", status=status)
    outcome.check_disk_vectors("virtio0", 4)
    expect("virtio0-config" in outcome.tables[-1], "the configuration has no vector")
    expect(outcome.words.get("CPUS") == ["4"], f"CPUs of the guest: {outcome.words.get('CPUS')}")
    expect(outcome.words.get("CLOCK") == ["kvm-clock"], f"clock: {outcome.words.get('CLOCK')}")
    bench.check_image(guest)
    return outcome


@case(quick=True, cost=2, needs=("6.12",))
def linux_6_12_vmlinux_by_pvh_has_a_vector_for_each_of_four_queues(bench):
    outcome = four_queues(bench, kernel="6.12", args=("--entry", "pvh"))
    expect(outcome.routing_calls == 1, f"{outcome.routing_calls} routing ioctls for one device")


@case(cost=2, needs=("6.1",))
def linux_6_1_vmlinux_by_pvh_has_a_vector_for_each_of_four_queues(bench):
    four_queues(bench, kernel="6.1", args=("--entry", "pvh"))


@case(needs=("6.12",))
def linux_6_12_vmlinux_starts_by_its_64_bit_entry(bench):
    four_queues(bench, kernel="6.12", args=("--entry", "linux64"))


@case(needs=("6.1",))
def linux_6_1_vmlinux_starts_by_its_64_bit_entry(bench):
    four_queues(bench, kernel="6.1", args=("--entry", "linux64"))


@case(needs=("6.12",))
def linux_6_12_starts_as_bzimage(bench):
    four_queues(bench, kernel="6.12", image="bzImage")


@case(needs=("6.1",))
def linux_6_1_starts_as_bzimage(bench):
    four_queues(bench, kernel="6.1", image="bzImage")


@case(needs=("6.12",))
def one_cpu_uses_one_queue_of_a_disk_with_four(bench):
    guest = Guest(cpus=1, disks=("queues=4",))
    outcome = bench.boot(guest).check("irqs", "disks")
    outcome.check_disk_vectors("virtio0", 1)
    expect(("virtio0", 1) not in outcome.mq, "one CPU, yet two queues are in use")
    bench.check_image(guest)


@case(needs=("6.12",))
def a_disk_without_options_has_one_queue_for_both_cpus(bench):
    guest = Guest(cpus=2, disks=("",))
    bench.boot(guest).check("irqs", "disks").check_disk_vectors("virtio0", 1)


# Linux 6.1 for x86_64 takes no device tree: only its 32-bit CE4100 selects OF_EARLY_FLATTREE.
@case(needs=("6.12",))
def a_device_tree_describes_the_machine(bench):
    four_queues(bench, REBOOT, args=("--describe", "fdt", "--entry", "linux64"))


@case(needs=("6.12",))
def the_command_line_and_an_mp_table_describe_the_machine(bench):
    four_queues(bench, REBOOT, args=("--describe", "cmdline"))


@case(needs=("6.1",))
def the_command_line_and_an_mp_table_describe_the_machine_to_linux_6_1(bench):
    four_queues(bench, REBOOT, kernel="6.1", args=("--describe", "cmdline"))


def stock_line(bench, version):
    """Debian's kernel finds the devices by ACPI alone and drives them over the single line."""
    guest = Guest(kernel=f"stock-{version}", image="bzImage", tests="irqs,disks,net,tcp,irqs",
                  cpus=2, disks=("queues=2",), nets=("",), timeout=300)
    outcome = bench.boot(guest).check("irqs", "disks", "net", "tcp")
    outcome.check_fired("virtio0", "virtio1")
    for name, irq in outcome.tables[-1].items():
        expect(irq.chip == "IO-APIC", f"{name} is an interrupt of {irq.chip}")
    bench.check_image(guest)
    expect(not outcome.names("virtio0-"), "a stock driver with vectors")


@case(quick=True, cost=3, needs=("stock-6.12",))
def stock_debian_6_12_uses_the_single_line(bench):
    stock_line(bench, "6.12")


@case(cost=3, needs=("stock-6.1",))
def stock_debian_6_1_uses_the_single_line(bench):
    stock_line(bench, "6.1")


def stock_module(bench, version, image, **more):
    guest = Guest(kernel=f"module-{version}", image=image, cpus=4, disks=("queues=4",),
                  nets=("queues=2",), tests="irqs,disks,net,tcp,control,irqs,files",
                  params={"fs": "ext4"}, timeout=400, **more)
    outcome = bench.boot(guest).check("irqs", "disks", "net", "tcp", "control", "files")
    outcome.check_disk_vectors("virtio0", 4)
    outcome.check_fired("virtio1-input.0", "virtio1-output.0")


@case(cost=4, needs=("module-6.12",))
def stock_debian_6_12_with_the_module_has_a_vector_per_queue(bench):
    stock_module(bench, "6.12", "bzImage")


@case(cost=4, needs=("module-6.1",))
def stock_debian_6_1_with_the_module_has_a_vector_per_queue(bench):
    stock_module(bench, "6.1", "vmlinux")


@case(full=True, cost=4, needs=("module-newest",))
def the_newest_debian_kernel_with_the_module_has_a_vector_per_queue(bench):
    stock_module(bench, "newest", "bzImage")


@case(quick=True, needs=("6.12",))
def reboot_ends_the_monitor_with_4(bench):
    bench.boot(Guest(tests="reboot", cpus=1)).check(status=4)


@case(needs=("6.12",))
def reboot_without_acpi_ends_the_monitor_with_4(bench):
    bench.boot(Guest(tests="reboot", cpus=1, args=("--describe", "cmdline"))).check(status=4)


@case(quick=True, needs=("6.12",))
def a_triple_fault_of_linux_ends_the_monitor_with_3(bench):
    outcome = bench.boot(Guest(tests="panic", cpus=1, cmdline="reboot=triple"))
    outcome.check(status=3)
    expect("triple fault" in outcome.log.lower(), f"the monitor said only: {outcome.log!r}")


@case(needs=("6.12",))
def sigterm_stops_a_running_guest_and_flushes_its_disk(bench):
    def on_line(process, line):
        if "MIMSY-SLEEPS" in line:
            process.kill()
    guest = Guest(tests="disks,sleep", cpus=2, disks=("queues=2",), on_line=on_line, timeout=60,
                  args=("--stop-timeout", "0"))
    outcome = bench.boot(guest)
    expect(outcome.words.get("SLEEPS"), "the guest did not come so far")
    expect(outcome.status != 3 and not outcome.timed_out, f"exit status {outcome.status}")
    expect(outcome.stats, "no statistics: the monitor did not stop in order")
    bench.check_image(guest)
