//! `holm image inspect`, `history`, `tree` and `verify`.

use clap::ArgMatches;
use images::store::{Image, Store};
use report::BoxedExplain;
use serde_json::{Value, json};

use super::{boxed, bytes, familiar, flag, named, print, store, text, texts};
use crate::commands::table::{self, Align};

pub(super) fn inspect(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let list =
        named(&store, matches)?.iter().map(|image| describe(&store, image)).collect::<Result<Vec<_>, _>>()?;
    print(&table::json(&Value::Array(list)))?;
    Ok(0)
}

/// Everything about an image, with the keys of docker's where docker has them.
fn describe(store: &Store, image: &Image) -> Result<Value, BoxedExplain> {
    let config = store.config(image).map_err(boxed)?;
    let manifest = store.read_manifest(&image.manifest).map_err(boxed)?;
    let mut layers = Vec::new();
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let ready = store.ready_layer(diff_id).map_err(boxed)?;
        layers.push(json!({
            "Digest": layer.digest,
            "MediaType": layer.media_type,
            "Size": layer.size,
            "DiffId": diff_id,
            "Form": ready.as_ref().map(|ready| ready.form.name()),
            "FormReason": ready.as_ref().map(|ready| ready.reason.clone()).filter(|reason| !reason.is_empty()),
            "PlainSize": ready.as_ref().map(|ready| ready.size),
            "IndexSize": ready.as_ref().map(|ready| ready.index_size),
            "Entries": ready.as_ref().map(|ready| ready.entries),
            "LeftOut": ready.as_ref().map(|ready| ready.dropped),
            "Mounted": store.mount_point(diff_id).is_dir().then(|| store.mount_point(diff_id)),
        }));
    }
    let digests: Vec<String> = image
        .names
        .iter()
        .filter_map(|name| images::Reference::parse(name).ok())
        .map(|name| {
            let target = store.name(&name).ok().flatten().map_or(image.manifest, |known| known.target);
            format!("{}@{target}", name.name())
        })
        .collect();
    Ok(json!({
        "Id": image.config,
        "Digest": image.manifest,
        "MediaType": manifest.media_type,
        "RepoTags": image.names.iter().map(|name| familiar(name)).collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": image.size,
        "Config": config.config,
        "RootFS": { "Type": "layers", "Layers": config.rootfs.diff_ids },
        "Layers": layers,
        "Annotations": manifest.annotations,
        "Containers": store.snapshots(&image.manifest).map_err(boxed)?,
    }))
}

pub(super) fn history(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let image = store.find(text(matches, "image").unwrap_or_default()).map_err(boxed)?;
    let config = store.config(&image).map_err(boxed)?;
    let manifest = store.read_manifest(&image.manifest).map_err(boxed)?;
    let mut layers = manifest.layers.iter();
    let steps: Vec<_> = config
        .history
        .iter()
        .map(|step| (step, if step.empty_layer { None } else { layers.next() }))
        .collect();
    if matches.get_flag("json") {
        let list: Vec<Value> = steps
            .iter()
            .rev()
            .map(|(step, layer)| {
                json!({
                    "created": step.created,
                    "created_by": step.created_by,
                    "comment": step.comment,
                    "empty_layer": step.empty_layer,
                    "layer": layer.map(|layer| layer.digest),
                    "size": layer.map_or(0, |layer| layer.size),
                })
            })
            .collect();
        print(&table::json(&Value::Array(list)))?;
        return Ok(0);
    }
    let full = flag(matches, "no-trunc");
    let rows: Vec<Vec<String>> = steps
        .iter()
        .rev()
        .map(|(step, layer)| {
            let what = [step.created_by.as_str(), step.comment.as_str()].join(" ");
            vec![
                layer.map_or("-".to_owned(), |layer| layer.digest.short()),
                super::list::ago(&step.created, image.added),
                layer.map_or("0 B".to_owned(), |layer| bytes(layer.size)),
                one_line(&what, if full { usize::MAX } else { 60 }),
            ]
        })
        .collect();
    let columns = [
        ("LAYER", Align::Left),
        ("CREATED", Align::Left),
        ("SIZE", Align::Right),
        ("CREATED BY", Align::Left),
    ];
    print(&table::table(&columns, &rows))?;
    Ok(0)
}

fn one_line(text: &str, most: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = line.chars().take(most).filter(|character| !character.is_control()).collect();
    if line.chars().count() > most { format!("{shown}…") } else { shown }
}

pub(super) fn tree(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let all = store.images().map_err(boxed)?;
    let shown = named(&store, matches)?;
    let mut users: std::collections::BTreeMap<images::Digest, usize> = Default::default();
    for image in &all {
        let Ok(config) = store.config(image) else { continue };
        for diff_id in config.rootfs.diff_ids {
            *users.entry(diff_id).or_default() += 1;
        }
    }
    let mut text = String::new();
    for image in &shown {
        let config = store.config(image).map_err(boxed)?;
        let manifest = store.read_manifest(&image.manifest).map_err(boxed)?;
        let names: Vec<String> = image.names.iter().map(|name| familiar(name)).collect();
        let names = if names.is_empty() { "<none>".to_owned() } else { names.join(" ") };
        text.push_str(&format!(
            "{names}  {}  {}  {}\n",
            image.config.short(),
            image.platform,
            bytes(image.size)
        ));
        let steps: Vec<_> = config.history.iter().filter(|step| !step.empty_layer).collect();
        for (number, (layer, diff_id)) in
            manifest.layers.iter().zip(&config.rootfs.diff_ids).enumerate().rev()
        {
            let ready = store.ready_layer(diff_id).map_err(boxed)?;
            let branch = if number == 0 { "└─" } else { "├─" };
            let form = ready.map_or("not ready".to_owned(), |ready| {
                format!("{}, {} plain, {} entries", ready.form, bytes(ready.size), ready.entries)
            });
            let shared = match users.get(diff_id) {
                Some(count) if *count > 1 => format!(", shared by {count} images"),
                _ => String::new(),
            };
            let by = steps.get(number).map_or(String::new(), |step| one_line(&step.created_by, 50));
            text.push_str(&format!(
                "{branch} {}  {}  {form}{shared}  {by}\n",
                layer.digest.short(),
                bytes(layer.size)
            ));
        }
    }
    print(&text)?;
    Ok(0)
}

pub(super) fn verify(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let images = named(&store, matches)?;
    let repair = flag(matches, "repair");
    let report = store.verify(&images, repair).map_err(boxed)?;
    if repair && texts(matches, "image").is_empty() {
        store.prune(images::store::What::Leftovers).map_err(boxed)?;
    }
    if matches.get_flag("json") {
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|finding| json!({ "image": finding.image, "problem": finding.problem, "mended": finding.mended }))
            .collect();
        print(&table::json(
            &json!({ "images": report.images, "compared": report.compared, "findings": findings }),
        ))?;
    } else {
        let mut lines: Vec<String> = report
            .findings
            .iter()
            .map(|finding| {
                let outcome = match (finding.mended, repair) {
                    (true, _) => "mended",
                    (false, true) => "put aside: pull it again",
                    (false, false) => "damaged",
                };
                format!("{}: {} ({outcome})\n", familiar(&finding.image), finding.problem)
            })
            .collect();
        lines.push(format!(
            "{} images, {} blobs and layers compared, {} damaged\n",
            report.images,
            report.compared,
            report.findings.len()
        ));
        print(&lines.concat())?;
    }
    Ok(if report.is_well() { 0 } else { 1 })
}
