/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "util.h"

#define LOG_LINE 512

static enum log_level log_threshold = LOG_LEVEL_INFO;	/* set once, before threads */
static int log_fd = STDERR_FILENO;			/* the same */
static bool log_socket;					/* the same */
static atomic_uint log_lost;				/* lines that did not go out */

static const char *const level_name[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

void log_set_fd(int fd, bool is_socket)
{
	log_fd = fd;
	log_socket = is_socket;
}

int log_level_parse(const char *name, enum log_level *level)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(level_name); i++) {
		if (!strcmp(name, level_name[i])) {
			*level = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Strings in a message may come from the guest or from a file name. */
static void log_scrub(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static bool put(const char *text, size_t len)
{
	ssize_t n = log_socket ? send(log_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			       : write(log_fd, text, len);

	return n == (ssize_t)len;	/* nowhere left to complain to */
}

void log_text(const char *text)
{
	put(text, strlen(text));
}

void log_tell_lost(void)
{
	unsigned int lost = atomic_exchange(&log_lost, 0);
	char line[80];

	if (!lost)
		return;
	snprintf(line, sizeof(line), "mimsy: warn: %u lines of the log were lost here\n", lost);
	if (!put(line, strlen(line)))
		atomic_fetch_add(&log_lost, lost);
}

__attribute__((format(printf, 3, 0)))
static void log_line(enum log_level level, const char *prefix, const char *fmt, va_list ap,
		     const char *suffix)
{
	char line[LOG_LINE];
	size_t len;

	len = (size_t)snprintf(line, sizeof(line), "mimsy: %s: %s", level_name[level], prefix);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len = strlen(line);
	if (suffix && len < sizeof(line) - 1)
		snprintf(line + len, sizeof(line) - len, ": %s", suffix);
	log_scrub(line);
	len = MIN(strlen(line), sizeof(line) - 2);
	line[len++] = '\n';
	log_tell_lost();
	if (!put(line, len))
		atomic_fetch_add(&log_lost, 1);
}

#define LOG_BODY(level)								\
	do {									\
		va_list ap;							\
		if ((level) > log_threshold)					\
			return;							\
		va_start(ap, fmt);						\
		log_line(level, "", fmt, ap, NULL);				\
		va_end(ap);							\
	} while (0)

void log_error(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
}

void log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN);
}

void log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_INFO);
}

void log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG);
}

int log_errno(const char *fmt, ...)
{
	int err = errno ? errno : EIO;
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, "", fmt, ap, strerror(err));
	va_end(ap);
	return -err;
}

int log_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, "", fmt, ap, NULL);
	va_end(ap);
	return err;
}

void guest_errors_init(struct guest_errors *ge, const char *name)
{
	snprintf(ge->name, sizeof(ge->name), "%s", name);
	atomic_init(&ge->count, 0);
	atomic_init(&ge->window, 0);
}

/* Takes one of the period's lines; false: they are used up. */
static bool guest_error_may_log(struct guest_errors *ge)
{
	uint64_t old = atomic_load_explicit(&ge->window, memory_order_relaxed);
	uint64_t period = clock_now_ns() / 1000000000u / GUEST_ERROR_PERIOD_S + 1;
	uint64_t next;

	do {
		next = old >> 8 == period ? old + 1 : (period << 8) + 1;
		if ((next & 0xff) > GUEST_ERROR_BURST)
			return false;
	} while (!atomic_compare_exchange_weak(&ge->window, &old, next));
	return true;
}

void guest_error(struct guest_errors *ge, const char *fmt, ...)
{
	char prefix[sizeof(ge->name) + 16];
	va_list ap;

	atomic_fetch_add_explicit(&ge->count, 1, memory_order_relaxed);
	if (LOG_LEVEL_WARN > log_threshold || !guest_error_may_log(ge))
		return;
	snprintf(prefix, sizeof(prefix), "%s: guest: ", ge->name);
	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARN, prefix, fmt, ap, NULL);
	va_end(ap);
}

int guest_fail(struct guest_errors *ge, int err, const char *fmt, ...)
{
	char prefix[sizeof(ge->name) + 4];
	va_list ap;

	if (!guest_error_may_log(ge))
		return err;
	snprintf(prefix, sizeof(prefix), "%s: ", ge->name);
	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, prefix, fmt, ap, strerror(-err));
	va_end(ap);
	return err;
}
