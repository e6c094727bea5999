# Runs what /guest/list names and says on the second serial line how each came out.
stty -F /dev/ttyS1 raw 2>/dev/null
echo /guest/modprobe >/proc/sys/kernel/modprobe
# What many tests want first, all at once: busybox's modprobe does not wait for a module that another one loads.
for module in bridge veth nf_tables overlay loop; do /guest/modprobe $module 2>/dev/null; done
exec </dev/null >/dev/ttyS1 2>&1
# Below systemd this is a service's group, which on v2 cannot have processes and groups with limits beside each other; the topmost can.
[ ! -w /sys/fs/cgroup/cgroup.procs ] || echo $$ >/sys/fs/cgroup/cgroup.procs
limit=400
# Most tests wait more than they compute, so more of them than processors run at once.
export RUST_TEST_THREADS=4
# As cargo sets it where tests run on a host: those that want a network say so.
export HOLM_NETWORK=none
one() {
    name=$1 directory=$2
    shift 2
    echo "@guest begin $name"
    (cd "$directory" && export CARGO_MANIFEST_DIR="$directory" && timeout -s KILL "$limit" "$@")
    echo "@guest end $name $?"
}
one smoke / sh /guest/smoke
while read -r name directory program filter; do
    # shellcheck disable=SC2086  # no filter is no argument
    one "$name" "$directory" "$program" $filter --show-output
done </guest/list
echo "@guest finished"
