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
    background: str = ""        # shell commands beside the monitor, in that network
    shell: str = ""             # runs the monitor, "$@"; DIR is a folder of its own
    mute: bool = False          # nothing of the guest's output comes back
    case: str = ""              # what it shows that the guest ends as it should, if it cannot say
    one_line: bool = False      # ... and that the monitor says so in one line
    seconds: float = 60         # at most; a starved machine takes ten times what an idle one does
    # path in --stats -> value at the end, or the least and the most
    stats: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.program = self.program or self.name


DOWN_AND_UP = ("for i in 1 2 3 4 5; do sleep 0.6; IP link set bare0 down; sleep 0.6; "
               "IP link set bare0 up; done")
GONE = "sleep 1.5; IP link del bare0"
FLOOD = "sleep 1; FLOOD 192.168.77.255 4"


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
         for how, status in (("sleep", 0), ("reset", 4), ("i8042", 4), ("chipset", 4), ("panic", 5),
                             ("panic-text", 5), ("debug", DEBUG_EXIT + 7))]
# Without the button it would go on for an hour.
POWER += [Guest("power-button", "power", append="how=button", args=("--stop-timeout", "3600"),
                status=0, signal_at="listening")]
POWER += [Guest("power-bios", "power", append="how=bios", cpus=2, status=4)]
POWER += [Guest(f"power-{how}-sigterm", "power", append=f"how={how}", status=0, signal_at=line,
                case=case)
          for how, line, case in (
              ("halt", "halted", "v1_a_halt_without_interrupts_can_be_ended"),
              ("spin", "spinning", "v2_a_spinning_vcpu_can_be_ended"))]
POWER += [Guest(f"power-{how}", "power", append=f"how={how}", status=3, one_line=True, case=case)
          for how, case in (("triple", "v1_a_triple_fault_is_one_line_and_status_3"),
                            ("nowhere", "v1_code_outside_of_memory_is_one_line_and_status_3"),
                            ("init", "v1_init_to_the_first_cpu_is_one_line_and_status_3"))]

# C1, C2, C5: where the output goes and where the input comes from. The guest's verdict is its status.
MUTED = (("full", "c2_a_full_device_takes_nothing", '"$@" > /dev/full'),
         ("closed", "c2_output_that_is_closed", '"$@" >&-'),
         ("gone", "c2_a_reader_that_goes_away",
          'mkfifo DIR/f; head -c 100 < DIR/f > /dev/null & exec "$@" > DIR/f'),
         ("stopped", "c2_a_reader_that_stops",
          'mkfifo DIR/f; sleep 60 < DIR/f & "$@" > DIR/f & m=$!; c="/proc/$m/task/*/comm"; '
          'until grep -qs vcpu0 $c || ! kill -0 $m; do sleep 0.1; done; '
          'while grep -qs vcpu0 $c; do sleep 0.1; done; kill $m; wait $m'))

GUESTS = CONFORMANCE + POWER + [
    Guest("boot"),
    Guest("boot-4-cpus", "boot", cpus=4, memory=64, append="ram=64"),
    two("blk", after="blk"),
    variant("blk-threads", "blk", after="blk",
            disks=("queues=4,serial=bare-disk,aio=threads", "queues=2")),
    variant("blk-sqpoll", "blk", after="blk",
            disks=("queues=4,serial=bare-disk,aio=io_uring,sqpoll=on", "queues=2")),
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
    Guest("many-vectors", "many", disks=("queues=64,aio=threads",) * 63, seconds=120,
          append="exhaust=4056", check="no_interrupt_number_is_left"),
    hostile("storm", cpus=2, seconds=40),
    # Rounds are limited to a burst of 64 and 200 a second, for all that the machine does.
    hostile("storm-programming", "storm", cpus=2, check="m5_programming_without_end", stats={
        "routing.set_gsi_routing": (2, 64 + 200 * 4), "routing.irqfd_binds": (5, 10)}),
    Guest("serial"),
    Guest("deaf", disks=("queues=64,aio=threads",) * 48, status=0, signal_at="without end", seconds=120,
          case="m5_sigterm_is_heard_while_a_guest_programs_without_end"),
    hostile("flood", append="lines=128"),
    hostile("flood-input", "flood", append="input=1", check="c1_input_without_end",
            shell='mkfifo DIR/f; head -c 100000000 /dev/zero > DIR/f & exec "$@" < DIR/f'),
    *(hostile(f"flood-{how}", "flood", mute=True, status=DEBUG_EXIT, case=case,
              append="lines=160" if how == "stopped" else "",   # more than the pipe holds
              shell=shell if "mkfifo" in shell else "exec " + shell)
      for how, case, shell in MUTED),
    hostile("hostile_ring", sanitized=True),
    hostile("hostile_ring-threads", "hostile_ring", disks=("queues=2,aio=threads", "queues=2")),
    hostile("hostile_blk", sanitized=True),
    hostile("hostile_ring-sqpoll", "hostile_ring",
            disks=("queues=2,aio=io_uring,sqpoll=on", "queues=2")),
    hostile("hostile_blk-threads", "hostile_blk", disks=("queues=2,aio=threads", "queues=2")),
    hostile("hostile_smp", cpus=2, sanitized=True),
    hostile("hostile_smp-threads", "hostile_smp", cpus=2,
            disks=("queues=2,aio=threads", "queues=2")),
    Guest("net", tap=True, args=net("vhost=off")),
    Guest("net-inline", "net", tap=True, args=net("inline-kick=on")),
    Guest("net-line", "net", tap=True, args=("--irq", "single", *net("vhost=off"))),
    Guest("net-link", "net", tap=True, background=DOWN_AND_UP, append="flap=1",
          check="a_link_change_is_a_configuration_change", args=net("vhost=off")),
    Guest("net-vhost", "net", tap=True, vhost=True, args=net("vhost=on")),
    Guest("net-rss", "net", tap=True, check="frames_come_by_the_queue_that_the_driver_chose",
          args=net("vhost=off,rss=on"), stats={"devices.0.rss": 4}),
    hostile("hostile_net", tap=True, sanitized=True, args=net("vhost=off")),
    hostile("hostile_net-rss", "hostile_net", tap=True, sanitized=True,
            check="n9_a_table_of_queues_that_are_not_there", args=net("vhost=off,rss=on")),
    hostile("hostile_net-inline", "hostile_net", tap=True, sanitized=True,
            args=net("inline-kick=on")),
    hostile("hostile_net-smp", "hostile_net", tap=True, cpus=2, append="cpus=2", sanitized=True,
            check="n5_receive_buffers_change_amid_frames", args=net("vhost=off")),
    hostile("hostile_net-down", "hostile_net", tap=True, background=DOWN_AND_UP, append="flap=1",
            check="n7_frames_while_the_link_is_down", args=net("vhost=off")),
    hostile("hostile_net-gone", "hostile_net", tap=True, background=GONE, append="gone=1",
            check="n8_the_interface_is_deleted", args=net("vhost=off")),
    hostile("hostile_net-flood", "hostile_net", tap=True, background=FLOOD, append="flood=1",
            check="n10_frames_without_end", args=net("vhost=off")),
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
