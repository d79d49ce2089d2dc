//! Code and quotes: which lines, or which part of a line, are not the writer's own prose.

use std::ops::Range;

/// A stretch of code or of quoted lines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Region {
    /// Its bytes in the text, with fences, marks and the ends of all its lines but the last.
    pub range: Range<usize>,
    /// What it is.
    pub kind: RegionKind,
}

/// What a region is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegionKind {
    /// Lines between two fences, ``` or ~~~; one that is not closed goes to the end.
    Fence,
    /// Two lines and more that begin with two spaces or a tab.
    Indented,
    /// A part of a line between two backticks.
    Inline,
    /// Lines that begin with `>`.
    Quote,
}

impl Region {
    /// The bytes of the code itself: without fences and backticks.
    pub fn content(&self, text: &str) -> Range<usize> {
        let whole = &text[self.range.clone()];
        let (start, end) = (self.range.start, self.range.end);
        match self.kind {
            RegionKind::Fence => {
                let begin = start + whole.find('\n').map_or(whole.len(), |at| at + 1);
                let last = whole.rfind('\n').map_or(start, |at| start + at + 1);
                let mark = fence(whole).unwrap_or_default();
                let is_closed = last > begin
                    && fence(&text[last..end]).is_some_and(|close| {
                        close.starts_with(mark) && text[last..end].trim() == close
                    });
                begin..if is_closed { last } else { end }
            }
            RegionKind::Inline => {
                let marks = whole.len() - whole.trim_start_matches('`').len();
                start + marks..end - marks
            }
            RegionKind::Indented | RegionKind::Quote => start..end,
        }
    }
}

/// What the line before belongs to.
enum Open {
    Fence { start: usize, end: usize, mark: String },
    Indented { start: usize, end: usize, lines: usize },
    Nothing,
    Quote { start: usize, end: usize },
}

/// All regions, in order, without overlap.
pub fn regions(text: &str) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut open = Open::Nothing;
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\n', '\r']);
        open = next_line(open, line, start, &mut regions);
        start += whole.len();
    }
    close(open, &mut regions);
    regions.sort_by_key(|region| region.range.start);
    regions
}

fn next_line(open: Open, line: &str, at: usize, regions: &mut Vec<Region>) -> Open {
    let line_end = at + line.len();
    match open {
        Open::Fence { start, mark, .. } => {
            let closes = fence(line).is_some_and(|close| close.starts_with(&mark))
                && line.trim().chars().all(|c| mark.starts_with(c));
            let open = Open::Fence { start, end: line_end, mark };
            if closes {
                close(open, regions);
                return Open::Nothing;
            }
            open
        }
        Open::Quote { start, .. } if is_quote(line) => Open::Quote { start, end: line_end },
        Open::Indented { start, lines, .. } if is_indented(line) => {
            Open::Indented { start, end: line_end, lines: lines + 1 }
        }
        // A line without anything in it does not end what is indented.
        Open::Indented { start, end, lines } if line.trim().is_empty() => {
            Open::Indented { start, end, lines }
        }
        Open::Indented { .. } | Open::Nothing | Open::Quote { .. } => {
            close(open, regions);
            begin(line, at, regions)
        }
    }
}

fn begin(line: &str, at: usize, regions: &mut Vec<Region>) -> Open {
    let end = at + line.len();
    if let Some(mark) = fence(line) {
        Open::Fence { start: at, end, mark: mark.to_owned() }
    } else if is_quote(line) {
        Open::Quote { start: at, end }
    } else if is_indented(line) {
        Open::Indented { start: at, end, lines: 1 }
    } else {
        inline(line, at, regions);
        Open::Nothing
    }
}

fn close(open: Open, regions: &mut Vec<Region>) {
    let (range, kind) = match open {
        Open::Fence { start, end, .. } => (start..end, RegionKind::Fence),
        Open::Indented { start, end, lines } if lines >= 2 => (start..end, RegionKind::Indented),
        Open::Indented { .. } | Open::Nothing => return,
        Open::Quote { start, end } => (start..end, RegionKind::Quote),
    };
    regions.push(Region { range, kind });
}

/// The mark of a fence: three and more of ` or ~ after at most three spaces, and no backtick behind it.
fn fence(line: &str) -> Option<&str> {
    let line = line.lines().next().unwrap_or_default();
    let inner = line.trim_start_matches(' ');
    let c = inner.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let mark = &inner[..inner.len() - inner.trim_start_matches(c).len()];
    let is_fence =
        line.len() - inner.len() <= 3 && mark.len() >= 3 && !inner[mark.len()..].contains('`');
    is_fence.then_some(mark)
}

fn is_quote(line: &str) -> bool {
    let rest = line.trim_start_matches('>');
    rest.len() < line.len() && (rest.is_empty() || rest.starts_with(' '))
}

fn is_indented(line: &str) -> bool {
    (line.starts_with("  ") || line.starts_with('\t')) && !line.trim().is_empty()
}

/// Code between backticks within a line: as many at its end as at its beginning.
fn inline(line: &str, start: usize, regions: &mut Vec<Region>) {
    let runs: Vec<Range<usize>> = runs_of_backticks(line);
    let mut next = 0;
    // Of each length the last run, so that an unclosed one is not looked for again and again.
    let mut last = std::collections::BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        last.insert(run.len(), place);
    }
    while next < runs.len() {
        let open = &runs[next];
        let may_close = last.get(&open.len()).is_some_and(|place| *place > next);
        let closing = may_close
            .then(|| (next + 1..runs.len()).find(|place| runs[*place].len() == open.len()))
            .flatten();
        let Some(closing) = closing else {
            next += 1;
            continue;
        };
        if !line[open.end..runs[closing].start].trim().is_empty() {
            let range = start + open.start..start + runs[closing].end;
            regions.push(Region { range, kind: RegionKind::Inline });
        }
        next = closing + 1;
    }
}

fn runs_of_backticks(line: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in line.match_indices('`') {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Whether a range begins in code.
pub(super) fn is_code(regions: &[Region], range: &Range<usize>) -> bool {
    let at = regions.partition_point(|region| region.range.end <= range.start);
    regions.get(at).is_some_and(|region| match region.kind {
        RegionKind::Fence | RegionKind::Indented | RegionKind::Inline => {
            region.range.start <= range.start
        }
        RegionKind::Quote => false,
    })
}
