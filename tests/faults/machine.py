# SPDX-License-Identifier: Apache-2.0
"""One run of the monitor with the guest faultwork."""

import os
import subprocess

import trap


class Machine:
    """options: one of the monitor's --disk each, DISK stands for the file."""

    def __init__(self, opts, job, options=(), append="", args=(), memory="16M"):
        self.opts, self.job, self.options, self.append = opts, job, list(options), append
        self.args, self.memory, self.program = list(args), memory, opts.mimsy
        self.disks = [os.path.join(opts.scratch, f"disk{i}") for i in range(len(options))]
        self.guest = opts.guest
        self.out = os.path.join(opts.scratch, "out")
        self.err = os.path.join(opts.scratch, "err")

    def argv(self, append=""):
        argv = [self.program, "run", "--kernel", self.guest, "--memory", self.memory,
                "--debug-exit", "--cmdline", f"job={self.job} {self.append} {append}".strip()]
        for option, disk in zip(self.options, self.disks):
            argv += ["--disk", option.replace("DISK", disk)]
        if os.geteuid() and "--jail" not in self.args:
            argv += ["--jail", "off"]   # looking into a jailed process takes root
        return argv + self.args

    def start(self, append="", **popen):
        """Without a trap."""
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                 "stderr": subprocess.DEVNULL, **popen}
        return subprocess.Popen(self.argv(append), **popen)

    def trapped(self, handler, names=None):
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            return trap.Process(self.opts.trap, self.argv(), handler, names,
                                stdout=out, stderr=err)

    def run(self, handler, names=None, seconds=40):
        """Exit status (None: it hung) and what was said by guest and monitor."""
        with self.trapped(handler, names) as p:
            status = p.finish(seconds)
        return status, self.said(), self.log()

    def said(self):
        return open(self.out, "rb").read().replace(b"\r", b"")

    def log(self):
        return open(self.err, "rb").read()
