//! Text of a message: selectable by dragging, links that open, hidden characters as chips. What is copied are the bytes
//! of the source, never those of the picture.

use std::ops::Range;

use conference::text::{PieceKind, recognise};
use iced::advanced::text::{Paragraph as _, Shaping, Span, Text, Wrapping};
use iced::advanced::widget::{Tree, tree};
use iced::advanced::{
    Clipboard, Layout, Renderer as _, Shell, Widget, clipboard, layout, mouse, renderer, text,
};
use iced::{
    Color, Element, Event, Font, Length, Pixels, Point, Rectangle, Size, Theme, Vector, alignment,
    keyboard,
};

use crate::theme::Tokens;
use crate::ui::{MONO, SANS};

type Paragraph = <iced::Renderer as text::Renderer>::Paragraph;

const TEXT_SIZE: f32 = 15.0;
const LINE_HEIGHT: f32 = 22.0;
const TAB_COLUMNS: usize = 8;

/// What a stretch of a line is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Chip,
    Link(usize),
    Plain,
}

/// A stretch of a line: what is shown for which bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Stretch {
    shown: String,
    source: Range<usize>,
    kind: Kind,
}

/// A message's text, taken apart once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Source {
    text: String,
    lines: Vec<Vec<Stretch>>,
    links: Vec<String>,
    hidden: usize,
}

impl Source {
    /// Takes a text apart.
    pub fn new(text: &str) -> Self {
        let pieces = recognise(text);
        let mut links = Vec::new();
        let mut lines = Vec::new();
        let mut hidden = 0;
        let mut start = 0;
        for line in text.split('\n') {
            let end = start + line.len();
            let visible_end = start + line.strip_suffix('\r').unwrap_or(line).len();
            let mut stretches = Vec::new();
            let mut at = start;
            for piece in pieces
                .iter()
                .filter(|piece| piece.range.start >= start && piece.range.end <= visible_end)
            {
                take_apart(text, at..piece.range.start, start, &mut stretches, &mut hidden);
                let target = match &piece.kind {
                    PieceKind::Email { address } => format!("mailto:{address}"),
                    PieceKind::Link { url } => url.clone(),
                };
                links.push(target);
                let shown = text[piece.range.clone()].to_owned();
                stretches.push(Stretch {
                    shown,
                    source: piece.range.clone(),
                    kind: Kind::Link(links.len() - 1),
                });
                at = piece.range.end;
            }
            take_apart(text, at..visible_end, start, &mut stretches, &mut hidden);
            lines.push(stretches);
            start = end + 1;
        }
        // A line end at the end begins no line.
        if lines.len() > 1 && text.ends_with('\n') {
            lines.pop();
        }
        Self { text: text.to_owned(), lines, links, hidden }
    }

    /// The text, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many characters are shown as chips.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// How many lines it has.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }
}

/// Characters that hide, reorder or control: shown as chips.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

fn take_apart(
    text: &str,
    range: Range<usize>,
    line: usize,
    out: &mut Vec<Stretch>,
    hidden: &mut usize,
) {
    let mut plain = range.start;
    let push_plain = |from: usize, to: usize, out: &mut Vec<Stretch>| {
        if from < to {
            out.push(Stretch {
                shown: text[from..to].to_owned(),
                source: from..to,
                kind: Kind::Plain,
            });
        }
    };
    for (offset, c) in text[range.clone()].char_indices() {
        let at = range.start + offset;
        let next = at + c.len_utf8();
        if c == '\t' {
            push_plain(plain, at, out);
            let column = text[line..at].chars().count();
            let shown = " ".repeat(TAB_COLUMNS - column % TAB_COLUMNS);
            out.push(Stretch { shown, source: at..next, kind: Kind::Plain });
            plain = next;
        } else if is_hidden(c) {
            push_plain(plain, at, out);
            *hidden += 1;
            let shown = format!("[U+{:04X}]", u32::from(c));
            out.push(Stretch { shown, source: at..next, kind: Kind::Chip });
            plain = next;
        }
    }
    push_plain(plain, range.end, out);
}

/// The widget.
pub struct Selectable<'a, Message> {
    source: &'a Source,
    tokens: Tokens,
    on_link: Box<dyn Fn(String) -> Message + 'a>,
}

/// Shows a message's text.
pub fn selectable<'a, Message>(
    source: &'a Source,
    tokens: Tokens,
    on_link: impl Fn(String) -> Message + 'a,
) -> Selectable<'a, Message> {
    Selectable { source, tokens, on_link: Box::new(on_link) }
}

