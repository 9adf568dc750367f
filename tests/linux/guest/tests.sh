# SPDX-License-Identifier: Apache-2.0
# The guest's half of the Linux-guest tests; sourced by init. test_NAME prints its findings on
# stdout and succeeds or fails; the last line it writes to stderr is the reason.

fail() {
	echo "$*" >&2
	return 1
}

disks() {
	for d in /sys/block/vd*; do
		[ -d "$d" ] && [ "$(cat "$d/ro")" = 0 ] && basename "$d"
	done
}

online_cpus() {
	grep -c '^processor' /proc/cpuinfo
}

# What the kernel should not have said. No concern of ours: an emulated processor's XSAVE sizes;
# sched_cpu_dying, a race of 6.12 between hotplug and its own kernel threads; remove_proc_entry, of an
# interrupt for whose entry in /proc there was no memory.
log_check() {
	dmesg > /tmp/log
	grep -E "$(param log virtio)" /tmp/log | head -n "$(param loglines 16)" | sed 's/^/MIMSY-LOG /'
	grep -E 'WARNING: .*(CPU|possible|inconsistent|suspicious)|BUG:|Oops|nobody cared|I\/O error|No irq handler' /tmp/log |
		grep -vE 'fpu__init_system_xstate|sched_cpu_dying|remove_proc_entry' > /tmp/complaints || return 0
	grep -F -A 30 "$(head -n 1 /tmp/complaints)" /tmp/log | head -n 40 | sed 's/^/MIMSY-LOG /'
	echo "MIMSY-RESULT FAIL kernel-log: $(head -n 1 /tmp/complaints)"
}

# Lines of MIMSY-IRQ irq chip name affinity effective count-of-cpu0 count-of-cpu1 ...
# with the name as the kernel shows it; shared lines have their names joined by commas.
irq_table() {
	awk '
	NR == 1 { nr = NF; next }
	/virtio/ {
		irq = $1; sub(":", "", irq)
		counts = ""
		for (i = 2; i < nr + 2; i++)
			counts = counts " " $i
		first = $(nr + 3) ~ /^[0-9]+$/ ? nr + 5 : nr + 4
		name = ""
		for (i = first; i <= NF; i++)
			name = name $i
		aff = "-"; eff = "-"
		getline aff < ("/proc/irq/" irq "/smp_affinity_list")
		getline eff < ("/proc/irq/" irq "/effective_affinity_list")
		print "MIMSY-IRQ", irq, $(nr + 2), name, aff, eff counts
	}' /proc/interrupts
}

