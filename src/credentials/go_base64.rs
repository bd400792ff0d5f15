//! Base64 as Go's `encoding/base64` decodes it, down to the offset in the error, because a node shows that error.

/// The padded or the unpadded standard alphabet. CR and LF are skipped; bits left over may be anything.
///
/// # Errors
/// The offset at which Go gives up.
pub(crate) fn decode(text: &[u8], padded: bool) -> Result<Vec<u8>, usize> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut quantum = [0_u8; 4];
    let mut filled = 0;
    let mut rest = text.iter().copied().enumerate();
    for (at, byte) in rest.by_ref() {
        if let Some(value) = value(byte) {
            if let Some(slot) = quantum.get_mut(filled) {
                *slot = value;
            }
            filled += 1;
            if filled == 4 {
                push(&mut decoded, quantum, 3);
                filled = 0;
            }
        } else if matches!(byte, b'\n' | b'\r') {
            // skipped
        } else if padded && byte == b'=' {
            let mut rest = rest.filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'));
            match filled {
                0 | 1 => return Err(at),
                2 => match rest.next() {
                    None => return Err(text.len()),
                    Some((_, b'=')) => {}
                    // Go reports the byte before the one that it did not expect.
                    Some((next, _)) => return Err(next - 1),
                },
                _ => {}
            }
            if let Some((trailing, _)) = rest.next() {
                return Err(trailing);
            }
            push(&mut decoded, quantum, filled - 1);
            return Ok(decoded);
        } else {
            return Err(at);
        }
    }
    match filled {
        0 => Ok(decoded),
        // Go subtracts the symbols of the last quantum from the length, whether or not they are adjacent.
        1 => Err(text.len() - 1),
        _ if padded => Err(text.len() - filled),
        _ => {
            push(&mut decoded, quantum, filled - 1);
            Ok(decoded)
        }
    }
}

fn push(decoded: &mut Vec<u8>, [a, b, c, d]: [u8; 4], count: usize) {
    let bytes = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    decoded.extend(bytes.iter().take(count));
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_accepts_is_decoded() {
        let table: [(&str, bool, &[u8]); 9] = [
            ("", true, b""),
            ("dTpw", true, b"u:p"),
            ("dTpw", false, b"u:p"),
            ("dTpw\nCg==", true, b"u:p\n"),
            ("dT\r\npwCg=\n=\n", true, b"u:p\n"),
            ("dTpwCg", false, b"u:p\n"),
            ("dTpwCh", false, b"u:p\n"),
            ("dTpwCh==", true, b"u:p\n"),
            ("+/+/", true, &[0xfb, 0xff, 0xbf]),
        ];
        for (text, padded, expected) in table {
            assert_eq!(decode(text.as_bytes(), padded).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn errors_carry_gos_offset() {
        // Offsets printed by encoding/base64 of Go 1.26.
        let table = [
            ("dTpw ", true, 4),
            ("dTpw ", false, 4),
            ("dTp-", true, 3),
            ("dTpwC", true, 4),
            ("dTpwC", false, 4),
            ("dTpwCg", true, 4),
            ("dTpwCg=", true, 7),
            ("dTpwCg=", false, 6),
            ("dTpwCg=x", true, 6),
            ("dTpwCg=\nx", true, 7),
            ("dTpwCg==x", true, 8),
            ("=", true, 0),
            ("d===", true, 1),
            ("dTpw\nC\n", true, 6),
        ];
        for (text, padded, expected) in table {
            assert_eq!(decode(text.as_bytes(), padded), Err(expected), "{text:?}");
        }
    }
}
