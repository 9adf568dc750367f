/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine's KVM can do, as one line of JSON: the capabilities, and how
 * fast it really runs a guest. Some hosts emulate every guest instruction;
 * only a measurement shows it. probe.py judges the numbers.
 *
 * The guest is a counting loop in 32-bit protected mode without paging, which
 * no KVM has to emulate, and ends in HLT. Without an in-kernel interrupt
 * controller HLT leaves KVM_RUN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ENOUGH_NS	40000000	/* a loop this long is a measurement */
#define FIRST_COUNT	2000u
#define TIME_LIMIT	20		/* s: SIGALRM ends a KVM that never returns */
#define CODE_GPA	0x1000

struct cap {
	const char *name;
	int nr;
};

static const struct cap caps[] = {
	{ "USER_MEMORY", KVM_CAP_USER_MEMORY },
	{ "IRQCHIP", KVM_CAP_IRQCHIP },
	{ "IRQ_ROUTING", KVM_CAP_IRQ_ROUTING },
	{ "IRQFD", KVM_CAP_IRQFD },
	{ "IOEVENTFD", KVM_CAP_IOEVENTFD },
	{ "SIGNAL_MSI", KVM_CAP_SIGNAL_MSI },
	{ "IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT },
	{ "SET_TSS_ADDR", KVM_CAP_SET_TSS_ADDR },
	{ "EXT_CPUID", KVM_CAP_EXT_CPUID },
	{ "IOEVENTFD_ANY_LENGTH", KVM_CAP_IOEVENTFD_ANY_LENGTH },
	{ "READONLY_MEM", KVM_CAP_READONLY_MEM },
	{ "SPLIT_IRQCHIP", KVM_CAP_SPLIT_IRQCHIP },
	{ "TSC_DEADLINE_TIMER", KVM_CAP_TSC_DEADLINE_TIMER },
	{ "ADJUST_CLOCK", KVM_CAP_ADJUST_CLOCK },
	{ "X2APIC_API", KVM_CAP_X2APIC_API },
	{ "NR_VCPUS", KVM_CAP_NR_VCPUS },
	{ "MAX_VCPUS", KVM_CAP_MAX_VCPUS },
	{ "NR_MEMSLOTS", KVM_CAP_NR_MEMSLOTS },
};

struct guest {
	int vm_fd, cpu_fd;
	uint8_t *mem;
	struct kvm_run *run;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int fail(const char *what)
{
	printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
	return 1;
}

static const char *guest_create(struct guest *g, int kvm)
{
	struct kvm_userspace_memory_region mem = { .memory_size = 0x10000 };
	int len = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	g->mem = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->mem == MAP_FAILED || len < 0)
		return "mmap";
	mem.userspace_addr = (uintptr_t)g->mem;
	if (ioctl(g->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0)
		return "KVM_SET_TSS_ADDR";
	if (ioctl(g->vm_fd, KVM_SET_USER_MEMORY_REGION, &mem) < 0)
		return "KVM_SET_USER_MEMORY_REGION";
	g->cpu_fd = ioctl(g->vm_fd, KVM_CREATE_VCPU, 0);
	if (g->cpu_fd < 0)
		return "KVM_CREATE_VCPU";
	g->run = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, g->cpu_fd, 0);
	return g->run == MAP_FAILED ? "mmap of a vCPU" : NULL;
}

static const char *guest_reset(struct guest *g)
{
	struct kvm_segment flat = { .limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1,
				    .db = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(g->cpu_fd, KVM_GET_SREGS, &s) < 0)
		return "KVM_GET_SREGS";
	s.ds = s.es = s.fs = s.gs = s.ss = flat;
	flat.selector = 0x8;
	flat.type = 11;
	s.cs = flat;
	s.cr0 |= 1;
	if (ioctl(g->cpu_fd, KVM_SET_SREGS, &s) < 0)
		return "KVM_SET_SREGS";
	return ioctl(g->cpu_fd, KVM_SET_REGS, &regs) < 0 ? "KVM_SET_REGS" : NULL;
}

/* Runs 2 * count instructions and takes the time. */
static const char *guest_time(struct guest *g, uint32_t count, int64_t *ns)
{
	static const uint8_t code[] = {
		0xb9, 0, 0, 0, 0,	/* mov ecx, count */
		0x49,			/* 1: dec ecx */
		0x75, 0xfd,		/* jnz 1b */
		0xf4,			/* hlt */
	};
	const char *what = guest_reset(g);

	if (what)
		return what;
	memcpy(g->mem + CODE_GPA, code, sizeof(code));
	memcpy(g->mem + CODE_GPA + 1, &count, sizeof(count));
	*ns = now_ns();
	while (ioctl(g->cpu_fd, KVM_RUN, 0) < 0)
		if (errno != EINTR && errno != EAGAIN)
			return "KVM_RUN";
	*ns = now_ns() - *ns;
	errno = ENOEXEC;
	return g->run->exit_reason == KVM_EXIT_HLT ? NULL : "a guest that counts";
}

static const char *measure(struct guest *g, double *mips)
{
	uint32_t count = FIRST_COUNT;
	const char *what;
	int64_t ns;

	for (;;) {
		what = guest_time(g, count, &ns);
		if (what)
			return what;
		if (ns >= ENOUGH_NS || count > UINT32_MAX / 4)
			break;
		count *= 4;
	}
	*mips = 2e3 * count / (double)(ns ? ns : 1);
	return NULL;
}

int main(void)
{
	struct guest g = { .vm_fd = -1, .cpu_fd = -1 };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	double mips = 0;
	const char *what;

	if (kvm < 0)
		return fail("/dev/kvm");
	alarm(TIME_LIMIT);
	g.vm_fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (g.vm_fd < 0)
		return fail("KVM_CREATE_VM");
	what = guest_create(&g, kvm);
	if (!what)
		what = measure(&g, &mips);
	if (what)
		return fail(what);
	printf("{\"api\": %d, \"minstr_per_s\": %.2f, \"caps\": {",
	       ioctl(kvm, KVM_GET_API_VERSION, 0), mips);
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		printf("%s\"%s\": %d", i ? ", " : "", caps[i].name,
		       ioctl(g.vm_fd, KVM_CHECK_EXTENSION, caps[i].nr));
	printf("}}\n");
	return 0;
}
