//! A cgroup that systemd makes: the container's unit.
//!
//! [`Unit::find`] asks systemd what a plan depends on; the plan then has a step that starts the unit with the stage in it and with
//! `properties`, and goes on in the unit's cgroup as in one of our own: what systemd has no property for is written there.

use std::path::Path;

use cgroups::limits::{DeviceKind, DeviceRule, Limit};
use cgroups::plan::CgroupPath;
use cgroups::{Limits, Place};
use report::{Explain, Kind};
use serde::{Deserialize, Serialize};
use spec::{Map, Spec};
use systemd::names::UnitPath;
use systemd::property::mask;
use systemd::{Bus, Manager, Property, Value};

/// Whose annotations become properties: `org.systemd.property.NAME`.
const ANNOTATION: &str = "org.systemd.property.";

/// The unit that a container's cgroup is to be, and what of systemd its plan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Whose systemd makes it.
    pub bus: Bus,
    /// Its name, and the slice that it goes into.
    pub path: UnitPath,
    /// The manager's own cgroup, below which all its units are.
    pub root: String,
    /// systemd's version.
    pub version: u32,
    /// From annotations.
    pub properties: Vec<Property>,
}

/// A unit, as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUnit {
    /// A user's manager has it.
    pub user: bool,
    /// Its slice.
    pub slice: String,
    /// Its name.
    pub unit: String,
}

/// A unit cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("ask systemd for the container's cgroup")]
pub struct UnitError {
    /// Why.
    #[from]
    #[source]
    pub cause: systemd::Error,
}

impl Explain for UnitError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
    fn kind(&self) -> Kind {
        self.cause.kind()
    }
}

impl Unit {
    /// What `cgroupsPath` of the specification means below systemd, for the container `id`: root asks the system's, others their own
    /// manager. Units are called `PREFIX-ID.scope` where the specification does not say.
    ///
    /// # Errors
    /// When the path is not `SLICE:PREFIX:NAME`, an annotation is no property, or systemd cannot be reached.
    pub fn find(spec: &Spec, prefix: &str, id: &str) -> Result<Self, UnitError> {
        let bus = if is_root_of_the_host() { Bus::System } else { Bus::User };
        let path = UnitPath::parse(&spec.linux.cgroups_path, prefix, id, bus == Bus::User)?;
        let properties = from_annotations(&spec.annotations)?;
        let mut manager = Manager::connect(bus)?;
        let (root, version) = (manager.root_cgroup()?, manager.version()?);
        Ok(Self { bus, path, root, version, properties })
    }

    /// Where its cgroup is.
    ///
    /// # Errors
    /// When the path is none that we could work below.
    pub fn place(&self) -> Result<Place, cgroups::Refused> {
        CgroupPath::parse(&self.path.cgroup(&self.root)).map(Place::Mount)
    }

    /// What to remember to find it again.
    pub fn recorded(&self) -> RecordedUnit {
        RecordedUnit {
            user: self.bus == Bus::User,
            slice: self.path.slice.clone(),
            unit: self.path.unit.clone(),
        }
    }

    /// Starts it with a process in it, and waits until it is there.
    pub(crate) fn start(&self, process: i32, properties: &[Property]) -> Result<(), UnitError> {
        let processes = u32::try_from(process).into_iter().collect::<Vec<_>>();
        Ok(Manager::connect(self.bus)?.start(&self.path, &processes, properties)?)
    }
}

impl RecordedUnit {
    fn path(&self) -> (Bus, UnitPath) {
        let bus = if self.user { Bus::User } else { Bus::System };
        (bus, UnitPath { slice: self.slice.clone(), unit: self.unit.clone() })
    }

    /// Stops it, and clears away what systemd keeps of units that failed. That it is gone already is well.
    ///
    /// # Errors
    /// When systemd cannot be reached or refuses.
    pub fn stop(&self) -> Result<(), UnitError> {
        let (bus, path) = self.path();
        Ok(Manager::connect(bus)?.stop(&path)?)
    }

