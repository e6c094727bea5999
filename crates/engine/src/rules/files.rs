//! /etc/hosts, /etc/hostname and /etc/resolv.conf.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use super::Facts;
use crate::flags::network::{DnsOption, HostAddress, Places, SearchDomain};
use crate::request::RunRequest;
use runtime::File;

/// The three files, except where a mount that was asked for has its own.
pub(super) fn files(request: &RunRequest, facts: &Facts) -> Vec<File> {
    let name = super::namespaces::visible_hostname(request, facts);
    let covered = |path: &str| {
        request.mounts.iter().any(|mount| Path::new(path).starts_with(mount.destination().as_path()))
    };
    let own = request.network.is_own();
    let mut hosts = if own { own_hosts(&name, &[]) } else { facts.hosts.clone() };
    hosts.push_str(&added(&request.places, None));
    let inherited = if own { reachable(&facts.resolv_conf) } else { facts.resolv_conf.clone() };
    let resolv_conf = resolv_conf(&request.places, &[], &inherited);
    [("/etc/hosts", hosts), ("/etc/hostname", format!("{name}\n")), ("/etc/resolv.conf", resolv_conf)]
        .into_iter()
        .filter(|(path, _)| !covered(path))
        .map(|(path, text)| File { destination: path.into(), content: text.into_bytes(), mode: 0o644 })
        .collect()
}

/// `/etc/hosts` of a container with these addresses; without one its name leads to itself.
pub(crate) fn own_hosts(name: &str, addresses: &[IpAddr]) -> String {
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name { name.to_owned() } else { format!("{name} {short}") };
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        .to_owned();
    if addresses.is_empty() {
        let _ = writeln!(text, "127.0.1.1\t{names}");
    }
    for address in addresses {
        let _ = writeln!(text, "{address}\t{names}");
    }
    text
}

/// The lines of `--add-host`. Without a `gateway` the host is reached as the container itself.
pub(crate) fn added(places: &Places, gateway: Option<IpAddr>) -> String {
    let mut text = String::new();
    for host in &places.add_host {
        let address = match host.address {
            HostAddress::Address(address) => address,
            HostAddress::Gateway => gateway.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        };
        let _ = writeln!(text, "{address}\t{}", host.name);
    }
    text
}

/// `/etc/resolv.conf`: `servers`, those of the container's networks, which look for names in their own zone first; else what flags say;
/// else what is inherited.
pub(crate) fn resolv_conf(places: &Places, servers: &[IpAddr], inherited: &str) -> String {
    let mut text = String::new();
    let keeps = |word: &str| -> String {
        inherited
            .lines()
            .filter(|line| line.split_whitespace().next() == Some(word))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    // Servers of ours pass on to those of `--dns` what they do not know themselves.
    let ours = !servers.is_empty();
    let asked = if ours { &servers[..servers.len().min(3)] } else { &places.dns };
    match asked {
        [] => text.push_str(&keeps("nameserver")),
        servers => servers.iter().for_each(|server| _ = writeln!(text, "nameserver {server}")),
    }
    if places.dns.is_empty()
        && servers.is_empty()
        && places.dns_search.is_empty()
        && places.dns_option.is_empty()
    {
        return inherited.to_owned();
    }
    match &places.dns_search[..] {
        [] if ours => {
            let kept = keeps("search") + &keeps("domain");
            let domains: Vec<&str> = kept.lines().flat_map(|line| line.split_whitespace().skip(1)).collect();
            let _ = writeln!(text, "search {}", [&[dns::ZONE], &domains[..]].concat().join(" "));
        }
        [] => {
            text.push_str(&keeps("search"));
            text.push_str(&keeps("domain"));
        }
        [one] if one.as_str() == "." => {
            if ours {
                let _ = writeln!(text, "search {}", dns::ZONE);
            }
        }
        list => {
            let domains: Vec<_> =
                list.iter().map(SearchDomain::as_str).filter(|domain| *domain != ".").collect();
            let own: &[&str] = if ours { &[dns::ZONE] } else { &[] };
            let _ = writeln!(text, "search {}", [own, &domains[..]].concat().join(" "));
        }
    }
    match &places.dns_option[..] {
        [] => text.push_str(&keeps("options")),
        list => {
            let options: Vec<_> = list.iter().map(DnsOption::as_str).collect();
            let _ = writeln!(text, "options {}", options.join(" "));
        }
    }
    text
}

/// Without the servers that listen on the host's own loopback interface: nobody is there inside.
pub(crate) fn reachable(resolv_conf: &str) -> String {
    let is_local = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver")
            && words.next().is_some_and(|address| address.starts_with("127.") || address == "::1")
    };
    resolv_conf.lines().filter(|line| !is_local(line)).map(|line| format!("{line}\n")).collect()
}
