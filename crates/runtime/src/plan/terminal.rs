//! The container's terminal: opened from its own devpts, never by the name of its other end (CVE-2025-52565).

use init::ops::{Op, Slot};
use sys::{Errno, raw};

use super::mounts::Tree;
use super::{Act, Builder, PlanError};
use crate::inputs::Stdio;

/// The container's end of a new pseudoterminal; the engine gets the other.
pub(crate) fn open(plan: &mut Builder<'_>, tree: &Tree) -> Result<Option<Slot>, PlanError> {
    let Some(size) = plan.launch.stdio.terminal() else { return Ok(None) };
    let Some(devpts) = tree.devpts else {
        return Err(PlanError::invalid(
            "terminal",
            "the specification mounts no devpts, which a pseudoterminal comes from",
        ));
    };
    plan.stage(
        "open a pseudoterminal",
        "of the container's own: the caller's could be typed into (CVE-2016-10124)",
    );
    let (master, peer) = (plan.ops.slot(), plan.ops.slot());
    plan.push(Op::OpenTerminal { devpts, master, peer });
    set_up(plan, master, size);
    let uid = plan.launch.spec.process.user.uid;
    if uid != 0 {
        let name = plan.ops.text("");
        // The group stays that of terminals.
        plan.push(Op::Chown { dir: peer, name, uid, gid: u32::MAX });
    }
    if let Some(dev) = tree.dev {
        plan.stage("mount it on /dev/console", "as the specification asks of a terminal");
        let (name, empty) = (plan.ops.text("console"), plan.ops.text(""));
        let (copy, place) = (plan.ops.slot(), plan.ops.slot());
        plan.push(Op::Tolerate { errno: Errno::EXIST.raw() as u32, skip: 0 });
        plan.push(Op::MakeNode { dir: dev, name, mode: raw::S_IFREG, device: 0 });
        plan.push(Op::Open { dir: dev, name, flags: raw::O_PATH, out: place });
        let flags = raw::OPEN_TREE_CLONE | raw::AT_EMPTY_PATH;
        plan.push(Op::OpenTree { dir: peer, name: empty, flags, out: copy });
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
        plan.ops.close(place);
        plan.ops.close(copy);
    }
    plan.stage("pass the terminal's other end", "the engine copies between it and the caller");
    let turn = plan.next_turn();
    plan.push(Op::Tell { turn, fd: master });
    plan.ops.close(master);
    plan.engine("receive the terminal", "its other end is the caller's", Act::ReceiveTerminal { turn });
    Ok(Some(peer))
}

/// What is set before anybody writes: a program may be quicker than its caller.
pub(crate) fn set_up(plan: &mut Builder<'_>, master: Slot, size: Option<(u16, u16)>) {
    if let Some((rows, columns)) = size {
        plan.push(Op::SetWindowSize { terminal: master, rows: rows.into(), columns: columns.into() });
    }
    if matches!(plan.launch.stdio, Stdio::PlainTerminal { .. }) {
        plan.push(Op::PlainLines { terminal: master });
    }
}

/// Makes the terminal what the program reads from and writes to.
pub(crate) fn attach(plan: &mut Builder<'_>, terminal: Option<Slot>) {
    let Some(terminal) = terminal else { return };
    plan.stage("make the terminal the program's own", "standard input, output and error, and its session's");
    plan.push(Op::SetTerminal { terminal });
    for number in 0..3 {
        plan.push(Op::Duplicate { fd: terminal, number });
    }
    plan.ops.close(terminal);
}
