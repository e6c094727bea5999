//! Mount options, from words to what the kernel is told.
//!
//! [`parse`] takes the options of one mount; start reading there. Every word belongs to one of four: the mount
//! itself (`MOUNT_ATTR_*` for mount_setattr(2)), its superblock, its place in the tree (bind, propagation, id
//! mapping), or the filesystem, which gets whatever nobody else knows. What the kernel can do is not judged here.
//! Source: config.md of the OCI runtime specification 1.3, "Linux mount options"; mount(8).

use crate::config::Mount;
use crate::linux::Propagation;
use report::{Explain, Kind};

/// Attributes of a mount, for fsmount(2) and mount_setattr(2) (Linux 5.12).
pub mod attr {
    /// `MOUNT_ATTR_RDONLY`
    pub const RDONLY: u64 = 0x1;
    /// `MOUNT_ATTR_NOSUID`
    pub const NOSUID: u64 = 0x2;
    /// `MOUNT_ATTR_NODEV`
    pub const NODEV: u64 = 0x4;
    /// `MOUNT_ATTR_NOEXEC`
    pub const NOEXEC: u64 = 0x8;
    /// `MOUNT_ATTR__ATIME`: the field that holds one of the three below.
    pub const ATIME: u64 = 0x70;
    /// `MOUNT_ATTR_RELATIME`
    pub const RELATIME: u64 = 0x0;
    /// `MOUNT_ATTR_NOATIME`
    pub const NOATIME: u64 = 0x10;
    /// `MOUNT_ATTR_STRICTATIME`
    pub const STRICTATIME: u64 = 0x20;
    /// `MOUNT_ATTR_NODIRATIME`
    pub const NODIRATIME: u64 = 0x80;
    /// `MOUNT_ATTR_NOSYMFOLLOW` (Linux 5.14)
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// Flags of a superblock, with the numbers mount(2) has for them.
pub mod superblock {
    /// `MS_RDONLY`
    pub const RDONLY: u64 = 1;
    /// `MS_SYNCHRONOUS`
    pub const SYNCHRONOUS: u64 = 1 << 4;
    /// `MS_MANDLOCK`; without effect since Linux 5.15.
    pub const MANDLOCK: u64 = 1 << 6;
    /// `MS_DIRSYNC`
    pub const DIRSYNC: u64 = 1 << 7;
    /// `MS_SILENT`
    pub const SILENT: u64 = 1 << 15;
    /// `MS_I_VERSION`
    pub const I_VERSION: u64 = 1 << 23;
    /// `MS_LAZYTIME`
    pub const LAZYTIME: u64 = 1 << 25;

    /// The keys of `FSCONFIG_SET_FLAG` for the flags in `set` and `clear` that fsconfig(2) has any for;
    /// `SILENT` and `I_VERSION` have none.
    pub fn fsconfig_keys(set: u64, clear: u64) -> impl Iterator<Item = &'static str> {
        const KEYS: [(u64, &str, &str); 5] = [
            (RDONLY, "ro", "rw"),
            (SYNCHRONOUS, "sync", "async"),
            (MANDLOCK, "mand", "nomand"),
            (DIRSYNC, "dirsync", ""),
            (LAZYTIME, "lazytime", "nolazytime"),
        ];
        KEYS.into_iter().filter_map(move |(flag, on, off)| {
            if set & flag != 0 {
                Some(on)
            } else if clear & flag != 0 && !off.is_empty() {
                Some(off)
            } else {
                None
            }
        })
    }
}

/// Bits to set and bits to clear; a bit is in one of them at most, except that [`attr::ATIME`] is cleared whenever
/// one of its values is set, as mount_setattr(2) wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// The bits to set.
    pub set: u64,
    /// The bits to clear.
    pub clear: u64,
}

impl Change {
    /// Whether there is nothing to do.
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }

    fn set(&mut self, bits: u64) {
        self.set |= bits;
        self.clear &= !bits;
    }

    fn clear(&mut self, bits: u64) {
        self.set &= !bits;
        self.clear |= bits;
    }

    fn atime(&mut self, value: u64) {
        self.set = self.set & !attr::ATIME | value;
        self.clear |= attr::ATIME;
    }

    /// `norelatime` and `nostrictatime`: they take back what came before and say nothing on their own.
    fn not_atime(&mut self, value: u64) {
        if self.clear & attr::ATIME != 0 && self.set & attr::ATIME == value {
            self.set &= !attr::ATIME;
        }
    }
}

/// A bind mount: of one mount, or of everything below it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bind {
    /// `bind`
    One,
    /// `rbind`
    Recursive,
}

