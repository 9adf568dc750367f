# SPDX-License-Identifier: Apache-2.0
"""The figures B1..B15 and how each comes out of a phase's counters.

A phase's counters include what its two marks cost: a few characters through the serial port. Exits
of that port are known by its address and left out. The rest of the marks, the same few system calls
in all phases of one run, is measured with a phase that does nothing, and is taken off.
"""

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
    Figure("B5p", "calls between CPUs per 4k read, 4 queues, 4 CPUs", "IPIs/op"),
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
    Figure("B10", "memory of the monitor's own", "bytes", digits=0),
    Figure("B10r", "resident memory, programs and libraries included", "bytes", digits=0),
    Figure("B11", "TCP transactions", "1/s", timed=True, better="higher", digits=0),
    Figure("B11p10", "10th percentile of the latency of B11", "us", timed=True, digits=0),
    Figure("B11p50", "median of the latency of B11", "us", timed=True, digits=0),
    Figure("B11p99", "99th percentile of the latency of B11", "us", timed=True, digits=0),
    Figure("B11s", "TCP stream out of the guest", "MiB/s", timed=True, better="higher", digits=1),
    Figure("B11r", "TCP stream into the guest", "MiB/s", timed=True, better="higher", digits=1),
    Figure("B12", "4k random reads, depth 1", "1/s", timed=True, better="higher", digits=0),
    Figure("B12w", "4k random writes, depth 1", "1/s", timed=True, better="higher", digits=0),
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
EXIT_NAMES = {
    0x400: "memory (MMIO, kicks)", 48: "memory (MMIO, kicks)", 49: "memory (MMIO, kicks)",
    0x7b: "port I/O", 30: "port I/O", 45: "EOI", 0x78: "halt", 12: "halt",
    0x7c: "MSR (timer, EOI, IPI)", 31: "MSR (timer, EOI, IPI)", 32: "MSR (timer, EOI, IPI)",
    0x60: "host interrupt", 1: "host interrupt", 0x64: "interrupt window", 7: "interrupt window",
}
OTHER_EXIT = "other"


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


def exits_by_name(delta, marks, ops):
    """Exits per operation by reason, in words."""
    out = {}
    counts, idle = (d.by_key("kvm/kvm_exit", 1) for d in (delta, marks))
    for reason in set(counts) | set(idle):
        name = EXIT_NAMES.get(reason, OTHER_EXIT)
        out[name] = out.get(name, 0) + (counts[reason] - idle[reason]) / ops
    return {name: max(0.0, value) for name, value in out.items()}


def per_operation(delta, marks, ops):
    whole, empty = totals(delta), totals(marks)
    return {key: (whole[key] - empty[key]) / ops for key in whole}


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
