# SPDX-License-Identifier: Apache-2.0
"""Where a run takes place: a bed or this machine, with programs, kernel, disk image, tap, server."""

import contextlib
import dataclasses
import os
import re
import shutil
import time

from . import artifacts, monitors, session
from testbed import choose  # artifacts has set the path
from testbed.peer import put_qemu

BED_SCRATCH = "/mnt"
DISK_MIB = 64
PORT = "7100"
FACTS = r"""
echo "kernel $(uname -rv)"
echo "cpu $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
echo "cpus $(grep -c ^processor /proc/cpuinfo)"
for f in kvm/parameters/halt_poll_ns kvm_amd/parameters/avic kvm_intel/parameters/enable_apicv \
	kvm/parameters/nx_huge_pages; do
	[ -r /sys/module/$f ] && echo "${f##*/} $(cat /sys/module/$f)"
done
for f in apicv avic npt nrip_save svm vmx; do grep -qw $f /proc/cpuinfo && echo "$f yes"; done
echo "spectre_v2 $(cat /sys/devices/system/cpu/vulnerabilities/spectre_v2 2>/dev/null)"
echo "cgroup $(grep cgroup2 /proc/mounts | cut -d ' ' -f 4 | head -n 1)"
"""


def as_text(result):
    return result.stdout.decode(errors="replace")


class Place:
    """Opens on construction of the context; paths: program -> path in the bed, for what there is."""

    def __init__(self, where, mimsy, kernel=None, scratch=None, memory=128, say=print):
        self.where, self.mimsy, self.kernel, self.say = where, mimsy, kernel, say
        self.wanted_scratch, self.memory = scratch, memory
        self.stack = contextlib.ExitStack()
        self.paths = {}
        self.missing = []
        self.server = None
        self.taps = set()
        self.facts = {}

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def open(self):
        kernel = self.kernel or artifacts.kernel()
        # Polling by the host would hide wake-ups, and how long it polls depends on the machine.
        options = {"kernel_args": ["kvm.halt_poll_ns=0"]} if self.where == "testbed" else {}
        self.bed = self.stack.enter_context(choose("linux", self.where, **options))
        if not self.bed.emulated and os.geteuid():
            raise session.RunError("taps, debugfs and tracefs want root: sudo tests/bench/run")
        self.benchio = self.bed.put(artifacts.benchio())
        files = {"kernel": self.bed.put(kernel), "initrd": self.bed.put(artifacts.initramfs())}
        if self.bed.emulated and os.path.exists("/etc/ld.so.cache"):
            self.bed.put("/etc/ld.so.cache")    # else each program searches for its libraries
        self.prepare()
        self.machine = monitors.Machine(
            **files, disk="", tap="", scratch=self.scratch, memory=self.memory)
        self.read_facts()

    def prepare(self):
        """What a bed has beside files."""
        self.scratch = self.make_scratch()
        self.taps = set()
        self.add_number(0)
        self.server = self.bed.start([self.benchio, "serve", PORT])

    def renew(self):
        """After the loss of a test bed: another boot of it, made ready; False if there was none."""
        if not self.bed.emulated:
            return False
        self.bed.boot()
        if self.bed.run(["test", "-e", f"{self.scratch}/disk0"]).ok:
            return False
        self.prepare()
        return True

    def close(self):
        try:
            if self.server and not self.bed.emulated:
                self.server.kill()
                self.server.wait(20)
                for tap in self.taps:
                    self.bed.run([self.benchio, "tap", tap, "0"])
        finally:
            self.stack.close()      # an emulated machine goes with all that is in it

    @property
    def clock(self):
        """On hardware none is needed: the guest has one."""
        return self.computed if self.bed.emulated else None

    def computed(self):
        """Seconds for which the emulator has run: other load of this machine, which
        stops them at any time, does not count."""
        process = ~self.bed.machine.qemu.pid << 3 | 2     # clock_getcpuclockid(3)
        return time.clock_gettime(process)

    def shell(self, text, timeout=120):
        r = self.bed.run(text, timeout=timeout)
        if not r.ok:
            raise session.RunError(f"{text}: {r.text.strip()[-300:]}")
        return as_text(r)

    def make_scratch(self):
        if self.bed.emulated:
            self.shell(f"mkscratch {DISK_MIB + 24} {BED_SCRATCH}")
            return BED_SCRATCH
        return self.wanted_scratch or self.bed.scratch

    def add_number(self, number):
        """A disk image, all of it written, and a tap."""
        tap, disk = f"bench{number}", f"{self.scratch}/disk{number}"
        if tap in self.taps:
            return
        self.shell(f"dd if=/dev/zero of={disk} bs=1048576 count={DISK_MIB} conv=fsync 2>&1")
        r = self.bed.run(["dd", f"if={disk}", "of=/dev/null", "iflag=direct", "bs=4096", "count=1"])
        if not r.ok and not self.bed.emulated:
            raise session.RunError(f"{self.scratch} takes no O_DIRECT; name another with --scratch")
        self.taps.add(tap)
        self.shell(f"{self.benchio} tap {tap} 1 && ip addr add 10.9.{number}.1/24 dev {tap} && "
                   f"ip link set {tap} up")

    def argv(self, config, number=0, **changes):
        self.add_number(number)
        m = dataclasses.replace(self.machine, disk=f"{self.scratch}/disk{number}",
                                tap=f"bench{number}", **changes)
        return config.argv(self.paths[config.program], m)

    def strace(self):
        path = shutil.which("strace")
        if not path:
            raise session.RunError("strace is not installed")
        return self.bed.put(path)

    # ---- monitors ----

    def select(self, names, quick):
        """The configurations that can run here; the others are named in self.missing."""
        chosen = [c for c in monitors.CONFIGS
                  if (c.name in names if names else c.few or not quick)]
        return [c for c in chosen if self.available(c)]

    def available(self, config):
        if config.program not in self.paths and not self.put_program(config):
            self.missing.append(f"{config.name} ({config.program} is not in PATH)")
            return False
        if config.needs and config.needs not in self.help(config.program):
            self.missing.append(f"{config.name} ({config.program} has no option {config.needs})")
            return False
        if config.device and not self.bed.run(["test", "-e", config.device]).ok:
            self.missing.append(f"{config.name} (there is no {config.device})")
            return False
        return True

    def put_program(self, config):
        path = monitors.find(config.program, self.mimsy)
        if not path:
            return False
        if config.program.startswith("qemu") and self.bed.emulated:
            put_qemu(self.bed)
            self.paths[config.program] = "/usr/bin/" + config.program
        else:
            self.paths[config.program] = self.bed.put(path)
        self.facts[config.program] = self.version(config.program)
        return True

    def version(self, program):
        lines = self.bed.run([self.paths[program], "--version"]).text.strip().splitlines()
        return lines[0] if lines else "unknown"

    def help(self, program):
        return self.bed.run([self.paths[program], "run", "--help"]).text

    def read_facts(self):
        for line in as_text(self.bed.run(FACTS)).splitlines():
            key, _, value = line.partition(" ")
            self.facts[key] = value
        self.facts["place"] = "test bed: TCG, every time is emulated" \
            if self.bed.emulated else "this machine"
        self.facts["guest kernel"] = f"{self.machine.kernel}, {self.machine.memory} MiB"
        self.facts["vendor"] = "svm" if re.search("AMD", self.facts.get("cpu", "")) else "vmx"
