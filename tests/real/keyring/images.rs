//! Image references from the grammar of a reference, with every limit of it in reach, and then bent a little.

use super::random::Random;

/// First segments, those first that decide something by themselves.
const HOSTS: [&str; 26] = [
    "docker.io",
    "index.docker.io",
    "localhost",
    "registry-1.docker.io",
    "DOCKER.IO",
    "LOCALHOST",
    "localhosts",
    "Foo",
    "M",
    "a.io",
    "A.io",
    "reg.example.com",
    "us.gcr.io",
    "quay.io",
    "123.dkr.ecr.us-east-1.amazonaws.com",
    "my_host.com",
    "My_host.com",
    "my__host",
    "my-host",
    "-a.io",
    "a..io",
    "a.io.",
    "127.0.0.1",
    "[::1]",
    "[FE80::1]",
    "[fe80::1%25eth0]",
];
const PORTS: [&str; 8] = [":5000", ":443", ":80", ":0", ":99999999", ":", ":x", ":1:2"];
const SEPARATORS: [&str; 10] = [".", "_", "__", "-", "--", "----", "___", "..", "._", ".-"];
const TAGS: [&str; 12] = ["latest", "1", "v1.2.3", "_", "BAR", "1-alpine", "a_b.c-d", "", "-x", ".x", "a+b", "a b"];
const ALGORITHMS: [&str; 10] =
    ["sha256", "sha512", "sha384", "sha1", "md5", "SHA256", "sha256+b64", "a.b", "sha3-256", "1sha"];
/// What may stand where it should not: separators, white space, controls, letters with and without case.
const CHARACTERS: &str = "/:@.-_[]%AZ \t\n\0~+éÉİıſKßΣǅ😀";

/// A reference of any kind, valid or not.
pub(super) fn any(random: &mut Random) -> String {
    let mut image = match random.below(100) {
        0 | 1 => hexadecimal(random, &[64, 64, 63, 65], "0123456789abcdef"),
        2..12 => at_the_limit(random),
        _ => composed(random),
    };
    if random.percent(25) {
        random.mutate(&mut image, CHARACTERS);
    }
    image
}

/// A reference that mostly parses, on one of few hosts, so that keys can be meant for it.
pub(super) fn known(random: &mut Random) -> String {
    let few: [&str; 16] = [
        "",
        "",
        "",
        "docker.io/",
        "index.docker.io/",
        "localhost/",
        "Foo/",
        "M/",
        "a.io/",
        "a.io:5000/",
        "us.gcr.io/",
        "reg.example.com:443/",
        "123.dkr.ecr.us-east-1.amazonaws.com/",
        "[::1]/",
        "[::1]:5000/",
        "my_host.com/",
    ];
    let mut image = if random.percent(6) { any(random) } else { random.pick(&few).to_owned() + &path(random, false) };
    if random.percent(30) {
        image += &format!(":{}", random.word());
    }
    image
}

fn composed(random: &mut Random) -> String {
    let mut image = String::new();
    if random.percent(60) {
        image += &host(random);
        image.push('/');
    }
    image += &path(random, true);
    if random.percent(45) {
        image.push(':');
        image += &if random.percent(30) { random.word() } else { random.pick(&TAGS).to_owned() };
    }
    if random.percent(30) {
        image.push('@');
        image += &digest(random);
    }
    image
}

fn host(random: &mut Random) -> String {
    let mut host = if random.percent(30) {
        let labels: Vec<String> = (0..=random.below(3)).map(|_| random.word()).collect();
        labels.join(".")
    } else {
        random.pick(&HOSTS).to_owned()
    };
    if random.percent(25) {
        host += random.pick(&PORTS);
    }
    host
}

fn path(random: &mut Random, odd: bool) -> String {
    let segments: Vec<String> = (0..=random.below(3)).map(|_| segment(random, odd)).collect();
    segments.join("/")
}

fn segment(random: &mut Random, odd: bool) -> String {
    let mut segment = random.pick(&["app", "library", "v1", "v2", "x", "team", "busybox"]).to_owned();
    if random.percent(40) {
        segment = random.word();
    }
    while random.percent(20) {
        let known_good = if odd { SEPARATORS.len() } else { 6 };
        segment += SEPARATORS[random.below(known_good)];
        segment += &random.word();
    }
    if odd && random.percent(6) {
        segment = segment.to_uppercase();
    }
    segment
}

fn digest(random: &mut Random) -> String {
    let algorithm = if random.percent(60) { "sha256" } else { random.pick(&ALGORITHMS) };
    let digits = random.pick(&[
        "0123456789abcdef",
        "0123456789abcdef",
        "0123456789abcdef",
        "0123456789abcdefABCDEF",
        "0123456789abcdefABCDEFg",
    ]);
    let lengths = match algorithm {
        "sha512" => [128, 128, 64, 127],
        "sha384" => [96, 96, 64, 97],
        _ => [64, 64, [31, 32, 40, 63, 65][random.below(5)], 64],
    };
    format!("{algorithm}:{}", hexadecimal(random, &lengths, digits))
}

fn hexadecimal(random: &mut Random, lengths: &[usize], digits: &str) -> String {
    let length = lengths[random.below(lengths.len())];
    (0..length).filter_map(|_| digits.chars().nth(random.below(digits.len()))).collect()
}

/// A path of 255 bytes or a tag of 128, give or take one.
fn at_the_limit(random: &mut Random) -> String {
    let by = random.below(4);
    match random.below(4) {
        0 => "a".repeat(245 + by),
        1 => format!(
            "{}/{}",
            random.pick(&["a.io", "docker.io", "[::1]:1", "Foo"]),
            "a/".repeat(126) + &"b".repeat(1 + by)
        ),
        2 => format!("my_host.com/{}", "a".repeat(241 + by)),
        _ => format!("app:{}", "t".repeat(126 + by)),
    }
}
