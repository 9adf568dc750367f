# SPDX-License-Identifier: Apache-2.0
"""The commands of tests/testbed/testbed."""

import argparse
import signal
import sys

from . import image
from .bed import BedError, TestBed


def stream(number, data):
    out = (sys.stdout if number == 1 else sys.stderr).buffer
    out.write(data)
    out.flush()


def pair(text):
    """A:B, or A alone."""
    a, _, b = text.partition(":")
    return a, b or None


def key_value(text):
    k, eq, v = text.partition("=")
    if not eq:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return k, v


def run_in(bed, opts):
    for host, guest in opts.put:
        bed.put(host, guest)
    r = bed.run(opts.cmd[0] if opts.shell else opts.cmd, timeout=opts.timeout,
                env=dict(opts.env), on_data=stream)
    for guest, host in opts.get:
        try:
            bed.get(guest, host or guest)
        except BedError as e:
            print(f"testbed: {e}", file=sys.stderr)
            r.status = r.status or 125
    if r.timed_out:
        print(f"testbed: killed, the time limit of {opts.timeout:g} s is over", file=sys.stderr)
    if r.lost:
        print(f"testbed: the command was lost: {r.lost}", file=sys.stderr)
    return r.status


def cmd_run(opts):
    with TestBed(memory=opts.memory, modules=opts.modules, kernel_args=opts.kvm_arg,
                 log=opts.log, quiet=opts.quiet) as bed:
        return run_in(bed, opts)


def parser():
    p = argparse.ArgumentParser(
        prog="testbed", description="Runs commands where KVM is real: in an emulated machine "
        "with AMD's SVM. Status 124: time limit, 125: the bed failed.")
    sub = p.add_subparsers(dest="command", required=True)
    r = sub.add_parser("run", help="boot L1, run a command in it, return its exit status")
    r.add_argument("--timeout", type=float, default=300, metavar="S", help="default 300")
    r.add_argument("--memory", type=int, default=2048, metavar="MIB", help="default 2048")
    r.add_argument("--put", type=pair, action="append", default=[], metavar="HOST[:GUEST]",
                   help="store a file or directory, and the libraries of a program")
    r.add_argument("--get", type=pair, action="append", default=[], metavar="GUEST[:HOST]")
    r.add_argument("--modules", type=lambda s: s.split(","), default=[], metavar="A,B,C")
    r.add_argument("--env", type=key_value, action="append", default=[], metavar="K=V")
    r.add_argument("--kvm-arg", action="append", default=[], metavar="kvm.X=Y",
                   help="module parameter or other kernel argument of L1")
    r.add_argument("--log", metavar="FILE", help="keep L1's kernel log here")
    r.add_argument("--shell", action="store_true", help="CMD is one string for sh")
    r.add_argument("--quiet", action="store_true", help="no line about the boot")
    r.add_argument("cmd", nargs="+", metavar="CMD")
    r.set_defaults(call=cmd_run)
    return p


def main(argv):
    opts = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(128 + signal.SIGHUP))
    try:
        return opts.call(opts)
    except (BedError, image.ImageError) as e:
        print(f"testbed: {e}", file=sys.stderr)
        return 125
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
