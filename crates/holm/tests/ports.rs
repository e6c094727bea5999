//! Ports of containers, as people look at them and change them: on a host that is a network and a mount namespace of its own, with a
//! /run and a /var/lib of its own. A pid namespace takes every process of it with it.

use std::process::Command;

use expect_test::{Expect, expect};

const HOST: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
ip link set lo up
ip link add eth0 type dummy
ip addr add 192.0.2.1/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.9
holm() { "$HOLM" "$@"; }
trap '"$HOLM" rm --force --all >/dev/null 2>&1 || :' EXIT
# Waits until the command succeeds.
until_it() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 600 ] || { echo "never: $*" >&2; return 1; }; sleep 0.05; done; }
fetch() { printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 3 "$1" "$2" | tail -n 1 | grep .; }
"#;

fn check(test: &str, script: &str, expected: &Expect) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: needs root");
        return;
    }
    let able = std::thread::spawn(|| {
        sys::ns::make(sys::clone::CLONE_NEWNET).map_err(|error| error.to_string())?;
        network::able().map_err(|error| report::one_line(&error))
    });
    if let Err(why) = able.join().unwrap() {
        eprintln!("SKIPPED {test}: {why}");
        return;
    }
    for program in ["unshare", "ip", "busybox"] {
        let there = Command::new(program).arg("--version").output();
        if there.is_err() {
            eprintln!("SKIPPED {test}: needs {program}");
            return;
        }
    }
    let web = format!("web-{}-{test}", std::process::id());
    let output = Command::new("timeout")
        .args(["120", "unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "sh", "-c"])
        .arg(format!("{HOST}\n{script}"))
        .env("HOLM", env!("CARGO_BIN_EXE_holm"))
        .env("WEB", &web)
        .env_remove("HOLM_NETWORK")
        .env_remove("HOLM_ROOT")
        .env_remove("HOLM_RUNROOT")
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text = text.replace(&web, "web");
    if !output.status.success() {
        text.push_str(&format!("[{}]\n", output.status));
    }
    expected.assert_eq(&text);
}

#[test]
fn published_ports_are_shown_and_can_be_changed_while_the_container_rests() {
    check(
        "published_ports_are_shown",
        r#"
        mkdir /run/www; echo hello >/run/www/index.html
        holm run -d --rootfs / --name "$WEB" -v /run/www:/www -p 8080:80 -p 127.0.0.1:9000-9002:9000-9002/udp --expose 443 -- \
            busybox httpd -f -p 80 -h /www >/dev/null
        until_it fetch 192.0.2.1 8080
        holm ps --format '{{.Names}} {{.Ports}}'
        holm port "$WEB"
        holm port "$WEB" 80; holm port "$WEB" 80/tcp; holm port "$WEB" 9001/udp
        holm port "$WEB" 80/udp || echo "[$?]"
        holm port "$WEB" x || echo "[$?]"
        holm inspect --format '{{json (index .NetworkSettings.Ports "80/tcp")}} {{json (index .NetworkSettings.Ports "443/tcp")}}' "$WEB"
        holm inspect --format '{{json (index .HostConfig.PortBindings "9002/udp")}} {{.NetworkSettings.IPAddress}} {{.NetworkSettings.Networks.bridge.Gateway}}' "$WEB"
        for filter in publish=8080 publish=80 publish=9000-9001/udp expose=443 expose=80/tcp expose=444; do
            echo "$filter: $(holm ps --format '{{.Names}}' --filter $filter)"
        done
        echo "--- it runs"
        holm update --publish 8081:80 "$WEB" || echo "[$?]"
        echo "--- it rests"
        holm exec "$WEB" sh -c 'echo kept >/note'
        holm stop "$WEB"
        holm ps -a --format '{{.Names}} <{{.Ports}}>'
        holm port "$WEB"
        holm port "$WEB" 80 || echo "[$?]"
        holm update --unpublish 9000-9002/udp --publish 8081:80 --unpublish 8080:80 "$WEB"
        holm update --unpublish 1234 "$WEB" || echo "[$?]"
        holm start "$WEB"
        until_it fetch 192.0.2.1 8081
        holm port "$WEB"
        fetch 192.0.2.1 8081
        fetch 192.0.2.1 8080 || echo closed
        holm exec "$WEB" cat /note
        holm stop "$WEB"; holm update --unpublish all "$WEB"; holm start "$WEB"; holm port "$WEB"
        holm ps --format '{{.Ports}}'
        holm rm -f "$WEB"
        "#,
        &expect![[r#""#]],
    );
}

#[test]
fn ports_without_a_network_are_refused_when_they_are_changed() {
    check(
        "ports_without_a_network",
        r#"
        holm create --rootfs / --network none --name "$WEB" -- true >/dev/null
        holm update --publish 8080:80 "$WEB" || echo "[$?]"
        holm inspect --format '{{json .HostConfig.PortBindings}}' "$WEB"
        holm rm "$WEB"
        "#,
        &expect![[r#""#]],
    );
}
