# SPDX-License-Identifier: Apache-2.0
"""Writes a cpio archive of the newc format, as the kernel's initramfs wants it; needs no root."""

import stat


class Writer:
    def __init__(self, f):
        self.f = f
        self.ino = 0
        self.made = set()

    def directory(self, path):
        self._parents(path)
        if path not in self.made:
            self.made.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode):
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path, mode, major, minor):
        self._parents(path)
        self._entry(path, mode, b"", major, minor)

    def close(self):
        self._entry("TRAILER!!!", 0)
        self._pad(512)

    def _parents(self, path):
        parent = path.rpartition("/")[0]
        if parent:
            self.directory(parent)

    def _pad(self, to):
        self.f.write(bytes(-self.f.tell() % to))

    def _entry(self, path, mode, data=b"", major=0, minor=0):
        name = path.encode() + b"\0"
        self.ino += 1
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name), 0)
        self.f.write(b"070701" + b"".join(b"%08x" % v for v in fields) + name)
        self._pad(4)
        self.f.write(data)
        self._pad(4)