    /// Gives it other limits, so that systemd does not bring the old ones back when it applies its configuration again. The
    /// cgroup's own files are for the caller to write afterwards.
    ///
    /// # Errors
    /// When systemd cannot be reached or refuses.
    pub fn update(&self, limits: &Limits) -> Result<(), UnitError> {
        let (bus, path) = self.path();
        let mut manager = Manager::connect(bus)?;
        let version = manager.version()?;
        // Device rules of a running unit stay: nothing but a container's start changes them.
        let limits = Limits { devices: None, ..limits.clone() };
        Ok(manager.change(&path, &properties(&limits, version)?)?)
    }
}

/// Whether this is the host's root, and not one of a user namespace.
fn is_root_of_the_host() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    rustix::process::geteuid().is_root() && whole
}

fn from_annotations(annotations: &Map<String>) -> Result<Vec<Property>, systemd::Error> {
    annotations
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(ANNOTATION)?, value)))
        .map(|(name, value)| Property::from_annotation(name, value))
        .collect()
}

/// A container's unit in full: what it is, its limits, and what annotations ask for, which comes last.
pub(crate) fn all_properties(
    unit: &Unit,
    id: &str,
    limits: &Limits,
) -> Result<Vec<Property>, systemd::Error> {
    let mut all = vec![Property::new("Description", Value::Text(format!("container {id}")))];
    for name in ["CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"] {
        all.push(Property::new(name, Value::Bool(true)));
    }
    all.extend(properties(limits, unit.version)?);
    all.extend(unit.properties.iter().cloned());
    Ok(all)
}

/// The limits that systemd has properties for, by their names of cgroup v2, which it translates where it works on v1.
pub(crate) fn properties(limits: &Limits, version: u32) -> Result<Vec<Property>, systemd::Error> {
    let mut all = Vec::new();
    let mut amount = |name: &str, value: Option<u64>| {
        all.extend(value.map(|value| Property::new(name, Value::U64(value))));
    };
    let at = |limit: Limit| match limit {
        Limit::Unlimited => u64::MAX,
        Limit::At(value) => value,
    };
    let Limits { cpu, cpuset, memory, .. } = limits;
    amount("MemoryMax", memory.max_bytes.map(at));
    amount("MemoryLow", memory.low_bytes.map(at));
    amount("MemoryHigh", memory.high_bytes.map(at));
    amount(
        "MemorySwapMax",
        memory.memory_and_swap_max_bytes.and_then(|sum| match (sum, memory.max_bytes) {
            (Limit::Unlimited, _) => Some(u64::MAX),
            (Limit::At(sum), Some(Limit::At(memory))) => sum.checked_sub(memory),
            (Limit::At(_), _) => None,
        }),
    );
    amount("CPUWeight", cpu.weight.or_else(|| cgroups::controller::cpu::weight_from_shares(cpu.shares?)));
    let period_us = cpu.period_us.filter(|period| *period > 0);
    amount("CPUQuotaPerSecUSec", cpu.quota_us.map(|quota| per_second(quota, period_us.unwrap_or(100_000))));
    // org.freedesktop.systemd1(5), "Version information"
    if version >= 242 {
        amount("CPUQuotaPeriodUSec", period_us);
    }
    amount("TasksMax", limits.pids_max.map(at));
    let weight = limits.io.weight.filter(|weight| *weight > 0);
    amount("IOWeight", weight.map(cgroups::controller::io::weight_from_blkio));
    if version >= 244 {
        for (name, list) in [("AllowedCPUs", &cpuset.cpus), ("AllowedMemoryNodes", &cpuset.mems)] {
            if let Some(list) = list {
                all.push(Property::new(name, Value::Bytes(mask(list)?)));
            }
        }
    }
    all.extend(unified(&limits.unified, version)?);
    if let Some(rules) = &limits.devices {
        all.extend(devices(rules, &std::fs::read_to_string("/proc/devices").unwrap_or_default()));
    }
    Ok(all)
}

/// Microseconds a second, in steps of 10 ms: what systemd would round down to, and so give less than was asked for.
fn per_second(quota: Limit, period_us: u64) -> u64 {
    const STEP: u64 = 10_000;
    match quota {
        Limit::Unlimited | Limit::At(0) => u64::MAX,
        Limit::At(quota) => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period_us);
            let rounded = u64::try_from(exact).ok().and_then(|exact| exact.checked_next_multiple_of(STEP));
            rounded.unwrap_or(u64::MAX)
        }
    }
}

