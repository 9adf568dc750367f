/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "log_capture.h"
#include "runner.h"
#include "util.h"

static struct vm_config c;
static struct log_capture cap;

static void setup(void)
{
	vm_config_init(&c);
	c.files.kernel = "vmlinux";
}

static void teardown(void)
{
	vm_config_release(&c);
}

static int check(void)
{
	int ret;

	log_capture_begin(&cap);
	ret = vm_config_check(&c);
	log_capture_end(&cap);
	return ret;
}

static void check_is_refused(const char *word)
{
	ck_assert_int_eq(check(), -EINVAL);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, word));
}

START_TEST(the_defaults_with_a_kernel_are_fine)
{
	ck_assert_int_eq(check(), 0);
	ck_assert_str_eq(cap.text, "");
}
END_TEST

START_TEST(a_kernel_passed_as_a_descriptor_is_fine)
{
	c.files.kernel = NULL;
	c.files.kernel_fd = 3;
	ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(no_kernel_at_all_is_refused)
{
	c.files.kernel = NULL;
	check_is_refused("--kernel");
}
END_TEST

/* K1 */
static const uint64_t no_memory[] = {
	0, 1, 4095, 4096, MIB(4) - 4096, MIB(4) + 1, MIB(256) + 2048, 1ull << 62, 1ull << 63,
	UINT64_MAX, UINT64_MAX & ~4095ull,
};

/* row K1 */
START_TEST(memory_that_cannot_be_is_refused)
{
	c.memory = no_memory[_i];
	check_is_refused("--memory");
}
END_TEST

/* row K1 */
START_TEST(the_smallest_memory_is_accepted)
{
	c.memory = VM_MIN_MEMORY;
	ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(huge_pages_need_whole_huge_pages)
{
	c.backing = GUEST_MEM_HUGETLB;
	c.memory = MIB(64) + 4096;
	check_is_refused("2M");
	c.memory = MIB(64);
	ck_assert_int_eq(check(), 0);
}
END_TEST

static const struct {
	unsigned int disks, nets;
	bool fits;
} devices[] = {
	{ 0, 0, true }, { 128, 0, true }, { 0, 128, true }, { 64, 64, true }, { 127, 1, true },
	{ 128, 1, false }, { 1, 128, false }, { 128, 128, false },
};

/* row K4 */
START_TEST(a_descriptor_is_passed_for_one_thing_only)
{
	static const struct vm_disk disk = { .blk = VIRTIO_BLK_CFG_DEFAULT };

	c.nr_disks = 2;
	c.disk[0] = c.disk[1] = disk;
	c.disk[0].blk.file.fd = 8;
	c.disk[1].blk.file.fd = 9;
	c.files.initrd_fd = 7;
	ck_assert_int_eq(check(), 0);
	if (_i)
		c.files.initrd_fd = 8;
	else
		c.disk[1].blk.file.fd = 8;
	check_is_refused("fd=8");
}
END_TEST

/* row K2 */
START_TEST(disks_and_nets_together_have_a_limit)
{
	c.nr_disks = devices[_i].disks;
	c.nr_nets = devices[_i].nets;
	for (unsigned int i = 0; i < c.nr_disks; i++)
		c.disk[i].blk.file.fd = -1;
	if (devices[_i].fits)
		ck_assert_int_eq(check(), 0);
	else
		check_is_refused("128");
}
END_TEST

static void set_mac(unsigned int i, uint8_t last)
{
	c.nr_nets = MAX(c.nr_nets, i + 1);
	c.net[i].net.has_mac = true;
	memcpy(c.net[i].net.mac, (uint8_t[]){ 2, 0, 0, 0, 0, last }, 6);
}

/* K2 */
/* row K2 */
START_TEST(two_devices_with_one_mac_are_refused)
{
	set_mac(0, 1);
	set_mac(1, 2);
	set_mac(2, 1);
	check_is_refused("mac");
}
END_TEST

START_TEST(different_macs_and_none_are_fine)
{
	set_mac(0, 1);
	c.nr_nets = 3;		/* the others get random ones */
	set_mac(3, 2);
	ck_assert_int_eq(check(), 0);
}
END_TEST

static char line[LAYOUT_CMDLINE_MAX];

static int build_line(size_t len)
{
	int ret;

	log_capture_begin(&cap);
	ret = vm_config_cmdline(&c, line, len);
	log_capture_end(&cap);
	return ret;
}

#define DEFAULTS "\"panic=-1\" pci=off no_timer_check swiotlb=noforce 8250.nr_uarts=1"

static const struct {
	const char *cmdline;
	bool defaults;
	enum vm_console console;
	const char *expected;
} lines[] = {
	{ NULL, true, VM_CONSOLE_STDIO, DEFAULTS " console=ttyS0" },
	{ NULL, true, VM_CONSOLE_FILE, DEFAULTS " console=ttyS0" },
	{ NULL, true, VM_CONSOLE_NONE, DEFAULTS },
	{ "root=/dev/vda", true, VM_CONSOLE_STDIO, DEFAULTS " console=ttyS0 root=/dev/vda" },
	{ "root=/dev/vda", true, VM_CONSOLE_NONE, DEFAULTS " root=/dev/vda" },
	{ "root=/dev/vda", false, VM_CONSOLE_STDIO, "root=/dev/vda" },
	{ NULL, false, VM_CONSOLE_STDIO, "" },
	{ "a=\"b c\" \xc3\xa4", false, VM_CONSOLE_STDIO, "a=\"b c\" \xc3\xa4" },
};

START_TEST(the_line_is_the_defaults_and_then_what_was_asked_for)
{
	c.cmdline = lines[_i].cmdline;
	c.default_cmdline = lines[_i].defaults;
	c.console = lines[_i].console;
	ck_assert_int_eq(build_line(sizeof(line)), 0);
	ck_assert_str_eq(line, lines[_i].expected);
}
END_TEST

static const struct {
	const char *cmdline;
	enum fw_describe describe;
	bool wanted;
} timers[] = {
	{ NULL, FW_DESCRIBE_ACPI, false },
	{ "quiet root=/dev/vda", FW_DESCRIBE_ACPI, false },
	{ "acpi=off", FW_DESCRIBE_ACPI, true },
	{ "quiet  acpi=off root=/dev/vda", FW_DESCRIBE_ACPI, true },
	{ "acpi=offline xacpi=off acpi=o ", FW_DESCRIBE_ACPI, false },
	{ NULL, FW_DESCRIBE_CMDLINE, true },
	{ NULL, FW_DESCRIBE_FDT, false },
};

START_TEST(a_guest_without_acpi_gets_a_timer_chip)
{
	c.cmdline = timers[_i].cmdline;
	c.describe = timers[_i].describe;
	ck_assert(vm_config_wants_pit(&c) == timers[_i].wanted);
	ck_assert(vm_config_has_acpi(&c) ==
		  (!timers[_i].wanted && c.describe == FW_DESCRIBE_ACPI));
	c.pit = true;
	ck_assert(vm_config_wants_pit(&c));
}
END_TEST

/* K3: it fits to the last byte, or it is refused; never cut. */
/* row K3 */
START_TEST(a_line_that_fits_exactly_is_taken)
{
	static char text[LAYOUT_CMDLINE_MAX];

	memset(text, 'x', sizeof(text) - 1);
	c.cmdline = text;
	c.default_cmdline = false;
	ck_assert_int_eq(build_line(sizeof(line)), 0);
	ck_assert_uint_eq(strlen(line), LAYOUT_CMDLINE_MAX - 1);
}
END_TEST

/* row K3 */
START_TEST(a_line_one_byte_too_long_is_refused)
{
	static char text[LAYOUT_CMDLINE_MAX + 1];

	memset(text, 'x', LAYOUT_CMDLINE_MAX);
	c.cmdline = text;
	c.default_cmdline = false;
	ck_assert_int_eq(build_line(sizeof(line)), -E2BIG);
	ck_assert_uint_eq(cap.nr_lines, 1);
	ck_assert_ptr_nonnull(strstr(cap.text, "--cmdline"));
	ck_assert_ptr_nonnull(strstr(cap.text, "2047"));
}
END_TEST

/* row K3 */
START_TEST(the_defaults_count_too)
{
	static char text[LAYOUT_CMDLINE_MAX];
	size_t room = LAYOUT_CMDLINE_MAX - 1 - strlen(DEFAULTS " console=ttyS0 ");

	memset(text, 'x', room);
	c.cmdline = text;
	ck_assert_int_eq(build_line(sizeof(line)), 0);
	text[room] = 'x';
	ck_assert_int_eq(build_line(sizeof(line)), -E2BIG);
}
END_TEST

START_TEST(releasing_twice_is_releasing_once)
{
	c.string[0] = strdup("x");
	c.nr_strings = 1;
	vm_config_release(&c);
	vm_config_release(&c);
	ck_assert_uint_eq(c.nr_strings, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_defaults_with_a_kernel_are_fine);
	tcase_add_test(tc, a_kernel_passed_as_a_descriptor_is_fine);
	tcase_add_test(tc, no_kernel_at_all_is_refused);
	tcase_add_loop_test(tc, memory_that_cannot_be_is_refused, 0, ARRAY_SIZE(no_memory));
	tcase_add_test(tc, the_smallest_memory_is_accepted);
	tcase_add_test(tc, huge_pages_need_whole_huge_pages);
	tcase_add_loop_test(tc, a_descriptor_is_passed_for_one_thing_only, 0, 2);
	tcase_add_loop_test(tc, disks_and_nets_together_have_a_limit, 0, ARRAY_SIZE(devices));
	tcase_add_test(tc, two_devices_with_one_mac_are_refused);
	tcase_add_test(tc, different_macs_and_none_are_fine);
	tcase_add_loop_test(tc, the_line_is_the_defaults_and_then_what_was_asked_for, 0,
			    ARRAY_SIZE(lines));
	tcase_add_loop_test(tc, a_guest_without_acpi_gets_a_timer_chip, 0, ARRAY_SIZE(timers));
	tcase_add_test(tc, a_line_that_fits_exactly_is_taken);
	tcase_add_test(tc, a_line_one_byte_too_long_is_refused);
	tcase_add_test(tc, the_defaults_count_too);
	tcase_add_test(tc, releasing_twice_is_releasing_once);
	suite_add_tcase(s, tc);
	return s;
}
