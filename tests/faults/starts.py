# SPDX-License-Identifier: Apache-2.0
"""H12: starts and stops by the thousand, many at once, and nothing left of any of them."""

import glob
import os
import socket
import subprocess
import time
import time

from integrity import fresh_disk
from machine import Machine

AT_ONCE = 200


def own_kilobytes():
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def own_children():
    """Zombies included."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as f:
        return len(f.read().split())


class Traces:
    """What a monitor could leave behind."""

    def __init__(self, opts):
        self.opts = opts
        self.wait_for_locks()
        self.before, self.memory = self.look(), own_kilobytes()

    def nr_locks(self):
        with open("/proc/locks", encoding="ascii") as f:
            return sum(self.opts.scratch_inode in line for line in f)

    def wait_for_locks(self):
        """The kernel takes a dead process's rings apart in its own time, and files with them."""
        end = time.monotonic() + 5
        while self.nr_locks() and time.monotonic() < end:
            time.sleep(0.02)

    def look(self):
        return {
            "descriptors of the parent": sorted(os.listdir("/proc/self/fd"))[:-1],
            "children of the parent": own_children(),
            "network interfaces": sorted(name for _, name in socket.if_nameindex()),
            "shared memory": sorted(os.listdir("/dev/shm")),
            "cgroups with a monitor's name": [g for g in glob.glob(
                "/sys/fs/cgroup/**/*mimsy*", recursive=True)],
            "mounts": len(open("/proc/self/mountinfo", encoding="utf-8").readlines()),
            "files": sorted(os.listdir(self.opts.scratch)),
            "locks": self.nr_locks(),
        }

    def left(self):
        """None, or what is different now."""
        self.wait_for_locks()
        now = self.look()
        found = [f"{k}: {self.before[k]} -> {now[k]}" for k in now if now[k] != self.before[k]]
        grown = own_kilobytes() - self.memory
        if grown > 4096:
            found.append(f"memory of the parent: {grown} KiB more")
        return "; ".join(found) or None


def machine(opts, how):
    m = Machine(opts, "", ["path=DISK"], append=f"how={how}", args=["--console", "stdio"])
    m.guest = os.path.join(os.path.dirname(opts.guest), "power.elf")
    if opts.tap:
        m.args += ["--net", f"tap={opts.tap},vhost=off"]
    fresh_disk(m.disks[0], 64)
    opts.scratch_inode = f":{os.stat(m.disks[0]).st_ino} "
    return m


def check_starts(t, opts, count=None):
    count = count or opts.count or (10000 if opts.full else 150)
    m = machine(opts, "sleep")
    m.start().wait()            # what is made once is made now
    traces, times, bad = Traces(opts), [], None
    for n in range(count):
        begin = time.monotonic()
        p = m.start(stderr=subprocess.PIPE)
        _, err = p.communicate(timeout=60)
        times.append(time.monotonic() - begin)
        if p.returncode:
            bad = bad or f"start {n + 1}: {p.returncode}: {err}"
        if n % 1000 == 999:
            t.progress(f"start {n + 1} of {count}, {sum(times) / len(times) * 1000:.1f} ms each")
    times.sort()
    t.check("H12 starts and stops one after the other: none fails", not bad, str(bad),
            f"{count} starts, {times[count // 2] * 1000:.1f} ms in the middle, "
            f"{times[count * 99 // 100] * 1000:.1f} ms at 99 %")
    left = traces.left()
    t.check("H12 starts and stops one after the other: nothing is left of them", not left,
            str(left))


def check_at_once(t, opts):
    for count in (20, AT_ONCE):
        m = machine(opts, "halt")
        m.options, m.disks, m.args = [], [], ["--console", "stdio"]     # a disk has one writer
        traces, begin = Traces(opts), time.monotonic()
        crowd = [m.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(count)]
        halted = 0
        for p in crowd:
            lines = iter(p.stdout.readline, b"")
            halted += any(line.startswith(b"halted") for line in lines)
        took = time.monotonic() - begin
        alive = sum(p.poll() is None for p in crowd)
        for p in crowd:
            p.terminate()
        ends = [p.communicate(timeout=60) and p.returncode for p in crowd]
        t.check(f"H12 {count} at once all start, run and end", halted == alive == count and
                not any(ends), f"{halted} started, {alive} alive, {sorted(set(ends))}",
                f"{took:.1f} s until the last one ran")
        del crowd, p, lines
        left = traces.left()
        t.check(f"H12 {count} at once: nothing is left of them", not left, str(left))
