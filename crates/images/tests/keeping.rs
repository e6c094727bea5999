//! The store keeps what it has, whatever happens to the processes that use it.

mod archive;
mod common;
mod image;

use std::process::{Command, Stdio};
use std::time::Duration;

use archive::{Entry, Tar};
use common::{Kept, store_with};
use image::put;
use images::layer::Form;
use images::reference::Reference;
use images::store::{Store, What};
use images::{Descriptor, media};

fn layer(text: &str) -> Vec<u8> {
    common::gzip(&Tar::of([Entry::file("common", b"same"), Entry::file(text, text.as_bytes())]))
}

fn fresh(name: &str) -> Option<Kept> {
    store_with(name, None)
}

#[test]
fn names_move_and_images_are_found_by_what_people_write() {
    let Some(store) = fresh("keep-names") else { return };
    let one = put(&store, "app:1", &[layer("one")]);
    let two = put(&store, "app:2", &[layer("two")]);
    for text in [
        "app:1",
        "docker.io/library/app:1",
        &one.config.short(),
        &one.config.to_string(),
        &one.manifest.hex()[..12],
    ] {
        assert_eq!(store.find(text).unwrap().manifest, one.manifest, "{text}");
    }
    assert_eq!(store.find(&format!("app@{}", two.manifest)).unwrap().manifest, two.manifest);
    store.tag(&two, &Reference::parse("app:1").unwrap()).unwrap();
    assert_eq!(store.find("app:1").unwrap().manifest, two.manifest);
    assert!(store.find(&one.config.short()).unwrap().names.is_empty());
    for text in ["", "nothing", "zz", "app:3", "../x"] {
        assert!(store.find(text).is_err(), "{text}");
    }
    assert_eq!(store.events().unwrap().len(), 3);
}

