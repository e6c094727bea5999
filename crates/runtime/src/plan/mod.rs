//! From what is wanted to what is done: one list of steps, each with its actor.
//!
//! [`plan`] is pure. It goes through the subjects in the order of a container's life and adds steps to a `Builder`; from the one
//! list follow both sides of a launch: the engine's acts and the stage's program. Where a step of the stage needs what the
//! engine made, the builder puts a turn between them, so a wait without its answer cannot be written. A [`Plan`] prints
//! as text, one step a line with its reason.

mod beside;
mod cgroup;
mod devices;
mod enter;
mod filter;
mod host_mounts;
mod identity;
mod landlock;
mod limits;
mod mount_change;
mod mounts;
mod namespaces;
mod net_devices;
mod own_sources;
mod protect;
mod resctrl;
mod root;
mod terminal;
mod wait;

use std::fmt;
use std::path::PathBuf;

use cgroups::controller::devices::DeviceProgram;
use init::ops::{Op, Slot};
use init::program::{Features, Program, Writer};
use spec::NamespaceType;

use crate::facts::HostFacts;
use crate::inputs::Launch;
use crate::unit::Unit;

pub(crate) use self::beside::{DeviceTree, Filesystem};
pub(crate) use self::cgroup::CgroupView;
pub use self::enter::enter;
pub use self::error::PlanError;
pub(crate) use self::filter::compile as compile_filter;
pub use self::limits::of as limits_of;
pub use self::mount_change::change_mounts;
pub use self::namespaces::Source;
pub(crate) use self::net_devices::NetDevice;
pub(crate) use self::resctrl::ResctrlGroup;
pub(crate) use self::wait::START;

mod error;

/// Who performs a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The process that launches.
    Engine,
    /// The process that becomes the container's first.
    Stage,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "engine",
            Self::Stage => "stage",
        })
    }
}

/// One step of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who performs it.
    pub actor: Actor,
    /// What is done: a phrase that fits after "cannot" and "while".
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// A descriptor that the engine produces, by its place in the order of production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Produced(pub(crate) usize);

/// What the engine does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Writes down that this container is about to exist, and which cgroups it will have.
    Record,
    /// Has systemd start the container's unit, with the stage in it.
    StartUnit { unit: Unit, properties: Vec<systemd::Property> },
    /// Makes the cgroup.
    CreateCgroup(cgroups::Plan),
    /// Puts the rules about devices on the v2 cgroup.
    ConfineDevices(DeviceProgram),
    /// Takes the network namespace that was made ahead. Yields it.
    TakeNetwork,
    /// Adds what a kept container needs later to its record.
    KeepConfig,
    /// Makes /dev. Yields it.
    MakeDev(DeviceTree),
    /// Makes what the container sees of its cgroup. Yields it.
    ViewCgroup(CgroupView),
    /// Opens what a process writes `0` to in order to join the cgroup; yields one descriptor per hierarchy.
    OpenJoinFiles { count: usize },
    /// Gives the cgroup to a user, by ids of the host.
    DelegateCgroup { uid: u32, gid: u32 },
    /// Waits until the stage is in its network namespace, and moves devices there.
    MoveNetDevices { turn: u32, devices: Vec<NetDevice> },
    /// Waits until the stage is in its network namespace, and has the caller connect it.
    Connect { turn: u32 },
    /// Puts the stage into a group of resctrl, which is made if need be.
    EnterResctrl(ResctrlGroup),
    /// Makes directories, each with those above it, where they are missing.
    MakeDirectories(Vec<PathBuf>),
    /// Opens a file of nsfs. Yields it.
    OpenNamespace { path: PathBuf },
    /// A detached copy of a mount. Yields it.
    CloneTree(CloneTree),
    /// An overlay. Yields a detached mount of it.
    Overlay(Overlay),
    /// Takes hold of the container that is entered. Yields the pidfd of its first process.
    TakeContainer,
    /// Opens the root of the container that is entered. Yields it.
    OpenRootOf { pid: i32 },
    /// Opens ways into cgroups: a directory for clone3(2), or a file to write `0` to. Yields one descriptor each.
    OpenGroups(Vec<(cgroups::Version, PathBuf)>),
    /// Opens a namespace of the container that is entered. Yields it.
    OpenNamespaceOf { pid: i32, kind: NamespaceType },
    /// Starts the stage outside of all of a container but its cgroup.
    SpawnOutside { cgroup: Option<Produced> },
    /// Starts the stage.
    Spawn {
        namespaces: u64,
        into_cgroup: bool,
        pid_namespace: Option<Produced>,
        /// Namespaces that it is born in, with their kinds.
        joined: Vec<(Produced, u64)>,
    },
    /// Writes the id mappings of the stage's user namespace.
    MapIds(IdMaps),
    /// Makes a user namespace with these mappings, for mounts alone. Yields it.
    MakeUserNamespace(IdMaps),
    /// Takes a detached copy of a mount from the stage, which waits for the turn, and gives it the mapping of a user namespace; those
    /// below it too with `below`.
    MapTree { turn: u32, userns: Produced, below: bool, subject: String },
    /// Opens the stage's user namespace. Yields it.
    OpenUserNamespace,
    /// Lets the stage go on, with descriptors.
    Tell { turn: u32, fds: Vec<Produced> },
    /// Waits for the stage, which passes the terminal's other end.
    ReceiveTerminal { turn: u32 },
    /// Fetches the listener of the stage's filter, which waits for the turn, and sends it to the socket; whoever starts the container does
    /// with `at_start`.
    PassListener { turn: u32, socket: PathBuf, at_start: bool },
    /// Waits until the stage passes this turn.
    AwaitTurn { turn: u32 },
    /// Runs the hooks of a point in the container's life, one after the other.
    RunHooks(HookPoint),
    /// Listens for the start. Yields the socket.
    Listen,
    /// Writes down that everything is made.
    Created,
    /// Waits until the stage has become the program.
    AwaitExec,
}

