//! /etc/hosts, /etc/hostname and /etc/resolv.conf.

use std::path::Path;

use super::Facts;
use crate::flags::mount::Mount;
use crate::flags::network::Network;
use crate::request::RunRequest;
use runtime::File;

/// The three files, except where a mount that was asked for has its own.
pub(super) fn files(request: &RunRequest, facts: &Facts) -> Vec<File> {
    let name = super::namespaces::visible_hostname(request, facts);
    let covered = |path: &str| {
        request.mounts.iter().any(|mount| {
            let destination = match mount {
                Mount::Bind(bind) => &bind.destination,
                Mount::Tmpfs(tmpfs) => &tmpfs.destination,
            };
            Path::new(path).starts_with(destination.as_path())
        })
    };
    let shares_network = request.network != Network::None;
    let hosts = if shares_network { facts.hosts.clone() } else { own_hosts(&name) };
    let resolv_conf = if shares_network { facts.resolv_conf.clone() } else { reachable(&facts.resolv_conf) };
    [("/etc/hosts", hosts), ("/etc/hostname", format!("{name}\n")), ("/etc/resolv.conf", resolv_conf)]
        .into_iter()
        .filter(|(path, _)| !covered(path))
        .map(|(path, text)| File { destination: path.into(), content: text.into_bytes(), mode: 0o644 })
        .collect()
}

fn own_hosts(name: &str) -> String {
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name { name.to_owned() } else { format!("{name} {short}") };
    format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t{names}\n"
    )
}

/// Without the servers that listen on the host's own loopback interface: nobody is there inside.
fn reachable(resolv_conf: &str) -> String {
    let is_local = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver")
            && words.next().is_some_and(|address| address.starts_with("127.") || address == "::1")
    };
    resolv_conf.lines().filter(|line| !is_local(line)).map(|line| format!("{line}\n")).collect()
}
