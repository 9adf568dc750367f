# SPDX-License-Identifier: Apache-2.0
"""A guest at a terminal: what it prints is waited for, what a user would type is typed."""

import re
import time

# How long anything may take before the test gives up. Only what hangs reaches it.
PATIENCE = 300
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x0e\x0f]")


class Failure(Exception):
    """The guest did not do what was waited for."""


class Session:
    """The monitor's terminal in a bed or on the host; log: an open text file."""

    def __init__(self, bed, argv, log):
        self.text, self.at, self.log = "", 0, log
        print(" ".join(argv), file=log)
        self.process = bed.start(argv, tty=True, on_data=self._take)

    def _take(self, _stream, data):
        text = ESCAPES.sub("", data.decode(errors="replace")).replace("\r", "")
        self.log.write(text)
        self.text += text

    def expect(self, pattern, patience=PATIENCE):
        """Waits until the guest has printed this, and goes on behind it. Returns the match."""
        end = time.monotonic() + patience
        while True:
            found = re.compile(pattern, re.M).search(self.text, self.at)
            if found:
                self.at = found.end()
                return found
            if self.process.result is not None:
                raise Failure(f"ended with {self.process.result.status} before {pattern!r}: "
                              + self.tail())
            if time.monotonic() > end:
                self.process.kill()
                raise Failure(f"no {pattern!r}: {self.tail()}")
            self.process.poll(1)

    def tail(self):
        return " / ".join(self.text.strip().split("\n")[-4:])[-400:]

    def type(self, line):
        self.process.write(line.encode() + b"\n")

    def login(self):
        self.expect(r"login: ")
        self.type("root")
        self.expect(r"root@[\w-]+:~# ")

    def command(self, line):
        """What the command printed; Failure if it did not succeed."""
        self.type(line + '; echo "status"=$?')
        found = self.expect(r"((?:.*\n)*?)status=(\d+)\n")
        if found[2] != "0":
            raise Failure(f"{line}: status {found[2]}: {found[1][-300:]}")
        self.expect(r"# ")
        return found[1].partition("\n")[2]

    def end(self, patience=PATIENCE):
        """The monitor's exit status, when it has ended by itself."""
        deadline = time.monotonic() + patience
        while self.process.poll(1) is None:
            if time.monotonic() > deadline:
                self.process.kill()
                raise Failure(f"the monitor does not end: {self.tail()}")
        return self.process.result.status
