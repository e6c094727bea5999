//! config-linux.md, "Network Devices". The host of these tests is a network namespace of their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{Bundle, Ran};

/// Runs the bundle in a network namespace with the devices `one` and `two`, of which `one` has addresses. None, with a line that says
/// why, where these cannot be had.
fn on_a_host_with_devices(bundle: &Bundle) -> Option<Ran> {
    const HOST: &str = "ip link add one type veth peer name two && ip addr add 192.0.2.7/24 brd 192.0.2.255 dev one && \
        ip addr add 2001:db8::7/64 dev one && ip link set one up && exec \"$0\" \"$@\"";
    // Busybox has an `ip` as well, with another grammar.
    let version = Command::new("ip").arg("-V").stdin(Stdio::null()).output();
    if !version.is_ok_and(|version| Ran::of(&version).out.contains("iproute2")) {
        eprintln!("SKIPPED {}: it needs iproute2", bundle.id);
        return None;
    }
    let command = bundle.command();
    let mut outer = Command::new("unshare");
    outer.args(["--net", "sh", "-c", HOST]).arg(command.get_program()).args(command.get_args());
    let ran = Ran::of(&outer.stdin(Stdio::null()).output().ok()?);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "left behind; {ran:?}");
    if ran.err.contains("Operation not supported") {
        eprintln!("SKIPPED {}: {}", bundle.id, ran.err);
        return None;
    }
    Some(ran)
}

#[test]
fn a_network_device_moves_with_its_addresses_and_a_new_name_and_is_up() {
    let Some(mut bundle) = Bundle::new("a_network_device_moves") else { return };
    bundle.config["linux"]["netDevices"] = json!({ "one": { "name": "inside" }, "two": {} });
    bundle.script(
        "cat /sys/class/net/inside/flags /proc/net/if_inet6; ls /sys/class/net; cat /proc/net/fib_trie",
    );
    let Some(ran) = on_a_host_with_devices(&bundle) else { return };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("0x1003\n"), "up: {ran:?}");
    assert!(ran.out.contains("20010db8000000000000000000000007") && ran.out.contains("192.0.2.7"), "{ran:?}");
    assert!(ran.out.contains("inside\nlo\ntwo\n"), "{ran:?}");
}

#[test]
fn a_template_lets_the_kernel_choose_a_free_name() {
    let Some(mut bundle) = Bundle::new("a_template_lets_the_kernel") else { return };
    bundle.config["linux"]["netDevices"] = json!({ "one": { "name": "net%d" }, "two": { "name": "net%d" } });
    bundle.script("ls /sys/class/net");
    let Some(ran) = on_a_host_with_devices(&bundle) else { return };
    assert_eq!(ran.out, "lo\nnet0\nnet1\n", "{ran:?}");
}

#[test]
fn a_device_that_is_missing_or_whose_name_is_taken_is_an_error() {
    let Some(mut bundle) = Bundle::new("a_device_that_is_missing") else { return };
    for (devices, told) in [
        (json!({ "nothere": {} }), "nothere"),
        (json!({ "one": { "name": "lo" } }), "lo, a name that is in use in the container"),
        (json!({ "one": { "name": "a/b" } }), "linux.netDevices.one.name"),
        (json!({ "one": { "name": "same" }, "two": { "name": "same" } }), "linux.netDevices.two.name"),
    ] {
        bundle.config["linux"]["netDevices"] = devices;
        let Some(ran) = on_a_host_with_devices(&bundle) else { return };
        assert!(ran.code == Some(1) && ran.err.contains(told), "{told}: {ran:?}");
    }
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| namespace["type"] != "network");
    bundle.config["linux"]["netDevices"] = json!({ "one": {} });
    let Some(ran) = on_a_host_with_devices(&bundle) else { return };
    assert!(ran.err.contains("needs a `network` namespace"), "{ran:?}");
}
