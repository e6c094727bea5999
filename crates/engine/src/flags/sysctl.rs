//! Kernel settings of the container's own namespaces: `--sysctl`.
//!
//! Only keys that belong to a namespace can be written: every other one would change the host. The value goes
//! into exactly one file, so nothing in it can become a second key (CVE-2022-0811 did that with `+`).

use super::{Problem, Value};

/// The namespace a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Owner {
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Everything below `net`.
    Network,
    /// `kernel.domainname`.
    Uts,
}

/// `--sysctl KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sysctl {
    /// The key with dots between its parts, as the OCI specification has it. A dot that is part of a name (an
    /// interface `eth0.5`) is written as `/`, as sysctl(8) does.
    pub key: String,
    /// What is written.
    pub value: String,
    /// Whose setting it is.
    pub owner: Owner,
}

/// The `kernel.*` keys that each IPC namespace has (ipc/ipc_sysctl.c).
const IPC_KEYS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

impl Value for Sysctl {
    const FORM: &'static str = "KEY=VALUE";
    const EXAMPLE: &'static str = "net.ipv4.ip_unprivileged_port_start=0";

    fn parse(text: &str) -> Result<Self, Problem> {
        let Some((given, value)) = text.split_once('=') else { return Err("there is no `=`".into()) };
        let key = with_dots(given.trim());
        let value = value.trim();
        if key.split(['.', '/']).any(str::is_empty) || key.contains("..") {
            return Err(format!("`{given}` is not a key").into());
        }
        if let Some(bad) = key.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-/".contains(*c)) {
            return Err(format!("`{}` cannot be part of a key", bad.escape_default()).into());
        }
        if value.is_empty() || value.contains(['\n', '\0']) {
            return Err("the value is not one line of text".into());
        }
        let owner = if IPC_KEYS.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
            Owner::Ipc
        } else if key.starts_with("net.") {
            Owner::Network
        } else if key == "kernel.domainname" {
            Owner::Uts
        } else if key == "kernel.hostname" {
            return Err("the host name is set by --hostname".into());
        } else {
            return Err(format!("{key} belongs to the whole machine, not to a namespace").into());
        };
        Ok(Self { key, value: value.to_owned(), owner })
    }
}

/// A key whose first separator is a slash has slashes for separators and dots inside of names (sysctl(8)).
fn with_dots(key: &str) -> String {
    let slashes_separate = key.find(['.', '/']).is_some_and(|at| key.as_bytes()[at] == b'/');
    if !slashes_separate {
        return key.to_owned();
    }
    key.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn only_settings_of_a_namespace_are_taken() {
        expect![[r#"
            kernel.shmmax=1 => Sysctl { key: "kernel.shmmax", value: "1", owner: Ipc }
            fs.mqueue.msg_max=10 => Sysctl { key: "fs.mqueue.msg_max", value: "10", owner: Ipc }
            net/ipv4/conf/eth0.5/forwarding=1 => Sysctl { key: "net.ipv4.conf.eth0/5.forwarding", value: "1", owner: Network }
            net.ipv4.ping_group_range=0 0 => Sysctl { key: "net.ipv4.ping_group_range", value: "0 0", owner: Network }
            kernel.domainname=x => Sysctl { key: "kernel.domainname", value: "x", owner: Uts }
            kernel.sem = 1 2 3 4 => Sysctl { key: "kernel.sem", value: "1 2 3 4", owner: Ipc }
            kernel.core_pattern=|/x !! kernel.core_pattern belongs to the whole machine, not to a namespace
            kernel.hostname=a !! the host name is set by --hostname
            vm.swappiness=1 !! vm.swappiness belongs to the whole machine, not to a namespace
            net.ipv4.ip_forward !! there is no `=`
            net..x=1 !! `net..x` is not a key
            net.a/../b=1 !! `net.a/../b` is not a key
            =1 !! `` is not a key
            kernel.shmmax= !! the value is not one line of text
            kernel.shmmax=1
            2 !! the value is not one line of text
            net.a b=1 !! ` ` cannot be part of a key
            kernel.shm_rmid_forced=1+kernel.core_pattern=x => Sysctl { key: "kernel.shm_rmid_forced", value: "1+kernel.core_pattern=x", owner: Ipc }
            net.ipv4.ip_unprivileged_port_start=0 => Sysctl { key: "net.ipv4.ip_unprivileged_port_start", value: "0", owner: Network }
        "#]].assert_eq(&table::<Sysctl>(&[
            "kernel.shmmax=1", "fs.mqueue.msg_max=10", "net/ipv4/conf/eth0.5/forwarding=1",
            "net.ipv4.ping_group_range=0 0", "kernel.domainname=x", "kernel.sem = 1 2 3 4", "kernel.core_pattern=|/x",
            "kernel.hostname=a", "vm.swappiness=1", "net.ipv4.ip_forward", "net..x=1", "net.a/../b=1", "=1",
            "kernel.shmmax=", "kernel.shmmax=1\n2", "net.a b=1", "kernel.shm_rmid_forced=1+kernel.core_pattern=x",
        ]));
    }
}
