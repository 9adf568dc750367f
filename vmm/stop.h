/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants the monitor to end, and how much. SIGINT, SIGTERM, SIGHUP and the
 * keys Ctrl-A x are a wish to stop in good order. Others within a second are
 * the same wish: a closed terminal sends SIGHUP twice, and timeout(1), systemd
 * and shells signal groups. A signal that comes later than that, SIGQUIT, or
 * any of them before the guest runs ends the process at once, with status
 * 128 + its number, whatever it is that hangs.
 *
 * Only the main thread takes these signals. It hears them wherever it waits,
 * so it must not wait in the kernel where no signal is heard: for a disk, say.
 */
#ifndef MIMSY_STOP_H
#define MIMSY_STOP_H

#include <stdbool.h>

#define STOP_KEYS (-1)

/*
 * First thing in main(). Signals that were ignored then stay ignored. A
 * handler is needed even for what the kernel would do by itself: it does
 * nothing by itself to process 1 of a PID namespace.
 */
void stop_listen(void);

/*
 * From now on the first wish calls fn, perhaps in a signal handler; who is a signal or
 * STOP_KEYS. true: the wish was only passed on to the guest. Another one, a second later
 * or from a person (SIGINT, the keys), then calls once more; else it is the second wish.
 */
void stop_call(bool (*fn)(void *ctx, int who), void *ctx);

/* It calls nothing any more, but is still not the second. */
void stop_forget(void);

/* The keys were pressed; or what was passed on has not helped. */
void stop_wish(void);

/* 0: nobody has a wish. STOP_KEYS, or the signal that was heard last. */
int stop_wished(void);

#endif
