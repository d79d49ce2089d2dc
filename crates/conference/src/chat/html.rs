//! The words of an HTML text, as some phones write every text: tags out, line breaks kept, entities read. A page is not
//! what comes in a chat, so this is a few lines and no parser of pages.

/// Elements whose end is the end of a line.
const BLOCKS: [&str; 8] = ["p", "div", "li", "tr", "pre", "blockquote", "h1", "h2"];

/// The words.
pub(crate) fn words(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        text.push_str(&decode(before));
        if let Some(comment) = behind.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_tag =
            behind.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        let Some((tag, after)) = behind.split_once('>').filter(|_| is_tag) else {
            text.push('<');
            rest = behind;
            continue;
        };
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        if name == "br" || (tag.starts_with('/') && BLOCKS.contains(&name.as_str())) {
            text.push('\n');
        }
        let is_hidden = !tag.starts_with('/') && !tag.ends_with('/');
        rest = match name.as_str() {
            "head" | "script" | "style" | "title" if is_hidden => behind_end(after, &name),
            _ => after,
        };
    }
    text.push_str(&decode(rest));
    text.trim_end_matches('\n').to_owned()
}

/// What follows the end of an element whose inside is for nobody.
fn behind_end<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once("</") {
        let is_it = behind.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        if is_it {
            return behind.split_once('>').map_or("", |(_, after)| after);
        }
        rest = behind;
    }
    ""
}

/// Reads entities, each once.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let entity = behind.split_once(';').filter(|(name, _)| name.len() <= 8);
        match entity.and_then(|(name, after)| Some((entity_of(name)?, after))) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity_of(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        let code = match hex {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?).filter(|c| *c != '\0');
    }
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "amp" => '&',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_lines_stay_and_entities_are_read_once() {
        for (html, expected) in [
            ("<p>a &amp; <b>b</b></p>c<br/>1 < 2<script>x</script>", "a & b\nc\n1 < 2"),
            ("<html><head><title>t</title></head><body>hi<!-- <b> -->!</body></html>", "hi!"),
            ("a<BR>b<div>c</div>", "a\nbc"),
            (
                "&lt;b&gt; &#8364;&#x20AC; &amp;lt; &nbsp;| &unknown; &",
                "<b> \u{20ac}\u{20ac} &lt;  | &unknown; &",
            ),
            ("<a href=\"https://x/?a=1&amp;b\">link</a>", "link"),
            ("<style>p{}</style>x<script>if (a</b) {}</script>y", "xy"),
            ("a < b, a <3 b", "a < b, a <3 b"),
            ("unclosed <b", "unclosed <b"),
            ("<script>never closed", ""),
            ("&#0;&#99999999;", "&#0;&#99999999;"),
        ] {
            assert_eq!(words(html), expected, "{html}");
        }
    }
}
