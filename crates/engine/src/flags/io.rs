//! Limits of block devices: `--device-read-bps` and its sisters, `--blkio-weight-device`.

use std::path::PathBuf;

use super::number::BlkioWeight;
use super::size::Bytes;
use super::{Problem, Value, parse_count};

/// `--device-{read,write}-bps DEVICE:RATE`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BytesPerSecond {
    /// The block device's node on the host.
    pub device: PathBuf,
    /// Bytes in each second.
    pub rate: u64,
}

impl Value for BytesPerSecond {
    const FORM: &'static str = "DEVICE:RATE in bytes a second with an optional unit k, m or g";
    const EXAMPLE: &'static str = "/dev/sda:10m";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (device, rate) = split_device(text)?;
        Ok(Self { device, rate: Bytes::parse(rate)?.get() })
    }
}

/// `--device-{read,write}-iops DEVICE:RATE`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OperationsPerSecond {
    /// The block device's node on the host.
    pub device: PathBuf,
    /// Reads or writes in each second.
    pub rate: u64,
}

impl Value for OperationsPerSecond {
    const FORM: &'static str = "DEVICE:RATE in operations a second";
    const EXAMPLE: &'static str = "/dev/sda:1000";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (device, rate) = split_device(text)?;
        match parse_count(rate)? {
            0 => Err("the rate is zero".into()),
            rate => Ok(Self { device, rate }),
        }
    }
}

/// `--blkio-weight-device DEVICE:WEIGHT`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceWeight {
    /// The block device's node on the host.
    pub device: PathBuf,
    /// 10 to 1000.
    pub weight: u16,
}

impl Value for DeviceWeight {
    const FORM: &'static str = "DEVICE:WEIGHT with a weight from 10 to 1000";
    const EXAMPLE: &'static str = "/dev/sda:300";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (device, weight) = split_device(text)?;
        Ok(Self { device, weight: BlkioWeight::read(weight)?.get() as u16 })
    }
}

fn split_device(text: &str) -> Result<(PathBuf, &str), Problem> {
    let Some((device, number)) = text.rsplit_once(':') else { return Err("there is no `:`".into()) };
    if !device.starts_with('/') {
        return Err(format!("`{device}` is not an absolute path on the host").into());
    }
    Ok((device.into(), number))
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_rate_belongs_to_a_device() {
        expect![[r#"
            /dev/vda:1mb => BytesPerSecond { device: "/dev/vda", rate: 1048576 }
            /dev/vda !! there is no `:`
            vda:1 !! `vda` is not an absolute path on the host
            /dev/vda:0 !! the size is zero
             !! there is no `:`
            /dev/sda:10m => BytesPerSecond { device: "/dev/sda", rate: 10485760 }
        "#]]
        .assert_eq(&table::<BytesPerSecond>(&["/dev/vda:1mb", "/dev/vda", "vda:1", "/dev/vda:0", ""]));
        expect![[r#"
            /dev/vda:10 => OperationsPerSecond { device: "/dev/vda", rate: 10 }
            /dev/vda:10k !! `10k` is not a number
            /dev/vda:0 !! the rate is zero
            /dev/sda:1000 => OperationsPerSecond { device: "/dev/sda", rate: 1000 }
        "#]]
        .assert_eq(&table::<OperationsPerSecond>(&["/dev/vda:10", "/dev/vda:10k", "/dev/vda:0"]));
        expect![[r#"
            /dev/vda:10 => DeviceWeight { device: "/dev/vda", weight: 10 }
            /dev/vda:9 !! the number is outside 10 to 1000
            /dev/vda: !! a number is missing
            /dev/sda:300 => DeviceWeight { device: "/dev/sda", weight: 300 }
        "#]]
        .assert_eq(&table::<DeviceWeight>(&["/dev/vda:10", "/dev/vda:9", "/dev/vda:"]));
    }
}