/// An id-mapped mount (Linux 5.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdMap {
    /// `idmap`
    One,
    /// `ridmap`
    Recursive,
}

/// What the options of one mount ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountOptions {
    /// Whether it is a bind mount.
    pub bind: Option<Bind>,
    /// Whether an existing mount is changed instead.
    pub remount: bool,
    /// Attributes ([`attr`]) of the mount alone.
    pub attributes: Change,
    /// Attributes ([`attr`]) of the mount and all below it (`AT_RECURSIVE`), after [`attributes`](Self::attributes).
    pub recursive: Change,
    /// Flags of the superblock ([`superblock`]). `ro` is here and in the attributes, as mount(2) has it; a bind
    /// mount shares its superblock with others, so there this is empty.
    pub superblock: Change,
    /// Changes of propagation, in this order, after the mount is made.
    pub propagation: Vec<Propagation>,
    /// Whether it is id-mapped.
    pub idmap: Option<IdMap>,
    /// Whether a tmpfs is filled with what it covers.
    pub tmpcopyup: bool,
    /// What the filesystem is told, for fsconfig(2): a flag, or a key with its value.
    pub data: Vec<(String, Option<String>)>,
}

impl MountOptions {
    /// Whether it is a bind mount.
    pub fn is_bind(&self) -> bool {
        self.bind.is_some()
    }
}

/// An option that has no place on this mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` {wrong}")]
pub struct OptionRefused {
    /// Its place in the list.
    pub index: usize,
    /// The option.
    pub option: String,
    /// What is wrong with it, and what would be right.
    pub wrong: &'static str,
}

