//! Sound that was never received: pitch repetition with a fade, and cuts that follow the pitch.

/// Fills `out` with repetitions of `period`, the last pitch period that was heard, of which `elapsed` samples were
/// made up before; `frame` is 20 ms. The sound holds for 20 ms and is gone after 80 ms.
pub fn extend(period: &[i16], frame: usize, elapsed: usize, out: &mut [i16]) {
    if period.is_empty() {
        out.fill(0);
        return;
    }
    for (index, sample) in out.iter_mut().enumerate() {
        *sample = period[(elapsed + index) % period.len()];
    }
    fade(out, frame, elapsed);
}

/// Samples after which nothing is heard of made-up sound.
pub fn audible(frame: usize) -> usize {
    4 * frame
}

/// How loud made-up sound still is after `elapsed` samples, 1 to 0.
pub fn gain(elapsed: usize, frame: usize) -> f32 {
    (1.0 - elapsed.saturating_sub(frame) as f32 / (3 * frame) as f32).max(0.0)
}

/// Fades `samples`, the first of which comes `elapsed` samples after the gap began.
pub fn fade(samples: &mut [i16], frame: usize, elapsed: usize) {
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = (f32::from(*sample) * gain(elapsed + index, frame)) as i16;
    }
}

/// The pitch period at the end of `history`: 2.5 to 15 ms; `frame` is 20 ms.
pub fn trailing_lag(history: &[i16], frame: usize) -> usize {
    let (shortest, longest, length) = (frame / 8, frame * 3 / 4, frame / 4);
    if history.len() < longest + length {
        return 0;
    }
    let end = history.len() - length;
    best_lag(shortest, longest, frame / 160, |lag, stride| {
        correlation(&history[end..], &history[end - lag..end - lag + length], stride)
    })
}

/// Removes one pitch period from the beginning of `samples` by overlapping; returns how many
/// samples are gone. Needs one frame and a half to work on, else removes nothing.
pub fn cut_period(samples: &mut [i16], frame: usize) -> usize {
    let (shortest, longest, length) = (frame / 8, frame * 5 / 8, frame * 3 / 8);
    if samples.len() < longest + length {
        return 0;
    }
    let lag = best_lag(shortest, longest, frame / 160, |lag, stride| {
        correlation(&samples[..length], &samples[lag..lag + length], stride)
    });
    overlap(samples, lag, length);
    lag
}

/// Removes `gap` samples after a cross-fade of `length` from the beginning.
pub fn overlap(samples: &mut [i16], gap: usize, length: usize) {
    let total = samples.len();
    for index in 0..length.min(total.saturating_sub(gap)) {
        samples[index] = blend(samples[index], samples[index + gap], index, length);
    }
    let from = (gap + length).min(total);
    samples.copy_within(from.., length.min(total));
}

/// A step of a cross-fade from `old` to `new`.
pub fn blend(old: i16, new: i16, index: usize, length: usize) -> i16 {
    let weight = (index + 1) as f32 / (length + 1) as f32;
    (f32::from(old) * (1.0 - weight) + f32::from(new) * weight) as i16
}

fn best_lag(from: usize, to: usize, stride: usize, score: impl Fn(usize, usize) -> f32) -> usize {
    let stride = stride.max(1);
    let search = |from: usize, to: usize, step: usize, stride: usize| {
        (from..=to)
            .step_by(step)
            .map(|lag| (lag, score(lag, stride)))
            .fold((from, f32::MIN), |best, next| if next.1 > best.1 { next } else { best })
            .0
    };
    let coarse = search(from, to, stride, stride);
    if stride == 1 {
        return coarse;
    }
    let low = coarse.saturating_sub(stride).max(from);
    search(low, (coarse + stride).min(to), 1, stride)
}

fn correlation(a: &[i16], b: &[i16], stride: usize) -> f32 {
    let (mut product, mut power) = (0.0f32, 1.0f32);
    for (a, b) in a.iter().step_by(stride).zip(b.iter().step_by(stride)) {
        product += f32::from(*a) * f32::from(*b);
        power += f32::from(*b) * f32::from(*b);
    }
    product / power.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    fn tone(samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| ((n as f32 * 400.0 / 8_000.0 * std::f32::consts::TAU).sin() * 8_000.0) as i16)
            .collect()
    }

    #[test]
    fn a_lost_frame_of_a_tone_goes_on_in_phase() {
        let whole = tone(480);
        let lag = trailing_lag(&whole[..320], 160);
        let mut out = [0; 160];
        extend(&whole[320 - lag..320], 160, 0, &mut out);
        for (made, true_sample) in out.iter().zip(&whole[320..]) {
            assert!((i32::from(*made) - i32::from(*true_sample)).abs() < 900);
        }
    }

    #[test]
    fn a_long_loss_ends_in_silence() {
        let whole = tone(320);
        let lag = trailing_lag(&whole, 160);
        let mut out = [1; 160];
        extend(&whole[320 - lag..], 160, 640, &mut out);
        assert_eq!(out, [0; 160]);
    }

    #[test]
    fn a_cut_removes_whole_periods() {
        let mut samples = tone(320);
        let gone = cut_period(&mut samples, 160);
        assert!(gone >= 20 && gone % 20 <= 1, "{gone}");
        assert!((level::dbov(&samples[..320 - gone]) - level::dbov(&tone(320))).abs() < 0.3);
    }
}