/// A point in a container's life at which hooks run, in the specification's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookPoint {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

/// A detached copy of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CloneTree {
    pub(crate) path: PathBuf,
    pub(crate) recursive: bool,
    /// `MS_PRIVATE` and its like; 0 leaves it as it is.
    pub(crate) propagation: u64,
    /// The user namespace whose mapping it takes.
    pub(crate) idmap: Option<Produced>,
    /// Whether the mounts below take it too.
    pub(crate) map_below: bool,
}

/// An overlay from descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// The topmost first; at least one.
    pub(crate) lower: Vec<Produced>,
    pub(crate) upper: OverlayUpper,
    /// Who owns the topmost directory of an empty upper layer if the lower one's owner is 0.
    pub(crate) owner: (u32, u32),
    /// The kernel takes only mounts of a mount namespace as layers (before Linux 6.15).
    pub(crate) attached: bool,
}

/// Where an overlay's changes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OverlayUpper {
    Tmpfs { size_bytes: Option<u64> },
    Directory(Produced),
}

/// The id mappings of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub(crate) uid: Vec<spec::IdMapping>,
    pub(crate) gid: Vec<spec::IdMapping>,
    /// Through newuidmap(1) and newgidmap(1), which check /etc/subuid and /etc/subgid.
    pub(crate) by_helpers: bool,
    /// The kernel lets an unprivileged process map groups only once setgroups(2) is refused (CVE-2014-8989).
    pub(crate) deny_setgroups: bool,
}

/// What is done to launch a container, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    acts: Vec<(u32, Act)>,
    program: Program,
    inherited: Vec<Produced>,
    features: Features,
    notes: Vec<String>,
    facts: Vec<String>,
    fails_after: Option<u32>,
    /// The steps of the stage that note when they begin, in order; none in a plan without a profile.
    stamped: Option<Vec<u32>>,
}

impl Plan {
    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What was asked for and cannot be had in full, in sentences for a person.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What somebody who looks for a reason wants to know besides the steps.
    pub fn facts(&self) -> &[String] {
        &self.facts
    }

    /// What the stage plays.
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn acts(&self) -> &[(u32, Act)] {
        &self.acts
    }

