//! An image of one layer from a root filesystem: an archive, or a directory.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;

use super::write::{self, Writer};
use crate::Error;
use crate::config::{Execution, History, ImageConfig, RootFs};
use crate::manifest::{Descriptor, Manifest, layer_media_type};
use crate::media;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Image, Lease, PutImage, Store};

/// What an imported image says about itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What it is called.
    pub names: Vec<Reference>,
    /// For which machine.
    pub platform: Platform,
    /// How its program is started.
    pub execution: Execution,
    /// When it was made, in seconds since 1970: files of a directory are not later either.
    pub created: i64,
    /// Where it comes from, for its history.
    pub created_by: String,
    /// A note, for its history.
    pub comment: String,
    /// What brought it here: `import`, `bootstrap`.
    pub action: &'static str,
}

/// Makes an image of an archive, compressed or not, as it comes.
///
/// # Errors
/// What is wrong with it, or what the disk says.
pub fn archive(store: &Store, source: &mut dyn Read, about: &About) -> Result<Image, Error> {
    let lease = store.lease()?;
    let mut writer = store.write_unnamed(&lease, u64::MAX)?;
    let mut buffer = vec![0; 256 << 10];
    let mut start = Vec::new();
    loop {
        let count = match source.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::call("read the archive", "read", error)),
        };
        if count == 0 {
            break;
        }
        if start.len() < 4 {
            start.extend_from_slice(&buffer[..count.min(4)]);
        }
        writer.push(&buffer[..count])?;
    }
    let media_type = layer_media_type(media::Compression::of_content(&start));
    let blob = writer.finish_as(&lease, None)?;
    finish(store, &lease, Descriptor::new(media_type, blob.digest, blob.size), about)
}

/// Makes an image of a directory.
///
/// # Errors
/// What cannot be read, or what the disk says.
pub fn directory(store: &Store, path: &Path, about: &About) -> Result<Image, Error> {
    let failed = |error: io::Error| {
        Error::step("read the directory", sys::SyscallError::new("open", path.display().to_string(), error))
    };
    let root = write::open_directory(path).map_err(failed)?;
    let lease = store.lease()?;
    let mut blob = store.write_unnamed(&lease, u64::MAX)?;
    let mut writer = Writer::new(io::BufWriter::with_capacity(256 << 10, &mut blob));
    writer
        .tree(&root, Some(about.created))
        .and_then(|()| writer.finish())
        .and_then(|mut out| out.flush())
        .map_err(|error| match error.raw_os_error() {
            Some(_) => failed(error),
            None => Error::malformed(path.display().to_string(), error.to_string()),
        })?;
    let blob = blob.finish_as(&lease, None)?;
    finish(store, &lease, Descriptor::new(media::OCI_LAYER, blob.digest, blob.size), about)
}

fn finish(store: &Store, lease: &Lease<'_>, layer: Descriptor, about: &About) -> Result<Image, Error> {
    let ready = store.prepare_layer(lease, &layer.digest, None)?;
    let created = rfc3339(about.created);
    let config = ImageConfig {
        created: created.clone(),
        architecture: about.platform.architecture.clone(),
        variant: about.platform.variant.clone(),
        os: about.platform.os.clone(),
        config: about.execution.clone(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![ready.diff_id] },
        history: vec![History {
            created,
            created_by: about.created_by.clone(),
            comment: about.comment.clone(),
            ..History::default()
        }],
        ..ImageConfig::default()
    };
    let text = |value: Result<Vec<u8>, serde_json::Error>| {
        value.map_err(|error| Error::malformed("the image", error.to_string()))
    };
    let config = store.put_blob(lease, media::OCI_CONFIG, &text(serde_json::to_vec(&config))?)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::OCI_MANIFEST.to_owned(),
        artifact_type: String::new(),
        config,
        layers: vec![layer],
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest = store.put_blob(lease, media::OCI_MANIFEST, &text(serde_json::to_vec(&manifest))?)?;
    let put = PutImage {
        manifest: manifest.digest,
        target: manifest.digest,
        names: &about.names,
        action: about.action,
    };
    store.put_image(lease, &put)
}

