# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: one MSI per virtio-mmio queue, beside a stock driver on the line."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(HERE, "linux")]
from artifacts import cache, initramfs, module, stock  # noqa: E402
from suite.bench import Bench, Guest  # noqa: E402
from suite.outcome import Failure  # noqa: E402
from testbed import host as testbed  # noqa: E402
from testbed.bed import BedError  # noqa: E402

BUILD = os.path.join(ROOT, "build", "demo")     # not the user's own build folder
MIMSY = os.path.join(BUILD, "mimsy")
CPUS, QUEUES, PAIRS = 4, 4, 2
TESTS = ("disks", "net", "tcp", "irqs")
# Two tests of the CPU that an emulated one fails loudly have nothing to do with interrupts.
CMDLINE = "rcupdate.rcu_cpu_stall_suppress=1 mitigations=off noxsave"


class Progress:
    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text):
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", flush=True)


def build_monitor():
    for argv in (["cmake", "-S", ROOT, "-B", BUILD, "-DTESTS=OFF"],
                 ["cmake", "--build", BUILD, "--parallel", str(os.cpu_count() or 2)]):
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        if r.returncode:
            raise Failure("building mimsy failed:\n" + r.stdout[-3000:])


def boot(bench, label, kernel):
    """One guest with a disk and a network interface, whose own checks have all passed. Without
    vhost the monitor moves the frames itself and so can count them."""
    bench.label = label
    outcome = bench.boot(Guest(
        kernel=kernel, image="bzImage", tests=",".join(TESTS), cpus=CPUS, memory="384M",
        disks=(f"queues={QUEUES}",), nets=(f"queues={PAIRS},vhost=off",), cmdline=CMDLINE,
        params={"ops": 200, "rounds": 100}, timeout=240))
    return outcome.check(*TESTS)


def requests_of(queue):
    return sum(queue.get(key, 0) for key in ("reads", "writes", "flushes", "others", "frames",
                                             "commands"))


def queue_names(device, virtio):
    """The driver's names for a device's queues, in the device's order."""
    queues = len(device["queues"])
    if device["name"].startswith("blk"):
        return [f"{virtio}-req.{q}" for q in range(queues)]
    pairs = [[f"{virtio}-input.{p}", f"{virtio}-output.{p}"] for p in range((queues - 1) // 2)]
    return sum(pairs, []) + [f"{virtio}-control"]


def irq_row(irqs, name):
    """CPUs and count of an interrupt; a queue that the driver polls has none."""
    irq = irqs.get(name)
    return (",".join(map(str, irq.cpus)) or "-", str(irq.total)) if irq else ("-", "-")


def print_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def print_patched(outcome):
    """Returns the queues whose own vector has not fired."""
    irqs, silent = outcome.tables[-1], []
    rows = [("device", "queue", "vector", "CPUs", "interrupts", "requests")]
    for n, device in enumerate(outcome.stats["devices"]):
        for queue, name in zip(device["queues"], queue_names(device, f"virtio{n}")):
            vector = queue["message_data"] & 0xff
            rows.append((device["name"], name, f"{vector:#x}" if vector else "polled",
                         *irq_row(irqs, name), str(requests_of(queue))))
            if not name.endswith("-control") and not (name in irqs and irqs[name].total):
                silent.append(name)
    print_table(rows)
    return silent


def print_plain(outcome):
    rows = [("device", "driver's name", "vector", "CPUs", "interrupts", "requests")]
    irqs, silent = outcome.tables[-1], []
    for n, device in enumerate(outcome.stats["devices"]):
        name = f"virtio{n}"
        rows.append((device["name"], name, "the line", *irq_row(irqs, name),
                     str(sum(map(requests_of, device["queues"])))))
        if not (name in irqs and irqs[name].total):
            silent.append(name)
    print_table(rows)
    return silent


def print_exits(label, outcome):
    devices = outcome.stats["devices"]
    total = sum(requests_of(q) for d in devices for q in d["queues"])
    exits = sum(d["running_accesses"] for d in devices)
    print(f"  {label:20} {exits / max(total, 1):6.2f}   ({exits} exits, {total} requests)")


def report(patched, plain, where):
    print(f"\nOur driver: {CPUS} vCPUs, a disk with {QUEUES} queues, a network interface with "
          f"{PAIRS} pairs, {where}")
    silent = print_patched(patched)
    print(f"  KVM_SET_GSI_ROUTING calls: {patched.routing_calls} for "
          f"{len(patched.stats['devices'])} devices")
    print("\nStock driver, the same devices")
    silent += print_plain(plain)
    print("\nExits to the monitor per request, once the driver runs")
    print_exits("a vector per queue", patched)
    print_exits("the line", plain)
    if silent:
        raise Failure("no interrupt came for " + ", ".join(silent))
    print("\nEvery queue's own vector fired, and all data read back equals what was written.")


def parse_args():
    p = argparse.ArgumentParser(prog="demo", description=__doc__)
    g = p.add_mutually_exclusive_group()
    g.add_argument("--host", action="store_const", dest="where", const="host",
                   help="use this machine's KVM, whatever the probe says")
    g.add_argument("--test-bed", action="store_const", dest="where", const="testbed",
                   help="use the emulated machine")
    p.add_argument("--kernel", choices=stock.WITH_MODULES, default="6.1",
                   help="Debian's cloud kernel to boot (6.1)")
    return p.parse_args()


def show(args, logs):
    say = Progress()
    say("building mimsy")
    build_monitor()
    say(f"preparing Debian's kernel {args.kernel} and the guest driver")
    initramfs.build(args.kernel, module.build(args.kernel))
    where, why = testbed.decide("linux", args.where)
    say(f"running {'on this machine' if where == 'host' else 'in the test bed'}: {why}")
    with testbed.choose("linux", where) as bed:
        bench = Bench(bed, MIMSY, logs)
        try:
            say("booting the guest with our driver")
            patched = boot(bench, "our-driver", "module-" + args.kernel)
            say("booting the guest with the stock driver")
            plain = boot(bench, "stock-driver", "stock-" + args.kernel)
        finally:
            bench.close()
    say("done")
    report(patched, plain, "emulated" if where == "testbed" else "on this machine's KVM")


def main():
    args = parse_args()
    logs = tempfile.mkdtemp(prefix="mimsy-demo-")
    try:
        show(args, logs)
    except (Failure, BedError, cache.BuildError) as e:
        print(f"demo: {e}\ndemo: the guests' consoles are in {logs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"The guests' consoles are in {logs}")
    return 0


sys.exit(main())
