//! Seccomp profiles, and the compiler that turns them into filters.
//!
//! [`Profile`] is the input, [`compile()`] the one step, [`Filter`] the result; start reading there.
//! Nothing here loads a filter: that is a system call, and lives with the others.
//!
//! ```
//! use seccomp::{Action, Arch, Call, Profile, Rule, compile, evaluate, number};
//!
//! let mut profile = Profile::allow_all(vec![]);
//! profile.rules.push(Rule { names: vec!["reboot".into()], action: Action::Errno(1), args: vec![] });
//! let filter = compile(&profile, Arch::X86_64)?;
//!
//! let reboot = Call::new(Arch::X86_64, number("reboot", Arch::X86_64).unwrap(), [0; 6]);
//! assert_eq!(evaluate(&filter, &reboot).action(), Action::Errno(1));
//! # Ok::<(), seccomp::CompileError>(())
//! ```
#![forbid(unsafe_code)]

mod arch;
mod cache;
mod compile;
mod decide;
mod docker;
mod emit;
mod evaluate;
mod explain;
pub mod filter;
pub mod ints;
mod json;
mod profile;
mod table;

pub use arch::{Arch, UnknownArch, X32_BIT};
pub use cache::{Cache, CacheError, Origin};
pub use compile::{COMPILER_VERSION, CompileError, compile};
pub use docker::{default_filter, default_profile};
pub use evaluate::{Call, Verdict, evaluate};
pub use explain::{disassemble, explain};
pub use filter::{Filter, Instruction};
pub use json::{Choice, Host, JsonError, Problem, read_profile};
pub use profile::{Action, Condition, EPERM, Flags, MAX_ERRNO, Op, Profile, ProfileError, Rule};
pub use table::{calls, name, number};
