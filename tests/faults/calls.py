# SPDX-License-Identifier: Apache-2.0
"""System calls by name, and how each of them can fail."""

import re
from errno import (E2BIG, EACCES, EAGAIN, EBUSY, EDQUOT, EEXIST, EFAULT, EINTR, EINVAL, EIO, EMFILE,
                   ENFILE, ENOBUFS, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM)

HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
NUMBERS = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR_(\w+) (\d+)",
                                                open(HEADER, encoding="ascii").read())}
NAMES = {number: name for name, number in NUMBERS.items()}

# What the manual pages list and a valid call can meet, the likeliest first.
ERRORS = {
    "openat": (EACCES, EMFILE, ENOMEM), "open": (EACCES, EMFILE), "ioctl": (EINVAL, ENOMEM),
    "mmap": (ENOMEM,), "mprotect": (ENOMEM,), "brk": (ENOMEM,), "munmap": (ENOMEM,),
    "mremap": (ENOMEM,), "madvise": (EINVAL,), "clone3": (EAGAIN, ENOMEM), "clone": (EAGAIN,),
    "eventfd2": (EMFILE, ENFILE, ENOMEM), "timerfd_create": (EMFILE, ENOMEM),
    "signalfd4": (EMFILE, ENOMEM), "epoll_create1": (EMFILE,), "epoll_ctl": (ENOMEM, ENOSPC),
    "socket": (EMFILE, EACCES), "bind": (EACCES,), "fcntl": (EAGAIN, EINVAL),
    "newfstatat": (EIO, ENOMEM), "fstat": (EIO,), "fstatfs": (EIO,),
    "read": (EIO, EINTR), "pread64": (EIO, EINTR), "preadv": (EIO, EINTR), "preadv2": (EIO,),
    "readv": (EIO, EINTR, EAGAIN), "write": (EIO, ENOSPC, EINTR),
    "writev": (EIO, EINTR, EAGAIN, ENOBUFS),
    "pwrite64": (EIO, ENOSPC, EINTR), "pwritev2": (EIO, ENOSPC, EDQUOT, EINTR),
    "fdatasync": (EIO, EINTR), "fallocate": (EIO, ENOSPC, EINTR), "close": (EIO, EINTR),
    "close_range": (ENOMEM,), "dup": (EMFILE,), "lseek": (EINVAL,),
    "poll": (EINTR, ENOMEM), "ppoll": (EINTR, ENOMEM), "epoll_wait": (EINTR,),
    "futex": (EINTR,), "clock_nanosleep": (EINTR,),
    "io_uring_setup": (EPERM, ENOMEM, ENOSYS), "io_uring_register": (EINVAL, ENOMEM),
    "io_uring_enter": (EINTR, EAGAIN, EBUSY),
    "prctl": (EINVAL, EPERM), "capset": (EPERM,), "capget": (EPERM,), "seccomp": (EINVAL, ENOMEM),
    "setgroups": (EPERM,), "setresuid": (EAGAIN, EPERM), "setresgid": (EPERM,),
    "unshare": (EPERM, ENOSPC), "mount": (EPERM, ENOMEM), "umount2": (EBUSY,), "chdir": (EACCES,),
    "fchdir": (EACCES,), "pivot_root": (EBUSY, EINVAL), "chroot": (EPERM,), "fsopen": (ENODEV,),
    "fsconfig": (EINVAL,), "fsmount": (ENOMEM,), "move_mount": (EINVAL,),
    "landlock_create_ruleset": (ENOSYS, ENOMEM), "landlock_restrict_self": (EPERM,),
    "prlimit64": (EPERM,), "setrlimit": (EPERM,), "getrlimit": (EFAULT,),
    "sched_setaffinity": (EINVAL,),
    "timerfd_settime": (EINVAL,), "recvfrom": (EAGAIN, ENOBUFS), "recvmsg": (EAGAIN, ENOBUFS),
    "sendto": (EAGAIN, ENOBUFS), "getsockopt": (EINVAL,), "setsockopt": (EINVAL,),
    "statx": (EIO,), "readlink": (ENOENT,), "uname": (EFAULT,), "sysinfo": (EFAULT,),
    "bpf": (EPERM, ENOMEM, E2BIG), "getrandom": (ENOSYS,), "mkdir": (EEXIST, EACCES),
}

# Calls that cannot fail, and those whose failure no program could survive.
CANNOT = {
    "exit": "does not return", "exit_group": "does not return", "execve": "not ours",
    "rt_sigreturn": "does not return", "restart_syscall": "the kernel's own",
    "getpid": "cannot fail", "gettid": "cannot fail", "geteuid": "cannot fail",
    "getuid": "cannot fail", "getgid": "cannot fail", "getegid": "cannot fail",
    "set_tid_address": "cannot fail", "sched_yield": "cannot fail",
    "arch_prctl": "libc's first call: it ends the program", "clock_gettime": "cannot fail",
    "tgkill": "cannot fail for a thread that is there",
    "rt_sigaction": "cannot fail for a signal that there is", "rt_sigprocmask": "cannot fail",
    "rseq": "a kernel has it or not: libc ends the program if it changes its mind",
    "set_robust_list": "the same",
}

# A sanitizer makes these for itself and ends the program when one fails.
SANITIZERS = {"mmap", "munmap", "mprotect", "mremap", "madvise", "sigaltstack", "open", "clone",
              "getdents", "getdents64", "readlink", "ptrace", "wait4", "lseek", "getrlimit"}

KVM_RUN, KVM_IRQFD, DEASSIGN = 0xae80, 0x4020ae76, 1
EVENTFD = "anon_inode:[eventfd]"


def errors(call):
    """The errnos that this call may be given, by what it is done to; none: it cannot fail."""
    if call.name in CANNOT:
        return ()
    if call.name in ("read", "write"):
        kind = call.fd_name()
        if kind.startswith("anon_inode:"):      # eventfd, timerfd, signalfd
            return (EINTR,) if call.name == "read" else ()
    if call.name == "close" and call.fd_name().startswith("pipe:"):
        return ()               # whatever it returns, the end is closed, and its reader sees that
    if call.name == "ioctl" and call.args[1] == KVM_RUN:
        return (EINTR, EAGAIN, EFAULT)
    if call.name == "ioctl" and call.args[1] == KVM_IRQFD and \
            call.memory(call.args[2] + 8, 1)[0] & DEASSIGN:
        return ()               # cannot fail for a descriptor that is open
    if call.name == "futex" and call.args[1] & 0x7f not in (0, 9):     # not a wait
        return ()
    return ERRORS.get(call.name, (EINVAL,))


def what(call):
    """What a call is about, the same in each run."""
    if call.name == "ioctl":
        return f"ioctl {call.args[1] & 0xffffffff:#x}"
    if call.name in ("read", "write", "close", "newfstatat", "fstat", "pread64"):
        return f"{call.name} {kind_of(call.fd_name())}"
    if call.name == "futex":
        return f"futex {call.args[1] & 0x7f}"
    if call.name == "prctl":
        return f"prctl {call.args[0]}"
    return call.name


def kind_of(name):
    """pipe:[123] and /tmp/x/disk are the same in each run but for numbers and folders."""
    name = name.replace(" (deleted)", "")
    return re.sub(r"\d+", "N", name.rsplit("/", 1)[-1] if name.startswith("/") else name)
