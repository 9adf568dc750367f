# SPDX-License-Identifier: Apache-2.0
"""A process whose system calls wait for our verdict.

The program trap gives us a seccomp listener. Each call arrives here before the
kernel looks at it, with its thread and arguments; the answer is to let it go on,
to make it return something else, or no answer for the time being. The calls are
those of the untouched monitor, its jail and filters included.
"""

import array
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import time

import calls

RECV, SEND, ID_VALID = 0xc0502100, 0xc0182101, 0x40082102
NOTIF = struct.Struct("<QIIiIQ6Q")
CONTINUE = 1
PIDFD_OPEN, PIDFD_GETFD = 434, 438
libc = ctypes.CDLL(None, use_errno=True)


class Error(Exception):
    pass


class Fail:
    """The call fails with this errno and is not made."""

    def __init__(self, errno):
        self.errno = errno


class Return:
    """The call returns this and is not made; somebody did it in its place, or part of it."""

    def __init__(self, value):
        self.value = value


class Hold:
    """No answer; release() gives it later."""


class Call:
    """One call that waits. role: 0 the first thread, then in order of creation."""

    def __init__(self, process, data):
        self.process = process
        self.id, self.tid, _, self.nr, _, _, *args = NOTIF.unpack(data)
        self.args = args
        self.name = calls.NAMES.get(self.nr, f"call{self.nr}")

    @property
    def role(self):
        return self.process.role(self.tid)

    def fd_name(self, which=0):
        """What a descriptor argument is, without numbers that change from run to run."""
        try:
            return os.readlink(f"/proc/{self.tid}/fd/{self.args[which] & 0xffffffff}")
        except OSError:
            return "?"

    def memory(self, address, length):
        with open(f"/proc/{self.tid}/mem", "rb", buffering=0) as f:
            f.seek(address)
            return f.read(length)

    def string(self, address):
        return self.memory(address, 256).split(b"\0")[0].decode(errors="replace")

    def iovec(self):
        """The list of a readv-like call: [(address, length)]."""
        raw = self.memory(self.args[1], 16 * self.args[2])
        return [struct.unpack_from("<QQ", raw, 16 * i) for i in range(self.args[2])]

    def data(self):
        return b"".join(self.memory(a, n) for a, n in self.iovec() if n)

    def duplicate(self, which=0):
        """The caller's descriptor, as one of ours."""
        pidfd = libc.syscall(PIDFD_OPEN, self.process.pid, 0)
        fd = libc.syscall(PIDFD_GETFD, pidfd, self.args[which] & 0xffffffff, 0)
        err = ctypes.get_errno()
        os.close(pidfd)
        if fd < 0:
            raise OSError(err, "pidfd_getfd")
        return fd


class Process:
    """argv under the program trap; handler(call) gives the verdict, None: it goes on.

    stdout and stderr go to files, so that nobody has to read them meanwhile.
    """

    def __init__(self, program, argv, handler, names=None, **popen):
        ours, theirs = socket.socketpair()
        what = "all" if names is None else ",".join(str(calls.NUMBERS[n]) for n in names)
        self.handler, self.roles, self.held = handler, {}, []
        self.process = subprocess.Popen(
            [program, str(theirs.fileno()), what, *argv], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, **popen)
        self.pid = self.process.pid
        theirs.close()
        _, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
        ours.close()
        if not control:
            self.process.wait()
            raise Error("no listener: seccomp user notification is not possible here")
        self.fd = array.array("i", control[0][2])[0]

    def role(self, tid):
        """Threads are numbered as they are made; which of them is seen first is a race."""
        if tid not in self.roles:
            try:
                tids = sorted(map(int, os.listdir(f"/proc/{self.pid}/task")))
                self.roles[tid] = tids.index(tid)
            except (OSError, ValueError):
                return -1
        return self.roles[tid]

    def answer(self, call, verdict):
        if isinstance(verdict, Hold):
            self.held.append(call)
            return
        value = error = flags = 0
        if verdict is None:
            flags = CONTINUE
        elif isinstance(verdict, Fail):
            error = -verdict.errno
        else:
            value = verdict.value
        try:
            fcntl.ioctl(self.fd, SEND, struct.pack("<QqiI", call.id, value, error, flags))
        except OSError:
            pass                # a signal has taken it away, or the thread is dead

    def release(self, verdict=None):
        held, self.held = self.held, []
        for call in held:
            self.answer(call, verdict)

    def step(self, seconds):
        """Waits for a call and answers it. False: time is up; None: nobody is left."""
        p = select.poll()
        p.register(self.fd, select.POLLIN)
        events = p.poll(seconds * 1000)
        if not events:
            return False
        if not events[0][1] & select.POLLIN:
            return None
        try:
            data = fcntl.ioctl(self.fd, RECV, bytes(NOTIF.size))
        except OSError:         # gone again before we looked
            return True
        call = Call(self, data)
        self.role(call.tid)
        self.answer(call, self.handler(call))
        return True

    def run(self, seconds=20, until=None):
        """Serves calls until the process is gone, or until() is true. Returns whether so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until and until():
                return True
            if self.step(min(0.05, max(0, end - time.monotonic()))) is None:
                self.process.wait()
                return not until or bool(until())
        return False

    def signal(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)

    def finish(self, seconds=20):
        """The exit status; None: it had to be killed."""
        done = self.run(seconds)
        if not done:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        return self.process.returncode if done else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            os.close(self.fd)
