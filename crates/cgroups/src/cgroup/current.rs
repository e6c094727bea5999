//! The limits that a group has, in the words of [`crate::words`], whichever version holds them.

use super::{Cgroup, Group};
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::units::show_bytes;
use crate::words::weight_from_shares;

impl Cgroup {
    /// Every limit that can be read, as word and value; a value can be given to [`crate::words::Wish::add`] again.
    /// Device rules of v2 are a program and cannot be read back.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn current(&self) -> Result<Vec<(String, String)>, Error> {
        let mut all = Found(Vec::new());
        if let Some(group) = self.serving(Controller::Memory) {
            all.memory(group)?;
        }
        if let Some(group) = self.serving(Controller::Cpu) {
            all.cpu(group)?;
        }
        if let Some(group) = self.serving(Controller::Cpuset) {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // What v2 leaves empty is what the group above has.
                let own = group.text(file)?.filter(|text| !text.trim().is_empty());
                let effective = if own.is_none() { group.text(&format!("{file}.effective"))? } else { None };
                all.add(file, own.or(effective).map(|text| text.trim().to_owned()));
            }
        }
        if let Some(group) = self.serving(Controller::Pids) {
            all.add("pids.max", group.text("pids.max")?.map(|text| text.trim().to_owned()));
        }
        if let Some(group) = self.serving(Controller::Io) {
            all.io(group)?;
        }
        if let Some(group) = self.serving(Controller::Devices).filter(|group| group.version == Version::V1) {
            all.add("devices", group.text("devices.list")?.map(|text| device_words(&text)));
        }
        for stats in self.hugetlb_stats()? {
            let max = stats.max_bytes.map_or("max".to_owned(), show_bytes);
            all.add(&format!("hugetlb.{}.max", stats.page_size), Some(max));
        }
        if let Some(group) = self.serving(Controller::NetCls) {
            let class = group.number("net_cls.classid")?.map(|id| format!("{:x}:{:x}", id >> 16, id & 0xffff));
            all.add("net_cls.classid", class);
        }
        if let Some(group) = self.serving(Controller::NetPrio) {
            let text = group.text("net_prio.ifpriomap")?.unwrap_or_default();
            for line in text.lines().filter(|line| !line.ends_with(" 0")) {
                all.add("net_prio", line.split_once(' ').map(|(interface, priority)| format!("{interface}:{priority}")));
            }
        }
        Ok(all.0)
    }
}

struct Found(Vec<(String, String)>);

