//! Changing the limits of a group that is in use.

use super::Cgroup;
use crate::controller::{self, devices, memory};
use crate::error::{Error, Refused, Why};
use crate::layout::{Controller, Layout, Version};
use crate::limits::{Limit, Limits};
use crate::parse;
use crate::plan::Note;

impl Cgroup {
    /// Writes the limits that are set in `limits`; the others stay. All of it is decided before the first write.
    ///
    /// # Errors
    /// [`Error::Refused`] before anything is written; [`Error::BelowUsage`] likewise, when `limits` asks for that
    /// check; [`Error::Set`] for what the kernel does not take, with everything before it written.
    pub fn update(&self, layout: &Layout, limits: &Limits) -> Result<Vec<Note>, Error> {
        let mut notes = Vec::new();
        // Memory and devices depend on what holds now, so they are decided apart.
        let mut others = limits.clone();
        let wanted_memory = std::mem::take(&mut others.memory);
        let wanted_devices = others.devices.take();
        self.keep_quota(&mut others)?;
        let mut settings = controller::writes(layout, &others, &mut notes)?;

        let memory_writes = self.memory_update(layout, &wanted_memory)?;
        notes.extend(memory::note(&wanted_memory));
        let devices_group = self.serving(Controller::Devices);
        let device_writes = match (&wanted_devices, devices_group) {
            (Some(rules), Some(group)) if group.version == Version::V1 => {
                devices::transition(&group.text("devices.list")?.unwrap_or_default(), rules)?
            }
            (Some(_), None) => return Err(missing("devices", Controller::Devices)),
            _ => Vec::new(),
        };

        let mut planned = Vec::new();
        for hierarchy in layout.hierarchies() {
            let taken = settings.take(hierarchy);
            let Some(limit) = taken.limit else { continue };
            let here = self.groups.iter().find(|group| {
                group.version == hierarchy.version && group.controllers == hierarchy.controllers
            });
            match here.or_else(|| self.v2().filter(|_| hierarchy.version == Version::V2)) {
                Some(group) => planned.push((group, taken.writes)),
                None => {
                    let why = "the group has no directory in that hierarchy".to_owned();
                    return Err(Refused::new(limit, Why::NoCgroup(why)).into());
                }
            }
        }
        if let Some(limit) = settings.first_limit() {
            return Err(Refused::new(limit, Why::NoCgroup("no hierarchy is mounted".to_owned())).into());
        }
        for (group, writes) in planned {
            super::create::apply(&group.dir, &writes)?;
        }
        if let Some(group) = self.serving(Controller::Memory) {
            super::create::apply(&group.dir, &memory_writes)?;
        }
        if let Some(group) = devices_group {
            super::create::apply(&group.dir, &device_writes)?;
            if let (Some(rules), Version::V2) = (&wanted_devices, group.version) {
                super::devices::attach(&group.dir, &devices::DeviceProgram::compile(rules), false)?;
            }
        }
        Ok(notes)
    }

    /// v2 has quota and period in one file; who changes the period only keeps the quota.
    fn keep_quota(&self, limits: &mut Limits) -> Result<(), Error> {
        let cpu = &mut limits.cpu;
        if cpu.quota_us.is_some() || cpu.period_us.is_none() {
            return Ok(());
        }
        if let Some(group) = self.serving(Controller::Cpu).filter(|group| group.version == Version::V2) {
            let text = group.text("cpu.max")?.unwrap_or_default();
            let quota = text.split(' ').next().and_then(parse::number);
            cpu.quota_us = Some(quota.map_or(Limit::Unlimited, Limit::At));
        }
        Ok(())
    }

    fn memory_update(
        &self,
        layout: &Layout,
        limits: &crate::limits::MemoryLimits,
    ) -> Result<Vec<crate::Write>, Error> {
        if *limits == crate::limits::MemoryLimits::default() {
            return Ok(Vec::new());
        }
        let (Some(group), Some(_)) = (self.serving(Controller::Memory), layout.serving(Controller::Memory))
        else {
            return Err(missing("memory", Controller::Memory));
        };
        let stats = self.memory_stats()?.unwrap_or_default();
        let limit = |bytes: Option<u64>| bytes.map_or(Limit::Unlimited, Limit::At);
        let max = limit(stats.max_bytes);
        let memory_and_swap_max = match group.version {
            Version::V1 => {
                limit(group.text("memory.memsw.limit_in_bytes")?.as_deref().and_then(parse::limit))
            }
            Version::V2 => match (max, stats.swap_max_bytes) {
                (Limit::At(max), Some(swap)) => Limit::At(max.saturating_add(swap)),
                _ => Limit::Unlimited,
            },
        };
        let now = memory::Current { max, memory_and_swap_max, used_bytes: stats.used_bytes };
        if let (true, Some(Limit::At(max_bytes))) = (limits.check_before_update, limits.max_bytes)
            && max_bytes != 0
            && max_bytes < now.used_bytes
        {
            let (group, used_bytes) = (group.dir.path(), now.used_bytes);
            return Err(Error::BelowUsage { group, max_bytes, used_bytes });
        }
        Ok(memory::writes(limits, group.version, Some(now))?)
    }
}

fn missing(limit: &str, controller: Controller) -> Error {
    Refused::new(limit, Why::NoController(controller)).into()
}
