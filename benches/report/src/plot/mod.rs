//! Plots as SVG: one file is readable on a light and on a dark page, at widths of 880 and 390 pixels.

pub(crate) mod bars;
pub(crate) mod lines;

use svg::{
    Document,
    node::{
        Text as Words,
        element::{Group, Line, Rectangle, Style, Text, Title},
    },
};

/// Width: enough for a name, a bar and a figure, and no more, because a phone shrinks the plot to two thirds.
const WIDTH: f64 = 520.0;
/// Margin.
const MARGIN: f64 = 14.0;
/// Average width of a bold letter at the plots' font size, with a margin.
const LETTER: f64 = 8.9;

/// A background of its own, because the page may be dark when the system is light; colours with enough contrast on it.
const STYLE: &str = "
text { font: 14px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff }
.title { font-weight: 600; font-size: 15px }
.case { font-weight: 600 }
.muted { fill: #59636e; font-size: 13px }
.ours { font-weight: 600; fill: #0757ba }
.bar { fill: #b1bac4 }
.bar.ours { fill: #2f81f7 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.grid { stroke: #d1d9e0 }
.band { fill: #2f81f7; opacity: 0.25 }
.line { fill: none; stroke: #0757ba; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .page { fill: #0d1117 }
  .muted { fill: #9198a1 }
  .ours { fill: #79b8ff }
  .bar { fill: #59626c }
  .bar.ours { fill: #388bfd }
  .spread { stroke: #e6edf3 }
  .grid { stroke: #30363d }
  .line { stroke: #79b8ff }
}
";

/// A plot that grows downwards.
struct Canvas {
    drawn: Group,
    /// Vertical position of the next element.
    y: f64,
}

impl Canvas {
    fn new(title: &str, under: &str) -> Self {
        let mut canvas = Self { drawn: Group::new(), y: MARGIN + 13.0 };
        canvas.text(MARGIN, title, "title", "start");
        canvas.y += 19.0;
        canvas.text(MARGIN, under, "muted", "start");
        canvas.y += 10.0;
        canvas
    }

    /// Text with its baseline at the current height.
    fn text(&mut self, x: f64, text: &str, class: &str, anchor: &str) {
        let mut element = Text::new("").set("x", tidy(x)).set("y", tidy(self.y)).set("text-anchor", anchor);
        if !class.is_empty() {
            element = element.set("class", class);
        }
        self.add(element.add(Words::new(text)));
    }

    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], class: &str) {
        let line = Line::new().set("x1", tidy(x1)).set("y1", tidy(y1)).set("x2", tidy(x2)).set("y2", tidy(y2));
        self.add(line.set("class", class));
    }

    fn add(&mut self, element: impl Into<Box<dyn svg::Node>>) {
        self.drawn = std::mem::replace(&mut self.drawn, Group::new()).add(element);
    }

    /// The SVG document.
    fn finish(self, title: &str) -> String {
        let height = (self.y + MARGIN).ceil();
        let page = Rectangle::new().set("width", WIDTH).set("height", height).set("rx", 6).set("class", "page");
        let document = Document::new()
            .set("viewBox", (0, 0, WIDTH, height))
            .set("width", WIDTH)
            .set("height", height)
            .set("role", "img")
            .add(Title::new("").add(Words::new(title)))
            .add(Style::new(STYLE))
            .add(page)
            .add(self.drawn);
        format!("{document}\n")
    }
}

/// Rounded to a tenth of a pixel.
fn tidy(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "lengths of names")]
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The part of a text that fits.
fn fitted(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let fits = text.char_indices().map(|(at, _)| &text[..at]).take_while(|part| width_of(part) + LETTER <= width);
    format!("{}…", fits.last().unwrap_or_default().trim_end())
}
