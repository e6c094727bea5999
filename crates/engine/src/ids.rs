//! Which ids of the host a container's users are.
//!
//! [`choose`] decides from the flag, the caller and the host's subordinate ids; start reading there. Where
//! the answer is a [`Pool`], each running container takes one range of it for as long as it runs
//! ([`crate::id_pool`]).

use report::{Explain, Hint, Kind};
use spec::IdMapping;

use crate::flags::userns::UserNamespace;

/// How many ids a container gets: those that 16 bits hold, which include `nobody`.
pub const RANGE_SIZE: u32 = 65_536;

/// Where root has no line in /etc/subuid, ranges come from here: systemd's reservation for containers ends
/// right before 0x70000000, and what it calls foreign ids begins at 2147352576 (systemd's UIDS-GIDS).
pub const BUILT_IN_POOL: SubIdRange = SubIdRange { first: 0x7000_0000, count: 2_147_352_576 - 0x7000_0000 };

/// The names whose lines in /etc/subuid and /etc/subgid are for root's containers, best first.
pub const ROOT_NAMES: [&str; 2] = ["holm", "containers"];

/// A line of /etc/subuid or /etc/subgid (subuid(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubIdRange {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What is known of the caller and of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdFacts {
    /// The caller's effective user id.
    pub uid: u32,
    /// The caller's effective group id.
    pub gid: u32,
    /// The caller's ranges of user ids; for root those of [`ROOT_NAMES`].
    pub subuids: Vec<SubIdRange>,
    /// The caller's ranges of group ids; for root those of [`ROOT_NAMES`].
    pub subgids: Vec<SubIdRange>,
    /// Whether newuidmap and newgidmap are there.
    pub helpers: bool,
    /// Why no user namespace can be made here, if that is so.
    pub no_user_namespaces: Option<&'static str>,
    /// Why the root directory cannot be mounted with other owners, if that is so; of no meaning without root.
    pub no_idmapped_root: Option<String>,
    /// The ids that the caller's own user namespace has: (first, count) of /proc/self/uid_map, in its terms.
    pub mapped: Vec<SubIdRange>,
}

/// Where a container's ids come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No user namespace: ids are those of the host.
    Host {
        /// Why, when nobody asked for it.
        because: Option<String>,
    },
    /// The user namespace of this file.
    Join(std::path::PathBuf),
    /// These ranges.
    Maps(Maps),
    /// One of these ranges that no running container has.
    Pool(Pool),
}

/// The ranges of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maps {
    /// For users.
    pub uids: Vec<IdMapping>,
    /// For groups.
    pub gids: Vec<IdMapping>,
    /// Only the caller's own ids are there, because nothing gives the caller more.
    pub single: bool,
}

/// Ranges of [`RANGE_SIZE`] ids, numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    uids: Vec<SubIdRange>,
    gids: Vec<SubIdRange>,
}

