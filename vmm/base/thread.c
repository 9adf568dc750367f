/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#define STACK_LEN (128 * 1024)

/* A fault whose signal is blocked kills without the handler that gives the terminal back. */
static void deaf_but_for_faults(sigset_t *mask)
{
	sigfillset(mask);
	sigdelset(mask, SIGSEGV);
	sigdelset(mask, SIGBUS);
	sigdelset(mask, SIGILL);
	sigdelset(mask, SIGFPE);
}

int thread_create(pthread_t *out, void *(*fn)(void *arg), void *arg, int signal)
{
	pthread_attr_t attr;
	sigset_t mask;
	int err;

	deaf_but_for_faults(&mask);
	if (signal)
		sigdelset(&mask, signal);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_LEN);
	err = pthread_attr_setsigmask_np(&attr, &mask);
	if (!err)
		err = pthread_create(out, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

int thread_pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(thread, sizeof(set), &set);
}
