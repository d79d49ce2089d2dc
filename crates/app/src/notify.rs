//! Desktop notifications: a call, and a line while the window is not in front.

/// The longest text of a notification.
const MAX_CHARS: usize = 120;

/// Shows one, from a thread of its own: the desktop may be slow, and where there is none nothing is lost.
pub fn show(title: String, body: &str, is_call: bool) {
    let body = escape(body);
    let spawned = std::thread::Builder::new().name("notification".to_owned()).spawn(move || {
        let mut notification = notify_rust::Notification::new();
        notification.appname("Parlour").summary(&title).body(&body).icon("parlour");
        notification.hint(notify_rust::Hint::Category(
            if is_call { "call.incoming" } else { "im.received" }.to_owned(),
        ));
        if is_call {
            notification.urgency(notify_rust::Urgency::Critical);
        }
        if let Err(error) = notification.show() {
            tracing::info!(%error, "no notification");
        }
    });
    if let Err(error) = spawned {
        tracing::info!(%error, "no notification");
    }
}

/// The first line, without controls, and with what a desktop would take for markup escaped.
pub fn escape(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let mut out = String::new();
    for c in first.chars().filter(|c| !c.is_control()).take(MAX_CHARS) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_only_the_first_line_shown() {
        assert_eq!(escape("<b>x</b> & y\u{1b}[0m\nsecond"), "&lt;b&gt;x&lt;/b&gt; &amp; y[0m");
        assert_eq!(escape(&"x".repeat(500)).len(), MAX_CHARS);
    }
}
