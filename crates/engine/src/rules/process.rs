//! The program, its environment and its limits.

use report::Kind;
use spec::process::{Capabilities, ConsoleSize};
use spec::rlimit::Rlimit;
use spec::{Capability, CapabilitySet, Process, User};

use super::security::Security;
use super::{Facts, Ids, Refused, refused};
use crate::flags::env::EnvEntry;
use crate::request::RunRequest;

/// Where programs are looked for unless `PATH` is given (moby's default).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The `process` section.
pub(super) fn process(
    request: &RunRequest,
    facts: &Facts,
    bounding: CapabilitySet,
    security: &Security,
    remarks: &mut Vec<String>,
) -> Result<Process, Refused> {
    let names = || bounding.iter().map(|it: Capability| it.name().to_owned()).collect::<Vec<_>>();
    Ok(Process {
        terminal: request.streams.tty,
        console_size: None::<ConsoleSize>,
        user: user(request, facts)?,
        args: request.args.clone(),
        env: environment(request, facts),
        cwd: request
            .workdir
            .as_ref()
            .map_or_else(|| "/".to_owned(), |path| path.as_path().to_string_lossy().into_owned()),
        // Never inheritable: a file with inheritable capabilities would pass them on (CVE-2022-24769).
        capabilities: Capabilities {
            bounding: names(),
            effective: names(),
            permitted: names(),
            ..Capabilities::default()
        },
        rlimits: rlimits(request, facts)?,
        no_new_privileges: security.no_new_privileges,
        apparmor_profile: security.apparmor_profile.clone(),
        oom_score_adj: oom_score_adj(request, facts, remarks),
        selinux_label: security.process_label.clone(),
        ..Process::default()
    })
}

fn user(request: &RunRequest, facts: &Facts) -> Result<User, Refused> {
    let identity = &facts.identity;
    let mut groups = identity.groups.clone();
    if let Ids::Maps(maps) = &facts.ids {
        let advice = "give the ids a range with --userns, or run as root or with a range in /etc/subuid";
        let exists = |list: &[spec::IdMapping], id| spec::id_map::to_host(list, id).is_some();
        if !exists(&maps.uids, identity.uid) {
            let problem = format!("the container's user namespace has no user id {}", identity.uid);
            return refused(shown_user(request, identity.uid), problem, advice, Kind::InvalidInput);
        }
        if !exists(&maps.gids, identity.gid) {
            let problem = format!("the container's user namespace has no group id {}", identity.gid);
            return refused(shown_user(request, identity.uid), problem, advice, Kind::InvalidInput);
        }
        // Without a second id setgroups(2) has to be given up (user_namespaces(7), "setgroups").
        if maps.single && !request.group_add.is_empty() {
            let problem = "a caller with a single id cannot have further groups";
            return refused("--group-add", problem, advice, Kind::PermissionDenied);
        }
        groups.retain(|group| !maps.single && exists(&maps.gids, *group));
    }
    Ok(User { uid: identity.uid, gid: identity.gid, additional_gids: groups, ..User::default() })
}

fn shown_user(request: &RunRequest, uid: u32) -> String {
    match &request.user {
        Some(_) => format!("--user {uid}"),
        None => "--user (0 unless given)".to_owned(),
    }
}

/// PATH, HOSTNAME, TERM and HOME first, then what was asked for, where a later entry wins.
fn environment(request: &RunRequest, facts: &Facts) -> Vec<String> {
    let mut list: Vec<(String, String)> = vec![("PATH".to_owned(), PATH.to_owned())];
    list.push(("HOSTNAME".to_owned(), super::namespaces::visible_hostname(request, facts)));
    if request.streams.tty {
        let kind = facts.terminal_type.clone().unwrap_or_else(|| "xterm".to_owned());
        list.push(("TERM".to_owned(), kind));
    }
    list.push(("HOME".to_owned(), facts.identity.home.clone()));
    list.push(("container".to_owned(), "holm".to_owned()));
    for entry in &request.env {
        let (name, value) = match entry {
            EnvEntry::Set { name, value } => (name, Some(value)),
            EnvEntry::Inherit { name } => (name, facts.environment.get(name)),
        };
        let Some(value) = value else { continue };
        match list.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => list.push((name.clone(), value.clone())),
        }
    }
    list.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn rlimits(request: &RunRequest, facts: &Facts) -> Result<Vec<Rlimit>, Refused> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for ulimit in &request.ulimits {
        let limit = ulimit.0;
        let ceiling = facts.hard_limits.get(&limit.resource.number()).copied().unwrap_or(u64::MAX);
        let may_raise = facts.caller_capabilities.contains(Capability::SysResource);
        if limit.hard > ceiling && !may_raise {
            let name = limit.resource.name()["RLIMIT_".len()..].to_ascii_lowercase();
            return refused(
                format!("--ulimit {name}"),
                format!(
                    "above the caller's own hard limit of {ceiling}, which only CAP_SYS_RESOURCE can exceed"
                ),
                "ask for no more than the caller has: ulimit -H -a shows it",
                Kind::PermissionDenied,
            );
        }
        match limits.iter_mut().find(|known| known.resource == limit.resource) {
            Some(known) => *known = limit,
            None => limits.push(limit),
        }
    }
    Ok(limits)
}

/// Lowering the score below one's own takes CAP_SYS_RESOURCE; without it the own one is as good as it gets.
fn oom_score_adj(request: &RunRequest, facts: &Facts, remarks: &mut Vec<String>) -> Option<i32> {
    let asked = request.oom_score_adj?.get();
    if asked >= facts.oom_score_adj || facts.caller_capabilities.contains(Capability::SysResource) {
        return Some(asked);
    }
    remarks.push(format!(
        "--oom-score-adj {asked} takes CAP_SYS_RESOURCE; {} is used instead",
        facts.oom_score_adj
    ));
    Some(facts.oom_score_adj)
}
