//! From a profile to a filter.

use crate::arch::Arch;
use crate::decide;
use crate::emit;
use crate::filter::{Filter, MAX_INSTRUCTIONS};
use crate::profile::{Action, Flags, Profile};
use report::{Explain, Hint, Kind};

/// Changes whenever the same profile would compile to another program; part of the key of cached filters.
pub const COMPILER_VERSION: u32 = 1;

/// Compiles `profile` for programs of `target`.
///
/// What a profile means, where documents leave it open, is what it means to runc with libseccomp:
///
/// * A name without a number on an architecture is skipped there.
/// * A rule whose action is the default action says nothing.
/// * Of several rules on one call, the first without conditions wins, wherever it stands; without such a
///   rule they are asked in order, and the first that holds answers. (libseccomp merges conditional rules
///   into one tree; where rules with different actions overlap, its order can differ from that of the
///   document.)
/// * Conditions of one rule must all hold, unless two of them look at the same argument: then each is an
///   alternative.
/// * Comparisons are unsigned. On x86, x32 and Arm the lower 32 bits of both sides count; elsewhere all 64,
///   except where the kernel itself cuts the argument to an `int` ([`crate::ints`]): there the filter
///   compares what the kernel will see.
/// * Unless the default lets calls through, a number above the greatest one that the profile names fails
///   with ENOSYS, so that programs fall back to older calls instead of giving up at EPERM. This holds for
///   each interface on its own.
/// * `target` counts as listed. Calls through an interface that is not listed kill the thread, x32 calls
///   included. With x86_64 alone, number -1 gets the default: tracers set it to skip a call.
/// * On x86, `socketcall` and `ipc` follow the rules for the calls they carry, as far as a filter can see
///   those.
pub fn compile(profile: &Profile, target: Arch) -> Result<Filter, CompileError> {
    if profile.default_action == Action::Notify {
        return Err(CompileError::NotifyByDefault);
    }
    if let Some(rule) = profile.rules.iter().find(|rule| rule.action == Action::Notify)
        && rule.names.iter().any(|name| name == "write")
    {
        return Err(CompileError::NotifyOnWrite);
    }
    let instructions = emit::assemble(&decide::branches(profile, target), profile.default_action);
    match instructions.len() {
        count @ ..=MAX_INSTRUCTIONS => {
            debug_assert!(count > 0);
            Ok(Filter::new(instructions, filter_flags(profile.flags, profile.needs_listener())))
        }
        instructions => Err(CompileError::TooLong { instructions }),
    }
}

/// The flags for seccomp(2).
pub(crate) fn filter_flags(wanted: Flags, listener: bool) -> u32 {
    // The kernel refuses a listener with TSYNC alone, and WAIT_KILLABLE_RECV without a listener
    // (kernel/seccomp.c).
    [
        (wanted.tsync, Filter::TSYNC),
        (wanted.tsync && listener, Filter::TSYNC_ESRCH),
        (wanted.log, Filter::LOG),
        (wanted.spec_allow, Filter::SPEC_ALLOW),
        (listener, Filter::NEW_LISTENER),
        (wanted.wait_killable_recv && listener, Filter::WAIT_KILLABLE_RECV),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

/// A profile that no filter can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The program is longer than the kernel takes.
    #[error("a seccomp filter of {instructions} instructions")]
    TooLong {
        /// How long it is.
        instructions: usize,
    },
    /// Nobody could answer for all calls, the answering program's own among them.
    #[error("a seccomp profile that notifies by default")]
    NotifyByDefault,
    /// The listener is handed over with write(2) after the filter is loaded.
    #[error("a seccomp profile that notifies on `write`")]
    NotifyOnWrite,
}

impl Explain for CompileError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(match self {
            CompileError::TooLong { .. } => {
                "the kernel takes 4096 instructions; use fewer rules with conditions on arguments"
            }
            CompileError::NotifyByDefault => {
                "name the calls that a listener shall answer, and choose another default action"
            }
            CompileError::NotifyOnWrite => {
                "take `write` out of the calls with SCMP_ACT_NOTIFY; runc refuses it too"
            }
        }))
    }
}
