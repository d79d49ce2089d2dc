//! Labels of international domain names (RFC 3492): from `xn--` to letters and back.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
/// Longest label of the DNS.
const LONGEST: usize = 63;

/// The letters of a label, without its `xn--`; none where it is no such label.
pub(super) fn decode(label: &str) -> Option<String> {
    if label.len() > LONGEST || !label.is_ascii() {
        return None;
    }
    let (plain, coded) = label.rsplit_once('-').unwrap_or(("", label));
    let mut letters: Vec<char> = plain.chars().collect();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72);
    let mut digits = coded.bytes().peekable();
    while digits.peek().is_some() {
        let before = i;
        let mut weight = 1_u32;
        for k in (BASE..).step_by(BASE as usize) {
            let digit = match digits.next()? {
                byte @ b'a'..=b'z' => u32::from(byte - b'a'),
                byte @ b'A'..=b'Z' => u32::from(byte - b'A'),
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = threshold(k, bias);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
        }
        let count = letters.len() as u32 + 1;
        bias = adapt(i - before, count, before == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        letters.insert(i as usize, char::from_u32(n).filter(|c| !c.is_ascii())?);
        i += 1;
    }
    Some(letters.into_iter().collect())
}

/// The `xn--` label of letters; none where it would be too long for the DNS.
pub(super) fn encode(label: &str) -> Option<String> {
    if label.len() > 4 * LONGEST {
        return None;
    }
    let mut coded: String = label.chars().filter(char::is_ascii).collect();
    let basic = coded.len() as u32;
    let letters: Vec<u32> = label.chars().map(u32::from).collect();
    if basic > 0 {
        coded.push('-');
    }
    let (mut n, mut delta, mut bias, mut done) = (128_u32, 0_u32, 72, basic);
    while (done as usize) < letters.len() {
        let next = letters.iter().copied().filter(|letter| *letter >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(done + 1)?)?;
        n = next;
        for letter in &letters {
            if *letter < n {
                delta = delta.checked_add(1)?;
            }
            if *letter != n {
                continue;
            }
            let mut rest = delta;
            for k in (BASE..).step_by(BASE as usize) {
                let threshold = threshold(k, bias);
                if rest < threshold {
                    coded.push(digit(rest));
                    break;
                }
                coded.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
                rest = (rest - threshold) / (BASE - threshold);
            }
            bias = adapt(delta, done + 1, done == basic);
            delta = 0;
            done += 1;
        }
        delta += 1;
        n += 1;
    }
    (coded.len() + 4 <= LONGEST).then(|| format!("xn--{coded}"))
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn digit(value: u32) -> char {
    match value {
        0..26 => (b'a' + value as u8).into(),
        _ => (b'0' + (value - 26) as u8).into(),
    }
}

fn adapt(delta: u32, count: u32, is_first: bool) -> u32 {
    let mut delta = delta / if is_first { 700 } else { 2 };
    delta += delta / count;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_to_letters_and_back() {
        for (letters, label) in [
            ("bücher", "bcher-kva"),
            ("пример", "e1afmkfd"),
            ("例え", "r8jz45g"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
        ] {
            assert_eq!(decode(label).as_deref(), Some(letters));
            assert_eq!(encode(letters), Some(format!("xn--{label}")));
        }
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let long = "a".repeat(70);
        for label in ["bücher", "a_", "99999999", long.as_str()] {
            assert_eq!(decode(label), None, "{label}");
        }
        assert_eq!(encode(&"ü".repeat(300)), None);
    }
}
