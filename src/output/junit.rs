//! A report → `JUnit` XML: a suite an object, a case an image. A certain finding is a failure, an uncertain one an error.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Answer, Report, ResultEntry};

// === impl Report ===

impl Report {
    /// The XML; one document.
    pub fn junit(&self) -> String {
        let mut report = quick_junit::Report::new("pullgate");
        for result in &self.results {
            let path = result.input.path(&self.directory);
            let mut suite = TestSuite::new(result.object.title());
            for image in &result.images {
                let mut case = TestCase::new(format!("{} {}", image.path, image.image), status(result, image.answer));
                if let Some(path) = &path {
                    case.extra.insert("file".into(), path.as_str().into());
                    if let Some(line) = image.place.line() {
                        case.extra.insert("line".into(), line.to_string().into());
                    }
                }
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        // Text without control characters in memory: writing it cannot fail.
        report.to_string().unwrap_or_default()
    }
}

fn status(result: &ResultEntry, answer: Answer) -> TestCaseStatus {
    let Answer::Finding(index) = answer else { return TestCaseStatus::success() };
    let finding = &result.findings[index];
    let kind = if finding.certain { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(finding.code).set_message(&*finding.message).set_description(&*finding.fix);
    status
}
