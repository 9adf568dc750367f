/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each line has its reason. A call that only a dying thread makes (abort,
 * stack smashing) is left out: the filter ends the process just as well.
 */
#include "rules.h"

#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALL32 0xffffffffu

#define ALLOW(call, reason) \
	{ .nr = SCMP_SYS(call), .name = #call, .why = reason }

/* The kernel looks at 32 bits of an ioctl number. */
#define IOCTL(request, reason) \
	{ .nr = SCMP_SYS(ioctl), .name = "ioctl " #request, .nr_conds = 1, \
	  .cond = { { 1, ALL32, (uint32_t)(request) } }, .why = reason }

/* Private memory that is never executable. */
#define MMAP(reason) \
	{ .nr = SCMP_SYS(mmap), .name = "mmap", .nr_conds = 2, \
	  .cond = { { 2, PROT_EXEC, 0 }, { 3, MAP_ANONYMOUS, MAP_ANONYMOUS } }, .why = reason }

#define MADVISE(advice, reason) \
	{ .nr = SCMP_SYS(madvise), .name = "madvise " #advice, .nr_conds = 1, \
	  .cond = { { 2, ALL32, advice } }, .why = reason }

/* To threads of this process only. */
#define TGKILL(reason) \
	{ .nr = SCMP_SYS(tgkill), .name = "tgkill", .nr_conds = 1, \
	  .cond = { { 0, ALL32, SANDBOX_PID_PLACEHOLDER } }, .why = reason }

/* To a log that is a socket: standard error, which is one already connected. */
#define SEND_LOG \
	{ .nr = SCMP_SYS(sendto), .name = "sendto", .nr_conds = 2, \
	  .cond = { { 0, ALL32, STDERR_FILENO }, { 4, ~0ull, 0 } }, \
	  .why = "log lines to a socket" }

/* What every thread needs to wait, to wake others, to log a line, and to die on a terminal. */
#define EVERY_THREAD \
	ALLOW(write, "eventfds, log lines"), \
	ALLOW(futex, "locks and parking"), \
	ALLOW(clock_gettime, "hosts whose clock is not in the vDSO"), \
	ALLOW(rt_sigprocmask, "end of a thread, signals of new ones"), \
	SEND_LOG, \
	IOCTL(TCSETS, "gives the terminal back, at the end or in a crash"), \
	IOCTL(TCGETS, "the same: some C libraries look at what came of it")

#define THREAD_END \
	MADVISE(MADV_DONTNEED, "end of a thread: its stack"), \
	ALLOW(exit, "end of a thread")

/* Devices are started and stopped by the thread that wrote the status register. */
#define DEVICE_CONTROL \
	ALLOW(brk, "rings are allocated when a device starts"), \
	MMAP("the same"), \
	ALLOW(munmap, "the same, when it stops"), \
	ALLOW(timerfd_settime, "tells the main thread of new interrupt messages"), \
	ALLOW(fdatasync, "the cache mode of a disk changes to write-through"), \
	ALLOW(epoll_ctl, "doorbells of a network interface"), \
	IOCTL(TUNSETOFFLOAD, "offloads of a tap"), \
	IOCTL(TUNSETQUEUE, "queues of a tap"), \
	IOCTL(TUNSETSTEERINGEBPF, "the end of rss=on, when a device stops"), \
	IOCTL(VHOST_SET_FEATURES, "vhost-net, when a device starts"), \
	IOCTL(VHOST_SET_MEM_TABLE, "the same"), \
	IOCTL(VHOST_SET_VRING_NUM, "the same"), \
	IOCTL(VHOST_SET_VRING_BASE, "the same"), \
	IOCTL(VHOST_SET_VRING_ADDR, "the same"), \
	IOCTL(VHOST_SET_VRING_KICK, "the same, and when it stops"), \
	IOCTL(VHOST_SET_VRING_CALL, "the same, and when a vector is masked"), \
	IOCTL(VHOST_SET_VRING_ERR, "the same"), \
	IOCTL(VHOST_NET_SET_BACKEND, "the same, and when it stops")

#define VCPU \
	IOCTL(KVM_RUN, "runs the guest"), \
	EVERY_THREAD, \
	THREAD_END, \
	ALLOW(read, "eventfds: signals held back"), \
	IOCTL(KVM_GET_REGS, "says where a guest crashed"), \
	IOCTL(KVM_IOEVENTFD, "a queue starts: its kicks leave no exit from then on"), \
	ALLOW(rt_sigreturn, "the signal that ends KVM_RUN"), \
	DEVICE_CONTROL

static const struct rule vcpu_rules[] = {
	VCPU,
};

static const struct rule vcpu_inline_rules[] = {
	VCPU,
	ALLOW(writev, "frames from the guest"),
};

#define BLK_COMMON \
	EVERY_THREAD, \
	THREAD_END, \
	ALLOW(preadv, "reads"), \
	ALLOW(pwritev2, "writes"), \
	ALLOW(pwrite64, "zeroes, where the host cannot write them by itself"), \
	ALLOW(fdatasync, "flushes"), \
	ALLOW(fallocate, "discards and zeroes"), \
	IOCTL(BLKDISCARD, "discards on a block device")

static const struct rule blk_rules[] = {
	ALLOW(read, "waits for a doorbell"),
	BLK_COMMON,
};

static const struct rule blk_uring_rules[] = {
	ALLOW(io_uring_enter, "submits requests and waits for completions"),
	BLK_COMMON,
};

static const struct rule net_rules[] = {
	ALLOW(readv, "frames to the guest"),
	ALLOW(writev, "frames from the guest"),
	EVERY_THREAD,
	THREAD_END,
	ALLOW(epoll_wait, "waits for queues, tap and link"),
	ALLOW(epoll_pwait2, "the same, for less than a millisecond"),
	ALLOW(epoll_ctl, "listens to the tap while the guest has room for frames"),
	ALLOW(recvfrom, "news of the link"),
	ALLOW(poll, "is the link up"),
	IOCTL(TUNSETOFFLOAD, "offloads, on the control queue"),
	IOCTL(TUNSETQUEUE, "number of queues in use, the same"),
	IOCTL(TUNSETSTEERINGEBPF, "rss=on, the same"),
	IOCTL(VHOST_NET_SET_BACKEND, "the same, with vhost-net"),
	IOCTL(VHOST_SET_VRING_CALL, "vhost-net: a vector has been unmasked"),
};

static const struct rule relay_rules[] = {
	ALLOW(read, "waits for output, or reads input"),
	ALLOW(lseek, "how long a file of output has become"),
	EVERY_THREAD,
	THREAD_END,
};

static const struct rule main_rules[] = {
	EVERY_THREAD,
	ALLOW(read, "signals, timers, the person's keys"),
	ALLOW(poll, "waits for everything"),
	ALLOW(restart_syscall, "the same, after SIGSTOP and SIGCONT"),
	IOCTL(KVM_SET_GSI_ROUTING, "interrupt messages"),
	IOCTL(KVM_IRQFD, "interrupt messages"),
	IOCTL(KVM_GET_IRQCHIP, "does the guest hear the power button"),
	IOCTL(KVM_IRQ_LINE, "presses it"),
	IOCTL(KVM_GET_STATS_FD, "--stats"),
	ALLOW(pread64, "--stats"),
	IOCTL(TIOCGPGRP, "are we in the terminal's foreground"),
	ALLOW(getpgrp, "the same"),
	ALLOW(flock, "does another monitor use the terminal"),
	ALLOW(sendto, "a console that is a socket"),
	TGKILL("stops the vCPUs"),
	ALLOW(getpid, "the same"),
	ALLOW(gettid, "a failed assertion"),
	ALLOW(rt_sigreturn, "signals"),
	DEVICE_CONTROL,
	ALLOW(mremap, "--stats: a growing buffer"),
	ALLOW(close, "the end"),
	ALLOW(exit_group, "the end"),
};

#define SET(set_name, rules) \
	{ .name = set_name, .rule = rules, .nr_rules = sizeof(rules) / sizeof((rules)[0]) }

const struct rule_set rule_sets[NR_SANDBOX_ROLES] = {
	[SANDBOX_MAIN] = SET("main", main_rules),
	[SANDBOX_VCPU] = SET("vcpu", vcpu_rules),
	[SANDBOX_VCPU_INLINE] = SET("vcpu_inline", vcpu_inline_rules),
	[SANDBOX_BLK] = SET("blk", blk_rules),
	[SANDBOX_BLK_URING] = SET("blk_uring", blk_uring_rules),
	[SANDBOX_NET] = SET("net", net_rules),
	[SANDBOX_RELAY] = SET("relay", relay_rules),
};

unsigned int rule_set_nr_syscalls(const struct rule_set *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->nr_rules; i++) {
		unsigned int j = 0;

		while (s->rule[j].nr != s->rule[i].nr)
			j++;
		n += j == i;
	}
	return n;
}
