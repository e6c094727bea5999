//! Landlock rules of the annotation [`spec::landlock::ANNOTATION`].

use init::ops::{Op, Slot};
use spec::landlock::{self, Access};
use sys::raw;

use super::{Builder, PlanError};

/// Collects the rules; they hold once [`restrict`] says so. None without the annotation.
pub(crate) fn collect(plan: &mut Builder<'_>) -> Result<Option<Slot>, PlanError> {
    let launch = plan.launch;
    let wrong = |error: spec::LoadError| {
        PlanError::invalid(format!("annotation {}", landlock::ANNOTATION), error.to_string())
    };
    let Some(list) = landlock::rules(&launch.spec.annotations).map_err(wrong)? else { return Ok(None) };
    let abi = plan.facts.on_demand.landlock();
    let governed = Access::governed_by(abi);
    if governed == 0 {
        return Err(PlanError::unsupported(
            format!("annotation {}", landlock::ANNOTATION),
            "Landlock is not active on this host; Linux has it since 5.13, where it is among the LSMs of the boot options",
        ));
    }
    // What is always allowed there; `refer` is always forbidden before it can be granted.
    let ignored: Vec<_> = [Access::Truncate, Access::IoctlDev]
        .into_iter()
        .filter(|access| access.bits() & governed == 0)
        .map(Access::name)
        .collect();
    if !ignored.is_empty() {
        plan.note(format!(
            "Landlock of this kernel (version {abi}) does not restrict: {}",
            ignored.join(", ")
        ));
    }
    plan.stage("collect the Landlock rules", "their paths are found before there is less to see");
    let (rules, root) = (plan.ops.slot(), plan.ops.slot());
    plan.push(Op::LandlockCreate { access: governed, out: rules });
    let slash = plan.ops.text("/");
    plan.push(Op::Open { dir: Slot::CWD, name: slash, flags: raw::O_PATH | raw::O_DIRECTORY, out: root });
    for rule in &list {
        for path in &rule.paths {
            let place = plan.ops.slot();
            let path = plan.ops.text(path);
            plan.push(Op::OpenBelow { root, path, flags: raw::O_PATH, no_links: false, out: place });
            plan.push(Op::LandlockAllow { rules, place, access: rule.bits() & governed });
            plan.ops.close(place);
        }
    }
    plan.ops.close(root);
    Ok(Some(rules))
}

/// Holds the program to the rules.
pub(crate) fn restrict(plan: &mut Builder<'_>, rules: Option<Slot>) {
    if let Some(rules) = rules {
        plan.stage("restrict it by the Landlock rules", "as the annotation asks");
        plan.push(Op::LandlockRestrict { rules });
        plan.ops.close(rules);
    }
}
