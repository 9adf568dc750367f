# SPDX-License-Identifier: Apache-2.0
"""A disk that remembers the order of things, and every state a power cut could leave.

The recorder takes a disk's writes and flushes out of the monitor's hands: it carries them
out itself and notes them in order, with what the guest said in between. The replayer
then builds each state of the disk that the rules allow at each moment: what a completed
flush covers is there; of later writes any sectors may be there and any may not.
"""

import functools
import itertools
import os
import random
import time

import trap

SECTOR = 512
RWF_DSYNC = 2
MODE_PUNCH, MODE_ZERO = 2, 16
CALLS = ("pwritev2", "pwrite64", "fdatasync", "fallocate", "write")
MASK = (1 << 56) - 1


def make_sector(number):
    return b"".join((number ^ (i << 56)).to_bytes(8, "little") for i in range(64))


@functools.cache
def sector_number(data):
    """The number a sector was made of; None if not every one of its 64 words says the same."""
    number = int.from_bytes(data[:8], "little")
    return number if data == make_sector(number) else None


class Recorder:
    """Events: ("write", sector, data, stable), ("flush",), ("said", line), in order."""

    def __init__(self, disk, flush_seconds=0.002):
        self.disk, self.events, self.flush_seconds = disk, [], flush_seconds
        self.line = b""

    def is_disk(self, call):
        return call.fd_name() == self.disk

    def note_write(self, offset, data, stable):
        self.events.append(("write", offset // SECTOR, data, stable))

    def do_write(self, call):
        plain = call.name == "pwrite64"
        data = call.memory(call.args[1], call.args[2]) if plain else call.data()
        fd = call.duplicate()
        done = os.pwrite(fd, data, call.args[3])
        os.close(fd)
        self.note_write(call.args[3], data[:done], not plain and call.args[5] & RWF_DSYNC)
        return trap.Return(done)

    def do_flush(self):
        time.sleep(self.flush_seconds)  # who answers too early is ahead of us now
        self.events.append(("flush",))
        return trap.Return(0)

    def hear(self, call):
        self.line += call.memory(call.args[1], call.args[2])
        *lines, self.line = self.line.split(b"\n")
        self.events += [("said", line.strip().decode()) for line in lines]

    def __call__(self, call):
        if call.name == "write":
            if call.args[0] == 1:
                self.hear(call)
            return None
        if not self.is_disk(call):
            return None
        if call.name == "fdatasync":
            return self.do_flush()
        if call.name == "fallocate":
            self.note_write(call.args[2], bytes(call.args[3]), False)
            return None
        return self.do_write(call)


class Replay:
    """Goes through the events; states() gives what may be on the disk at that point."""

    def __init__(self, sectors, limit=4096, seed=1):
        self.durable = dict(enumerate(sectors))
        self.pending = {}       # sector -> versions written since the last flush
        self.limit, self.random = limit, random.Random(seed)

    def apply(self, event):
        if event[0] == "flush":
            for sector, versions in self.pending.items():
                self.durable[sector] = versions[-1]
            self.pending = {}
        elif event[0] == "write":
            _, first, data, stable = event
            for i in range(0, len(data), SECTOR):
                sector, content = first + i // SECTOR, data[i:i + SECTOR]
                if stable:
                    self.durable[sector] = content
                    self.pending.pop(sector, None)
                else:
                    self.pending.setdefault(sector, []).append(content)

    def states(self):
        """All of them, or as many as the limit says, chosen at random."""
        sectors = sorted(self.pending)
        choices = [[self.durable[s], *self.pending[s]] for s in sectors]
        number = 1
        for c in choices:
            number *= len(c)
        if number <= self.limit:
            picks = itertools.product(*choices)
        else:
            picks = ([self.random.choice(c) for c in choices] for _ in range(self.limit))
        for pick in picks:
            state = dict(self.durable)
            state.update(zip(sectors, pick))
            yield state
