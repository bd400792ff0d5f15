//! How a request came in → whether it is from an API server of this cluster. Who is not known is told the verdict and nothing
//! else: the port must not answer for other tenants' images and Secrets.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};

/// By what API servers are known. Nothing given: everybody is one.
#[derive(Default)]
pub struct Callers {
    told_apart: AtomicBool,
    segments: RwLock<Segments>,
}

/// The path segment in use, and the one before: API servers learn of a new one by and by.
#[derive(Default)]
struct Segments {
    current: Option<SecretString>,
    previous: Option<SecretString>,
}

// === impl Callers ===

impl Callers {
    /// From now on only who proves it is known.
    pub fn tell_apart(&self) {
        self.told_apart.store(true, Ordering::Relaxed);
    }

    /// Whether not everybody is known.
    pub fn are_told_apart(&self) -> bool {
        self.told_apart.load(Ordering::Relaxed)
    }

    /// Takes the segment in use; says whether it is a new one.
    pub fn take(&self, segment: SecretString) -> bool {
        self.tell_apart();
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if segments.current.as_ref().is_some_and(|current| current.expose_secret() == segment.expose_secret()) {
            return false;
        }
        segments.previous = segments.current.replace(segment);
        true
    }

    /// Whether who showed a good client certificate or not, and called with this rest of the path, is known.
    pub fn know(&self, authenticated: bool, rest: Option<&str>) -> bool {
        if authenticated || !self.are_told_apart() {
            return true;
        }
        let Some(rest) = rest else { return false };
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let is = |segment: &Option<SecretString>| {
            let segment = segment.as_ref().map(|segment| segment.expose_secret().as_bytes());
            segment.is_some_and(|segment| verify_slices_are_equal(segment, rest.as_bytes()).is_ok())
        };
        is(&segments.current) || is(&segments.previous)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("told_apart", &self.are_told_apart()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_by_certificate_or_by_one_of_two_segments() {
        let callers = Callers::default();
        assert!(callers.know(false, None) && callers.know(false, Some("anything")), "nothing is asked for");
        callers.tell_apart();
        assert!(callers.know(true, None) && !callers.know(false, None) && !callers.know(false, Some("")));
        for (taken, new, known, unknown) in [
            ("first", true, &["first"][..], &["", "firs", "first/", "second"][..]),
            ("first", false, &["first"], &["second"]),
            ("second", true, &["first", "second"], &["third"]),
            ("third", true, &["second", "third"], &["first"]),
        ] {
            assert_eq!(callers.take(taken.into()), new, "{taken}");
            assert!(known.iter().all(|rest| callers.know(false, Some(rest))), "{taken}: {known:?}");
            assert!(unknown.iter().all(|rest| !callers.know(false, Some(rest))), "{taken}: {unknown:?}");
            assert!(!callers.know(false, None) && callers.know(true, Some("third")));
        }
        assert!(!format!("{callers:?}").contains("third"));
    }
}
