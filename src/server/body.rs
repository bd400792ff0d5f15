//! A request's body → its bytes, within a size, a time, and a share of the memory that all bodies have together.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// An API server's request is at most 3 MiB; a review of an update holds the object twice, as JSON.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// All bodies together.
const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// All bodies of callers that are not known: they take none of what API servers need.
const MAX_STRANGERS_BYTES: usize = 16 * 1024 * 1024;

/// What a declared length may make us set aside before a byte has come.
const MAX_RESERVE_BYTES: usize = 256 * 1024;

/// The memory that the bodies of all requests share. Clones share it too.
#[derive(Clone, Debug)]
pub struct InFlight {
    budget: Arc<Semaphore>,
    max_body_bytes: usize,
}

/// A whole body; its share of the memory is given back when this is dropped.
#[derive(Debug)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// The share.
    pub permit: OwnedSemaphorePermit,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than one body may have.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// What one body may have.
        limit: usize,
    },
    /// The bodies of other requests take all the memory there is for them.
    #[error("too many requests at once: their bodies fill the memory set aside for them")]
    Overloaded,
    /// The client was too slow.
    #[error("the request's body did not end in time")]
    Timeout,
    /// The connection broke, or the body is not what its headers say.
    #[error("the request's body broke off")]
    Broken,
}

/// Reads a body. Memory is taken as bytes arrive, not as they are announced: who announces much and sends nothing takes
/// nothing. When there is none left, the answer is [`BodyError::Overloaded`] at once.
pub async fn read(
    body: axum::body::Body,
    headers: &HeaderMap,
    in_flight: &InFlight,
    time: Duration,
) -> Result<Body, BodyError> {
    let announced = announced_length(headers);
    let permit = in_flight.take(0)?;
    if announced.is_some_and(|length| length > in_flight.max_body_bytes) {
        return Err(in_flight.too_large());
    }
    timeout(time, collect(body, announced, in_flight, permit)).await.map_err(|_| BodyError::Timeout)?
}

async fn collect(
    mut body: axum::body::Body,
    announced: Option<usize>,
    in_flight: &InFlight,
    mut permit: OwnedSemaphorePermit,
) -> Result<Body, BodyError> {
    // A review mostly comes in one piece, which is then not copied.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if piece.len() > in_flight.max_body_bytes - permit.num_permits() {
            return Err(in_flight.too_large());
        }
        permit.merge(in_flight.take(piece.len())?);
        if first.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(announced.unwrap_or_default().min(MAX_RESERVE_BYTES));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&piece);
    }
    Ok(Body { bytes: if rest.is_empty() { first } else { rest.freeze() }, permit })
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

// === impl InFlight ===

impl InFlight {
    /// Limits in bytes: for all bodies together, and for each.
    pub fn new(max_total_bytes: usize, max_body_bytes: usize) -> Self {
        let budget = Arc::new(Semaphore::new(max_total_bytes.min(Semaphore::MAX_PERMITS)));
        Self { budget, max_body_bytes }
    }

    /// For callers that are not known: 16 MiB together, 8 MiB each.
    pub fn of_strangers() -> Self {
        Self::new(MAX_STRANGERS_BYTES, MAX_BODY_BYTES)
    }

    /// Bytes that are not taken.
    pub fn available(&self) -> usize {
        self.budget.available_permits()
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let permits = u32::try_from(bytes).map_err(|_| self.too_large())?;
        Arc::clone(&self.budget).try_acquire_many_owned(permits).map_err(|_| BodyError::Overloaded)
    }

    fn too_large(&self) -> BodyError {
        BodyError::TooLarge { limit: self.max_body_bytes }
    }
}

/// 64 MiB together, 8 MiB each.
impl Default for InFlight {
    fn default() -> Self {
        Self::new(MAX_TOTAL_BYTES, MAX_BODY_BYTES)
    }
}

// === impl BodyError ===

impl BodyError {
    /// The status that says this in HTTP.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    fn pieces(pieces: &'static [&'static str]) -> axum::body::Body {
        axum::body::Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(*piece))))
    }

    async fn read_with(in_flight: &InFlight, body: axum::body::Body) -> Result<Body, BodyError> {
        read(body, &HeaderMap::new(), in_flight, SOON).await
    }

    #[tokio::test]
    async fn a_body_is_whole_in_one_piece_or_in_many() {
        let in_flight = InFlight::new(100, 10);
        for (given, expected) in
            [(&["0123456789"][..], "0123456789"), (&["01", "", "234", "56789"], "0123456789"), (&[], "")]
        {
            let body = read_with(&in_flight, pieces(given)).await.unwrap();
            assert_eq!(body.bytes, expected);
            assert_eq!(in_flight.available(), 100 - expected.len());
        }
        assert_eq!(in_flight.available(), 100);
    }

    #[tokio::test]
    async fn a_body_too_large_is_refused_whether_announced_or_not() {
        let in_flight = InFlight::new(100, 10);
        let too_large = Err(BodyError::TooLarge { limit: 10 });
        assert_eq!(read_with(&in_flight, pieces(&["0123456789", "a"])).await.map(|_| ()), too_large);
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, 11.into())]);
        let never = axum::body::Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(read(never, &announced, &in_flight, SOON).await.map(|_| ()), too_large);
        assert_eq!(in_flight.available(), 100);
    }

    #[tokio::test]
    async fn when_the_memory_is_taken_the_next_body_is_refused_at_once_and_the_one_after_is_not() {
        let in_flight = InFlight::new(15, 10);
        let held = read_with(&in_flight, pieces(&["0123456789"])).await.unwrap();
        let refused = read_with(&in_flight, pieces(&["01234", "5"])).await.map(|_| ());
        assert_eq!(refused, Err(BodyError::Overloaded));
        drop(held);
        assert!(read_with(&in_flight, pieces(&["01234", "5"])).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_breaks_is_given_up() {
        let in_flight = InFlight::default();
        let stalls = axum::body::Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(read_with(&in_flight, stalls).await.map(|_| ()), Err(BodyError::Timeout));
        let breaks = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]);
        let breaks = axum::body::Body::from_stream(breaks);
        assert_eq!(read_with(&in_flight, breaks).await.map(|_| ()), Err(BodyError::Broken));
        assert_eq!(in_flight.available(), 64 * 1024 * 1024);
    }
}
