# SPDX-License-Identifier: Apache-2.0
"""What a compromised monitor can ask of the host's network, by each socket that it holds.

The sockets are taken out of the running monitor, so they are what it has. Asked is as root:
more than the monitor itself could.
"""

import ctypes
import os
import socket
import struct

PIDFD_GETFD = 438
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
QUESTIONS = {"links": 18, "addresses": 22, "routes": 26, "neighbours": 30, "rules": 34,
             "queueing": 38, "settings": 82, "statistics": 94, "namespaces": 90}


def take(pid, fd):
    """A socket of another process."""
    pidfd = os.pidfd_open(pid)
    got = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, fd, 0)
    os.close(pidfd)
    if got < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return socket.socket(fileno=got)


def ask(sock, kind, flags, index=0):
    """Bytes of the answers; the kernel gives them before it comes back from the write."""
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0)
    head = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0)
    os.write(sock.fileno(), head + body)
    got = b""
    while True:
        try:
            got += sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return got


def answers(sock):
    """The names of questions that are answered. An error is an answer as well."""
    found = [name for name, kind in QUESTIONS.items() if ask(sock, kind, NLM_F_DUMP)]
    return found + (["one link"] if ask(sock, QUESTIONS["links"], NLM_F_ACK, 1) else [])
