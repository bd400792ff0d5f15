//! An answer as it arrives → status, headers and a bounded body. gzip is unpacked within the same bound, for Go's client
//! unpacks it, too (golang/go `net/http/transport.go`); no other encoding is.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::policy::Proxy;
use crate::registry::http::phase::{self, Phase};
use crate::registry::http::{Hop, errors, host, limit};
use crate::registry::transport::{Method, Request, Response, TransportError};

/// Response headers are refused beyond this count; real registries send about twenty.
pub(super) const MAX_HEADERS: usize = 100;

/// Response headers are refused beyond these bytes, names and values together.
pub(super) const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Of a refusal no more is read: enough for every registry's words.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// What `Content-Encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
    Other,
}

/// Reads the answer that `hop` gave. The body of a refusal is cut at its bound, that of a success is refused beyond it.
///
/// # Errors
/// Cause `limit` over a bound; no cause for an encoding that no runtime unpacks.
pub(super) async fn read(
    mut answer: reqwest::Response,
    request: &Request<'_>,
    hop: Hop,
    proxy: &Proxy,
) -> Result<Response, TransportError> {
    let Hop { url, redirected, left_origin } = hop;
    let too_large = |bytes: usize| limit(format!("{} sent more than {bytes} bytes", host(&url)));
    let status = answer.status().as_u16();
    if header_bytes(answer.headers()) > u64::from(MAX_HEADER_LIST) {
        return Err(limit(format!("{} sent more than {MAX_HEADER_LIST} bytes of headers", host(&url))));
    }
    let headers = answer
        .headers()
        .iter()
        .take(MAX_HEADERS)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let refusal = !answer.status().is_success();
    let mut body = Vec::new();
    let encoding = encoding(answer.headers());
    let nonsense = |detail: String| TransportError { cause: None, detail, go: None };
    if request.method != Method::Head && encoding == Encoding::Other && !refusal {
        return Err(nonsense(format!("{} sent a body in an encoding that it was not asked for", host(&url))));
    }
    phase::reached(Phase::Body);
    if request.method != Method::Head && encoding != Encoding::Other {
        let declared = answer.content_length().unwrap_or(0);
        if declared > request.max_body as u64 && !refusal {
            return Err(too_large(request.max_body));
        }
        let most = if refusal { request.max_body.min(MAX_ERROR_BODY) } else { request.max_body };
        let failed = |error| errors::classify(request.method, &url, proxy, &error);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            let room = most - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                if refusal {
                    break;
                }
                return Err(too_large(most));
            }
        }
        if encoding == Encoding::Gzip {
            body = match (unpacked(&body, most), refusal) {
                (Unpacked::Whole(bytes), _) | (Unpacked::Broken(bytes) | Unpacked::TooLarge(bytes), true) => bytes,
                (Unpacked::TooLarge(_), false) => return Err(too_large(most)),
                (Unpacked::Broken(_), false) => {
                    return Err(nonsense(format!("{} sent a body that is called gzip and is none", host(&url))));
                }
            };
        }
    }
    Ok(Response { status, headers, body, redirected_to: redirected.then_some(url), left_origin })
}

/// What came out of a gzip body; never more than was allowed.
#[derive(Debug, PartialEq, Eq)]
enum Unpacked {
    Whole(Vec<u8>),
    TooLarge(Vec<u8>),
    Broken(Vec<u8>),
}

fn unpacked(packed: &[u8], most: usize) -> Unpacked {
    let mut bytes = Vec::new();
    // What was read before an error stays in the buffer.
    let read = MultiGzDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut bytes);
    let too_large = bytes.len() > most;
    bytes.truncate(most);
    match read {
        _ if too_large => Unpacked::TooLarge(bytes),
        Ok(_) => Unpacked::Whole(bytes),
        Err(_) => Unpacked::Broken(bytes),
    }
}

fn header_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

fn encoding(headers: &HeaderMap) -> Encoding {
    let named = |value: &&[u8]| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
    let mut values = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii()).filter(named);
    match (values.next(), values.next()) {
        (None, _) => Encoding::Plain,
        (Some(only), None) if only.eq_ignore_ascii_case(b"gzip") => Encoding::Gzip,
        _ => Encoding::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use reqwest::header::HeaderValue;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_up_to_the_bound_and_no_further() {
        let text = b"{\"schemaVersion\":2}".repeat(100);
        assert_eq!(unpacked(&packed(&text), text.len()), Unpacked::Whole(text.clone()));
        assert_eq!(unpacked(&packed(&text), 99), Unpacked::TooLarge(text[..99].to_vec()));
        // 10 MiB of one byte are 10 KiB packed.
        let bomb = packed(&vec![b' '; 10 << 20]);
        assert_eq!(unpacked(&bomb, 1 << 20), Unpacked::TooLarge(vec![b' '; 1 << 20]));
        // Several members are one text, as for Go.
        let two = [packed(b"ab"), packed(b"cd")].concat();
        assert_eq!(unpacked(&two, 10), Unpacked::Whole(b"abcd".to_vec()));
    }

    #[test]
    fn what_is_no_gzip_is_broken() {
        let whole = packed(&b"words of a registry ".repeat(50));
        assert_eq!(unpacked(b"<html>", 100), Unpacked::Broken(Vec::new()));
        assert!(matches!(unpacked(&whole[..whole.len() - 9], 10_000), Unpacked::Broken(_)));
        let trailing = [whole.as_slice(), b"more"].concat();
        assert!(matches!(unpacked(&trailing, 10_000), Unpacked::Broken(_)));
    }

    #[test]
    fn only_one_gzip_is_an_encoding_that_is_unpacked() {
        for (values, expected) in [
            (&[][..], Encoding::Plain),
            (&["identity"], Encoding::Plain),
            (&[""], Encoding::Plain),
            (&["GZip"], Encoding::Gzip),
            (&["identity", "gzip"], Encoding::Gzip),
            (&["gzip", "gzip"], Encoding::Other),
            (&["gzip, gzip"], Encoding::Other),
            (&["x-gzip"], Encoding::Other),
            (&["zstd"], Encoding::Other),
            (&["br"], Encoding::Other),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(encoding(&headers), expected, "{values:?}");
        }
    }
}