/// Files of cgroup v2 that are properties. The others are written to the cgroup alone.
fn unified(files: &[(String, String)], version: u32) -> Result<Vec<Property>, systemd::Error> {
    let number = |value: &str| match value.trim() {
        "max" => Some(u64::MAX),
        value => value.parse().ok(),
    };
    let mut all = Vec::new();
    for (file, value) in files {
        let name = match file.as_str() {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpuset.cpus" if version >= 244 => {
                all.push(Property::new("AllowedCPUs", Value::Bytes(mask(value)?)));
                continue;
            }
            "cpuset.mems" if version >= 244 => {
                all.push(Property::new("AllowedMemoryNodes", Value::Bytes(mask(value)?)));
                continue;
            }
            "cpu.max" => {
                let mut words = value.split_whitespace();
                let quota = words.next().and_then(number);
                let period =
                    words.next().map_or(Some(100_000), |word| word.parse().ok()).filter(|it| *it > 0);
                if let (Some(quota), Some(period)) = (quota, period) {
                    let quota = if quota == u64::MAX { Limit::Unlimited } else { Limit::At(quota) };
                    all.push(Property::new("CPUQuotaPerSecUSec", Value::U64(per_second(quota, period))));
                    if version >= 242 {
                        all.push(Property::new("CPUQuotaPeriodUSec", Value::U64(period)));
                    }
                }
                continue;
            }
            _ => continue,
        };
        all.extend(number(value).map(|value| Property::new(name, Value::U64(value))));
    }
    Ok(all)
}

/// Device rules as systemd has them: a list of what is allowed. Where rules take away again what others allow, systemd allows
/// everything, and only our own program in the cgroup decides; it decides in any case.
fn devices(rules: &[DeviceRule], known: &str) -> Vec<Property> {
    let policy = |name: &str, allowed: Vec<(String, String)>| {
        vec![
            Property::new("DevicePolicy", Value::Text(name.to_owned())),
            Property::new("DeviceAllow", Value::Pairs(allowed)),
        ]
    };
    let is_everything = |rule: &DeviceRule| {
        rule.major.is_none() && rule.minor.is_none() && rule.access == cgroups::limits::DeviceAccess::ALL
    };
    // Whatever comes before a rule on everything is void.
    let begin = rules.iter().rposition(|rule| rule.kind == DeviceKind::Any && is_everything(rule));
    let (begins_open, rest) = match begin {
        Some(at) => (rules[at].allow, &rules[at + 1..]),
        None => (false, rules),
    };
    if begins_open || rest.iter().any(|rule| !rule.allow) {
        return policy("auto", Vec::new());
    }
    let mut allowed = Vec::new();
    for rule in rest {
        let kinds: &[&str] = match rule.kind {
            DeviceKind::Any => &["char", "block"],
            DeviceKind::Char => &["char"],
            DeviceKind::Block => &["block"],
        };
        for kind in kinds {
            let device = match (rule.major, rule.minor) {
                (None, None) => format!("{kind}-*"),
                (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
                (Some(major), None) => match group(known, kind, major) {
                    Some(name) => format!("{kind}-{name}"),
                    // No driver has this number: there is nothing to allow.
                    None => continue,
                },
                // systemd cannot say it, and must not forbid it.
                (None, Some(_)) => return policy("auto", Vec::new()),
            };
            allowed.push((device, rule.access.to_string()));
        }
    }
    policy("strict", allowed)
}

/// The name of a major number in `/proc/devices`.
fn group<'a>(known: &'a str, kind: &str, major: u32) -> Option<&'a str> {
    let heading = if kind == "char" { "Character devices:" } else { "Block devices:" };
    let lines = known.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (number, name) = line.trim().split_once(' ')?;
        (number.parse() == Ok(major)).then_some(name.trim())
    })
}

