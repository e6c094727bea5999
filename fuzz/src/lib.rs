//! What several fuzz targets share. The targets themselves are in `targets`.

use engine::flags::{self, Value, Visitor};

/// Reads `text` as the value of every flag there is.
pub fn every_flag(text: &str) {
    struct Read<'a>(&'a str);
    impl Visitor for Read<'_> {
        fn visit<T: Value>(&mut self) {
            let _ = T::parse(self.0);
        }
    }
    flags::visit_all(&mut Read(text));
    let _ = flags::parse_bool(text);
}
