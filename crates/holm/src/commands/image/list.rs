//! `holm images`, and what changes the list.

use clap::ArgMatches;
use images::reference::Reference;
use images::store::{Collected, Image, What};
use report::BoxedExplain;
use serde_json::json;

use super::{boxed, bytes, familiar, flag, print, references, refuse, store, text, texts};
use crate::commands::table::{self, Align};

pub(super) fn list(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let mut images = store.images().map_err(boxed)?;
    match text(matches, "dangling") {
        None => {}
        Some("false") => images.retain(|image| !image.names.is_empty()),
        Some(_) => images.retain(|image| image.names.is_empty()),
    }
    if let Some(wanted) = text(matches, "name") {
        let wanted = Reference::parse(wanted).map_err(boxed)?;
        let with_tag = texts(matches, "name")
            .iter()
            .any(|name| name.rsplit('/').next().unwrap_or(name).contains([':', '@']));
        for image in &mut images {
            image.names.retain(|name| match with_tag {
                true => *name == wanted.to_string(),
                false => Reference::parse(name).is_ok_and(|name| name.name() == wanted.name()),
            });
        }
        images.retain(|image| !image.names.is_empty());
    }
    if matches.get_flag("json") {
        let list: Vec<_> = images.iter().map(to_json).collect();
        print(&table::json(&json!(list)))?;
        return Ok(0);
    }
    let full = flag(matches, "no-trunc");
    let id = |image: &Image| if full { image.config.to_string() } else { image.config.short() };
    if flag(matches, "quiet") {
        let mut ids: Vec<String> = images.iter().map(id).collect();
        ids.dedup();
        print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
        return Ok(0);
    }
    let digests = flag(matches, "digests");
    let mut rows = Vec::new();
    for image in &images {
        let names: Vec<Option<&String>> = match image.names.is_empty() {
            true => vec![None],
            false => image.names.iter().map(Some).collect(),
        };
        for name in names {
            let (repository, tag) = parts(name);
            let mut row = vec![repository, tag];
            if digests {
                row.push(if full { image.manifest.to_string() } else { image.manifest.short() });
            }
            row.extend([
                id(image),
                image.platform.to_string(),
                ago(&image.created, image.added),
                bytes(image.size),
            ]);
            rows.push(row);
        }
    }
    let mut columns = vec![("NAME", Align::Left), ("TAG", Align::Left)];
    if digests {
        columns.push(("DIGEST", Align::Left));
    }
    columns.extend([
        ("ID", Align::Left),
        ("PLATFORM", Align::Left),
        ("CREATED", Align::Left),
        ("SIZE", Align::Right),
    ]);
    print(&table::table(&columns, &rows))?;
    Ok(0)
}

fn parts(name: Option<&String>) -> (String, String) {
    let none = || "<none>".to_owned();
    let Some(name) = name else { return (none(), none()) };
    let short = familiar(name);
    let (rest, digest) =
        short.split_once('@').map_or((short.as_str(), None), |(rest, digest)| (rest, Some(digest)));
    match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (rest.to_owned(), digest.map_or_else(none, |_| "<none>".to_owned())),
    }
}

pub(super) fn to_json(image: &Image) -> serde_json::Value {
    json!({
        "id": image.config,
        "digest": image.manifest,
        "names": image.names,
        "platform": image.platform.to_string(),
        "created": image.created,
        "added": image.added,
        "size": image.size,
    })
}

/// How long ago an image was made, in the largest unit; by when it came here, if it does not say.
pub(super) fn ago(created: &str, added: i64) -> String {
    let then = seconds_of(created).unwrap_or(added);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let age = (now as i64 - then).max(0);
    let units = [
        (31_536_000, "year"),
        (2_592_000, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    match units.iter().find(|(seconds, _)| age >= *seconds) {
        Some((seconds, unit)) => {
            let count = age / seconds;
            format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
        }
        None => "just now".to_owned(),
    }
}

/// Seconds since 1970 of a time in words (RFC 3339); the fraction does not count.
pub(super) fn seconds_of(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from 0000-03-01, in eras of 400 years.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era =
        year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let rest = text
        .get(19..)?
        .trim_start_matches('.')
        .trim_start_matches(|character: char| character.is_ascii_digit());
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let number = |from: usize, to: usize| rest.get(from..to)?.parse::<i64>().ok();
            sign * (number(1, 3)? * 3600 + number(4, 6)? * 60)
        }
    };
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

pub(super) fn tag(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let image = store.find(text(matches, "image").unwrap_or_default()).map_err(boxed)?;
    for name in references(&texts(matches, "name"))? {
        if name.digest().is_some() {
            return Err(refuse(
                format!("`{name}` has a digest, which is no name to give"),
                "leave the digest out",
            ));
        }
        store.tag(&image, &name).map_err(boxed)?;
    }
    Ok(0)
}

pub(super) fn remove(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let force = flag(matches, "force");
    for asked in texts(matches, "image") {
        let image = store.find(asked).map_err(boxed)?;
        let name = Reference::parse(asked).ok().map(|name| name.to_string());
        let named = name.filter(|name| image.names.contains(name));
        match named {
            // One of several names: the image stays for the others.
            Some(name) if image.names.len() > 1 => {
                store.untag(&name).map_err(boxed)?;
                print(&format!("untagged {}\n", familiar(&name)))?;
            }
            None if image.names.len() > 1 && !force => {
                return Err(refuse(
                    format!("the image {} has {} names", image.config.short(), image.names.len()),
                    "remove it by one of them, or use --force to remove it with all",
                ));
            }
            _ => tell(&store.remove(&image, force).map_err(boxed)?, &image)?,
        }
    }
    Ok(0)
}

fn tell(collected: &Collected, image: &Image) -> Result<(), BoxedExplain> {
    let mut lines: Vec<String> =
        collected.names.iter().map(|name| format!("untagged {}\n", familiar(name))).collect();
    if !collected.images.is_empty() {
        lines.push(format!("removed  {}\n", image.config));
    }
    print(&lines.concat())
}

pub(super) fn prune(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let what = if flag(matches, "all") { What::Unused } else { What::Nameless };
    let collected = store.prune(what).map_err(boxed)?;
    if matches.get_flag("json") {
        let value = json!({
            "names": collected.names,
            "images": collected.images,
            "blobs": collected.blobs,
            "bytes": collected.bytes,
        });
        print(&table::json(&value))?;
        return Ok(0);
    }
    let mut lines: Vec<String> =
        collected.names.iter().map(|name| format!("untagged {}\n", familiar(name))).collect();
    lines.extend(collected.images.iter().map(|digest| format!("removed  {digest}\n")));
    lines.push(format!("{} freed\n", bytes(collected.bytes)));
    print(&lines.concat())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words_are_read_with_their_zones() {
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of("2024-02-29T12:34:56.123456789Z"), Some(1_709_210_096));
        assert_eq!(seconds_of("2024-02-29T13:34:56+01:00"), Some(1_709_210_096));
        for text in ["", "yesterday", "2024-13-01T00:00:00Z", "2024-02-29T12:34:56"] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_split_where_people_expect_it() {
        let parts = |name: &str| parts(Some(&name.to_owned()));
        assert_eq!(parts("docker.io/library/debian:12"), ("debian".to_owned(), "12".to_owned()));
        assert_eq!(parts("localhost:5000/a:1"), ("localhost:5000/a".to_owned(), "1".to_owned()));
    }
}
