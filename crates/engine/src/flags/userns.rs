//! Which ids a container's users have on the host: `--userns`.

use std::path::PathBuf;

use spec::IdMapping;

use super::{Problem, Value, parse_count};

/// `--userns`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum UserNamespace {
    /// A range of ids that no other container has, wherever the host allows it.
    #[default]
    Auto,
    /// None: ids inside are ids of the host.
    Host,
    /// The caller's own uid and gid are the same inside, for a caller who is not root.
    KeepId,
    /// The ranges given.
    Maps {
        /// For users.
        uids: IdRanges,
        /// For groups.
        gids: IdRanges,
    },
    /// The user namespace this file stands for.
    Join(PathBuf),
}

/// Ranges that do not overlap, neither inside nor on the host; at least one, at most 340 (Linux 4.15).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IdRanges(Vec<IdMapping>);

impl IdRanges {
    /// Checks `ranges` against each other.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(ranges: Vec<IdMapping>) -> Result<Self, Problem> {
        if ranges.is_empty() {
            return Err("there is no range".into());
        }
        if ranges.len() > 340 {
            return Err(format!("{} ranges are more than the kernel's 340", ranges.len()).into());
        }
        for (index, range) in ranges.iter().enumerate() {
            if range.size == 0 {
                return Err("a range has the size 0".into());
            }
            // 2^32-1 is the kernel's "no id".
            let fits = |first: u32| u64::from(first) + u64::from(range.size) <= u64::from(u32::MAX);
            if !fits(range.container_id) || !fits(range.host_id) {
                return Err("a range runs past the last id, 4294967294".into());
            }
            for other in &ranges[..index] {
                let meets = |a: u32, b: u32| {
                    u64::from(a) < u64::from(b) + u64::from(other.size)
                        && u64::from(b) < u64::from(a) + u64::from(range.size)
                };
                if meets(range.container_id, other.container_id) || meets(range.host_id, other.host_id) {
                    return Err(format!("the ranges {} and {} overlap", show(other), show(range)).into());
                }
            }
        }
        Ok(Self(ranges))
    }

    /// The ranges, in the order given.
    pub fn as_slice(&self) -> &[IdMapping] {
        &self.0
    }

    /// Whether the id `inside` exists.
    pub fn contains(&self, inside: u32) -> bool {
        spec::id_map::to_host(&self.0, inside).is_some()
    }
}

/// `CONTAINER:HOST:SIZE`.
fn show(range: &IdMapping) -> String {
    format!("{}:{}:{}", range.container_id, range.host_id, range.size)
}

impl Value for UserNamespace {
    const FORM: &'static str = "auto, host, keep-id, ns:PATH or [u|g]CONTAINER:HOST:SIZE[,…]";
    const EXAMPLE: &'static str = "0:100000:65536";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "auto" | "private" => return Ok(Self::Auto),
            "host" => return Ok(Self::Host),
            "keep-id" => return Ok(Self::KeepId),
            "nomap" => return Err("nomap is not offered; give the ranges".into()),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("ns:") {
            return match path.starts_with('/') {
                true => Ok(Self::Join(path.into())),
                false => Err(format!("`{path}` is not an absolute path").into()),
            };
        }
        if !text.contains(':') {
            return Err("there is no such mode".into());
        }
        let (mut uids, mut gids) = (Vec::new(), Vec::new());
        for part in text.split(',') {
            match part.as_bytes().first() {
                Some(b'u') => uids.push(parse_range(&part[1..])?),
                Some(b'g') => gids.push(parse_range(&part[1..])?),
                _ => {
                    let range = parse_range(part)?;
                    uids.push(range);
                    gids.push(range);
                }
            }
        }
        if uids.is_empty() || gids.is_empty() {
            return Err("users and groups both need a range".into());
        }
        Ok(Self::Maps { uids: IdRanges::new(uids)?, gids: IdRanges::new(gids)? })
    }
}

fn parse_range(text: &str) -> Result<IdMapping, Problem> {
    let parts: Vec<&str> = text.split(':').collect();
    let [container, host, size] = parts[..] else {
        return Err(format!("`{text}` is not CONTAINER:HOST:SIZE").into());
    };
    let id = |text| {
        u32::try_from(parse_count(text)?).map_err(|_| Problem::from(format!("{text} is too large for an id")))
    };
    Ok(IdMapping { container_id: id(container)?, host_id: id(host)?, size: id(size)? })
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_user_namespace_is_a_word_or_ranges() {
        expect![[r#"
            auto => Auto
            host => Host
            keep-id => KeepId
            nomap !! nomap is not offered; give the ranges
             !! there is no such mode
            0:1000:1,1:100000:65535 => Maps { uids: IdRanges([IdMapping { container_id: 0, host_id: 1000, size: 1 }, IdMapping { container_id: 1, host_id: 100000, size: 65535 }]), gids: IdRanges([IdMapping { container_id: 0, host_id: 1000, size: 1 }, IdMapping { container_id: 1, host_id: 100000, size: 65535 }]) }
            u0:1:2,g0:3:4 => Maps { uids: IdRanges([IdMapping { container_id: 0, host_id: 1, size: 2 }]), gids: IdRanges([IdMapping { container_id: 0, host_id: 3, size: 4 }]) }
            u0:1:2 !! users and groups both need a range
            0:1 !! `0:1` is not CONTAINER:HOST:SIZE
            0:1:0 !! a range has the size 0
            0:1:2,1:9:1 !! the ranges 0:1:2 and 1:9:1 overlap
            0:0:4294967295 => Maps { uids: IdRanges([IdMapping { container_id: 0, host_id: 0, size: 4294967295 }]), gids: IdRanges([IdMapping { container_id: 0, host_id: 0, size: 4294967295 }]) }
            0:0:4294967296 !! 4294967296 is too large for an id
            1:0:4294967295 !! a range runs past the last id, 4294967294
            a:0:1 !! `a` is not a number
            ns:/proc/1/ns/user => Join("/proc/1/ns/user")
            ns:1 !! `1` is not an absolute path
            0:1:2, !! `` is not CONTAINER:HOST:SIZE
            0:100000:65536 => Maps { uids: IdRanges([IdMapping { container_id: 0, host_id: 100000, size: 65536 }]), gids: IdRanges([IdMapping { container_id: 0, host_id: 100000, size: 65536 }]) }
        "#]].assert_eq(&table::<UserNamespace>(&[
            "auto", "host", "keep-id", "nomap", "", "0:1000:1,1:100000:65535", "u0:1:2,g0:3:4", "u0:1:2", "0:1",
            "0:1:0", "0:1:2,1:9:1", "0:0:4294967295", "0:0:4294967296", "1:0:4294967295", "a:0:1", "ns:/proc/1/ns/user",
            "ns:1", "0:1:2,",
        ]));
    }

    #[test]
    fn an_id_outside_of_every_range_does_not_exist() {
        let ranges = IdRanges::new(vec![IdMapping { container_id: 5, host_id: 10, size: 2 }]).unwrap();
        assert_eq!([4, 5, 6, 7].map(|id| ranges.contains(id)), [false, true, true, false]);
    }
}
