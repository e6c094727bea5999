//! From a request to a launch.
//!
//! [`from_request`] and [`from_bundle`] look at the host, apply the rules and return what is left to do, as data.

use std::path::{Path, PathBuf};

use report::{BoxedExplain, Explain, Hint, Kind};
use spec::{LoadError, Spec};

use crate::flags::name::ContainerName;
use crate::host::{self, Caller, boxed};
use crate::id_pool::Claim;
use crate::prepared::{Launch, Root, Stdio};
use crate::request::{Changes, RunRequest, Streams};
use crate::rules;

/// A container to launch, and what has to be kept while it runs.
#[derive(Debug)]
pub struct Prepared {
    /// What to launch.
    pub launch: Launch,
    /// What happens on the standard streams.
    pub streams: Streams,
    /// What the caller should know, a line each.
    pub remarks: Vec<String>,
    /// Why the container has the host's ids although nobody asked for that.
    pub no_own_ids: Option<String>,
    /// The claim on the container's ids; dropping it gives them back.
    pub claim: Option<Claim>,
}

/// `holm run --bundle DIR`: the configuration decides everything but these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRequest {
    /// The bundle.
    pub directory: PathBuf,
    /// The container's name.
    pub name: Option<ContainerName>,
    /// What happens on the standard streams; the configuration tells whether there is a terminal.
    pub streams: Streams,
    /// Whether a reaper of ours is the first process.
    pub init: bool,
}

/// Decides everything for a request.
///
/// # Errors
/// What the host or the caller does not have, by flag.
pub fn from_request(
    request: &RunRequest,
    caller: &Caller,
    size: Option<(u16, u16)>,
) -> Result<Prepared, BoxedExplain> {
    let random = random_id();
    let id = request.name.as_ref().map_or(random.as_str(), ContainerName::as_str);
    let found = host::look(request, caller, &random)?;
    let configured = rules::configure(request, &found.facts).map_err(boxed)?;
    let mut root = configured.root;
    match &mut root {
        Root::Directory { path } => *path = host::canonical("--rootfs", path)?,
        Root::Overlay { lower, upper } => {
            *lower = host::canonical("--rootfs", lower)?;
            if let (crate::prepared::Upper::Directory(kept), Changes::Keep(_)) =
                (upper, &request.rootfs.changes)
            {
                *kept = host::canonical("--keep-changes", kept)?;
            }
        }
    }
    Ok(Prepared {
        launch: Launch {
            id: id.to_owned(),
            spec: configured.spec,
            root,
            root_is_idmapped: configured.root_is_idmapped,
            files: configured.files,
            stdio: stdio(request.streams.tty, size),
            bundle: PathBuf::from("/"),
            init: request.init,
        },
        streams: request.streams.clone(),
        remarks: configured.remarks,
        no_own_ids: found.no_own_ids,
        claim: found.claim,
    })
}

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// There is no configuration to read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: sys::SyscallError,
    },
    /// It is not a configuration.
    #[error("{path}")]
    Load {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: LoadError,
    },
}

impl Explain for BadBundle {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Read { cause, .. } => Some(cause),
            Self::Load { cause, .. } => Some(cause),
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Read { cause, .. } if cause.kind() == Kind::NotFound => Some(Hint::new(
                "a bundle is a directory with a config.json and the root directory that it names; \
                 to run in a plain directory use --rootfs",
            )),
            _ => None,
        }
    }
}

/// Reads a bundle.
///
/// # Errors
/// [`BadBundle`] and what is wrong with the paths.
pub fn from_bundle(request: &BundleRequest, size: Option<(u16, u16)>) -> Result<Prepared, BoxedExplain> {
    let bundle = host::canonical("--bundle", &request.directory)?;
    let path = bundle.join("config.json");
    let bytes = std::fs::read(&path).map_err(|error| {
        let cause = sys::SyscallError::new("open", path.display().to_string(), error);
        boxed(BadBundle::Read { path: path.clone(), cause })
    })?;
    let spec: Spec =
        spec::load(&bytes).map_err(|cause| boxed(BadBundle::Load { path: path.clone(), cause }))?;
    let root = bundle.join(Path::new(&spec.root.path));
    let mut streams = request.streams.clone();
    streams.tty = spec.process.terminal;
    let random = random_id();
    Ok(Prepared {
        launch: Launch {
            id: request.name.as_ref().map_or(random.as_str(), ContainerName::as_str).to_owned(),
            root: Root::Directory { path: root },
            root_is_idmapped: false,
            files: Vec::new(),
            stdio: stdio(streams.tty, size),
            bundle,
            init: request.init,
            spec,
        },
        streams,
        remarks: Vec::new(),
        no_own_ids: None,
        claim: None,
    })
}

fn stdio(tty: bool, size: Option<(u16, u16)>) -> Stdio {
    if tty { Stdio::Terminal { size } } else { Stdio::Inherit }
}

/// 64 hexadecimal digits, as docker's and podman's ids.
fn random_id() -> String {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Kernels without getrandom(2) are too old for everything else here as well.
            Err(_) => break,
        }
    }
    bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}
