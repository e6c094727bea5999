#!/bin/sh
# Fills corpus/ with well-formed examples to start from, most of them texts that the tests read.
set -eu
cd "$(dirname "$0")"
tests=../crates
mkdir -p corpus/config_json corpus/mountinfo corpus/cgroup_files corpus/flags corpus/passwd corpus/seccomp_json corpus/dbus
cp "$tests"/spec/tests/*.json corpus/config_json/
for mountinfo in "$tests"/cgroups/tests/texts/*.mountinfo; do
    name=$(basename "$mountinfo" .mountinfo)
    { cat "$mountinfo"; printf '\0'; cat "${mountinfo%.mountinfo}.cgroup"; } >"corpus/mountinfo/$name"
done
# One example a file, from the types of the flags themselves.
grep -rhoaP 'const EXAMPLE: &.static str = "\K[^"]+' "$tests/engine/src/flags" | while IFS= read -r example; do
    printf '%s' "$example" >"corpus/flags/$(printf '%s' "$example" | tr -c 'A-Za-z0-9' _)"
done
printf 'web\0video\0root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/srv:/bin/sh\n\0root:x:0:\nvideo:x:44:web\n' >corpus/passwd/two
printf 'usage_usec 15\nuser_usec 8\nnr_periods 0\n' >corpus/cgroup_files/flat
printf '8:0 rbytes=4096 wbytes=0 rios=1 wios=0\n8:16 rbytes=1\n' >corpus/cgroup_files/nested
printf 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n' >corpus/cgroup_files/pressure
printf '0-3,7\n' >corpus/cgroup_files/list
printf 'max\n' >corpus/cgroup_files/max
printf 'system.slice:runc:web' >corpus/dbus/path
printf "['a.service', 'b.service']" >corpus/dbus/texts
printf 'uint64 123000000' >corpus/dbus/number
# A reply with one object path, and JobRemoved with its four values.
printf 'l\\2\\1\\1\\10\\0\\0\\0\\1\\0\\0\\0\\17\\0\\0\\0\\5\\1u\\0\\7\\0\\0\\0\\10\\1g\\0\\1o\\0\\0\\3\\0\\0\\0/jo\\0' >corpus/dbus/reply
cat >corpus/seccomp_json/profile <<'JSON'
{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
 "syscalls":[{"names":["read","write","exit_group"],"action":"SCMP_ACT_ALLOW"},
  {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]},
  {"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}
JSON
mkdir -p corpus/namespaces
printf 'net:[4026531840]' >corpus/namespaces/id
printf 'uts:box' >corpus/namespaces/name
printf '0:100000:65536\n1000,0,1\n' >corpus/namespaces/maps
printf '90 30 0:4 net:[4026532200] /run/netns/blue rw shared:5 - nsfs nsfs rw\n' >corpus/namespaces/mountinfo
printf '0::/system.slice/docker-0123456789abcdef.scope\n' >corpus/namespaces/container
printf 'memory.max=256M cpu.max=20ms/100ms io.max=8:0:rbps=1M,wiops=5 devices=-all,+c:1:*:r net_cls.classid=10:1' \
    >corpus/namespaces/words
# A query for `web`, with EDNS.
mkdir -p corpus/dns
printf '\0\7\1\0\0\1\0\0\0\0\0\1\3web\0\0\1\0\1\0\0\51\4\320\0\0\0\0\0\0' >corpus/dns/query
printf 'network n br0 open\ngateways 10.0.0.1\nsubnets 10.0.0.0/24\nentry c\nnames web\naddresses 10.0.0.2\n' >corpus/dns/table
mkdir -p corpus/reference corpus/www_authenticate corpus/registries_conf
printf 'registry.example.org:5000/team/app:1.2' >corpus/reference/full
printf 'debian:bookworm' >corpus/reference/short
printf 'Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:a/b:pull", Basic realm="x"' \
    >corpus/www_authenticate/both
printf '[[registry]]\nlocation = "a.b:5000"\n[[registry.mirror]]\nlocation = "c.d/e"\n[aliases]\n"x" = "a.b/x"\n' >corpus/registries_conf/mirror
