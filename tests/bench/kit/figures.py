# SPDX-License-Identifier: Apache-2.0
"""The figures B1..B15 and how each comes out of a phase's counters.

A phase's counters include what its two marks cost: a few characters through the serial port. Exits
of that port are known by its address and left out. The rest of the marks, the same few system calls
in all phases of one run, is measured with a phase that does nothing, and is taken off.
"""

import collections
import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Figure:
    id: str
    name: str
    unit: str
    timed: bool = False     # a time: emulated if the machine is
    better: str = "lower"
    digits: int = 2


FIGURES = {f.id: f for f in (
    Figure("B1", "exits to the monitor per 4k read", "exits/op"),
    Figure("B2", "exits that the device causes per 4k read (MMIO, PIO, EOI)", "exits/op"),
    Figure("B2a", "all exits per 4k read", "exits/op"),
    Figure("B3", "system calls of the monitor per 4k read", "calls/op"),
    Figure("B4", "wake-ups in the monitor and kworkers per 4k read", "wakeups/op"),
    Figure("B4k", "interrupts put off to a kworker per 4k read", "works/op"),
    Figure("B4i", "interrupts per 4k read", "irqs/op"),
    Figure("B5", "interrupts per 4k read, depth 32", "irqs/op"),
    Figure("B5x", "all exits per 4k read, depth 32", "exits/op"),
    Figure("B5s", "system calls of the monitor per 4k read, depth 32", "calls/op"),
    Figure("B5c", "completions on the CPU that submitted, 4 queues, 4 CPUs", "%",
           better="higher", digits=1),
    Figure("B5p", "IPIs to the CPU that submitted, per 4k read, 4 queues, 4 CPUs",
           "IPIs/op"),
    Figure("B6", "exits to the monitor per TCP transaction", "exits/op"),
    Figure("B6x", "all exits per TCP transaction", "exits/op"),
    Figure("B6d", "exits that the device causes per TCP transaction", "exits/op"),
    Figure("B6s", "system calls of the monitor per TCP transaction", "calls/op"),
    Figure("B6w", "wake-ups in the monitor and kworkers per TCP transaction", "wakeups/op"),
    Figure("B6i", "interrupts per TCP transaction", "irqs/op"),
    Figure("B7", "system calls from exec to the first KVM_RUN", "calls", digits=0),
    Figure("B7r", "KVM_SET_GSI_ROUTING from exec to the guest's init", "calls", digits=0),
    Figure("B7i", "ioctls but KVM_RUN from exec to the guest's init", "calls", digits=0),
    Figure("B8", "all exits from exec to the guest's init", "exits", digits=0),
    Figure("B8u", "exits to the monitor from exec to the guest's init", "exits", digits=0),
    Figure("B9", "start to the guest's init", "s", timed=True),
    Figure("B9m", "start to the first entry into the guest", "s", timed=True, digits=3),
    Figure("B9k", "the guest kernel's own part of B9", "s", timed=True),
    Figure("B10", "private memory without guest RAM: what one more monitor adds", "bytes",
           digits=0),
    Figure("B10a", "B10, and the pages of program and libraries, private to one alone", "bytes",
           digits=0),
    Figure("B10r", "resident memory without guest RAM", "bytes", digits=0),
    Figure("B11", "TCP transactions", "1/s", timed=True, better="higher", digits=0),
    Figure("B11p10", "10th percentile of the latency of B11", "us", timed=True, digits=0),
    Figure("B11p50", "median of the latency of B11", "us", timed=True, digits=0),
    Figure("B11p99", "99th percentile of the latency of B11", "us", timed=True, digits=0),
    Figure("B11s", "TCP stream out of the guest", "MiB/s", timed=True, better="higher", digits=1),
    Figure("B11r", "TCP stream into the guest", "MiB/s", timed=True, better="higher", digits=1),
    Figure("B12", "4k random reads, depth 1", "1/s", timed=True, better="higher", digits=0),
    Figure("B12w", "4k random writes, depth 1", "1/s", timed=True, better="higher", digits=0),
    Figure("B12wq", "4k random writes, depth 32", "1/s", timed=True, better="higher", digits=0),
    Figure("B12q", "4k random reads, depth 32", "1/s", timed=True, better="higher", digits=0),
    Figure("B12p10", "10th percentile of the latency of B12", "us", timed=True, digits=0),
    Figure("B12p50", "median of the latency of B12", "us", timed=True, digits=0),
    Figure("B12p99", "99th percentile of the latency of B12", "us", timed=True, digits=0),
    Figure("B12s1", "4k reads, a job on each of 4 CPUs, 1 queue", "1/s", timed=True,
           better="higher", digits=0),
    Figure("B12s2", "4k reads, a job on each of 4 CPUs, 2 queues", "1/s", timed=True,
           better="higher", digits=0),
    Figure("B12s4", "4k reads, a job on each of 4 CPUs, 4 queues", "1/s", timed=True,
           better="higher", digits=0),
    Figure("B13", "TCP transactions, doorbells on / off", "ratio", timed=True, better="higher"),
    Figure("B13b", "4k random reads, doorbells on / off", "ratio", timed=True, better="higher"),
    Figure("B14", "starts to init and kills", "1/s", timed=True, better="higher", digits=3),
    Figure("B14c", "the same, 8 at once", "1/s", timed=True, better="higher", digits=3),
    Figure("B15", "size of the program file", "bytes", digits=0),
)}

