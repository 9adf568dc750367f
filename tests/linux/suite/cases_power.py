# SPDX-License-Identifier: Apache-2.0
"""How Debian's own kernels end, on the command lines that their users give them. Nothing is passed
that a user would not pass: no reboot=, no panic=."""

import itertools

from artifacts import cache

from .bench import Guest, kernel_file
from .cases import case
from .outcome import Skip, expect

KERNELS = ("6.1", "generic", "rt", "6.12", "newest")
WAYS = ("reboot", "panic", "halt", "poweroff")
LINES = {
    "the default line": {},
    "a line of its own": {"args": ("--no-default-cmdline",), "cmdline": "console=ttyS0"},
    "acpi=off": {"cmdline": "acpi=off"},
}
# Way -> the monitor's status and words.
ENDS = {
    "reboot": (4, "guest asked for a reset"),
    "panic": (5, "guest panicked: Attempted to kill init! exitcode=0x00000100"),
    "poweroff": (0, "guest powered off"),
    "": (0, "stopping on signal 15"),
}


def stays(way, line):
    """What the guest says last where it is not to end by itself, as on any PC."""
    if way == "halt" or (way == "poweroff" and line == "acpi=off"):
        return "System halted"
    if way == "panic" and line == "a line of its own":
        return "end Kernel panic - not syncing"
    return None


def end(bench, kernel, way, line, cpus):
    last = stays(way, line)

    def on_line(process, text):
        if last and last in text:
            process.kill()

    how = dict(LINES[line])
    if last:
        how["args"] = (*how.get("args", ()), "--stop-timeout", "0")
    guest = Guest(kernel=f"stock-{kernel}", image="bzImage", tests=way, cpus=cpus, on_line=on_line,
                  **how)
    if kernel == "newest":
        try:
            kernel_file(guest)
        except cache.BuildError as e:
            raise Skip(f"the newest kernel cannot be had: {e}") from None
    outcome = bench.boot(guest)
    status, words = ENDS["" if last else way]
    what = f"{way} on {line} with {cpus} vCPUs"
    expect(not outcome.timed_out, f"{what}: the guest did not end")
    expect(outcome.status == status, f"{what}: exit status {outcome.status}, expected {status}")
    expect(words in outcome.log, f"{what}: the monitor said only {outcome.log.strip()[-200:]!r}")


def add(kernel, ways, lines, cpus, **kw):
    """One case: this kernel in all these combinations."""
    def run(bench):
        for way, line, nr in itertools.product(ways, lines, cpus):
            end(bench, kernel, way, line, nr)

    how = f"{'_and_'.join(ways)}_on_{'_and_'.join(lines)}" if len(lines) < len(LINES) else ways[0]
    run.__name__ = f"debian_{kernel}_ends_by_{how}_as_documented".replace(" ", "_")
    needs = (f"stock-{kernel}",) if kernel != "newest" else ()
    case(cost=len(ways) * len(lines) * len(cpus), needs=needs, **kw)(run)


def stopped(bench, kernel, tests, mark, *args):
    """The guest gets SIGTERM when it has printed that mark."""
    def on_line(process, text):
        if mark in text:
            process.kill()

    image = "bzImage" if kernel.startswith("stock-") else "vmlinux"
    outcome = bench.boot(Guest(kernel=kernel, image=image, tests=tests, cpus=2, args=args,
                               disks=("",), on_line=on_line))
    expect(outcome.status == 0 and not outcome.timed_out, f"exit status {outcome.status}")
    expect(outcome.stats, "no statistics: the monitor did not stop in order")
    return outcome


def button(bench, kernel):
    outcome = stopped(bench, kernel, "button", "MIMSY-LISTENS").check("button")
    expect(outcome.words["PRESSED"][0].split() == ["1", "116"], f"the button said {outcome.words['PRESSED']}")
    expect("guest powered off" in outcome.log, f"the monitor said only: {outcome.log!r}")


@case(quick=True, needs=("stock-6.12",))
def sigterm_presses_the_power_button_of_debian_6_12(bench):
    button(bench, "stock-6.12")


@case(needs=("stock-6.1",))
def sigterm_presses_the_power_button_of_debian_6_1(bench):
    button(bench, "stock-6.1")


@case(needs=("6.12",))
def a_guest_that_does_nothing_at_its_button_is_stopped_after_the_timeout(bench):
    outcome = stopped(bench, "6.12", "sleep", "MIMSY-SLEEPS", "--stop-timeout", "1")
    expect("has not powered off in 1 s" in outcome.log, f"the monitor said: {outcome.log!r}")


@case(needs=("6.12",))
def a_guest_without_acpi_is_stopped_at_once(bench):
    outcome = stopped(bench, "6.12", "sleep", "MIMSY-SLEEPS", "--stop-timeout", "3600",
                      "--describe", "cmdline")
    expect("cannot power off" in outcome.log and "asked the guest" not in outcome.log,
           f"the monitor said: {outcome.log!r}")


for name in KERNELS:
    add(name, ["reboot"], ["the default line"], [4], quick=name == "6.12")
    add(name, ["panic"], ["acpi=off"], [1])
    for each in WAYS:
        add(name, [each], list(LINES), [1, 4], full=True)
add("6.12", ["poweroff"], ["the default line"], [2])
add("6.1", ["poweroff"], ["acpi=off"], [1])
