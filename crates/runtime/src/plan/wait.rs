//! Where a launch stands still for others: for hooks, and for its start.
//!
//! At such a point the stage passes a turn, the engine does what is to be done and passes one back. A container that is created waits
//! for the engine's last turn, which says that its record is complete, and then on a socket for whoever starts it.

use init::ops::{Op, Slot};
use spec::Hooks;

use super::{Act, Builder, HookPoint};

/// The turn that starts a container which waits.
pub(crate) const START: u32 = u32::MAX;

/// The socket of a container that is to wait.
pub(crate) fn listen(plan: &mut Builder<'_>) -> Option<Slot> {
    if !plan.launch.waits() {
        return None;
    }
    let why = "whoever starts the container connects there, and learns what becomes of it";
    let socket = plan.produce("listen for the start", why, Act::Listen);
    Some(plan.inherit(socket))
}

/// A container whose process is found by its record alone does nothing before that has it.
pub(crate) fn for_the_record(plan: &mut Builder<'_>, has_cgroup: bool) {
    if matches!(plan.launch.life, crate::inputs::Life::Kept { .. }) && !has_cgroup {
        let (ticket, _) = plan.hand_over(Vec::new());
        plan.recorded = Some(ticket);
    }
}

/// What starting and entering the container take. Nobody can do either yet, so it is written while the stage works.
pub(crate) fn keep_config(plan: &mut Builder<'_>) {
    if matches!(plan.launch.life, crate::inputs::Life::Kept { .. }) {
        plan.engine("keep the configuration", "`start` and `exec` need it", Act::KeepConfig);
    }
}

/// Hooks of the creation: everything is mounted, the root is not entered.
pub(crate) fn creation_hooks(plan: &mut Builder<'_>) {
    if let Some(ticket) = plan.recorded.take() {
        plan.stage("wait until the record has this process", "nobody would find it otherwise");
        plan.need(ticket);
    }
    run(plan, &[HookPoint::Prestart, HookPoint::CreateRuntime, HookPoint::CreateContainer]);
}

/// The last point before the filter: what comes now is done when the container is started.
pub(crate) fn start(plan: &mut Builder<'_>, listener: Option<Slot>) {
    let Some(listener) = listener else {
        return run(plan, &[HookPoint::StartContainer]);
    };
    plan.stage("say that the container is created", "all that can fail before the start has not");
    let here = plan.next_turn();
    plan.push(Op::Tell { turn: here, fd: Slot::NONE });
    plan.engine("wait until the container is created", "the stage says so", Act::AwaitTurn { turn: here });
    plan.engine("complete the record", "from here on the container is created", Act::Created);
    let (ticket, _) = plan.hand_over(Vec::new());
    plan.stage("wait for the start", "on the socket in the directory of records");
    plan.need(ticket);
    plan.push(Op::Accept { listener });
    plan.push(Op::Await { turn: START, first: Slot(0), count: 0 });
}

/// What follows the program's start.
pub(crate) fn started(plan: &mut Builder<'_>) {
    if plan.launch.waits() {
        return;
    }
    plan.engine(
        "wait for the program to start",
        "the stage's socket ends when execve succeeds",
        Act::AwaitExec,
    );
    if matches!(plan.launch.life, crate::inputs::Life::Kept { .. }) {
        plan.engine("complete the record", "from here on the container runs", Act::Created);
    }
    engine_hooks(plan, &[HookPoint::Poststart]);
}

fn run(plan: &mut Builder<'_>, points: &[HookPoint]) {
    if points.iter().all(|point| point.of(&plan.launch.spec.hooks).is_empty()) {
        return;
    }
    plan.stage("let hooks run", "the container stands still meanwhile");
    let here = plan.next_turn();
    plan.push(Op::Tell { turn: here, fd: Slot::NONE });
    plan.engine(
        "wait until the container is ready for hooks",
        "the stage says so",
        Act::AwaitTurn { turn: here },
    );
    engine_hooks(plan, points);
    let (ticket, _) = plan.hand_over(Vec::new());
    plan.need(ticket);
}

fn engine_hooks(plan: &mut Builder<'_>, points: &[HookPoint]) {
    for point in points {
        if !point.of(&plan.launch.spec.hooks).is_empty() {
            let what = format!("run the {} hooks", point.name());
            plan.engine(what, "as the specification asks", Act::RunHooks(*point));
        }
    }
}

impl HookPoint {
    /// Its hooks.
    pub(crate) fn of(self, hooks: &Hooks) -> &[spec::Hook] {
        hooks.by_kind()[self as usize].1
    }

    /// Its name in the specification.
    pub(crate) fn name(self) -> &'static str {
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
            [self as usize]
    }
}
