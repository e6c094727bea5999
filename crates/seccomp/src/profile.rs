//! What a filter shall do, as plain data.
//!
//! [`Profile`] says the same as `linux.seccomp` of an OCI document, after parsing: actions carry their errno,
//! architectures and operators are enums. [`Action::from_oci`] and its neighbours are the door.

use crate::arch::Arch;
use report::{Explain, Hint, Kind};
use std::borrow::Cow;
use std::fmt;

/// A seccomp profile: which calls are answered how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The answer to calls that no rule matches.
    pub default_action: Action,
    /// The interfaces the profile covers. The one a filter is compiled for always counts as listed; calls
    /// through any other are killed.
    pub architectures: Vec<Arch>,
    /// How the kernel shall treat the filter.
    pub flags: Flags,
    /// The exceptions from the default; see [`crate::compile()`] for how several rules on one call combine.
    pub rules: Vec<Rule>,
}

impl Profile {
    /// A profile that lets everything through, on every architecture listed.
    pub fn allow_all(architectures: Vec<Arch>) -> Self {
        Self { default_action: Action::Allow, architectures, flags: Flags::default(), rules: Vec::new() }
    }

    /// Whether a listener descriptor comes back when the filter is loaded.
    pub fn needs_listener(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Notify)
    }
}

/// One answer for several calls, perhaps under conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Names of calls; those an architecture does not have are skipped there.
    pub names: Vec<Cow<'static, str>>,
    /// The answer.
    pub action: Action,
    /// Conditions that must all hold; none means always. Several conditions on the *same* argument are
    /// alternatives, as runc and crun read them.
    pub args: Vec<Condition>,
}

/// A comparison of one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    index: u8,
    /// How the argument is compared with `value`.
    pub op: Op,
    /// The value; for [`Op::MaskedEq`] the mask.
    pub value: u64,
    /// For [`Op::MaskedEq`] what the masked argument must be; otherwise unused.
    pub value_two: u64,
}

impl Condition {
    /// A condition on argument `index`, counted from 0 as in the OCI document.
    pub fn new(index: u32, op: Op, value: u64, value_two: u64) -> Result<Self, ProfileError> {
        match u8::try_from(index) {
            Ok(index @ 0..=5) => Ok(Self { index, op, value, value_two }),
            _ => Err(ProfileError::ArgumentIndex { index }),
        }
    }

    pub(crate) const fn constant(index: u8, op: Op, value: u64, value_two: u64) -> Self {
        assert!(index < 6);
        Self { index, op, value, value_two }
    }

    /// The argument, 0 to 5.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Whether arguments with these registers satisfy the condition, compared with all 64 bits.
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        self.op.holds(args[self.index as usize], self.value, self.value_two)
    }
}

/// How an argument is compared; unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// argument != value
    Ne,
    /// argument < value
    Lt,
    /// argument <= value
    Le,
    /// argument == value
    Eq,
    /// argument >= value
    Ge,
    /// argument > value
    Gt,
    /// argument & value == value_two & value, as libseccomp masks both sides
    MaskedEq,
}

impl Op {
    /// Reads the OCI name (`SCMP_CMP_…`).
    pub fn from_oci(name: &str) -> Result<Self, ProfileError> {
        Ok(match name {
            "SCMP_CMP_NE" => Op::Ne,
            "SCMP_CMP_LT" => Op::Lt,
            "SCMP_CMP_LE" => Op::Le,
            "SCMP_CMP_EQ" => Op::Eq,
            "SCMP_CMP_GE" => Op::Ge,
            "SCMP_CMP_GT" => Op::Gt,
            "SCMP_CMP_MASKED_EQ" => Op::MaskedEq,
            _ => return Err(ProfileError::UnknownOperator { name: name.to_owned() }),
        })
    }

