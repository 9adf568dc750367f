# SPDX-License-Identifier: Apache-2.0
"""TestBed: an L1 machine with KVM, in a QEMU that emulates a CPU with AMD's SVM.

    with TestBed() as bed:
        bed.put("build/mimsy")
        r = bed.run(["build/mimsy", "--version"], timeout=20)

A bed that dies or stops answering is given up: the command's Result says so in
`lost`, and the next call boots another one with the same files in it.
"""

import glob
import hashlib
import os
import re
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
import threading
import time

from . import image
from .image import say
from .link import MERGE, TTY, Collector, Link, LinkLost, Process, Result, chunks

PATH = "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"
ENV = {"PATH": PATH, "HOME": "/root", "TERM": "linux", "LANG": "C.UTF-8", "MIMSY_TESTBED": "1"}


class BedError(Exception):
    """The bed cannot do what was asked; the text says why."""


# No XSAVE: QEMU's SVM does not intercept XSETBV, so KVM never learns of an L2 guest's XCR0, and loads
# its own at each entry. The guest would warn at boot and save too little at each task switch.
CPU = "EPYC-v3,+svm,-la57,-xsave,-avx,-avx2,-fma,-f16c"


def qemu_argv(kernel, initrd, memory, cpus, kernel_args, log, fd):
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise BedError("qemu-system-x86_64 is not installed (package qemu-system-x86)")
    append = ["console=ttyS0", "reboot=t", "panic=-1", "oops=panic", "quiet", "mitigations=off",
              "rdinit=/init", *kernel_args]
    # setpriv: QEMU must not outlive the thread that reads from it.
    return ["setpriv", "--pdeathsig", "KILL", qemu, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-machine", "q35,hpet=off",
            "-accel", "tcg,tb-size=512,thread=multi", "-cpu", CPU,
            "-m", str(memory), "-smp", str(cpus), "-kernel", kernel, "-initrd", initrd,
            "-append", " ".join(append),
            "-chardev", f"file,id=log,path={log},append=on", "-serial", "chardev:log",
            "-device", "virtio-serial-pci,max_ports=2",
            "-chardev", f"socket,id=agent,fd={fd}",
            "-device", "virtserialport,chardev=agent,name=mimsy.testbed"]


# QEMU's SVM now and then forgets, at an exit of L2, that an interrupt of L1's CPU waits. If that was
# the timer's, L1 stands still for ever; but any further interrupt brings the forgotten one too.
NUDGE_S = 0.25


def make_tmp():
    """A directory of this process; those that a killed one has left are removed."""
    prefix = os.path.join(tempfile.gettempdir(), "testbed-")
    for path in glob.glob(prefix + "*-*"):
        pid = path[len(prefix):].split("-")[0]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"testbed-{os.getpid()}-")


class Machine:
    """One boot of L1."""

    def __init__(self, argv_for, log):
        self.log = log
        self.log_start = os.path.getsize(log) if os.path.exists(log) else 0
        self.qemu = None
        self.failed = None
        self.closing = threading.Event()
        ours, theirs = socket.socketpair()
        self.link = Link(ours)
        self.started = threading.Event()
        # QEMU is a child of this thread, so that it dies with it.
        self.thread = threading.Thread(target=self._main, args=(argv_for, theirs), daemon=True)
        self.thread.start()
        self.started.wait()
        if self.failed:
            raise self.failed

    def _main(self, argv_for, theirs):
        try:
            with open(self.log, "ab") as out, theirs:
                self.qemu = subprocess.Popen(
                    argv_for(theirs.fileno()), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    pass_fds=[theirs.fileno()], start_new_session=True)
        except (OSError, BedError) as e:
            self.failed = BedError(f"cannot start L1: {e}")
        self.started.set()
        if not self.failed:
            self.link.read_loop(self._gone)

    def _gone(self):
        try:
            status = self.qemu.wait(5)
        except subprocess.TimeoutExpired:
            return "the channel to L1 was closed"
        return "closed" if self.closing.is_set() else f"L1 has ended (QEMU's exit status {status})"

    def keep_awake(self):
        """From now on, see NUDGE_S. The agent must be up."""
        threading.Thread(target=self._nudge, daemon=True).start()

    def _nudge(self):
        try:
            while not self.closing.wait(NUDGE_S):
                self.link.nudge()
        except LinkLost:
            pass        # whoever waits for an answer will say so

    def close(self):
        self.closing.set()
        self.qemu.kill()
        self.qemu.wait()
        self.thread.join()
        self.link.sock.close()

    def last_lines(self, count=20):
        """The end of the log; if L1 has crashed, what it said first about that."""
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            text = f.read().decode(errors="replace").replace("\r", "")
        lines = [line for line in text.split("\n") if line and "TCG doesn't support" not in line]
        crash = [i for i, line in enumerate(lines) if re.search("panic|BUG:|Oops", line)]
        lines = lines[crash[0]:][:count] if crash else lines[-count:]
        return "\n".join("  | " + line for line in lines)