impl Explain for OptionRefused {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// What the options of `mount` ask for. The later of two that contradict wins.
///
/// ```
/// use spec::mount_options::{attr, parse, Bind};
///
/// let mut mount = spec::Mount { source: "/srv".into(), ..Default::default() };
/// mount.options = ["rbind", "nosuid", "rro"].map(String::from).to_vec();
/// let options = parse(&mount)?;
/// assert_eq!(options.bind, Some(Bind::Recursive));
/// assert_eq!((options.attributes.set, options.recursive.set), (attr::NOSUID, attr::RDONLY));
/// # Ok::<(), spec::mount_options::OptionRefused>(())
/// ```
///
/// # Errors
/// [`OptionRefused`] for an id mapping on what is not a bind mount, for `tmpcopyup` on what is not a tmpfs, and for
/// filesystem options on a bind mount: the kernel would ignore them.
pub fn parse(mount: &Mount) -> Result<MountOptions, OptionRefused> {
    let mut parsed = MountOptions {
        // Docker's documents say `type: bind` and `rbind`; ones written by hand often only the former.
        bind: match mount.fstype.as_str() {
            "bind" => Some(Bind::One),
            "rbind" => Some(Bind::Recursive),
            _ => None,
        },
        ..MountOptions::default()
    };
    let (mut idmap_at, mut copyup_at, mut data_at) = (None, None, None);
    for (index, option) in mount.options.iter().enumerate() {
        match option.as_str() {
            "idmap" | "ridmap" => idmap_at = Some(index),
            "tmpcopyup" => copyup_at = Some(index),
            _ => {}
        }
        // None of those known here has a value.
        if !option.contains('=') && take_known(&mut parsed, option) || is_for_user_space(option) {
            continue;
        }
        data_at = data_at.or(Some(index));
        push_data(&mut parsed.data, option);
    }
    let refused = |index: usize, wrong| OptionRefused { index, option: mount.options[index].clone(), wrong };
    if parsed.is_bind() {
        parsed.superblock = Change::default();
        if let Some(index) = data_at {
            return Err(refused(
                index,
                "is for a filesystem; a bind mount takes none, or the kernel would ignore it",
            ));
        }
    } else if let Some(index) = idmap_at {
        return Err(refused(index, "is for bind mounts only; add `bind` or `rbind`"));
    }
    if let Some(index) = copyup_at
        && (parsed.is_bind() || mount.fstype != "tmpfs")
    {
        return Err(refused(index, "is for mounts of type `tmpfs` only"));
    }
    Ok(parsed)
}

/// Takes an option that is not for the filesystem; false when it is none of those.
fn take_known(to: &mut MountOptions, option: &str) -> bool {
    if let Some(propagation) = Propagation::from_name(option) {
        to.propagation.push(propagation);
        return true;
    }
    take_attribute(&mut to.attributes, option)
        || option.strip_prefix('r').is_some_and(|rest| take_recursive(&mut to.recursive, rest))
        || take_other(to, option)
}

fn take_recursive(change: &mut Change, rest: &str) -> bool {
    match rest {
        "ro" => change.set(attr::RDONLY),
        "rw" => change.clear(attr::RDONLY),
        _ => return take_attribute(change, rest),
    }
    true
}

fn take_attribute(change: &mut Change, option: &str) -> bool {
    match option {
        "nosuid" => change.set(attr::NOSUID),
        "suid" => change.clear(attr::NOSUID),
        "nodev" => change.set(attr::NODEV),
        "dev" => change.clear(attr::NODEV),
        "noexec" => change.set(attr::NOEXEC),
        "exec" => change.clear(attr::NOEXEC),
        "nodiratime" => change.set(attr::NODIRATIME),
        "diratime" => change.clear(attr::NODIRATIME),
        "nosymfollow" => change.set(attr::NOSYMFOLLOW),
        "symfollow" => change.clear(attr::NOSYMFOLLOW),
        "relatime" | "atime" => change.atime(attr::RELATIME),
        "noatime" => change.atime(attr::NOATIME),
        "strictatime" => change.atime(attr::STRICTATIME),
        "norelatime" => change.not_atime(attr::RELATIME),
        "nostrictatime" => change.not_atime(attr::STRICTATIME),
        _ => return false,
    }
    true
}

fn take_other(to: &mut MountOptions, option: &str) -> bool {
    match option {
        "ro" => {
            to.attributes.set(attr::RDONLY);
            to.superblock.set(superblock::RDONLY);
        }
        "rw" => {
            to.attributes.clear(attr::RDONLY);
            to.superblock.clear(superblock::RDONLY);
        }
        "sync" => to.superblock.set(superblock::SYNCHRONOUS),
        "async" => to.superblock.clear(superblock::SYNCHRONOUS),
        "dirsync" => to.superblock.set(superblock::DIRSYNC),
        "mand" => to.superblock.set(superblock::MANDLOCK),
        "nomand" => to.superblock.clear(superblock::MANDLOCK),
        "silent" => to.superblock.set(superblock::SILENT),
        "loud" => to.superblock.clear(superblock::SILENT),
        "iversion" => to.superblock.set(superblock::I_VERSION),
        "noiversion" => to.superblock.clear(superblock::I_VERSION),
        "lazytime" => to.superblock.set(superblock::LAZYTIME),
        "nolazytime" => to.superblock.clear(superblock::LAZYTIME),
        "defaults" => {}
        "bind" => to.bind = to.bind.max(Some(Bind::One)),
        "rbind" => to.bind = Some(Bind::Recursive),
        "remount" => to.remount = true,
        "idmap" => to.idmap = to.idmap.max(Some(IdMap::One)),
        "ridmap" => to.idmap = Some(IdMap::Recursive),
        "tmpcopyup" => to.tmpcopyup = true,
        _ => return false,
    }
    true
}

/// Options that mount(8) keeps to itself: they are for fstab(5), and no filesystem knows them.
fn is_for_user_space(option: &str) -> bool {
    matches!(option, "" | "auto" | "noauto" | "nofail" | "_netdev")
        || option.starts_with("x-")
        || option.starts_with("X-")
        || option.starts_with("comment=")
}

/// Adds what is for the filesystem. mount(2) takes one text with commas, so an option may hold several; fsconfig(2)
/// takes them one by one. An SELinux context has commas of its own and stands in quotes that only mount(2) wants.
fn push_data(data: &mut Vec<(String, Option<String>)>, option: &str) {
    if let Some((key, value)) = option.split_once('=')
        && matches!(key, "context" | "fscontext" | "defcontext" | "rootcontext")
    {
        data.push((key.to_owned(), Some(value.trim_matches('"').to_owned())));
        return;
    }
    for part in split_at_commas(option).filter(|part| !part.is_empty()) {
        data.push(match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (part.to_owned(), None),
        });
    }
}

/// The parts between commas; a comma after a backslash is part of a value (overlay's `lowerdir`).
fn split_at_commas(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |character| {
        let splits = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        splits
    })
}

