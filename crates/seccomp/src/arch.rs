//! The system call interfaces ("architectures") a filter tells apart.

use std::fmt;

/// A system call interface: the numbers, and how wide the arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86: `int 0x80`, 32-bit `syscall` and `sysenter`.
    X86,
    /// 64-bit registers with 32-bit pointers; an [`Arch::X86_64`] call whose number has [`X32_BIT`] set.
    X32,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm (EABI).
    Arm,
}

/// The bit in a number that makes an x86_64 call an x32 call (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// An architecture name that the OCI runtime specification does not list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown seccomp architecture `{name}`")]
pub struct UnknownArch {
    /// The name as given.
    pub name: String,
}

impl report::Explain for UnknownArch {
    fn kind(&self) -> report::Kind {
        report::Kind::InvalidInput
    }
    fn hint(&self) -> Option<report::Hint> {
        Some(report::Hint::new("names look like SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64"))
    }
}

/// OCI names of architectures that no kernel we run on can execute; a filter needs nothing for them.
const FOREIGN: [&str; 16] = [
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
];

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 5] = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];

    /// The architecture this program is built for, if filters can be made for it.
    pub const fn native() -> Option<Arch> {
        if cfg!(target_arch = "x86_64") {
            Some(Arch::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Arch::Aarch64)
        } else if cfg!(target_arch = "x86") {
            Some(Arch::X86)
        } else if cfg!(target_arch = "arm") {
            Some(Arch::Arm)
        } else {
            None
        }
    }

    /// Reads the OCI name (`SCMP_ARCH_…`, runtime-spec config-linux.md "Seccomp").
    ///
    /// `Ok(None)` is an architecture that the specification knows and that cannot make a call on the
    /// machines we run on: the kernel reports a foreign architecture only for interfaces it serves itself,
    /// so leaving it out of the filter changes nothing.
    pub fn from_oci(name: &str) -> Result<Option<Arch>, UnknownArch> {
        Ok(Some(match name {
            "SCMP_ARCH_X86_64" => Arch::X86_64,
            "SCMP_ARCH_X86" => Arch::X86,
            "SCMP_ARCH_X32" => Arch::X32,
            "SCMP_ARCH_AARCH64" => Arch::Aarch64,
            "SCMP_ARCH_ARM" => Arch::Arm,
            _ if FOREIGN.contains(&name) => return Ok(None),
            _ => return Err(UnknownArch { name: name.to_owned() }),
        }))
    }

    /// The name in OCI documents.
    pub const fn oci_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// The name in the `arches` lists of Docker's profiles.
    pub const fn docker_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::X86 => "x86",
            Arch::X32 => "x32",
            Arch::Aarch64 => "arm64",
            Arch::Arm => "arm",
        }
    }

    /// What the kernel puts into `seccomp_data.arch` (`AUDIT_ARCH_…`, linux/audit.h).
    pub const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 | Arch::X32 => 0xc000_003e,
            Arch::X86 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
            Arch::Arm => 0x4000_0028,
        }
    }

    /// Whether a condition sees only the lower half of an argument, as with libseccomp: registers have 32
    /// bits here.
    pub const fn is_32_bit(self) -> bool {
        !matches!(self, Arch::X86_64 | Arch::Aarch64)
    }

    /// The column of the system call table.
    pub(crate) const fn index(self) -> usize {
        match self {
            Arch::X86_64 => 0,
            Arch::X86 => 1,
            Arch::X32 => 2,
            Arch::Aarch64 => 3,
            Arch::Arm => 4,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::X86_64 => "x86_64",
            Arch::X86 => "x86",
            Arch::X32 => "x32",
            Arch::Aarch64 => "aarch64",
            Arch::Arm => "arm",
        })
    }
}
