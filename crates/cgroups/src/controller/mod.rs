//! One module per controller: which files hold a limit, in which order, and what its statistics say.
//!
//! [`writes`] asks each of them with the version that serves it on this host; the result is distributed to the
//! hierarchies by [`Settings::take`]. The modules are pure but for their `read` functions.

pub mod cpu;
pub mod cpuacct;
pub mod cpuset;
pub mod devices;
pub mod freezer;
pub mod hugetlb;
pub mod io;
pub mod memory;
pub mod misc;
pub mod net_cls;
pub mod net_prio;
pub mod perf_event;
pub mod pids;
pub mod rdma;
mod unified;

use crate::error::{Refused, Why};
use crate::layout::{Controller, ControllerSet, Hierarchy, Layout, Version};
use crate::limits::Limits;
use crate::plan::Note;
use crate::write::Write;
use devices::DeviceProgram;

/// What is to be set, controller by controller.
#[derive(Debug, Default)]
pub struct Settings(Vec<Setting>);

#[derive(Debug)]
struct Setting {
    controller: Controller,
    version: Version,
    limit: &'static str,
    writes: Vec<Write>,
    device_program: Option<DeviceProgram>,
}

/// What is to be set in one hierarchy.
#[derive(Debug, Default)]
pub struct Taken {
    /// The first limit among them; `None` if there is nothing to set.
    pub limit: Option<String>,
    /// Which controllers they belong to.
    pub controllers: ControllerSet,
    /// The values.
    pub writes: Vec<Write>,
    /// The device rules as a program (v2).
    pub device_program: Option<DeviceProgram>,
}

impl Settings {
    /// The first limit that is left.
    pub fn first_limit(&self) -> Option<&'static str> {
        self.0.first().map(|setting| setting.limit)
    }

    /// Takes out what `hierarchy` serves.
    pub fn take(&mut self, hierarchy: &Hierarchy) -> Taken {
        let mut taken = Taken::default();
        let (here, left) =
            std::mem::take(&mut self.0).into_iter().partition(|setting| match hierarchy.version {
                Version::V1 => {
                    setting.version == Version::V1 && hierarchy.controllers.contains(setting.controller)
                }
                Version::V2 => setting.version == Version::V2,
            });
        self.0 = left;
        for setting in here {
            taken.limit.get_or_insert_with(|| setting.limit.to_owned());
            if hierarchy.controllers.contains(setting.controller) {
                taken.controllers.insert(setting.controller);
            }
            taken.writes.extend(setting.writes);
            taken.device_program = taken.device_program.or(setting.device_program);
        }
        taken
    }
}

/// What has to be set for `limits` on a host of this layout. A new group needs it all; an update passes the
/// limits that change.
///
/// # Errors
/// [`Refused`] for a limit that no controller of this host holds, or whose value is wrong.
pub fn writes(layout: &Layout, limits: &Limits, notes: &mut Vec<Note>) -> Result<Settings, Refused> {
    let mut all = Settings::default();
    let mut add = |controller, limit, decide: &dyn Fn(Version) -> Result<Vec<Write>, Refused>| {
        let serving = layout.serving(controller).map(|hierarchy| hierarchy.version);
        let writes = match (serving, decide(serving.unwrap_or(Version::V2))) {
            (Some(_), Err(refused)) => return Err(refused),
            (_, Ok(writes)) => writes,
            (None, Err(Refused { limit, .. })) => {
                return Err(Refused::new(limit, Why::NoController(controller)));
            }
        };
        match serving {
            _ if writes.is_empty() => Ok(()),
            None => Err(Refused::new(limit, Why::NoController(controller))),
            Some(version) => {
                all.0.push(Setting { controller, version, limit, writes, device_program: None });
                Ok(())
            }
        }
    };
    add(Controller::Cpuset, "cpuset", &|_| cpuset::writes(&limits.cpuset))?;
    add(Controller::Cpu, "cpu", &|version| cpu::writes(&limits.cpu, version))?;
    add(Controller::Io, "blockIO", &|version| io::writes(&limits.io, version))?;
    add(Controller::Memory, "memory", &|version| memory::writes(&limits.memory, version, None))?;
    add(Controller::Pids, "pids.limit", &|_| Ok(pids::writes(limits.pids_max)))?;
    add(Controller::Hugetlb, "hugepageLimits", &|version| hugetlb::writes(&limits.hugepages, version))?;
    add(Controller::NetCls, "network.classID", &|version| net_cls::writes(limits.network.class_id, version))?;
    add(Controller::NetPrio, "network.priorities", &|version| {
        net_prio::writes(&limits.network.priorities, version)
    })?;
    add(Controller::Rdma, "rdma", &|_| rdma::writes(&limits.rdma))?;
    add(Controller::Misc, "misc", &|_| misc::writes(&limits.misc))?;
    notes.extend(memory::note(&limits.memory));
    if let Some(rules) = &limits.devices {
        all.0.push(device_setting(layout, rules)?);
    }
    if !limits.unified.is_empty() {
        for (controller, writes) in unified::writes(layout, &limits.unified)? {
            let version = Version::V2;
            all.0.push(Setting { controller, version, limit: "unified", writes, device_program: None });
        }
    }
    Ok(all)
}

fn device_setting(layout: &Layout, rules: &[crate::limits::DeviceRule]) -> Result<Setting, Refused> {
    let (controller, limit) = (Controller::Devices, "devices");
    match layout.serving(controller).map(|hierarchy| hierarchy.version) {
        Some(version @ Version::V1) => {
            let writes = devices::writes(rules)?;
            Ok(Setting { controller, version, limit, writes, device_program: None })
        }
        Some(version @ Version::V2) => {
            let device_program = Some(DeviceProgram::compile(rules));
            Ok(Setting { controller, version, limit, writes: Vec::new(), device_program })
        }
        None => Err(Refused::new(limit, Why::NoController(controller))),
    }
}

/// Refuses a limit that only v1 has, if v2 serves the controller.
fn only_v1(limit: &str, asked: bool, controller: Controller, version: Version) -> Result<(), Refused> {
    match version {
        Version::V2 if asked => Err(Refused::new(limit, Why::OnlyV1(controller))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
