//! Device rules as v1 takes them: a default and exceptions from it.

use crate::error::Refused;
use crate::limits::{DeviceAccess, DeviceKind, DeviceRule};
use crate::write::Write;

/// What to write into a new group, whatever its parent allows.
///
/// # Errors
/// When a rule takes something out of a wider one: v1 has exceptions, but no exceptions from them, and would
/// silently keep the wider rule.
pub fn writes(rules: &[DeviceRule]) -> Result<Vec<Write>, Refused> {
    let list = List::from_rules(rules)?;
    let mut writes =
        vec![Write::new(if list.allow_by_default { "devices.allow" } else { "devices.deny" }, "a")];
    let file = if list.allow_by_default { "devices.deny" } else { "devices.allow" };
    writes.extend(list.exceptions.iter().map(|exception| Write::new(file, exception.text())));
    Ok(writes)
}

/// What to write into a group whose `devices.list` reads `current`, so that nothing that stays allowed is denied
/// for a moment.
///
/// # Errors
/// As [`writes`].
pub fn transition(current: &str, rules: &[DeviceRule]) -> Result<Vec<Write>, Refused> {
    let target = List::from_rules(rules)?;
    let now = match List::parse(current) {
        Some(now) if !target.allow_by_default => now,
        // The text does not tell the exceptions of a group that allows by default.
        _ => return writes(rules),
    };
    let mut writes = Vec::new();
    for wanted in &target.exceptions {
        let has = now.exceptions.iter().find(|has| has.same_devices(wanted));
        let missing = has.map_or(wanted.access, |has| minus(wanted.access, has.access));
        if !is_none(missing) {
            writes.push(Write::new("devices.allow", Exception { access: missing, ..*wanted }.text()));
        }
    }
    for has in &now.exceptions {
        let wanted = target.exceptions.iter().find(|wanted| wanted.same_devices(has));
        let surplus = wanted.map_or(has.access, |wanted| minus(has.access, wanted.access));
        if !is_none(surplus) {
            writes.push(Write::new("devices.deny", Exception { access: surplus, ..*has }.text()));
        }
    }
    Ok(writes)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    kind: DeviceKind,
    major: Option<u32>,
    minor: Option<u32>,
    access: DeviceAccess,
}

impl Exception {
    fn same_devices(&self, other: &Self) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: Option<u32>, two: Option<u32>| one.is_none() || two.is_none() || one == two;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }

    /// `c 1:3 rwm`.
    fn text(&self) -> String {
        let kind = match self.kind {
            DeviceKind::Any => 'a',
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        format!("{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

/// What the kernel holds for a v1 group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    allow_by_default: bool,
    exceptions: Vec<Exception>,
}

impl List {
    fn from_rules(rules: &[DeviceRule]) -> Result<Self, Refused> {
        let mut list = Self { allow_by_default: false, exceptions: Vec::new() };
        for rule in rules {
            let everything = (DeviceKind::Any, None, None) == (rule.kind, rule.major, rule.minor);
            if everything && rule.access == DeviceAccess::ALL {
                list = Self { allow_by_default: rule.allow, exceptions: Vec::new() };
                continue;
            }
            // v1 reads `a` as all devices and all access, whatever else the line says.
            let kinds: &[_] = match &rule.kind {
                DeviceKind::Any => &[DeviceKind::Char, DeviceKind::Block],
                DeviceKind::Char => &[DeviceKind::Char],
                DeviceKind::Block => &[DeviceKind::Block],
            };
            for &kind in kinds {
                let these = Exception { kind, major: rule.major, minor: rule.minor, access: rule.access };
                if rule.allow == list.allow_by_default {
                    list.except_no_longer(&these)?;
                } else {
                    list.except(these);
                }
            }
        }
        if !list.allow_by_default {
            list.widen();
        }
        Ok(list)
    }

    fn except(&mut self, new: Exception) {
        match self.exceptions.iter_mut().find(|old| old.same_devices(&new)) {
            Some(old) => old.access = union(old.access, new.access),
            None => self.exceptions.push(new),
        }
    }

    fn except_no_longer(&mut self, these: &Exception) -> Result<(), Refused> {
        for old in &mut self.exceptions {
            if these.covers(old) {
                old.access = minus(old.access, these.access);
            } else if these.overlaps(old) && minus(old.access, these.access) != old.access {
                let why = format!(
                    "cgroup v1 cannot take `{}` out of the wider rule `{}` before it",
                    these.text(),
                    old.text()
                );
                return Err(Refused::value("devices", why));
            }
        }
        self.exceptions.retain(|old| !is_none(old.access));
        Ok(())
    }

    /// The kernel wants one exception that has all the access of an open(2); so a narrow one gets what a wider
    /// one gives anyway.
    fn widen(&mut self) {
        let before = self.exceptions.clone();
        for exception in &mut self.exceptions {
            let wider = before.iter().filter(|wider| wider.covers(exception));
            exception.access = wider.fold(exception.access, |access, wider| union(access, wider.access));
        }
    }

    /// The list in `devices.list`; `None` if it allows by default or is not understood.
    fn parse(text: &str) -> Option<Self> {
        let mut exceptions = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let kind = match words.next()? {
                "c" => DeviceKind::Char,
                "b" => DeviceKind::Block,
                _ => return None,
            };
            let (major, minor) = words.next()?.split_once(':')?;
            let number = |text: &str| match text {
                "*" => Some(None),
                number => number.parse().ok().map(Some),
            };
            let access = DeviceAccess::parse(words.next()?)?;
            exceptions.push(Exception { kind, major: number(major)?, minor: number(minor)?, access });
        }
        Some(Self { allow_by_default: false, exceptions })
    }
}

fn union(one: DeviceAccess, two: DeviceAccess) -> DeviceAccess {
    DeviceAccess { read: one.read || two.read, write: one.write || two.write, mknod: one.mknod || two.mknod }
}

fn minus(one: DeviceAccess, two: DeviceAccess) -> DeviceAccess {
    DeviceAccess {
        read: one.read && !two.read,
        write: one.write && !two.write,
        mknod: one.mknod && !two.mknod,
    }
}

fn is_none(access: DeviceAccess) -> bool {
    !(access.read || access.write || access.mknod)
}
