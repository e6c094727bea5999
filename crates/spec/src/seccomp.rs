//! The system call filter, as a document states it.
//!
//! Names of system calls stay names: which of them a machine has is for the filter's compiler to know.
//! Source: config-linux.md of the OCI runtime specification 1.3, "Seccomp".

use crate::names::names;
use crate::optional::{empty, null};
use serde::{Deserialize, Serialize};

/// The `seccomp` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call no rule matches.
    pub default_action: Action,
    /// The errno, or the value for the tracer, of [`default_action`](Self::default_action); absent is `EPERM`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub default_errno_ret: Option<u32>,
    /// The architectures whose calls are filtered besides the native one.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub architectures: Vec<Architecture>,
    /// Flags of seccomp(2); absent leaves the choice to the runtime.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub flags: Option<Vec<Flag>>,
    /// The socket that gets the listener of [`Action::Notify`]; empty for none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub listener_path: String,
    /// What is told to the one behind that socket.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub syscalls: Vec<Rule>,
}

/// What happens to some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Rule {
    /// The calls, at least one.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: Action,
    /// The errno, or the value for the tracer; absent is `EPERM`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub errno_ret: Option<u32>,
    /// What the arguments must be, all of it at once, except that several conditions on the same argument are
    /// alternatives.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub args: Vec<Condition>,
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// What it is compared with; the mask for [`Operator::MaskedEqual`].
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub value_two: u64,
    /// The comparison.
    pub op: Operator,
}

names! {
    /// What happens to a system call (seccomp(2)).
    pub enum Action {
        /// The same as [`KillThread`](Self::KillThread).
        Kill = "SCMP_ACT_KILL",
        /// The process dies (Linux 4.14).
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread dies.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// The process gets `SIGSYS`.
        Trap = "SCMP_ACT_TRAP",
        /// The call fails with an errno.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer decides.
        Trace = "SCMP_ACT_TRACE",
        /// The call is made.
        Allow = "SCMP_ACT_ALLOW",
        /// The call is made and logged (Linux 4.14).
        Log = "SCMP_ACT_LOG",
        /// The listener decides (Linux 5.0).
        Notify = "SCMP_ACT_NOTIFY",
    }
}

names! {
    /// A comparison of an argument, unsigned and 64 bits wide.
    #[allow(missing_docs)]
    pub enum Operator {
        NotEqual = "SCMP_CMP_NE",
        LessThan = "SCMP_CMP_LT",
        LessEqual = "SCMP_CMP_LE",
        EqualTo = "SCMP_CMP_EQ",
        GreaterEqual = "SCMP_CMP_GE",
        GreaterThan = "SCMP_CMP_GT",
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }
}

names! {
    /// A flag of seccomp(2).
    pub enum Flag {
        /// All threads get the filter (Linux 3.17).
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Actions other than allow are logged (Linux 4.14).
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// Speculative store bypass mitigation is off (Linux 4.17).
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// Only fatal signals interrupt a call the listener has received (Linux 5.19).
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

impl Flag {
    /// The kernel's bit, `include/uapi/linux/seccomp.h`.
    pub const fn bit(self) -> u32 {
        match self {
            Self::Tsync => 1 << 0,
            Self::Log => 1 << 1,
            Self::SpecAllow => 1 << 2,
            Self::WaitKillableRecv => 1 << 5,
        }
    }
}

names! {
    /// An architecture, as libseccomp names it.
    #[allow(missing_docs)]
    pub enum Architecture {
        X86 = "SCMP_ARCH_X86",
        X86_64 = "SCMP_ARCH_X86_64",
        X32 = "SCMP_ARCH_X32",
        Arm = "SCMP_ARCH_ARM",
        Aarch64 = "SCMP_ARCH_AARCH64",
        Mips = "SCMP_ARCH_MIPS",
        Mips64 = "SCMP_ARCH_MIPS64",
        Mips64n32 = "SCMP_ARCH_MIPS64N32",
        Mipsel = "SCMP_ARCH_MIPSEL",
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        Mipsel64n32 = "SCMP_ARCH_MIPSEL64N32",
        Ppc = "SCMP_ARCH_PPC",
        Ppc64 = "SCMP_ARCH_PPC64",
        Ppc64le = "SCMP_ARCH_PPC64LE",
        S390 = "SCMP_ARCH_S390",
        S390x = "SCMP_ARCH_S390X",
        Parisc = "SCMP_ARCH_PARISC",
        Parisc64 = "SCMP_ARCH_PARISC64",
        Riscv64 = "SCMP_ARCH_RISCV64",
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        M68k = "SCMP_ARCH_M68K",
        Sh = "SCMP_ARCH_SH",
        Sheb = "SCMP_ARCH_SHEB",
    }
}

crate::optional::objects!(Seccomp, Rule, Condition);
