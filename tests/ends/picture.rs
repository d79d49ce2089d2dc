//! A picture of the screen, looked at pixel by pixel.

/// Left, top, right, bottom.
pub type Area = (usize, usize, usize, usize);
/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A picture as rows of pixels.
pub struct Picture {
    pixels: Vec<Rgb>,
    width: usize,
}

impl Picture {
    /// From raw RGB bytes.
    pub fn new(bytes: &[u8], width: usize) -> Self {
        let pixels = bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { pixels, width }
    }

    /// The colour of a pixel.
    pub fn at(&self, x: usize, y: usize) -> Rgb {
        self.pixels.get(y * self.width + x).copied().unwrap_or_default()
    }

    /// Whether a pixel has a colour, about.
    pub fn is(&self, x: usize, y: usize, color: Rgb) -> bool {
        self.at(x, y).iter().zip(color).all(|(one, two)| one.abs_diff(two) < 12)
    }

    /// How much of an area has a colour, in percent.
    pub fn share(&self, color: Rgb, area: Area) -> usize {
        let (left, top, right, bottom) = area;
        let all = (right - left) * (bottom - top);
        let hits = (top..bottom)
            .flat_map(|y| (left..right).map(move |x| (x, y)))
            .filter(|(x, y)| self.is(*x, *y, color))
            .count();
        hits * 100 / all
    }

    /// Whether a pixel of an area has a colour, about.
    pub fn has(&self, color: Rgb, area: Area) -> bool {
        (area.1..area.3).any(|y| (area.0..area.2).any(|x| self.is(x, y, color)))
    }

    /// The middle of the first run of at least `length` pixels of a colour in a row of the area, whose next `rows` rows
    /// have it too.
    pub fn run(
        &self,
        color: Rgb,
        length: usize,
        rows: usize,
        area: Area,
    ) -> Option<(usize, usize)> {
        (area.1..area.3).find_map(|y| self.run_in_row(color, length, rows, area, y))
    }

    /// The same, from below.
    pub fn lowest_run(&self, color: Rgb, length: usize, area: Area) -> Option<(usize, usize)> {
        (area.1..area.3).rev().find_map(|y| self.run_in_row(color, length, 1, area, y))
    }

    fn run_in_row(
        &self,
        color: Rgb,
        length: usize,
        rows: usize,
        area: Area,
        y: usize,
    ) -> Option<(usize, usize)> {
        let mut count = 0;
        (area.0..area.2).find_map(|x| {
            count = if self.is(x, y, color) { count + 1 } else { 0 };
            let middle = x + 1 - count.min(x) + count / 2;
            let tall =
                || (y..y + rows).all(|y| self.is(x - length / 2, y, color) || self.is(x, y, color));
            (count == length && tall()).then_some((middle, y))
        })
    }

    /// The middle of what differs between two pictures.
    pub fn difference(&self, other: &Self, area: Area) -> Option<(usize, usize)> {
        let (left, top, right, bottom) = area;
        let spots: Vec<(usize, usize)> = (top..bottom)
            .flat_map(|y| (left..right).map(move |x| (x, y)))
            .filter(|(x, y)| self.at(*x, *y) != other.at(*x, *y))
            .collect();
        let xs = (spots.iter().map(|spot| spot.0).min()?, spots.iter().map(|spot| spot.0).max()?);
        let ys = (spots.iter().map(|spot| spot.1).min()?, spots.iter().map(|spot| spot.1).max()?);
        Some((usize::midpoint(xs.0, xs.1), usize::midpoint(ys.0, ys.1)))
    }
}
