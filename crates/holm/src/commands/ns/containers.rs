//! Which of holm's containers a namespace belongs to. The crate `namespaces` knows an engine and an id by the names of control groups;
//! here names of containers are added, and containers that have no group.

use engine::containers::Places;
use engine::host::Caller;
use engine::view::summary;
use namespaces::Id;
use namespaces::find::{Found, Namespace};
use namespaces::reference::Reference;

/// The containers of the caller that were found.
#[derive(Debug, Default)]
pub(super) struct Containers(Vec<(String, String)>);

/// Looks for the caller's containers, and notes in `found` which namespaces belong to those that run.
pub(super) fn note(found: &mut Found) -> Containers {
    let ids = |pid: u32, found: &Found| Reference::Process(pid).ids(found).unwrap_or_default();
    // What a container shares with this process is not its own.
    let ours = ids(std::process::id(), found);
    let mut containers = Vec::new();
    for one in summary::list(&Places::of(&Caller::read())) {
        if let Some(pid) = u32::try_from(one.pid).ok().filter(|pid| *pid > 0) {
            let own: Vec<Id> = ids(pid, found).into_iter().filter(|id| !ours.contains(id)).collect();
            let unknown = |it: &&mut Namespace| it.container.is_none() && own.contains(&it.id);
            for namespace in found.namespaces.iter_mut().filter(unknown) {
                namespace.container = Some(("holm", one.home.id.clone()));
            }
        }
        containers.push((one.home.id, one.definition.name));
    }
    Containers(containers)
}

impl Containers {
    /// The name of the container with an id.
    pub(super) fn name(&self, engine: &str, id: &str) -> Option<&str> {
        let own = self.0.iter().find(|(known, _)| engine == "holm" && known == id)?;
        Some(&own.1)
    }

    /// The engine, and the container's name; its id where no name is known.
    pub(super) fn shown(&self, namespace: &Namespace) -> Option<String> {
        let (engine, id) = namespace.container.as_ref()?;
        let is_id = id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let short = if is_id { &id[..12] } else { id };
        Some(format!("{engine}:{}", self.name(engine, id).unwrap_or(short)))
    }
}
