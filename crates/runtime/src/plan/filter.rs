//! From the `seccomp` section of the specification to a filter for the kernel.

use report::BoxedExplain;
use seccomp::{Action, Arch, Cache, Condition, Flags, Profile, Rule};
use spec::Seccomp;
use spec::seccomp::Flag;

use super::PlanError;

/// Compiles the profile, unless that was done before and `cache` has it.
pub(crate) fn compile(section: &Seccomp, cache: Option<&Cache>) -> Result<seccomp::Filter, PlanError> {
    let native = Arch::native().ok_or_else(|| {
        PlanError::unsupported(
            "seccomp profile",
            "this version of holm has no table of this machine's system calls",
        )
    })?;
    let profile = profile(section)?;
    match cache {
        Some(cache) => cache.compile(&profile, native).map(|(filter, _)| filter).map_err(boxed),
        None => seccomp::compile(&profile, native).map_err(boxed),
    }
}

fn boxed(error: impl report::Explain + Send + Sync + 'static) -> PlanError {
    PlanError::Filter(Box::new(error) as BoxedExplain)
}

/// The same rules in the compiler's types.
pub(crate) fn profile(section: &Seccomp) -> Result<Profile, PlanError> {
    let mut architectures = Vec::with_capacity(section.architectures.len());
    for architecture in &section.architectures {
        // An architecture that no call can come from on this machine needs no rules.
        architectures.extend(Arch::from_oci(architecture.name()).map_err(boxed)?);
    }
    let mut rules = Vec::with_capacity(section.syscalls.len());
    for rule in &section.syscalls {
        let mut args = Vec::with_capacity(rule.args.len());
        for condition in &rule.args {
            let op = seccomp::Op::from_oci(condition.op.name()).map_err(boxed)?;
            args.push(
                Condition::new(condition.index, op, condition.value, condition.value_two).map_err(boxed)?,
            );
        }
        rules.push(Rule {
            names: rule.names.iter().map(|name| name.clone().into()).collect(),
            action: Action::from_oci(rule.action.name(), rule.errno_ret).map_err(boxed)?,
            args,
        });
    }
    let default_action =
        Action::from_oci(section.default_action.name(), section.default_errno_ret).map_err(boxed)?;
    // Without an opinion of the profile's the mitigation of speculative store bypass stays as the host has it (runc's choice).
    let flags = section.flags.as_deref().unwrap_or(&[Flag::SpecAllow]);
    Ok(Profile { default_action, architectures, flags: flags_of(flags), rules })
}

/// Whether a profile lets all calls of these names through, whatever their arguments are.
pub(crate) fn allows(section: &Seccomp, names: &[&str]) -> bool {
    let passes = |action| matches!(action, spec::seccomp::Action::Allow | spec::seccomp::Action::Log);
    names.iter().all(|name| {
        let mut rules =
            section.syscalls.iter().filter(|rule| rule.names.iter().any(|it| it == name)).peekable();
        let is_named = rules.peek().is_some();
        let mut always = false;
        let pass = rules.all(|rule| {
            always |= rule.args.is_empty();
            passes(rule.action)
        });
        pass && (passes(section.default_action) || is_named && always)
    })
}

/// All threads of the process are the one that loads the filter, so that there is nobody to synchronise it with.
fn flags_of(flags: &[Flag]) -> Flags {
    Flags {
        tsync: false,
        log: flags.contains(&Flag::Log),
        spec_allow: flags.contains(&Flag::SpecAllow),
        wait_killable_recv: flags.contains(&Flag::WaitKillableRecv),
    }
}
