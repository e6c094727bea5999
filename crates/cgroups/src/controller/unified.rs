//! Raw files of cgroup v2, as the OCI field `unified` names them.

use crate::error::{Refused, Why};
use crate::layout::{Controller, Layout, Version};
use crate::write::Write;

/// What to write, by the controller that the file's name begins with.
///
/// # Errors
/// A name that is no file of a v2 group, a file that moves or kills processes, a controller that v2 does not
/// have here.
pub(super) fn writes(
    layout: &Layout,
    files: &[(String, String)],
) -> Result<Vec<(Controller, Vec<Write>)>, Refused> {
    files
        .iter()
        .map(|(file, value)| {
            let limit = format!("unified.{}", file.escape_debug());
            let controller = controller_of(file).ok_or_else(|| {
                Refused::value(&limit, "this is not a file that limits something in a cgroup v2 group")
            })?;
            let served = layout.serving(controller).filter(|hierarchy| hierarchy.version == Version::V2);
            if served.is_none() {
                let why = match layout.serving(controller) {
                    Some(_) => Why::OnlyV2(controller),
                    None => Why::NoController(controller),
                };
                return Err(Refused::new(limit, why));
            }
            let lines = value.lines().filter(|line| !line.trim().is_empty());
            Ok((controller, lines.map(|line| Write::new(file.clone(), line)).collect()))
        })
        .collect()
}

/// `memory.high` belongs to memory. Of the files of the core, those that limit are allowed; they count to the
/// freezer, which every v2 group has.
fn controller_of(file: &str) -> Option<Controller> {
    if file.contains(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return None;
    }
    match file {
        "cgroup.max.depth" | "cgroup.max.descendants" | "cgroup.pressure" | "cgroup.type" => {
            Some(Controller::Freezer)
        }
        _ => {
            let (prefix, rest) = file.split_once('.')?;
            let controller = Controller::from_name(prefix.as_bytes())?;
            (!rest.is_empty() && prefix == controller.name()).then_some(controller)
        }
    }
}
