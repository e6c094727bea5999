//! Asking a container for its health: the program that its monitor executes for that.

use std::time::Duration;

use runtime::Stdio;

use super::exec::{ExecRequest, prepare};
use super::find;
use super::home::Places;
use super::stop::has_ended;
use crate::host::Caller;

/// Runs the check inside, and returns its status; [`monitor::health::TOO_LONG`] when it took too long.
pub fn check(id: &str, timeout_ms: u64) -> u8 {
    let _ = sys::signal::set_blocked(sys::signal::SignalSet(0));
    let places = Places::of(&Caller::read());
    // What it writes to either stream is the answer.
    let _ = rustix::stdio::dup2_stderr(std::io::stdout());
    let outcome = find::one(&places, id).and_then(|home| {
        let definition = home.definition().map_err(crate::host::boxed)?;
        let command = definition.health.map(|health| health.command).unwrap_or_default();
        let request = ExecRequest { args: command, ..ExecRequest::default() };
        let entered = prepare(&places, &home, &request, Stdio::Inherit, &mut |_| ())?.start()?;
        if !has_ended(entered.pidfd(), Some(Duration::from_millis(timeout_ms))) {
            let _ = entered.signal(rustix::process::Signal::KILL);
            println!("the check took longer than {timeout_ms} ms");
            return Ok(monitor::health::TOO_LONG as u8);
        }
        Ok(entered.wait().map_err(crate::host::boxed)?.status() as u8)
    });
    match outcome {
        Ok(status) => status,
        Err(error) => {
            println!("{}", report::one_line(&*error));
            1
        }
    }
}

/// Does what is to be done about bad health.
pub fn act(word: &str, id: &str) -> u8 {
    let _ = sys::signal::set_blocked(sys::signal::SignalSet(0));
    let _ = rustix::process::setsid();
    let places = Places::of(&Caller::read());
    let outcome = find::one(&places, id).and_then(|home| {
        super::stop::stop(&places, &home, None, None)?;
        match word {
            "restart" => super::start::start(&places, &home, None).map(drop),
            _ => Ok(()),
        }
    });
    u8::from(outcome.is_err())
}
