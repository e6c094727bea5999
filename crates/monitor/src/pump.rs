//! The loop of a monitor.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use report::Explain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, AtFlags};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use sys::SyscallError;
use sys::signal::{SignalSet, set_blocked};

use crate::clients::Clients;
use crate::exit::{EXIT_FILE, ExitRecord, HEALTH_FILE, open_directory, sync_record, write_record};
use crate::health::Watch;
use crate::log::{Log, Stream};
use crate::protocol::{self, CHUNK};
use crate::setup::{DRAINING, OnFailure, REMOVAL, Setup};
use crate::streams::{Got, Streams};
use crate::time::now_ns;

/// How long what a terminal has not handed out yet may come after the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How much is read at once where nobody is attached: what a pipe holds. Pages of it are taken when something comes.
const ROOM: usize = 64 * 1024;
/// How often that is done before others are looked after.
const IN_A_ROW: usize = 8;

/// How long another parent may take to reap the container's first process.
const REAPED: Duration = Duration::from_secs(2);

/// A monitor could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("watch the container")]
pub struct Broken(#[from] SyscallError);

impl Explain for Broken {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.0)
    }
}

/// The container has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub record: ExitRecord,
    /// Why that could not be written down, if so.
    pub unwritten: Option<SyscallError>,
    /// Whether somebody takes the container away, and with it what is written of its end.
    pub removed: bool,
}

/// Watches a container until it has ended and what it wrote is where it belongs. How it ended is written down as soon as that is known, so
/// that no status is lost; those who read it wait for the log as long as [`DRAINING`] is locked, and for what `told` does with it.
///
/// # Errors
/// When what `setup` names is not there; the container goes on then.
pub fn run(setup: &Setup, told: &mut dyn FnMut(&ExitRecord)) -> Result<Ended, Broken> {
    // Nothing that is sent to a session or to all processes ends it: only the container's end does.
    set_blocked(SignalSet(u64::MAX))?;
    let pidfd = sys::inherited::take(setup.pidfd)?;
    let streams = Streams::take(setup.streams)?;
    let lock = sys::inherited::take(setup.lock)?;
    let held =
        setup.held.iter().map(|number| sys::inherited::take(*number)).collect::<Result<Vec<_>, _>>()?;
    let client = setup.client.map(sys::inherited::take).transpose()?;
    let directory = open_directory(&setup.directory)?;
    let run_directory = open_directory(&setup.run_directory)?;
    let clients = Clients::listen(&setup.run_directory, setup.stdin_once)?;
    let _ = rustix::fs::unlinkat(&run_directory, HEALTH_FILE, AtFlags::empty());
    let mut pump = Pump {
        setup,
        log: Log::open(&setup.log),
        health: setup.health.map(|health| Watch::begin(health, setup.run)),
        streams,
        clients,
        pidfd,
        run_directory: &run_directory,
        buffer: vec![0; ROOM],
    };
    if let Some(client) = client {
        pump.clients.adopt(client);
        // It has said what it wants before there was a container: nothing is written without it.
        pump.attend(0);
    }
    while !pump.turn() {}
    let record = pump.how_it_ended();
    // Before there is a record that somebody could find.
    let _ = sys::lock::try_lock_byte(&lock, DRAINING);
    let unwritten = write_record(&directory, EXIT_FILE, &record, false).err();
    let rest = pump.drain();
    told(&record);
    let _ = sys::lock::unlock_byte(&lock, DRAINING);
    pump.clients.finish(record.status, &rest);
    if let Some(health) = pump.health.take() {
        health.end();
    }
    let removed = rustix::fs::accessat(&run_directory, REMOVAL, Access::EXISTS, AtFlags::empty()).is_ok();
    if setup.durable && unwritten.is_none() && !removed {
        // For a loss of power; nobody waits for the disk.
        sync_record(&directory, EXIT_FILE);
    }
    // Others see that somebody watches until here.
    drop((lock, held));
    Ok(Ended { record, unwritten, removed })
}

struct Pump<'a> {
    setup: &'a Setup,
    log: Log,
    health: Option<Watch>,
    streams: Streams,
    clients: Clients,
    pidfd: OwnedFd,
    run_directory: &'a OwnedFd,
    buffer: Vec<u8>,
}

/// What a descriptor is, in the order in which they are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    End,
    Listener,
    Read(Stream),
    Input,
    Health,
    Client(usize),
}

