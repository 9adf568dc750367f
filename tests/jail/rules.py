# SPDX-License-Identifier: Apache-2.0
"""Which rules of the filters some run has used, seen with strace."""

import os
import pty
import re
import signal
import socket
import subprocess
import time

from monitor import Monitor

LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?([a-z_0-9]+)(?: resumed>|\()(.*)")
NAME = re.compile(r'PR_SET_NAME, "([^"]*)"')
ROLES = (("vcpu", "vcpu"), ("blk", "blk"), ("net", "net"), ("console", "relay"))
BY_FIRST = {"ioctl": 1, "madvise": 2, "io_uring_register": 1}

# No run here can use these; why they are needed all the same.
EXCUSES = {
    "clock_gettime": "only where the host's clock is not in the vDSO",
    "ioctl BLKDISCARD": "only with a block device",
    "pwrite64": "only where the host cannot zero a range",
    "madvise MADV_DONTNEED": "only for a thread that has used much of its stack",
    "brk": "only when the heap has no room",
    "mmap": "only when the heap has no room",
    "munmap": "only for what was mapped",
    "mremap": "only with many queues",
    "sendto": "only where the log is a socket",
    "ioctl TCSETS": "only after a crash on a terminal",
    "ioctl TCGETS": "the same",
    ("relay", "futex"): "only when another thread waits",
    ("main", "gettid"): "only after a failed assertion",
    ("main", "getpgrp"): "only on a terminal that controls the monitor",
    ("main", "timerfd_settime"): "only when the console's reader is slow",
    ("main", "epoll_ctl"): "only when stopped while an interface runs",
    ("main", "ioctl TUNSETOFFLOAD"): "the same",
    ("main", "ioctl TUNSETQUEUE"): "the same",
    ("main", "ioctl TUNSETSTEERINGEBPF"): "the same, and its driver has RSS on",
    ("main", "fdatasync"): "only if no thread of the disk could do it",
    ("vcpu", "fdatasync"): "only when a driver changes the cache mode",
    ("blk_uring", "preadv"): "only where the kernel would hand a transfer on to a thread",
    ("blk_uring", "pwritev2"): "the same",
    ("blk_uring", "fallocate"): "only where the file system can",
    ("blk", "fallocate"): "the same",
    ("net", "ioctl TUNSETOFFLOAD"): "only by a driver that changes offloads while it runs",
}


def excuse(role, name):
    """Why no run uses it, or None."""
    if "VHOST_" in name and not os.path.exists("/dev/vhost-net"):
        return "only with vhost-net"
    return EXCUSES.get((role.removesuffix("_inline"), name)) or EXCUSES.get(name)


def listed(prober):
    """(role, rule, why)"""
    out = subprocess.run([prober, "--list"], capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in out.splitlines()]


def rule_names(call, args):
    """strace may know several names for one number: SNDCTL_TMR_START or TCSETS."""
    if call not in BY_FIRST:
        return [call]
    fields = args.split(",")
    words = re.findall(r"[A-Z]\w+", fields[BY_FIRST[call]]) if len(fields) > BY_FIRST[call] else ()
    return [f"{call} {word}".replace("IORING_", "") for word in words]


class Trace:
    """One file of strace: threads get their role from their name, rights end at seccomp(2)."""

    def __init__(self):
        self.used = set()
        self.role = {}          # thread -> role
        self.filtered = set()

    def read(self, path, uring):
        self.role, self.filtered, first = {}, set(), None
        for line in open(path, encoding="ascii", errors="replace"):
            m = LINE.match(line)
            if not m:
                continue
            tid, call, args = m.groups()
            first = first or tid
            self.take(tid, call, args, tid == first, uring)

    def take(self, tid, call, args, is_main, uring):
        name = NAME.search(args) if call == "prctl" else None
        if name:
            self.role[tid] = self.role_of(name[1], uring)
        if call == "seccomp" and "SET_MODE_FILTER" in args:
            self.filtered.add(tid)
        elif tid in self.filtered:
            role = "main" if is_main else self.role.get(tid, "?")
            self.used.update((role, name) for name in rule_names(call, args))

    @staticmethod
    def role_of(name, uring):
        for start, role in ROLES:
            if name.startswith(start):
                return "blk_uring" if role == "blk" and uring else role
        return "?"


def traced(path):
    return ["strace", "-f", "-qq", "-e", "signal=none", "-o", path]


def run_guest(opts, path, guest, append, *args, **popen):
    with Monitor(opts, *args, prefix=traced(path), guest=guest, append=append, cpus=1,
                 **popen) as m:
        m.finish(120)


def run_halted(opts, path, *args, stop_and_go=False, **popen):
    """A guest that stays, ended by SIGTERM; the tracer passes signals on to nobody."""
    with Monitor(opts, *args, prefix=traced(path), **popen) as m:
        time.sleep(3)
        child = child_of(m.pid)
        if child and stop_and_go:
            os.kill(child, signal.SIGSTOP)
            time.sleep(0.3)
            os.kill(child, signal.SIGCONT)
            time.sleep(0.3)
            os.kill(child, signal.SIGUSR1)
            time.sleep(0.3)
        if child:
            os.kill(child, signal.SIGTERM)
        m.finish(30)


def run_button(opts, path):
    """A guest that powers off when SIGTERM presses its button."""
    with Monitor(opts, prefix=traced(path), guest="power", append="how=button", cpus=1) as m:
        if m.wait_for(b"listening"):
            os.kill(child_of(m.pid), signal.SIGTERM)
        m.finish(30)


def child_of(pid):
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return int(children[0]) if children else None


def numbered_disk(path, sectors=2048):
    with open(path, "wb") as f:
        for i in range(sectors):
            f.write(i.to_bytes(8, "little") * 64)
    return path


def used(opts, tap):
    """All (role, rule) pairs that some run has used."""
    trace, log = Trace(), os.path.join(opts.scratch, "strace")
    disk = numbered_disk(os.path.join(opts.scratch, "numbered"))
    stats = os.path.join(opts.scratch, "stats2")
    for aio in ("io_uring", "threads"):
        for guest in ("blk", "reset"):
            run_guest(opts, log, guest, "", "--disk",
                      f"path={disk},queues=4,serial=bare-disk,aio={aio}", "--disk",
                      f"path={numbered_disk(disk + '2')},queues=2,aio={aio}", "--stats", stats)
            trace.read(log, aio == "io_uring")
    for last in (None, b"ok net.pings"):
        run_net(opts, log, last)
        trace.read(log, False)
    run_guest(opts, log, "power", "how=triple")
    trace.read(log, False)
    run_halted(opts, log, "--net", f"tap={tap}", stop_and_go=True)
    trace.read(log, False)
    run_button(opts, log)
    trace.read(log, False)
    run_terminal(opts, log)
    trace.read(log, False)
    run_socket(opts, log)
    trace.read(log, False)
    run_file(opts, log)
    trace.read(log, False)
    run_net(opts, log, None, ",inline-kick=on")
    inline = Trace()
    inline.read(log, False)
    # Such a vCPU may do all that others may.
    return trace.used | {(f"{role}_inline", name) for role, name in trace.used | inline.used
                         if role == "vcpu"}


def run_net(opts, path, last, keys=""):
    """To its end, or until this line: then the device runs when the monitor is stopped."""
    setup = ("ip link set lo up && ip tuntap add bare0 mode tap multi_queue && "
             "ip addr add 192.168.77.1/24 dev bare0 && ip link set bare0 up && exec \"$0\" \"$@\"")
    prefix = ["unshare", "-n", "sh", "-c", setup, *traced(path)]
    with Monitor(opts, "--net", "tap=bare0,queues=2,mac=52:54:00:00:00:01,rss=on" + keys,
                 prefix=prefix, guest="net", append="", cpus=1) as m:
        if last and m.wait_for(last):
            os.kill(child_of(m.pid), signal.SIGTERM)
        m.finish(60)


def run_terminal(opts, path):
    """Ctrl-A x on a terminal."""
    master, slave = pty.openpty()
    with Monitor(opts, prefix=traced(path), stdin=slave, stdout=slave) as m:
        os.close(slave)
        time.sleep(3)
        os.write(master, b"\x01x")
        m.finish(30)
    os.close(master)


def run_file(opts, path):
    """Output to a regular file."""
    with open(os.path.join(opts.scratch, "out"), "wb") as out:
        run_guest(opts, path, "power", "how=debug", stdout=out)


def run_socket(opts, path):
    ours, theirs = socket.socketpair()
    run_halted(opts, path, stdout=theirs)
    ours.close()
    theirs.close()
