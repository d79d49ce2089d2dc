//! The habits of phones that were tried, by what they call themselves. Each row stands for a capture in docs/interop.md.

/// How texts reach a phone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Inside the call's dialog: the default.
    InDialog,
    /// Outside of it.
    OutOfDialog,
}

/// What is special about a phone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Quirks {
    /// Way of texts when we called the phone.
    pub(crate) dialled_out: Way,
    /// Way of texts when it called us.
    pub(crate) dialled_in: Way,
    /// The most bytes of text that it shows.
    pub(crate) limit: Option<usize>,
    /// Whether its 500 means that the text was shown.
    pub(crate) shown_with_500: bool,
    /// Whether it shows several lines as one.
    pub(crate) joins_lines: bool,
    /// Whether it takes the author off a text again, so that no line can pose as another author's.
    pub(crate) knows_authors: bool,
    /// Whether it takes texts and shows them to nobody.
    pub(crate) never_shows: bool,
}

const ORDINARY: Quirks = Quirks {
    dialled_out: Way::InDialog,
    dialled_in: Way::InDialog,
    limit: None,
    shown_with_500: false,
    joins_lines: false,
    knows_authors: false,
    never_shows: false,
};

/// Beginning of User-Agent or Server, in lower case.
const TABLE: [(&str, Quirks); 7] = [
    // Our own kind.
    ("parlour", Quirks { knows_authors: true, ..ORDINARY }),
    // Answers 200 and shows nothing from about 480 bytes on.
    ("baresip", Quirks { limit: Some(400), ..ORDINARY }),
    // Shows a text inside a call that it placed as its own.
    ("linphone", Quirks { dialled_in: Way::OutOfDialog, ..ORDINARY }),
    // Answers a text in the dialog with 500 although it shows it.
    (
        "jami",
        Quirks {
            dialled_in: Way::OutOfDialog,
            dialled_out: Way::OutOfDialog,
            shown_with_500: true,
            ..ORDINARY
        },
    ),
    (
        "ring",
        Quirks {
            dialled_in: Way::OutOfDialog,
            dialled_out: Way::OutOfDialog,
            shown_with_500: true,
            ..ORDINARY
        },
    ),
    // Its pane and its clipboard make one line of many.
    ("twinkle", Quirks { joins_lines: true, ..ORDINARY }),
    // Lists MESSAGE, answers 200, and has no place to show it.
    ("calls", Quirks { never_shows: true, ..ORDINARY }),
];

/// The row of a phone; the ordinary one for unknown ones.
pub(crate) fn of(agent: Option<&str>) -> Quirks {
    let agent = agent.unwrap_or_default().to_ascii_lowercase();
    let row = TABLE
        .iter()
        .find(|(start, _)| agent.starts_with(start) || agent.contains(&format!("gnome-{start}")));
    row.map_or(ORDINARY, |(_, quirks)| *quirks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_phones_are_known_by_their_beginning_only() {
        assert_eq!(of(Some("baresip v1.0.0 (x86_64/linux)")).limit, Some(400));
        assert_eq!(of(Some("Linphonec/5.1.65 (vm)")).dialled_in, Way::OutOfDialog);
        assert_eq!(of(Some("Linphonec/5.1.65 (vm)")).dialled_out, Way::InDialog);
        assert!(of(Some("Twinkle/1.10.2")).joins_lines);
        assert_eq!(of(Some("Not baresip")), ORDINARY);
        assert_eq!(of(None), ORDINARY);
    }
}
