//! Plays a program: one operation after the other, until one executes the container's program or fails.
//!
//! [`play`] is the loop, `Player::perform` the meaning of each operation. Whatever is wrong with the program itself ends in an
//! error number, never in a panic.
//!
//! Every page of a function's frame is touched when it is called, and each page that is touched first takes the kernel longer than a system
//! call. What needs large variables is therefore never inlined into the loop, nor what many operations do with middling ones.

use core::cell::Cell;
use core::ffi::CStr;

use sys::Errno;
use sys::below::{self, Leaf, Links};
use sys::raw::{self, Capabilities, Fd, Image, MAX_FDS, MountAttr, SchedAttr};

use crate::copy;
use crate::message::{self, Message};
use crate::ops::{Blob, Op, Slot, Text};
use crate::program::{Reader, SLOTS};
use crate::supervise;

const CLONE_NEWUSER: u64 = 0x1000_0000;

/// Exit status of a stage that failed; the engine learns why from the message before.
const FAILED: i32 = 127;

/// What a stage has done while it waited for its program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Begun<'a> {
    /// The descriptors that came with the program; others have the numbers that it says.
    pub received: &'a [Fd],
    /// Capabilities that execve(2) cannot give any more.
    pub dropped: u64,
    /// Every signal is as in a fresh process.
    pub signals: bool,
}

impl Begun<'_> {
    /// Does what takes no program. All but the capabilities `keep` are dropped from the bounding set, if this process may do that.
    pub fn meanwhile(keep: u64) -> Self {
        raw::reset_signal_handlers();
        let dropped = if keep != u64::MAX && limit_bounding(keep, 0).is_ok() { !keep } else { 0 };
        Self { received: &[], dropped, signals: true }
    }
}

/// Plays the program in `image`, talking to the engine over `control`. Does not return: the process becomes the container's
/// program, or ends.
pub fn play(image: Image, control: Fd, begun: Begun<'_>) -> ! {
    let Some(program) = Reader::new(&image) else { end(control, 0, 0, Errno::NOEXEC) };
    let mut player = Player {
        image,
        program,
        control,
        slots: [Fd::NONE; SLOTS],
        tolerated: None,
        empty_is_attached: Cell::new(false),
        dropped: begun.dropped,
        signals: begun.signals,
    };
    for index in 0..program.slots {
        if let Some((slot, number)) = program.inherited(&player.image, index) {
            let fd = begun.received.get(index as usize).copied().unwrap_or(Fd(number));
            let _ = player.set(Slot(slot), fd);
        }
    }
    let mut index = 0;
    while index < program.ops {
        let Some((step, op)) = program.op(&player.image, index) else {
            end(player.control, 0, index, Errno::NOEXEC)
        };
        let tolerated = player.tolerated.take();
        match (player.perform(op), tolerated) {
            (Ok(()), _) => {}
            (Err(errno), Some((expected, skip))) if errno == expected => index = index.saturating_add(skip),
            (Err(errno), _) => end(player.control, step, index, errno),
        }
        index = index.saturating_add(1);
    }
    end(player.control, 0, program.ops, Errno::NOEXEC)
}

/// Tells the engine where and why the program ended, and ends the process.
pub fn end(control: Fd, step: u32, op: u32, errno: Errno) -> ! {
    let failed = Message::Failed { step, op, errno };
    let _ = raw::write(control, &failed.to_bytes());
    raw::exit(FAILED)
}

struct Player {
    image: Image,
    program: Reader,
    control: Fd,
    slots: [Fd; SLOTS],
    /// The error that the next operation may end in, and how many to leave out then.
    tolerated: Option<(Errno, u32)>,
    /// Whether the mount that hides directories hides one.
    empty_is_attached: Cell<bool>,
    /// Capabilities that are not in the bounding set.
    dropped: u64,
    /// Whether every signal is as in a fresh process.
    signals: bool,
}

impl Player {
    fn fd(&self, slot: Slot) -> Result<Fd, Errno> {
        match slot {
            Slot::CWD => Ok(Fd::CWD),
            Slot(number) => match self.slots.get(usize::from(number)) {
                Some(fd) if *fd != Fd::NONE => Ok(*fd),
                _ => Err(Errno::BADF),
            },
        }
    }

