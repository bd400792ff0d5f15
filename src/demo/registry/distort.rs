//! The true answer and a rule in, what really leaves out.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::contents::sha256;
use super::faults::{Answer, Behaviour, Close};
use super::listener::Wire;
use super::path::Asked;

/// The value of each header of a flood.
const FILL: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// A flood ends here: the header map holds no more than 32,768 names.
const FLOOD_LIMIT: u16 = 30_000;
const SPACES: &[u8] = &[b' '; 16 * 1024];

/// What a response carries; an error in it breaks the connection.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Applies a rule to the true answer.
pub(super) async fn distort(
    behaviour: Behaviour,
    truth: Answer,
    asked: &Asked,
    wire: &Wire,
) -> io::Result<Response<Body>> {
    let head = asked.method == Method::HEAD;
    Ok(match behaviour {
        Behaviour::Answer(answer) => plain(&answer),
        Behaviour::Head405 if head => plain(&Answer::envelope(405, "UNSUPPORTED", "the operation is unsupported")),
        Behaviour::Honest | Behaviour::Head405 => plain(&truth),
        Behaviour::ExtraHeaders(headers) => {
            plain(&headers.iter().fold(truth, |answer, (name, value)| answer.header(name, value)))
        }
        Behaviour::NoDigestHeader => plain(&with_digest(truth, None)),
        Behaviour::WrongDigestHeader => plain(&with_digest(truth, Some(&sha256(b"something else")))),
        Behaviour::InvalidDigestHeader => plain(&with_digest(truth, Some("sha256:../../etc/passwd"))),
        Behaviour::WrongBody => plain(&Answer {
            // As many bytes as before, so that only a hash can tell.
            body: truth.body.iter().map(|byte| if *byte == b'1' { b'2' } else { *byte }).collect(),
            ..truth
        }),
        Behaviour::MissingLength => {
            let chunk = Frame::data(truth.body.clone());
            response(&truth, StreamBody::new(stream::iter([Ok(chunk)])).boxed_unsync())
        }
        Behaviour::AcceptSensitive => {
            let stored = truth.headers.iter().find(|(name, _)| name == "Content-Type");
            match stored {
                Some((_, media_type)) if !asked.accept.contains(media_type.as_str()) => {
                    let message = "manifest unknown; Accept does not support the stored media type";
                    plain(&Answer::envelope(404, "MANIFEST_UNKNOWN", message))
                }
                _ => plain(&truth),
            }
        }
        Behaviour::Slow(delay) => {
            tokio::time::sleep(delay).await;
            plain(&truth)
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip(interval) => {
            wire.pace(interval);
            plain(&truth)
        }
        Behaviour::Close(Close::BeforeAnswer) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Behaviour::Close(Close::InBody) if !head => cut(&truth),
        Behaviour::Close(Close::InHead | Close::InBody) => {
            wire.cut_after(b"HTTP/1.1 2".len() as u64);
            plain(&truth)
        }
        Behaviour::Redirect { status, location } => {
            plain(&Answer::status(status).header("Location", &location.replace("{path}", &asked.target)))
        }
        Behaviour::HugeBody { declared, bytes } => huge(declared, bytes),
        Behaviour::HeaderFlood(count) => {
            let mut response = plain(&truth);
            for number in 0..count.min(FLOOD_LIMIT) {
                let name = HeaderName::from_bytes(format!("x-flood-{number}").as_bytes()).map_err(io::Error::other)?;
                response.headers_mut().insert(name, HeaderValue::from_static(FILL));
            }
            response
        }
    })
}

fn with_digest(mut answer: Answer, digest: Option<&str>) -> Answer {
    answer.headers.retain(|(name, _)| name != "Docker-Content-Digest");
    match digest {
        Some(digest) => answer.header("Docker-Content-Digest", digest),
        None => answer,
    }
}

/// Half a body under the length of a whole one, then the end of the connection.
fn cut(answer: &Answer) -> Response<Body> {
    let half = Frame::data(answer.body.slice(..answer.body.len() / 2));
    let end = stream::once(async {
        // Gives the first half time to leave, which a breaking connection would take back.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let body = StreamBody::new(stream::iter([Ok(half)]).chain(end)).boxed_unsync();
    with_length(response(answer, body), answer.body.len() as u64)
}

fn huge(declared: bool, bytes: u64) -> Response<Body> {
    let chunks = stream::unfold(bytes, |left| async move {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(SPACES.len());
        let chunk = Frame::data(Bytes::from_static(&SPACES[..length]));
        (length > 0).then(|| (Ok(chunk), left - length as u64))
    });
    let head = Answer::status(200).header("Content-Type", "application/json");
    let response = response(&head, StreamBody::new(chunks).boxed_unsync());
    if declared { with_length(response, bytes) } else { response }
}

/// An answer with its true length, which HEAD shows as well.
pub(super) fn plain(answer: &Answer) -> Response<Body> {
    let length = answer.body.len() as u64;
    let body = Full::new(answer.body.clone()).map_err(|never| match never {}).boxed_unsync();
    with_length(response(answer, body), length)
}

fn response(answer: &Answer, body: Body) -> Response<Body> {
    let mut headers = HeaderMap::new();
    if answer.signed {
        headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    }
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

fn with_length(mut response: Response<Body>, length: u64) -> Response<Body> {
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, length.into());
    response
}
