# SPDX-License-Identifier: Apache-2.0
"""A place where guests are booted: a bed (or the host) with the monitor, kernels and taps in it."""

import dataclasses
import itertools
import json
import os
import time

from artifacts import debug, initramfs, kernels, module, stock

from . import crash
from .outcome import Failure, Outcome, expect

DISK_LEN = "16M"
PORT = 7000


@dataclasses.dataclass
class Guest:
    """One boot. kernel: a version for the tiny patched kernel; "stock-" before it is Debian's own,
    "module-" Debian's with our module, "debug-" one of ours that looks for faults. disks, nets: further options of each, like "queues=4"."""

    kernel: str = "6.12"
    image: str = "vmlinux"
    tests: str = "irqs,disks,irqs"
    cpus: int = 2
    memory: str = "256M"
    disks: tuple = ()
    nets: tuple = ()
    args: tuple = ()
    cmdline: str = ""
    params: dict = dataclasses.field(default_factory=dict)
    kexec: bool = False
    timeout: int = 200
    on_line: object = None      # called with (process, line) while the guest runs
    disk_len: str = DISK_LEN
    contents: tuple = ()        # files that the first disks begin as
    traced: bool = False        # with strace on the monitor, see Bench.trace()

    @property
    def version(self):
        return self.kernel.rpartition("-")[2]


def kernel_file(guest):
    if guest.kernel.startswith("debug-"):
        return os.path.join(debug.build(), guest.image)
    build = stock.build if "-" in guest.kernel else kernels.build
    return os.path.join(build(guest.version), guest.image)


def initrd_file(guest):
    if guest.kernel.startswith("debug-"):
        return initramfs.build(module=module.build("debug"), aside=[module.build_refuse("debug")])
    if guest.kernel.startswith("module-"):
        return initramfs.build(guest.version, module.build(guest.version),
                               aside=[module.build_refuse(guest.version)])
    if "-" in guest.kernel and guest.version not in stock.WITH_MODULES:
        return initramfs.build()
    if guest.kernel.startswith("stock-"):
        return initramfs.build(guest.version)
    return initramfs.build(kexec=os.path.join(kernels.build(guest.version), "bzImage")
                           if guest.kexec else None)


class Bench:
    def __init__(self, bed, mimsy, logs):
        self.bed, self.logs = bed, logs
        self.ids = itertools.count(1)
        self.sudo = "" if bed.emulated or os.geteuid() == 0 else "sudo -n "
        self.mimsy = bed.put(mimsy)
        self.guestio = bed.put(initramfs.guestio())
        self.taps, self.server, self.restarts = 0, None, bed.restarts
        self.label = ""

    def close(self):
        """Leaves nothing behind on a host; a bed goes as a whole."""
        if self.bed.emulated:
            return
        if self.server:
            self.server.kill()
        for n in range(self.taps):
            self.bed.run(f"{self.sudo}{self.guestio} tap mimsy{n} keep=0")

    def shell(self, text, timeout=60):
        r = self.bed.run(text, timeout=timeout)
        if not r.ok:
            raise Failure(f"{text}: {r.text.strip()[-300:]}")
        return r.stdout.decode()

    def need_taps(self, count):
        """Taps mimsy0.. with the addresses 10.0.n.1, and the echo server behind them."""
        if self.restarts != self.bed.restarts:
            self.restarts, self.taps, self.server = self.bed.restarts, 0, None
        while self.taps < count:
            name, n = f"mimsy{self.taps}", self.taps
            self.taps += 1
            self.shell(f"{self.sudo}{self.guestio} tap {name} && "
                       f"{self.sudo}ip addr add 10.0.{n}.1/24 dev {name} && "
                       f"{self.sudo}ip link set {name} up")
        if count and not self.server:
            self.server = self.bed.start([self.guestio, "serve", str(PORT)])

    def argv(self, guest, where):
        argv = [self.mimsy, "run", "--kernel", self.bed.put(kernel_file(guest)),
                "--initrd", self.bed.put(initrd_file(guest)), "--cpus", str(guest.cpus),
                "--memory", guest.memory, "--stats", f"{where}/stats"]
        for i, options in enumerate(guest.disks):
            argv += ["--disk", ",".join(filter(None, [f"path={where}/disk{i}", options]))]
        for i, options in enumerate(guest.nets):
            argv += ["--net", ",".join(filter(None, [f"tap=mimsy{i}", options]))]
        params = {"test": guest.tests, "nets": max(1, len(guest.nets)), **guest.params}
        words = ["quiet", "suspend.pm_test_delay=1", guest.cmdline]
        words += [f"mimsy.{k}={v}" for k, v in params.items()]
        argv += ["--cmdline", " ".join(filter(None, words)), *guest.args]
        if guest.traced:
            strace, *rest = crash.tracer(f"{where}/trace")
            argv[:0] = [self.bed.put(strace), *rest]
        return argv

    def boot(self, guest):
        """Boots the guest, waits for its end and returns its Outcome; the console is kept."""
        where = f"{self.bed.scratch}/guest"
        self.need_taps(len(guest.nets))
        self.shell(f"rm -rf {where}; mkdir -p {where}; cd {where}; "
                   + "".join(f"truncate -s {guest.disk_len} disk{i};"
                             for i in range(len(guest.disks))))
        for i, file in enumerate(guest.contents):
            self.bed.put(file, f"{where}/disk{i}")
        argv = self.argv(guest, where)
        with open(self.log_file(), "w", encoding="utf-8", buffering=1) as log:
            print(" ".join(argv), file=log)

            result = self.run(guest, argv, log)
            outcome = Outcome(result, self.stats(where))
            print(f"---- exit status {result.status} after {result.seconds:.1f} s", file=log)
            print(json.dumps(outcome.stats, indent=1), file=log)
        expect(not result.lost, f"the test bed was lost: {result.lost}")
        return outcome

    def run(self, guest, argv, log):
        running = []
        began = time.monotonic()

        def on_line(line):
            print(f"{time.monotonic() - began:6.1f} {line}", file=log)
            if guest.on_line and running:
                guest.on_line(running[0], line)

        def wait(process, timeout):
            running.append(process)
            return process.wait(timeout)

        if self.bed.emulated:       # run() boots another L1 if this one gets lost
            return self.bed.run(argv, guest.timeout, on_line=on_line, wait=wait)
        return wait(self.bed.start(argv, on_line=on_line), guest.timeout)

    def log_file(self):
        return os.path.join(self.logs, f"{self.label.replace(' ', '-')[:100]}.{next(self.ids)}")

    def stats(self, where):
        r = self.bed.run(["cat", f"{where}/stats"])
        try:
            return json.loads(r.stdout) if r.ok else None
        except ValueError:
            return None

    def trace(self):
        """What strace has noted of the last guest."""
        return self.bed.get(f"{self.bed.scratch}/guest/trace")

    def check_image(self, guest, disk=0, ops=64, seed=1):
        """From outside: the last guest's image holds what its CPUs have written to the disk."""
        self.shell(f"{self.guestio} disk {self.bed.scratch}/guest/disk{disk} mode=check "
                   f"workers={guest.cpus} ops={ops} seed={seed}")
