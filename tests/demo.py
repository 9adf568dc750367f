# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: one MSI per virtio-mmio queue, beside a stock driver on the line."""

import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(HERE, "linux")]
from artifacts import cache, initramfs, module, stock  # noqa: E402
from testbed import host as testbed  # noqa: E402
from testbed.bed import BedError  # noqa: E402

MIMSY = os.path.join(ROOT, "build", "mimsy")
CPUS, QUEUES, PAIRS, DISK_MIB = 4, 4, 2, 64
LIMIT = 240		# s for one guest; an emulated one takes about 20
TAP_UP = ("ip tuntap add dev demo0 mode tap multi_queue vnet_hdr && "
          "ip addr add 10.0.0.1/24 dev demo0 && ip link set demo0 up")
TESTS = "disks,net,tcp,irqs"
CMDLINE = (f"mimsy.test={TESTS} mimsy.ops=200 mimsy.rounds=100 quiet loglevel=4 "
           "rcupdate.rcu_cpu_stall_suppress=1")


class DemoError(Exception):
    """The text says what went wrong."""


class Progress:
    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text):
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", flush=True)


def build_monitor():
    for argv in (["cmake", "-S", ROOT, "-B", ROOT + "/build", "-DTESTS=OFF"],
                 ["cmake", "--build", ROOT + "/build", "--parallel", str(os.cpu_count() or 2)]):
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        if r.returncode:
            raise DemoError("building mimsy failed:\n" + r.stdout[-3000:])


class Guest:
    """One run of a guest: what it printed, what the monitor counted."""

    def __init__(self, lines, stats):
        self.lines = lines
        self.stats = stats
        self.irqs = [line.split()[2:] for line in lines if line.startswith("MIMSY-IRQ irqs ")]
        self.failed = [line for line in lines if line.startswith("MIMSY-RESULT FAIL")]
        self.passed = {line.split()[2] for line in lines if line.startswith("MIMSY-RESULT ok")}

    def check(self):
        missing = set(TESTS.split(",")) - self.passed
        if self.failed or missing:
            raise DemoError("the guest's own checks failed: " +
                            ("; ".join(self.failed) or "no result of " + ", ".join(missing)) +
                            "\n" + "\n".join(self.lines[-25:]))

    def interrupts(self, name):
        """(vector's interrupts on each CPU) of one name, or None if it has no interrupt."""
        for _irq, _chip, irq_name, _aff, _eff, *counts in self.irqs:
            if name in irq_name.split(","):
                return [int(c) for c in counts]
        return None


def run_guest(bed, say, what, kernel, initrd):
    say(f"booting {what}")
    disk = f"{bed.scratch}/demo.img"
    stats = f"{bed.scratch}/stats.json"
    setup = (f"mkdir -p {bed.scratch}; truncate -s {DISK_MIB}M {disk}; "
             f"ip link show demo0 >/dev/null 2>&1 || {{ {TAP_UP}; }}")
    r = bed.run(setup, timeout=30)
    if r.status:
        raise DemoError("cannot make the tap (root is needed): " + r.text)
    guestio = bed.put(initramfs.guestio(), bed.scratch + "/guestio")
    argv = [bed.put(MIMSY), "run", "--kernel", bed.put(kernel), "--initrd", bed.put(initrd),
            "--cpus", str(CPUS), "--memory", "384M", "--stats", stats, "--cmdline", CMDLINE,
            "--disk", f"path={disk},queues={QUEUES}",
            "--net", f"tap=demo0,queues={PAIRS},mac=02:00:00:00:00:01"]
    server = bed.start([guestio, "serve", "7000"])
    try:
        r = bed.run(argv, timeout=LIMIT, merge=True)
    finally:
        server.kill()
    lines = r.text.replace("\r", "").split("\n")
    if r.status:
        raise DemoError(f"mimsy ended with status {r.status}\n" + "\n".join(lines[-25:]))
    return Guest(lines, json.loads(bed.get(stats)))


def requests_of(queue):
    return sum(queue.get(key, 0) for key in ("reads", "writes", "flushes", "others", "frames",
                                             "commands"))


