//! `holm network` and containers on networks, as people use them: on hosts that are network and mount namespaces of their own, with somebody
//! outside.

mod host;

use expect_test::{Expect, expect};

/// The last line of a page; $0 and $1 are host and port.
const WORDS: &str = r#"
FETCH='printf "GET / HTTP/1.0\r\n\r\n" | busybox nc -w 3 $0 $1 | tail -n 1 | grep .'
fetch() { sh -c "$FETCH" "$@"; }
"#;

fn check(test: &str, script: &str, expected: &Expect) {
    host::Host { programs: &[], words: WORDS }.check(test, "web", script, expected);
}

#[test]
fn a_container_has_a_network_without_being_asked() {
    check(
        "a_container_has_a_network",
        r#"
        echo hello >index.html
        outside busybox httpd -f -p 80 &
        run --name "$NAME" --hostname web.example -- sh -c '
            ip -o -4 addr show dev eth0 | tr -s " " | cut -d" " -f4
            ip route | sed "s/ *$//"
            tail -n 1 /etc/hosts; cat /etc/resolv.conf
            cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6'
        run -- sh -c "$FETCH" 192.0.2.9 80
        holm network list | tr -s ' ' | cut -d' ' -f1,3-
        links
        ls /run/holm/network/containers
        "#,
        &expect![[r#"
            10.224.0.2/22
            default via 10.224.0.1 dev eth0
            10.224.0.0/22 dev eth0 proto kernel scope link src 10.224.0.2
            10.224.0.2	web.example web
            search example.com
            nameserver 192.0.2.9
            1
            hello
            NAME DRIVER INTERFACE CONTAINERS SUBNETS
            bridge bridge holm0 0 10.224.0.0/22
            lo
            eth0
            holm0
            holm-gate-in
            holm-gate
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn published_ports_are_reached_and_gone_with_the_container() {
    check(
        "published_ports",
        r#"
        mkdir www; echo hello >www/index.html
        "$HOLM" run --rootfs / --name "$NAME" -p 8080:80 -p 127.0.0.1:9090:80 -v "$PWD/www:/www" -- busybox httpd -f -p 80 -h /www &
        holm=$!
        until_it outside sh -c "$FETCH" 192.0.2.1 8080
        outside sh -c "$FETCH" 192.0.2.1 8080
        fetch 127.0.0.1 8080
        fetch 127.0.0.1 9090
        outside sh -c "$FETCH" 192.0.2.1 9090 2>/dev/null || echo shut
        run -- sh -c "$FETCH" 192.0.2.1 8080
        run --network "container:$NAME" -- sh -c "$FETCH" 127.0.0.1 80
        run -p 8080:80 -- true || true
        holm network inspect bridge | jq -c '.[0].containers[] | [.name, .addresses, .ports, .running]'
        kill $holm; wait $holm || true
        fetch 127.0.0.1 8080 2>/dev/null || echo gone
        holm network prune --check && echo clean
        "#,
        &expect![[r#"
            hello
            hello
            hello
            shut
            hello
            hello
            ["web",["10.224.0.2"],["*:8080 -> 80/tcp","127.0.0.1:9090 -> 80/tcp"],true]
            gone
            clean
            holm: eth0 forwards IPv4 packets of containers now, and no others
            error: port 8080 of the host: container web has it
              hint:  choose another port, or leave the host's port out to have a free one chosen
        "#]],
    );
}

#[test]
fn what_a_killed_holm_leaves_is_reported_and_mended() {
    check(
        "what_a_killed_holm_leaves",
        r#"
        "$HOLM" run --rootfs / --name "$NAME" -p 8080:80 -- sleep 60 & holm=$!
        until_it sh -c 'ip link | grep -q hv'
        until_it sh -c 'ls /run/holm/network/containers | grep -q .'
        sleep 0.3
        kill -9 $holm; wait $holm 2>/dev/null || true
        sleep 0.3
        holm network prune --check | sed -E "s/[0-9a-f]{64}/ID/"; holm network prune --check >/dev/null || echo "status $?"
        holm network prune --check --mend | sed -E "s/[0-9a-f]{64}/ID/"
        holm network prune --check && echo clean
        nft list map ip holm ports 2>/dev/null | grep -c 8080 || true
        links
        # And by the next one of its name and port.
        "$HOLM" run --rootfs / --name "$NAME" -p 8080:80 -- sleep 60 & holm=$!
        until_it sh -c 'ls /run/holm/network/containers | grep -q .'
        sleep 0.3
        kill -9 $holm; wait $holm 2>/dev/null || true
        run --name "$NAME" -p 8080:80 -- echo again 2>/dev/null
        holm network prune
        links
        "#,
        &expect![[r#"
            container ID: its network, though nothing keeps it any more
            status 1
            container ID: its network, though nothing keeps it any more
            clean
            0
            lo
            eth0
            holm0
            holm-gate-in
            holm-gate
            again
            lo
            eth0
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn several_at_once_have_an_address_each() {
    check(
        "several_at_once",
        r#"
        pids=
        for n in 1 2 3 4 5 6 7 8; do
            run -p 80 -- sh -c 'ip -o -4 addr show dev eth0 | tr -s " " | cut -d" " -f4; sleep 1' >out.$n & pids="$pids $!"
        done
        wait $pids
        cat out.* | sort -u | wc -l
        holm network prune --check && echo clean
        "#,
        &expect![[r#"
            8
            clean
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn networks_are_made_listed_joined_and_removed() {
    check(
        "networks_are_made",
        r#"
        holm network create blue --subnet 10.9.0.0/24 --label a=b
        holm network create --internal --ipv6 --subnet 10.8.0.0/24 --subnet fd09::/64 back
        holm network create blue --ignore
        holm network list -q
        holm network list | tr -s ' ' | cut -d' ' -f1,3-
        holm network inspect blue | jq -c '.[0] | [.name, .driver, .network_interface, .subnets, .internal, .dns_enabled, .labels]'
        run --name "$NAME" --network blue:ip=10.9.0.77,alias=db --network back -- sh -c '
            ip -o -4 addr | tr -s " " | cut -d" " -f2,4; ip -o -6 addr show scope global | tr -s " " | cut -d" " -f2,4; sleep 3' & holm=$!
        until_it sh -c '"$HOLM" network inspect blue | jq -e ".[0].containers[]" '
        sleep 0.5
        holm network create green --subnet 10.7.0.0/24
        holm network connect green "$NAME"
        holm network inspect green | jq -c '.[0].containers[] | [.name, .interface, .addresses]'
        holm network rm blue || true
        holm network disconnect green "$NAME"
        holm network rm green
        wait $holm
        holm network rm blue back
        holm network list -q
        links
        "#,
        &expect![[r#"
            blue
            back
            blue
            back
            blue
            NAME DRIVER INTERFACE CONTAINERS SUBNETS
            back bridge holm1 0 10.8.0.0/24,fd09::/64 internal,dns
            blue bridge holm0 0 10.9.0.0/24 dns
            ["blue","bridge","holm0",[{"gateway":"10.9.0.1","subnet":"10.9.0.0/24"}],false,true,{"a":"b"}]
            lo 127.0.0.1/8
            eth0 10.9.0.77/24
            eth1 10.8.0.2/24
            eth1 fd09::2/64
            green
            eth2 10.7.0.2
            ["web","eth2",["10.7.0.2"]]
            green
            blue
            back
            lo
            eth0
            holm: eth0 forwards IPv4 packets of containers now, and no others
            holm: eth0 forwards IPv6 packets of containers now, and no others
            error: network blue: containers are in it: web
              hint:  stop them, or take them out with `holm network disconnect`; --force does the latter
        "#]],
    );
}

#[test]
fn what_cannot_be_had_is_one_line_and_changes_nothing() {
    check(
        "what_cannot_be_had",
        r#"
        holm network create blue --subnet 10.9.0.0/24 >/dev/null
        no() { "$@" 2>&1 | head -n 1; }
        no holm network create blue
        no holm network create a/b
        no holm network create none
        no holm network create red --driver ipvlan
        no holm network create red --subnet 10.9.0.128/25
        no holm network create red --subnet 192.0.2.0/25
        no holm network create red --subnet 10.9.1.1/24
        no holm network create red --subnet 10.5.0.0/24 --gateway 10.6.0.1
        no holm network create red --mtu huge
        no holm network rm green
        no holm network inspect ../etc
        no holm network connect blue nobody
        no run --network green -- true
        no run --network blue:ip=10.8.0.1 -- true
        no run --network blue --ip 10.9.0.1 -- true
        no run --network none -p 80:80 -- true
        no run --network host -p 80:80 -- true
        no run --network blue --network none -- true
        no run -p 80:80/icmp -- true
        no run --mac-address 01:00:00:00:00:01 -- true
        no run --network container:nobody -- true
        no run --add-host x -- true
        busybox nc -l -p 7000 & nc=$!
        sleep 0.2
        no run -p 7000:80 -- true
        kill $nc
        holm network list -q
        links
        ls /run/holm/network/containers
        "#,
        &expect![[r#"
            error: network blue: there is a network of this name
            error: network `a/b`: a name begins with a letter or digit and has only letters, digits, `_`, `.` and `-`
            error: network `none`: the word means something else after --network
            error: --driver `ipvlan`: there is no such driver
            error: subnet 10.9.0.128/25: it overlaps with that of the network blue
            error: subnet 192.0.2.0/25: it overlaps with the host's route to 192.0.2.0/24 through eth0
            error: --subnet `10.9.1.1/24`: the address has bits behind the prefix; the subnet is 10.9.1.0/24
            error: gateway 10.6.0.1: it is in none of the network's subnets, or a subnet has two
            error: --mtu `huge`: it is no number of bytes
            error: network green: there is no such network
            error: network ../etc: there is no such network
            error: container nobody: no container of this name is on a network of holm's making
            error: network green: there is no such network
            error: --ip 10.8.0.1: it is not in the network's subnet 10.9.0.0/24
            error: --ip 10.9.0.1: it is the network's gateway
            error: `--publish` needs a network of holm's making, and `--network none` is none
            error: `--publish` needs a network of holm's making, and `--network host` is none
            error: `--network NETWORK` and `--network none` contradict each other
            error: --publish `80:80/icmp`: `icmp` is no protocol; there are tcp, udp and sctp
            error: --mac-address `01:00:00:00:00:01`: the address is one of a group (its first byte is odd), not of one link
            error: container nobody: no container of this name is on a network of holm's making
            error: --add-host `x`: the address is missing
            error: port 7000 of the host: a program of the host has it
            blue
            bridge
            lo
            eth0
        "#]],
    );
}

#[test]
fn names_servers_and_hosts_are_written_as_asked() {
    check(
        "names_servers_and_hosts",
        r#"
        run --dns 9.9.9.9 --dns-search example.org --dns-option ndots:2 --add-host db:10.0.0.5 --add-host host:host-gateway -- \
            sh -c 'cat /etc/resolv.conf; tail -n 2 /etc/hosts'
        run --network none --add-host db:10.0.0.5 -- tail -n 1 /etc/hosts
        run --network host --dns 9.9.9.9 -- cat /etc/resolv.conf
        "#,
        &expect![[r#"
            nameserver 9.9.9.9
            search example.org
            options ndots:2
            10.0.0.5	db
            10.224.0.1	host
            10.0.0.5	db
            nameserver 9.9.9.9
            search example.com
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn a_limit_that_kills_the_launch_is_told_as_that() {
    check(
        "a_limit_that_kills",
        r#"
        run --memory 1k -- true 2>&1 | grep -cE 'it may have been killed, as by a memory limit|it needs more memory than its limit'
        ls /run/holm/network/containers
        "#,
        &expect![[r#"
            1
        "#]],
    );
}

/// Networks are the host's: who keeps containers elsewhere has the same ones, and gets no address and no port that somebody has.
#[test]
fn containers_kept_in_two_places_share_addresses_ports_and_names() {
    check(
        "containers_kept_in_two_places",
        r#"
        holm network create blue --subnet 10.9.0.0/24 >/dev/null
        one() { HOLM_ROOT=/run/one/lib HOLM_RUNROOT=/run/one/run "$@"; }
        two() { HOLM_ROOT=/run/two/lib HOLM_RUNROOT=/run/two/run "$@"; }
        run --network blue -- true
        pids=
        for n in 1 2 3 4; do
            for place in one two; do
                $place "$HOLM" run --rootfs / --network blue -p 80 -- \
                    sh -c 'ip -o -4 addr show dev eth0 | tr -s " " | cut -d" " -f4; sleep 1' >out.$place.$n & pids="$pids $!"
            done
        done
        wait $pids
        cat out.* | sort -u | wc -l
        mkdir www; echo hello >www/index.html
        HOLM_ROOT=/run/one/lib HOLM_RUNROOT=/run/one/run "$HOLM" run --rootfs / --name "$NAME" --network blue -p 8080:80 \
            -v "$PWD/www:/www" -- busybox httpd -f -p 80 -h /www & holm=$!
        until_it fetch 192.0.2.1 8080
        two run --network blue -p 8080:80 -- true 2>&1 | head -n 1
        two run --network blue -- sh -c "$FETCH" "$NAME" 80
        holm network inspect blue | jq -c '.[0].containers[] | [.name, .ports]'
        two "$HOLM" network list -q
        two "$HOLM" network rm blue 2>&1 | head -n 1
        kill $holm; wait $holm || true
        holm network prune --check && echo clean
        # In another network namespace there are other bridges, and so other leases.
        address='ip -o -4 addr show dev eth0 | tr -s " " | cut -d" " -f4'
        inside() { holm ns enter --net=outside -- "$@"; }
        inside "$HOLM" run --rootfs / --network blue -p 8080:80 -- sh -c "$address" 2>/dev/null
        ls -d /run/holm/network* | sed 's/[0-9]\{6,\}/N/'
        inside "$HOLM" network prune --check && echo clean
        # What keeps rules and names there ends a moment after the container.
        ip netns del outside
        until_it sh -c '"$HOLM" network prune --check | grep "is no more"'
        until_it sh -c '! ip link show eth0'
        holm network prune --check | sed 's/[0-9]\{6,\}/N/'
        holm network prune --check --mend >/dev/null
        ls -d /run/holm/network*
        "#,
        &expect![[r#"
            8
            error: port 8080 of the host: container web has it
            hello
            ["web",["*:8080 -> 80/tcp"]]
            blue
            error: network blue: containers are in it: web
            clean
            10.9.0.2/24
            /run/holm/network
            /run/holm/network-N
            clean
            an element in the set opened of the rules that should not be there
            /run/holm/network-N, of a network namespace that is no more
            /run/holm/network
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn a_network_is_shared_with_any_container_that_runs() {
    check(
        "a_network_is_shared",
        r#"
        mkdir www; echo hello >www/index.html
        "$HOLM" run --rootfs / --network none --name "$NAME" -v "$PWD/www:/www" -- busybox httpd -f -p 80 -h /www & holm=$!
        until_it run --network "container:$NAME" -- sh -c "$FETCH" 127.0.0.1 80
        run --network "container:$NAME" -- sh -c "$FETCH" 127.0.0.1 80
        run --network "container:$NAME" -- sh -c 'ip -o link | wc -l'
        kill $holm; wait $holm || true
        run --network "container:$NAME" -- true 2>&1 | head -n 1
        address='ip -o -4 addr show dev eth0 | tr -s " " | cut -d" " -f4'
        run --network ns:/run/netns/outside -- sh -c "$address"
        run --network host -- sh -c "$address"
        run --network none -- sh -c 'ip -o link | wc -l'
        run --network ns:/run/netns/nobody -- true 2>&1 | head -n 1
        run --network ns:/etc/passwd -- true 2>&1 | head -n 1
        run --network ns:/proc/self/ns/uts -- true 2>&1 | head -n 1
        "#,
        &expect![[r#"
            hello
            1
            error: container web: no container of this name is on a network of holm's making
            192.0.2.9/24
            192.0.2.1/24
            1
            error: --network ns:/run/netns/nobody: no such file or directory (ENOENT)
            error: --network ns:/etc/passwd: it is no network namespace
            error: --network ns:/proc/self/ns/uts: it is no network namespace
        "#]],
    );
}

#[test]
fn addresses_hardware_addresses_and_packet_lengths_are_as_asked() {
    check(
        "addresses_hardware_addresses",
        r#"
        holm network create six --subnet 10.9.0.0/24 --subnet fd09::/64 --mtu 1400 >/dev/null
        run --network six --ip 10.9.0.50 --ip6 fd09::50 --mac-address 02:00:00:00:00:77 -- sh -c '
            ip -o addr show dev eth0 scope global | tr -s " " | cut -d" " -f3,4
            cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu
            busybox ping -q -c 1 -s 1372 10.9.0.1 | grep -c "1 packets received"
            busybox ping6 -q -c 1 fd09::1 | grep -c "1 packets received"'
        no() { "$@" 2>&1 | head -n 1; }
        no run --network six --ip6 fd08::1 -- true
        no run --network six --ip6 fd09::1 -- true
        no run --ip6 fd09::9 -- true
        no run --ip6 10.9.0.9 -- true
        no run --ip 1.2.3 -- true
        no run --mac-address 02:00 -- true
        no holm network create red --mtu 20
        no holm network create red --mtu 70000
        no holm network create red --subnet fd09:0:0:0::/48
        no holm network create red --ip-range 10.9.0.0/30 --subnet 10.5.0.0/24
        no holm network create red -d macvlan --interface-name nothing
        "#,
        &expect![[r#"
            inet 10.9.0.50/24
            inet6 fd09::50/64
            02:00:00:00:00:77
            1400
            1
            1
            error: --ip6 fd08::1: it is not in the network's subnet fd09::/64
            error: --ip6 fd09::1: it is the network's gateway
            error: --ip6 fd09::9: the network bridge has no subnet of this family
            error: --ip6 `10.9.0.9`: is no address of IPv6
            error: --ip `1.2.3`: is no address of IPv4
            error: --mac-address `02:00`: a hardware address is six pairs of hexadecimal digits with colons between
            error: mtu 20: packets are 68 to 65535 bytes long here
            error: mtu 70000: packets are 68 to 65535 bytes long here
            error: subnet fd09::/48: it overlaps with that of the network six
            error: ip range 10.9.0.0/30: it is no part of the subnet 10.5.0.0/24
            error: network red: a macvlan network needs the subnet of the segment that it is on
            holm: eth0 forwards IPv4 packets of containers now, and no others
            holm: eth0 forwards IPv6 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn exposed_ports_ranges_and_the_host_are_reached() {
    check(
        "exposed_ports_ranges",
        r#"
        mkdir www; echo hello >www/index.html
        serve='busybox httpd -p 80 -h /www; busybox httpd -p 81 -h /www; busybox httpd -f -p 82 -h /www'
        "$HOLM" run --rootfs / --name "$NAME" -P --expose 80-81 --expose 82/tcp -p 7000-7001:81-82 -v "$PWD/www:/www" -- sh -c "$serve" & holm=$!
        until_it fetch 192.0.2.1 7001
        outside sh -c "$FETCH" 192.0.2.1 7000
        outside sh -c "$FETCH" 192.0.2.1 7001
        holm network inspect bridge | jq -r '.[0].containers[].ports[]' | sort >ports
        sed 's/^\*:[0-9]\{5\} /*:PORT /' ports | sort -u
        # Each exposed port has one of the host's own.
        sed -n 's/^\*:\([0-9]\{5\}\) .*/\1/p' ports | while read port; do outside sh -c "$FETCH" 192.0.2.1 "$port"; done
        run -p 7001-7002:1-2 -- true 2>&1 | head -n 1
        run -p 7003-7004:1-3 -- true 2>&1 | head -n 1
        busybox httpd -p 10.224.0.1:99 -h www
        run --add-host gw:host-gateway -- sh -c "$FETCH" gw 99
        kill $holm; wait $holm || true
        "#,
        &expect![[r#"
            hello
            hello
            *:7000 -> 81/tcp
            *:7001 -> 82/tcp
            *:PORT -> 80/tcp
            hello
            error: port 7001 of the host: container web has it
            error: --publish `7003-7004:1-3`: 2 ports of the host and 3 of the container do not fit together
            hello
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn what_happens_to_networks_and_volumes_is_told_among_the_rest() {
    check(
        "what_happens_is_told",
        r#"
        told() { holm events --no-stream "$@" --format json | jq -r '[.Type, .Action, .Actor.Attributes.name // .Actor.ID,
            .Actor.Attributes.destination, .Actor.Attributes["read/write"], .Actor.Attributes.driver // .Actor.Attributes.type] | map(strings) | join(" ")'; }
        holm network create blue --subnet 10.9.0.0/24 >/dev/null
        holm network create green --subnet 10.7.0.0/24 >/dev/null
        holm volume create kept >/dev/null
        run --name "$NAME" --network blue -v kept:/data:ro -v named:/named -- true
        echo "--- in the foreground"; told
        holm run -d --rm=false --rootfs / --name "$NAME" --network blue -v kept:/data -- sleep 1000 >/dev/null
        holm network connect green "$NAME" >/dev/null
        before=$(told | wc -l)
        holm stop "$NAME" >/dev/null
        until_it sh -c '"$HOLM" events --no-stream | grep "volume unmount.*'"$(holm inspect --format '{{.Id}}' "$NAME")"'"'
        holm rm "$NAME" >/dev/null
        echo "--- in the background"; told | tail -n "+$((before - 4))" | sort
        holm network rm green >/dev/null; holm volume rm kept named >/dev/null
        echo "--- one by one"
        told --filter volume=kept --filter event=mount; told --filter type=network --filter network=green; told --filter volume=named --filter event=destroy
        told --filter container="$NAME" --filter event=start | wc -l
        holm network disconnect blue nobody 2>/dev/null || told --filter network=blue --filter event=disconnect | wc -l
        "#,
        &expect![[r#"
            --- in the foreground
            network create blue bridge
            network create green bridge
            volume create kept local
            volume create named local
            container create web
            network connect blue bridge
            volume mount kept /data false local
            volume mount named /named true local
            container start web
            container die web
            network disconnect blue bridge
            volume unmount kept local
            volume unmount named local
            container destroy web
            --- in the background
            container create web
            container destroy web
            container die web
            container start web
            container stop web
            network connect blue bridge
            network connect green bridge
            network disconnect blue bridge
            network disconnect green bridge
            volume mount kept /data true local
            volume unmount kept local
            --- one by one
            volume mount kept /data false local
            volume mount kept /data true local
            network create green bridge
            network connect green bridge
            network disconnect green bridge
            network destroy green bridge
            volume destroy named local
            2
            2
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}
