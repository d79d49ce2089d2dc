//! What a way does to what goes along it: time, and what chance takes, doubles or holds back.

use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// How the way from one actor to another treats datagrams. A stream on it loses nothing: it is only late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// How long everything takes at least.
    pub delay: Duration,
    /// What is added to it, anew for each datagram.
    pub jitter: Jitter,
    /// Share of datagrams that are lost one by one, 0 to 1.
    pub loss: f64,
    /// Losses that come together, besides.
    pub bursts: Option<Bursts>,
    /// Share that comes twice.
    pub duplication: f64,
    /// Share that is held back by up to [`Link::hold_back`], so that later ones overtake it.
    pub reordering: f64,
    /// The longest that a datagram is held back.
    pub hold_back: Duration,
}

/// How the time of a way varies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Many a little and few a lot: exponential around a mean, ten times that at most.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Not at all.
    None,
    /// Anything up to a longest time, all as likely.
    Uniform {
        /// The longest.
        most: Duration,
    },
}

/// The channel of Gilbert and Elliott: a good and a bad state, each with a loss of its own. Before each datagram the
/// state may change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Probability that a good way becomes bad.
    pub worsens: f64,
    /// Probability that a bad way becomes good: bad times last `1 / recovers` datagrams in the mean.
    pub recovers: f64,
    /// Share that is lost in good times.
    pub loss_when_good: f64,
    /// Share that is lost in bad times.
    pub loss_when_bad: f64,
}

impl Bursts {
    /// The share that is lost in the long run.
    pub fn mean_loss(&self) -> f64 {
        let bad = self.worsens / (self.worsens + self.recovers);
        bad * self.loss_when_bad + (1.0 - bad) * self.loss_when_good
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::PLAIN
    }
}

impl Link {
    /// 10 ms, and nothing happens.
    pub const PLAIN: Self = Self {
        delay: Duration::from_millis(10),
        jitter: Jitter::None,
        loss: 0.0,
        bursts: None,
        duplication: 0.0,
        reordering: 0.0,
        hold_back: Duration::from_millis(300),
    };
}

/// What chance decided for one datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Luck {
    pub(super) lost: bool,
    pub(super) twice: bool,
    pub(super) late: bool,
    /// How long the first and the second copy take.
    pub(super) takes: [Duration; 2],
}

impl Link {
    /// Throws all dice for a datagram, whatever the settings: one link's do not shift another's luck. `bad` is the state
    /// of its bursts.
    pub(super) fn throw(&self, bad: &mut bool, chance: &mut ChaCha8Rng) -> Luck {
        let [loss, burst, turn, twice, late, hold, hold_second, more, more_second] =
            std::array::from_fn(|_| chance.random::<f64>());
        let in_burst = self.bursts.is_some_and(|bursts| {
            *bad = if *bad { turn >= bursts.recovers } else { turn < bursts.worsens };
            burst < if *bad { bursts.loss_when_bad } else { bursts.loss_when_good }
        });
        let late = late < self.reordering;
        let held = |dice| if late { self.hold_back.mul_f64(dice) } else { Duration::ZERO };
        let second = self.hold_back.mul_f64(hold_second);
        Luck {
            lost: loss < self.loss || in_burst,
            twice: twice < self.duplication,
            late,
            takes: [
                self.delay + self.jitter.at(more) + held(hold),
                self.delay + self.jitter.at(more_second) + second,
            ],
        }
    }

    /// How long a piece of a stream takes: what falls into a burst of losses is sent again, a little later each time.
    /// Single losses are mended so soon that they do not show.
    pub(super) fn stream_takes(&self, bad: &mut bool, chance: &mut ChaCha8Rng) -> Duration {
        let (mut again, mut wait) = (Duration::ZERO, Duration::from_millis(200));
        loop {
            let luck = Self { loss: 0.0, ..*self }.throw(bad, chance);
            if !luck.lost || again >= LONGEST_STALL {
                return again + luck.takes[0];
            }
            again += wait;
            wait *= 2;
        }
    }
}

impl Jitter {
    /// The time for a number from 0 to 1.
    fn at(self, dice: f64) -> Duration {
        match self {
            Self::Exponential { mean } => mean.mul_f64((-(1.0 - dice).ln()).min(10.0)),
            Self::None => Duration::ZERO,
            Self::Uniform { most } => most.mul_f64(dice),
        }
    }
}

/// A stream on a way that loses nearly everything gets through all the same.
const LONGEST_STALL: Duration = Duration::from_secs(10);
