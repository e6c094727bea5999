//! What several fuzz targets share. The targets themselves are in `targets`.

use engine::flags::{self, Value};

/// Reads `text` as the value of every flag there is.
pub fn every_flag(text: &str) {
    macro_rules! each {
        ($($value:ty),* $(,)?) => { $( let _ = <$value>::parse(text); )* };
    }
    each! {
        flags::capability::Capabilities,
        flags::cpu::CpuSet,
        flags::cpu::Cpus,
        flags::destination::Destination,
        flags::detach_keys::DetachKeys,
        flags::device::Device,
        flags::env::EnvEntry,
        flags::io::BytesPerSecond,
        flags::io::DeviceWeight,
        flags::io::OperationsPerSecond,
        flags::label::Label,
        flags::mount::Mount,
        flags::name::ContainerName,
        flags::name::Hostname,
        flags::namespace::Ipc,
        flags::namespace::Source,
        flags::network::Network,
        flags::number::OomScoreAdj,
        flags::number::PidsLimit,
        flags::security_opt::SecurityOpt,
        spec::Signal,
        flags::size::Bytes,
        flags::size::Limit,
        flags::sysctl::Sysctl,
        flags::time_offset::TimeOffset,
        flags::tmpfs::Tmpfs,
        flags::ulimit::Ulimit,
        flags::user::Group,
        flags::user::User,
        flags::userns::UserNamespace,
        flags::volume::Volume,
    }
    let _ = flags::parse_bool(text);
}
