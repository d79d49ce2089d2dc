//! Colours, sizes and the styles made of them. Nothing else in the window names a colour.

use iced::widget::{button, container, scrollable, text_editor, text_input};
use iced::{Background, Border, Color, Theme, border};

/// All colours of one theme, by role.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the roles")]
pub struct Tokens {
    pub is_dark: bool,
    pub bg: Color,
    pub panel: Color,
    pub raised: Color,
    pub hover: Color,
    pub text: Color,
    pub muted: Color,
    pub border: Color,
    pub line: Color,
    pub accent: Color,
    pub on_accent: Color,
    pub ok: Color,
    pub warn: Color,
    pub err: Color,
    pub private: Color,
    pub on_private: Color,
    pub accent_soft: Color,
    pub ok_soft: Color,
    pub warn_soft: Color,
    pub err_soft: Color,
    pub private_soft: Color,
    pub seg_off: Color,
    pub senders: [Color; 8],
}

const fn hex(rgb: u32) -> Color {
    Color::from_rgb8((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

/// The light theme.
pub const LIGHT: Tokens = Tokens {
    is_dark: false,
    bg: hex(0xFFFFFF),
    panel: hex(0xF3F4F6),
    raised: hex(0xE7E9EE),
    hover: hex(0xECEEF2),
    text: hex(0x16181D),
    muted: hex(0x4F5663),
    border: hex(0x767D8A),
    line: hex(0xDDE0E6),
    accent: hex(0x0B57D0),
    on_accent: hex(0xFFFFFF),
    ok: hex(0x0F6B35),
    warn: hex(0x8A4B00),
    err: hex(0xB3161B),
    private: hex(0x7A1FA2),
    on_private: hex(0xFFFFFF),
    accent_soft: hex(0xE6EEFC),
    ok_soft: hex(0xE3F3E9),
    warn_soft: hex(0xFDF1E0),
    err_soft: hex(0xFCEBEA),
    private_soft: hex(0xF7EFFB),
    seg_off: hex(0xD5D9E0),
    senders: [
        hex(0x3949AB),
        hex(0x00695C),
        hex(0xAD1457),
        hex(0x5D4037),
        hex(0x2E6B12),
        hex(0x0B6080),
        hex(0x6B5300),
        hex(0x9C2F0E),
    ],
};

/// The dark theme.
pub const DARK: Tokens = Tokens {
    is_dark: true,
    bg: hex(0x14161A),
    panel: hex(0x1C1F25),
    raised: hex(0x272B33),
    hover: hex(0x22262D),
    text: hex(0xF1F3F6),
    muted: hex(0xAEB6C3),
    border: hex(0x7A8494),
    line: hex(0x2F343D),
    accent: hex(0x8AB4F8),
    on_accent: hex(0x0B1220),
    ok: hex(0x7BD69A),
    warn: hex(0xFFC061),
    err: hex(0xFF9B98),
    private: hex(0xD7A6F5),
    on_private: hex(0x1C0B26),
    accent_soft: hex(0x1D2A42),
    ok_soft: hex(0x18291F),
    warn_soft: hex(0x2F2617),
    err_soft: hex(0x361F20),
    private_soft: hex(0x261C2E),
    seg_off: hex(0x373D47),
    senders: [
        hex(0xB3BDFF),
        hex(0x6FD6C6),
        hex(0xFF9EC6),
        hex(0xD8B8A6),
        hex(0xA5DB7F),
        hex(0x7CCBEA),
        hex(0xE3CB78),
        hex(0xFFAB91),
    ],
};

/// What fills a button.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Destructive or ending: soft red.
    Danger,
    /// Everything else that is a button.
    Normal,
    /// On a banner: a frame only.
    Outline,
    /// The one main action of an area.
    Primary,
    /// The main action, for one person only.
    Private,
    /// No fill until the pointer is on it.
    Quiet,
    /// Quiet, in the colour of links.
    QuietAccent,
    /// A toggle that is on.
    Soft,
}

impl Tokens {
    /// iced's own theme for what has no style here.
    pub fn base(self) -> Theme {
        let palette = iced::theme::Palette {
            background: self.bg,
            text: self.text,
            primary: self.accent,
            success: self.ok,
            warning: self.warn,
            danger: self.err,
        };
        Theme::custom("Parlour", palette)
    }

    /// A sender's colour on a tint of itself.
    pub fn tint(self, color: Color) -> Color {
        let amount = if self.is_dark { 0.18 } else { 0.12 };
        let mix = |one: f32, two: f32| one + (two - one) * amount;
        Color::from_rgb(mix(self.bg.r, color.r), mix(self.bg.g, color.g), mix(self.bg.b, color.b))
    }

    /// A flat fill.
    pub fn fill(self, color: Color) -> impl Fn(&Theme) -> container::Style {
        move |_| container::Style {
            background: Some(color.into()),
            text_color: Some(self.text),
            ..container::Style::default()
        }
    }

    /// A fill with round corners and a line around it.
    pub fn card(
        self,
        color: Color,
        line: Color,
        radius: f32,
        width: f32,
    ) -> impl Fn(&Theme) -> container::Style {
        move |_| container::Style {
            background: Some(color.into()),
            text_color: Some(self.text),
            border: Border { color: line, width, radius: radius.into() },
            ..container::Style::default()
        }
    }

    /// Something that floats. It has a frame and no shadow: the renderer without a graphics driver redraws only what
    /// changed but draws a shadow whole each time, until the card is black.
    pub fn floating(self, radius: f32) -> impl Fn(&Theme) -> container::Style {
        let fill = if self.is_dark { self.panel } else { self.bg };
        self.card(fill, self.border, radius, 1.0)
    }

    /// A button.
    pub fn button(
        self,
        kind: Kind,
        radius: f32,
    ) -> impl Fn(&Theme, button::Status) -> button::Style {
        move |_, status| {
            let hovered = matches!(status, button::Status::Hovered | button::Status::Pressed);
            let (fill, ink) = match kind {
                Kind::Danger => (Some(self.err_soft), self.err),
                Kind::Normal => (Some(if hovered { self.line } else { self.raised }), self.text),
                Kind::Outline => (hovered.then_some(self.hover), self.text),
                Kind::Primary => (Some(self.accent), self.on_accent),
                Kind::Private => (Some(self.private), self.on_private),
                Kind::Quiet => {
                    (hovered.then_some(self.raised), if hovered { self.text } else { self.muted })
                }
                Kind::QuietAccent => (hovered.then_some(self.raised), self.accent),
                Kind::Soft => (Some(self.accent_soft), self.accent),
            };
            let disabled = status == button::Status::Disabled;
            let (fill, ink) = if disabled { (Some(self.panel), self.muted) } else { (fill, ink) };
            let frame = if kind == Kind::Outline { 1.0 } else { 0.0 };
            button::Style {
                background: fill.map(Background::Color),
                text_color: ink,
                border: Border { color: self.border, width: frame, radius: radius.into() },
                ..button::Style::default()
            }
        }
    }

    /// A one-line field.
    pub fn field(self, radius: f32) -> impl Fn(&Theme, text_input::Status) -> text_input::Style {
        move |_, status| {
            let focused = matches!(status, text_input::Status::Focused { .. });
            let (color, width) = if focused { (self.accent, 2.0) } else { (self.border, 1.0) };
            text_input::Style {
                background: self.bg.into(),
                border: Border { color, width, radius: radius.into() },
                icon: self.muted,
                placeholder: self.muted,
                value: self.text,
                selection: Color { a: 0.3, ..self.accent },
            }
        }
    }

    /// A one-line field whose frame is drawn below it: only the ring of the keyboard is its own.
    pub fn ringed_field(
        self,
        radius: f32,
    ) -> impl Fn(&Theme, text_input::Status) -> text_input::Style {
        move |theme, status| {
            let mut style = self.field(radius)(theme, status);
            style.background = Color::TRANSPARENT.into();
            if !matches!(status, text_input::Status::Focused { .. }) {
                style.border.width = 0.0;
            }
            style
        }
    }

    /// The composer's text: its frame is drawn around the whole composer.
    pub fn composer(self) -> impl Fn(&Theme, text_editor::Status) -> text_editor::Style {
        move |_, _| text_editor::Style {
            background: Color::TRANSPARENT.into(),
            border: Border::default(),
            placeholder: self.muted,
            value: self.text,
            selection: Color { a: 0.3, ..self.accent },
        }
    }

    /// Scroll bars.
    pub fn scroll(self) -> impl Fn(&Theme, scrollable::Status) -> scrollable::Style {
        move |theme, status| {
            let mut style = scrollable::default(theme, status);
            let hovered = matches!(
                status,
                scrollable::Status::Hovered { .. } | scrollable::Status::Dragged { .. }
            );
            let rail = scrollable::Rail {
                background: None,
                border: Border::default(),
                scroller: scrollable::Scroller {
                    background: (if hovered { self.border } else { self.line }).into(),
                    border: border::rounded(4),
                },
            };
            style.vertical_rail = rail;
            style.horizontal_rail = rail;
            style.container = container::Style::default();
            style
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color) -> f32 {
        let channel =
            |c: f32| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        0.2126 * channel(color.r) + 0.7152 * channel(color.g) + 0.0722 * channel(color.b)
    }

    fn contrast(one: Color, two: Color) -> f32 {
        let (one, two) = (luminance(one), luminance(two));
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    #[test]
    fn every_text_colour_can_be_read_on_every_surface_it_stands_on() {
        for tokens in [LIGHT, DARK] {
            let surfaces = [tokens.bg, tokens.panel];
            let inks = [
                tokens.text,
                tokens.muted,
                tokens.accent,
                tokens.ok,
                tokens.warn,
                tokens.err,
                tokens.private,
            ];
            for surface in surfaces {
                for ink in inks.into_iter().chain(tokens.senders) {
                    assert!(contrast(surface, ink) >= 4.5, "{ink:?} on {surface:?}");
                }
            }
            let pairs = [
                (tokens.accent, tokens.on_accent),
                (tokens.private, tokens.on_private),
                (tokens.accent_soft, tokens.accent),
                (tokens.err_soft, tokens.err),
                (tokens.warn_soft, tokens.text),
                (tokens.private_soft, tokens.private),
                (tokens.private_soft, tokens.muted),
                (tokens.raised, tokens.text),
            ];
            for (surface, ink) in pairs {
                assert!(contrast(surface, ink) >= 4.5, "{ink:?} on {surface:?}");
            }
            for color in tokens.senders {
                assert!(contrast(tokens.tint(color), color) >= 4.5, "{color:?} on its tint");
            }
            for surface in [tokens.bg, tokens.panel] {
                assert!(contrast(surface, tokens.border) >= 3.0);
            }
        }
    }
}