    fn set(&mut self, slot: Slot, fd: Fd) -> Result<(), Errno> {
        let place = self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::MFILE)?;
        *place = fd;
        Ok(())
    }

    fn text(&self, text: Text) -> Result<&CStr, Errno> {
        self.image.text(text.0.into()).ok_or(Errno::FAULT)
    }

    fn blob(&self, blob: Blob) -> Result<&[u8], Errno> {
        let start = blob.at as usize;
        let end = start.checked_add(blob.len as usize).ok_or(Errno::FAULT)?;
        self.image.bytes().get(start..end).ok_or(Errno::FAULT)
    }

    #[inline(never)]
    fn open_below(&self, root: Slot, path: Text, flags: u64, no_links: bool) -> Result<Fd, Errno> {
        below::open(self.fd(root)?, self.text(path)?, flags, links(no_links), self.program.openat2)
    }

    #[inline(never)]
    fn ensure(&self, root: Slot, path: Text, leaf: Leaf, no_links: bool) -> Result<Fd, Errno> {
        below::ensure(self.fd(root)?, self.text(path)?, leaf, links(no_links), self.program.openat2)
    }

    fn perform(&mut self, op: Op) -> Result<(), Errno> {
        match op {
            Op::Unshare { kinds } => {
                self.dropped = 0;
                raw::unshare(kinds)
            }
            Op::Join { ns, kinds } => {
                if kinds & CLONE_NEWUSER != 0 {
                    // All capabilities come with it, also those that execve(2) can give (user_namespaces(7)).
                    self.dropped = 0;
                }
                raw::setns(self.fd(ns)?, kinds)
            }
            Op::LoopbackUp {} => raw::loopback_up(),
            Op::PropagateAll { flags } => raw::mount(None, c"/", None, flags, None),

            Op::FsOpen { fstype, out } => {
                let context = raw::fsopen(self.text(fstype)?)?;
                self.set(out, context)
            }
            Op::FsFlag { context, key } => raw::fsconfig_flag(self.fd(context)?, self.text(key)?),
            Op::FsString { context, key, value } => {
                raw::fsconfig_string(self.fd(context)?, self.text(key)?, self.text(value)?)
            }
            Op::FsFd { context, key, value } => {
                raw::fsconfig_fd(self.fd(context)?, self.text(key)?, self.fd(value)?)
            }
            Op::FsPath { context, key, dir, below } => {
                let mut buffer = [0; 256];
                let path =
                    numbered(b"/proc/self/fd/", self.fd(dir)?.0, self.text(below)?.to_bytes(), &mut buffer)?;
                raw::fsconfig_string(self.fd(context)?, self.text(key)?, path)
            }
            Op::FsMount { context, attributes, out } => {
                let fd = self.fd(context)?;
                raw::fsconfig_create(fd)?;
                let mount = raw::fsmount(fd, attributes)?;
                raw::close(fd)?;
                self.set(out, mount)
            }
            Op::OpenTree { dir, name, flags, out } => {
                let tree = raw::open_tree(self.fd(dir)?, self.text(name)?, flags)?;
                self.set(out, tree)
            }
            Op::MountAttr { mount, recursive, set, clear, propagation, userns } => {
                let userns = if userns == Slot::NONE { 0 } else { self.fd(userns)?.0 as u64 };
                let attr = MountAttr { set, clear, propagation, userns };
                raw::mount_setattr(self.fd(mount)?, recursive, &attr)
            }
            Op::OpenTreeAttr { dir, name, flags, set, out } => {
                let attr = MountAttr { set, ..MountAttr::default() };
                let tree = raw::open_tree_attr(self.fd(dir)?, self.text(name)?, flags, &attr)?;
                self.set(out, tree)
            }
            Op::Attach { from, root, path, direct, no_links } => {
                self.attach(from, root, path, direct, no_links)
            }
            Op::MoveMount { from, to, name } => {
                raw::move_mount(self.fd(from)?, self.fd(to)?, self.text(name)?)
            }
            Op::MountByFd { mount, flags } => {
                let mut buffer = [0; 32];
                let path = numbered(b"/proc/self/fd/", self.fd(mount)?.0, b"", &mut buffer)?;
                raw::mount(None, path, None, flags, None)
            }

            Op::OpenBelow { root, path, flags, no_links, out } => {
                let fd = self.open_below(root, path, flags, no_links)?;
                self.set(out, fd)
            }
            Op::EnsureDirectory { root, path, no_links, out } => {
                let fd = self.ensure(root, path, Leaf::Directory, no_links)?;
                self.set(out, fd)
            }
            Op::EnsureFile { root, path, no_links, out } => {
                let fd = self.ensure(root, path, Leaf::File, no_links)?;
                self.set(out, fd)
            }
            Op::EnsureSame { root, path, like, out } => {
                let mode = raw::status(self.fd(like)?, c"")?.mode;
                let leaf = if mode & raw::S_IFMT == raw::S_IFDIR { Leaf::Directory } else { Leaf::File };
                let fd = self.ensure(root, path, leaf, false)?;
                self.set(out, fd)
            }
            Op::Mask { root, path, null, empty, direct: true } => {
                let (root, name) = (self.fd(root)?, self.text(path)?);
                match raw::status(root, name) {
                    Ok(status) => {
                        self.cover(status.mode, null, empty, |mount| raw::move_mount(mount, root, name))
                    }
                    Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Op::Mask { root, path, null, empty, direct: false } => {
                match self.open_below(root, path, raw::O_PATH, false) {
                    Ok(place) => {
                        let mode = raw::status(place, c"").map(|status| status.mode);
                        let outcome = mode.and_then(|mode| {
                            self.cover(mode, null, empty, |mount| raw::move_mount(mount, place, c""))
                        });
                        raw::close(place).and(outcome)
                    }
                    Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Op::Open { dir, name, flags, out } => {
                let flags = flags | raw::O_NOFOLLOW | raw::O_CLOEXEC;
                let fd = raw::openat(self.fd(dir)?, self.text(name)?, flags, 0)?;
                self.set(out, fd)
            }
            Op::Close { fd } => {
                let closing = self.fd(fd)?;
                self.set(fd, Fd::NONE)?;
                raw::close(closing)
            }
            Op::MakeDirectory { dir, name, mode } => raw::mkdirat(self.fd(dir)?, self.text(name)?, mode),
            Op::MakeNode { dir, name, mode, device } => {
                raw::mknodat(self.fd(dir)?, self.text(name)?, mode, device)
            }
            Op::MakeLink { target, dir, name } => {
                raw::symlinkat(self.text(target)?, self.fd(dir)?, self.text(name)?)
            }
            Op::Chown { dir, name, uid, gid } => raw::fchownat(self.fd(dir)?, self.text(name)?, uid, gid),
            Op::CheckDevice { fd, major, minor } => is_device(self.fd(fd)?, major, minor),
            Op::CheckFilesystem { fd, magic } => {
                if raw::filesystem_type(self.fd(fd)?)? == magic {
                    Ok(())
                } else {
                    Err(Errno::XDEV)
                }
            }
            Op::Write { to, bytes } => write_whole(self.fd(to)?, self.blob(bytes)?),
            Op::MakeFile { dir, name, mode, bytes } => {
                let flags = raw::O_WRONLY | raw::O_CREAT | raw::O_EXCL | raw::O_NOFOLLOW | raw::O_CLOEXEC;
                let file = raw::openat(self.fd(dir)?, self.text(name)?, flags, mode)?;
                let outcome = write_all(file, self.blob(bytes)?);
                raw::close(file).and(outcome)
            }
            Op::WriteBelow { root, path, bytes } => {
                let file = self.open_below(root, path, raw::O_WRONLY, true)?;
                let outcome = write_whole(file, self.blob(bytes)?);
                raw::close(file).and(outcome)
            }
            Op::WriteOwn { proc, name, bytes } => {
                let mut buffer = [0; 64];
                let path = numbered(b"", raw::getpid(), self.text(name)?.to_bytes(), &mut buffer)?;
                let proc = self.fd(proc)?;
                let file = below::open(proc, path, raw::O_WRONLY, Links::Refused, self.program.openat2)?;
                let outcome = write_whole(file, self.blob(bytes)?);
                raw::close(file).and(outcome)
            }

            Op::PivotRoot { root, above } => {
                raw::fchdir(self.fd(root)?)?;
                raw::pivot_root_here()?;
                // The old root now lies over the new one, and "." is the old one (pivot_root(2), "pivot_root(".", ".")").
                // umount2(2) takes the topmost mount, so what lies on the old root goes before it.
                for _ in 0..above {
                    raw::detach_mount(c".")?;
                }
                raw::detach_mount(c".")?;
                // Whatever the program says: nothing of the host may lie over the root. `/..` is the topmost mount there; kernels
                // before 5.8 do not tell which it is.
                let (root, topmost) = (raw::status(self.fd(root)?, c"")?, raw::status(Fd::CWD, c"/..")?);
                if root.mount_id == topmost.mount_id { Ok(()) } else { Err(Errno::BUSY) }
            }
            Op::ChangeDirectory { path } => self.change_directory(path),

            Op::SetHostname { name } => raw::sethostname(self.blob(name)?),
            Op::SetDomainname { name } => raw::setdomainname(self.blob(name)?),
            Op::SetRlimit { resource, soft, hard } => raw::set_rlimit(resource, soft, hard),
            Op::SetUmask { mask } => {
                raw::umask(mask);
                Ok(())
            }
            Op::SetPersonality { persona } => raw::personality(persona),
            Op::SetScheduler { policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns } => {
                let nice = nice as i32;
                let attr =
                    SchedAttr { size: 0, policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns };
                raw::sched_setattr(&attr)
            }
            Op::SetAffinity { mask } => raw::sched_setaffinity(self.blob(mask)?),
            Op::SetIoPriority { priority } => raw::ioprio_set(priority),
            Op::SetMemoryPolicy { mode, nodes } => raw::set_mempolicy(mode, self.blob(nodes)?),
            Op::JoinKeyring { name } => {
                /// All to the possessor; view, read, search and link to the user, who else could not use a keyring
                /// that was made before the user was changed to.
                const PERMISSIONS: u32 = 0x3f1b_0000;
                let serial = raw::join_session_keyring(self.text(name)?)?;
                raw::set_key_permissions(serial, PERMISSIONS)
            }

            Op::SetSession {} => raw::setsid(),
            Op::OpenTerminal { devpts, master, peer } => {
                let flags = raw::O_RDWR | raw::O_NOCTTY | raw::O_CLOEXEC;
                let opened = raw::openat(self.fd(devpts)?, c"ptmx", flags | raw::O_NOFOLLOW, 0)?;
                self.set(master, opened)?;
                // Somebody may have mounted another file there, whose answer to the next calls would be taken for a descriptor.
                is_device(opened, 5, 2)?;
                raw::unlock_pty(opened)?;
                let other = raw::open_pty_peer(opened, flags)?;
                self.set(peer, other)
            }
            Op::SetWindowSize { terminal, rows, columns } => {
                let short = |number| u16::try_from(number).map_err(|_| Errno::RANGE);
                raw::set_window_size(self.fd(terminal)?, short(rows)?, short(columns)?)
            }
            Op::PlainLines { terminal } => raw::set_plain_lines(self.fd(terminal)?),
            Op::SetTerminal { terminal } => raw::set_controlling_terminal(self.fd(terminal)?),
            Op::Duplicate { fd, number } => raw::dup3(self.fd(fd)?, Fd(number as i32)),

            Op::SetGroups { groups } => raw::setgroups(self.blob(groups)?),
            Op::SetGid { gid } => raw::set_gid(gid),
            Op::SetUid { uid } => {
                raw::set_uid(uid)?;
                // A change of user makes the process readable again (PR_SET_DUMPABLE(2const)).
                raw::prctl(raw::PR_SET_DUMPABLE, 0, 0).map(drop)
            }
            Op::Prctl { option, argument, second } => raw::prctl(option, argument, second).map(drop),
            Op::LimitBounding { keep } => limit_bounding(keep, self.dropped),
            Op::SetCapabilities { effective, permitted, inheritable } => {
                raw::capset(&Capabilities { effective, permitted, inheritable })
            }
            Op::SetAmbient { capabilities } => set_ambient(capabilities),
            Op::LoadFilter { flags, filter, listener } => {
                let result = raw::seccomp_set_filter(flags, self.blob(filter)?)?;
                if listener == Slot::NONE { Ok(()) } else { self.set(listener, Fd(result as i32)) }
            }
            Op::ResetSignals {} => {
                if !self.signals {
                    raw::reset_signal_handlers();
                }
                Ok(())
            }
            Op::SetSignalMask { mask } => raw::set_signal_mask(mask).map(drop),
            Op::CloseOnExec { first } => self.close_on_exec(first),

            Op::Await { turn, first, count } => self.wait_for(turn, first, count),
            Op::Tell { turn, fd } => {
                let message = Message::Turn { number: turn }.to_bytes();
                if fd == Slot::NONE {
                    raw::send_with_fds(self.control, &message, &[])
                } else {
                    raw::send_with_fds(self.control, &message, &[self.fd(fd)?])
                }
            }
            Op::Rebirth {} => match raw::fork_sibling()? {
                None => Ok(()),
                Some((pid, pidfd)) => {
                    let message = Message::Born { pid }.to_bytes();
                    let _ = raw::send_with_fds(self.control, &message, &[pidfd]);
                    raw::exit(0)
                }
            },
            Op::ChangeRoot { root } => {
                raw::fchdir(self.fd(root)?)?;
                raw::chroot_here()
            }
            Op::Accept { listener } => {
                let socket = self.fd(listener)?;
                wait_or_end(socket)?;
                let control = raw::accept(socket)?;
                let before = core::mem::replace(&mut self.control, control);
                self.set(listener, Fd::NONE)?;
                raw::close(before).and(raw::close(socket))
            }
            Op::Supervise {} => supervise::split(self.program.close_range),
            Op::Execute { candidates, arguments, environment } => {
                Err(self.image.exec(candidates.0.into(), arguments.0.into(), environment.0.into()))
            }
            Op::FindProgram { candidates } => self.image.find(candidates.0.into()),
            Op::CloseOthers { first, keep, also } => self.close_others(first, keep, also),
            Op::LetGo { path } => let_go(self.text(path)?),
            Op::Tolerate { errno, skip } => {
                self.tolerated = Some((Errno::from_raw(errno as i32), skip));
                Ok(())
            }
            Op::PassListener { listener, turn } => self.pass_listener(self.fd(listener)?, turn),
            Op::CopyTree { from, to } => copy::tree(self.fd(from)?, self.fd(to)?),
            Op::FsMode { context, like } => {
                let mode = raw::status(self.fd(like)?, c"")?.mode & 0o7777;
                let digits = [9, 6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8);
                let [a, b, c, d] = digits;
                let text = [a, b, c, d, 0];
                let text = CStr::from_bytes_until_nul(&text).map_err(|_| Errno::INVAL)?;
                raw::fsconfig_string(self.fd(context)?, c"mode", text)
            }
            Op::CheckNode { fd, kind, major, minor } => {
                let status = raw::status(self.fd(fd)?, c"")?;
                let is_it = status.mode & raw::S_IFMT == kind && status.device == (major, minor);
                if is_it { Ok(()) } else { Err(Errno::EXIST) }
            }
            Op::Reconfigure { mount, flags, data } => {
                let mut buffer = [0; 32];
                let path = numbered(b"/proc/self/fd/", self.fd(mount)?.0, b"", &mut buffer)?;
                raw::mount(None, path, None, flags | raw::MS_REMOUNT, Some(self.text(data)?))
            }
            Op::LandlockCreate { access, out } => {
                let rules = raw::landlock_create_ruleset(access)?;
                self.set(out, rules)
            }
            Op::LandlockAllow { rules, place, access } => {
                /// What can be granted for anything that is not a directory: execute, write, read, truncate, ioctl.
                const OF_FILES: u64 = 0b111 | 1 << 14 | 1 << 15;
                let place = self.fd(place)?;
                let is_directory = raw::status(place, c"")?.mode & raw::S_IFMT == raw::S_IFDIR;
                let access = if is_directory { access } else { access & OF_FILES };
                if access == 0 { Ok(()) } else { raw::landlock_allow(self.fd(rules)?, place, access) }
            }
            Op::LandlockRestrict { rules } => raw::landlock_restrict_self(self.fd(rules)?),
            Op::CheckMount { place, root, .. } => {
                let (place, root) = (raw::status(self.fd(place)?, c"")?, raw::status(self.fd(root)?, c"")?);
                match place.is_mount_root {
                    Some(false) => Err(Errno::INVAL),
                    Some(true) if place.mount_id == root.mount_id => Err(Errno::BUSY),
                    _ => Ok(()),
                }
            }
            Op::Detach { place, own, .. } => {
                // By descriptor: a file is no place to change to, and a path could lead elsewhere by now.
                raw::fchdir(self.fd(own)?)?;
                let mut buffer = [0; 32];
                raw::detach_mount(numbered(b"", self.fd(place)?.0, b"", &mut buffer)?)
            }
            Op::Finish {} => raw::exit(0),
            Op::Stamp { at } => self.image.set_word(at.into(), raw::monotonic_ns()).ok_or(Errno::FAULT),
            Op::Fail { errno } => Err(Errno::from_raw(errno as i32)),
        }
    }

    /// Hides something of this mode; `attach` moves a mount there.
    #[inline(never)]
    fn cover(
        &self,
        mode: u32,
        null: Slot,
        empty: Slot,
        attach: impl FnOnce(Fd) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let is_directory = mode & raw::S_IFMT == raw::S_IFDIR;
        let source = self.fd(if is_directory { empty } else { null })?;
        if is_directory && !self.empty_is_attached.get() {
            attach(source)?;
            self.empty_is_attached.set(true);
            return Ok(());
        }
        let copy = raw::open_tree(source, c"", raw::OPEN_TREE_CLONE | raw::AT_EMPTY_PATH)?;
        let moved = attach(copy);
        raw::close(copy).and(moved)
    }

    /// What lies at a name directly in a directory is what the look-up below the root would find there, unless that is a link: no mount
    /// of a directory can be attached to one.
    #[inline(never)]
    fn attach(&self, from: Slot, root: Slot, path: Text, direct: bool, no_links: bool) -> Result<(), Errno> {
        let mount = self.fd(from)?;
        if direct && raw::move_mount(mount, self.fd(root)?, self.text(path)?).is_ok() {
            return Ok(());
        }
        let place = self.ensure(root, path, Leaf::Directory, no_links)?;
        let moved = raw::move_mount(mount, place, c"");
        raw::close(place).and(moved)
    }

    /// Opens the directory without following links of procfs, which lead to descriptors (CVE-2024-21626), and makes sure that
    /// the kernel can name the place.
    #[inline(never)]
    fn change_directory(&self, path: Text) -> Result<(), Errno> {
        let path = self.text(path)?;
        let flags = raw::O_PATH | raw::O_DIRECTORY;
        let root = raw::openat(Fd::CWD, c"/", flags | raw::O_CLOEXEC, 0)?;
        let opened = match path.to_bytes() {
            b"/" => Ok(root),
            _ => {
                let opened = below::open(root, path, flags, Links::InRoot, self.program.openat2);
                raw::close(root).and(opened)
            }
        };
        let dir = opened?;
        let changed = raw::fchdir(dir);
        raw::close(dir).and(changed)?;
        match is_below_root::<256>() {
            // A long name. Few are, and a large buffer is a page more to be touched.
            Err(Errno::RANGE) => is_below_root::<4096>(),
            outcome => outcome,
        }
    }

    fn close_on_exec(&self, first: u32) -> Result<(), Errno> {
        if self.program.close_range {
            return raw::mark_range_close_on_exec(first, u32::MAX);
        }
        for number in first..most_descriptors()? {
            // Most numbers are not open: EBADF.
            let _ = raw::set_close_on_exec(Fd(number as i32), true);
        }
        Ok(())
    }

    fn close_others(&self, first: u32, keep: Slot, also: Slot) -> Result<(), Errno> {
        let number = |slot| self.fd(slot).map_or(Fd::NONE, |fd| fd).0;
        let mut kept = [self.control.0, number(keep), number(also)];
        kept.sort_unstable();
        let mut from = first;
        for number in kept.into_iter().filter_map(|number| u32::try_from(number).ok()) {
            if number >= from {
                self.close_between(from, number)?;
                from = number + 1;
            }
        }
        self.close_between(from, u32::MAX)
    }

    /// Closes the numbers from one to before another.
    fn close_between(&self, from: u32, to: u32) -> Result<(), Errno> {
        if from >= to {
            return Ok(());
        }
        if self.program.close_range {
            return raw::close_range(from, to - 1);
        }
        for number in from..to.min(most_descriptors()?) {
            // Most numbers are not open: EBADF.
            let _ = raw::close(Fd(number as i32));
        }
        Ok(())
    }

    #[inline(never)]
    fn wait_for(&mut self, turn: u32, first: Slot, count: u32) -> Result<(), Errno> {
        let mut bytes = [0; message::LEN];
        let mut fds = [Fd::NONE; MAX_FDS];
        let (len, received) = raw::receive_with_fds(self.control, &mut bytes, &mut fds)?;
        if len == 0 {
            // The engine is gone: there is nobody to run for.
            return Err(Errno::PIPE);
        }
        let expected = Some(Message::Turn { number: turn });
        if bytes.get(..len).and_then(Message::from_bytes) != expected || received != count as usize {
            return Err(Errno::PROTO);
        }
        for (index, fd) in fds.iter().take(received).enumerate() {
            self.set(Slot(first.0.saturating_add(index as u16)), *fd)?;
        }
        Ok(())
    }
}

impl Player {
    #[inline(never)]
    fn pass_listener(&self, listener: Fd, turn: u32) -> Result<(), Errno> {
        write_whole(self.control, &Message::Listener { number: turn, fd: listener.0 }.to_bytes())?;
        let mut bytes = [0; message::LEN];
        match raw::read(self.control, &mut bytes)? {
            0 => Err(Errno::PIPE),
            len if bytes.get(..len).and_then(Message::from_bytes) == Some(Message::Turn { number: turn }) => {
                Ok(())
            }
            _ => Err(Errno::PROTO),
        }
    }
}

/// RLIMIT_NOFILE, and a bound for those who set it to "unlimited".
fn most_descriptors() -> Result<u32, Errno> {
    const NOFILE: u32 = 7;
    const MOST: u64 = 1 << 20;
    let (limit, _) = raw::rlimit(NOFILE)?;
    Ok(limit.min(MOST) as u32)
}

/// What is locked in a user namespace cannot be detached (mount_namespaces(7)).
fn let_go(path: &CStr) -> Result<(), Errno> {
    match raw::detach_mount(path) {
        // It went with one above it, or never came into this namespace.
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::INVAL | Errno::PERM) => {
            let locked = raw::MS_RDONLY | raw::MS_NOSUID | raw::MS_NODEV | raw::MS_NOEXEC;
            raw::mount(None, path, Some(c"tmpfs"), locked, None)
        }
        Err(errno) => Err(errno),
    }
}

/// Waits for a connection. A signal that would end a program ends this process, which as the first of a pid namespace it would not do
/// by itself (pid_namespaces(7)); all signals are blocked.
#[inline(never)]
fn wait_or_end(listener: Fd) -> Result<(), Errno> {
    /// HUP, INT, QUIT, ABRT, USR1, USR2, ALRM, TERM, STKFLT, XCPU, XFSZ, VTALRM, PROF, IO, PWR, and those of real time.
    const ENDING: u64 = 1 << 0
        | 1 << 1
        | 1 << 2
        | 1 << 5
        | 1 << 9
        | 1 << 11
        | 0b111 << 13
        | 0b1111 << 23
        | 0b11 << 28
        | !0 << 33;
    let signals = raw::signal_descriptor(ENDING)?;
    loop {
        let [connected, signalled] = match raw::wait_readable([listener, signals]) {
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        if signalled {
            // `struct signalfd_siginfo` begins with the signal's number.
            let mut info = [0; 128];
            raw::read(signals, &mut info)?;
            raw::exit(128 + i32::from(info[0]));
        }
        if connected {
            return raw::close(signals);
        }
    }
}

/// Whether the working directory, whose name has fewer than `MOST` bytes, can be reached from the root.
#[inline(never)]
fn is_below_root<const MOST: usize>() -> Result<(), Errno> {
    let mut name = [0; MOST];
    raw::getcwd(&mut name)?;
    // "(unreachable)/…" is how getcwd(2) names what is outside the root.
    if name.first() == Some(&b'/') { Ok(()) } else { Err(Errno::XDEV) }
}

fn is_device(fd: Fd, major: u32, minor: u32) -> Result<(), Errno> {
    let status = raw::status(fd, c"")?;
    let is_it = status.mode & raw::S_IFMT == raw::S_IFCHR && status.device == (major, minor);
    if is_it { Ok(()) } else { Err(Errno::NODEV) }
}

fn links(refused: bool) -> Links {
    if refused { Links::Refused } else { Links::InRoot }
}

fn write_all(file: Fd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = raw::write(file, bytes)?;
        bytes = bytes.get(written.max(1)..).unwrap_or(&[]);
    }
    Ok(())
}

/// Files of the kernel take a value in one write: a second one would be a second value.
fn write_whole(file: Fd, bytes: &[u8]) -> Result<(), Errno> {
    let written = raw::write(file, bytes)?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

fn limit_bounding(keep: u64, dropped: u64) -> Result<(), Errno> {
    let keep = keep | dropped;
    for capability in 0..64 {
        if keep & 1 << capability == 0 {
            match raw::prctl(raw::PR_CAPBSET_DROP, capability, 0) {
                // The kernel knows no capability of this number, so none above it either.
                Err(Errno::INVAL) => break,
                outcome => outcome?,
            };
        }
    }
    Ok(())
}

fn set_ambient(capabilities: u64) -> Result<(), Errno> {
    raw::prctl(raw::PR_CAP_AMBIENT, raw::PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    for capability in 0..64 {
        if capabilities & 1 << capability != 0 {
            raw::prctl(raw::PR_CAP_AMBIENT, raw::PR_CAP_AMBIENT_RAISE, capability)?;
        }
    }
    Ok(())
}

/// `before`, a number, and `/after` if there is an `after`, in a buffer.
fn numbered<'a>(before: &[u8], number: i32, after: &[u8], buffer: &'a mut [u8]) -> Result<&'a CStr, Errno> {
    let mut digits = [0; 10];
    let mut len = 0;
    let mut rest = number.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    let number = digits.iter().skip(10 - len);
    let slash = if after.is_empty() { &b""[..] } else { b"/" };
    let bytes = before.iter().chain(number).chain(slash).chain(after).chain(b"\0");
    let mut places = buffer.iter_mut();
    for byte in bytes {
        *places.next().ok_or(Errno::NAMETOOLONG)? = *byte;
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_put_between_its_neighbours() {
        let mut buffer = [0; 32];
        assert_eq!(numbered(b"/proc/self/fd/", 107, b"", &mut buffer), Ok(c"/proc/self/fd/107"));
        assert_eq!(numbered(b"", 0, b"oom_score_adj", &mut buffer), Ok(c"0/oom_score_adj"));
        assert_eq!(numbered(b"", i32::MAX, b"x", &mut buffer), Ok(c"2147483647/x"));
        assert_eq!(numbered(b"/proc/self/fd/", 1, b"", &mut [0; 8]), Err(Errno::NAMETOOLONG));
    }
}
