//! What a container is: the request that it was made from, and what is beside it.

use monitor::{Driver, HealthSetup, Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flags::label::Label;
use crate::flags::mount::Mount;
use crate::flags::network::{Network, Places};
use crate::request::{Rootfs, RunFlags};

/// A container's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Of the format: 1.
    pub version: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made, in nanoseconds since 1970.
    pub created_ns: u64,
    /// What was asked for. Nothing in it depends on the caller any more: paths are absolute, variables have their values.
    pub request: RunFlags,
    /// It is taken away when it ends.
    #[serde(default)]
    pub auto_remove: bool,
    /// It has an input that somebody may give something to.
    #[serde(default)]
    pub open_stdin: bool,
    /// That ends with the first who gives something; otherwise it stays open for the next.
    #[serde(default)]
    pub stdin_once: bool,
    /// Whether it is started again.
    #[serde(default)]
    pub restart: Policy,
    /// How its output is kept.
    #[serde(default)]
    pub log: LogChoice,
    /// How long it may take to stop, in seconds; 10 without it, no bound below 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// How its health is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// `TERM` of whoever made it, for a terminal whose description is the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_type: Option<String>,
    /// The name of the image that it was made from, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The manifest of that image, where the store holds it for this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// `--volumes-from`, as it was written; the mounts themselves are in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
}

/// What lists say of a definition. The rest, which takes most of the time to read, is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "each field is that of the same name in Definition and RunFlags")]
pub struct Brief {
    version: u32,
    pub name: String,
    pub created_ns: u64,
    pub request: BriefRequest,
    #[serde(default)]
    pub restart: Policy,
    /// Whether it is asked for its health.
    #[serde(default, deserialize_with = "is_there")]
    pub health: bool,
    #[serde(default)]
    pub image: Option<String>,
}

/// The same of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is that of the same name in RunFlags")]
pub struct BriefRequest {
    pub rootfs: Rootfs,
    pub args: Vec<String>,
    pub mounts: Vec<Mount>,
    pub network: Network,
    pub places: Places,
    pub labels: Vec<Label>,
}

fn is_there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Option::<serde::de::IgnoredAny>::deserialize(from).map(|something| something.is_some())
}

impl Brief {
    /// Reads it from what [`Definition::to_bytes`] has made; none where that is damaged or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|brief: &Self| brief.version == FORMAT)
    }

    /// What its root is, as it is shown: the image, or the directory.
    pub fn image(&self) -> String {
        shown_image(self.image.as_ref(), &self.request.rootfs)
    }
}

fn shown_image(image: Option<&String>, rootfs: &Rootfs) -> String {
    image.cloned().unwrap_or_else(|| rootfs.directory.display().to_string())
}

/// The format of definitions.
const FORMAT: u32 = 1;

/// How long a container may take to stop where nothing else is said, in seconds.
pub const STOP_TIMEOUT: i64 = 10;

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogChoice {
    /// The driver.
    pub driver: Driver,
    /// The most bytes of one file; 0 is no bound.
    pub max_bytes: u64,
    /// The most files.
    pub max_files: u32,
    /// A tag for the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Rotation is on from the beginning: a log that fills the disk is nobody's wish.
impl Default for LogChoice {
    fn default() -> Self {
        Self { driver: Driver::JsonFile, max_bytes: 10 << 20, max_files: 3, tag: None }
    }
}

/// `--health-*`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// When it is asked, and what is done.
    pub setup: HealthSetup,
}

impl Definition {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let definition: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match definition.version {
            FORMAT => Ok(definition),
            other => Err(format!("it has format {other}, and this holm knows {FORMAT}")),
        }
    }

    /// As it is kept: what is as usual is left out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(request) = value.get_mut("request") {
            prune(request);
            for part in ["limits", "places", "rootfs"] {
                if let Some(part) = request.get_mut(part) {
                    prune(part);
                }
            }
        }
        serde_json::to_vec(&value).unwrap_or_default()
    }

    /// Whether there is a terminal.
    pub fn tty(&self) -> bool {
        self.request.streams.tty
    }

    /// The program and its arguments as one line.
    pub fn command(&self) -> String {
        self.request.args.join(" ")
    }

    /// What its root is, as it is shown: the image, or the directory.
    pub fn image(&self) -> String {
        shown_image(self.image.as_ref(), &self.request.rootfs)
    }

    /// The signal that asks it to stop.
    pub fn stop_signal(&self) -> spec::Signal {
        self.request.stop_signal.unwrap_or(spec::Signal::TERM)
    }
}

