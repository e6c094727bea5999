//! Changing what a container is: its limits at once, the rest with its next start. What it changed of its files stays in any case.

use network::{Expose, Publish};
use report::{BoxedExplain, Explain, Hint, Kind};

use super::definition::Definition;
use super::events;
use super::home::{Home, Places};
use super::state::{self, Status};
use crate::flags::env::EnvEntry;
use crate::flags::label::Label;
use crate::flags::mount::Mount;
use crate::flags::name::Hostname;
use crate::flags::named::MountRef;
use crate::flags::network::Unpublish;
use crate::host::{self, boxed};
use crate::request::Limits;
use crate::{rules, volumes};

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
    pub unmount: Vec<MountRef>,
    /// Ports that are published.
    pub publish: Vec<Publish>,
    /// Ports that are not published any more.
    pub unpublish: Vec<Unpublish>,
    /// Ports that are named.
    pub expose: Vec<Expose>,
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
        let ports = !self.publish.is_empty() || !self.unpublish.is_empty() || !self.expose.is_empty();
        match (env, mounts, ports, self.hostname.is_some()) {
            (true, _, _, _) => Some("the environment"),
            (_, true, _, _) => Some("the mounts"),
            (_, _, true, _) => Some("the ports"),
            (_, _, _, true) => Some("the host name"),
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
    let volumes = match change.mounts.iter().any(|mount| mount.volume().is_some()) {
        true => {
            let mut flags = definition.request.clone();
            // What the image has at the destination may have to be looked at.
            super::root::find(home, definition.manifest.as_deref(), &mut flags)?;
            let attached = volumes::attach(places, home, &mut flags, &[])?;
            definition.request.mounts = flags.mounts;
            Some(attached)
        }
        false => None,
    };
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
    if let Some(attached) = volumes {
        attached.keep();
    }
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
        request.mounts.retain(|mount| match gone {
            MountRef::At(destination) => mount.destination() != destination,
            MountRef::Of(volume) => mount.volume().is_none_or(|it| it.name.as_ref() != Some(volume)),
        });
        if request.mounts.len() == before {
            let what = match gone {
                MountRef::At(_) => format!("mount on {gone}"),
                MountRef::Of(_) => format!("volume `{gone}`"),
            };
            return Err(missing(what, &name));
        }
    }
    for mount in &change.mounts {
        request.mounts.retain(|known| known.destination() != mount.destination());
        request.mounts.push(super::create::settled_mount(mount.clone())?);
    }
    for gone in &change.unpublish {
        if !gone.take_from(&mut request.places.publish) {
            return Err(missing(format!("published port {gone}"), &name));
        }
        if *gone == Unpublish::All {
            request.places.publish_all = false;
        }
    }
    for port in &change.publish {
        if !request.places.publish.contains(port) {
            request.places.publish.push(port.clone());
        }
    }
    for port in &change.expose {
        if !request.places.expose.contains(port) {
            request.places.expose.push(*port);
        }
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