#[derive(Default)]
struct State {
    paragraphs: Vec<Built>,
    built: Option<(Source, Option<Range<usize>>, f32, bool)>,
    anchor: Option<usize>,
    selection: Option<Range<usize>>,
    dragging: bool,
    pressed: Option<usize>,
}

struct Built {
    paragraph: Paragraph,
    /// Of each span: what is shown, its source, link, whether it is selected.
    spans: Vec<(usize, Range<usize>, Kind, bool)>,
    top: f32,
    height: f32,
}

impl<Message> Selectable<'_, Message> {
    fn build(&self, state: &mut State, width: f32) -> Size {
        let key = (self.source.clone(), state.selection.clone(), width, self.tokens.is_dark);
        if state.built.as_ref() != Some(&key) {
            let mut top = 0.0;
            let selection = state.selection.clone();
            let lines = self.source.lines.iter().map(|line| {
                let built = self.build_line(line, selection.as_ref(), width, top);
                top += built.height;
                built
            });
            state.paragraphs = lines.collect();
            state.built = Some(key);
        }
        let height = state.paragraphs.iter().map(|line| line.height).sum();
        let widest = state
            .paragraphs
            .iter()
            .map(|line| line.paragraph.min_bounds().width)
            .fold(0.0, f32::max);
        Size::new(widest.min(width), height)
    }

    fn build_line(
        &self,
        line: &[Stretch],
        selection: Option<&Range<usize>>,
        width: f32,
        top: f32,
    ) -> Built {
        let mut spans: Vec<Span<'_, (), Font>> = Vec::new();
        let mut meaning = Vec::new();
        for stretch in line {
            for (shown, source, selected) in split(stretch, selection) {
                let color = match stretch.kind {
                    Kind::Chip => self.tokens.warn,
                    Kind::Link(_) => self.tokens.accent,
                    Kind::Plain => self.tokens.text,
                };
                let mut span = Span::new(shown.clone()).color(color).font(SANS);
                if stretch.kind == Kind::Chip {
                    span = span.font(MONO).size(12);
                }
                if matches!(stretch.kind, Kind::Link(_)) {
                    span = span.underline(true);
                }
                meaning.push((shown.len(), source, stretch.kind.clone(), selected));
                spans.push(span);
            }
        }
        let paragraph = Paragraph::with_spans(Text {
            content: spans.as_slice(),
            bounds: Size::new(width, f32::INFINITY),
            size: Pixels(TEXT_SIZE),
            line_height: text::LineHeight::Absolute(Pixels(LINE_HEIGHT)),
            font: SANS,
            align_x: text::Alignment::Default,
            align_y: alignment::Vertical::Top,
            shaping: Shaping::Advanced,
            wrapping: Wrapping::WordOrGlyph,
        });
        let height = paragraph.min_bounds().height.max(LINE_HEIGHT);
        Built { paragraph, spans: meaning, top, height }
    }
}

/// A stretch in up to three parts: before, in and behind the selection. Chips are selected as a whole.
fn split(stretch: &Stretch, selection: Option<&Range<usize>>) -> Vec<(String, Range<usize>, bool)> {
    let whole = |selected| vec![(stretch.shown.clone(), stretch.source.clone(), selected)];
    let Some(selection) = selection else { return whole(false) };
    let start = selection.start.clamp(stretch.source.start, stretch.source.end);
    let end = selection.end.clamp(stretch.source.start, stretch.source.end);
    if start >= end {
        return whole(false);
    }
    let exact = stretch.shown.len() == stretch.source.len() && stretch.kind != Kind::Chip;
    if !exact {
        return whole(true);
    }
    let cut = |range: Range<usize>, selected| {
        let shown =
            stretch.shown.get(range.start - stretch.source.start..range.end - stretch.source.start);
        shown.filter(|shown| !shown.is_empty()).map(|shown| (shown.to_owned(), range, selected))
    };
    let parts = [
        cut(stretch.source.start..start, false),
        cut(start..end, true),
        cut(end..stretch.source.end, false),
    ];
    parts.into_iter().flatten().collect()
}

