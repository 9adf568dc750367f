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

/*
 * First thing in main(). Signals that were ignored then stay ignored. A
 * handler is needed even for what the kernel would do by itself: it does
 * nothing by itself to process 1 of a PID namespace.
 */
void stop_listen(void);

/* From now on the first wish calls fn(ctx) and no more, perhaps in a signal handler. */
void stop_call(void (*fn)(void *ctx), void *ctx);

/* It calls nothing any more, but is still not the second. */
void stop_forget(void);

/* The keys were pressed. */
void stop_wish(void);

/* 0: nobody has a wish. -1: the keys. Else the first signal. */
int stop_wished(void);

#endif
