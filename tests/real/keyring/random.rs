//! Random choices that a seed repeats.

/// `SplitMix64`: small, and good enough for choosing.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// True in so many of a thousand cases.
    pub(crate) fn permille(&mut self, chance: usize) -> bool {
        self.below(1000) < chance
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// A letter or digit, or another character of `extra`.
    fn character(&mut self, extra: &str) -> char {
        let plain = "abcxyz019";
        let from = if extra.is_empty() || self.percent(50) { plain } else { extra };
        from.chars().nth(self.below(from.chars().count())).unwrap_or('a')
    }

    /// A short run of small letters and digits.
    pub(crate) fn word(&mut self) -> String {
        let length = 1 + self.below(5);
        (0..length).map(|_| self.character("")).collect()
    }

    /// One to three characters put in, taken out, doubled, replaced or turned to the other case.
    pub(crate) fn mutate(&mut self, text: &mut String, characters: &str) {
        for _ in 0..=self.below(3) {
            let mut all: Vec<char> = text.chars().collect();
            let at = self.below(all.len());
            let character = self.character(characters);
            match self.below(5) {
                _ if all.is_empty() => all.push(character),
                0 | 1 => all.insert(at, character),
                2 => {
                    all.remove(at);
                }
                3 => all[at] = character,
                _ if all[at].is_ascii_lowercase() => all[at] = all[at].to_ascii_uppercase(),
                _ => all.insert(at, all[at]),
            }
            *text = all.into_iter().collect();
        }
    }

    /// The same for bytes.
    pub(crate) fn mutate_bytes(&mut self, bytes: &mut Vec<u8>, from: &[u8]) {
        for _ in 0..=self.below(2) {
            let at = self.below(bytes.len() + 1);
            let byte = from[self.below(from.len())];
            match self.below(4) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => {
                    bytes.remove(at);
                }
                _ => bytes.insert(at, byte),
            }
        }
    }
}