impl Pool {
    /// How many ranges there are for users and groups both.
    pub fn len(&self) -> u32 {
        let whole = |ranges: &[SubIdRange]| ranges.iter().map(|range| range.count / RANGE_SIZE).sum::<u32>();
        whole(&self.uids).min(whole(&self.gids))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range with this number.
    pub fn slot(&self, number: u32) -> Option<Maps> {
        let map = |ranges: &[SubIdRange]| {
            let host_id = nth_range(ranges, number)?;
            Some(vec![IdMapping { container_id: 0, host_id, size: RANGE_SIZE }])
        };
        Some(Maps { uids: map(&self.uids)?, gids: map(&self.gids)?, single: false })
    }
}

fn nth_range(ranges: &[SubIdRange], mut number: u32) -> Option<u32> {
    for range in ranges {
        let here = range.count / RANGE_SIZE;
        if number < here {
            return range.first.checked_add(number * RANGE_SIZE);
        }
        number -= here;
    }
    None
}

/// A user namespace that was asked for and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--userns {asked}: {problem}")]
pub struct NoUserNamespace {
    /// The mode asked for.
    pub asked: &'static str,
    /// Why not.
    pub problem: String,
    /// What to do.
    pub advice: &'static str,
    /// What sort of failure it is.
    pub kind: Kind,
}

impl Explain for NoUserNamespace {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn hint(&self) -> Option<Hint> {
        (!self.advice.is_empty()).then(|| Hint::new(self.advice))
    }
}

/// Decides where ids come from.
///
/// Root falls back to the host's ids where it cannot have its own and nobody insisted: that is what it had
/// before. Anybody else cannot do without a user namespace.
///
/// # Errors
/// [`NoUserNamespace`], when the mode cannot be had here.
pub fn choose(asked: &UserNamespace, privileged: bool, facts: &IdFacts) -> Result<Choice, NoUserNamespace> {
    let refuse = |asked, problem: String, advice, kind| Err(NoUserNamespace { asked, problem, advice, kind });
    let root = facts.uid == 0;
    match asked {
        UserNamespace::Join(path) => return Ok(Choice::Join(path.clone())),
        UserNamespace::Host if root => return Ok(Choice::Host { because: None }),
        UserNamespace::Host => {
            return refuse(
                "host",
                "a caller who is not root cannot make a container without a user namespace".to_owned(),
                "leave the flag out, or run as root",
                Kind::PermissionDenied,
            );
        }
        UserNamespace::Auto if root && privileged => {
            return Ok(Choice::Host { because: Some("--privileged means the host's root".to_owned()) });
        }
        _ => {}
    }
    if let Some(reason) = facts.no_user_namespaces {
        return match (asked, root) {
            (UserNamespace::Auto, true) => Ok(Choice::Host { because: Some(reason.to_owned()) }),
            _ => refuse(
                mode(asked),
                reason.to_owned(),
                "`holm doctor` tells what to change",
                Kind::Unsupported,
            ),
        };
    }
    match asked {
        UserNamespace::Maps { uids, gids } => Ok(Choice::Maps(Maps {
            uids: uids.as_slice().to_vec(),
            gids: gids.as_slice().to_vec(),
            single: false,
        })),
        UserNamespace::KeepId if root => refuse(
            "keep-id",
            "root's own ids are the host's root".to_owned(),
            "use --userns host, or run as another user",
            Kind::InvalidInput,
        ),
        UserNamespace::KeepId => keep_id(facts),
        _ if root => Ok(root_pool(facts)),
        _ => Ok(Choice::Maps(unprivileged(facts))),
    }
}

fn mode(asked: &UserNamespace) -> &'static str {
    match asked {
        UserNamespace::Auto => "auto",
        UserNamespace::Host => "host",
        UserNamespace::KeepId => "keep-id",
        UserNamespace::Maps { .. } => "with ranges",
        UserNamespace::Join(_) => "ns",
    }
}

fn root_pool(facts: &IdFacts) -> Choice {
    if let Some(reason) = &facts.no_idmapped_root {
        return Choice::Host { because: Some(reason.clone()) };
    }
    let own = Pool { uids: facts.subuids.clone(), gids: facts.subgids.clone() };
    let pool =
        if own.is_empty() { Pool { uids: vec![BUILT_IN_POOL], gids: vec![BUILT_IN_POOL] } } else { own };
    // In a user namespace of a container around us the pool's ids may not exist.
    let exists = |range: &SubIdRange| {
        facts.mapped.iter().any(|mapped| {
            range.first >= mapped.first
                && u64::from(range.first) + u64::from(range.count)
                    <= u64::from(mapped.first) + u64::from(mapped.count)
        })
    };
    match pool.uids.iter().chain(&pool.gids).all(exists) {
        true => Choice::Pool(pool),
        false => Choice::Host { because: Some("the surrounding user namespace has too few ids".to_owned()) },
    }
}

/// The caller is root inside; ids from 1 are the caller's subordinate ones, as many as there are.
fn unprivileged(facts: &IdFacts) -> Maps {
    let own = |id| IdMapping { container_id: 0, host_id: id, size: 1 };
    if !facts.helpers || facts.subuids.is_empty() || facts.subgids.is_empty() {
        return Maps { uids: vec![own(facts.uid)], gids: vec![own(facts.gid)], single: true };
    }
    let with = |id, ranges: &[SubIdRange]| {
        let mut maps = vec![own(id)];
        append(&mut maps, 1, ranges);
        maps
    };
    Maps { uids: with(facts.uid, &facts.subuids), gids: with(facts.gid, &facts.subgids), single: false }
}

