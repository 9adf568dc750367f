# SPDX-License-Identifier: Apache-2.0
"""A monitor with a guest that halts and stays, and what /proc says about it."""

import os
import re
import select
import signal
import subprocess
import time


class Monitor:
    """Runs until the end of the with block. Popen's keywords go through."""

    def __init__(self, opts, *args, prefix=(), cpus=2, guest="power", append="how=halt",
                 mimsy=None, kernel=None, **popen):
        self.argv = [*prefix, mimsy or opts.mimsy, "run", "--kernel",
                     kernel or os.path.join(opts.guests, guest + ".elf"), "--cmdline", append,
                     "--memory", "16M", "--cpus", str(cpus), "--debug-exit", *args]
        self.popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                      "stderr": subprocess.PIPE, "start_new_session": True, **popen}
        self.output = b""

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, **self.popen)
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def kill(self):
        """With whatever a prefix (strace, unshare) has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait_for(self, text, seconds=30):
        """True once the guest has printed it; False if the monitor ended before."""
        fd = self.process.stdout.fileno()
        end = time.monotonic() + seconds
        while text not in self.output and time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            data = os.read(fd, 4096)
            if not data:
                return False
            self.output += data
        return text in self.output

    def wait_started(self):
        started = self.wait_for(b"halted")
        time.sleep(0.1)         # the last instruction before the halt
        return started

    def stop(self, sig=signal.SIGTERM, seconds=20):
        """Exit status after the signal, and what was said on stderr."""
        self.process.send_signal(sig)
        return self.finish(seconds)

    def finish(self, seconds=20):
        try:
            _, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            _, err = self.process.communicate()
        return self.process.returncode, (err or b"").decode(errors="replace")

    def read(self, name):
        with open(f"/proc/{self.pid}/{name}", encoding="ascii", errors="replace") as f:
            return f.read()

    def tasks(self):
        """A dictionary of the lines of status for each thread."""
        found = []
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            lines = self.read(f"task/{tid}/status").splitlines()
            found.append({k: v.strip() for k, v in (line.split(":", 1) for line in lines)})
        return found

    def descriptors(self):
        """What each descriptor is, with numbers taken out of the names."""
        found = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found.append((int(fd), os.readlink(f"/proc/{self.pid}/fd/{fd}")))
            except FileNotFoundError:
                pass
        return [(fd, re.sub(r":\[\d+\]|(?<=vcpu):\d+", "", name)) for fd, name in sorted(found)]

    def limits(self):
        rows = [line for line in self.read("limits").splitlines()[1:]]
        return {row[:26].strip(): row[26:47].strip() for row in rows}

    def namespace(self, name):
        return os.readlink(f"/proc/{self.pid}/ns/{name}")
