/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread while the guest runs: interrupt routes, the person's keys,
 * signals, and the end. vCPUs and queues have threads of their own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "msi.h"
#include "sandbox.h"
#include "uart16550.h"
#include "util.h"
#include "vm.h"
#include "vm_priv.h"

enum { POLL_END, POLL_SIGNAL, POLL_MSI, POLL_UART, POLL_STDIN, NR_POLL };

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/*
 * Signals that stop the VM in good order arrive here as data. Others that have
 * nothing to say to us stay pending: a closed console (SIGPIPE) loses output,
 * not the guest, a full disk image (SIGXFSZ) is an I/O error.
 */
static int open_signals(void)
{
	static const int heard[] = { SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGABRT, SIGSEGV, SIGBUS,
				     SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t blocked, stop;
	int fd;

	sigfillset(&blocked);
	for (unsigned int i = 0; i < ARRAY_SIZE(heard); i++)
		sigdelset(&blocked, heard[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	stop_signals(&stop);
	fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? log_errno("signalfd") : fd;
}

/* What is in flight may hang on the host: from now on the next signal ends us at once. */
static void close_signals(int fd)
{
	struct signalfd_siginfo info;
	sigset_t stop;

	while (read(fd, &info, sizeof(info)) > 0)
		;		/* sent together with the first */
	close(fd);
	stop_signals(&stop);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
}

static void on_signal(struct vm *vm, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_info("stopping on signal %u", info.ssi_signo);
	vm_end(vm, VM_EXIT_OK);
}

/* false: there will be no more input. */
static bool on_stdin(struct vm *vm)
{
	char buf[256];
	size_t room = uart16550_rx_room(vm->uart), len;
	ssize_t n;

	n = read(STDIN_FILENO, buf, room < sizeof(buf) ? room : sizeof(buf));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	len = (size_t)n;
	if (isatty(STDIN_FILENO) && console_filter(&vm->keys, buf, &len))
		vm_end(vm, VM_EXIT_OK);
	uart16550_receive(vm->uart, buf, len);
	return true;
}

static void main_loop(struct vm *vm, int signal_fd)
{
	bool input = vm->uart && vm->cfg->console == VM_CONSOLE_STDIO;
	struct pollfd fds[NR_POLL] = {
		[POLL_END] = { vm->end_fd, POLLIN, 0 },
		[POLL_SIGNAL] = { signal_fd, POLLIN, 0 },
		[POLL_MSI] = { msi_fd(vm->router), POLLIN, 0 },
		[POLL_UART] = { vm->uart ? uart16550_event_fd(vm->uart) : -1, POLLIN, 0 },
		[POLL_STDIN] = { -1, POLLIN, 0 },
	};

	while (atomic_load(&vm->end_status) < 0) {
		fds[POLL_STDIN].fd = input && uart16550_rx_room(vm->uart) ? STDIN_FILENO : -1;
		if (poll(fds, NR_POLL, -1) < 0 && errno != EINTR) {
			log_errno("poll");
			vm_end(vm, VM_EXIT_ERROR);
		}
		if (fds[POLL_SIGNAL].revents)
			on_signal(vm, signal_fd);
		if (fds[POLL_MSI].revents)
			msi_run(vm->router);
		if (fds[POLL_UART].revents)
			uart16550_service(vm->uart);
		if (fds[POLL_STDIN].revents)
			input = on_stdin(vm);
	}
}

static void stop_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_stop(vm->vcpu[i]);
}

static void join_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(vm->vcpu[i]);
}

/*
 * No vCPU enters the guest before the last thread has given up its rights.
 * signal_fd was made last and has the lowest number that was free: none is
 * left below it, and --stats may have its number after it is closed.
 */
static int start_vcpus(struct vm *vm, int signal_fd)
{
	const struct vm_config *c = vm->cfg;
	int ret = 0;

	vcpu_signal_init();
	vcpu_gate_close(&vm->env);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_start(vm->vcpu[i], c->nr_vcpu_cpus ?
				 c->vcpu_cpus[i % c->nr_vcpu_cpus] : -1);
	if (!ret)
		ret = sandbox_seal(vm->sandbox, MAX((unsigned int)signal_fd + 1, NR_POLL));
	if (ret)
		stop_vcpus(vm);
	vcpu_gate_open(&vm->env);
	return ret;
}

int vm_run(struct vm *vm)
{
	int signal_fd = open_signals();
	int status, ret;

	if (signal_fd < 0)
		return VM_EXIT_ERROR;
	if (vm->cfg->console == VM_CONSOLE_STDIO)
		console_raw(STDIN_FILENO);
	if (start_vcpus(vm, signal_fd))
		vm_end(vm, VM_EXIT_ERROR);
	main_loop(vm, signal_fd);
	console_restore();
	close_signals(signal_fd);
	stop_vcpus(vm);
	join_vcpus(vm);
	ret = machine_stop(&vm->machine);
	if (vm->uart)
		uart16550_flush(vm->uart);
	if (vm->stats_fd >= 0 && stats_write(vm))
		ret = -EIO;
	status = vm_final_status(vm);
	return ret && (status == VM_EXIT_OK || status == VM_EXIT_REBOOT) ? VM_EXIT_ERROR : status;
}
