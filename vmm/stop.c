/* SPDX-License-Identifier: Apache-2.0 */
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "clock.h"
#include "console.h"
#include "util.h"

#define ONE_WISH_NS 1000000000u		/* what comes within this is the same wish */

/* Handlers take no context, so this is file scope. Main thread, and handlers on it. */
static struct {
	bool (*fn)(void *ctx, int who);
	void *ctx;
	atomic_bool passed_on;		/* the last wish: it may be said with more weight */
	atomic_int who;			/* of the last wish; 0: there is none */
	atomic_uint_fast64_t since;
} stop;

static void wish(int who)
{
	atomic_store(&stop.since, clock_now_ns());
	atomic_store(&stop.who, who);
	atomic_store(&stop.passed_on, stop.fn(stop.ctx, who));
}

static void on_signal(int sig)
{
	bool first = !atomic_load(&stop.who), passed_on = atomic_load(&stop.passed_on);
	bool later = !first && clock_now_ns() - atomic_load(&stop.since) >= ONE_WISH_NS;
	int err = errno;

	if (!stop.fn || sig == SIGQUIT || (later && !passed_on)) {
		console_restore();
		_exit(128 + sig);
	}
	if (first || (passed_on && (later || sig == SIGINT)))
		wish(sig);
	errno = err;
}

void stop_listen(void)
{
	static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction old;

	sigfillset(&sa.sa_mask);
	for (unsigned int i = 0; i < ARRAY_SIZE(heard); i++)
		if (!sigaction(heard[i], &sa, &old) && old.sa_handler == SIG_IGN)
			sigaction(heard[i], &old, NULL);
}

void stop_call(bool (*fn)(void *ctx, int who), void *ctx)
{
	stop.ctx = ctx;
	atomic_signal_fence(memory_order_seq_cst);
	stop.fn = fn;
}

static bool call_nobody(void *ctx, int who)
{
	(void)ctx, (void)who;
	return false;
}

void stop_forget(void)
{
	stop_call(call_nobody, NULL);
}

void stop_wish(void)
{
	if (!atomic_load(&stop.who) || atomic_load(&stop.passed_on))
		wish(STOP_KEYS);
}

int stop_wished(void)
{
	return atomic_load(&stop.who);
}
