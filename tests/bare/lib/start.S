/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in: PVH entry (32-bit, paging off, start info in ebx), long mode
 * with two of the lower four GiB mapped one to one (RAM and the device hole),
 * then C. Also the interrupt stubs and the real-mode start of other CPUs.
 */
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define CR0_PE		0x1
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define STACK_SIZE	8192

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18		/* sizes of name and value, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	entry32

	.section .page_tables, "aw", @progbits
	.balign	4096
pml4:	.quad	pdpt + 3
	.fill	511, 8, 0
pdpt:	.quad	pd_ram + 3, 0, 0, pd_hole + 3
	.fill	508, 8, 0
pd_ram:
	.set	page, 0
	.rept	512
	.quad	(page << 21) | 0x83
	.set	page, page + 1
	.endr
pd_hole:				/* 3..4 GiB: uncached */
	.rept	512
	.quad	(0xc0000000 + ((page - 512) << 21)) | 0x9b
	.set	page, page + 1
	.endr

	.data
	.balign	16
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE64 */
	.quad	0x00cf93000000ffff	/* SEL_DATA */
	.quad	0x00cf9b000000ffff	/* SEL_CODE32 */
gdt_end:
gdt_ptr:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.bss
	.balign	16
stack:	.skip	STACK_SIZE
stack_top:
ap_stack:
	.skip	STACK_SIZE
ap_stack_top:

	.text
	.code32
	.globl	entry32
entry32:
	cld
	movl	$stack_top, %esp
	movl	%ebx, %edi		/* first argument of both mains */
	movl	$bare_main, %esi
	lgdt	gdt_ptr
	jmp	long_mode

ap_entry32:
	movw	$SEL_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$ap_stack_top, %esp
	movl	$bare_ap_main, %esi

long_mode:
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$(CR0_PG | CR0_PE), %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $start64

	.code64
start64:
	movw	$SEL_DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	xorl	%eax, %eax
	movw	%ax, %fs
	movw	%ax, %gs
	xorl	%ebp, %ebp
	movl	%esi, %esi		/* upper halves are undefined so far */
	movl	%edi, %edi
	call	*%rsi
1:	cli
	hlt
	jmp	1b

/* Copied to a page below 1 MiB; runs there in real mode after a SIPI. */
	.code16
	.globl	ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdt_ptr - ap_trampoline
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $ap_entry32
	.balign	4
ap_gdt_ptr:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_trampoline_end:
	.code64

/* 256 stubs of 16 bytes; each leaves an error code and its number on the stack. */
	.balign	16
	.globl	isr_stubs
isr_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21)
	pushq	$0
	.endif
	pushq	$vec
	jmp	isr_common
	.set	vec, vec + 1
	.endr

	.balign	16
isr_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	cld
	movq	72(%rsp), %rdi		/* vector */
	leaq	80(%rsp), %rsi		/* error code, rip, cs, flags, rsp, ss */
	call	isr_dispatch
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
