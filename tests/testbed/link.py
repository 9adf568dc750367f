# SPDX-License-Identifier: Apache-2.0
"""Host side of the channel to the agent in L1: frames, commands, files.

One thread reads frames and hands each to the queue of its request; any number
of threads may issue requests. Time limits are kept here, not in L1.
"""

import dataclasses
import itertools
import os
import queue
import signal
import socket
import struct
import threading
import time

HEAD = struct.Struct("<III")
TERM_GRACE = 2      # seconds between SIGTERM and killing all of the command
KILL_GRACE = 15     # after that the bed itself counts as stuck
CHUNK = 256 << 10
MERGE, TTY = 1, 2   # flags of a command


class LinkLost(Exception):
    """The bed has gone or does not answer."""


@dataclasses.dataclass
class Result:
    """How a command ended. 124: time limit; 125: the bed was lost, `lost` says why."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    signal: int = 0
    timed_out: bool = False
    lost: str = ""

    @property
    def ok(self):
        return self.status == 0

    @property
    def text(self):
        """Standard output, then standard error, as text."""
        return (self.stdout + self.stderr).decode(errors="replace")


class Lines:
    """Cuts the chunks of one stream into lines for a callback."""

    def __init__(self, call):
        self.call = call
        self.rest = b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.call(line.decode(errors="replace").rstrip("\r"))

    def end(self):
        if self.rest:
            self.feed(b"\n")


class Collector:
    """Keeps a command's output and passes it on as it comes."""

    def __init__(self, on_line=None, on_data=None):
        self.data = {1: bytearray(), 2: bytearray()}
        self.on_data = on_data
        self.lines = {n: Lines(on_line) for n in (1, 2)} if on_line else {}

    def feed(self, stream, data):
        self.data[stream] += data
        if self.on_data:
            self.on_data(stream, data)
        if self.lines:
            self.lines[stream].feed(data)

    def end(self):
        for lines in self.lines.values():
            lines.end()


class Process:
    """A command that runs in L1."""

    def __init__(self, link, rid, replies, collector):
        self.link, self.rid, self.replies, self.out = link, rid, replies, collector
        self.began = time.monotonic()
        self.result = None

    def write(self, data):
        """Gives data to standard input."""
        for i in range(0, len(data), CHUNK):
            self.link.send("I", self.rid, data[i:i + CHUNK])

    def close_input(self):
        self.link.send("I", self.rid)

    def kill(self, sig=signal.SIGTERM):
        """SIGKILL goes to every process of the command, others to its process group."""
        self.link.send("K", self.rid, struct.pack("<I", sig))

    def wait(self, timeout=60):
        """Waits for the end; past the time limit the command is killed. Raises LinkLost."""
        deadline = self.began + timeout if timeout else None
        steps = [(signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)]
        timed_out = False
        while self.result is None:
            try:
                left = None if deadline is None else max(0, deadline - time.monotonic())
                self._event(*self.replies.get(timeout=left))
            except queue.Empty:
                timed_out = True
                if not steps:
                    raise LinkLost("a command that was killed did not end") from None
                sig, grace = steps.pop(0)
                self.kill(sig)
                deadline = time.monotonic() + grace
        if timed_out:
            self.result.timed_out, self.result.status = True, 124
        return self.result

    def poll(self, seconds=0):
        """Takes in what has come within seconds; the Result or None."""
        end = time.monotonic() + seconds
        try:
            while self.result is None:
                self._event(*self.replies.get(timeout=max(0, end - time.monotonic())))
        except queue.Empty:
            pass
        return self.result

    def _event(self, kind, data):
        if kind in ("O", "E"):
            self.out.feed(1 if kind == "O" else 2, data)
            return
        self.out.end()
        self.link.forget(self.rid)
        if not kind:
            raise LinkLost(data)
        self.result = Result(0, bytes(self.out.data[1]), bytes(self.out.data[2]),
                             time.monotonic() - self.began)
        if kind == "Z":
            status, sig, user, system = struct.unpack("<iIQQ", data)
            self.result.status, self.result.signal = status, sig
            self.result.cpu_seconds = (user + system) / 1e6
        else:
            code, _ = parse_reply(data)
            self.result.status = 126
            self.result.stderr += f"testbed: cannot start: {os.strerror(code)}\n".encode()