impl State {
    /// The source byte nearest to a point.
    fn byte_at(&self, point: Point, source: &Source) -> Option<usize> {
        let last = self.paragraphs.len().checked_sub(1)?;
        let place = self
            .paragraphs
            .iter()
            .position(|line| point.y < line.top + line.height)
            .unwrap_or(last);
        let line = self.paragraphs.get(place)?;
        if point.y >= line.top + line.height {
            return Some(source.text.len());
        }
        let inner = Point::new(point.x.max(0.0), (point.y - line.top).max(0.0));
        let shown = line.paragraph.hit_test(inner).map_or(0, text::Hit::cursor);
        let mut before = 0;
        for (length, range, kind, _) in &line.spans {
            if shown <= before + length {
                let within = shown - before;
                let exact = *length == range.len() && *kind != Kind::Chip;
                return Some(match exact {
                    true => range.start + within,
                    false if within * 2 > *length => range.end,
                    false => range.start,
                });
            }
            before += length;
        }
        line.spans.last().map(|(_, range, _, _)| range.end).or(Some(line_start(source, place)))
    }

    fn link_at(&self, point: Point) -> Option<usize> {
        let line = self
            .paragraphs
            .iter()
            .find(|line| point.y >= line.top && point.y < line.top + line.height)?;
        let span = line.paragraph.hit_span(Point::new(point.x, point.y - line.top))?;
        match line.spans.get(span)?.2 {
            Kind::Link(link) => Some(link),
            Kind::Chip | Kind::Plain => None,
        }
    }
}

fn line_start(source: &Source, line: usize) -> usize {
    source
        .text
        .split('\n')
        .take(line)
        .map(|line| line.len() + 1)
        .sum::<usize>()
        .min(source.text.len())
}

/// The word around a byte.
fn word_around(text: &str, byte: usize) -> Range<usize> {
    let is_edge = |c: char| c.is_whitespace();
    let byte = (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = text[..byte]
        .rfind(is_edge)
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text[byte..].find(is_edge).map_or(text.len(), |at| byte + at);
    start..end
}

impl<Message: Clone> Widget<Message, Theme, iced::Renderer> for Selectable<'_, Message> {
    fn tag(&self) -> tree::Tag {
        tree::Tag::of::<State>()
    }

    fn state(&self) -> tree::State {
        tree::State::new(State::default())
    }

    fn size(&self) -> Size<Length> {
        Size::new(Length::Fill, Length::Shrink)
    }

    fn layout(
        &mut self,
        tree: &mut Tree,
        _: &iced::Renderer,
        limits: &layout::Limits,
    ) -> layout::Node {
        let width = limits.max().width;
        let size = self.build(tree.state.downcast_mut::<State>(), width);
        layout::Node::new(Size::new(width, size.height))
    }

    fn draw(
        &self,
        tree: &Tree,
        renderer: &mut iced::Renderer,
        _: &Theme,
        _: &renderer::Style,
        layout: Layout<'_>,
        _: mouse::Cursor,
        viewport: &Rectangle,
    ) {
        let bounds = layout.bounds();
        let state = tree.state.downcast_ref::<State>();
        for line in &state.paragraphs {
            let origin = Point::new(bounds.x, bounds.y + line.top);
            let area = Rectangle::new(origin, Size::new(bounds.width, line.height));
            if !area.intersects(viewport) {
                continue;
            }
            let shift = Vector::new(origin.x, origin.y);
            for (index, (_, _, kind, selected)) in line.spans.iter().enumerate() {
                let mut fill = |bounds: Rectangle, color: Color| {
                    let quad = renderer::Quad { bounds, ..renderer::Quad::default() };
                    renderer.fill_quad(quad, color);
                };
                if *selected {
                    for part in line.paragraph.span_bounds(index) {
                        fill(part + shift, Color { a: 0.3, ..self.tokens.accent });
                    }
                }
                if matches!(kind, Kind::Link(_)) {
                    for part in line.paragraph.span_bounds(index) {
                        let under = Rectangle {
                            y: part.y + part.height * 0.5 + TEXT_SIZE * 0.56,
                            height: 1.0,
                            ..part
                        };
                        fill(under + shift, self.tokens.accent);
                    }
                }
            }
            text::Renderer::fill_paragraph(
                renderer,
                &line.paragraph,
                origin,
                self.tokens.text,
                *viewport,
            );
        }
    }

    fn update(
        &mut self,
        tree: &mut Tree,
        event: &Event,
        layout: Layout<'_>,
        cursor: mouse::Cursor,
        _: &iced::Renderer,
        clipboard: &mut dyn Clipboard,
        shell: &mut Shell<'_, Message>,
        _: &Rectangle,
    ) {
        let state = tree.state.downcast_mut::<State>();
        let bounds = layout.bounds();
        match event {
            Event::Mouse(mouse::Event::ButtonPressed(mouse::Button::Left)) => {
                let had = state.selection.take();
                match cursor.position_in(bounds) {
                    Some(point) => {
                        let byte = state.byte_at(point, self.source);
                        // A second press at the same place takes the word.
                        let again = state.anchor.is_some()
                            && state.anchor == byte
                            && had.is_none()
                            && !state.dragging;
                        state.selection =
                            byte.filter(|_| again).map(|byte| word_around(&self.source.text, byte));
                        state.pressed = state.link_at(point);
                        state.anchor = byte;
                        state.dragging = true;
                    }
                    None => state.anchor = None,
                }
                if had != state.selection {
                    shell.invalidate_layout();
                    shell.request_redraw();
                }
            }
            Event::Mouse(mouse::Event::CursorMoved { .. }) if state.dragging => {
                let Some(position) = cursor.land().position() else { return };
                let point = Point::new(position.x - bounds.x, position.y - bounds.y);
                if let (Some(anchor), Some(byte)) =
                    (state.anchor, state.byte_at(point, self.source))
                    && anchor != byte
                {
                    let selection = Some(anchor.min(byte)..anchor.max(byte));
                    if state.selection != selection {
                        state.selection = selection;
                        shell.invalidate_layout();
                        shell.request_redraw();
                    }
                }
            }
            Event::Mouse(mouse::Event::ButtonReleased(mouse::Button::Left)) if state.dragging => {
                state.dragging = false;
                match &state.selection {
                    Some(selection) => {
                        let text = self.source.text.get(selection.clone()).unwrap_or_default();
                        clipboard.write(clipboard::Kind::Primary, text.to_owned());
                    }
                    None => {
                        let here =
                            cursor.position_in(bounds).and_then(|point| state.link_at(point));
                        if let Some(link) = state.pressed.filter(|pressed| here == Some(*pressed))
                            && let Some(url) = self.source.links.get(link)
                        {
                            shell.publish((self.on_link)(url.clone()));
                        }
                    }
                }
                state.pressed = None;
            }
            Event::Keyboard(keyboard::Event::KeyPressed {
                key: keyboard::Key::Character(key),
                modifiers,
                ..
            }) if modifiers.command() && !modifiers.shift() && key.as_str() == "c" => {
                if let Some(selection) = &state.selection {
                    let text = self.source.text.get(selection.clone()).unwrap_or_default();
                    clipboard.write(clipboard::Kind::Standard, text.to_owned());
                    shell.capture_event();
                }
            }
            _ => {}
        }
    }

    fn mouse_interaction(
        &self,
        tree: &Tree,
        layout: Layout<'_>,
        cursor: mouse::Cursor,
        _: &Rectangle,
        _: &iced::Renderer,
    ) -> mouse::Interaction {
        let state = tree.state.downcast_ref::<State>();
        match cursor.position_in(layout.bounds()) {
            Some(point) if state.link_at(point).is_some() => mouse::Interaction::Pointer,
            Some(_) => mouse::Interaction::Text,
            None => mouse::Interaction::default(),
        }
    }
}

