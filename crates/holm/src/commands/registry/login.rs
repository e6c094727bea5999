//! `holm login` and `holm logout`.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::ArgMatches;
use images::credentials::{Credential, Secret};
use images::reference::Host;
use images::registry::approved::Approved;
use report::BoxedExplain;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{Connection, boxed, refuse, registry_of, shown};

/// The longest password that is read.
const MAX_PASSWORD: u64 = 64 << 10;

/// Asks the registry, and keeps the credentials if it accepts them.
///
/// # Errors
/// What is wrong with the request, that the registry refuses, or that nothing can be kept.
pub fn login(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let connection = Connection::read(matches)?;
    let host = registry_of(matches, &connection.conf)?;
    let credentials = connection.credentials();
    if matches.get_flag("get-login") {
        return match credentials.get(&host, None).map_err(boxed)? {
            Some(Credential::Password { user, .. }) => {
                engine::run::print(&format!("{user}\n"))?;
                Ok(0)
            }
            Some(_) => {
                engine::run::print("<token>\n")?;
                Ok(0)
            }
            None => refuse(format!("nobody is logged in to {host}"), format!("holm login {host}")),
        };
    }
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let from_stdin = matches.get_flag("password-stdin");
    if from_stdin && given("password").is_some() {
        return refuse("`--password` and `--password-stdin` contradict each other", "give one of them");
    }
    let token_realm = match given("token-realm").map(|text| Host::parse(&text)) {
        Some(Ok(server)) => Some(server),
        Some(Err(problem)) => return refuse(format!("--token-realm: {problem}"), "expected HOST[:PORT]"),
        None => None,
    };
    let user = match given("username") {
        Some(user) => user,
        None if from_stdin => {
            return refuse("`--password-stdin` without `--username`", "give the user with --username");
        }
        None => ask_user(&host)?,
    };
    let password = match given("password") {
        Some(password) => {
            eprintln!(
                "holm: --password can be seen by others in the list of processes; --password-stdin cannot"
            );
            Secret::new(password)
        }
        None if from_stdin => read_password()?,
        None => ask_password(&user)?,
    };
    if user.contains(':') || user.chars().any(char::is_control) {
        return refuse("a user cannot have a colon or control characters in its name", "");
    }
    let credential = Credential::Password { user, password };
    let insecure = connection.conf.insecure(&host, connection.verify);
    let client = connection.client_as(&host, credential.clone(), token_realm.as_ref()).map_err(boxed)?;
    client.login(&host, insecure).map_err(boxed)?;
    if let Some(server) = &token_realm {
        let path = Approved::keep(&host, server).map_err(boxed)?;
        eprintln!("holm: {server} may have credentials for {host}: {}", shown(&path));
    }
    let place = credentials.keep(&host, &credential).map_err(boxed)?;
    eprintln!("holm: logged in to {host}; the credentials are in {place}");
    Ok(0)
}

/// Forgets credentials.
///
/// # Errors
/// A file or a helper that cannot be changed.
pub fn logout(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let connection = Connection::read(matches)?;
    let credentials = connection.credentials();
    let hosts = match matches.get_flag("all") {
        true if matches.get_one::<String>("registry").is_some() => {
            return refuse("`--all` and a registry contradict each other", "give one of them");
        }
        true => credentials.hosts().map_err(boxed)?,
        false => vec![registry_of(matches, &connection.conf)?],
    };
    let mut forgotten = 0;
    for host in &hosts {
        for place in credentials.forget(host).map_err(boxed)? {
            eprintln!("holm: {host} is forgotten in {place}");
            forgotten += 1;
        }
    }
    if forgotten == 0 && !matches.get_flag("all") {
        eprintln!("holm: nobody was logged in to {}", hosts[0]);
    }
    Ok(0)
}

fn ask_user(host: &Host) -> Result<String, BoxedExplain> {
    if !io::stdin().is_terminal() {
        return refuse("there is no terminal to ask for a user on", "give --username and --password-stdin");
    }
    eprint!("User for {host}: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().lock().take(4096).read_line(&mut line);
    match read.map(|_| line.trim().to_owned()) {
        Ok(user) if !user.is_empty() => Ok(user),
        _ => refuse("no user was given", ""),
    }
}

/// Asks for a password on the terminal, which does not show it meanwhile.
pub(super) fn ask_password(user: &str) -> Result<Secret, BoxedExplain> {
    let stdin = io::stdin();
    let Ok(before) = tcgetattr(&stdin) else {
        return refuse("there is no terminal to ask for a password on", "give --password-stdin");
    };
    eprint!("Password of {user}: ");
    let _ = io::stderr().flush();
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    let mut line = String::new();
    let read = stdin.lock().take(MAX_PASSWORD).read_line(&mut line);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
    eprintln!();
    match read {
        Ok(_) if !line.trim_end_matches(['\n', '\r']).is_empty() => {
            Ok(Secret::new(line.trim_end_matches(['\n', '\r'])))
        }
        _ => refuse("no password was given", ""),
    }
}

fn read_password() -> Result<Secret, BoxedExplain> {
    let mut text = String::new();
    if io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text).is_err() {
        return refuse("the password on the standard input is not text", "");
    }
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return refuse(
            "there is no password on the standard input",
            "holm login --password-stdin <password.txt",
        );
    }
    Ok(Secret::new(password))
}