/// Every option that does not go to the filesystem, sorted: what `features` prints as `mountOptions`.
#[rustfmt::skip]
pub const KNOWN: &[&str] = &[
    "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap", "iversion", "lazytime",
    "loud", "mand", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime", "nomand", "norelatime",
    "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime", "relatime",
    "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime",
    "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime",
    "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid", "symfollow",
    "sync", "tmpcopyup", "unbindable",
];

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn mount(fstype: &str, options: &str) -> Mount {
        let options = options.split_whitespace().map(String::from).collect();
        Mount { fstype: fstype.into(), options, ..Mount::default() }
    }

    fn check(fstype: &str, options: &str, expected: Expect) {
        let text = match parse(&mount(fstype, options)) {
            Ok(parsed) => show(&parsed),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&text);
    }

    fn show(options: &MountOptions) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name} {value}\n"));
        if let Some(bind) = options.bind {
            line("bind", format!("{bind:?}"));
        }
        if options.remount {
            line("remount", String::new());
        }
        for (name, change) in
            [("attr", options.attributes), ("rec", options.recursive), ("sb", options.superblock)]
        {
            if !change.is_empty() {
                line(name, format!("+{:#x} -{:#x}", change.set, change.clear));
            }
        }
        if !options.propagation.is_empty() {
            line("propagation", format!("{:?}", options.propagation));
        }
        if let Some(idmap) = options.idmap {
            line("idmap", format!("{idmap:?}"));
        }
        if options.tmpcopyup {
            line("tmpcopyup", String::new());
        }
        for (key, value) in &options.data {
            line("data", format!("{key} {value:?}"));
        }
        text
    }

    #[test]
    fn words_for_the_filesystem_are_its_data() {
        check(
            "tmpfs",
            "nosuid strictatime mode=755 size=65536k",
            expect![[r#"
            attr +0x22 -0x70
            data mode Some("755")
            data size Some("65536k")
        "#]],
        );
    }

    #[test]
    fn ro_is_of_the_mount_and_of_its_superblock() {
        check(
            "sysfs",
            "ro",
            expect![[r#"
            attr +0x1 -0x0
            sb +0x1 -0x0
        "#]],
        );
    }

    #[test]
    fn a_bind_mount_leaves_the_superblock_alone() {
        check(
            "none",
            "rbind ro sync",
            expect![[r#"
            bind Recursive
            attr +0x1 -0x0
        "#]],
        );
    }

    #[test]
    fn the_later_of_two_contradicting_options_wins() {
        check(
            "tmpfs",
            "ro rw nosuid suid noatime atime sync async",
            expect![[r#"
            attr +0x0 -0x73
            sb +0x0 -0x11
        "#]],
        );
    }

    #[test]
    fn recursive_options_are_apart() {
        check(
            "bind",
            "rbind rro rnosuid rnoatime rslave",
            expect![[r#"
            bind Recursive
            rec +0x13 -0x70
            propagation [Rslave]
        "#]],
        );
    }

    #[test]
    fn an_option_with_commas_is_several() {
        check(
            "tmpfs",
            "mode=755,size=1m",
            expect![[r#"
            data mode Some("755")
            data size Some("1m")
        "#]],
        );
        check(
            "overlay",
            r"lowerdir=/a\,b,upperdir=/u",
            expect![[r#"
            data lowerdir Some("/a\\,b")
            data upperdir Some("/u")
        "#]],
        );
    }

    #[test]
    fn an_selinux_context_keeps_its_commas_and_loses_its_quotes() {
        check(
            "tmpfs",
            "context=\"u:r:t:s0:c1,c2\"",
            expect![[r#"
            data context Some("u:r:t:s0:c1,c2")
        "#]],
        );
    }

    #[test]
    fn options_of_fstab_go_nowhere() {
        check("tmpfs", "defaults nofail _netdev x-systemd.automount", expect![""]);
    }

    #[test]
    fn options_that_would_have_no_effect_are_refused() {
        check(
            "none",
            "bind size=1m",
            expect![[r#"
            option `size=1m` is for a filesystem; a bind mount takes none, or the kernel would ignore it
        "#]],
        );
        check(
            "tmpfs",
            "idmap",
            expect![[r#"
            option `idmap` is for bind mounts only; add `bind` or `rbind`
        "#]],
        );
        check(
            "proc",
            "tmpcopyup",
            expect![[r#"
            option `tmpcopyup` is for mounts of type `tmpfs` only
        "#]],
        );
    }

    #[test]
    fn no_known_option_reaches_the_filesystem() {
        assert!(KNOWN.is_sorted());
        for option in KNOWN {
            assert!(take_known(&mut MountOptions::default(), option), "{option}");
        }
    }

    #[test]
    fn no_option_is_known_by_accident() {
        for option in ["rnofail", "rsync", "rdefaults", "r", "rrro", "o", "RO", "rrbind", "mode", "acl"] {
            assert!(!take_known(&mut MountOptions::default(), option), "{option}");
        }
    }

    #[test]
    fn superblock_flags_have_keys() {
        let keys: Vec<_> =
            superblock::fsconfig_keys(superblock::RDONLY | superblock::DIRSYNC, superblock::LAZYTIME)
                .collect();
        assert_eq!(keys, ["ro", "dirsync", "nolazytime"]);
    }
}