/// Applies an instruction of a Dockerfile that changes how the program is started: `CMD`, `ENTRYPOINT`, `ENV`, `EXPOSE`, `LABEL`, `STOPSIGNAL`,
/// `USER`, `VOLUME`, `WORKDIR`.
///
/// # Errors
/// Any other, or one without what it needs.
pub fn change(execution: &mut Execution, instruction: &str) -> Result<(), Error> {
    let bad = |problem: &str| {
        Error::malformed(format!("the instruction `{}`", instruction.escape_debug()), problem)
    };
    let (word, rest) =
        instruction.trim().split_once(char::is_whitespace).ok_or_else(|| bad("it has no value"))?;
    let rest = rest.trim();
    let words = || -> Result<Vec<String>, Error> {
        match rest.starts_with('[') {
            true => serde_json::from_str(rest).map_err(|error| bad(&error.to_string())),
            false => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()]),
        }
    };
    let list = || -> Result<Vec<String>, Error> {
        match rest.starts_with('[') {
            true => serde_json::from_str(rest).map_err(|error| bad(&error.to_string())),
            false => Ok(rest.split_whitespace().map(str::to_owned).collect()),
        }
    };
    let pair = || -> Result<(String, String), Error> {
        let (key, value) = rest
            .split_once('=')
            .or_else(|| rest.split_once(char::is_whitespace))
            .ok_or_else(|| bad("it takes KEY=VALUE"))?;
        Ok((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    match word.to_ascii_uppercase().as_str() {
        "CMD" => execution.cmd = words()?,
        "ENTRYPOINT" => execution.entrypoint = words()?,
        "ENV" => {
            let (key, value) = pair()?;
            execution.env.retain(|entry| entry.split_once('=').is_none_or(|(other, _)| other != key));
            execution.env.push(format!("{key}={value}"));
        }
        "LABEL" => {
            let (key, value) = pair()?;
            execution.labels.insert(key, value);
        }
        "EXPOSE" => {
            for port in list()? {
                let port = if port.contains('/') { port } else { format!("{port}/tcp") };
                execution.exposed_ports.insert(port, json!({}));
            }
        }
        "VOLUME" => {
            for volume in list()? {
                execution.volumes.insert(volume, json!({}));
            }
        }
        "USER" => execution.user = rest.to_owned(),
        "WORKDIR" => execution.working_dir = rest.to_owned(),
        "STOPSIGNAL" => execution.stop_signal = rest.to_owned(),
        _ => return Err(bad("it is none that changes how an image is started")),
    }
    Ok(())
}

/// A time in words (RFC 3339, UTC).
pub fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn instructions_change_how_an_image_is_started() {
        let mut execution = Execution::default();
        for instruction in [
            r#"CMD ["sh", "-l"]"#,
            "ENTRYPOINT exec top",
            "env A=1",
            "ENV A 2",
            "LABEL a.b=\"c d\"",
            "EXPOSE 80 53/udp",
            "USER 1:2",
            "WORKDIR /srv",
        ] {
            change(&mut execution, instruction).unwrap();
        }
        assert_eq!(execution.cmd, ["sh", "-l"]);
        assert_eq!(execution.entrypoint, ["/bin/sh", "-c", "exec top"]);
        assert_eq!(execution.env, ["A=2"]);
        assert_eq!(execution.labels["a.b"], "c d");
        assert!(
            execution.exposed_ports.contains_key("80/tcp") && execution.exposed_ports.contains_key("53/udp")
        );
        for instruction in ["", "RUN x", "ENV", "CMD [", "ENV A"] {
            assert!(change(&mut execution, instruction).is_err(), "{instruction}");
        }
    }
}