    fn holds(self, argument: u64, value: u64, value_two: u64) -> bool {
        match self {
            Op::Ne => argument != value,
            Op::Lt => argument < value,
            Op::Le => argument <= value,
            Op::Eq => argument == value,
            Op::Ge => argument >= value,
            Op::Gt => argument > value,
            Op::MaskedEq => argument & value == value_two & value,
        }
    }
}

/// The kernel's answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The process dies with SIGSYS (Linux 4.14).
    KillProcess,
    /// The thread dies with SIGSYS.
    KillThread,
    /// The thread gets SIGSYS and may handle it.
    Trap,
    /// The call fails with this errno, at most [`MAX_ERRNO`].
    Errno(u16),
    /// A tracer is asked, and sees this number; without one the call fails with ENOSYS.
    Trace(u16),
    /// Somebody who holds the listener descriptor is asked (Linux 5.0).
    Notify,
    /// The call is made and written to the audit log (Linux 4.14).
    Log,
    /// The call is made.
    Allow,
}

/// The largest errno the kernel passes on (`MAX_ERRNO`, linux/err.h).
pub const MAX_ERRNO: u16 = 4095;

/// EPERM: what an errno action without a number means in the OCI specification.
pub const EPERM: u16 = 1;

impl Action {
    /// Reads the OCI name (`SCMP_ACT_…`) and its errno; without one, ERRNO and TRACE carry EPERM.
    pub fn from_oci(name: &str, errno_ret: Option<u32>) -> Result<Self, ProfileError> {
        let number = |limit: u16| match errno_ret {
            None => Ok(EPERM),
            Some(errno) => u16::try_from(errno)
                .ok()
                .filter(|errno| *errno <= limit)
                .ok_or(ProfileError::ErrnoRange { action: name.to_owned(), errno, limit }),
        };
        let action = match name {
            "SCMP_ACT_ERRNO" => return Ok(Action::Errno(number(MAX_ERRNO)?)),
            "SCMP_ACT_TRACE" => return Ok(Action::Trace(number(u16::MAX)?)),
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
            "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
            "SCMP_ACT_TRAP" => Action::Trap,
            "SCMP_ACT_NOTIFY" => Action::Notify,
            "SCMP_ACT_LOG" => Action::Log,
            "SCMP_ACT_ALLOW" => Action::Allow,
            _ => return Err(ProfileError::UnknownAction { name: name.to_owned() }),
        };
        match errno_ret {
            None => Ok(action),
            Some(errno) => Err(ProfileError::ErrnoUnused { action: name.to_owned(), errno }),
        }
    }

    /// The value a filter returns for it (`SECCOMP_RET_…`, linux/seccomp.h).
    pub const fn code(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Trace(number) => 0x7ff0_0000 | number as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }

    /// The action a filter's return value stands for, as the kernel reads it; `None` for values it has no
    /// name for (it kills the process then).
    pub const fn from_code(code: u32) -> Option<Self> {
        let data = (code & 0xffff) as u16;
        Some(match code & 0xffff_0000 {
            0x8000_0000 => Action::KillProcess,
            0 => Action::KillThread,
            0x0003_0000 => Action::Trap,
            0x0005_0000 => Action::Errno(if data > MAX_ERRNO { MAX_ERRNO } else { data }),
            0x7ff0_0000 => Action::Trace(data),
            0x7fc0_0000 => Action::Notify,
            0x7ffc_0000 => Action::Log,
            0x7fff_0000 => Action::Allow,
            _ => return None,
        })
    }

    /// Whether calls go ahead, or somebody who can make up for them is asked: runc's list of defaults that
    /// need no ENOSYS for unknown calls.
    pub(crate) const fn is_permissive(self) -> bool {
        matches!(self, Action::Allow | Action::Log | Action::Trace(_))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::KillProcess => f.write_str("kill process"),
            Action::KillThread => f.write_str("kill thread"),
            Action::Trap => f.write_str("trap"),
            Action::Errno(1) => f.write_str("errno 1 (EPERM)"),
            Action::Errno(38) => f.write_str("errno 38 (ENOSYS)"),
            Action::Errno(errno) => write!(f, "errno {errno}"),
            Action::Trace(number) => write!(f, "trace {number}"),
            Action::Notify => f.write_str("notify"),
            Action::Log => f.write_str("log"),
            Action::Allow => f.write_str("allow"),
        }
    }
}

