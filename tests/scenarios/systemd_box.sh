#!/usr/bin/env bash
# Boots a real systemd with D-Bus and logind as process 1, in namespaces of its own, on an overlay of this machine.
#
#   systemd_box.sh FOLDER [SOURCE:PLACE]...   the folders SOURCE are found at PLACE inside
#
# FOLDER/pid holds the process to enter; ending that process ends the box. Nothing written inside outlives it.
set -euo pipefail
base=$1; shift
name=$(basename "$base")
printf '%s\n' "$@" >"$base/share"
cat >"$base/boot.sh" <<'BOOT'
set -e
base=$1
mount --make-rprivate /
mkdir -p "$base/t"; mount -t tmpfs -o mode=755 tmpfs "$base/t"; mkdir -p "$base"/t/{up,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/t/up,workdir=$base/t/work" "$base/t/root"
R=$base/t/root
mount -t proc proc "$R/proc"; mount -t sysfs sysfs "$R/sys"
mount -t tmpfs -o mode=755 tmpfs "$R/sys/fs/cgroup"; mkdir -p "$R"/sys/fs/cgroup/{unified,systemd}
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup/unified"
mount -t cgroup -o none,name=systemd,xattr cgroup "$R/sys/fs/cgroup/systemd"
mount -t tmpfs -o mode=755 tmpfs "$R/run"; mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
while IFS=: read -r from to; do mkdir -p "$R$to"; mount --rbind "$from" "$R$to"; done <"$base/share"
mount --rbind /dev "$R/dev"
ip link set lo up
mkdir -p "$R/etc/systemd/system" "$R/var/log/journal"; rm -rf "$R/var/lib/systemd/linger"
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service systemd-journald-audit.socket \
  getty.target console-getty.service systemd-remount-fs.service systemd-sysctl.service systemd-modules-load.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-random-seed.service \
  systemd-update-utmp.service systemd-binfmt.service kmod-static-nodes.service modprobe@.service apparmor.service \
  keyboard-setup.service console-setup.service systemd-sysusers.service polkit.service
do ln -sf /dev/null "$R/etc/systemd/system/$unit"; done
wanted="basic.target dbus.service systemd-logind.service"
printf '[Unit]\nDescription=box\nRequires=%s\nAfter=%s\n' "$wanted" "$wanted" >"$R/etc/systemd/system/box.target"
printf '[Unit]\nDescription=nothing to mount\n' >"$R/etc/systemd/system/local-fs.target"
: >"$R/etc/fstab"; echo "127.0.0.1 localhost" >"$R/etc/hosts"
# who logged out is gone at once, not ten seconds later
mkdir -p "$R/etc/systemd/logind.conf.d"
printf '[Login]\nUserStopDelaySec=0\n' >"$R/etc/systemd/logind.conf.d/box.conf"
export container=box
exec chroot "$R" /lib/systemd/systemd --system --unit=box.target --log-target=console --show-status=0
BOOT
for tree in unified systemd; do mkdir -p "/sys/fs/cgroup/$tree/box-$name"; done
(
  for tree in unified systemd; do echo $BASHPID >"/sys/fs/cgroup/$tree/box-$name/cgroup.procs"; done
  exec setsid unshare --mount --pid --net --uts --ipc --cgroup --fork bash "$base/boot.sh" "$base" \
    >"$base/console.log" 2>&1 </dev/null
) &
unshare_pid=$!
for _ in $(seq 1 100); do
  init=$(ps -o pid= --ppid "$unshare_pid" 2>/dev/null | tr -d ' ' | head -1 || true)
  [[ -n $init ]] && break
  sleep .05
done
[[ -n ${init:-} ]] || { cat "$base/console.log" >&2; exit 1; }
echo "$init" >"$base/pid"
