//! `spec`: writes a first configuration.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Arguments;
use sys::SyscallError;

use crate::failure::{Failure, Outcome};

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let bundle = arguments.get_one::<PathBuf>("bundle").cloned().unwrap_or_default();
    let path = bundle.join("config.json");
    let rootless = arguments.get_flag("rootless");
    let mut spec = spec::default_spec(rootless);
    if rootless {
        for (maps, id) in [
            (&mut spec.linux.uid_mappings, rustix::process::geteuid().as_raw()),
            (&mut spec.linux.gid_mappings, rustix::process::getegid().as_raw()),
        ] {
            if let Some(map) = maps.first_mut() {
                map.host_id = id;
            }
        }
    }
    let failed = |call, error: std::io::Error| {
        Failure::from(SyscallError::new(call, path.display().to_string(), error))
    };
    // A configuration that is there already is somebody's work.
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| failed("open", error))?;
    let text = spec::to_pretty_json(&spec).map_err(|error| failed("write", error.into()))?;
    file.write_all(text.as_bytes()).map_err(|error| failed("write", error))?;
    Ok(ExitCode::SUCCESS)
}