impl Found {
    fn add(&mut self, word: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (word.to_owned(), value)));
    }

    fn memory(&mut self, group: &Group) -> Result<(), Error> {
        let bytes = |limit: Option<u64>| limit.map_or("max".to_owned(), show_bytes);
        let there = |file: &str| Ok::<_, Error>(group.text(file)?.is_some());
        let pairs: &[(&str, &str)] = match group.version {
            Version::V1 => &[("memory.max", "memory.limit_in_bytes"), ("memory.low", "memory.soft_limit_in_bytes")],
            Version::V2 => &[
                ("memory.max", "memory.max"),
                ("memory.high", "memory.high"),
                ("memory.low", "memory.low"),
                ("memory.min", "memory.min"),
                ("memory.swap.max", "memory.swap.max"),
            ],
        };
        for (word, file) in pairs {
            if there(file)? {
                let limit = group.limit(file)?;
                // No soft limit on v1 is what 0 is on v2: nothing is protected.
                let value = if *word == "memory.low" && limit.is_none() { "0".to_owned() } else { bytes(limit) };
                self.add(word, Some(value));
            }
        }
        if group.version == Version::V1 {
            if there("memory.memsw.limit_in_bytes")? {
                let both = group.limit("memory.memsw.limit_in_bytes")?;
                let max = group.limit("memory.limit_in_bytes")?;
                let swap = both.zip(max).map(|(both, max)| both.saturating_sub(max));
                self.add("memory.swap.max", Some(bytes(swap)));
            }
            self.add("memory.swappiness", group.number("memory.swappiness")?.map(|it| it.to_string()));
        }
        Ok(())
    }

    fn cpu(&mut self, group: &Group) -> Result<(), Error> {
        let (quota, period, weight, burst) = match group.version {
            Version::V1 => (
                group.number("cpu.cfs_quota_us")?,
                group.number("cpu.cfs_period_us")?,
                group.number("cpu.shares")?.map(weight_from_shares),
                group.number("cpu.cfs_burst_us")?,
            ),
            Version::V2 => {
                let text = group.text("cpu.max")?.unwrap_or_default();
                let mut words = text.split_ascii_whitespace().map(str::parse);
                let (quota, period) = (words.next().and_then(Result::ok), words.next().and_then(Result::ok));
                (quota, period, group.number("cpu.weight")?, group.number("cpu.max.burst")?)
            }
        };
        if let Some(period) = period {
            self.add("cpu.max", Some(cpu_max(quota, period)));
        }
        self.add("cpu.burst", burst.map(|us| format!("{us}us")));
        // The weight of an idle group reads as 0 or as something that means nothing.
        let idle = group.number("cpu.idle")?;
        self.add("cpu.weight", weight.filter(|_| idle != Some(1)).map(|weight| weight.to_string()));
        self.add("cpu.idle", idle.map(|idle| idle.to_string()));
        Ok(())
    }

    fn io(&mut self, group: &Group) -> Result<(), Error> {
        match group.version {
            Version::V2 => {
                for line in group.text("io.max")?.unwrap_or_default().lines() {
                    self.add("io.max", line.split_once(' ').map(|(device, rates)| {
                        format!("{device}:{}", rates.trim().replace(' ', ","))
                    }));
                }
                for file in ["io.bfq.weight", "io.weight"] {
                    let text = group.text(file)?.unwrap_or_default();
                    for line in text.lines().filter(|_| file == "io.weight" || !text.is_empty()) {
                        let (device, weight) = line.split_once(' ').unwrap_or(("default", line));
                        let value = if device == "default" { weight.to_owned() } else { format!("{device}:{weight}") };
                        self.add("io.weight", Some(value));
                    }
                    if !text.is_empty() {
                        break;
                    }
                }
            }
            Version::V1 => {
                let mut devices: Vec<(String, Vec<String>)> = Vec::new();
                for (file, key) in [
                    ("blkio.throttle.read_bps_device", "rbps"),
                    ("blkio.throttle.write_bps_device", "wbps"),
                    ("blkio.throttle.read_iops_device", "riops"),
                    ("blkio.throttle.write_iops_device", "wiops"),
                ] {
                    let text = group.text(file)?.unwrap_or_default();
                    for (device, value) in text.lines().filter_map(|line| line.split_once(' ')) {
                        let rate = format!("{key}={value}");
                        match devices.iter_mut().find(|(known, _)| known == device) {
                            Some((_, rates)) => rates.push(rate),
                            None => devices.push((device.to_owned(), vec![rate])),
                        }
                    }
                }
                for (device, rates) in devices {
                    self.add("io.max", Some(format!("{device}:{}", rates.join(","))));
                }
                self.add("io.weight", group.number("blkio.bfq.weight")?.map(|weight| weight.to_string()));
            }
        }
        Ok(())
    }
}

/// `1.5` where that is exact, else `QUOTAus/PERIODus`.
fn cpu_max(quota_us: Option<u64>, period_us: u64) -> String {
    match quota_us {
        None => "max".to_owned(),
        Some(quota) if period_us == 100_000 && quota.is_multiple_of(1000) => {
            let text = format!("{}.{:02}", quota / 100_000, quota / 1000 % 100);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Some(quota) => format!("{quota}us/{period_us}us"),
    }
}

/// `devices.list` of v1 as rules: `a *:* rwm` is everything.
fn device_words(text: &str) -> String {
    let rules: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
            Some(if kind == "a" { "+all".to_owned() } else { format!("+{kind}:{numbers}:{access}") })
        })
        .collect();
    if rules.is_empty() { "-all".to_owned() } else { rules.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_limits_read_as_they_are_typed() {
        assert_eq!(cpu_max(None, 100_000), "max");
        assert_eq!(cpu_max(Some(150_000), 100_000), "1.5");
        assert_eq!(cpu_max(Some(200_000), 100_000), "2");
        assert_eq!(cpu_max(Some(1000), 100_000), "0.01");
        assert_eq!(cpu_max(Some(20_000), 50_000), "20000us/50000us");
        assert_eq!(cpu_max(Some(1500), 100_000), "1500us/100000us");
    }

    #[test]
    fn device_lists_read_as_rules() {
        assert_eq!(device_words("a *:* rwm\n"), "+all");
        assert_eq!(device_words("c 1:3 rwm\nb 8:* r\n"), "+c:1:3:rwm,+b:8:*:r");
        assert_eq!(device_words(""), "-all");
    }
}