#[test]
fn what_is_shared_stays_until_the_last_image_is_gone() {
    let Some(store) = fresh("keep-shared") else { return };
    let base = layer("base");
    let one = put(&store, "one:1", &[base.clone(), layer("1")]);
    let two = put(&store, "two:1", &[base, layer("2")]);
    store.lower_directories(&one).unwrap();
    store.remove(&one, false).unwrap();
    assert!(store.verify(&store.images().unwrap(), false).unwrap().is_well());
    assert_eq!(store.lower_directories(&two).unwrap().len(), 2);
    store.remove(&two, false).unwrap();
    let count = |name: &str| std::fs::read_dir(store.layout().root().join(name)).unwrap().count();
    for directory in ["blobs/sha256", "layers", "refs"] {
        assert_eq!(count(directory), 0, "{directory}");
    }
    // Extracted layers are deleted by another process.
    let began = std::time::Instant::now();
    while count("tmp") > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody deletes it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_large_is_gone_at_once_and_deleted_by_another_process() {
    let Some(store) = fresh("keep-large") else { return };
    let image = put(&store, "app:1", &[Tar::of([Entry::file("large", &vec![0; 17 << 20])])]);
    store.remove(&image, false).unwrap();
    let count = |name: &str| std::fs::read_dir(store.layout().root().join(name)).unwrap().count();
    assert_eq!(count("blobs/sha256") + count("layers"), 0);
    let began = std::time::Instant::now();
    while count("tmp") > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody deletes it");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What a process left that was killed meanwhile goes with the next collection.
    std::fs::write(store.layout().tmp().join("trash-of-somebody"), b"x").unwrap();
    store.prune(What::Leftovers).unwrap();
    assert_eq!(count("tmp"), 0);
}

#[test]
fn a_container_keeps_its_image_and_its_changes() {
    let Some(store) = fresh("keep-container") else { return };
    let image = put(&store, "app:1", &[layer("base"), layer("top")]);
    let snapshot = store.create_snapshot("c1", &image, None).unwrap();
    assert_eq!(snapshot.lower.len(), 2);
    assert!(snapshot.lower[0].join("top").exists() && snapshot.lower[1].join("base").exists());
    assert!(store.create_snapshot("c1", &image, None).is_err());
    let error = store.remove(&image, false).unwrap_err();
    assert!(error.to_string().contains("is used by 1 container"), "{error}");
    store.prune(What::Unused).unwrap();
    std::fs::write(snapshot.upper.join("upper/kept"), b"x").unwrap();
    let again = store.again().open_snapshot("c1").unwrap();
    assert!(again.upper.join("upper/kept").exists());
    assert_eq!(again.lower, snapshot.lower);
    store.remove_snapshot("c1").unwrap();
    store.remove_snapshot("c1").unwrap();
    store.remove(&image, false).unwrap();
    assert!(store.create_snapshot("../x", &image, None).is_err());
}

/// A container starts and goes without a sync of the disk.
#[test]
fn containers_do_not_write_to_the_database() {
    let Some(store) = fresh("keep-unwritten") else { return };
    let image = put(&store, "app:1", &[layer("base")]);
    let directory = store.layout().root().to_owned();
    let written = || {
        let of = |name: &str| {
            std::fs::metadata(directory.join(name)).map(|meta| (meta.len(), meta.modified().unwrap())).ok()
        };
        (of("holm.db"), of("holm.db-wal").filter(|(length, _)| *length > 0))
    };
    drop(store.again());
    let before = written();
    for _ in 0..2 {
        let other = store.again();
        let lease = other.lease().unwrap();
        lease.protect(&image.manifest).unwrap();
        other.create_snapshot("c1", &image, None).unwrap();
        other.open_snapshot("c1").unwrap();
        other.remove_snapshot("c1").unwrap();
    }
    assert_eq!(written(), before);
    // One that did not come to having an image is no obstacle, and is found.
    std::fs::create_dir(store.layout().snapshot("c2")).unwrap();
    assert_eq!(store.all_snapshots().unwrap(), ["c2"]);
    store.create_snapshot("c2", &image, None).unwrap();
    store.remove_snapshot("c2").unwrap();
    assert!(store.all_snapshots().unwrap().is_empty());
}

/// Either a container is made before the image goes, which then stays, or after that, and is refused.
#[test]
fn an_image_does_not_go_from_under_a_container() {
    let Some(store) = fresh("keep-race") else { return };
    for number in 0..30 {
        let image = put(&store, "app:1", &[layer("base")]);
        let (made, removed) = std::thread::scope(|scope| {
            let other = store.again();
            let wanted = image.clone();
            let removal = scope.spawn(move || other.remove(&wanted, false).is_ok());
            if number % 2 == 0 {
                std::thread::sleep(std::time::Duration::from_micros(number * 40));
            }
            let made = store.create_snapshot("c1", &image, None).is_ok();
            (made, removal.join().unwrap())
        });
        assert_ne!(made, removed);
        if made {
            assert!(store.image(&image.manifest).unwrap().is_some());
            assert!(store.open_snapshot("c1").unwrap().lower[0].join("base").exists());
            store.remove_snapshot("c1").unwrap();
        }
    }
}

#[test]
fn a_limited_container_gets_no_more_than_its_size() {
    let Some(store) = fresh("keep-limit") else { return };
    if common::program("mkfs.ext4").is_none() || !std::path::Path::new("/dev/loop-control").exists() {
        println!("SKIPPED a_limited_container_gets_no_more_than_its_size: no mkfs.ext4 or no loop devices");
        return;
    }
    let image = put(&store, "app:1", &[layer("base")]);
    let snapshot = store.create_snapshot("c1", &image, Some(32 << 20)).unwrap();
    let file = snapshot.upper.join("upper/file");
    let error = std::fs::write(&file, vec![1; 64 << 20]).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(28 | 122)), "{error}");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, vec![1; 8 << 20]).unwrap();
    assert_eq!(store.open_snapshot("c1").unwrap().quota, snapshot.quota);
    store.remove_snapshot("c1").unwrap();
    assert!(!store.layout().snapshot("c1").exists());
    assert!(store.create_snapshot("c2", &image, Some(4096)).is_err());
    assert!(!store.layout().snapshot("c2").exists());
    store.remove(&image, false).unwrap();
}

