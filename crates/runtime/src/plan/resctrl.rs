//! Cache and memory bandwidth allocation: the `intelRdt` section (config-linux.md, "IntelRdt").

use std::path::PathBuf;

use super::{Act, Builder, PlanError, Ticket};

/// The group of resctrl that a container's processes are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResctrlGroup {
    /// The class of service: a directory of resctrl.
    pub(crate) class: PathBuf,
    /// It may be there already, made by somebody else; then it has to say the same as `lines`.
    pub(crate) shared: bool,
    /// Lines for `schemata`, in the order in which they are written.
    pub(crate) lines: Vec<String>,
    /// More lines, which are written in any case.
    pub(crate) last_lines: Vec<String>,
    /// A monitoring group of the container's own: a directory in `mon_groups`.
    pub(crate) monitor: Option<PathBuf>,
}

/// Makes the group and puts the stage into it.
pub(crate) fn decide(plan: &mut Builder<'_>) -> Result<Option<Ticket>, PlanError> {
    let launch = plan.launch;
    let Some(rdt) = &launch.spec.linux.intel_rdt else { return Ok(None) };
    let Some(root) = plan.facts.on_demand.resctrl() else {
        return Err(PlanError::unsupported(
            "linux.intelRdt",
            "no resctrl filesystem is mounted on this host",
        )
        .with_hint("mount -t resctrl resctrl /sys/fs/resctrl, where processor and kernel have it"));
    };
    let (class, shared) = match rdt.clos_id.as_str() {
        "" => (root.join(launch.id.as_str()), false),
        "/" => (root.to_owned(), true),
        name => (root.join(name), true),
    };
    let monitor = rdt.enable_monitoring.then(|| class.join("mon_groups").join(launch.id.as_str()));
    let filled = [&rdt.l3_cache_schema, &rdt.mem_bw_schema].into_iter().filter(|line| !line.is_empty());
    let group = ResctrlGroup {
        shared,
        lines: filled.cloned().collect(),
        last_lines: rdt.schemata.clone(),
        monitor,
        class,
    };
    let what = format!("put it into the class of service {}", group.class.display());
    plan.engine(what, "for its share of cache and memory bandwidth", Act::EnterResctrl(group));
    Ok(Some(plan.hand_over(Vec::new()).0))
}