impl Pump<'_> {
    /// Waits, and does what there is to do; true when the container has ended.
    fn turn(&mut self) -> bool {
        let patience = self.clients.lose_patience();
        let due = self.health.as_ref().map(Watch::due);
        let timeout = [patience, due].into_iter().flatten().min();
        let mut ended = false;
        let ready = self.wait(timeout);
        // From the end: a client that leaves changes the numbers of those behind it only.
        for source in ready.iter().rev() {
            if let Source::Client(index) = source {
                self.attend(*index);
            }
        }
        for source in ready {
            match source {
                Source::End => ended = true,
                Source::Listener => self.clients.accept(),
                Source::Read(stream) => self.copy(stream),
                Source::Input => self.streams.write_pending(),
                Source::Health | Source::Client(_) => {}
            }
        }
        if let Some(health) = &mut self.health
            && let Some(action) = health.turn(self.setup, self.run_directory)
        {
            self.act(action);
        }
        ended
    }

    fn wait(&self, timeout: Option<Duration>) -> Vec<Source> {
        let mut sources = Vec::with_capacity(8 + self.clients.list.len());
        let mut fds = Vec::with_capacity(sources.capacity());
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        use std::os::fd::AsFd as _;
        add(Source::End, self.pidfd.as_fd(), PollFlags::IN);
        if self.clients.has_room() {
            add(Source::Listener, self.clients.listener.as_fd(), PollFlags::IN);
        }
        if !self.clients.is_held_up() {
            for (stream, fd) in self.streams.readable() {
                add(Source::Read(stream), fd.as_fd(), PollFlags::IN);
            }
        }
        if let Some(fd) = self.streams.writable() {
            add(Source::Input, fd.as_fd(), PollFlags::OUT);
        }
        if let Some(handle) = self.health.as_ref().and_then(Watch::handle) {
            add(Source::Health, handle.as_fd(), PollFlags::IN);
        }
        for (index, client) in self.clients.list.iter().enumerate() {
            let mut flags = PollFlags::empty();
            // Who gives input waits until there is room for it; that it hangs up is told in any case.
            if !client.gives_input() || self.streams.takes_input() {
                flags |= PollFlags::IN;
            }
            if client.holds() {
                flags |= PollFlags::OUT;
            }
            add(Source::Client(index), client.socket.as_fd(), flags);
        }
        let timeout = timeout.map(|time| Timespec {
            tv_sec: time.as_secs().min(3600) as _,
            // A little later rather than a little too early, which would wait once more.
            tv_nsec: (time.subsec_nanos().saturating_add(500_000)).min(999_999_999) as _,
        });
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect()
    }

    /// Copies what the container wrote. For those who are attached that is a message, after which they may have to be waited for.
    fn copy(&mut self, stream: Stream) {
        let attached = self.clients.want_output();
        let (most, times) = if attached { (CHUNK, 1) } else { (ROOM, IN_A_ROW) };
        for _ in 0..times {
            let Got::Bytes(len) = self.streams.read(stream, &mut self.buffer[..most]) else { return };
            let bytes = &self.buffer[..len];
            self.log.write(stream, bytes, now_ns());
            if attached {
                self.clients.send_output(kind_of(stream), bytes);
            }
            if len < most {
                return;
            }
        }
    }

    fn attend(&mut self, index: usize) {
        let Some(client) = self.clients.list.get_mut(index) else { return };
        if client.holds() && !client.send_held() {
            self.clients.list.swap_remove(index);
            return;
        }
        if !client.gives_input() || self.streams.takes_input() {
            self.clients.hear(index, &mut self.streams);
        }
    }

    fn act(&self, action: OnFailure) {
        let word = match action {
            OnFailure::None => return,
            OnFailure::Kill => {
                let _ = pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
                return;
            }
            OnFailure::Restart => "restart",
            OnFailure::Stop => "stop",
        };
        let mut command = Command::new("/proc/self/exe");
        command.args(["--health-action", word, &self.setup.id]);
        // It takes its time, and ends with or after us; nobody waits for it.
        drop(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn());
    }

    fn how_it_ended(&self) -> ExitRecord {
        let outcome = loop {
            match waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.pidfd)), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => break outcome,
            }
        };
        let finished_ns = now_ns();
        let outcome = outcome.ok().flatten();
        let mut signal = outcome.as_ref().and_then(WaitIdStatus::terminating_signal);
        let mut code = outcome.as_ref().and_then(WaitIdStatus::exit_status);
        if outcome.is_none()
            && let Some(status) = self.told_by_kernel()
        {
            // As wait(2) has it.
            match status & 0x7f {
                0 => code = Some((status >> 8) & 0xff),
                number => signal = Some(number),
            }
        }
        let told = code.is_some() || signal.is_some();
        ExitRecord {
            run: self.setup.run,
            status: code.or(signal.map(|signal| 128 + signal)).unwrap_or(255),
            signal,
            oom: signal == Some(9) && self.setup.oom_events.as_deref().is_some_and(ran_out_of_memory),
            started_ns: self.setup.started_ns,
            finished_ns,
            restarts: self.setup.restarts,
            again_ns: None,
            error: (!told).then(|| "the kernel did not tell its status".to_owned()),
        }
    }

    /// The status of a process that is not our child: its parent, who took over from a monitor that was killed, has reaped it or will.
    fn told_by_kernel(&self) -> Option<i32> {
        let until = Instant::now() + REAPED;
        loop {
            if let Some(status) = sys::pidfd::exit_status(&self.pidfd) {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was written last goes into the log; it is returned for those who are attached, with the kind of its messages. Nobody is waited
    /// for: neither a client, nor a process outside the container that has the other end of a stream and goes on writing.
    fn drain(&mut self) -> Vec<(u8, Vec<u8>)> {
        let until = Instant::now() + LAST_WORDS;
        let wanted = self.clients.want_output();
        let mut rest = Vec::new();
        for stream in [Stream::Output, Stream::Error] {
            let mut left = self.streams.waiting(stream);
            while left.is_none_or(|left| left > 0) && Instant::now() < until {
                let Got::Bytes(len) = self.streams.read(stream, &mut self.buffer) else { break };
                self.log.write(stream, &self.buffer[..len], now_ns());
                if wanted {
                    rest.extend(
                        self.buffer[..len].chunks(CHUNK).map(|part| (kind_of(stream), part.to_vec())),
                    );
                }
                left = left.map(|left| left.saturating_sub(len as u64));
            }
        }
        self.log.finish(now_ns());
        rest
    }
}

/// The kind of the messages that carry a stream.
fn kind_of(stream: Stream) -> u8 {
    if stream == Stream::Error { protocol::ERROR } else { protocol::OUTPUT }
}

/// Whether a process of the group was killed for lack of memory.
fn ran_out_of_memory(events: &std::path::Path) -> bool {
    let text = std::fs::read_to_string(events).unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.is_some_and(|count| count.trim() != "0")
}