# SVM's and VMX's numbers; no number of one means one of these in the other.
NESTED_FAULT, PIO, EOI, HLT = (0x400, 48, 49), (0x7b, 30), (45,), (0x78, 12)
KICK, EOI_EXIT, PORT, MSR = "kick, handled in the kernel", "EOI", "port I/O", \
    "MSR (timer, EOI, IPI)"
MONITOR, OTHER_EXIT, CPUID = "to the monitor", "other", "CPUID"
TOUCH = "memory touched first"      # what looks like a kick while a guest boots
EXIT_NAMES = {
    0x400: KICK, 48: KICK, 49: KICK, 0x7b: PORT, 30: PORT, 45: EOI_EXIT, 0x78: "halt", 12: "halt",
    0x7c: MSR, 31: MSR, 32: MSR, 0x60: "host interrupt", 1: "host interrupt",
    0x64: "interrupt window", 7: "interrupt window",
    0x72: CPUID, 10: CPUID,
}
# KVM_EXIT_IO, _MMIO and _IOAPIC_EOI: what each of them was for the CPU. Without an exit of its own
# an EOI is a write to an MSR.
USER_EXITS = {2: (PORT,), 6: (KICK,), 26: (EOI_EXIT, MSR)}


def device_exits(exits):
    return sum(exits.get(reason, 0) for reason in NESTED_FAULT + PIO + EOI)


def totals(delta):
    """Sums of one phase, still with the cost of its marks."""
    exits = delta.by_key("kvm/kvm_exit", 1)
    console = delta.console_exits()
    _, others = delta.wakeups()
    inject = delta.work("irqfd_inject")
    return {
        "user": sum(delta.by_key("kvm/kvm_userspace_exit", 1).values()) - console,
        "device": device_exits(exits) - console,
        "exits": sum(exits.values()) - console,
        # Each of the console's exits ends one KVM_RUN.
        "calls": sum(delta.by_key("raw_syscalls/sys_enter", 1).values()) - console,
        "wakeups": others + inject,
        "inject": inject,
    }


def exits_by_name(delta, marks=None, ops=1):
    """Exits per operation by reason, in words; those that go on to the monitor are one of them."""
    out = collections.Counter()
    for sign, d in ((1, delta), (-1, marks)):
        if not d:
            continue
        for reason, n in d.by_key("kvm/kvm_exit", 1).items():
            out[EXIT_NAMES.get(reason, OTHER_EXIT)] += sign * n
        for reason, n in d.by_key("kvm/kvm_userspace_exit", 1).items():
            names = USER_EXITS.get(reason, (OTHER_EXIT,))
            out[next((name for name in names if out[name] >= n), names[-1])] -= sign * n
            out[MONITOR] += sign * n
    return {name: max(0.0, n / ops) for name, n in out.items()}


def per_operation(delta, marks, ops):
    whole, empty = totals(delta), totals(marks)
    return {key: max(0, whole[key] - empty[key]) / ops for key in whole}


BLK = {"user": "B1", "device": "B2", "exits": "B2a", "calls": "B3", "wakeups": "B4",
       "inject": "B4k"}
DEEP = {"exits": "B5x", "calls": "B5s"}
RR = {"user": "B6", "device": "B6d", "exits": "B6x", "calls": "B6s", "wakeups": "B6w"}


def wanted_ids(only):
    """The ids that a list like B1,B6 names: B6 stands for B6x, B6s .. as well."""
    if not only:
        return set(FIGURES)
    out = set()
    for word in only.split(","):
        found = {i for i in FIGURES if i == word or re.fullmatch(word + "[a-z][a-z0-9]*", i)}
        if not found:
            raise ValueError(f"no figure {word}; --list names them")
        out |= found
    return out