/// Whether systemd is process 1 here (sd_booted(3)).
pub fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgroups::limits::{CpuLimits, CpusetLimits, DeviceAccess, MemoryLimits};
    use expect_test::{Expect, expect};

    fn check(limits: &Limits, version: u32, expected: Expect) {
        let shown = properties(limits, version)
            .unwrap()
            .into_iter()
            .map(|property| format!("{} {:?}\n", property.name, property.value))
            .collect::<String>();
        expected.assert_eq(&shown);
    }

    #[test]
    fn limits_become_properties() {
        let limits = Limits {
            cpu: CpuLimits {
                shares: Some(2048),
                quota_us: Some(Limit::At(15_000)),
                period_us: Some(20_000),
                ..CpuLimits::default()
            },
            cpuset: CpusetLimits { cpus: Some("0-2".to_owned()), mems: None },
            memory: MemoryLimits {
                max_bytes: Some(Limit::At(64)),
                memory_and_swap_max_bytes: Some(Limit::At(96)),
                ..MemoryLimits::default()
            },
            pids_max: Some(Limit::Unlimited),
            ..Limits::default()
        };
        check(
            &limits,
            252,
            expect![[r#"
            MemoryMax U64(64)
            MemorySwapMax U64(32)
            CPUWeight U64(174)
            CPUQuotaPerSecUSec U64(750000)
            CPUQuotaPeriodUSec U64(20000)
            TasksMax U64(18446744073709551615)
            AllowedCPUs Bytes([7])
        "#]],
        );
        // Older ones lack some; the cgroup's files have them all the same.
        check(&Limits { cpuset: limits.cpuset, ..Limits::default() }, 239, expect![[r#""#]]);
    }

    #[test]
    fn files_of_cgroup_v2_are_properties_where_there_is_one() {
        let files =
            [("memory.high", "5"), ("cpu.max", "max 50000"), ("memory.oom.group", "1"), ("pids.max", "max")];
        let unified = files.iter().map(|(file, value)| (file.to_string(), value.to_string())).collect();
        check(
            &Limits { unified, ..Limits::default() },
            252,
            expect![[r#"
            MemoryHigh U64(5)
            CPUQuotaPerSecUSec U64(18446744073709551615)
            CPUQuotaPeriodUSec U64(50000)
            TasksMax U64(18446744073709551615)
        "#]],
        );
    }

    #[test]
    fn a_quota_is_rounded_up_to_what_systemd_keeps() {
        assert_eq!(per_second(Limit::At(1), 100_000), 10_000);
        assert_eq!(per_second(Limit::At(50_000), 100_000), 500_000);
        assert_eq!(per_second(Limit::At(u64::MAX), 1), u64::MAX);
        assert_eq!(per_second(Limit::Unlimited, 7), u64::MAX);
    }

    #[test]
    fn device_rules_become_a_list_or_are_left_to_our_program() {
        let known = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
        let rule =
            |allow, kind, major, minor| DeviceRule { allow, kind, major, minor, access: DeviceAccess::ALL };
        let show = |rules: &[DeviceRule]| {
            format!("{:?}", devices(rules, known).iter().map(|it| &it.value).collect::<Vec<_>>())
        };
        let (any, char, block) = (DeviceKind::Any, DeviceKind::Char, DeviceKind::Block);
        let strict = [
            rule(false, any, None, None),
            rule(true, char, Some(1), Some(3)),
            rule(true, char, Some(136), None),
            rule(true, block, Some(9), None),
        ];
        expect![[r#"[Text("strict"), Pairs([("/dev/char/1:3", "rwm"), ("char-pts", "rwm")])]"#]]
            .assert_eq(&show(&strict));
        let auto = r#"[Text("auto"), Pairs([])]"#;
        assert_eq!(show(&[rule(true, any, None, None)]), auto);
        assert_eq!(show(&[rule(true, char, None, None), rule(false, char, Some(1), Some(1))]), auto);
    }

    #[test]
    fn annotations_of_others_are_left_alone() {
        let annotations = [("org.systemd.property.CollectMode", "'inactive'"), ("io.podman.x", "(")];
        let annotations: Map<String> =
            annotations.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let found = from_annotations(&annotations).unwrap();
        assert_eq!(found, [Property::new("CollectMode", Value::Text("inactive".to_owned()))]);
    }
}
