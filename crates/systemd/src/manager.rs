//! systemd, as far as containers need it (org.freedesktop.systemd1(5)).

use std::fmt;
use std::time::Duration;

use rustix::net::SocketAddrUnix;

use crate::connection::Connection;
use crate::names::{self, UnitPath};
use crate::property::{Property, Value};
use crate::wire::{Call, Writer};
use crate::{Error, address};

/// Which systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// The system's; for root.
    System,
    /// The manager of this user.
    User,
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system bus",
            Self::User => "user's session bus",
        })
    }
}

/// How long a unit may take to start or to stop.
const JOB_PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";
const DBUS: &str = "org.freedesktop.DBus";

/// A connection to systemd.
#[derive(Debug)]
pub struct Manager {
    connection: Connection,
    /// Connected to systemd itself: there is no bus between.
    is_direct: bool,
    follows_jobs: bool,
}

impl Manager {
    /// Connects over the bus, or where there is none to systemd's own socket, as systemctl(1) does.
    ///
    /// The system's bus is at `DBUS_SYSTEM_BUS_ADDRESS` or `/run/dbus/system_bus_socket`; a user's at
    /// `DBUS_SESSION_BUS_ADDRESS` or `$XDG_RUNTIME_DIR/bus`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the last attempt's failure; [`Error::Refused`].
    pub fn connect(bus: Bus) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (named, known, direct) = match bus {
            Bus::System => (
                variable("DBUS_SYSTEM_BUS_ADDRESS"),
                Some("/run/dbus/system_bus_socket".to_owned()),
                Some("/run/systemd/private".to_owned()),
            ),
            Bus::User => {
                let below =
                    |name: &str| variable("XDG_RUNTIME_DIR").map(|directory| format!("{directory}/{name}"));
                (variable("DBUS_SESSION_BUS_ADDRESS"), below("bus"), below("systemd/private"))
            }
        };
        let mut places: Vec<(SocketAddrUnix, bool)> = match named {
            Some(list) => address::parse(&list).into_iter().map(|place| (place, false)).collect(),
            None => known
                .and_then(|path| SocketAddrUnix::new(path).ok())
                .map(|place| (place, false))
                .into_iter()
                .collect(),
        };
        places.extend(direct.and_then(|path| SocketAddrUnix::new(path).ok()).map(|place| (place, true)));
        let mut failure = Error::Unreachable { bus, cause: None };
        for (place, is_direct) in places {
            match Self::at(&place, bus, is_direct) {
                Ok(manager) => return Ok(manager),
                // The first one's failure is what a person knows something about.
                Err(error) if matches!(failure, Error::Unreachable { cause: None, .. }) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    fn at(place: &SocketAddrUnix, bus: Bus, is_direct: bool) -> Result<Self, Error> {
        let mut connection = Connection::open(place, bus)?;
        if !is_direct {
            let hello =
                Call { destination: DBUS, path: "/org/freedesktop/DBus", interface: DBUS, member: "Hello" };
            connection.call(&hello, "", &[], &format!("greet the {bus}"))?;
        }
        Ok(Self { connection, is_direct, follows_jobs: false })
    }

    /// The manager's own cgroup, below which all its units are: empty for the system's, `/user.slice/…` for a user's.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn root_cgroup(&mut self) -> Result<String, Error> {
        self.property(OBJECT, MANAGER, "ControlGroup", "ask for systemd's own cgroup")
    }

    /// systemd's version: 252 of `252.38-1~deb12u1`.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn version(&mut self) -> Result<u32, Error> {
        let text = self.property(OBJECT, MANAGER, "Version", "ask for systemd's version")?;
        Ok(version_of(&text))
    }

    /// Where a started unit's cgroup is, from the root of its hierarchies.
    ///
    /// # Errors
    /// [`Error::is_no_such_unit`]; when systemd does not answer.
    pub fn unit_cgroup(&mut self, unit: &UnitPath) -> Result<String, Error> {
        let interface =
            if unit.is_slice() { "org.freedesktop.systemd1.Slice" } else { "org.freedesktop.systemd1.Scope" };
        let what = format!("ask for the cgroup of {}", unit.unit);
        self.property(&names::object_path(&unit.unit), interface, "ControlGroup", &what)
    }

    /// Starts a transient unit with these processes in it, and waits until it is there.
    ///
    /// The unit goes into its slice; `properties` come after that and may say it differently. A unit of that name which failed
    /// earlier and lies about is cleared away first.
    ///
    /// # Errors
    /// [`Error::is_unit_exists`] when there is one that lives; [`Error::Job`] when it could not be started.
    pub fn start(
        &mut self,
        unit: &UnitPath,
        processes: &[u32],
        properties: &[Property],
    ) -> Result<(), Error> {
        let what = format!("start the unit {}", unit.unit);
        let mut all = match unit.is_slice() {
            true => vec![Property::new("Wants", Value::Texts(vec![unit.slice.clone()]))],
            false => vec![
                Property::new("Slice", Value::Text(unit.slice.clone())),
                Property::new("Delegate", Value::Bool(true)),
            ],
        };
        if !unit.is_slice() && !processes.is_empty() {
            all.push(Property::new("PIDs", Value::Numbers(processes.to_vec())));
        }
        all.push(Property::new("DefaultDependencies", Value::Bool(false)));
        all.extend_from_slice(properties);
        let mut body = Writer::default();
        body.text(&unit.unit);
        body.text("replace");
        body.properties(&all);
        body.no_auxiliary_units();
        let body = body.finish();
        self.follow_jobs()?;
        let mut outcome = self.manage("StartTransientUnit", "ssa(sv)a(sa(sv))", &body, &what);
        if outcome.as_ref().is_err_and(Error::is_unit_exists) && self.reset_failed(unit).is_ok() {
            outcome = self.manage("StartTransientUnit", "ssa(sv)a(sa(sv))", &body, &what);
        }
        let job = outcome?.texts().ok().and_then(|texts| texts.into_iter().next()).unwrap_or_default();
        match self.ended(&job, &what)?.as_str() {
            "done" => Ok(()),
            result => {
                let result = result.to_owned();
                let _ = self.reset_failed(unit);
                Err(Error::Job { what, result })
            }
        }
    }

