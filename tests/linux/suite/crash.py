# SPDX-License-Identifier: Apache-2.0
"""A power cut under a guest's file system.

strace notes in order what the monitor writes to a disk, when it flushes it and what the guest says.
From that, states are built that a power cut could have left: what a completed flush covers is
there; of later writes any blocks may be there and any may not. Each has to pass fsck, and every file
that the guest called safe has to be in it. Blocks are 4 KiB, as the file system's own; whole
sectors of 512 bytes are what tests/faults tears apart.
"""

import random
import re
import shutil
import subprocess

from .outcome import expect

CALLS = "pwritev2,pwrite64,fdatasync,fallocate,write"
BLOCK = 4096
LINE = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)")
BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def unescape(text):
    return bytes.fromhex(text.replace("\\x", ""))


def tracer(path):
    """The arguments that go in front of the monitor's; with aio=threads its disk is one thread."""
    return [shutil.which("strace") or "strace", "-f", "-qq", "-xx", "-s", str(1 << 24), "-e",
            "signal=none", "-e", "trace=" + CALLS, "-o", path]


def written(args):
    """(offset, bytes, stable) of a pwritev2 or pwrite64."""
    data = b"".join(unescape(m) for m in BYTES.findall(args))
    rest = args[args.rindex('"'):]
    offset = re.search(r"[\]\"](?:, iov_len=\d+\}\])?, \d+, (\d+)", rest)
    expect(offset and len(data) % 512 == 0, f"strace: a write that is not understood: {rest}")
    return int(offset[1]), data, "RWF_DSYNC" in rest


def events(trace):
    """("write", offset, data, stable), ("flush",), ("said", line), in order."""
    out, said = [], {}      # the console has a descriptor of its own: each one's last line so far
    for line in trace.decode("ascii").splitlines():
        m = LINE.match(line)
        if not m or not m[1]:
            continue
        name, args, begins = m[1], m[2], "resumed>" not in line
        if name == "write" and begins:
            fd = args.split(",")[0]
            *lines, said[fd] = (said.get(fd, b"") + unescape(BYTES.search(args)[1])).split(b"\n")
            out += [("said", x.decode(errors="replace").strip()) for x in lines]
        elif name.startswith("pwrite") and begins:
            out.append(("write", *written(args)))
        elif name == "fdatasync" and re.search(r"= 0$", line):
            out.append(("flush",))
        else:
            expect(name != "fallocate", "a call that this test knows nothing of: " + line[:80])
    return out


class Disk:
    """The image at one moment: what is stable, and the blocks that may be there or not."""

    def __init__(self, image, seed):
        self.stable, self.pending, self.random = bytearray(image), {}, random.Random(seed)

    def write(self, offset, data, stable):
        while data:
            block, start = offset // BLOCK, offset % BLOCK
            piece, data = data[:BLOCK - start], data[BLOCK - start:]
            versions = self.pending.setdefault(block, [])
            whole = bytearray(versions[-1] if versions else self.block(block))
            whole[start:start + len(piece)] = piece
            versions.append(bytes(whole))
            offset += len(piece)
            if stable:
                self.settle(block)

    def block(self, number):
        return self.stable[number * BLOCK:(number + 1) * BLOCK]

    def settle(self, number):
        self.stable[number * BLOCK:(number + 1) * BLOCK] = self.pending.pop(number)[-1]

    def flush(self):
        for number in list(self.pending):
            self.settle(number)

    def states(self, count):
        """Nothing of what is pending, all of it, and count others at random."""
        yield self.state(lambda versions: None)
        if self.pending:
            yield self.state(lambda versions: versions[-1])
            for _ in range(count):
                yield self.state(lambda versions: self.random.choice([None, *versions]))

    def state(self, choose):
        image = bytearray(self.stable)
        for number, versions in self.pending.items():
            content = choose(versions)
            if content:
                image[number * BLOCK:(number + 1) * BLOCK] = content
        return image


def tool(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, env={"PATH": "/usr/sbin:/sbin:"
                                                                      "/usr/bin:/bin"})


def make_image(path, size):
    r = tool("mkfs.ext4", "-q", "-b", str(BLOCK), "-J", "size=4", "-E",
             "lazy_itable_init=0,lazy_journal_init=0", path, size)
    expect(r.returncode == 0, "mkfs.ext4: " + r.stdout.decode(errors="replace"))


def damage(path, image, safe):
    """What is wrong with a state, or None. safe: file -> its content."""
    with open(path, "wb") as f:
        f.write(image)
    r = tool("e2fsck", "-p", path)          # as a boot does it: the journal, and small things
    if r.returncode & ~1:
        return "e2fsck -p: " + r.stdout.decode(errors="replace")[-300:]
    r = tool("e2fsck", "-fn", path)
    if r.returncode:
        return "e2fsck -fn: " + r.stdout.decode(errors="replace")[-300:]
    for name, content in safe.items():
        if tool("debugfs", "-R", f"cat {name}", path).stdout.split(b"\n", 1)[-1] != content:
            return f"{name}, which the guest had made safe, is lost or has another content"
    return None


def judge(image, happened, content, path, count=1, seed=1):
    """(states looked at, files safe in the end, the first damage or None)"""
    disk, safe, states = Disk(image, seed), {}, 0
    for i, event in enumerate(happened):
        if event[0] == "write":
            disk.write(*event[1:])
        elif event[0] == "said" and (m := re.match(r"MIMSY-SAFE (\w+)", event[1])):
            safe[m[1]] = content(m[1])
        # All that may be lost is pending right before a flush, or after the last event.
        ahead = happened[i + 1][0] if i + 1 < len(happened) else "flush"
        if ahead == "flush":
            for state in disk.states(count):
                states += 1
                why = damage(path, state, dict(list(safe.items())[-3:]))
                if why:
                    return states, len(safe), why
        if event[0] == "flush":
            disk.flush()
    return states, len(safe), None
