//! Changing what a container is: its limits at once, the rest with its next start. What it changed of its files stays in any case.

use report::{BoxedExplain, Explain, Hint, Kind};

use super::definition::Definition;
use super::events;
use super::home::{Home, Places};
use super::state::{self, Status};
use crate::flags::destination::Destination;
use crate::flags::env::EnvEntry;
use crate::flags::label::Label;
use crate::flags::mount::Mount;
use crate::flags::name::Hostname;
use crate::host::{self, boxed};
use crate::request::Limits;
use crate::rules;

/// What is to be changed; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Limits.
    pub limits: Limits,
    /// `--restart`
    pub restart: Option<monitor::Policy>,
    /// `--stop-timeout`
    pub stop_timeout: Option<i64>,
    /// Variables that are set.
    pub env: Vec<EnvEntry>,
    /// Variables that are taken away.
    pub unset_env: Vec<String>,
    /// Mounts that are added, in place of one with the same destination.
    pub mounts: Vec<Mount>,
    /// Mounts that are taken away.
    pub unmount: Vec<Destination>,
    /// Labels that are set.
    pub labels: Vec<Label>,
    /// The host name.
    pub hostname: Option<Hostname>,
}

/// Something cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateRefused {
    /// It is changed with the next start only.
    #[error("cannot change {what} of container `{name}` while it runs")]
    Running {
        /// What.
        what: &'static str,
        /// The container.
        name: String,
    },
    /// Something that is to be taken away is not there.
    #[error("container `{name}` has no {what}")]
    Missing {
        /// What.
        what: String,
        /// The container.
        name: String,
    },
    /// Nothing was asked for.
    #[error("nothing to change")]
    Nothing,
}

impl Explain for UpdateRefused {
    fn kind(&self) -> Kind {
        match self {
            Self::Running { .. } => Kind::StateConflict,
            Self::Missing { .. } => Kind::NotFound,
            Self::Nothing => Kind::InvalidInput,
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Running { .. } => {
                Some(Hint::new("stop it, change it, and start it: its files stay as they are"))
            }
            Self::Missing { .. } => Some(Hint::new("holm inspect tells what it has")),
            Self::Nothing => Some(Hint::new("for example: holm update --memory 1g NAME")),
        }
    }
}

impl Change {
    /// What of it takes a start, in words.
    fn needs_start(&self) -> Option<&'static str> {
        let env = !self.env.is_empty() || !self.unset_env.is_empty();
        let mounts = !self.mounts.is_empty() || !self.unmount.is_empty();
        match (env, mounts, self.hostname.is_some()) {
            (true, _, _) => Some("the environment"),
            (_, true, _) => Some("the mounts"),
            (_, _, true) => Some("the host name"),
            _ => None,
        }
    }

    /// Whether limits are among it.
    fn has_limits(&self) -> bool {
        self.limits != Limits::default()
    }
}

/// Changes a container; `say` gets what somebody should know.
///
/// # Errors
/// [`UpdateRefused`], and what the limits or mounts name and is not there. Nothing is changed then.
pub fn update(
    places: &Places,
    home: &Home,
    change: &Change,
    say: &mut dyn FnMut(&str),
) -> Result<(), BoxedExplain> {
    if *change == Change::default() {
        return Err(boxed(UpdateRefused::Nothing));
    }
    let _lock = home.lock().map_err(boxed)?;
    let mut definition = home.definition().map_err(boxed)?;
    let records = runtime::state::StateRoot::open(&places.records()).map_err(boxed)?;
    let state = state::of(home, &records);
    let rests = matches!(state.status, Status::Created | Status::Exited);
    if let (false, Some(what)) = (rests, change.needs_start()) {
        return Err(boxed(UpdateRefused::Running { what, name: definition.name }));
    }
    apply(&mut definition, change)?;
    // What cannot be had together is refused as it is when a container is made.
    let request = definition.request.clone().check().map_err(boxed)?;
    if change.has_limits()
        && let (true, Some(container)) = (state.status.is_alive(), &state.container)
    {
        let facts = host::limit_facts(&request);
        let resources = rules::resources(&request, &facts).map_err(boxed)?;
        let resources = spec::validate_resources(resources).map_err(boxed)?;
        let limits = runtime::plan::limits_of(&resources).map_err(boxed)?;
        let layout = cgroups::Layout::read().map_err(boxed)?;
        if let Some(unit) = container.unit() {
            unit.update(&limits).map_err(boxed)?;
        }
        for note in container.cgroup().map_err(boxed)?.update(&layout, &limits).map_err(boxed)? {
            say(&format!("{}: {}", note.limit, note.why));
        }
    }
    home.write_definition(&definition, home.durable).map_err(boxed)?;
    events::emit(places, home, Some(&definition), "update", &[]);
    Ok(())
}

