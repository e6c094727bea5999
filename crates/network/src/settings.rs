//! What IPv6 does on the links of a namespace: netlink has no words for that, but `/proc/sys/net` has files.
//!
//! In one procfs all network namespaces have their files below one name, `sys/net/ipv6`, and whoever looks it up is compared with each of them.
//! Among many containers a procfs of one's own takes less time.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::error::Error;
use crate::knobs;

/// From so many containers on a procfs of one's own takes less time to make than looking things up in that of all takes longer.
const MANY: usize = 100;

/// Where the files are, of whatever network namespace the thread is in that opens one.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// None for the procfs of all.
    own: Option<OwnedFd>,
}

impl Settings {
    /// For somebody who comes to so many containers.
    pub(crate) fn among(containers: usize) -> Self {
        // Without one it takes longer, and that is all.
        let own = if containers < MANY { None } else { sys::mount::private_procfs().ok() };
        Self { own }
    }

    /// Sets what IPv6 does on a link; `default` is for links that come later. A setting that this kernel does not know is left alone.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set_ipv6(&self, link: &str, key: &str, value: &str) -> Result<(), Error> {
        let below = Path::new("sys/net/ipv6/conf").join(link).join(key);
        let whole = Path::new("/proc").join(&below);
        match &self.own {
            Some(own) => knobs::write_at(own.as_fd(), &below, &whole, value),
            None => knobs::write(&whole, value),
        }
    }
}
