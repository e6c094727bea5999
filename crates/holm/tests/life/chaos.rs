//! Many commands at once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::crash::Dice;
use super::house::House;

/// What a container is according to the commands that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Absent,
    Created,
    Running,
    Exited,
}

/// How long: a moment in the suite; `HOLM_CHAOS_SECONDS` for more.
fn length() -> Duration {
    let seconds = std::env::var("HOLM_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(12))
}

#[test]
fn eight_clients_and_fifty_containers_are_as_the_model_says() {
    let Some(house) = House::new("eight_clients_and_fifty_containers_are_as_the_model_says") else { return };
    // One command at a time for each container, eight at a time for all: then every outcome is known beforehand.
    let models: Vec<Mutex<Model>> = (0..50).map(|_| Mutex::new(Model::Absent)).collect();
    let until = Instant::now() + length();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (house, models) = (&house, &models);
            scope.spawn(move || {
                let mut dice = Dice(client);
                while Instant::now() < until {
                    let number = dice.below(models.len() as u64) as usize;
                    let mut model = models[number].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    *model = step(house, &format!("m{number}x"), *model, dice.below(7));
                }
            });
        }
    });
    for (number, model) in models.iter().enumerate() {
        let model = *model.lock().unwrap();
        assert_eq!(seen(&house, &format!("m{number}x")), model, "m{number}x at the end");
    }
    house.prints(&["rm", "--force", "--all"]);
    house.is_empty();
}

fn seen(house: &House, name: &str) -> Model {
    let output = house.holm(&["inspect", "--format", "{{.State.Status}}", name]);
    match (output.status.success(), String::from_utf8_lossy(&output.stdout).trim()) {
        (false, _) => Model::Absent,
        (true, "created") => Model::Created,
        (true, "running") => Model::Running,
        (true, "exited") => Model::Exited,
        (true, other) => panic!("{name} is {other}"),
    }
}

/// Does something to a container that is as `model` says; returns what it is then.
fn step(house: &House, name: &str, model: Model, what: u64) -> Model {
    let try_to = |args: &[&str], works: bool| {
        let output = house.holm(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), works, "{args:?} of {name}, which is {model:?}: {said}");
    };
    let there = model != Model::Absent;
    match what {
        0 => {
            try_to(&["create", "--rootfs", "/", "--name", name, "--", "sleep", "1000"], !there);
            if there { model } else { Model::Created }
        }
        1 => {
            try_to(&["start", name], there);
            if there { Model::Running } else { model }
        }
        2 => {
            try_to(&["stop", "-t", "0", name], there);
            if model == Model::Running { Model::Exited } else { model }
        }
        3 => {
            try_to(&["rm", name], there && model != Model::Running);
            if model == Model::Running { model } else { Model::Absent }
        }
        4 => {
            try_to(&["exec", name, "true"], model == Model::Running);
            model
        }
        5 => {
            try_to(&["rm", "--force", name], true);
            Model::Absent
        }
        _ => {
            assert_eq!(seen(house, name), model, "{name}");
            model
        }
    }
}

#[test]
fn commands_that_collide_fail_cleanly() {
    let Some(house) = House::new("commands_that_collide_fail_cleanly") else { return };
    let until = Instant::now() + length() / 3;
    std::thread::scope(|scope| {
        for client in 0..6 {
            let house = &house;
            scope.spawn(move || {
                let mut dice = Dice(100 + client);
                while Instant::now() < until {
                    let name = format!("s{}", dice.below(2));
                    let args: &[&str] = match dice.below(6) {
                        0 | 1 => &["run", "-d", "--rootfs", "/", "--name", &name, "--", "sleep", "1000"],
                        2 => &["start", &name],
                        3 => &["kill", &name],
                        4 => &["rm", "-f", &name],
                        _ => &["exec", &name, "true"],
                    };
                    let output = house.holm(args);
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(!said.contains("panicked"), "{args:?}: {said}");
                }
            });
        }
    });
    house.prints(&["rm", "--force", "--all"]);
    house.is_empty();
}
