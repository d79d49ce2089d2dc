//! Text of a message: selectable by dragging, links that open, hidden characters as chips. What is copied are the bytes
//! of the source, never those of the picture.

mod source;

pub use source::{Press, Source, spelled_out};

use std::ops::Range;

use iced::advanced::text::{Paragraph as _, Shaping, Span, Text, Wrapping};
use iced::advanced::widget::{Tree, tree};
use iced::advanced::{
    Clipboard, Layout, Renderer as _, Shell, Widget, clipboard, layout, mouse, renderer, text,
};
use iced::{
    Color, Element, Event, Font, Length, Pixels, Point, Rectangle, Size, Theme, Vector, alignment,
    keyboard,
};

use self::source::{Kind, Stretch};
use crate::theme::Tokens;
use crate::ui::{MONO, SANS};

type Paragraph = <iced::Renderer as text::Renderer>::Paragraph;

const TEXT_SIZE: f32 = 15.0;
const LINE_HEIGHT: f32 = 22.0;
const CODE_SIZE: f32 = 13.0;
/// Lines of a long text that are shown before it is opened.
const CUT_LINES: usize = 8;

/// The widget.
pub struct Selectable<'a, Message> {
    source: &'a Source,
    tokens: Tokens,
    is_cut: bool,
    on_link: Box<dyn Fn(Press) -> Message + 'a>,
}

/// Shows a message's text.
pub fn selectable<'a, Message>(
    source: &'a Source,
    tokens: Tokens,
    on_link: impl Fn(Press) -> Message + 'a,
) -> Selectable<'a, Message> {
    Selectable { source, tokens, is_cut: false, on_link: Box::new(on_link) }
}

impl<Message> Selectable<'_, Message> {
    /// Shows only the first lines of a long text.
    pub fn cut(self, is_cut: bool) -> Self {
        Self { is_cut, ..self }
    }
}

/// What a picture of a text depends on; where it is the same, nothing is laid out again.
#[derive(Clone)]
struct Key {
    source: Source,
    selection: Option<Range<usize>>,
    width: f32,
    is_dark: bool,
    is_cut: bool,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.source.is(&other.source)
            && self.selection == other.selection
            && self.width == other.width
            && self.is_dark == other.is_dark
            && self.is_cut == other.is_cut
    }
}

#[derive(Default)]
struct State {
    paragraphs: Vec<Built>,
    built: Option<Key>,
    click: Option<mouse::Click>,
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
    /// Lays the text out where anything changed, and says how high it is.
    fn build(&self, state: &mut State, width: f32) -> f32 {
        let key = Key {
            source: self.source.clone(),
            selection: state.selection.clone(),
            width,
            is_dark: self.tokens.is_dark,
            is_cut: self.is_cut,
        };
        if state.built.as_ref() != Some(&key) {
            let mut top = 0.0;
            let lines = self.source.lines();
            let most = if self.is_cut { CUT_LINES } else { lines.len() };
            let lines = lines.iter().take(most).map(|line| {
                let built = self.build_line(line, state.selection.as_ref(), width, top);
                top += built.height;
                built
            });
            state.paragraphs = lines.collect();
            state.built = Some(key);
        }
        let height: f32 = state.paragraphs.iter().map(|line| line.height).sum();
        if self.is_cut { height.min(CUT_LINES as f32 * LINE_HEIGHT) } else { height }
    }

