//! Names, limits, counters and pasta, as people meet them: `holm run` on hosts that are network, mount and pid namespaces of their own.

use std::process::{Command, Output};

use expect_test::{Expect, expect};

/// What every host begins with: a cable to `outside`, 192.0.2.9, where a name server answers every question with 198.51.100.7.
const HOST: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /dev/net
ip link set lo up
ip netns add outside
ip link add eth0 type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev eth0
ip link set eth0 up
ip -n outside addr add 192.0.2.9/24 dev eth0
ip -n outside link set eth0 up
ip -n outside link set lo up
ip route add default via 192.0.2.9
holm() { "$HOLM" "$@"; }
run() { "$HOLM" run --rootfs / "$@"; }
# Waits until the command succeeds.
until_it() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 200 ] || { echo "never: $*" >&2; return 1; }; sleep 0.05; done; }
outside() { ip netns exec outside "$@"; }
fetch() { bash -c 'exec 3<>"/dev/tcp/$0/$1"; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3' "$@"; }
gone() { [ "$(servers)" = 0 ]; }
servers() { grep -ls '^holm-dns' /proc/[0-9]*/comm | wc -l; }
"#;

/// Runs a script as root of a host of its own. None where that cannot be had, which is said.
fn host(test: &str, programs: &[&str], script: &str) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: needs root");
        return None;
    }
    let able = std::thread::spawn(|| {
        sys::ns::make(sys::clone::CLONE_NEWNET).map_err(|error| error.to_string())?;
        network::able().map_err(|error| report::one_line(&error))
    });
    if let Err(why) = able.join().unwrap() {
        eprintln!("SKIPPED {test}: {why}");
        return None;
    }
    for program in ["unshare", "ip", "busybox", "bash", "jq", "getent"].iter().chain(programs) {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|place| place.join(program).exists());
        if !found {
            eprintln!("SKIPPED {test}: there is no {program}");
            return None;
        }
    }
    // Where ordinary users can go, too.
    let directory = std::env::temp_dir().join(format!("holm-names-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_holm"), directory.join("holm")).unwrap();
    let output = Command::new("timeout")
        .args([
            "90",
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .args(["--mount-proc", "sh", "-c"])
        .arg(format!("{HOST}\ncd {}\n{script}", directory.display()))
        .env("HOLM", directory.join("holm"))
        .env("DB", db(test))
        .env_remove("HOLM_NETWORK")
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&directory);
    Some(output)
}

/// A container's name: cgroups are called by it, and belong to the whole machine.
fn db(test: &str) -> String {
    format!("db-{}-{test}", std::process::id())
}

fn check(test: &str, programs: &[&str], script: &str, expected: &Expect) {
    let Some(output) = host(test, programs, script) else { return };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text = text.replace(&db(test), "db");
    if !output.status.success() {
        text.push_str(&format!("[{}]\n", output.status));
    }
    expected.assert_eq(&text);
}

#[test]
fn containers_find_each_other_by_name_and_alias_with_the_hosts_own_programs() {
    check(
        "names",
        &[],
        r#"
        printf 'search example.com\nnameserver 192.0.2.9\n' >"$PWD/resolv.conf"
        mount --bind "$PWD/resolv.conf" "$(readlink -f /etc/resolv.conf)"
        holm network create --subnet 10.224.7.0/24 blue >/dev/null
        "$HOLM" run --rootfs / --name "$DB" --network blue:alias=store -- sleep 60 & holm=$!
        until_it sh -c 'ls /run/holm/network/names/blue/*'
        run --network blue -- sh -c '
            cat /etc/resolv.conf
            for name in store.holm.internal store "$0"; do getent ahostsv4 "$name" | sed -n "1s/ .*//p"; done
            getent hosts 10.224.7.2 | tr -s " "
            getent ahostsv4 nobody || echo nobody' "$DB"
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
        "$HOLM" run --rootfs / --name "$DB" --net-rate-up 10m --net-rate-down 16m -- sh -c 'busybox wget -q -O - http://192.0.2.9/big | wc -c; sleep 60' & holm=$!
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
            "$HOLM" run --rootfs / --name "$DB" -p 8080:80 -v "$PWD/www:/www:ro" -- busybox httpd -f -p 80 -h /www & holm=$!
        until_it fetch 127.0.0.1 8080
        fetch 127.0.0.1 8080
        outside bash -c 'exec 3<>/dev/tcp/192.0.2.1/8080; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
        outside busybox httpd -p 81 -h "$PWD/www"
        user "$HOLM" run --rootfs / -- bash -c 'exec 3<>/dev/tcp/192.0.2.9/81; printf "GET /index.html HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
        kill $holm; wait $holm || true
        until_it sh -c '! grep -qs ^pasta /proc/[0-9]*/comm'
        ls /run/user/1000/holm/pasta
        rm /dev/net/tun
        user "$HOLM" run --rootfs / --network pasta -- true || true
        user "$HOLM" run --rootfs / -- sh -c 'ip -o link | wc -l'
        "#,
        &expect![[r#"
            hello
            hello
            hello
            1
            error: --network pasta: pasta needs /dev/net/tun, which is not there
              hint:  load the module tun, or use --network none
        "#]],
    );
}
