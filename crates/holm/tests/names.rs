//! Names, limits, counters and pasta, as people meet them: `holm run` on hosts that are network, mount and pid namespaces of their own.

mod host;

use expect_test::{Expect, expect};

const WORDS: &str = r#"
mount -t tmpfs tmpfs /dev/net
fetch() { bash -c 'exec 3<>"/dev/tcp/$0/$1"; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3' "$@"; }
gone() { [ "$(servers)" = 0 ]; }
servers() { grep -ls '^holm-dns' /proc/[0-9]*/comm | wc -l; }
"#;

fn check(test: &str, programs: &'static [&'static str], script: &str, expected: &Expect) {
    host::Host { programs, words: WORDS }.check(test, "db", script, expected);
}

#[test]
fn containers_find_each_other_by_name_and_alias_with_the_hosts_own_programs() {
    check(
        "names",
        &[],
        r#"
        printf 'search example.com\nnameserver 192.0.2.9\n' >resolv.conf
        holm network create --subnet 10.224.7.0/24 blue >/dev/null
        "$HOLM" run --rootfs / --name "$NAME" --network blue:alias=store -- sleep 60 & holm=$!
        until_it sh -c 'ls /run/holm/network/names/blue/*'
        run --network blue -- sh -c '
            cat /etc/resolv.conf
            for name in store.holm.internal store "$0"; do getent ahostsv4 "$name" | sed -n "1s/ .*//p"; done
            getent hosts 10.224.7.2 | tr -s " "
            getent ahostsv4 nobody || echo nobody' "$NAME"
        servers
        kill $holm; wait $holm || true
        until_it gone
        cat resolv.conf
        holm network prune --check && echo clean
        "#,
        &expect![[r#"
            nameserver 10.224.7.1
            search holm.internal example.com
            10.224.7.2
            10.224.7.2
            10.224.7.2
            10.224.7.2 db.holm.internal
            nobody
            2
            search example.com
            nameserver 192.0.2.9
            clean
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}

#[test]
fn limits_and_counters_are_shown_and_gone_with_the_container() {
    check(
        "limits",
        &[],
        r#"
        dd if=/dev/zero of=big bs=1M count=2 2>/dev/null
        outside busybox httpd -p 80 -h "$PWD"
        "$HOLM" run --rootfs / --name "$NAME" --net-rate-up 10m --net-rate-down 16m -- sh -c 'busybox wget -q -O /dev/null http://192.0.2.9/big; sleep 60' & holm=$!
        until_it sh -c 'holm=$1; "$holm" network inspect bridge | jq -e ".[0].containers[].traffic.received.bytes > 2000000"' - "$HOLM"
        holm network inspect bridge | jq -c '.[0].containers[] | [.limited, .traffic.received.bytes < 3000000, .traffic.sent.packets > 1]'
        ip -o link show type ifb | wc -l
        kill $holm; wait $holm || true
        ip -o link show type ifb | wc -l
        run --net-rate-up 10x -- true || true
        run --network none --net-rate-up 10m -- true || true
        "#,
        &expect![[r#"
            [true,true,true]
            1
            0
            holm: eth0 forwards IPv4 packets of containers now, and no others
            error: --net-rate-up `10x`: a rate is a number of bits a second with an optional k, m, g or t for thousands and so on: `20m`, `20mbit`, `1.5g`
              hint:  expected bits a second, with k, m or g for thousands and so on, for example: --net-rate-up 20m
            error: `--net-rate-up` needs a network of holm's making, and `--network none` is none
              hint:  leave out one of them
        "#]],
    );
}

#[test]
fn pasta_connects_a_container_of_an_ordinary_user() {
    check(
        "pasta",
        &["pasta", "setpriv"],
        r#"
        mknod /dev/net/tun c 10 200; chmod 666 /dev/net/tun
        mkdir -p /run/user/1000; chown 1000:1000 /run/user/1000
        user() { setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/run/user/1000 "$@"; }
        mkdir www; echo hello >www/index.html; chmod -R a+rX .
        setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/run/user/1000 \
            "$HOLM" run --rootfs / --name "$NAME" -p 8080:80 -v "$PWD/www:/www:ro" -- busybox httpd -f -p 80 -h /www & holm=$!
        until_it fetch 127.0.0.1 8080
        fetch 127.0.0.1 8080
        outside bash -c 'exec 3<>/dev/tcp/192.0.2.1/8080; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
        outside busybox httpd -p 81 -h "$PWD/www"
        user "$HOLM" run --rootfs / -- bash -c 'exec 3<>/dev/tcp/192.0.2.9/81; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
        kill $holm; wait $holm || true
        until_it sh -c '! grep -qs ^pasta /proc/[0-9]*/comm'
        ls /run/user/1000/holm/pasta
        user "$HOLM" run --rootfs / --net-rate-up 1m -- true 2>&1 | head -n 1
        user "$HOLM" run --rootfs / --network blue -- true 2>&1 | head -n 1
        user "$HOLM" run --rootfs / -p 80 -- true 2>&1 | head -n 1
        HOLM_NETWORK=none run --ip 10.0.0.5 -- true 2>&1 | head -n 1
        rm /dev/net/tun
        user "$HOLM" run --rootfs / --network pasta -- true || true
        user "$HOLM" run --rootfs / -- sh -c 'ip -o link | wc -l'
        "#,
        &expect![[r#"
            hello
            hello
            hello
            error: --net-rate-up: it needs a network of holm's making, and the container gets `--network pasta`
            error: --network blue: only root makes links and rules of the host
            error: --publish: pasta takes no port of the host's choice
            error: --ip: it needs a network of holm's making, and the container gets `--network none`
            1
            error: --network pasta: pasta needs /dev/net/tun, which is not there
              hint:  load the module tun, or use --network none
        "#]],
    );
}
