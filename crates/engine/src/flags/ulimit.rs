//! Resource limits of processes: `--ulimit`.

use spec::rlimit::{Resource, Rlimit, UNLIMITED};

use super::{Problem, Value, parse_count};

/// `--ulimit NAME=SOFT[:HARD]` (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ulimit(pub Rlimit);

impl Value for Ulimit {
    const FORM: &'static str = "NAME=SOFT[:HARD], each a number or -1 for no limit";
    const EXAMPLE: &'static str = "nofile=1024:4096";

    fn parse(text: &str) -> Result<Self, Problem> {
        let Some((name, limits)) = text.split_once('=') else { return Err("there is no `=`".into()) };
        let Some(resource) = Resource::from_name(&format!("RLIMIT_{}", name.to_ascii_uppercase())) else {
            let names: Vec<_> =
                Resource::NAMES.iter().map(|name| name["RLIMIT_".len()..].to_ascii_lowercase()).collect();
            return Err(format!("`{name}` is not one of {}", names.join(", ")).into());
        };
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (parse_limit(soft)?, parse_limit(hard)?);
        if soft > hard {
            return Err("the soft limit is above the hard limit".into());
        }
        Ok(Self(Rlimit { resource, soft, hard }))
    }
}

fn parse_limit(text: &str) -> Result<u64, Problem> {
    match text {
        "-1" | "unlimited" => Ok(UNLIMITED),
        _ => parse_count(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_ulimit_has_a_known_name_and_a_soft_limit_below_the_hard_one() {
        expect![[r#"
            nofile=64 => Ulimit(Rlimit { resource: Nofile, hard: 64, soft: 64 })
            core=0:-1 => Ulimit(Rlimit { resource: Core, hard: 18446744073709551615, soft: 0 })
            stack=unlimited => Ulimit(Rlimit { resource: Stack, hard: 18446744073709551615, soft: 18446744073709551615 })
            nofile=5:4 !! the soft limit is above the hard limit
            nofile=-1:4 !! the soft limit is above the hard limit
            files=3 !! `files` is not one of cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, nice, rtprio, rttime
            nofile !! there is no `=`
            nofile= !! a number is missing
            nofile=a !! `a` is not a number
            nofile=1:2:3 !! `2:3` is not a number
            nofile=-2 !! `-2` is not a number
            nofile=1024:4096 => Ulimit(Rlimit { resource: Nofile, hard: 4096, soft: 1024 })
        "#]].assert_eq(&table::<Ulimit>(&[
            "nofile=64", "core=0:-1", "stack=unlimited", "nofile=5:4", "nofile=-1:4", "files=3", "nofile", "nofile=",
            "nofile=a", "nofile=1:2:3", "nofile=-2",
        ]));
    }
}