def hash_file(path):
    """A hash of a file's size and of its parts that are not holes."""
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        h = hashlib.blake2b(b"%d" % size)
        for off, data in chunks(f.fileno(), size):
            h.update(b"%d %d " % (off, len(data)) + data)
    return h.hexdigest()


class FileTable:
    """What a bed holds, by path in L1, to send nothing twice and to fill a new bed."""

    def __init__(self):
        self.hashes = {}    # (device, inode, size, mtime) -> hash
        self.sent = {}      # path in L1 -> (host path, hash, mode, identity in L1)

    def hash(self, path):
        st = os.stat(path)
        key = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
        if key not in self.hashes:
            self.hashes[key] = hash_file(path)
        return self.hashes[key]


def libraries(path):
    """The shared libraries and the loader of a dynamic executable."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return []
    r = subprocess.run(["ldd", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True, check=False)
    words = [w for line in r.stdout.splitlines() for w in line.split()]
    missing = [line.split()[0] for line in r.stdout.splitlines() if "not found" in line]
    if missing:
        raise BedError(f"{path} needs {', '.join(missing)}, not on this machine")
    return [w for w in words if w.startswith("/")]


class TestBed:
    """See the module. Options: memory in MiB, more modules, kernel arguments, a log to keep."""

    __test__ = False
    emulated = True

    def __init__(self, memory=2048, cpus=1, modules=(), kernel_args=(), log=None, quiet=False):
        self.memory, self.cpus, self.modules = memory, cpus, tuple(modules)
        self.kernel_args, self.quiet = tuple(kernel_args), quiet
        self.tmp = make_tmp()
        self.log = os.path.abspath(log or os.path.join(self.tmp, "l1.log"))
        self.files = FileTable()
        self.machine = None
        self.restarts = 0
        self.boot_seconds = None
        self.release = None
        self.scratch = "/tmp/scratch"
        self.lock = threading.RLock()

    def __enter__(self):
        self.boot()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with self.lock:
            self._drop()
        shutil.rmtree(self.tmp, ignore_errors=True)

    # ---- life of the machine ----

    def boot(self):
        with self.lock:
            if self.machine and not self.machine.link.lost:
                return self.machine
            again = self.machine is not None or self.restarts > 0
            self._drop()
            self._boot_once()
            if again:
                self._refill()
            return self.machine

    def _boot_once(self):
        try:
            kernel, initrd, _ = image.build(self.modules)
        except image.ImageError as e:
            raise BedError(str(e)) from None
        began = time.monotonic()
        self.machine = Machine(lambda fd: qemu_argv(
            kernel, initrd, self.memory, self.cpus, self.kernel_args, self.log, fd), self.log)
        try:
            self.release = self.machine.link.hello(120)
        except LinkLost as e:
            lines = self.machine.last_lines()
            self._drop()
            raise BedError(f"L1 did not come up: {e}\n{lines}") from None
        self.boot_seconds = time.monotonic() - began
        if not self.quiet:
            say(f"L1 (Linux {self.release}, emulated) is up after {self.boot_seconds:.1f} s")
        self.machine.link.ask("N")
        self.machine.keep_awake()

    def _drop(self):
        if self.machine:
            self.machine.close()
        self.machine = None

    def _lost(self, machine, reason):
        """Reports the loss of a machine and lets the next call boot another one."""
        with self.lock:
            if self.machine is machine:
                say(f"{reason}; L1 is given up, the next command gets a new one; its last lines:\n"
                    + machine.last_lines())
                self.restarts += 1
                self._drop()

    def _refill(self):
        sent, self.files.sent = self.files.sent, {}
        for guest, entry in sent.items():
            if os.path.exists(entry[0]):
                self._put_file(entry[0], guest)

    # ---- commands ----

    def start(self, cmd, env=None, cwd=None, merge=False, tty=False, on_line=None, on_data=None):
        """Starts cmd (a list, or a string for the shell) and returns its Process. The directory
        is, unless given, the one of the same name as the caller's; it is made if need be.
        merge: standard error comes in stdout; tty: the command has a terminal."""
        argv = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else [os.fspath(a) for a in cmd]
        return self.boot().link.start(argv, {**ENV, **(env or {})},
                                      cwd or os.getcwd(), MERGE * merge | TTY * tty,
                                      Collector(on_line, on_data))

    def run(self, cmd, timeout=60, input=None, wait=Process.wait, **kw):
        """Runs cmd to its end; a Result, also if the time limit (s) or the bed's loss ended it."""
        began, out = time.monotonic(), None
        machine = self.boot()
        try:
            process = self.start(cmd, **kw)
            out = process.out
            if input is not None:
                process.write(input)
            process.close_input()
            return wait(process, timeout)
        except LinkLost as e:
            self._lost(machine, str(e))
            data = out.data if out else {1: b"", 2: b""}
            return Result(125, bytes(data[1]), bytes(data[2]), time.monotonic() - began,
                          lost=str(e))

    # ---- files ----

    def put(self, host, guest=None):
        """Stores a file or directory, by default under its own absolute path, and the shared
        libraries it needs. Returns the path in L1. What is there unchanged is not sent again."""
        host = os.path.abspath(host)
        guest = guest or host
        if os.path.isdir(host):
            self._put_tree(host, guest)
            return guest
        for lib in libraries(host):
            self._put_file(os.path.realpath(lib), lib)
        self._put_file(host, guest)
        return guest

    def _put_file(self, host, guest):
        mode, digest = stat.S_IMODE(os.stat(host).st_mode), self.files.hash(host)
        machine = self.boot()
        try:
            known = self.files.sent.get(guest)
            if known and known[1:3] == (digest, mode):
                if machine.link.ask("S", os.fsencode(guest)) == (0, known[3]):
                    return
            code, text = machine.link.put(host, guest, mode)
        except LinkLost as e:
            self._lost(machine, str(e))
            raise BedError(f"put {host}: {e}") from None
        if code:
            raise BedError(f"put {host} as {guest}: {os.strerror(code)}")
        self.files.sent[guest] = (host, digest, mode, text)

    def _put_tree(self, host, guest):
        with tempfile.NamedTemporaryFile(dir=self.tmp, suffix=".tar") as tmp:
            with tarfile.open(tmp.name, "w") as tar:
                tar.add(host, arcname=".")
            self._put_file(tmp.name, "/tmp/put.tar")
        self.files.sent.pop("/tmp/put.tar")
        r = self.run(["sh", "-c", 'mkdir -p "$1" && tar -xf /tmp/put.tar -C "$1"; s=$?; '
                      "rm /tmp/put.tar; exit $s", "put", guest])
        if not r.ok:
            raise BedError(f"put {host} as {guest}: {r.text}")

    def get(self, guest, host=None):
        """Fetches a file of L1; returns its contents if no path on the host is given."""
        with tempfile.NamedTemporaryFile(dir=self.tmp) as tmp:
            target = host or tmp.name
            machine = self.boot()
            try:
                code, text = machine.link.get(guest, target)
            except LinkLost as e:
                self._lost(machine, str(e))
                raise BedError(f"get {guest}: {e}") from None
            if code:
                if host:
                    os.unlink(host)
                raise BedError(f"get {guest}: {os.strerror(code)}")
            if host:
                os.chmod(host, int(text.split()[-1], 8) & 0o777)
                return None
            return tmp.read()