# Which CPUs a disk's queue takes requests from: MIMSY-MQ virtio0 vda 0 0,1. No process is started
# here, for a guest with a hundred disks.
test_irqs() {
	local q cpus device disk
	echo "MIMSY-TABLE"
	irq_table
	for q in /sys/bus/virtio/devices/virtio*/block/vd*/mq/[0-9]*; do
		[ -d "$q" ] || continue
		read -r cpus < "$q/cpu_list"
		device=${q#*/devices/}
		disk=${q#*/block/}
		echo "MIMSY-MQ ${device%%/*} ${disk%%/*} ${q##*/} $cpus"
	done
}

# Verified random traffic from each CPU on each disk, so on each queue.
test_disks() {
	local d
	[ -n "$(disks)" ] || fail "no disk was found" || return 1
	for d in $(disks); do
		guestio disk "/dev/$d" ops="$(param ops 64)" seed="$(param seed 1)" || return 1
	done
}

test_readonly() {
	local d
	for d in /sys/block/vd*; do
		[ -d "$d" ] && [ "$(cat "$d/ro")" = 1 ] || continue
		if dd if=/dev/zero of="/dev/$(basename "$d")" bs=4096 count=1 2>/dev/null; then
			fail "a read-only disk took a write"
			return 1
		fi
		dd if="/dev/$(basename "$d")" of=/dev/null bs=4096 count=16 2>/dev/null || return 1
		return 0
	done
	fail "no read-only disk was found"
}

# A file system whose files are written by each CPU, with checksums compared after a remount.
test_files() {
	local d cpu
	d=$(disks | head -n 1)
	mke2fs -F "/dev/$d" >/dev/null 2>&1 || fail "mke2fs failed" || return 1
	mount -t "$(param fs ext2)" "/dev/$d" /mnt || return 1
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		mkdir "/mnt/$cpu"
		taskset -c "$cpu" dd if=/dev/urandom of="/mnt/$cpu/data" bs=64k count=8 conv=fsync \
			2>/dev/null || return 1
		cp -r /bin/busybox "/mnt/$cpu/busybox"
	done
	(cd /mnt && find . -type f -exec sha256sum {} +) > /tmp/sums || return 1
	umount /mnt || return 1
	echo 3 > /proc/sys/vm/drop_caches
	mount -t "$(param fs ext2)" "/dev/$d" /mnt || return 1
	(cd /mnt && sha256sum -c /tmp/sums >/dev/null) || fail "a file changed" || return 1
	umount /mnt
}

# Files that are there for good once it has said so; others come and go. The host looks at each state
# that a power cut could leave.
test_crash() {
	local i
	mount -t ext4 /dev/vda /mnt || return 1
	for i in $(seq "$(param files 12)"); do
		yes "line of $i" 2>/dev/null | head -c $((i * 3000)) > /mnt/new || return 1
		sync /mnt/new || return 1
		mv /mnt/new "/mnt/f$i" || return 1
		sync /mnt || return 1
		echo "MIMSY-SAFE f$i"
		mkdir -p "/mnt/dir$((i % 3))"
		cp "/mnt/f$i" "/mnt/dir$((i % 3))/copy"
		[ $((i % 4)) = 0 ] && rm -r "/mnt/dir$((i % 3))"
	done
	umount /mnt
}

# eth0 is 10.0.0.2 with the peer 10.0.0.1, eth1 is 10.0.1.2 ...
test_net() {
	local n
	for n in $(seq 0 $(($(param nets 1) - 1))); do
		ip link set "eth$n" up || return 1
		ip addr add "10.0.$n.2/24" dev "eth$n" || return 1
		ping -q -c 3 -i 0.2 -W 5 "10.0.$n.1" || fail "eth$n: ping failed" || return 1
	done
}

test_tcp() {
	local n
	for n in $(seq 0 $(($(param nets 1) - 1))); do
		guestio talk "10.0.$n.1" 7000 rounds="$(param rounds 50)" bytes=64 || return 1
		guestio talk "10.0.$n.1" 7000 rounds=2 bytes=262144 seed=7 || return 1
	done
}

# Points the whole table of the hash at one queue after the other: a table of interrupts before
# each, and one after the last.
test_rss() {
	local queue
	guestio rss eth0 | sed 's/^/MIMSY-RSS /'
	for queue in $(param rss 1,0 | tr ',' ' '); do
		guestio rss eth0 queue="$queue" >/dev/null || return 1
		test_irqs
		guestio talk 10.0.0.1 7000 rounds="$(param rounds 50)" bytes=64 || return 1
	done
	test_irqs
}

# Sends something through the control queue: promiscuous mode, all multicast, another MAC address.
test_control() {
	ifconfig eth0 promisc && ifconfig eth0 -promisc || return 1
	ifconfig eth0 allmulti && ifconfig eth0 -allmulti || return 1
	ifconfig eth0 down
	ifconfig eth0 hw ether 02:00:00:00:77:01 || return 1
	ifconfig eth0 up
	[ "$(cat /sys/class/net/eth0/address)" = 02:00:00:00:77:01 ]
}

nr_irqs() {
	grep -c virtio /proc/interrupts
}

nr_descs() {
	ls /sys/kernel/irq | wc -l
}

# Vectors that the APIC driver counts as allocated; 0 if the kernel does not tell.
nr_vectors() {
	local f=/sys/kernel/debug/irq/domains/VECTOR
	[ -e $f ] && sed -n 's/^.*Total allocated: *//p' $f || echo 0
}

# Driver off and on again: everything it had must be given back and come again.
test_rebind() {
	local dev drv plat i before rounds
	rounds=$(param rebinds 100)
	for dev in /sys/bus/virtio/devices/virtio*; do
		drv=$(readlink -f "$dev/driver")
		plat=$(basename "$(dirname "$(readlink -f "$dev")")")
		dev=$(basename "$dev")
		before="$(nr_irqs) $(nr_descs) $(nr_vectors)"
		for i in $(seq "$rounds"); do
			if [ $((i % 10)) = 0 ]; then
				echo "$plat" > /sys/bus/platform/drivers/virtio-mmio/unbind || return 1
				[ "$i" = 10 ] && grep "$dev-" /proc/interrupts &&
					fail "irqs of $dev are left behind" && return 1
				echo "$plat" > /sys/bus/platform/drivers/virtio-mmio/bind || return 1
				dev=$(basename "$(ls -d "/sys/devices/"*/"$plat"/virtio* \
					"/sys/devices/"*/*/"$plat"/virtio* 2>/dev/null | head -n 1)")
			else
				echo "$dev" > "$drv/unbind" || return 1
				echo "$dev" > "$drv/bind" || return 1
			fi
			[ -e "/sys/bus/virtio/devices/$dev/driver" ] ||
				fail "$dev has no driver after round $i" || return 1
		done
		[ "$before" = "$(nr_irqs) $(nr_descs) $(nr_vectors)" ] ||
			fail "$dev: irqs, descriptors, vectors were $before," \
			     "are $(nr_irqs) $(nr_descs) $(nr_vectors)" || return 1
	done
}

load_start() {
	local d
	load=
	for d in $(disks); do
		guestio disk "/dev/$d" mode=loop ops=64 >/tmp/load 2>&1 &
		load="$load $!"
	done
}

# Fails if the load has stopped by itself: it does so only at an error or a wrong byte.
load_stop() {
	local pid
	for pid in $load; do
		kill -0 "$pid" 2>/dev/null || fail "the load stopped: $(cat /tmp/load)" || return 1
	done
	killall -9 guestio 2>/dev/null
	wait
	return 0
}

# Moves each interrupt that user space may move over all CPUs, under load, and looks where it goes.
test_affinity() {
	local irq cpu moved=0 round nr
	nr=$(nproc)
	load_start
	for round in 1 2 3; do
		for irq in $(awk '/virtio/ { sub(":", "", $1); print $1 }' /proc/interrupts); do
			cpu=$(((irq + round) % nr))
			echo "$cpu" > "/proc/irq/$irq/smp_affinity_list" 2>/dev/null || continue
			[ "$(cat "/proc/irq/$irq/smp_affinity_list")" = "$cpu" ] || fail "irq $irq stayed" ||
				return 1
			moved=$((moved + 1))
		done
		usleep 300000
	done
	load_stop || return 1
	echo "MIMSY-MOVED $moved"
	guestio disk "/dev/$(disks | head -n 1)" ops=16
}

# The number of the interrupt with this name.
irq_of() {
	awk -v name="$1" '$NF == name { sub(":", "", $1); print $1 }' /proc/interrupts
}

move() {
	echo "$2" > "/proc/irq/$1/smp_affinity_list"
}

# Traffic on the first disk; its interrupt, which is one for all queues, has to fire on CPU $2.
fires_on() {
	local before after
	before=$(awk -v irq="$1:" -v col=$(($2 + 2)) '$1 == irq { print $col }' /proc/interrupts)
	guestio disk /dev/vda ops=8 || return 1
	after=$(awk -v irq="$1:" -v col=$(($2 + 2)) '$1 == irq { print $col }' /proc/interrupts)
	[ "$after" -gt "$before" ] || fail "irq $1 does not fire on CPU $2: $before, then $after"
}

# The second of two moves has to wait for an interrupt after the first; it may not get lost.
test_twice() {
	local irq
	irq=$(irq_of virtio0-virtqueues)
	for cpu in 1 2 3 0; do
		move "$irq" $(((cpu + 1) % 4)) || return 1
		move "$irq" $cpu || return 1
		fires_on "$irq" $cpu || return 1
		[ "$(cat "/proc/irq/$irq/effective_affinity_list")" = $cpu ] ||
			fail "irq $irq is not on CPU $cpu" || return 1
	done
}

# As many moves as there is time for while the disk is busy: an interrupt that goes where the vector
# was is one without a handler, which the kernel's log tells; a lost one makes the load hang.
test_storm() {
	local irq i
	irq=$(irq_of virtio0-virtqueues)
	load_start
	for i in $(seq "$(param moves 400)"); do
		move "$irq" $((i % 4)) || return 1
	done
	load_stop || return 1
	move "$irq" 3 || return 1
	fires_on "$irq" 3
}

refuse() {
	echo "$1" > /sys/module/refuse/parameters/irq
	echo "$2" > /sys/module/refuse/parameters/left
}

# The device refuses the message of a move. Its queues are served all the same, and the next move is
# carried out.
test_refused() {
	local irq
	irq=$(irq_of virtio0-virtqueues)
	move "$irq" 0
	fires_on "$irq" 0 || return 1
	insmod /lib/modules/refuse.ko irq="$irq" left=1 || return 1
	move "$irq" 1
	guestio disk /dev/vda cpus=0,1 ops=2 || return 1
	dmesg | grep -q 'message of vector 1 refused' || fail "no message was refused" || return 1
	move "$irq" 2 || return 1
	fires_on "$irq" 2 || return 1
	usleep 300000
	dmesg | grep -q 'all messages accepted' || fail "the device is asked for ever"
}

# A CPU's queue is started again, by a message that the device refuses.
test_restarted() {
	local irq
	irq=$(irq_of virtio1-req.3)
	echo 0 > /sys/devices/system/cpu/cpu3/online || return 1
	refuse "$irq" 99
	echo 1 > /sys/devices/system/cpu/cpu3/online || return 1
	refuse "$irq" 0
	dmesg | grep -q 'message of vector 4 refused' || fail "no message was refused" || return 1
	guestio disk /dev/vdb cpus=3 ops=2 || return 1
	echo 0 > /sys/devices/system/cpu/cpu3/online || return 1
	echo 1 > /sys/devices/system/cpu/cpu3/online || return 1
	guestio disk /dev/vdb cpus=3 ops=32
}

# The disk's driver is bound while the first allocation of the kernel fails, the second, and so on,
# until none does. What could be bound has to work; nothing may be left behind.
test_failures() {
	local i out before drv=/sys/bus/virtio/drivers/virtio_blk failed=0 bound=0
	echo 0 > /sys/kernel/debug/failslab/verbose
	echo N > /sys/kernel/debug/failslab/ignore-gfp-wait
	echo virtio0 > $drv/unbind || return 1
	before="$(nr_irqs) $(nr_descs) $(nr_vectors)"
	for i in $(seq 1000); do
		out=$(guestio fail "$i" $drv/bind virtio0) || return 1
		case $out in
		"0 "*)
			bound=$((bound + 1))
			[ ! -b /dev/vda ] || dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct \
				2>/dev/null || return 1
			echo virtio0 > $drv/unbind || return 1 ;;
		*)
			failed=$((failed + 1)) ;;
		esac
		case $out in
		*" 0") ;;
		*) break ;;
		esac
	done
	echo "MIMSY-FAILURES $i $failed $bound"
	[ "$before" = "$(nr_irqs) $(nr_descs) $(nr_vectors)" ] ||
		fail "irqs, descriptors, vectors were $before, are $(nr_irqs) $(nr_descs)" \
		     "$(nr_vectors)" || return 1
	echo virtio0 > $drv/bind
}