/// The caller's ids are the same inside; those below and above are subordinate ones.
fn keep_id(facts: &IdFacts) -> Result<Choice, NoUserNamespace> {
    let single = !facts.helpers || facts.subuids.is_empty() || facts.subgids.is_empty();
    let around = |id: u32, ranges: &[SubIdRange]| {
        let own = IdMapping { container_id: id, host_id: id, size: 1 };
        if single {
            return vec![own];
        }
        let mut maps = Vec::new();
        let mut left = id;
        let mut rest = Vec::new();
        for range in ranges {
            let below = range.count.min(left);
            append(&mut maps, id - left, &[SubIdRange { first: range.first, count: below }]);
            left -= below;
            rest.push(SubIdRange { first: range.first + below, count: range.count - below });
        }
        maps.push(own);
        append(&mut maps, id + 1, &rest);
        maps
    };
    Ok(Choice::Maps(Maps {
        uids: around(facts.uid, &facts.subuids),
        gids: around(facts.gid, &facts.subgids),
        single,
    }))
}

/// Adds `ranges`, one after the other, from the id `inside` on.
fn append(maps: &mut Vec<IdMapping>, mut inside: u32, ranges: &[SubIdRange]) {
    for range in ranges {
        let size = range.count.min(u32::MAX - inside);
        if size > 0 {
            maps.push(IdMapping { container_id: inside, host_id: range.first, size });
            inside += size;
        }
    }
}

/// The ranges that a subuid(5) file has for a user, by name or number; lines that do not parse are passed
/// over, as newuidmap(1) does.
pub fn parse_subids(text: &str, name: &str, id: u32) -> Vec<SubIdRange> {
    let id = id.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next().filter(|owner| !owner.is_empty())?;
            let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let ends_in_time = u64::from(first) + u64::from(count) <= u64::from(u32::MAX);
            let ours = (!name.is_empty() && owner == name) || owner == id;
            (ours && count > 0 && ends_in_time && fields.next().is_none())
                .then_some(SubIdRange { first, count })
        })
        .collect()
}

