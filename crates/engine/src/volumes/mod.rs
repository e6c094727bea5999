//! Volumes: directories that outlive containers, by name.
//!
//! [`Store`] keeps them; start reading there. [`attach`](attach::attach) gives a container those that it asks for and fills new ones with what
//! its root has there, [`ready`] sees to it before each start that they can be mounted. Who uses a volume is never written down:
//! it is read from the definitions of containers ([`users`]), and a lock keeps both from changing meanwhile.
//!
//! A volume is a directory named after it with a record ([`Record`]) and its content, `_data`. It is made under a name that begins with a dot
//! and renamed, and renamed so again before it is removed: what is left of a process that was killed is either a volume or nothing.

mod attach;
mod disk;
mod error;
mod lock;
mod options;
mod record;
mod root;
mod store;
mod users;

pub use attach::{Attached, attach, data_path, ready, release};
pub use error::VolumeFailure;
pub use options::Kind;
pub use record::Record;
pub use store::{NewVolume, Pruned, Store, Volume};
pub use users::{Users, users};
