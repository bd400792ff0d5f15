//! A report → `JUnit` XML: a suite an object, a case an image. A certain finding is a failure, an uncertain one an error.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::Report;

// === impl Report ===

impl Report {
    /// The XML; one document.
    pub fn junit(&self) -> String {
        let mut report = quick_junit::Report::new("pullgate");
        for result in &self.results {
            let mut suite = TestSuite::new(result.object.title());
            for image in &result.images {
                let found = result.findings.iter().find(|finding| finding.path == image.path);
                let status = found.map_or_else(TestCaseStatus::success, |finding| {
                    let kind = if finding.certain { NonSuccessKind::Failure } else { NonSuccessKind::Error };
                    let mut status = TestCaseStatus::non_success(kind);
                    status.set_type(finding.code).set_message(&*finding.message).set_description(&*finding.fix);
                    status
                });
                let mut case = TestCase::new(format!("{} {}", image.path, image.image), status);
                if let Some(file) = &result.file {
                    case.extra.insert("file".into(), (&**file).into());
                }
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        // Text without control characters in memory: writing it cannot fail.
        report.to_string().unwrap_or_default()
    }
}