    pub(crate) fn inherited(&self) -> &[Produced] {
        &self.inherited
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// The same plan, whose step `index` fails: for tests of what a failure leaves behind. A step of the engine fails after it was
    /// performed, one of the stage before.
    #[must_use]
    pub fn failing_at(mut self, index: u32, errno: sys::Errno) -> Self {
        match self.steps.get(index as usize).map(|step| step.actor) {
            Some(Actor::Engine) => self.fails_after = Some(index),
            Some(Actor::Stage) => self.program.fail_at(index, errno),
            None => {}
        }
        self
    }

    /// The same plan, whose steps note when they begin: [`crate::Running::stamps`] has them then.
    #[must_use]
    pub fn stamped(mut self) -> Self {
        self.stamped = Some(self.program.stamp_steps());
        self
    }

    pub(crate) fn stamps(&self) -> Option<&[u32]> {
        self.stamped.as_deref()
    }

    pub(crate) fn fails_after(&self, step: u32) -> bool {
        self.fails_after == Some(step)
    }

    /// The cgroups that are made, in all hierarchies.
    pub(crate) fn cgroups(&self) -> Vec<&cgroups::plan::GroupPlan> {
        let mut groups = Vec::new();
        for (_, act) in &self.acts {
            if let Act::CreateCgroup(plan) = act {
                groups.extend(&plan.groups);
            }
        }
        groups
    }
}

/// `engine  make the cgroup /holm/web  (why)`, one step a line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3}  {:<6}  {}  ({})", index + 1, step.actor.to_string(), step.what, step.why)?;
        }
        for note in &self.notes {
            writeln!(f, "     note    {note}")?;
        }
        Ok(())
    }
}

/// Decides what is done to launch a container on a host of these facts.
///
/// # Errors
/// [`PlanError`] when this host cannot give what is asked for.
pub fn plan(launch: &Launch, facts: &HostFacts) -> Result<Plan, PlanError> {
    decide(launch, facts, false)
}

/// As [`plan`], for a container whose network namespace the caller connects: see [`crate::launch_connected`].
///
/// # Errors
/// As [`plan`].
pub fn plan_connected(launch: &Launch, facts: &HostFacts) -> Result<Plan, PlanError> {
    // The stage stands in its namespace early, and the engine goes there; one that was made ahead would be joined late.
    match facts.network_ahead {
        true => decide(launch, &HostFacts { network_ahead: false, ..facts.clone() }, true),
        false => decide(launch, facts, true),
    }
}

fn decide(launch: &Launch, facts: &HostFacts, connected: bool) -> Result<Plan, PlanError> {
    let mut builder = Builder::new(launch, facts);
    let plan = &mut builder;

    for problem in launch.spec.warnings() {
        plan.note(problem.to_string());
    }
    plan.engine("record the container", "so that a crash leaves nothing that cannot be found", Act::Record);
    let listener = wait::listen(plan);
    let mut namespaces = namespaces::decide(plan)?;
    let cgroup = cgroup::decide(plan)?;
    cgroup::create_before_spawn(plan, &cgroup);
    let root = root::before_spawn(plan, &namespaces)?;
    let joined = namespaces::open_joined(plan, &mut namespaces);
    namespaces::spawn(plan, &mut namespaces, &cgroup);
    wait::for_the_record(plan, !cgroup.is_nowhere());
    namespaces::map_ids(plan, &mut namespaces)?;
    let resctrl = resctrl::decide(plan)?;
    let root = root::after_spawn(plan, &mut namespaces, root)?;
    let sources = mounts::prepare_sources(plan, &mut namespaces)?;
    let beside = beside::make(plan, &cgroup, &namespaces)?;
    let beside = beside.as_ref();
    wait::keep_config(plan);

    namespaces::enter(plan, &namespaces, &joined)?;
    namespaces::names(plan);
    identity::early(plan);
    let net_devices = net_devices::take(plan)?;
    let connected = if connected { net_devices::connect(plan) } else { None };
    let (root, scratch) = root::attach(plan, root)?;
    let mut tree = mounts::mount_all(plan, root, scratch, &sources, &namespaces, beside)?;
    devices::make(plan, &mut tree, &namespaces)?;
    mounts::files(plan, &tree)?;
    cgroup::join(plan, &namespaces, beside);
    cgroup::mount(plan, &tree, &cgroup, &namespaces, beside)?;
    let terminal = terminal::open(plan, &tree)?;
    protect::sysctls(plan, &mut tree)?;
    protect::own_settings(plan, &mut tree)?;
    protect::paths(plan, &mut tree)?;
    wait::creation_hooks(plan);
    root::enter(plan, &tree)?;
    terminal::attach(plan, terminal);
    for ticket in [resctrl, net_devices, connected].into_iter().flatten() {
        plan.need(ticket);
    }
    identity::become_user(plan, &namespaces, listener)?;
    wait::started(plan);
    builder.finish()
}

/// Collects a plan. Owns the rule that a need crosses from engine to stage only through a turn.
pub(crate) struct Builder<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) facts: &'a HostFacts,
    /// The stage's program; operations go to the step begun last by [`Builder::stage`].
    pub(crate) ops: Writer,
    steps: Vec<Step>,
    acts: Vec<(u32, Act)>,
    inherited: Vec<Produced>,
    produced: usize,
    promises: Vec<Promise>,
    turns: u32,
    notes: Vec<String>,
    told: Vec<String>,
    /// What a stage that nothing else holds back waits for.
    recorded: Option<Ticket>,
    /// Whether the stage has joined the network namespace that was made ahead.
    has_network: bool,
}

