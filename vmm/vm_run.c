/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread while the guest runs: interrupt routes, the person's keys,
 * signals, and the end. vCPUs and queues have threads of their own.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "console.h"
#include "log.h"
#include "msi.h"
#include "sandbox.h"
#include "stop.h"
#include "uart16550.h"
#include "util.h"
#include "vm.h"
#include "vm_priv.h"

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000ull

enum { POLL_END, POLL_MSI, POLL_UART, POLL_INPUT, NR_POLL };

/*
 * The main thread hears who wants to stop it, what concerns the terminal, and
 * what kills. Others that have nothing to say to us stay pending: a closed
 * console (SIGPIPE) loses output, not the guest, a full disk image (SIGXFSZ)
 * is an I/O error. The terminal's own stop signals would stop us in the
 * background, where a guest runs as well as anywhere.
 */
static void block_signals(void)
{
	static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGABRT,
				     SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t blocked;

	sigfillset(&blocked);
	for (unsigned int i = 0; i < ARRAY_SIZE(heard); i++)
		sigdelset(&blocked, heard[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

static void wake(struct vm *vm)
{
	uint64_t one = 1;
	ssize_t n = write(vm->end_fd, &one, sizeof(one));

	(void)n;
}

/* Perhaps in a signal handler. SIGTERM is how services are stopped: the guest is told first. */
static bool on_wish(void *ctx, int who)
{
	struct vm *vm = ctx;
	bool passed_on = who == SIGTERM && atomic_load(&vm->end_status) < 0 &&
			 !atomic_load(&vm->stop_at) && vm_press_button(vm);

	if (passed_on)
		atomic_store(&vm->stop_at, clock_now_ns() + vm->cfg->stop_timeout * NS_PER_S);
	else
		vm_end(vm, VM_EXIT_OK);
	wake(vm);
	return passed_on;
}

/* end_fd is made last: its number is the lowest that was free, and none is left below it. */
static int listen_for_the_end(struct vm *vm)
{
	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->end_fd < 0)
		return log_errno("eventfd");
	stop_call(on_wish, vm);
	block_signals();
	return 0;
}

/* What poll(2) may wait at most, given what it may wait for the person's keys. */
static int until_stop(const struct vm *vm, int timeout)
{
	uint64_t at = atomic_load(&vm->stop_at), now = clock_now_ns(), ms;

	if (!at)
		return timeout;
	ms = at > now ? (at - now) / NS_PER_MS + 1 : 0;
	return timeout >= 0 && (uint64_t)timeout < ms ? timeout : (int)ms;
}

static void check_stop(struct vm *vm, bool *told)
{
	uint64_t at = atomic_load(&vm->stop_at), count;
	ssize_t n = read(vm->end_fd, &count, sizeof(count));

	(void)n;		/* woken or not */
	if (!at || atomic_load(&vm->end_status) >= 0)
		return;
	if (!*told)
		log_info("asked the guest to power off, for %u s at most", vm->cfg->stop_timeout);
	*told = true;
	if (clock_now_ns() < at)
		return;
	log_warn("the guest has not powered off in %u s: stopping it", vm->cfg->stop_timeout);
	stop_wish();
}

static void main_loop(struct vm *vm)
{
	bool told = false;
	struct pollfd fds[NR_POLL] = {
		[POLL_END] = { vm->end_fd, POLLIN, 0 },
		[POLL_MSI] = { msi_fd(vm->router), POLLIN, 0 },
		[POLL_UART] = { vm->uart ? uart16550_event_fd(vm->uart) : -1, POLLIN, 0 },
		[POLL_INPUT] = { -1, POLLIN, 0 },
	};

	while (atomic_load(&vm->end_status) < 0) {
		int timeout = input_wait(&vm->input, vm->uart, &fds[POLL_INPUT]);

		if (poll(fds, NR_POLL, until_stop(vm, timeout)) < 0) {
			if (errno == EINTR)
				continue;
			log_errno("poll");
			vm_end(vm, VM_EXIT_ERROR);
			break;
		}
		if (atomic_load(&vm->stop_at))
			check_stop(vm, &told);
		if (fds[POLL_MSI].revents)
			msi_run(vm->router);
		if (fds[POLL_UART].revents)
			uart16550_service(vm->uart);
		if (fds[POLL_INPUT].revents && input_take(&vm->input, vm->uart))
			stop_wish();
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
 * --stats may have the number of end_fd after that is closed.
 */
static int start_vcpus(struct vm *vm)
{
	const struct vm_config *c = vm->cfg;
	int ret = 0;

	vcpu_signal_init();
	vcpu_gate_close(&vm->env);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_start(vm->vcpu[i], c->nr_vcpu_cpus ?
				 c->vcpu_cpus[i % c->nr_vcpu_cpus] : -1);
	if (!ret)
		ret = sandbox_seal(vm->sandbox, MAX((unsigned int)vm->end_fd + 1, NR_POLL));
	if (ret)
		stop_vcpus(vm);
	vcpu_gate_open(&vm->env);
	return ret;
}

/*
 * Files are waited for as disks are. Whoever reads a pipe, a socket or a
 * terminal is waited for as long as nobody wants us to stop.
 */
static void wait_for_reader(struct vm *vm)
{
	struct pollfd fds[] = { { vm->console.fd, POLLOUT, 0 }, { vm->end_fd, POLLIN, 0 } };
	uint64_t count;
	ssize_t n = read(vm->end_fd, &count, sizeof(count));	/* the end has been seen */

	(void)n;
	while (!uart16550_flush(vm->uart)) {
		if (stop_wished() && !vm->console.relay)
			break;
		if (stop_wished())
			fds[1].fd = -1;
		poll(fds, ARRAY_SIZE(fds), -1);
	}
}

static void finish_console(struct vm *vm)
{
	struct uart16550_stats s;
	uint64_t lost;

	if (!vm->uart)
		return;
	wait_for_reader(vm);
	uart16550_drop(vm->uart);
	lost = output_finish(&vm->console);
	uart16550_stats(vm->uart, &s);
	lost += s.tx_dropped;
	if (lost)
		log_warn("console: %" PRIu64 " bytes of output were lost", lost);
}

static int finish_stats(struct vm *vm)
{
	close(vm->end_fd);
	vm->end_fd = -1;
	return vm->stats_fd >= 0 ? stats_write(vm) : 0;
}

int vm_run(struct vm *vm)
{
	int status, ret = listen_for_the_end(vm);

	if (ret)
		return VM_EXIT_ERROR;
	console_start();
	if (start_vcpus(vm))
		vm_end(vm, VM_EXIT_ERROR);
	main_loop(vm);
	console_close();
	if (stop_wished() > 0)
		log_info("stopping on signal %d", stop_wished());
	stop_vcpus(vm);
	join_vcpus(vm);
	ret = machine_stop(&vm->machine);
	finish_console(vm);
	stop_forget();
	if (finish_stats(vm))
		ret = -EIO;
	status = vm_final_status(vm);
	return ret && (status == VM_EXIT_OK || status == VM_EXIT_REBOOT) ? VM_EXIT_ERROR : status;
}
