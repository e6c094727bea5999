//! What the sets of the rules hold, beside what they should hold.
//!
//! The rules never change, but their sets do, and somebody may take single elements away or add some: [`compare`] finds that and puts it
//! right. What should be there is written down in records, so it is done with the lock of the leases held.

use std::collections::HashSet;

use netlink::Socket;
use netlink::netfilter::{Element, Family, Transaction, elements};

use crate::error::Error;
use crate::rules::{self, TABLE, World};

/// Tells what is wrong with the sets of a family's table, a line for each set; with `mend` it is put right, in one transaction. A container
/// that is about to publish a port has it published so.
pub(crate) fn compare(
    socket: &mut Socket,
    family: Family,
    world: &World,
    mend: bool,
) -> Result<Vec<String>, Error> {
    let mut changes = Transaction::new();
    let mut found = Vec::new();
    for (set, wanted) in rules::contents(family, world) {
        let there = elements(socket, family, TABLE, set)
            .map_err(|cause| Error::kernel(format!("list the set {set} of the rules"), cause))?;
        let missing = without(&wanted, &there);
        let strange = without(&there, &wanted);
        if !strange.is_empty() {
            found.push(format!("{} in the set {set} of the rules that should not be there", count(&strange)));
            // First, since one may have the key of another that should be there.
            changes.delete_elements(family, TABLE, set, &strange);
        }
        if !missing.is_empty() {
            found.push(format!("{} missing in the set {set} of the rules", count(&missing)));
            changes.add_elements(family, TABLE, set, &missing, false);
        }
    }
    if mend {
        changes.commit(socket).map_err(|cause| Error::kernel("mend the sets of the rules", cause))?;
    }
    Ok(found)
}

/// Those of `these` that are not among `those`.
fn without(these: &[Element<'static>], those: &[Element<'static>]) -> Vec<Element<'static>> {
    let those: HashSet<&Element<'static>> = those.iter().collect();
    these.iter().filter(|element| !those.contains(element)).cloned().collect()
}

fn count(elements: &[Element<'static>]) -> String {
    match elements.len() {
        1 => "an element".to_owned(),
        many => format!("{many} elements"),
    }
}