#[test]
fn the_database_is_made_anew_from_the_content() {
    let Some(store) = fresh("keep-rebuild") else { return };
    let one = put(&store, "one:1", &[layer("a"), layer("b")]);
    let two = put(&store, "two:1", &[layer("a")]);
    let snapshot = store.create_snapshot("c1", &two, None).unwrap();
    for name in ["holm.db", "holm.db-wal", "holm.db-shm"] {
        let _ = std::fs::remove_file(store.layout().root().join(name));
    }
    let again = store.again();
    let mut found = again.images().unwrap();
    found.sort_by(|left, right| left.names.cmp(&right.names));
    assert_eq!(found.iter().map(|image| image.manifest).collect::<Vec<_>>(), [one.manifest, two.manifest]);
    assert_eq!(found[0].names, ["docker.io/library/one:1"]);
    assert!(again.verify(&found, false).unwrap().is_well());
    assert_eq!(again.open_snapshot("c1").unwrap().upper, snapshot.upper);
    again.remove_snapshot("c1").unwrap();
}

#[test]
fn damage_is_found_and_mended_or_put_aside() {
    let Some(store) = fresh("keep-verify") else { return };
    let gz = layer("a");
    let image = put(&store, "one:1", std::slice::from_ref(&gz));
    let diff_id = store.config(&image).unwrap().rootfs.diff_ids[0];
    let images = [image.clone()];
    assert!(store.verify(&images, false).unwrap().findings.is_empty());
    let damaged = match store.form().0 {
        Form::Erofs => vec![store.layout().index(&diff_id), store.layout().blob(&diff_id)],
        Form::Tree => vec![],
    };
    for path in damaged {
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() / 2;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let found = store.verify(&images, false).unwrap();
        assert_eq!(found.findings.len(), 1, "{path:?}: {found:?}");
        let mended = store.verify(&images, true).unwrap();
        assert!(mended.is_well(), "{mended:?}");
        assert!(store.verify(&images, false).unwrap().findings.is_empty());
    }
    // The layer as it came cannot be made again: the image is absent until it is fetched once more.
    let path = store.layout().blob(&images::Digest::of(&gz));
    std::fs::write(&path, b"damaged").unwrap();
    let found = store.verify(&images, true).unwrap();
    assert!(!found.is_well());
    assert!(store.images().unwrap().is_empty());
    put(&store, "one:1", &[gz]);
    assert!(store.verify(&store.images().unwrap(), false).unwrap().findings.is_empty());
}

#[test]
fn what_somebody_brings_in_is_not_collected() {
    let Some(store) = fresh("keep-lease") else { return };
    let lease = store.lease().unwrap();
    let bytes = layer("coming");
    let descriptor = Descriptor::new(media::OCI_LAYER_GZIP, images::Digest::of(&bytes), bytes.len() as u64);
    let mut writer = store.write_layer(&lease, &descriptor, None).unwrap();
    writer.push(&bytes).unwrap();
    store.again().prune(What::Unused).unwrap();
    let ready = writer.finish().unwrap();
    store.again().prune(What::Unused).unwrap();
    assert!(store.has_blob(&lease, &descriptor.digest).unwrap());
    // The plain archive is named only by the layer: protected as soon as its digest is known.
    lease.protect(&ready.diff_id).unwrap();
    drop(lease);
    store.prune(What::Leftovers).unwrap();
    assert_eq!(store.blob_size(&descriptor.digest).unwrap(), None);
}

#[test]
fn what_somebody_uses_stays_until_that_ends() {
    let Some(store) = fresh("keep-note") else { return };
    let image = put(&store, "one:1", &[layer("used")]);
    let config = store.config(&image).unwrap();
    let lease = store.lease().unwrap();
    lease.protect_all(config.rootfs.diff_ids.iter().chain([&image.manifest, &image.config])).unwrap();
    // All that is asked for here is asked by others.
    let other = store.again();
    other.prune(What::Unused).unwrap();
    assert_eq!(other.images().unwrap().len(), 1);
    let directory = store.layer_directory(&store.layers(&image).unwrap()[0]).unwrap();
    other.remove(&image, false).unwrap();
    other.prune(What::Unused).unwrap();
    assert!(other.images().unwrap().is_empty());
    assert!(directory.exists() && store.ready_layer(&config.rootfs.diff_ids[0]).unwrap().is_some());
    drop(lease);
    other.prune(What::Leftovers).unwrap();
    assert!(store.ready_layer(&config.rootfs.diff_ids[0]).unwrap().is_none());
    assert_eq!(std::fs::read_dir(store.layout().root().join("locks")).unwrap().count(), 0);
}

