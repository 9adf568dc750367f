# SPDX-License-Identifier: Apache-2.0
"""Group D of the catalogue: what was promised to be on the disk is on the disk."""

import errno
import fcntl
import os
import random
import re
import stat
import struct
import subprocess
import time

import recorder
import trap
from machine import Machine
from recorder import SECTOR, make_sector, sector_number

F_OFD_SETLKW = 38

MARK, LOG, LOG_LEN, PLACES, PLACE_LEN, NR_PLACES = 0, 8, 8, 16, 8, 8
TRANSACTIONS = 10
TRAFFIC_SECTORS = 256


def number(generation, sector):
    return generation << 16 | sector


def fresh_disk(path, sectors=2048):
    with open(path, "wb") as f:
        f.write(b"".join(make_sector(number(0, s)) for s in range(sectors)))


def generation(state, sector):
    """Which generation a sector is of; None: of none, it is torn or another's."""
    found = sector_number(state[sector])
    return found >> 16 if found is not None and found & 0xffff == sector else None


def generations(state, first, length):
    return {generation(state, s) for s in range(first, first + length)}


def lost(state, acked):
    """None, or what a recovery after a power cut would find missing."""
    n = generation(state, MARK)
    if n is None or n < acked:
        return f"transaction {acked} was promised, the mark says {n}"
    for slot in range(NR_PLACES):
        due = max((m for m in range(n + 1) if m % NR_PLACES == slot), default=0)
        place = PLACES + slot * PLACE_LEN
        from_log = due == n and generations(state, LOG, LOG_LEN) == {n}
        if not from_log and generations(state, place, PLACE_LEN) != {due if due else 0}:
            return f"transaction {due} is gone: {generations(state, place, PLACE_LEN)}"
    return None


def judge(events, sectors):
    """(states looked at, first loss or None, promises heard)"""
    replay, states, acked = recorder.Replay(sectors), 0, 0
    for event in events:
        replay.apply(event)
        if event[0] == "said" and (m := re.match(r"acked (\d+)", event[1])):
            acked = int(m[1])
        for state in replay.states():
            states += 1
            why = lost(state, acked)
            if why:
                return states, why, acked
    return states, None, acked


def record(opts, options, append):
    """A journal's transactions with the recorder in place of the disk."""
    m = Machine(opts, "journal", [f"path=DISK,aio=threads{options}"],
                append=f"rounds={TRANSACTIONS} {append}")
    fresh_disk(m.disks[0])
    sectors = [make_sector(number(0, s)) for s in range(PLACES + NR_PLACES * PLACE_LEN)]
    rec = recorder.Recorder(m.disks[0])
    status, out, err = m.run(rec, recorder.CALLS)
    if status != 16:
        raise trap.Error(f"the journal's guest ends with {status}: {out} {err}")
    return rec.events, sectors


def flush_before(events):
    """Every promise has a flush of that disk between its mark's write and its answer."""
    flushed = 0
    for event in events:
        if event[0] == "write" and event[1] == MARK:
            flushed = 0
        flushed += event[0] == "flush"
        if event[0] == "said" and event[1].startswith("acked") and not flushed:
            return event[1]
    return None


def flush_after_each(events):
    """How many writes there were, and how many of them had no flush of their own."""
    kinds = [event[0] for event in events]
    pairs = list(zip(kinds, kinds[1:] + [None]))
    return kinds.count("write"), sum(a == "write" and b != "flush" for a, b in pairs)


MODES = (("writeback", "", ""), ("writethrough", ",cache=writethrough", ""),
         ("no FLUSH negotiated", "", "flush=0"),
         ("cache turned off by the driver", "", "writethrough=1 send=0"))


def check_power_cut(t, opts):
    for name, options, append in MODES:
        events, sectors = record(opts, options, append)
        states, why, acked = judge(events, sectors)
        t.check(f"D3 power cut, {name}: nothing promised is lost", not why and
                acked == TRANSACTIONS, why or f"{acked} promises", f"{states} states of the disk")
        row = "D1" if not append and not options else "D5"
        if row == "D1":
            late = flush_before(events)
            t.check("D1 a flush is answered after fdatasync of that disk, writes before it are "
                    "in it", not late, str(late))
        else:
            writes, late = flush_after_each(events)
            t.check(f"D5 {name}: every write is stable before it is answered",
                    writes and not late, f"{late} of {writes} are not")
    events, sectors = record(opts, ",cache=unsafe", "")
    states, why, _ = judge(events, sectors)
    flushes = sum(e[0] == "flush" for e in events[:-1])
    t.check("D5 cache=unsafe, asked for by name, loses data: the replay can fail", why and
            not flushes, f"{states} states, {flushes} flushes")


