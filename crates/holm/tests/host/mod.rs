//! Hosts of a test's own: network, mount and pid namespaces with a /run and a /var/lib of their own, where `outside`, 192.0.2.9, is at
//! the other end of a cable. Control groups belong to the whole machine, so they are looked for and removed at the end, also after a
//! failure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::Expect;

#[path = "../copied/mod.rs"]
mod copied;

/// What every host begins with. The directory of the test is the first argument.
const HOST: &str = r#"
set -eu
mount --bind "$1/run" /run
mkdir -p /run/netns
mount -t tmpfs tmpfs /var/lib
printf 'search example.com\nnameserver 127.0.0.53\nnameserver 192.0.2.9\n' >"$1/resolv.conf"
resolv=$(readlink -f /etc/resolv.conf)
mkdir -p "${resolv%/*}"
[ -e "$resolv" ] || : >"$resolv"
mount --bind "$1/resolv.conf" "$resolv"
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
until_it() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 600 ] || { echo "never: $*" >&2; return 1; }; sleep 0.05; done; }
links() { ip -o link | sed 's/^[0-9]*: //; s/[@:].*//'; }
outside() { ip netns exec outside "$@"; }
cd "$1"
"#;

/// What a test needs of the machine, and its own words of the shell.
pub(crate) struct Host {
    /// Programs beside those that each host uses.
    pub(crate) programs: &'static [&'static str],
    /// Runs before the script.
    pub(crate) words: &'static str,
}

impl Host {
    /// Runs a script as root of a host of its own and compares what it prints, then what it complains of. A line is said and nothing
    /// compared where that cannot be had. A container that needs a name has `$NAME`, which is `called` in what is compared: control
    /// groups are called by it.
    pub(crate) fn check(&self, test: &str, called: &str, script: &str, expected: &Expect) {
        let name = format!("{called}-{}-{test}", std::process::id());
        let Some((output, left)) = self.run(test, &name, script) else { return };
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text = text.replace(&name, called);
        if !output.status.success() {
            text.push_str(&format!("[{}]\n", output.status));
        }
        for group in left {
            text.push_str(&format!("left behind: {}\n", group.display()));
        }
        expected.assert_eq(&text);
    }

    fn run(&self, test: &str, name: &str, script: &str) -> Option<(Output, Vec<PathBuf>)> {
        if let Err(why) = self.can_be_had() {
            eprintln!("SKIPPED {test}: {why}");
            return None;
        }
        // Where ordinary users can go, too.
        let directory = std::env::temp_dir().join(format!("holm-host-{}-{test}", std::process::id()));
        std::fs::create_dir_all(directory.join("run")).unwrap();
        let holm = directory.join("holm");
        copied::copy_holm(&holm);
        let output = Command::new("timeout")
            .args(["120", "unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork"])
            .args([
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                &format!("{HOST}\n{}\n{script}", self.words),
                "sh",
            ])
            .arg(&directory)
            .env("HOLM", &holm)
            .env("NAME", name)
            .env_remove("HOLM_NETWORK")
            .env_remove("HOLM_ROOT")
            .env_remove("HOLM_RUNROOT")
            .output()
            .unwrap();
        let left = groups_of(&directory.join("run/holm"), name);
        for group in &left {
            remove(group);
        }
        let _ = std::fs::remove_dir_all(&directory);
        Some((output, left))
    }

    fn can_be_had(&self) -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let able = std::thread::spawn(|| {
            sys::ns::make(sys::clone::CLONE_NEWNET).map_err(|error| error.to_string())?;
            network::able().map_err(|error| report::one_line(&error))
        });
        able.join().unwrap()?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        for program in ["unshare", "ip", "busybox", "bash", "jq", "getent"].iter().chain(self.programs) {
            if !std::env::split_paths(&path).any(|place| place.join(program).exists()) {
                return Err(format!("there is no {program}"));
            }
        }
        Ok(())
    }
}

/// The control groups of containers that are on record in this state directory, or have this name, in every hierarchy that is mounted.
fn groups_of(state: &Path, name: &str) -> Vec<PathBuf> {
    let names_in = |directory: PathBuf| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let mut containers = BTreeSet::from([name.to_owned()]);
    for records in ["run", "containers", "network/containers"] {
        let names = names_in(state.join(records));
        containers.extend(names.into_iter().map(|name| name.trim_end_matches(".json").to_owned()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let hierarchies = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let points = hierarchies.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let groups = points.flat_map(|point| {
        let below = names_in(point.clone());
        below.into_iter().map(move |group| (point.join(&group), group))
    });
    let ours = |group: &str| group.strip_prefix("holm-").is_some_and(|rest| containers.contains(rest));
    groups.filter(|(_, group)| ours(group)).map(|(path, _)| path).collect()
}

/// The processes in them ended with the pid namespace, so that the groups can be removed, now or a moment later.
fn remove(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    for _ in 0..200 {
        match std::fs::remove_dir(group) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            _ => return,
        }
    }
}