def queue_names(device, virtio):
    """The driver's names for a device's queues, in the device's order."""
    if device["name"].startswith("blk"):
        return [f"{virtio}-req.{q}" for q in range(len(device["queues"]))]
    names = []
    for pair in range((len(device["queues"]) - 1) // 2):
        names += [f"{virtio}-input.{pair}", f"{virtio}-output.{pair}"]
    return names + [f"{virtio}-control"]


def table(guest):
    """Rows of the patched guest, and the queues whose own vector has not fired."""
    rows, silent = [], []
    for n, device in enumerate(guest.stats["devices"]):
        for queue, name in zip(device["queues"], queue_names(device, f"virtio{n}")):
            counts = guest.interrupts(name)
            cpus = [str(c) for c, n_irqs in enumerate(counts or []) if n_irqs]
            data = queue["message_data"] & 0xff
            rows.append((device["name"], name, f"{data:#x}" if data else "polled",
                         ",".join(cpus) or "-", str(sum(counts)) if counts else "-",
                         str(requests_of(queue))))
            if not name.endswith("control") and not (counts and sum(counts)):
                silent.append(name)
    return rows, silent


def print_table(head, rows):
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def exits_per_request(guest):
    devices = guest.stats["devices"]
    total = sum(requests_of(q) for d in devices for q in d["queues"])
    return sum(d["running_accesses"] for d in devices) / max(total, 1), total


def print_line_mode(guest):
    rows = []
    for n, device in enumerate(guest.stats["devices"]):
        counts = guest.interrupts(f"virtio{n}") or []
        rows.append((device["name"], f"virtio{n}", "the line",
                     ",".join(str(c) for c, k in enumerate(counts) if k) or "-",
                     str(sum(counts)), str(sum(map(requests_of, device["queues"])))))
    print_table(("device", "driver's name", "vector", "CPUs", "interrupts", "requests"), rows)
    return [row[1] for row in rows if row[4] == "0"]


def report(patched, plain, where):
    print(f"\nPatched guest: {CPUS} vCPUs, a disk with {QUEUES} queues, a network interface with "
          f"{PAIRS} pairs, {where}")
    rows, silent = table(patched)
    print_table(("device", "queue", "vector", "CPUs", "interrupts", "requests"), rows)
    routing = patched.stats["routing"]
    print(f"  KVM_SET_GSI_ROUTING calls: {routing['set_gsi_routing']} for "
          f"{len(patched.stats['devices'])} devices")
    print("\nStock driver, the same devices")
    silent += print_line_mode(plain)
    print("\nExits to the monitor per request while running")
    for name, guest in (("a vector per queue", patched), ("the line", plain)):
        ratio, total = exits_per_request(guest)
        print(f"  {name:20} {ratio:6.2f}   ({total} requests)")
    if silent:
        raise DemoError("no interrupt came for " + ", ".join(silent))
    print("\nEvery queue's own vector fired; all data read back equals what was written.")


def parse_args():
    p = argparse.ArgumentParser(prog="demo", description=__doc__)
    g = p.add_mutually_exclusive_group()
    g.add_argument("--host", action="store_const", dest="where", const="host",
                   help="use this machine's KVM, whatever the probe says")
    g.add_argument("--test-bed", action="store_const", dest="where", const="testbed",
                   help="use the emulated machine")
    p.add_argument("--kernel", choices=list(stock.META_PACKAGES), default="6.1",
                   help="Debian's cloud kernel to boot (6.1)")
    return p.parse_args()


def show(args):
    say = Progress()
    say("building mimsy")
    build_monitor()
    say(f"preparing Debian's kernel {args.kernel} and the guest driver")
    kernel = os.path.join(stock.build(args.kernel), "bzImage")
    ours = initramfs.build(args.kernel, module.build(args.kernel))
    theirs = initramfs.build(args.kernel)
    where, why = testbed.decide("linux", args.where)
    say(f"running {'on this machine' if where == 'host' else 'in the test bed'}: {why}")
    with testbed.choose("linux", where) as bed:
        patched = run_guest(bed, say, "the guest with our driver", kernel, ours)
        patched.check()
        plain = run_guest(bed, say, "the guest with the stock driver", kernel, theirs)
        plain.check()
    say("done")
    report(patched, plain, "emulated" if where == "testbed" else "on this machine's KVM")


def main():
    args = parse_args()
    try:
        show(args)
    except (DemoError, BedError, cache.BuildError) as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main())