def parse_reply(data):
    return struct.unpack_from("<i", data)[0], data[4:].decode(errors="replace")


def chunks(fd, size):
    """(offset, bytes) of all of a file but its holes."""
    end = 0
    while end < size:
        try:
            off = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return      # a hole up to the end
        end = os.lseek(fd, off, os.SEEK_HOLE)
        while off < end:
            data = os.pread(fd, min(CHUNK, end - off), off)
            if not data:
                return
            yield off, data
            off += len(data)


class Link:
    """The channel. on_lost(reason) is called once, by the reading thread."""

    def __init__(self, sock):
        self.sock = sock
        # A stuck L1 stops taking bytes; a send must not wait for ever then.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 30, 0))
        self.lost = ""
        self.ids = itertools.count(1)
        self.waiting = {0: queue.Queue()}
        self.lock = threading.Lock()        # waiting, lost
        self.send_lock = threading.Lock()
        self.file_lock = threading.Lock()   # one file at a time

    # ---- reading thread ----

    def read_loop(self, gone):
        """Reads until the end; gone() then says why there is no more."""
        f = self.sock.makefile("rb", buffering=1 << 18)
        try:
            while True:
                head = f.read(HEAD.size)
                if len(head) < HEAD.size:
                    break
                size, rid, kind = HEAD.unpack(head)
                data = f.read(size)
                with self.lock:
                    q = self.waiting.get(rid)
                if q:
                    q.put((chr(kind), data))
        except OSError:
            pass
        reason = gone()
        with self.lock:
            self.lost = reason
            for q in self.waiting.values():
                q.put(("", reason))

    # ---- any thread ----

    def send(self, kind, rid, *parts):
        size = sum(len(p) for p in parts)
        try:
            with self.send_lock:
                self.sock.sendall(b"".join((HEAD.pack(size, rid, ord(kind)), *parts)))
        except OSError as e:
            raise LinkLost(self.lost or f"L1 takes no more data ({e})") from None

    def request(self):
        rid, q = next(self.ids), queue.Queue()
        with self.lock:
            if self.lost:
                raise LinkLost(self.lost)
            self.waiting[rid] = q
        return rid, q

    def forget(self, rid):
        with self.lock:
            self.waiting.pop(rid, None)

    def hello(self, timeout):
        return self._take(self.waiting[0], timeout)[1].decode()

    def _take(self, q, timeout):
        try:
            kind, data = q.get(timeout=timeout)
        except queue.Empty:
            raise LinkLost(f"L1 did not answer within {timeout} s") from None
        if not kind:
            raise LinkLost(data)
        return kind, data

    def ask(self, kind, *parts, timeout=30):
        """Sends one request; its (error number, text)."""
        rid, q = self.request()
        try:
            self.send(kind, rid, *parts)
            return parse_reply(self._take(q, timeout)[1])
        finally:
            self.forget(rid)

    def nudge(self):
        """Gives L1 an interrupt; nobody waits for the answer."""
        self.send("N", next(self.ids))

    def start(self, argv, env, cwd, flags, collector):
        rid, q = self.request()
        strings = [cwd, *(f"{k}={v}" for k, v in env.items()), *argv]
        self.send("X", rid, struct.pack("<III", flags, len(env), len(argv)),
                  b"".join(os.fsencode(s) + b"\0" for s in strings))
        return Process(self, rid, q, collector)

    def put(self, host, guest, mode):
        """Stores a file; its identity in L1, as stat() gives it. Holes are not sent."""
        with self.file_lock, open(host, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            self.send("P", 0, struct.pack("<QI", size, mode), os.fsencode(guest))
            for off, data in chunks(f.fileno(), size):
                self.send("D", 0, struct.pack("<Q", off), data)
            return self.ask("F", timeout=60)

    def get(self, guest, host):
        """Fetches a file of any kind that can be read to its end. (error number, text)."""
        rid, q = self.request()
        with self.file_lock, open(host, "wb") as f:
            end = 0
            self.send("G", rid, os.fsencode(guest))
            try:
                while True:
                    kind, data = self._take(q, 60)
                    if kind == "R":
                        f.truncate(end)
                        return parse_reply(data)
                    off = struct.unpack_from("<Q", data)[0]
                    f.seek(off)
                    f.write(data[8:])
                    end = max(end, off + len(data) - 8)
            finally:
                self.forget(rid)
