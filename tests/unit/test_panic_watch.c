/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest says on its console before it resets. */
#include <string.h>

#include "panic_watch.h"
#include "runner.h"
#include "util.h"

#define MARK "Kernel panic - not syncing: "

static struct panic_watch w;

static void setup(void)
{
	memset(&w, 0, sizeof(w));
}

static void say(const char *text)
{
	while (*text)
		panic_watch_byte(&w, (uint8_t)*text++);
}

START_TEST(a_panic_is_known_with_its_reason)
{
	say("[    2.6] " MARK "Attempted to kill init! exitcode=0x00000100\r\n");
	say("[    2.7] CPU: 0\r\n");
	ck_assert(w.panicked);
	ck_assert_str_eq(w.text, "Attempted to kill init! exitcode=0x00000100");
}
END_TEST

START_TEST(a_reboot_in_order_after_an_old_panic_is_a_reboot)
{
	say("# cat old.log\n" MARK "x\n# reboot\n[   60.1] reboot: Restarting system\n");
	ck_assert(!w.panicked);
}
END_TEST

START_TEST(a_panic_after_an_order_to_reboot_is_a_panic)
{
	say("reboot: machine restart\n" MARK "Fatal exception in interrupt\n");
	ck_assert(w.panicked);
	ck_assert_str_eq(w.text, "Fatal exception in interrupt");
}
END_TEST

/* With panic=0 a last line says it again: "---[ end Kernel panic - not syncing: ... ]---". */
START_TEST(the_first_reason_stays)
{
	say(MARK "VFS: Unable to mount root fs\n---[ end " MARK "VFS: Unable ]---\n");
	ck_assert_str_eq(w.text, "VFS: Unable to mount root fs");
}
END_TEST

static const char *const no_panic[] = {
	"Kernel panic\n", "Kernel panic - syncing: x\n", "Kernel Kernel panic\n",
	"kernel panic - not syncing: x\n",
};

START_TEST(other_words_are_no_panic)
{
	say(no_panic[_i]);
	ck_assert(!w.panicked);
}
END_TEST

START_TEST(a_mark_is_found_behind_its_own_beginning)
{
	say("Kernel pK" MARK "y\n");
	ck_assert(w.panicked);
	say("rebreboot: z");
	ck_assert(!w.panicked);
}
END_TEST

START_TEST(control_characters_do_not_reach_the_log)
{
	say(MARK "a\033[2Jb\a\x9b" "c\nd");
	ck_assert_str_eq(w.text, "a[2Jbc");
}
END_TEST

START_TEST(a_reason_without_end_is_cut)
{
	say(MARK);
	for (int i = 0; i < 1000; i++)
		say("x");
	ck_assert_uint_eq(strlen(w.text), sizeof(w.text) - 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("panic_watch");
	TCase *tc = tcase_create("console");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_panic_is_known_with_its_reason);
	tcase_add_test(tc, a_reboot_in_order_after_an_old_panic_is_a_reboot);
	tcase_add_test(tc, a_panic_after_an_order_to_reboot_is_a_panic);
	tcase_add_test(tc, the_first_reason_stays);
	tcase_add_loop_test(tc, other_words_are_no_panic, 0, ARRAY_SIZE(no_panic));
	tcase_add_test(tc, a_mark_is_found_behind_its_own_beginning);
	tcase_add_test(tc, control_characters_do_not_reach_the_log);
	tcase_add_test(tc, a_reason_without_end_is_cut);
	suite_add_tcase(s, tc);
	return s;
}
