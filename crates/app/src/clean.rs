//! Words of strangers on one line: nothing in them hides, reorders or controls what stands around them.

/// Characters that hide, reorder or control. The joiners of emoji and of Arabic or Indic words are none of them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// One line of at most so many characters for the window: line ends are spaces, hidden characters are named.
pub fn one_line(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        match c {
            '\n' | '\r' | '\t' if out.ends_with(' ') => {}
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_hidden(c) => out.push_str(&format!("[U+{:04X}]", u32::from(c))),
            c => out.push(c),
        }
        // Beyond the cut nothing is looked at, however long the text is.
        if out.chars().count() > most {
            break;
        }
    }
    cut(&out, most)
}

/// The first line that says something, for the desktop: hidden characters are left out.
pub fn first_line(text: &str, most: usize) -> String {
    let lines = text.split(|c| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}'..='\u{2029}')
    });
    let mut lines = lines.map(|line| {
        let mut out = String::new();
        for c in line.trim().chars().take(most * 2) {
            let joins = matches!(c, '\u{200c}' | '\u{200d}');
            if is_hidden(c) && c != '\t' || joins && out.chars().last().is_none_or(|c| c.is_ascii())
            {
                continue;
            }
            out.push(if c == '\t' { ' ' } else { c });
        }
        out
    });
    lines.find(|line| !line.is_empty()).map(|line| cut(&line, most)).unwrap_or_default()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ua28_what_hides_or_reorders_is_named_on_one_line() {
        assert_eq!(one_line("a\r\n\nb\u{202e}c", 50), "a b[U+202E]c");
        assert_eq!(one_line(&"x\n".repeat(200), 9), "x x x x …");
    }

    #[test]
    fn the_desktop_gets_the_first_line_that_says_something_and_nothing_hidden() {
        assert_eq!(first_line("\n \u{202e}\nab\u{200b}c\u{1b}[0m\nsecond", 120), "abc[0m");
        assert_eq!(first_line("a\u{200d}b 👩\u{200d}💻", 120), "ab 👩\u{200d}💻");
        assert_eq!(first_line(&"x".repeat(500), 120).chars().count(), 120);
        assert_eq!(first_line("one\u{2028}two", 120), "one");
    }
}
