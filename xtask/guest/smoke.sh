# What everybody tries first, counted like tests.
programs=$(dirname "$(find /guest/../target/ -name holm -type f | head -n 1)")
passed=0 failed=0
check() {
    name=$1 expected=$2
    shift 2
    found=$("$@" 2>&1)
    if [ "$found" = "$expected" ]; then
        echo "test smoke::$name ... ok"
        passed=$((passed + 1))
    else
        echo "test smoke::$name ... FAILED"
        echo "    expected: $expected"
        echo "    found:    $found"
        failed=$((failed + 1))
    fi
}
"$programs/holm" doctor
check doctor_ends_well 0 sh -c "'$programs/holm' doctor >/dev/null; echo \$?"
check holm_runs_the_hosts_root hello "$programs/holm" run --rootfs / -- echo hello
check holm_limits_memory_and_processes '33554432 7' "$programs/holm" run --rootfs / --memory 32m --pids-limit 7 -- \
    sh -c 'cd /sys/fs/cgroup; echo $(cat memory.max memory/memory.limit_in_bytes 2>/dev/null) $(cat pids.max pids/pids.max 2>/dev/null)'
bundle=/tmp/smoke
mkdir -p $bundle/rootfs/bin
cp /bin/busybox $bundle/rootfs/bin/
cd $bundle || exit 1
"$programs/holm-runtime" spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"busybox", "echo", "hello"/' config.json
check holm_runtime_runs_a_bundle hello "$programs/holm-runtime" run smoke
echo
result=ok
[ $failed -eq 0 ] || result=FAILED
echo "test result: $result. $passed passed; $failed failed; 0 ignored"
[ $failed -eq 0 ]
