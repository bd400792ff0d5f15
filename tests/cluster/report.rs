//! One line per case, and at the end what kubectl printed for a few of them.

use crate::Failure;
use crate::kubectl::Said;

/// What passed, what failed, what is worth showing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    shown: Vec<(String, String)>,
}

// === impl Report ===

impl Report {
    /// Runs one case and prints its line; a case gives a remark or fails.
    pub(crate) fn case(&mut self, name: &str, run: impl FnOnce(&mut Shown) -> Result<String, Failure>) {
        let mut shown = Shown::default();
        match run(&mut shown) {
            Ok(remark) => {
                self.passed += 1;
                println!("ok    {name:<68} {}", remark.trim_end());
            }
            Err(failure) => {
                self.failed += 1;
                println!("FAIL  {name}\n      {}", failure.to_string().trim_end().replace('\n', "\n      "));
            }
        }
        self.shown.extend(shown.0.map(|text| (name.to_owned(), text)));
    }

    /// Prints what was kept for showing.
    pub(crate) fn print_shown(&self) {
        println!("\nwhat kubectl printed for {} of them", self.shown.len());
        for (name, text) in &self.shown {
            println!("\n-- {name}\n{}", text.trim_end());
        }
    }
}

/// A place for what a case wants to show.
#[derive(Debug, Default)]
pub(crate) struct Shown(Option<String>);

// === impl Shown ===

impl Shown {
    /// Shows what a command printed.
    pub(crate) fn show(&mut self, said: &Said) {
        self.0 = Some(said.transcript());
    }
}

/// Fails with `why` unless `holds`.
pub(crate) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(why().into()) }
}
