#!/bin/bash
# Runs the tests of the training program's cgroup in a virtual machine, whose kernel gives all controllers to
# cgroups of version 2. Many machines, and most containers, do not. Needs qemu-system-x86_64, cpio and a kernel:
#
#   apt-get download linux-image-6.1.0-48-cloud-amd64 && dpkg -x linux-image-*.deb kernel
#   KERNEL=kernel/boot/vmlinuz-6.1.0-48-cloud-amd64 client/tests/cgroup_vm.sh
#
# The processor is emulated unless ACCEL=kvm is set: two minutes.
set -euo pipefail
kernel=${KERNEL:?"name a Linux kernel for x86-64, version 5.14 or newer; this file says where to get one"}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root

echo "building the tests"
test=$(cargo test -q -p eosfed-client --test cgroup --no-run --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "cgroup":
        print(message["executable"])')
client=$(dirname "$(dirname "$test")")/eosfed-client

# Copies a program and its libraries to the place that they have here.
put() {
    for file in "$1" $(ldd "$1" | grep -oE '/[^ ]+'); do
        mkdir -p "$root$(dirname "$file")"
        [ -e "$root$file" ] || cp -L "$file" "$root$file"
    done
}
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
for program in dash bash sleep tail setsid kill cat mount; do
    path=$(type -P "$program")
    put "$path"
    cp -L "$path" "$root/bin/$program"
done
cp "$root/bin/dash" "$root/bin/sh"
put "$test"
put "$client"
cat > "$root/init" <<INIT
#!/bin/sh
export PATH=/bin TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
echo "+memory +cpu +pids" > /sys/fs/cgroup/cgroup.subtree_control
# The others wait for programs for a time that is too short for an emulated processor.
$test a_trainer_that memory_processors swept --nocapture --test-threads=1 2>&1
echo "ENDED WITH \$?"
echo o > /proc/sysrq-trigger
sleep 10
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1 > ../initrd)

echo "booting $kernel"
timeout 600 qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 3500 -nodefaults \
    -display none -no-reboot -serial stdio -kernel "$kernel" -initrd "$folder/initrd" \
    -append "console=ttyS0 quiet panic=1 rdinit=/init" < /dev/null | tee "$folder/output"
if grep -q "skipped:" "$folder/output" || ! grep -q "^ENDED WITH 0" "$folder/output"; then
    echo "error: the tests have failed, or some of them were skipped" >&2
    exit 1
fi
