/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest finds in memory, described in each of the three ways. */
#include <errno.h>
#include <libfdt.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "fw_fixture.h"
#include "kernel_image.h"
#include "layout.h"
#include "log.h"
#include "log_capture.h"
#include "pvh.h"
#include "runner.h"
#include "util.h"

static struct guest_mem *mem;
static struct kernel_image img;
static struct fw_desc d;
static struct boot_cfg cfg;
static struct boot_entry entry;

static void setup(void)
{
	ck_assert_int_eq(guest_mem_create(&mem, MIB(32), LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
	elf_image_init(&img);
	fw_fixture_init(&d, 2, 2);
	d.ram[0].len = MIB(32);
	d.nr_ram = 1;
	cfg = (struct boot_cfg){ .cmdline = "console=ttyS0",
				 .files = { .kernel = "K", .kernel_fd = -1, .initrd_fd = -1 } };
}

static void teardown(void)
{
	if (cfg.files.kernel_fd >= 0)
		close(cfg.files.kernel_fd);
	if (cfg.files.initrd_fd >= 0)
		close(cfg.files.initrd_fd);
	guest_mem_free(mem);
}

static int load(void)
{
	cfg.files.kernel_fd = image_fd(img.data, img.len);
	return boot_load(&entry, &cfg, mem, &d);
}

static const void *at(gpa_t gpa, uint64_t len)
{
	const void *p = guest_mem_ptr(mem, gpa, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static const struct boot_params *zero_page(void)
{
	ck_assert_int_eq(entry.mode, LOADER_ENTRY_LINUX64);
	return at(entry.arg, sizeof(struct boot_params));
}

static bool has_acpi(void)
{
	return !memcmp(at(LAYOUT_ACPI, 8), "RSD PTR ", 8);
}

static bool has_mptable(void)
{
	return !memcmp(at(LAYOUT_EBDA, 4), "_MP_", 4) && !memcmp(at(LAYOUT_MPTABLE, 4), "PCMP", 4);
}

static void check_refused(int err, const char *text)
{
	struct log_capture c;
	int ret;

	log_capture_begin(&c);
	ret = load();
	log_capture_end(&c);
	ck_assert_int_eq(ret, err);
	ck_assert_uint_eq(c.nr_lines, 1);
	ck_assert_msg(strstr(c.text, text), "%s", c.text);
}

START_TEST(a_pvh_guest_finds_command_line_and_acpi)
{
	const struct pvh_start_info *info;

	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(entry.mode, LOADER_ENTRY_PVH);
	ck_assert_uint_eq(entry.rip, ELF_ENTRY_PVH);
	info = at(entry.arg, sizeof(*info));
	ck_assert_uint_eq(info->magic, PVH_MAGIC);
	ck_assert_str_eq(at(info->cmdline_paddr, 14), "console=ttyS0");
	ck_assert_mem_eq(at(info->rsdp_paddr, 8), "RSD PTR ", 8);
	ck_assert(has_mptable());
}
END_TEST

START_TEST(a_64_bit_guest_finds_command_line_initrd_and_acpi)
{
	const struct boot_params *bp;

	bz_image_init(&img);
	cfg.files.initrd = "I";
	cfg.files.initrd_fd = image_fd("initrd", 6);
	ck_assert_int_eq(load(), 0);
	bp = zero_page();
	ck_assert_uint_eq(entry.rip, BZ_GPA + 0x200);
	ck_assert_str_eq(at(bp->hdr.cmd_line_ptr, 14), "console=ttyS0");
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 6);
	ck_assert_mem_eq(at(bp->hdr.ramdisk_image, 6), "initrd", 6);
	ck_assert_mem_eq(at(bp->acpi_rsdp_addr, 8), "RSD PTR ", 8);
	ck_assert_uint_eq(bp->hdr.init_size, BZ_INIT_SIZE);
}
END_TEST

START_TEST(by_device_tree_there_is_a_setup_data_node_and_nothing_else)
{
	const struct setup_data *node;

	d.describe = FW_DESCRIBE_FDT;
	ck_assert_int_eq(load(), 0);
	node = at(zero_page()->hdr.setup_data, sizeof(*node));
	ck_assert_uint_eq(node->type, SETUP_DTB);
	ck_assert_uint_eq(node->next, 0);
	ck_assert_int_eq(fdt_check_full(node->data, node->len), 0);
	ck_assert_int_ge(fdt_path_offset(node->data, "/virtio@c0002000"), 0);
	ck_assert_uint_eq(zero_page()->acpi_rsdp_addr, 0);
	ck_assert(!has_acpi() && !has_mptable());
}
END_TEST

START_TEST(at_level_debug_the_log_tells_what_the_guest_gets)
{
	char line[1001], initrd[] = "initrd";
	struct log_capture c;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	cfg.cmdline = line;
	cfg.files.initrd = "I";
	cfg.files.initrd_fd = image_fd(initrd, sizeof(initrd));
	log_set_level(LOG_LEVEL_DEBUG);
	log_capture_begin(&c);
	ck_assert_int_eq(load(), 0);
	log_capture_end(&c);
	log_set_level(LOG_LEVEL_INFO);
	ck_assert_ptr_nonnull(strstr(c.text, "memory: 0x0 to 0x1ffffff\n"));
	ck_assert_ptr_nonnull(strstr(c.text, "kernel: 0x100000 to "));
	ck_assert_ptr_nonnull(strstr(c.text, "initrd: 0x"));
	ck_assert_ptr_nonnull(strstr(c.text, " at 0x100"));
	ck_assert_ptr_nonnull(strstr(c.text, "kernel command line: xxx"));
	ck_assert_uint_eq(c.nr_lines, 4 + 3);
}
END_TEST

START_TEST(a_device_tree_and_a_pvh_entry_do_not_go_together)
{
	d.describe = FW_DESCRIBE_FDT;
	cfg.files.entry = LOADER_ENTRY_PVH;
	check_refused(-EINVAL, "a PVH entry cannot take a device tree");
}
END_TEST

START_TEST(by_command_line_the_devices_are_appended)
{
	d.describe = FW_DESCRIBE_CMDLINE;
	cfg.files.entry = LOADER_ENTRY_LINUX64;
	ck_assert_int_eq(load(), 0);
	ck_assert_str_eq(at(zero_page()->hdr.cmd_line_ptr, 100),
			 "console=ttyS0 virtio_mmio.device=8K@0xc0000000:5"
			 " virtio_mmio.device=8K@0xc0002000:6");
	ck_assert_uint_eq(zero_page()->acpi_rsdp_addr, 0);
	ck_assert(!has_acpi() && has_mptable());
}
END_TEST

/* The longest line that fits, and one byte more; a bzImage may allow less. */
static const struct {
	uint32_t cmdline_size, len;
	bool fits;
} lines[] = {
	{ 4095, 2047, true }, { 4095, 2048, false }, { 4095, 5000, false },
	{ 255, 255, true }, { 255, 256, false }, { 0, 0, true }, { 0, 1, false },
};

/* row K3 */
START_TEST(a_command_line_fits_whole_or_is_refused)
{
	static char line[8192];

	memset(line, 'x', lines[_i].len);
	cfg.cmdline = line;
	bz_image_init(&img);
	bz_image_header(&img)->cmdline_size = lines[_i].cmdline_size;
	if (!lines[_i].fits) {
		check_refused(-E2BIG, "kernel command line: longer than");
		return;
	}
	ck_assert_int_eq(load(), 0);
	ck_assert_str_eq(at(zero_page()->hdr.cmd_line_ptr, lines[_i].len + 1), line);
}
END_TEST

/* row K2 */
START_TEST(more_devices_than_the_command_line_takes_are_refused)
{
	struct fw_range ram = d.ram[0];

	fw_fixture_init(&d, 1, 128);
	d.ram[0] = ram;
	d.nr_ram = 1;
	d.describe = FW_DESCRIBE_CMDLINE;
	check_refused(-E2BIG, "longer than 2047 bytes, devices included");
}
END_TEST

START_TEST(more_cpus_than_an_mp_table_takes_need_acpi)
{
	d.nr_cpus = 300;
	ck_assert_int_eq(load(), 0);
	ck_assert(has_acpi() && !has_mptable());
	close(cfg.files.kernel_fd);
	d.describe = FW_DESCRIBE_CMDLINE;
	check_refused(-EINVAL, "MP table: more than 255 CPUs");
}
END_TEST

static const struct {
	enum fw_describe describe;
	const char *text;
} too_large[] = {
	{ FW_DESCRIBE_ACPI, "ACPI tables: more than 124 KiB" },
	{ FW_DESCRIBE_FDT, "device tree: more than 428 KiB" },
};

/* row L5 */
START_TEST(tables_that_do_not_fit_are_refused)
{
	d.nr_cpus = 20000;
	d.describe = too_large[_i].describe;
	check_refused(-ENOSPC, too_large[_i].text);
}
END_TEST

/* row K1 */
START_TEST(less_than_a_mebibyte_of_ram_is_refused)
{
	guest_mem_free(mem);
	ck_assert_int_eq(guest_mem_create(&mem, MIB(1) - 4096, LAYOUT_HOLE_START, LAYOUT_HOLE_END,
					  GUEST_MEM_ANON), 0);
	check_refused(-EINVAL, "less than 1 MiB");
}
END_TEST

START_TEST(the_tables_lie_in_reserved_memory)
{
	const struct boot_params *bp;
	const struct boot_e820_entry *e;

	cfg.files.entry = LOADER_ENTRY_LINUX64;
	ck_assert_int_eq(load(), 0);
	bp = zero_page();
	e = &bp->e820_table[1];
	ck_assert_uint_eq(e->type, 2);
	ck_assert_uint_le(e->addr, LAYOUT_MPTABLE);
	ck_assert_uint_ge(e->addr + e->size, LAYOUT_ACPI + LAYOUT_ACPI_LEN);
}
END_TEST

/* Linux jumps to f000:fff0 to reboot if ACPI is hardware-reduced and there is no EFI. */
START_TEST(the_bios_entry_for_a_reboot_writes_the_reset_port)
{
	static const uint8_t code[] = { 0xfa, 0xba, LAYOUT_PORT_RESET & 0xff,
					LAYOUT_PORT_RESET >> 8, 0xb0, 1, 0xee, 0xf4, 0xeb, 0xfd };

	d.describe = (enum fw_describe)_i;
	ck_assert_int_eq(load(), 0);
	ck_assert_mem_eq(at(0xffff0, sizeof(code)), code, sizeof(code));
}
END_TEST

START_TEST(gdt_and_page_tables_stay_the_architectures)
{
	static const uint8_t zero[LAYOUT_ZERO_PAGE];

	ck_assert_int_eq(load(), 0);
	ck_assert_mem_eq(at(0, LAYOUT_ZERO_PAGE), zero, LAYOUT_ZERO_PAGE);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("boot");
	TCase *tc = tcase_create("memory");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_pvh_guest_finds_command_line_and_acpi);
	tcase_add_test(tc, a_64_bit_guest_finds_command_line_initrd_and_acpi);
	tcase_add_test(tc, by_device_tree_there_is_a_setup_data_node_and_nothing_else);
	tcase_add_test(tc, at_level_debug_the_log_tells_what_the_guest_gets);
	tcase_add_test(tc, a_device_tree_and_a_pvh_entry_do_not_go_together);
	tcase_add_test(tc, by_command_line_the_devices_are_appended);
	tcase_add_loop_test(tc, a_command_line_fits_whole_or_is_refused, 0, ARRAY_SIZE(lines));
	tcase_add_test(tc, more_devices_than_the_command_line_takes_are_refused);
	tcase_add_test(tc, more_cpus_than_an_mp_table_takes_need_acpi);
	tcase_add_loop_test(tc, tables_that_do_not_fit_are_refused, 0, ARRAY_SIZE(too_large));
	tcase_add_test(tc, less_than_a_mebibyte_of_ram_is_refused);
	tcase_add_test(tc, the_tables_lie_in_reserved_memory);
	tcase_add_loop_test(tc, the_bios_entry_for_a_reboot_writes_the_reset_port, 0,
			    FW_DESCRIBE_CMDLINE + 1);
	tcase_add_test(tc, gdt_and_page_tables_stay_the_architectures);
	suite_add_tcase(s, tc);
	return s;
}