# CPUs go and come while the disks are busy.
test_hotplug() {
	local cpu round
	load_start
	for round in 1 2; do
		for cpu in $(seq 1 $(($(nproc) - 1))); do
			echo 0 > "/sys/devices/system/cpu/cpu$cpu/online" || return 1
			usleep 200000
		done
		[ "$(online_cpus)" = 1 ] || fail "$(online_cpus) CPUs are on line" || return 1
		for cpu in /sys/devices/system/cpu/cpu[1-9]*; do
			echo 1 > "$cpu/online" || return 1
		done
		usleep 200000
	done
	load_stop
}

# Suspend to idle, as deep as a machine goes that nothing would wake: devices, then the platform.
test_suspend() {
	local level
	for level in devices platform; do
		echo $level > /sys/power/pm_test || return 1
		echo freeze > /sys/power/state || fail "suspend ($level) failed" || return 1
	done
	dmesg | grep -q 'suspend exit' || fail "no suspend in the log"
}

# While the host does something to all of the machine; the disks are busy meanwhile. Time has to go on
# evenly: what the clock says was gained is what the kernel has counted.
test_host() {
	local clock ticks
	clock=$(date +%s)
	ticks=$(cut -d . -f 1 /proc/uptime)
	load_start
	echo "MIMSY-NOW"
	usleep "$(param hostms 3000)000"
	load_stop || return 1
	clock=$(($(date +%s) - clock))
	ticks=$(($(cut -d . -f 1 /proc/uptime) - ticks))
	echo "MIMSY-PASSED $clock $ticks"
	[ $((clock - ticks)) -ge -2 ] && [ $((clock - ticks)) -le 2 ] ||
		fail "the clock went on by $clock s, the kernel counted $ticks s"
}

