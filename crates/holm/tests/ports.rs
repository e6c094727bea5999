//! Ports of containers, as people look at them and change them.

use expect_test::{Expect, expect};

mod host;

fn check(test: &str, script: &str, expected: &Expect) {
    let words = r#"fetch() { printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 3 "$1" "$2" | tail -n 1 | grep .; }
trap '"$HOLM" rm --force --all >/dev/null 2>&1 || :' EXIT"#;
    host::Host { programs: &[], words }.check(test, "web", script, expected);
}

#[test]
fn published_ports_are_shown_and_can_be_changed_while_the_container_rests() {
    check(
        "published_ports_are_shown",
        r#"
        mkdir /run/www; echo hello >/run/www/index.html
        holm run -d --rootfs / --name "$NAME" -v /run/www:/www -p 8080:80 -p 127.0.0.1:9000-9002:9000-9002/udp --expose 443 -- \
            busybox httpd -f -p 80 -h /www >/dev/null
        until_it fetch 192.0.2.1 8080
        holm ps --format '{{.Names}} {{.Ports}}'
        holm port "$NAME"
        holm port "$NAME" 80; holm port "$NAME" 80/tcp; holm port "$NAME" 9001/udp
        holm port "$NAME" 80/udp || echo "[$?]"
        holm port "$NAME" x || echo "[$?]"
        holm inspect --format '{{json (index .NetworkSettings.Ports "80/tcp")}} {{json (index .NetworkSettings.Ports "443/tcp")}}' "$NAME"
        holm inspect --format '{{json (index .HostConfig.PortBindings "9002/udp")}} {{.NetworkSettings.IPAddress}} {{.NetworkSettings.Networks.bridge.Gateway}}' "$NAME"
        for filter in publish=8080 publish=80 publish=9000-9001/udp expose=443 expose=80/tcp expose=444; do
            echo "$filter: $(holm ps --format '{{.Names}}' --filter $filter)"
        done
        echo "--- it runs"
        holm update --publish 8081:80 "$NAME" || echo "[$?]"
        echo "--- it rests"
        holm exec "$NAME" sh -c 'echo kept >/note'
        holm stop "$NAME"
        holm ps -a --format '{{.Names}} <{{.Ports}}>'
        holm port "$NAME"
        holm port "$NAME" 80 || echo "[$?]"
        holm update --unpublish 9000-9002/udp --publish 8081:80 --unpublish 8080:80 "$NAME"
        holm update --unpublish 1234 "$NAME" || echo "[$?]"
        holm start "$NAME"
        until_it fetch 192.0.2.1 8081
        holm port "$NAME"
        fetch 192.0.2.1 8081
        fetch 192.0.2.1 8080 || echo closed
        holm exec "$NAME" cat /note
        holm stop "$NAME"; holm update --unpublish all "$NAME"; holm start "$NAME"; holm port "$NAME"
        holm ps --format '{{.Ports}}'
        holm rm -f "$NAME"
        "#,
        &expect![[r#"
            web 0.0.0.0:8080->80/tcp, 443/tcp, 127.0.0.1:9000-9002->9000-9002/udp
            80/tcp -> 0.0.0.0:8080
            9000/udp -> 127.0.0.1:9000
            9001/udp -> 127.0.0.1:9001
            9002/udp -> 127.0.0.1:9002
            0.0.0.0:8080
            0.0.0.0:8080
            127.0.0.1:9001
            [125]
            [125]
            [{"HostIp":"0.0.0.0","HostPort":"8080"}] null
            [{"HostIp":"127.0.0.1","HostPort":"9002"}] 10.224.0.2 10.224.0.1
            publish=8080: web
            publish=80: 
            publish=9000-9001/udp: web
            expose=443: web
            expose=80/tcp: web
            expose=444: 
            --- it runs
            [125]
            --- it rests
            web
            web <>
            [125]
            web
            [125]
            web
            80/tcp -> 0.0.0.0:8081
            hello
            closed
            kept
            web
            web
            web
            443/tcp
            web
            holm: eth0 forwards IPv4 packets of containers now, and no others
            error: no port of the host leads to 80/udp of container `web`
              hint:  `holm port` without a port lists those that are published
            error: port `x`: `x` is no port; they go from 1 to 65535
              hint:  expected PORT[-LAST][/tcp|udp|sctp], for example: port 80
            error: cannot change the ports of container `web` while it runs
              hint:  stop it, change it, and start it: its files stay as they are
            error: no port of the host leads to 80/tcp of container `web`
              hint:  ports are published while the container runs: holm start
            error: container `web` has no published port 1234/tcp
              hint:  holm inspect tells what it has
            nc: can't connect to remote host (192.0.2.1): Connection refused
        "#]],
    );
}

#[test]
fn ports_without_a_network_are_refused_when_they_are_changed() {
    check(
        "ports_without_a_network",
        r#"
        holm create --rootfs / --network none --name "$NAME" -- true >/dev/null
        holm update --publish 8080:80 "$NAME" || echo "[$?]"
        holm inspect --format '{{json .HostConfig.PortBindings}}' "$NAME"
        holm rm "$NAME"
        "#,
        &expect![[r#"
            [125]
            {}
            web
            error: `--publish` needs a network of holm's making, and `--network none` is none
              hint:  leave out one of them
        "#]],
    );
}

/// Words for tests of containers whose monitor goes: its process number, and whether a program of the host could have port 8080.
const MONITORS: &str = r#"
monitor() { for p in /proc/[0-9]*; do tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q '^holm-monitor' && echo "${p#/proc/}"; done || :; }
nobody_watches() { [ -z "$(monitor)" ]; }
port() { timeout 0.2 busybox nc -l -p 8080 >/dev/null 2>&1 && s=0 || s=$?; [ $s = 124 ] && echo "port 8080: free" || echo "port 8080: taken"; }
mkdir /run/www; echo hello >/run/www/index.html
"#;

#[test]
fn a_second_monitor_and_the_next_boot_hold_published_ports_again() {
    check(
        "a_second_monitor_holds_ports",
        &(MONITORS.to_owned()
            + r#"
        port
        holm run -d --restart always --rootfs / --name "$NAME" -v /run/www:/www -p 8080:80 -- busybox httpd -f -p 80 -h /www >/dev/null
        until_it fetch 192.0.2.1 8080
        port
        kill -9 "$(monitor)"; until_it nobody_watches
        echo "--- without a monitor"
        port; fetch 192.0.2.1 8080
        holm network prune; fetch 192.0.2.1 8080
        holm system check
        echo "--- with another one"
        port; fetch 192.0.2.1 8080
        holm network create blue >/dev/null; holm network connect blue "$NAME"; holm network disconnect blue "$NAME"
        holm restart "$NAME"
        echo "--- restarted"
        until_it fetch 192.0.2.1 8080; port
        id=$(holm inspect --format '{{.Id}}' "$NAME")
        for p in /proc/[0-9]*; do
            n=${p#/proc/}
            if [ "$n" -gt 1 ] && tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -Eq '^holm-monitor|^busybox httpd|network-keeper|dns-server'; then
                kill -9 "$n" 2>/dev/null || :
            fi
        done
        until_it nobody_watches
        nft flush ruleset 2>/dev/null || :
        for link in $(links | grep '^holm'); do ip link del "$link" 2>/dev/null || :; done
        rm -rf /run/holm; find /sys/fs/cgroup -depth -type d -name "*$id*" -exec rmdir {} \; 2>/dev/null || :
        echo "--- after a boot"
        port
        holm system restore
        until_it fetch 192.0.2.1 8080; port; fetch 192.0.2.1 8080
        holm rm -f "$NAME"; port
        "#),
        &expect![[r#"
            port 8080: free
            port 8080: taken
            --- without a monitor
            port 8080: free
            hello
            hello
            web: it runs and has no monitor (it has a monitor again)
            --- with another one
            port 8080: taken
            hello
            eth1 10.224.4.2
            web
            --- restarted
            port 8080: taken
            --- after a boot
            port 8080: free
            web
            port 8080: taken
            hello
            web
            port 8080: free
            holm: eth0 forwards IPv4 packets of containers now, and no others
        "#]],
    );
}