/// Takes away what reading puts back as it was: every field has its usual value without being there.
fn prune(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| match value {
            Value::Null => false,
            Value::Bool(on) => *on,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::{flags, value};

    fn definition(request: RunFlags) -> Definition {
        Definition {
            version: 1,
            id: "0".repeat(64),
            name: "web".to_owned(),
            created_ns: 7,
            request,
            auto_remove: false,
            open_stdin: false,
            stdin_once: false,
            restart: Policy::OnFailure { max: Some(3) },
            log: LogChoice::default(),
            stop_timeout: None,
            health: None,
            terminal_type: None,
            image: None,
            manifest: None,
            volumes_from: Vec::new(),
        }
    }

    #[test]
    fn every_flag_comes_back() {
        let request = flags(|flags| {
            flags.env = vec![value("A=b"), value("C")];
            flags.mounts =
                vec![value("type=bind,src=/x,dst=/a,readonly"), value("type=tmpfs,dst=/t,tmpfs-size=5m")];
            flags.user = Some(value("www-data:33"));
            flags.limits.memory = Some(value("64m"));
            flags.limits.memory_swap = Some(value("-1"));
            flags.limits.cpus = Some(value("0.5"));
            flags.limits.pids = Some(value("100"));
            flags.limits.cpuset_cpus = Some(value("0-1"));
            flags.limits.device_read_bps = vec![value("/dev/sda:1mb")];
            flags.security_opt = vec![value("no-new-privileges"), value("seccomp=unconfined")];
            flags.cap_add = vec![value("NET_ADMIN")];
            flags.cap_drop = vec![value("ALL")];
            flags.ulimits = vec![value("nofile=10:20")];
            flags.sysctls = vec![value("net.core.somaxconn=5")];
            flags.userns = value("0:100000:65536");
            flags.stop_signal = Some(value("QUIT"));
            flags.devices = vec![value("/dev/fuse:/dev/fuse:rw")];
            flags.labels = vec![value("a=b")];
            flags.time_offsets = vec![value("boottime=5d")];
            flags.hostname = Some(value("h"));
            flags.network = value("host");
            flags.streams.tty = true;
        });
        let before = definition(request);
        let bytes = before.to_bytes();
        assert_eq!(Definition::from_bytes(&bytes).unwrap(), before, "{}", String::from_utf8_lossy(&bytes));
        let brief = Brief::from_bytes(&bytes).unwrap();
        let RunFlags { rootfs, args, mounts, network, places, labels, .. } = before.request.clone();
        let request = BriefRequest { rootfs, args, mounts, network, places, labels };
        let (name, restart, created_ns) = (before.name.clone(), before.restart, before.created_ns);
        assert_eq!(
            brief,
            Brief { version: 1, name, created_ns, request, restart, health: false, image: None }
        );
        let command = vec!["true".to_owned()];
        let setup = HealthSetup {
            interval_ms: 1,
            timeout_ms: 1,
            start_period_ms: 0,
            start_interval_ms: None,
            retries: 1,
            on_failure: monitor::OnFailure::None,
        };
        let asked = Definition { health: Some(HealthCheck { command, setup }), ..before };
        assert!(Brief::from_bytes(&asked.to_bytes()).unwrap().health);
    }

    #[test]
    fn what_is_as_usual_takes_no_room() {
        let bytes = definition(flags(|_| {})).to_bytes();
        assert!(bytes.len() < 700, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_format_of_the_future_is_refused() {
        let text = String::from_utf8(definition(flags(|_| {})).to_bytes()).unwrap();
        let later = text.replace("\"version\":1", "\"version\":2");
        assert!(Definition::from_bytes(later.as_bytes()).unwrap_err().contains("format 2"));
        assert_eq!(Brief::from_bytes(later.as_bytes()), None);
        assert!(Definition::from_bytes(&later.as_bytes()[..20]).is_err());
    }
}
