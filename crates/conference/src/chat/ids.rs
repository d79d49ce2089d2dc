//! Message ids (RFC 5438 §6.3): the same wherever a text goes, and nobody's else.

use rand::RngCore;

/// Letters of an id.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Letters in one: 90 bits of chance.
const LENGTH: usize = 16;

/// Makes ids by an injected generator, a byte for each letter.
pub(crate) struct Ids(Box<dyn RngCore + Send>);

impl Ids {
    pub(crate) fn new(generator: Box<dyn RngCore + Send>) -> Self {
        Self(generator)
    }

    /// A new one.
    pub(crate) fn make(&mut self) -> String {
        let mut bytes = [0; LENGTH];
        self.0.fill_bytes(&mut bytes);
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn ms19_ids_are_chance_by_chance_and_never_the_same() {
        let generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut ids = Ids::new(Box::new(generator));
        let made: std::collections::BTreeSet<String> = (0..10_000).map(|_| ids.make()).collect();
        assert_eq!(made.len(), 10_000);
        // Each letter is drawn: 16 of 62 are 95 bits, 90 where some come a little more often.
        for place in 0..LENGTH {
            let letters: std::collections::BTreeSet<u8> =
                made.iter().map(|id| id.as_bytes()[place]).collect();
            assert_eq!(letters.len(), LETTERS.len(), "place {place}");
        }
    }
}
