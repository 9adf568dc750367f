# SPDX-License-Identifier: Apache-2.0
"""Which guests run, on which machine, and how each has to end."""

import dataclasses
import os
import struct

SECTORS = 2048
DEBUG_EXIT = 16         # the monitor's exit status for 0 failures
TWO_DISKS = ("queues=4,serial=bare-disk", "queues=2")


@dataclasses.dataclass
class Guest:
    """One run: a program, the monitor's options, the guest's own (append) and the outcome."""

    name: str
    program: str = ""
    disks: tuple = ()           # a disk's options behind path=; each is made of numbered sectors
    args: tuple = ()
    append: str = ""
    cpus: int = 1
    memory: int = 16
    status: int = -1            # expected; -1: through the debug port, without failures
    after: str = ""             # "unchanged", "blk": what the first disk looks like afterwards
    signal_at: str = ""         # a line of output at which the monitor gets SIGTERM
    check: str = ""             # the only one that runs
    tap: bool = False           # needs a network of its own, with a tap
    vhost: bool = False         # ... and the kernel's vhost-net
    watched: bool = False       # gets a second interface, which has to serve after each check
    sanitized: bool = False     # also runs on a monitor with sanitizers
    flap: bool = False          # ... which goes down and up a few times
    seconds: float = 20
    stats: dict = dataclasses.field(default_factory=dict)   # path in --stats -> value at the end

    def __post_init__(self):
        self.program = self.program or self.name


def two(name, **kw):
    return Guest(name, disks=kw.pop("disks", TWO_DISKS), **kw)


def variant(name, program, **kw):
    return two(name, program=program, **kw)


def hostile(name, program="", **kw):
    return two(name, program=program, watched=True, **kw)


def net(options):
    return ("--net", "tap=bare0,queues=2,mac=52:54:00:00:00:01," + options)


CONFORMANCE = [
    two("registers"), two("vectors"), two("mask"), two("refuse"), two("reset"), two("notify"),
    two("smp", cpus=2),
    variant("vectors-x2apic", "vectors", append="x2apic=1"),
    variant("smp-x2apic", "smp", cpus=2, append="x2apic=1"),
]

POWER = [Guest(f"power-{how}", "power", append=f"how={how}", status=status)
         for how, status in (("sleep", 0), ("reset", 0), ("i8042", 0), ("triple", 3),
                             ("debug", DEBUG_EXIT + 7))]
POWER += [Guest(f"power-{how}-sigterm", "power", append=f"how={how}", status=0, signal_at=line)
          for how, line in (("halt", "halted"), ("spin", "spinning"))]

GUESTS = CONFORMANCE + POWER + [
    Guest("boot"),
    Guest("boot-4-cpus", "boot", cpus=4, memory=64, append="ram=64"),
    two("blk", after="blk"),
    variant("blk-threads", "blk", after="blk",
            disks=("queues=4,serial=bare-disk,aio=threads", "queues=2")),
    variant("blk-writethrough", "blk", after="blk",
            disks=("queues=4,serial=bare-disk,cache=writethrough",)),
    variant("blk-line", "blk", after="blk", args=("--irq", "single")),
    two("readonly", disks=("queues=2,readonly=on",), after="unchanged"),
    two("shared", args=("--irq", "shared")),
    variant("mask-shared", "mask", args=("--irq", "shared")),
    variant("reset-shared", "reset", args=("--irq", "shared")),
    two("line"),
    variant("line-single", "line", args=("--irq", "single"), append="irq=single"),
    variant("line-15-disks", "line", disks=("queues=2",) * 15, args=("--irq", "single"),
            append="irq=single"),
    hostile("transport", sanitized=True),
    hostile("transport-single", "transport", args=("--irq", "single")),
    variant("cost-start", "cost", check="a_start_and_traffic", stats={
        "routing.set_gsi_routing": 1, "routing.irqfd_binds": 5, "routing.irqfd_unbinds": 0,
        "devices.0.notify_writes": 0, "devices.0.running_accesses": 1,
        "devices.0.queues.0.reads": 50, "devices.0.queues.3.reads": 50,
        "devices.0.queues.3.interrupts": 50}),
    variant("cost-masks", "cost", check="a_thousand_masks", stats={
        "routing.set_gsi_routing": 1, "routing.irqfd_binds": 5, "routing.irqfd_unbinds": 0}),
    variant("cost-same-message", "cost", check="the_same_message_again_and_again", stats={
        "routing.set_gsi_routing": 1, "routing.irqfd_binds": 5}),
    variant("cost-restarts", "cost", check="restarts_and_a_reset",
            stats={"routing.gsis_in_use": 0}),
    Guest("many", disks=("queues=1",) * 126 + ("queues=1,irq=shared", "queues=1,irq=single"),
          seconds=60, append="devices=128", stats={"routing.gsis_in_use": 254}),
    hostile("storm", cpus=2, seconds=40),
    Guest("serial"),
    hostile("hostile_ring", sanitized=True),
    hostile("hostile_ring-threads", "hostile_ring", disks=("queues=2,aio=threads", "queues=2")),
    hostile("hostile_blk", sanitized=True),
    hostile("hostile_blk-threads", "hostile_blk", disks=("queues=2,aio=threads", "queues=2")),
    hostile("hostile_smp", cpus=2, sanitized=True),
    hostile("hostile_smp-threads", "hostile_smp", cpus=2,
            disks=("queues=2,aio=threads", "queues=2")),
    Guest("net", tap=True, args=net("vhost=off")),
    Guest("net-line", "net", tap=True, args=("--irq", "single", *net("vhost=off"))),
    Guest("net-link", "net", tap=True, flap=True, append="flap=1",
          check="a_link_change_is_a_configuration_change", args=net("vhost=off")),
    Guest("net-vhost", "net", tap=True, vhost=True, args=net("vhost=on")),
    hostile("hostile_net", tap=True, sanitized=True, args=net("vhost=off")),
    hostile("hostile_net-vhost", "hostile_net", tap=True, vhost=True, append="vhost=1",
            args=net("vhost=on")),
]


def sector(number):
    """What lib/blk.c makes of a number."""
    return struct.pack("<64Q", *(number ^ i << 56 for i in range(64)))


def make_disk(path):
    with open(path, "wb") as f:
        f.write(b"".join(sector(n) for n in range(SECTORS)))


def complement(number):
    return ~number & 0xffffffffffffff


def disk_complaint(path, after):
    """None, or what is wrong with a disk after the run."""
    with open(path, "rb") as f:
        data = f.read()
    if len(data) != SECTORS * 512:
        return f"the file has {len(data)} bytes now"
    changed = range(64, 96) if after == "blk" else range(0)
    for n in range(SECTORS):
        want = sector(complement(n) if n in changed else n)
        if data[512 * n:512 * (n + 1)] != want:
            return f"sector {n} is not what it should be"
    return None



def program_path(directory, guest):
    return os.path.join(directory, guest.program + ".elf")