/// The ranges of a `uid_map` as the processes of its namespace see them.
pub fn parse_id_map(text: &str) -> Vec<SubIdRange> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let first = fields.next()?.parse().ok()?;
            Some(SubIdRange { first, count: fields.nth(1)?.parse().ok()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Value;
    use expect_test::expect;

    const ALL: SubIdRange = SubIdRange { first: 0, count: u32::MAX };

    fn root() -> IdFacts {
        IdFacts { mapped: vec![ALL], helpers: true, ..IdFacts::default() }
    }

    fn ann() -> IdFacts {
        let ranges =
            vec![SubIdRange { first: 100_000, count: 65_536 }, SubIdRange { first: 900_000, count: 10 }];
        IdFacts { uid: 1000, gid: 100, subuids: ranges.clone(), subgids: ranges, ..root() }
    }

    fn show(asked: &str, privileged: bool, facts: &IdFacts) -> String {
        let maps = |maps: &Maps| {
            let list = |list: &[IdMapping]| {
                let one = |it: &IdMapping| format!("{}:{}:{}", it.container_id, it.host_id, it.size);
                list.iter().map(one).collect::<Vec<_>>().join(",")
            };
            format!(
                "u {} g {}{}",
                list(&maps.uids),
                list(&maps.gids),
                if maps.single { " single" } else { "" }
            )
        };
        match choose(&UserNamespace::parse(asked).unwrap(), privileged, facts) {
            Ok(Choice::Host { because }) => format!("host {}", because.unwrap_or_default()),
            Ok(Choice::Join(path)) => format!("join {}", path.display()),
            Ok(Choice::Maps(it)) => format!("maps {}", maps(&it)),
            Ok(Choice::Pool(pool)) => format!(
                "pool of {}: {} .. {}",
                pool.len(),
                maps(&pool.slot(0).unwrap()),
                maps(&pool.slot(pool.len() - 1).unwrap())
            ),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn root_takes_a_range_of_its_own_and_everybody_else_what_they_have() {
        let own =
            vec![SubIdRange { first: 200_000, count: 70_000 }, SubIdRange { first: 500_000, count: 131_072 }];
        let none = IdFacts { no_user_namespaces: Some("the kernel has no user namespaces"), ..root() };
        let nested = IdFacts { mapped: vec![SubIdRange { first: 0, count: 65_536 }], ..root() };
        let lines = [
            show("auto", false, &root()),
            show("auto", true, &root()),
            show("auto", false, &IdFacts { subuids: own.clone(), subgids: own.clone(), ..root() }),
            show("auto", false, &IdFacts { subuids: own, ..root() }),
            show("auto", false, &IdFacts { no_idmapped_root: Some("nfs".to_owned()), ..root() }),
            show("auto", false, &none),
            show("auto", false, &nested),
            show("0:5:6", false, &none),
            show("0:5:6", false, &root()),
            show("host", false, &root()),
            show("keep-id", false, &root()),
            show("ns:/n", false, &root()),
            show("auto", false, &ann()),
            show("auto", true, &ann()),
            show("auto", false, &IdFacts { helpers: false, ..ann() }),
            show("auto", false, &IdFacts { subgids: Vec::new(), ..ann() }),
            show("auto", false, &IdFacts { no_user_namespaces: Some("switched off"), ..ann() }),
            show("keep-id", false, &ann()),
            show("keep-id", false, &IdFacts { helpers: false, ..ann() }),
            show("host", false, &ann()),
        ];
        expect![[r#"
            pool of 4094: u 0:1879048192:65536 g 0:1879048192:65536 .. u 0:2147287040:65536 g 0:2147287040:65536
            host --privileged means the host's root
            pool of 3: u 0:200000:65536 g 0:200000:65536 .. u 0:565536:65536 g 0:565536:65536
            pool of 4094: u 0:1879048192:65536 g 0:1879048192:65536 .. u 0:2147287040:65536 g 0:2147287040:65536
            host nfs
            host the kernel has no user namespaces
            host the surrounding user namespace has too few ids
            refused: --userns with ranges: the kernel has no user namespaces
            maps u 0:5:6 g 0:5:6
            host 
            refused: --userns keep-id: root's own ids are the host's root
            join /n
            maps u 0:1000:1,1:100000:65536,65537:900000:10 g 0:100:1,1:100000:65536,65537:900000:10
            maps u 0:1000:1,1:100000:65536,65537:900000:10 g 0:100:1,1:100000:65536,65537:900000:10
            maps u 0:1000:1 g 0:100:1 single
            maps u 0:1000:1 g 0:100:1 single
            refused: --userns auto: switched off
            maps u 0:100000:1000,1000:1000:1,1001:101000:64536,65537:900000:10 g 0:100000:100,100:100:1,101:100100:65436,65537:900000:10
            maps u 1000:1000:1 g 100:100:1 single
            refused: --userns host: a caller who is not root cannot make a container without a user namespace
        "#]].assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn lines_of_other_users_and_broken_lines_are_passed_over() {
        let text = "ann:100000:65536\n\n1000:5:6\nbob:1:2\nann:x:1\nann:1\nann:1:2:3\nann:4294967295:2\n:1:2\nann:7:0\n";
        let ranges = parse_subids(text, "ann", 1000);
        assert_eq!(ranges, [SubIdRange { first: 100_000, count: 65_536 }, SubIdRange { first: 5, count: 6 }]);
        assert_eq!(parse_subids(text, "", 1), []);
    }

    #[test]
    fn an_id_map_is_read_from_inside() {
        assert_eq!(
            parse_id_map("         0     100000      65536\n 65536 5 1\n"),
            [SubIdRange { first: 0, count: 65_536 }, SubIdRange { first: 65_536, count: 1 }]
        );
    }
}
