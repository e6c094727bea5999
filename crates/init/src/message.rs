//! The messages between the engine and the stage, in 16 bytes each.
//!
//! *Turn* passes a result on, perhaps with descriptors; *listener* names a descriptor that the engine has to fetch, for the one that
//! it comes from may refuse to send it; *born* names the process in which a stage goes on; *failed* says where the program ended. That
//! everything went well shows in the socket's end, which execve(2) closes.

use sys::Errno;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The other side may go on past the point that waits for this number.
    Turn {
        /// Which point.
        number: u32,
    },
    /// The stage waits for the turn of this number; its descriptor `fd` is the listener of a system call filter that already holds.
    Listener {
        /// Which point.
        number: u32,
        /// The descriptor's number in the stage.
        fd: i32,
    },
    /// The stage goes on in this process, whose handle comes along.
    Born {
        /// Its process id, as the engine sees it.
        pid: i32,
    },
    /// The program ended here.
    Failed {
        /// The step of the plan.
        step: u32,
        /// The operation of the program, counted from 0.
        op: u32,
        /// Why.
        errno: Errno,
    },
}

/// How long a message is.
pub const LEN: usize = 16;

impl Message {
    /// The message in bytes.
    pub fn to_bytes(self) -> [u8; LEN] {
        let words = match self {
            Self::Turn { number } => [1, number, 0, 0],
            Self::Listener { number, fd } => [3, number, fd as u32, 0],
            Self::Born { pid } => [4, pid as u32, 0, 0],
            Self::Failed { step, op, errno } => [2, step, op, errno.raw() as u32],
        };
        let mut bytes = [0; LEN];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The message that these bytes are; none when they are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let mut words = [0u32; 4];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(from.try_into().ok()?);
        }
        match words {
            [1, number, 0, 0] => Some(Self::Turn { number }),
            [3, number, fd, 0] => Some(Self::Listener { number, fd: fd as i32 }),
            [4, pid, 0, 0] => Some(Self::Born { pid: pid as i32 }),
            [2, step, op, errno] => Some(Self::Failed { step, op, errno: Errno::from_raw(errno as i32) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        let failed = Message::Failed { step: 7, op: 40, errno: Errno::NOENT };
        let listener = Message::Listener { number: 4, fd: 9 };
        for message in [Message::Turn { number: 3 }, listener, Message::Born { pid: 4711 }, failed] {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
    }

    #[test]
    fn other_bytes_are_no_message() {
        for bytes in [&[][..], &[0; 15], &[0; 16], &[9; 16]] {
            assert_eq!(Message::from_bytes(bytes), None);
        }
    }
}