test_kexec() {
	local line
	line=$(sed -e "s/mimsy.test=[^ ]*/mimsy.test=$(param then irqs,disks,irqs)/" /proc/cmdline)
	echo "MIMSY-KEXEC"
	guestio kexec /boot/bzImage /boot/initrd "$line"
}

test_clocks() {
	echo "MIMSY-CLOCK $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
	echo "MIMSY-CPUS $(nproc)"
}

test_poweroff() {
	poweroff -f
	usleep 3000000
	fail "still here after poweroff"
}

# What a person's acpid or logind does: wait for the button, then power off.
test_button() {
	local e
	for e in /sys/class/input/event*; do
		[ "$(cat "$e/device/name")" = "Power Button" ] && break
	done
	[ -c "/dev/input/${e##*/}" ] || fail "no power button" || return 1
	exec 3< "/dev/input/${e##*/}"		# nothing is kept for those who come later
	echo "MIMSY-LISTENS"
	dd of=/tmp/event bs=24 count=1 <&3 2>/dev/null || return 1
	echo "MIMSY-PRESSED $(od -A n -t u2 -j 16 -N 4 /tmp/event)"
}

test_halt() {
	halt -f
	usleep 3000000
	fail "still here after halt"
}

test_reboot() {
	reboot -f
	usleep 3000000
	fail "still here after reboot"
}

# Nothing: the guest stays until the monitor is told to stop.
test_sleep() {
	echo "MIMSY-SLEEPS"
	usleep 60000000
}