    fn build_line(
        &self,
        line: &[Stretch],
        selection: Option<&Range<usize>>,
        width: f32,
        top: f32,
    ) -> Built {
        let (font, size) = self.font();
        let mut spans: Vec<Span<'_, (), Font>> = Vec::new();
        let mut meaning = Vec::new();
        for stretch in line {
            for (shown, source, selected) in split(stretch, selection) {
                let color = match stretch.kind {
                    Kind::Chip => self.tokens.warn,
                    Kind::Link(_) => self.tokens.accent,
                    Kind::Plain => self.tokens.text,
                };
                let mut span = Span::new(shown.clone()).color(color).font(font);
                if stretch.kind == Kind::Chip {
                    span = span.font(MONO).size(12);
                }
                if matches!(stretch.kind, Kind::Link(_)) {
                    span = span.underline(true);
                }
                meaning.push((shown.len(), source, stretch.kind, selected));
                spans.push(span);
            }
        }
        let paragraph = Paragraph::with_spans(Text {
            content: spans.as_slice(),
            bounds: Size::new(width, f32::INFINITY),
            size: Pixels(size),
            line_height: text::LineHeight::Absolute(Pixels(LINE_HEIGHT)),
            font,
            align_x: text::Alignment::Default,
            align_y: alignment::Vertical::Top,
            shaping: Shaping::Advanced,
            wrapping: Wrapping::WordOrGlyph,
        });
        let height = paragraph.min_bounds().height.max(LINE_HEIGHT);
        Built { paragraph, spans: meaning, top, height }
    }

    fn font(&self) -> (Font, f32) {
        if self.source.is_code() { (MONO, CODE_SIZE) } else { (SANS, TEXT_SIZE) }
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
            return Some(source.text().len());
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
        .text()
        .split('\n')
        .take(line)
        .map(|line| line.len() + 1)
        .sum::<usize>()
        .min(source.text().len())
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
        let height = self.build(tree.state.downcast_mut::<State>(), width);
        layout::Node::new(Size::new(width, height))
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
        let Some(shown) = bounds.intersection(viewport) else { return };
        let size = self.font().1;
        let state = tree.state.downcast_ref::<State>();
        for line in &state.paragraphs {
            let origin = Point::new(bounds.x, bounds.y + line.top);
            let area = Rectangle::new(origin, Size::new(bounds.width, line.height));
            if !area.intersects(&shown) {
                continue;
            }
            let shift = Vector::new(origin.x, origin.y);
            for (index, (_, _, kind, selected)) in line.spans.iter().enumerate() {
                let mut fill = |bounds: Rectangle, color: Color| {
                    if let Some(bounds) = bounds.intersection(&shown) {
                        let quad = renderer::Quad { bounds, ..renderer::Quad::default() };
                        renderer.fill_quad(quad, color);
                    }
                };
                if *selected {
                    for part in line.paragraph.span_bounds(index) {
                        fill(part + shift, Color { a: 0.3, ..self.tokens.accent });
                    }
                }
                if matches!(kind, Kind::Link(_)) {
                    for part in line.paragraph.span_bounds(index) {
                        let under = Rectangle {
                            y: part.y + part.height * 0.5 + size * 0.56,
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
                shown,
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
                        let click =
                            mouse::Click::new(point, mouse::Button::Left, state.click.take());
                        state.selection = match (click.kind(), byte) {
                            (mouse::click::Kind::Single, _) | (_, None) => None,
                            (mouse::click::Kind::Double, Some(byte)) => {
                                Some(word_around(self.source.text(), byte))
                            }
                            (mouse::click::Kind::Triple, Some(_)) => {
                                Some(0..self.source.text().len())
                            }
                        };
                        state.click = Some(click);
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
                        let text = self.source.text().get(selection.clone()).unwrap_or_default();
                        clipboard.write(clipboard::Kind::Primary, text.to_owned());
                    }
                    None => {
                        let here =
                            cursor.position_in(bounds).and_then(|point| state.link_at(point));
                        if let Some(link) = state.pressed.filter(|pressed| here == Some(*pressed))
                            && let Some(press) = self.source.press(link)
                        {
                            shell.publish((self.on_link)(press.clone()));
                        }
                    }
                }
                state.pressed = None;
            }
            Event::Keyboard(keyboard::Event::KeyPressed {
                key, physical_key, modifiers, ..
            }) if modifiers.command()
                && !modifiers.shift()
                && key.to_latin(*physical_key) == Some('c') =>
            {
                if let Some(selection) = &state.selection {
                    let text = self.source.text().get(selection.clone()).unwrap_or_default();
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
