//! Signals by name or number: `--stop-signal`.

use spec::Signal;

use super::{Problem, Value};

impl Value for Signal {
    const FORM: &'static str = "a signal's name, with or without SIG, or its number";
    const EXAMPLE: &'static str = "SIGTERM";

    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| "there is no such signal".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn signals_have_names_and_numbers() {
        expect![[r#"
            TERM => Signal(15)
            9 => Signal(9)
            SIGRTMIN+3 => Signal(37)
            0 !! there is no such signal
            65 !! there is no such signal
             !! there is no such signal
            FOO !! there is no such signal
            SIGTERM => Signal(15)
        "#]]
        .assert_eq(&table::<Signal>(&["TERM", "9", "SIGRTMIN+3", "0", "65", "", "FOO"]));
    }
}