    /// Changes properties of a unit until it ends or the machine does.
    ///
    /// # Errors
    /// What systemd answers.
    pub fn change(&mut self, unit: &UnitPath, properties: &[Property]) -> Result<(), Error> {
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&unit.unit);
        body.boolean(true);
        body.properties(properties);
        let what = format!("change the unit {}", unit.unit);
        self.manage("SetUnitProperties", "sba(sv)", &body.finish(), &what).map(drop)
    }

    /// Stops a unit, which ends the processes in it, waits for that, and clears what remains of it if it failed. That there is no
    /// such unit is well.
    ///
    /// # Errors
    /// What systemd answers.
    pub fn stop(&mut self, unit: &UnitPath) -> Result<(), Error> {
        let what = format!("stop the unit {}", unit.unit);
        self.follow_jobs()?;
        let mut body = Writer::default();
        body.text(&unit.unit);
        body.text("replace");
        let stopped = match self.manage("StopUnit", "ss", &body.finish(), &what) {
            Err(error) if error.is_no_such_unit() => return Ok(()),
            Err(error) => Err(error),
            Ok(answer) => {
                let job = answer.texts().ok().and_then(|texts| texts.into_iter().next()).unwrap_or_default();
                match self.ended(&job, &what)?.as_str() {
                    "done" => Ok(()),
                    result => Err(Error::Job { what, result: result.to_owned() }),
                }
            }
        };
        // A unit that failed, of a killed process for example, would lie about and keep its name.
        match self.reset_failed(unit) {
            Err(error) if !error.is_no_such_unit() => stopped.and(Err(error)),
            _ => stopped,
        }
    }

    fn reset_failed(&mut self, unit: &UnitPath) -> Result<(), Error> {
        let mut body = Writer::default();
        body.text(&unit.unit);
        let what = format!("clear the failure of the unit {}", unit.unit);
        self.manage("ResetFailedUnit", "s", &body.finish(), &what).map(drop)
    }

    /// Has the bus tell us of jobs that end, before one is begun.
    fn follow_jobs(&mut self) -> Result<(), Error> {
        if self.follows_jobs {
            return Ok(());
        }
        let what = "ask to be told of jobs";
        if !self.is_direct {
            let mut body = Writer::default();
            body.text(
                "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
                 interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
            );
            let add = Call {
                destination: DBUS,
                path: "/org/freedesktop/DBus",
                interface: DBUS,
                member: "AddMatch",
            };
            self.connection.call(&add, "s", &body.finish(), what)?;
        }
        // systemd sends its signals only where somebody has subscribed.
        match self.manage("Subscribe", "", &[], what) {
            Err(Error::Answer { name, .. }) if name.ends_with(".AlreadySubscribed") => {}
            outcome => drop(outcome?),
        }
        self.follows_jobs = true;
        Ok(())
    }

    /// How a job ended.
    fn ended(&mut self, job: &str, what: &str) -> Result<String, Error> {
        let what = format!("{what} (its job)");
        let is_it = |texts: &[String]| texts.len() == 3 && texts[0] == job;
        let mut texts = self.connection.signal("JobRemoved", &what, JOB_PATIENCE, is_it)?;
        Ok(texts.swap_remove(2))
    }

    fn manage(
        &mut self,
        member: &str,
        signature: &str,
        body: &[u8],
        what: &str,
    ) -> Result<crate::wire::Message, Error> {
        let call = Call { destination: self.destination(), path: OBJECT, interface: MANAGER, member };
        self.connection.call(&call, signature, body, what)
    }

    fn property(&mut self, path: &str, interface: &str, name: &str, what: &str) -> Result<String, Error> {
        let call = Call {
            destination: self.destination(),
            path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
        };
        let mut body = Writer::default();
        body.text(interface);
        body.text(name);
        let answer = self.connection.call(&call, "ss", &body.finish(), what)?;
        answer.variant_text().map_err(|why| Error::Malformed { what: what.to_owned(), why })
    }

    /// Without a bus between there is nobody to address.
    fn destination(&self) -> &'static str {
        if self.is_direct { "" } else { SYSTEMD }
    }
}

fn version_of(text: &str) -> u32 {
    let digits = text.trim_start_matches(|first: char| !first.is_ascii_digit());
    let end = digits.find(|other: char| !other.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn a_version_is_its_first_number() {
        for (text, version) in [("252.38-1~deb12u1", 252), ("v245", 245), ("systemd 249", 249), ("", 0)] {
            assert_eq!(version_of(text), version, "{text}");
        }
    }
}
