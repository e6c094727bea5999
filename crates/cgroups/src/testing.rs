//! Texts of real hosts and ways to spoil them, for the tests of this crate.

use crate::layout::{ControllerSet, Layout};

/// mountinfo and cgroup of a host in `tests/texts`.
pub(crate) fn texts(host: &str) -> (&'static str, &'static str) {
    macro_rules! text {
        ($name:literal) => {
            (
                include_str!(concat!("../tests/texts/", $name, ".mountinfo")),
                include_str!(concat!("../tests/texts/", $name, ".cgroup")),
            )
        };
    }
    match host {
        "hybrid" => text!("hybrid"),
        "systemd-v1" => text!("systemd-v1"),
        "systemd-v2" => text!("systemd-v2"),
        "docker-v1" => text!("docker-v1"),
        "docker-v2" => text!("docker-v2"),
        "remounted" => text!("remounted"),
        _ => panic!("no such host: {host}"),
    }
}

/// The layout of that host; a pure v2 host offers what Debian's kernel does.
pub(crate) fn layout(host: &str) -> Layout {
    let (mountinfo, own) = texts(host);
    let mut layout = Layout::parse(mountinfo.as_bytes(), own.as_bytes());
    if let (Some(v2), true) = (&mut layout.v2, layout.v1.is_empty()) {
        v2.controllers = ControllerSet::parse(b"cpuset cpu io memory hugetlb pids rdma misc");
    }
    layout
}

/// `count` spoilt copies of `text`, the same ones every time.
pub(crate) fn mutations(text: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ text.len() as u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let text = text.to_vec();
    (0..count).map(move |_| {
        let mut copy = text.clone();
        for _ in 0..=random(6) {
            let at = random(copy.len());
            match random(6) {
                0 => copy.truncate(at),
                1 if !copy.is_empty() => copy[at] = random(256) as u8,
                2 if !copy.is_empty() => drop(copy.remove(at)),
                3 => copy.insert(at, b" \n:=,-/\\0\xff"[random(10)]),
                4 => {
                    let part = copy[at..(at + random(40)).min(copy.len())].to_vec();
                    let to = random(copy.len());
                    copy.splice(to..to, part);
                }
                _ => copy.splice(at..at, *b"18446744073709551616").for_each(drop),
            }
        }
        copy
    })
}
