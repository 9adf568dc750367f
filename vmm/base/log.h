/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines to stderr, and the three kinds of error the house knows: host
 * failures return -errno and are logged once, at the failing call; guest
 * misbehaviour goes through guest_error(), which counts and never floods, and
 * so does what fails because a guest asked for it (guest_fail());
 * programmer errors are assert()s.
 *
 * Thread-safe. A line is written with one write(2); control characters from
 * the guest never reach it. No thread waits for whoever reads the log: what is
 * not taken at once is lost, and counted.
 */
#ifndef MIMSY_LOG_H
#define MIMSY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before any thread is started. */
void log_set_level(enum log_level level);

/*
 * Where lines go from now on, instead of standard error. It must not hold its
 * writer: O_NONBLOCK is set, or it is a socket, which is then asked not to.
 */
void log_set_fd(int fd, bool is_socket);

/* To the person at the terminal, where the log goes: the text alone. */
void log_text(const char *text);

/* Says how many lines were lost, if it goes out. Each line does so before itself. */
void log_tell_lost(void);

/* "error", "warn", "info", "debug"; -EINVAL for anything else. */
int log_level_parse(const char *name, enum log_level *level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Logs "<message>: <strerror(errno)>" as an error and returns -errno (never 0). */
int log_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Logs the message as an error and returns err (which is negative). */
int log_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * What one guest-driven object did wrong. Counts everything; logs at most
 * GUEST_ERROR_BURST lines in each GUEST_ERROR_PERIOD_S seconds.
 */
#define GUEST_ERROR_BURST 4
#define GUEST_ERROR_PERIOD_S 10

struct guest_errors {
	char name[24];			/* log prefix, e.g. "blk0"; set once */
	atomic_uint_fast64_t count;	/* any thread */
	atomic_uint_fast64_t window;	/* any thread: period number << 8 | lines logged in it */
};

void guest_errors_init(struct guest_errors *ge, const char *name);
void guest_error(struct guest_errors *ge, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The host failed at what a guest can ask for again and again. Logs
 * "<name>: <message>: <strerror(-err)>" within the same limit and returns err
 * (which is negative). The guest did nothing wrong: it is not counted.
 */
int guest_fail(struct guest_errors *ge, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