/// Something that the engine passes to the stage while that runs already.
struct Promise {
    turn: u32,
    first: Slot,
    count: u32,
    awaited: bool,
}

/// Which turn to wait for before using something, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

impl<'a> Builder<'a> {
    fn new(launch: &'a Launch, facts: &'a HostFacts) -> Self {
        Self::with_program(launch, facts, Writer::new(), 96)
    }

    fn with_program(launch: &'a Launch, facts: &'a HostFacts, ops: Writer, steps: usize) -> Self {
        Self {
            launch,
            facts,
            ops,
            steps: Vec::with_capacity(steps),
            acts: Vec::with_capacity(16),
            inherited: Vec::new(),
            produced: 0,
            promises: Vec::new(),
            turns: 0,
            notes: Vec::new(),
            told: Vec::new(),
            recorded: None,
            has_network: false,
        }
    }

    fn begin(&mut self, actor: Actor, what: String, why: &'static str) -> u32 {
        let index = self.steps.len() as u32;
        self.steps.push(Step { actor, what, why });
        index
    }

    /// A step of the engine.
    pub(crate) fn engine(&mut self, what: impl Into<String>, why: &'static str, act: Act) {
        let index = self.begin(Actor::Engine, what.into(), why);
        self.acts.push((index, act));
    }

    /// A step of the engine that yields a descriptor.
    pub(crate) fn produce(&mut self, what: impl Into<String>, why: &'static str, act: Act) -> Produced {
        self.engine(what, why, act);
        self.yielded(1)
    }

    /// Takes note that the last act yields this many descriptors; returns the first.
    pub(crate) fn yielded(&mut self, count: usize) -> Produced {
        let first = Produced(self.produced);
        self.produced += count;
        first
    }

    /// A step of the stage; the operations that follow belong to it.
    pub(crate) fn stage(&mut self, what: impl Into<String>, why: &'static str) {
        let index = self.begin(Actor::Stage, what.into(), why);
        self.ops.begin_step(index);
    }

    pub(crate) fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// What the engine produced before the stage starts, as a slot of the stage.
    pub(crate) fn inherit(&mut self, produced: Produced) -> Slot {
        self.inherited.push(produced);
        self.ops.inherit()
    }

    /// Passes descriptors (or, with none, just the news that the steps so far are done) to the stage while that runs. The
    /// stage waits for them where [`Builder::need`] says so.
    pub(crate) fn hand_over(&mut self, fds: Vec<Produced>) -> (Ticket, Slot) {
        let turn = self.next_turn();
        let count = fds.len() as u32;
        let first = self.ops.run_of_slots(count as u16);
        self.promises.push(Promise { turn, first, count, awaited: false });
        let index = self.steps.len().saturating_sub(1) as u32;
        self.acts.push((index, Act::Tell { turn, fds }));
        (Ticket(self.promises.len() - 1), first)
    }

    /// Makes the stage wait for what the ticket stands for, unless it has already. Turns arrive in order, so those before it are
    /// waited for too.
    pub(crate) fn need(&mut self, ticket: Ticket) {
        for promise in self.promises.iter_mut().take(ticket.0 + 1).filter(|promise| !promise.awaited) {
            promise.awaited = true;
            self.ops.push(Op::Await { turn: promise.turn, first: promise.first, count: promise.count });
        }
    }

    pub(crate) fn next_turn(&mut self) -> u32 {
        self.turns += 1;
        self.turns
    }

    /// Something to tell the person who launches.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Where the container gets its namespace of this kind, as the specification has it.
    pub(crate) fn namespace(&self, kind: NamespaceType) -> Source {
        Source::of(self.launch.spec.linux.namespace(kind))
    }

    fn finish(self) -> Result<Plan, PlanError> {
        let features =
            Features { openat2: self.facts.calls.openat2, close_range: self.facts.calls.close_range };
        Ok(Plan {
            steps: self.steps,
            acts: self.acts,
            program: self.ops.finish().map_err(PlanError::TooLarge)?,
            inherited: self.inherited,
            features,
            notes: self.notes,
            facts: self.told,
            fails_after: None,
            stamped: None,
        })
    }
}
