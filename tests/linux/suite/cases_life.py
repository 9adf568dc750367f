# SPDX-License-Identifier: Apache-2.0
"""Interrupts while a guest lives: unbinding, affinity, hot-unplug, suspend to idle, kexec."""

from .bench import Guest
from .cases import case
from .outcome import expect


def rebind(bench, kernel, rounds):
    guest = Guest(kernel=kernel, cpus=2, disks=("queues=2",), nets=("queues=2",), timeout=400,
                  tests="irqs,disks,rebind,disks,net,tcp,irqs", params={"rebinds": rounds})
    outcome = bench.boot(guest).check("rebind", "disks", "net", "tcp", "irqs")
    expect(outcome.device(0)["resets"] >= rounds, "the disk was not reset each time")
    bench.check_image(guest)


@case(quick=True, cost=5, needs=("6.12",))
def a_hundred_unbinds_and_binds_leave_no_interrupt_behind(bench):
    rebind(bench, "6.12", 100)


@case(cost=5, needs=("6.1",))
def a_hundred_unbinds_and_binds_leave_no_interrupt_behind_on_linux_6_1(bench):
    rebind(bench, "6.1", 100)


@case(cost=2, needs=("6.12",))
def interrupts_of_a_busy_net_and_disk_move_between_cpus(bench):
    guest = Guest(cpus=4, disks=("queues=4", "queues=2,irq=single"), nets=("queues=2",),
                  tests="irqs,affinity,disks,net,tcp,irqs")
    outcome = bench.boot(guest).check("affinity", "disks", "net", "tcp")
    moved = int(outcome.words["MOVED"][0])
    expect(moved >= 3, f"only {moved} moves were allowed")


def moving(bench, tests, **more):
    """Disk 0 has one interrupt for all queues, which user space may move; disk 1 one for each CPU."""
    guest = Guest(cpus=4, disks=("queues=4,irq=shared", "queues=4"), tests=tests,
                  timeout=300, **more)
    return bench.boot(guest).check(*tests.split(","))


@case(cost=2, needs=("6.12",))
def two_moves_without_an_interrupt_between_come_to_the_second_cpu(bench):
    moving(bench, "twice,disks")


@case(cost=2, needs=("6.12",))
def an_interrupt_under_way_while_it_moves_is_neither_lost_nor_astray(bench):
    moving(bench, "storm,disks")


@case(cost=3, needs=("module-6.12",))
def a_message_refused_in_the_middle_leaves_its_queues_served(bench):
    moving(bench, "refused,restarted,disks", kernel="module-6.12", image="bzImage")


# With KASAN a kernel of that version does not start by PVH.
DEBUG = {"kernel": "debug-6.12", "memory": "512M", "args": ("--entry", "linux64")}


@case(full=True, cost=9, needs=("debug-6.12",))
def a_bind_bears_that_any_one_allocation_fails(bench):
    """With lockdep and KASAN. A bind that failed leaves the device FAILED for the one after it."""
    guest = Guest(cpus=2, disks=("queues=2",), timeout=2000, tests="failures,disks",
                  params={"ops": 16}, **DEBUG)
    outcome = bench.boot(guest).check("failures", "disks")
    tried, failed, bound = map(int, outcome.words["FAILURES"][0].split())
    expect(tried > 100 and failed > 20 and bound > 1, f"{tried} binds, {failed} failed")


@case(full=True, cost=9, needs=("debug-6.12",))
def no_lock_is_taken_out_of_order(bench):
    """Moves, refusals, unbinding and hot-unplug on a kernel with lockdep and KASAN."""
    moving(bench, "twice,storm,refused,restarted,rebind,hotplug,disks",
           params={"ops": 8, "moves": 100, "rebinds": 10}, **DEBUG)


@case(cost=3, needs=("6.12",))
def cpus_come_and_go_under_load_and_every_queue_fires_afterwards(bench):
    guest = Guest(cpus=4, disks=("queues=4",), nets=("queues=2",), timeout=300,
                  tests="net,hotplug,irqs,disks,tcp,irqs")
    outcome = bench.boot(guest).check("hotplug", "disks", "tcp", "irqs")
    outcome.check_disk_vectors("virtio0", 4)
    bench.check_image(guest)


@case(cost=3, needs=("6.1",))
def cpus_come_and_go_under_load_on_linux_6_1(bench):
    guest = Guest(kernel="6.1", cpus=4, disks=("queues=4",), tests="hotplug,irqs,disks,irqs",
                  timeout=300)
    bench.boot(guest).check("hotplug", "disks").check_disk_vectors("virtio0", 4)


def suspend(bench, kernel):
    guest = Guest(kernel=kernel, cpus=2, disks=("queues=2",), nets=("queues=2",), timeout=300,
                  tests="net,suspend,irqs,disks,tcp,irqs")
    outcome = bench.boot(guest).check("suspend", "disks", "tcp")
    outcome.check_disk_vectors("virtio0", 2)
    bench.check_image(guest)


@case(cost=2, needs=("6.12",))
def devices_work_after_suspend_to_idle(bench):
    suspend(bench, "6.12")


@case(cost=2, needs=("6.1",))
def devices_work_after_suspend_to_idle_on_linux_6_1(bench):
    suspend(bench, "6.1")


def kexec(bench, kernel):
    guest = Guest(kernel=kernel, cpus=2, disks=("queues=2",), nets=("queues=2",), kexec=True,
                  tests="disks,net,tcp,kexec", params={"then": "irqs,disks,net,tcp,irqs"},
                  timeout=300)
    outcome = bench.boot(guest).check("irqs", "disks", "net", "tcp")
    expect(len(outcome.words.get("UP", [])) == 2, "no second kernel came up")
    outcome.check_disk_vectors("virtio0", 2)
    bench.check_image(guest)


@case(quick=True, cost=3, needs=("6.12",))
def the_kernel_after_a_kexec_gets_its_vectors_as_the_first_did(bench):
    kexec(bench, "6.12")


@case(cost=3, needs=("6.1",))
def the_kernel_after_a_kexec_gets_its_vectors_on_linux_6_1(bench):
    kexec(bench, "6.1")
