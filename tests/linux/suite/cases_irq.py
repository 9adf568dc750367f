# SPDX-License-Identifier: Apache-2.0
"""Interrupt modes, the ladder of the driver when vectors run out, many devices, the net."""

from .bench import Guest
from .cases import case
from .outcome import expect


def log_of(outcome):
    return "\n".join(outcome.words.get("LOG", []))


@case(quick=True, cost=2, needs=("6.12",))
def irq_shared_gives_one_vector_to_all_queues(bench):
    guest = Guest(cpus=2, disks=("queues=2",), args=("--irq", "shared"))
    outcome = bench.boot(guest).check("irqs", "disks")
    names = outcome.names("virtio0")
    expect(len(names) == 2 and "virtio0-config" in names, f"vectors: {', '.join(names)}")
    outcome.check_fired(*(n for n in names if n != "virtio0-config"))
    expect("one vector for all queues" in log_of(outcome), "the driver did not log the rung")
    bench.check_image(guest)


@case(quick=True, needs=("6.12",))
def irq_single_hides_msi_from_a_patched_guest(bench):
    guest = Guest(cpus=2, disks=("queues=2",), args=("--irq", "single"))
    outcome = bench.boot(guest).check("irqs", "disks")
    expect(outcome.names("virtio0") == ["virtio0"], f"interrupts: {outcome.names('virtio0')}")
    expect(outcome.irq("virtio0").chip == "IO-APIC", "the line is not the IOAPIC's")
    outcome.check_fired("virtio0")
    bench.check_image(guest)


@case(needs=("6.12",))
def each_device_may_have_another_interrupt_mode(bench):
    guest = Guest(cpus=2, disks=("queues=2,irq=msi", "queues=2,irq=shared", "queues=2,irq=single"),
                  tests="irqs,disks,irqs,readonly,files", args=())
    guest.disks += ("readonly=on",)
    outcome = bench.boot(guest).check("irqs", "disks", "readonly", "files")
    outcome.check_disk_vectors("virtio0", 2)
    expect(len(outcome.names("virtio1")) == 2, f"shared: {outcome.names('virtio1')}")
    expect(outcome.names("virtio2") == ["virtio2"], f"single: {outcome.names('virtio2')}")


@case(cost=2, needs=("6.12",))
def eight_disks_with_four_queues_each_fire_all_32_vectors(bench):
    guest = Guest(cpus=4, disks=("queues=4",) * 8, params={"ops": 24})
    outcome = bench.boot(guest).check("irqs", "disks")
    for disk in range(8):
        outcome.check_disk_vectors(f"virtio{disk}", 4)
        bench.check_image(guest, disk, ops=24)
    expect(outcome.routing_calls <= 8, f"{outcome.routing_calls} routing ioctls for 8 devices")


@case(quick=True, cost=3, needs=("6.12",))
def a_net_with_two_pairs_fires_each_pair_and_the_control_queue(bench):
    guest = Guest(cpus=2, nets=("queues=2",), tests="irqs,net,tcp,control,tcp,irqs")
    outcome = bench.boot(guest).check("irqs", "net", "tcp", "control")
    outcome.check_fired("virtio0-input.0", "virtio0-input.1", "virtio0-output.0",
                        "virtio0-output.1")
    queues = outcome.device(0)["queues"]
    expect(len(queues) == 5, f"{len(queues)} queues, expected 2 pairs and control")
    expect(queues[4]["commands"] >= 6, f"{queues[4]['commands']} commands on the control queue")


@case(cost=2, needs=("6.12",))
def a_net_with_a_pair_for_each_two_cpus_takes_one_routing_ioctl(bench):
    """Its vectors start on the CPUs that virtio_net moves them to afterwards."""
    guest = Guest(cpus=4, nets=("queues=2",), tests="irqs,net,irqs")
    outcome = bench.boot(guest).check("irqs", "net")
    expect(outcome.routing_calls == 1, f"{outcome.routing_calls} routing ioctls for one device")


@case(cost=2, needs=("6.1",))
def a_net_on_linux_6_1_fires_each_pair(bench):
    guest = Guest(kernel="6.1", cpus=2, nets=("queues=2",), tests="irqs,net,tcp,control,irqs")
    outcome = bench.boot(guest).check("irqs", "net", "tcp", "control")
    outcome.check_fired("virtio0-input.0", "virtio0-input.1", "virtio0-output.0",
                        "virtio0-output.1")


@case(cost=2, needs=("6.12",))
def a_net_with_inline_kicks_sends_without_its_threads(bench):
    guest = Guest(cpus=2, nets=("queues=2,inline-kick=on",), tests="irqs,net,tcp,control,irqs")
    outcome = bench.boot(guest).check("irqs", "net", "tcp", "control")
    outcome.check_fired("virtio0-input.0", "virtio0-input.1", "virtio0-output.0",
                        "virtio0-output.1")
    device = outcome.device(0)
    sent = [device["queues"][q] for q in (1, 3)]
    for queue in sent:
        # The thread is woken for the rest of a burst only.
        expect(queue["frames"] >= 50, f"{queue['frames']} frames sent")
        expect(queue["kicks"] * 5 < queue["frames"], f"{queue['kicks']} wake-ups of the thread")
    kicks = device["notify_writes"]
    expect(kicks * 4 > sum(q["frames"] for q in sent), f"{kicks} kicks came as exits")
    expect(device["vhost"] == 0, "vhost was used")


@case(cost=2, needs=("6.12",))
def a_net_over_the_single_line_carries_tcp(bench):
    guest = Guest(cpus=2, nets=("queues=2,irq=single", "irq=shared"), tests="irqs,net,tcp,irqs")
    outcome = bench.boot(guest).check("irqs", "net", "tcp")
    outcome.check_fired("virtio0")


# With one CPU there are about 200 vectors. Ninety disks take two each, whatever they offer; a net
# with 32 pairs then finds too few for its 65 queues and shares; small nets use up the rest, the last
# get the line.
EXHAUSTED = {"cpus": 1, "memory": "512M", "disk_len": "1M",
             "disks": ("queues=64",) * 5 + ("",) * 85, "nets": ("queues=32",) + ("",) * 8,
             "tests": "disks,net,irqs", "timeout": 300,
             "params": {"ops": 6, "log": "MSI:", "loglines": 120}}


def exhaustion(bench, kernel):
    outcome = bench.boot(Guest(kernel=kernel, **EXHAUSTED)).check("irqs", "disks", "net")
    log = log_of(outcome)
    for rung in ("a vector per queue", "one vector for all queues", "using the interrupt line"):
        expect(rung in log, f"no device is on the rung '{rung}'")
    expect(len(outcome.names("virtio90")) == 2, f"the wide net has {outcome.names('virtio90')}")
    expect(outcome.names("virtio98") == ["virtio98"], "the last net has vectors")
    for device in range(90):
        outcome.check_fired(f"virtio{device}-req.0")
    return outcome


@case(cost=9, needs=("6.12",))
def when_vectors_run_out_devices_share_and_then_take_the_line(bench):
    exhaustion(bench, "6.12")


@case(cost=9, needs=("6.1",))
def when_vectors_run_out_on_linux_6_1_devices_share_and_then_take_the_line(bench):
    exhaustion(bench, "6.1")
