//! Which namespaces are new, and what is set in them.

use spec::linux::{TimeOffset, TimeOffsets};
use spec::{Map, Namespace, NamespaceType};

use super::{Facts, Ids};
use crate::flags::namespace::Source;
use crate::flags::network::Network;
use crate::flags::time_offset::Clock;
use crate::request::RunRequest;

/// The namespaces, the kernel settings in them, and their clocks.
pub(super) fn namespaces(request: &RunRequest, facts: &Facts) -> (Vec<Namespace>, Map<String>, TimeOffsets) {
    let mut list = Vec::new();
    let mut add = |kind, source: &Source| match source {
        Source::Private => list.push(Namespace { kind, path: String::new() }),
        Source::Join(path) => list.push(Namespace { kind, path: path.to_string_lossy().into_owned() }),
        Source::Host => {}
    };
    match &facts.ids {
        Ids::Host => {}
        Ids::Maps(_) => add(NamespaceType::User, &Source::Private),
        Ids::Join(path) => add(NamespaceType::User, &Source::Join(path.clone())),
    }
    add(NamespaceType::Mount, &Source::Private);
    add(NamespaceType::Pid, &request.pid);
    add(
        NamespaceType::Network,
        &match &request.network {
            Network::Unsaid | Network::None | Network::Pasta | Network::On(_) => Source::Private,
            Network::Host => Source::Host,
            Network::Join(path) => Source::Join(path.clone()),
            // Found, and made a path, before.
            Network::Container(_) => Source::Host,
        },
    );
    add(NamespaceType::Ipc, &request.ipc.source);
    add(NamespaceType::Uts, &request.uts);
    add(NamespaceType::Cgroup, &request.cgroupns);
    if !request.time_offsets.is_empty() {
        add(NamespaceType::Time, &Source::Private);
    }
    let sysctl = request.sysctls.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
    (list, sysctl, time_offsets(request))
}

fn time_offsets(request: &RunRequest) -> TimeOffsets {
    let mut offsets = TimeOffsets::default();
    for asked in &request.time_offsets {
        let offset = Some(TimeOffset { secs: asked.seconds, nanosecs: asked.nanoseconds });
        if asked.clock != Clock::Boottime {
            offsets.monotonic = offset;
        }
        if asked.clock != Clock::Monotonic {
            offsets.boottime = offset;
        }
    }
    offsets
}

/// The name that is set in a new UTS namespace; empty where none is.
pub(super) fn hostname(request: &RunRequest, facts: &Facts) -> String {
    match request.uts {
        Source::Private => visible_hostname(request, facts),
        Source::Host | Source::Join(_) => String::new(),
    }
}

/// The name that programs in the container see.
pub(crate) fn visible_hostname(request: &RunRequest, facts: &Facts) -> String {
    match (&request.hostname, &request.uts) {
        (Some(name), _) => name.as_str().to_owned(),
        (None, Source::Host) => facts.hostname.clone(),
        (None, _) => facts.id.chars().take(12).collect(),
    }
}