fn apply(definition: &mut Definition, change: &Change) -> Result<(), BoxedExplain> {
    let missing = |what: String, name: &str| boxed(UpdateRefused::Missing { what, name: name.to_owned() });
    let name = definition.name.clone();
    let request = &mut definition.request;
    for gone in &change.unset_env {
        let before = request.env.len();
        request.env.retain(|entry| match entry {
            EnvEntry::Set { name, .. } | EnvEntry::Inherit { name } => name != gone,
        });
        if request.env.len() == before {
            return Err(missing(format!("variable `{gone}` of its own"), &name));
        }
    }
    for entry in &change.env {
        let (variable, value) = match entry {
            EnvEntry::Set { name, value } => (name, Some(value.clone())),
            EnvEntry::Inherit { name } => (name, std::env::var(name).ok()),
        };
        let Some(value) = value else { continue };
        request.env.retain(|known| !matches!(known, EnvEntry::Set { name, .. } if name == variable));
        request.env.push(EnvEntry::Set { name: variable.clone(), value });
    }
    for gone in &change.unmount {
        let before = request.mounts.len();
        request.mounts.retain(|mount| destination(mount) != gone);
        if request.mounts.len() == before {
            return Err(missing(format!("mount on {}", gone.as_path().display()), &name));
        }
    }
    for mount in &change.mounts {
        request.mounts.retain(|known| destination(known) != destination(mount));
        request.mounts.push(super::create::settled_mount(mount.clone())?);
    }
    for label in &change.labels {
        request.labels.retain(|known| known.key != label.key);
        request.labels.push(label.clone());
    }
    if let Some(hostname) = &change.hostname {
        request.hostname = Some(hostname.clone());
    }
    if let Some(restart) = change.restart {
        definition.restart = restart;
    }
    if let Some(timeout) = change.stop_timeout {
        definition.stop_timeout = Some(timeout);
    }
    merge(&mut definition.request.limits, &change.limits);
    Ok(())
}

fn destination(mount: &Mount) -> &Destination {
    match mount {
        Mount::Bind(bind) => &bind.destination,
        Mount::Tmpfs(tmpfs) => &tmpfs.destination,
    }
}

/// Limits that are named take the place of those that were.
fn merge(limits: &mut Limits, change: &Limits) {
    macro_rules! take {
        ($($field:ident),*) => { $( if change.$field.is_some() { limits.$field.clone_from(&change.$field); } )* };
    }
    macro_rules! take_list {
        ($($field:ident),*) => { $( if !change.$field.is_empty() { limits.$field.clone_from(&change.$field); } )* };
    }
    take!(memory, memory_swap, memory_reservation, cpus, cpuset_cpus, cpuset_mems, pids, blkio_weight);
    if change.cpu_shares.is_some() || change.cpu_weight.is_some() {
        limits.cpu_shares = change.cpu_shares;
        limits.cpu_weight = change.cpu_weight;
    }
    take_list!(blkio_weight_device, device_read_bps, device_write_bps, device_read_iops, device_write_iops);
}