impl<'a, Message: Clone + 'a> From<Selectable<'a, Message>> for Element<'a, Message> {
    fn from(widget: Selectable<'a, Message>) -> Self {
        Self::new(widget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_stands_for_the_bytes_that_came() {
        let text = "a\tb\u{202e}c\r\nsee https://x.y/z, ok\n";
        let source = Source::new(text);
        assert_eq!((source.text(), source.hidden(), source.line_count()), (text, 1, 2));
        let shown: String = source.lines[0].iter().map(|stretch| stretch.shown.as_str()).collect();
        assert_eq!(shown, "a       b[U+202E]c");
        assert_eq!(source.links, ["https://x.y/z"]);
        for stretch in source.lines.iter().flatten().filter(|stretch| stretch.kind == Kind::Plain) {
            let bytes = &text[stretch.source.clone()];
            assert!(bytes == stretch.shown || bytes == "\t");
        }
    }

    #[test]
    fn a_selection_cuts_plain_text_and_takes_chips_whole() {
        let plain = Stretch { shown: "hello".into(), source: 10..15, kind: Kind::Plain };
        let parts: Vec<_> =
            split(&plain, Some(&(11..13))).into_iter().map(|part| (part.0, part.2)).collect();
        assert_eq!(parts, [("h".into(), false), ("el".into(), true), ("lo".to_owned(), false)]);
        let chip = Stretch { shown: "[U+202E]".into(), source: 3..6, kind: Kind::Chip };
        assert!(split(&chip, Some(&(0..4)))[0].2);
        assert_eq!(word_around("ab cde f", 4), 3..6);
    }
}