class FailFlush:
    """The first fdatasync of the disk fails, as Linux does it: once."""

    def __init__(self, disk, number=errno.EIO):
        self.disk, self.number, self.made = disk, number, 0

    def __call__(self, call):
        if call.name != "fdatasync" or call.fd_name() != self.disk:
            return None
        self.made += 1
        return trap.Fail(self.number) if self.made == 1 else None


def takes_direct(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True


def check_flush_error(t, opts):
    for options in ("", ",direct=on"):
        m = Machine(opts, "latch", [f"path=DISK,aio=threads{options}"])
        fresh_disk(m.disks[0])
        if options and not takes_direct(m.disks[0]):
            t.skip("D2 EIO on fdatasync, O_DIRECT", "this file system has none")
            continue
        fail = FailFlush(m.disks[0])
        status, out, err = m.run(fail, ["fdatasync"])
        what = "D2 EIO on fdatasync" + (", O_DIRECT" if options else "")
        t.check(f"{what}: this flush and all later ones fail, also after a reset",
                b"flushes: 0 of 5, after a reset 0 of 5" in out, f"{status}: {out}")
        t.check(f"{what}: reads and writes go on", b"reads and writes work" in out, str(out))
        t.check(f"{what}: no later fdatasync could take it back", fail.made == 1, str(fail.made))
        t.check(f"{what}: the monitor ends with an error", status == 1, f"{status}: {err}")
        t.check(f"{what}: one line says so", err.count(b"flush of a disk image failed") == 1,
                str(err))
    m = Machine(opts, "latch", ["path=DISK,aio=threads"])
    fresh_disk(m.disks[0])
    fail = FailFlush(m.disks[0], errno.EINTR)
    status, out, _ = m.run(fail, ["fdatasync"])
    t.check("D2 EINTR on fdatasync is no error", b"flushes: 5 of 5, after a reset 5 of 5" in out,
            f"{status}: {out}")


class Ledger:
    """What may be in each sector of the disk that job=traffic writes to."""

    def __init__(self):
        self.allowed = [{0} for _ in range(TRAFFIC_SECTORS)]
        self.next = 1

    @staticmethod
    def places(gen):
        first = gen % 31 * 8
        return [*range(first, first + 8), 248 + gen % 8]

    def account(self, path, flushed, begun):
        """Compares the disk with generations flushed, and begun but not flushed."""
        for gen in range(self.next, flushed + 1):
            for s in self.places(gen):
                self.allowed[s] = {gen}
        for gen in range(flushed + 1, begun + 1):
            for s in self.places(gen):
                self.allowed[s] = self.allowed[s] | {gen}
        with open(path, "rb") as f:
            data = f.read()
        if len(data) != TRAFFIC_SECTORS * SECTOR:
            return f"the image has {len(data)} bytes now"
        for s in range(TRAFFIC_SECTORS):
            gen = generation({s: data[s * SECTOR:(s + 1) * SECTOR]}, s)
            if gen not in self.allowed[s]:
                return f"sector {s} is of generation {gen}, not {self.allowed[s]}"
            self.allowed[s] = {gen}
        self.next = begun + 1
        return None


def kill_once(opts, ledger, m, seconds):
    """A monitor that dies at some moment of its guest's traffic. None, or what was lost."""
    p = m.start(append=f"first={ledger.next}", stdout=subprocess.PIPE)
    line = b""
    while not line.startswith(b"flushed"):
        line = p.stdout.readline()
        if not line:
            return f"it ended by itself: {p.wait()}"
    time.sleep(seconds)
    p.kill()
    rest = p.stdout.read()
    p.wait()
    flushed = int((re.findall(rb"flushed (\d+)\r?\n", line + rest))[-1])
    return ledger.account(m.disks[0], flushed, flushed + 2)


def check_kills(t, opts):
    """The host lives on, and with it its page cache: what is shown here is that the monitor
    answers a write after it is made and tears no sector. D3 is the power cut."""
    count = opts.count or (1000 if opts.full else 30)
    rng, ledger, why, n = random.Random(opts.seed), Ledger(), None, 0
    for n in range(count):
        m = Machine(opts, "traffic", ["path=DISK,aio=" + ("auto", "threads")[n % 2]])
        if not n:
            fresh_disk(m.disks[0], TRAFFIC_SECTORS)
        why = kill_once(opts, ledger, m, rng.uniform(0, 0.08))
        if why:
            break
        if n % 100 == 99:
            t.progress(f"kill {n + 1} of {count}")
    t.check("D4 kill -9 at random points of traffic: no flushed sector lost, none torn",
            not why, str(why), f"{n + 1} kills, {ledger.next} generations")


class Stutter:
    """At random: interrupted, cut short, failed."""

    def __init__(self, seed, disk):
        self.random, self.disk = random.Random(seed), disk
        self.count = {"interrupted": 0, "short": 0, "failed": 0}
        self.healthy = 0        # calls since the last failure: the guest asks four times

    def short(self, call):
        vec = [v for v in call.iovec() if v[1]]
        length = self.random.randrange(1, sum(v[1] for v in vec) + 1)
        fd, done = call.duplicate(), 0
        with open(f"/proc/{call.tid}/mem", "r+b", buffering=0) as mem:
            for address, size in vec:
                size = min(size, length - done)
                mem.seek(address)
                if call.name == "preadv":
                    mem.write(os.pread(fd, size, call.args[3] + done))
                else:
                    os.pwrite(fd, mem.read(size), call.args[3] + done)
                done += size
                if done == length:
                    break
        os.close(fd)
        self.count["short"] += 1
        return trap.Return(done)

    def __call__(self, call):
        if call.fd_name() != self.disk:
            return None
        dice = self.random.random()
        self.healthy += 1
        if dice < 0.1:
            self.count["interrupted"] += 1
            return trap.Fail(errno.EINTR)
        if dice < 0.4 and call.name != "fdatasync":
            return self.short(call)
        if dice < 0.43 and call.name != "fdatasync" and self.healthy > 20:
            self.healthy = 0
            self.count["failed"] += 1
            return trap.Fail(self.random.choice((errno.EIO, errno.ENOSPC, errno.EDQUOT)))
        return None


def check_random(t, opts):
    rounds = opts.count or (100000 if opts.full else 200)
    for aio, faulty in (("threads", True), ("auto", False)):
        m = Machine(opts, "verify", [f"path=DISK,aio={aio}"],
                    append=f"rounds={rounds} seed={opts.seed + 1}")
        fresh_disk(m.disks[0])
        stutter = Stutter(opts.seed, m.disks[0])
        names = ["preadv", "pwritev2", "fdatasync"] if faulty else []
        status, out, err = m.run(stutter, names, 3600)
        counts = ", ".join(f"{v} {k}" for k, v in stutter.count.items() if v)
        t.check(f"D6 random writes and reads, aio={aio}, {'with' if faulty else 'no'} faults: "
                "all data is right", status == 16 and (not faulty or min(stutter.count.values())),
                f"{status}: {out[-200:]} {err[-300:]}", f"{rounds} rounds {counts}".strip())


def check_lock(t, opts):
    first = Machine(opts, "watch", ["path=DISK"])
    fresh_disk(first.disks[0])
    p = first.start(stdout=subprocess.PIPE)
    p.stdout.readline(), p.stdout.readline()
    second = Machine(opts, "watch", ["path=DISK"])
    for options in ("", ",readonly=on"):
        second.options = ["path=DISK" + options]
        q = second.start(stderr=subprocess.PIPE)
        _, err = q.communicate()
        t.check(f"D7 a disk in use is refused to a second monitor{options}", q.returncode == 1 and
                b"in use by another program" in err and err.count(b"\n") == 1, str(err))
    p.kill()
    p.wait()
    second.options = ["path=DISK,readonly=on"]
    readers = [second.start(stdout=subprocess.PIPE) for _ in range(2)]
    lines = [r.stdout.readline() + r.stdout.readline() for r in readers]
    t.check("D7 once the writer is dead, two that only read may share it",
            all(b"read 0" in line for line in lines), str(lines))
    for r in readers:
        r.terminate()
        r.wait()


def loop_device(path, *options):
    """A loop device over path, or None where there are none."""
    try:
        done = subprocess.run(["losetup", *options, "-f", "--show", path], capture_output=True,
                              text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if not done.returncode else None


def refused(m, options):
    m.options = [options]
    p = m.start(stderr=subprocess.PIPE)
    _, err = p.communicate()
    return p.returncode == 1 and err.count(b"\n") == 1, err


class UnlockAtFirstPause:
    """Somebody has the device when the monitor tries, and has gone when it tries again."""

    def __init__(self, dev):
        self.fd = os.open(dev, os.O_RDONLY)
        fcntl.fcntl(self.fd, F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))

    def __call__(self, call):
        if self.fd is not None and call.name == "clock_nanosleep":
            os.close(self.fd)
            self.fd = None


def check_retry(t, opts, dev):
    m = Machine(opts, "off", [f"path={dev},aio=threads"], append="how=sleep")
    handler = UnlockAtFirstPause(dev)
    status, _, err = m.run(handler, ["clock_nanosleep"])
    t.check("D7 a block device that is given up meanwhile is taken at the next try",
            status == 0 and handler.fd is None, f"{status}: {err}")


def check_block_device(t, opts):
    """A device may have several nodes, so a lock of one of them is not enough."""
    first, second = (Machine(opts, "watch", ["path=DISK"]) for _ in range(2))
    image = first.disks[0]
    fresh_disk(image)
    dev = loop_device(image)
    if not dev:
        t.skip("D7 a block device has one writer", "no loop device here")
        return
    node = image + "-node"
    os.mknod(node, stat.S_IFBLK | 0o600, os.stat(dev).st_rdev)
    try:
        first.options = [f"path={dev}"]
        p = first.start(stdout=subprocess.PIPE)
        p.stdout.readline()
        for options in ("", ",readonly=on"):
            ok, err = refused(second, f"path={node}{options}")
            t.check(f"D7 a block device in use is refused by another node, too{options}",
                    ok and b"in use by another program" in err, str(err))
        p.kill()
        p.wait()
        check_retry(t, opts, dev)
    finally:
        os.unlink(node)
        subprocess.run(["losetup", "-d", dev], check=False)
    dev = loop_device(image, "-r")
    ok, err = refused(second, f"path={dev}")
    t.check("D7 a device that cannot be written is no disk to write to", ok and
            b"readonly=on" in err, str(err))
    subprocess.run(["losetup", "-d", dev], check=False)


class SlowWrites(recorder.Recorder):
    def do_write(self, call):
        time.sleep(0.002)
        return super().do_write(call)


def check_off(t, opts):
    for how, wanted in (("sleep", 0), ("i8042", 4)):        # a power-off, a reboot
        m = Machine(opts, "off", ["path=DISK,aio=threads"], append=f"how={how}")
        fresh_disk(m.disks[0])
        rec = SlowWrites(m.disks[0])
        status, _, err = m.run(rec, recorder.CALLS)
        kinds = [e[0] for e in rec.events if e[0] != "said"]
        with open(m.disks[0], "rb") as f:
            data = f.read(240 * SECTOR)
        right = all(data[s * SECTOR:(s + 1) * SECTOR] == make_sector(number(7, s))
                    for s in range(240))
        t.check(f"D8 the end by {how} with 30 writes in flight: all done, then a flush, then {wanted}",
                status == wanted and right and kinds.count("write") == 30 and kinds[-1] == "flush",
                f"{status}: {kinds[-3:]}, {kinds.count('write')} writes, {err}")
        t.check(f"V4 the end by {how} waits for I/O in flight", status == wanted and right, str(err))
    m = Machine(opts, "off", ["path=DISK,aio=threads"])
    fresh_disk(m.disks[0])
    status, _, err = m.run(FailFlush(m.disks[0]), ["fdatasync"])
    t.check("D8 the last flush fails: the monitor ends with an error", status == 1 and
            err.count(b"flush of a disk image failed") == 1, f"{status}: {err}")