/// How the kernel shall treat the filter; `linux.seccomp.flags` of an OCI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// All threads of the process get the filter.
    pub tsync: bool,
    /// Answers other than "allow" are logged (Linux 4.14).
    pub log: bool,
    /// Speculative store bypass stays as it is (Linux 4.17).
    pub spec_allow: bool,
    /// While a listener has a call in hand, only fatal signals interrupt it (Linux 5.19).
    pub wait_killable_recv: bool,
}

impl Flags {
    /// The flags of a profile that does not mention flags, on Linux `kernel`: as with runc, speculation stays
    /// as it is where the kernel can be told so (4.17). Before Linux 5.16 a filter without it slows the program
    /// down with the mitigation of speculative store bypass. An empty list of flags is not the same: that is
    /// [`Flags::default`].
    pub fn not_given(kernel: (u32, u32)) -> Self {
        Self { spec_allow: kernel >= (4, 17), ..Self::default() }
    }

    /// Reads one OCI name (`SECCOMP_FILTER_FLAG_…`) and sets it.
    pub fn set_oci(&mut self, name: &str) -> Result<(), ProfileError> {
        match name {
            "SECCOMP_FILTER_FLAG_TSYNC" => self.tsync = true,
            "SECCOMP_FILTER_FLAG_LOG" => self.log = true,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => self.spec_allow = true,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => self.wait_killable_recv = true,
            _ => return Err(ProfileError::UnknownFlag { name: name.to_owned() }),
        }
        Ok(())
    }
}

/// A word or number in a profile that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not an action of the OCI specification.
    #[error("unknown seccomp action `{name}`")]
    UnknownAction {
        /// As given.
        name: String,
    },
    /// Not an operator of the OCI specification.
    #[error("unknown seccomp operator `{name}`")]
    UnknownOperator {
        /// As given.
        name: String,
    },
    /// Not a filter flag of the OCI specification.
    #[error("unknown seccomp flag `{name}`")]
    UnknownFlag {
        /// As given.
        name: String,
    },
    /// A call has six arguments.
    #[error("a condition on argument {index} of a system call")]
    ArgumentIndex {
        /// As given.
        index: u32,
    },
    /// The number does not fit into the filter's answer.
    #[error("{action} with errno {errno}")]
    ErrnoRange {
        /// The action's OCI name.
        action: String,
        /// As given.
        errno: u32,
        /// The largest one possible.
        limit: u16,
    },
    /// Only ERRNO and TRACE carry a number.
    #[error("{action} with errno {errno}, which it cannot return")]
    ErrnoUnused {
        /// The action's OCI name.
        action: String,
        /// As given.
        errno: u32,
    },
}

impl Explain for ProfileError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(match self {
            ProfileError::UnknownAction { .. } => {
                "actions are SCMP_ACT_ followed by ALLOW, ERRNO, KILL, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE or TRAP"
                    .to_owned()
            }
            ProfileError::UnknownOperator { .. } => {
                "operators are SCMP_CMP_ followed by NE, LT, LE, EQ, GE, GT or MASKED_EQ".to_owned()
            }
            ProfileError::UnknownFlag { .. } => {
                "flags are SECCOMP_FILTER_FLAG_ followed by TSYNC, LOG, SPEC_ALLOW or WAIT_KILLABLE_RECV".to_owned()
            }
            ProfileError::ArgumentIndex { .. } => "arguments are counted from 0 to 5".to_owned(),
            ProfileError::ErrnoRange { limit, .. } => format!("the largest number possible is {limit}"),
            ProfileError::ErrnoUnused { .. } => "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE return a number".to_owned(),
        }))
    }
}
