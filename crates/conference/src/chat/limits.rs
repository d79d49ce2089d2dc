//! How much a sender may write (sip-chat §3.10): token buckets on an injected clock.

use std::time::{Duration, Instant};

use crate::ChatRate;

/// Bytes at once, and bytes a second.
const BYTES_BURST: f64 = 32.0 * 1024.0;
const BYTES_RATE: f64 = 8.0 * 1024.0;
/// Texts a second of a whole conference.
const CONFERENCE_RATE: u32 = 20;

/// A bucket of tokens.
#[derive(Clone, Debug)]
struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled: Instant,
}

impl Bucket {
    fn new(burst: f64, per_second: f64, now: Instant) -> Self {
        Self { tokens: burst, burst, per_second, filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.filled = now;
    }
}

/// The limits of one sender.
#[derive(Clone, Debug)]
pub(crate) struct SenderLimit {
    texts: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl SenderLimit {
    pub(crate) fn new(rate: ChatRate, now: Instant) -> Self {
        match rate {
            ChatRate::Unlimited => Self { texts: None, bytes: None },
            ChatRate::Limited { burst, interval } => {
                let per_second = 1.0 / interval.max(Duration::from_millis(1)).as_secs_f64();
                Self {
                    texts: Some(Bucket::new(f64::from(burst), per_second, now)),
                    bytes: Some(Bucket::new(BYTES_BURST, BYTES_RATE, now)),
                }
            }
        }
    }

    /// Takes a text of this size, or says after how long it could be taken.
    pub(crate) fn take(&mut self, size: usize, now: Instant) -> Result<(), Duration> {
        let needs = [(&mut self.texts, 1.0), (&mut self.bytes, size as f64)];
        let mut wait: f64 = 0.0;
        for (bucket, need) in needs {
            if let Some(bucket) = bucket {
                bucket.fill(now);
                wait = wait.max((need - bucket.tokens) / bucket.per_second);
            }
        }
        if wait > 1e-9 {
            return Err(Duration::from_secs_f64(wait.min(3600.0)));
        }
        for (bucket, need) in [(&mut self.texts, 1.0), (&mut self.bytes, size as f64)] {
            if let Some(bucket) = bucket {
                bucket.tokens -= need;
            }
        }
        Ok(())
    }
}

/// The limit of a whole conference.
pub(crate) fn conference(rate: ChatRate, now: Instant) -> SenderLimit {
    match rate {
        ChatRate::Unlimited => SenderLimit { texts: None, bytes: None },
        ChatRate::Limited { .. } => {
            let rate = f64::from(CONFERENCE_RATE);
            SenderLimit { texts: Some(Bucket::new(rate, rate, now)), bytes: None }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's clock must begin somewhere")]
mod tests {
    use super::*;

    #[test]
    fn five_at_once_then_one_a_second() {
        let start = Instant::now();
        let mut limit = SenderLimit::new(ChatRate::default(), start);
        for _ in 0..5 {
            assert_eq!(limit.take(10, start), Ok(()));
        }
        assert_eq!(limit.take(10, start), Err(Duration::from_secs(1)));
        assert_eq!(limit.take(10, start + Duration::from_secs(1)), Ok(()));
        assert!(limit.take(10, start + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn bytes_are_limited_too_and_unlimited_is_unlimited() {
        let start = Instant::now();
        let mut limit = SenderLimit::new(ChatRate::default(), start);
        assert!(limit.take(16 * 1024, start).is_ok() && limit.take(16 * 1024, start).is_ok());
        assert!(limit.take(1000, start).is_err());
        let mut limit = SenderLimit::new(ChatRate::Unlimited, start);
        assert!((0..1000).all(|_| limit.take(16 * 1024, start).is_ok()));
    }
}
