# SPDX-License-Identifier: Apache-2.0
"""A running bed for the shell: `testbed serve` keeps it, `testbed exec` uses it.

One connection of a Unix socket is one request: a line of JSON to the server,
then frames back: O and E with output, Z with a line of JSON at the end.
"""

import json
import os
import select
import socket
import threading

from .bed import BedError
from .link import HEAD


def send_frame(sock, kind, data):
    sock.sendall(HEAD.pack(len(data), 0, ord(kind)) + data)


def wait_or_hang_up(process, timeout, conn):
    """process.wait(), but the command is killed when the client has gone."""
    done = threading.Event()

    def watch():
        while not done.wait(0.3):
            if select.select([conn], [], [], 0)[0] and not conn.recv(1):
                process.kill(9)
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        return process.wait(timeout)
    finally:
        done.set()


def execute(bed, req, conn):
    """Carries out one request; the closing JSON."""
    for host, guest in req["put"]:
        bed.put(host, guest)

    def output(stream, data):
        try:
            send_frame(conn, "O" if stream == 1 else "E", data)
        except OSError:
            pass        # the client has gone, watch() sees to it

    r = bed.run(req["cmd"], timeout=req["timeout"], env=req["env"], cwd=req["cwd"],
                on_data=output, wait=lambda p, t: wait_or_hang_up(p, t, conn))
    for guest, host in req["get"]:
        bed.get(guest, host)
    return {"status": r.status, "timed_out": r.timed_out, "lost": r.lost}


def handle(bed, conn, server):
    with conn, conn.makefile("rb") as f:
        try:
            req = json.loads(f.readline())
            if req["op"] == "stop":
                server.shutdown(socket.SHUT_RDWR)
                reply = {"status": 0}
            else:
                reply = execute(bed, req, conn)
        except (BedError, OSError, ValueError, KeyError) as e:
            reply = {"status": 125, "lost": f"{type(e).__name__}: {e}"}
        try:
            send_frame(conn, "Z", json.dumps(reply).encode())
        except OSError:
            pass


def serve(bed, path):
    """Answers requests until one of them is stop."""
    server = socket.socket(socket.AF_UNIX)
    old = os.umask(0o077)
    try:
        server.bind(path)
    finally:
        os.umask(old)
    try:
        server.listen()
        while True:
            conn, _ = server.accept()
            threading.Thread(target=handle, args=(bed, conn, server), daemon=True).start()
    except OSError:
        pass        # shut down
    finally:
        os.unlink(path)
        server.close()


def request(path, req, on_data):
    """Client side: sends req, passes output on, returns the closing JSON."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except OSError as e:
            raise BedError(f"no bed at {path}: {e.strerror}; start one with: testbed serve") \
                from None
        s.sendall(json.dumps(req).encode() + b"\n")
        with s.makefile("rb") as f:
            while head := f.read(HEAD.size):
                size, _, kind = HEAD.unpack(head)
                data = f.read(size)
                if chr(kind) == "Z":
                    return json.loads(data)
                on_data(1 if chr(kind) == "O" else 2, data)
    raise BedError("the bed has gone")