/// A lease that ends while somebody collects is none, and no failure.
#[test]
fn leases_come_and_go_while_others_collect() {
    let Some(store) = fresh("keep-leases") else { return };
    let image = put(&store, "one:1", &[layer("a")]);
    let going = std::sync::atomic::AtomicBool::new(true);
    let others = [store.again(), store.again(), store.again()];
    std::thread::scope(|scope| {
        for other in &others {
            scope.spawn(|| {
                while going.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(other.lease().unwrap());
                }
            });
        }
        let collected: Vec<_> = (0..200).map(|_| store.prune(What::Leftovers)).collect();
        going.store(false, std::sync::atomic::Ordering::Relaxed);
        collected.into_iter().for_each(|outcome| drop(outcome.unwrap()));
    });
    assert!(store.image(&image.manifest).unwrap().is_some());
}

/// Run as a child: brings images in until it is killed.
#[test]
fn child_that_brings_images_in() {
    let Some(directory) = std::env::var_os("HOLM_TEST_STORE") else { return };
    let store = Store::open(common::options(directory.as_ref(), None)).unwrap();
    for number in 0.. {
        let image =
            put(&store, &format!("app:{}", number % 3), &[layer("base"), layer(&format!("{}", number % 7))]);
        if number % 2 == 1 {
            let _ = store.remove(&image, true);
        }
        if number % 5 == 4 {
            store.prune(What::Nameless).unwrap();
        }
    }
}

#[test]
fn a_killed_process_leaves_each_image_absent_or_whole() {
    let Some(store) = fresh("keep-killed") else { return };
    let program = std::env::current_exe().unwrap();
    for round in 0..12 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(&program)
                    .args(["child_that_brings_images_in", "--exact", "--nocapture"])
                    .env("HOLM_TEST_STORE", store.directory())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        // At another moment every time.
        std::thread::sleep(Duration::from_millis(60 + 37 * round));
        for child in &mut children {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let again = store.again();
        let images = again.images().unwrap();
        let report = again.verify(&images, false).unwrap();
        assert!(report.findings.is_empty(), "round {round}: {report:?}");
        for image in &images {
            again.layers(image).unwrap();
        }
    }
    // Locks of the dead are young: they are swept when they are not any more.
    for entry in std::fs::read_dir(store.layout().root().join("locks")).unwrap().flatten() {
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(entry.path()).unwrap().set_modified(long_ago).unwrap();
    }
    let again = store.again();
    for image in again.images().unwrap() {
        again.remove(&image, true).unwrap();
    }
    again.prune(What::Unused).unwrap();
    for directory in ["blobs/sha256", "layers", "refs", "locks"] {
        let left: Vec<_> =
            std::fs::read_dir(store.layout().root().join(directory)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(store) = fresh("keep-full") else { return };
    let small = store.scratch("small");
    let context = sys::mount::Context::new("tmpfs").unwrap();
    context.set("size", "3m").unwrap();
    let Ok(mount) = context.mount(0) else {
        println!("SKIPPED a_full_disk_loses_nothing: no tmpfs");
        return;
    };
    use std::os::fd::AsFd as _;
    let directory = std::fs::File::open(store.directory()).unwrap();
    sys::mount::attach(mount.as_fd(), directory.as_fd(), "small").unwrap();
    let full = Store::open(common::options(&small, Some(Form::Tree))).unwrap();
    let image = put(&full, "app:1", &[layer("fits")]);
    let mut seed = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(4 << 20)
    .collect();
    let bytes = Tar::of([Entry::file("large", &noise)]);
    let lease = full.lease().unwrap();
    let descriptor = Descriptor::new(media::OCI_LAYER, images::Digest::of(&bytes), bytes.len() as u64);
    let mut writer = full.write_layer(&lease, &descriptor, None).unwrap();
    let error = bytes.chunks(100_000).try_for_each(|piece| writer.push(piece)).unwrap_err();
    let text = report::render(&error);
    assert!(text.contains("ENOSPC") && text.contains("the disk of the image store is full"), "{text}");
    drop(writer);
    drop(lease);
    assert!(full.verify(&[image], false).unwrap().findings.is_empty());
    put(&full, "app:2", &[layer("also fits")]);
    drop(full);
    rustix::mount::unmount(&small, rustix::mount::UnmountFlags::DETACH).unwrap();
}
