//! Platforms: for which machine an image is, and which of several fits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The platform of an image, as an index names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The system: `linux`.
    pub os: String,
    /// The system's version.
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// What the system must offer.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The processor's variant: `v7`, `v8`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// The platform of this program.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            "x86" => "386",
            other => other,
        };
        let variant = if architecture == "arm64" { "v8" } else { "" };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.to_owned(),
            ..Self::default()
        }
    }

    /// Parses `OS/ARCH[/VARIANT]`; `ARCH` alone means Linux. `x86_64` and `aarch64` are understood too.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::malformed(
                format!("the platform `{}`", text.escape_debug()),
                "it is written as OS/ARCHITECTURE[/VARIANT], for example linux/arm64",
            )
        };
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        if !parts.iter().all(|part| word(part)) {
            return Err(bad());
        }
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, ""),
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(bad()),
        };
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", ""),
            "aarch64" => ("arm64", "v8"),
            "arm64" => ("arm64", "v8"),
            "armhf" => ("arm", "v7"),
            "armel" => ("arm", "v6"),
            "i386" => ("386", ""),
            other => (other, ""),
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: if variant.is_empty() { implied.to_owned() } else { variant.to_owned() },
            ..Self::default()
        })
    }

    /// How well `offer` serves this platform: lower is better, `None` does not run. A missing variant of 64-bit Arm is v8, and a
    /// 32-bit Arm runs what is made for older variants.
    pub fn match_with(&self, offer: &Self) -> Option<u32> {
        if self.os != offer.os || self.architecture != offer.architecture {
            return None;
        }
        let number = |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_str()) {
            ("arm64", "") => Some(8),
            ("arm", "") => Some(7),
            ("amd64", "") => Some(1),
            (_, "") => Some(0),
            (_, variant) => variant.strip_prefix('v').and_then(|text| text.parse::<u32>().ok()),
        };
        match (number(self), number(offer)) {
            (Some(own), Some(theirs)) => own.checked_sub(theirs),
            _ => (self.variant == offer.variant).then_some(0),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_in_the_words_of_go_and_of_uname() {
        assert_eq!(Platform::parse("linux/amd64").unwrap().to_string(), "linux/amd64");
        assert_eq!(Platform::parse("aarch64").unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(Platform::parse("linux/arm/v6").unwrap().to_string(), "linux/arm/v6");
        for text in ["", "/", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_older_arm_runs_on_a_newer_one_and_not_the_other_way_round() {
        let (v7, v6) = (Platform::parse("linux/arm/v7").unwrap(), Platform::parse("linux/arm/v6").unwrap());
        assert_eq!(v7.match_with(&v6), Some(1));
        assert_eq!(v6.match_with(&v7), None);
        let plain = Platform { variant: String::new(), ..Platform::parse("linux/arm64").unwrap() };
        assert_eq!(Platform::parse("linux/arm64").unwrap().match_with(&plain), Some(0));
    }
}
