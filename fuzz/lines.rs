//! A mutator for text of lines: it takes lines away, repeats and exchanges them, puts lines of a `hosts.toml` in and
//! changes what is quoted, so that most of what it makes is still TOML. Every third time bytes are changed instead.

/// Lines with a meaning.
const LINES: &[&str] = &[
    "server = 'https://registry.corp.io'",
    "server = 'http://x.io:5000/v2/proxy'",
    "[host.'https://mirror.corp.io']",
    "[host.\"http://10.0.0.5:5000\"]",
    "[host.'a.io']",
    "[host.'a.io'.header]",
    "capabilities = ['pull', 'resolve']",
    "capabilities = ['pull']",
    "skip_verify = true",
    "override_path = true",
    "ca = ['a.pem', '/etc/b.pem']",
    "client = [['c.pem', 'k.pem'], 'both.pem']",
    "dial_timeout = '1m30.5s'",
    "x-token = ['hunter2-Kq7vXw3z']",
    "authorization = 'Basic hunter2-Kq7vXw3z'",
    "# nothing",
];

/// Parts of a URL.
const PARTS: &[&str] = &[
    "https://", "http://", "u:hunter2-Kq7vXw3z@", "registry.corp.io", "[::1]", "[fe80::1%25eth0]", ":5000", ":", "/v2", "/..", "//",
    "?q", "#f", "%25", "%c3%a9", "é", "0x7f.1", "localhost", "*", "<", ";", "&", "HTTPS://", ".", "\\",
];

/// Changes the first `size` bytes of `data`; the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut state = u64::from(seed) << 16 | 0x9e37;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 11).unwrap_or_default() % sides.max(1)
    };
    let Ok(text) = std::str::from_utf8(&data[..size]) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    if roll(3) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for _ in 0..=roll(3) {
        let (at, other) = (roll(lines.len()), roll(lines.len()));
        match roll(6) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 | 3 => lines.insert(at, LINES[roll(LINES.len())].to_owned()),
            _ => {
                let line = &mut lines[at];
                let open = line.find(['\'', '"']).map_or(0, |quote| quote + 1);
                let close = line.rfind(['\'', '"']).filter(|close| *close >= open).unwrap_or(line.len());
                let place = line.floor_char_boundary(open + roll(close - open + 1));
                let end = line.floor_char_boundary((place + roll(6)).min(close)).max(place);
                line.replace_range(place..end, if roll(4) == 0 { "" } else { PARTS[roll(PARTS.len())] });
            }
        }
    }
    let text = lines.join("\n");
    if text.len() > max_size {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}
