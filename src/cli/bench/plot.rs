//! Plots as SVG: lines over a grid, and bars.

use super::html::{COLOURS, escaped};
use crate::cli::size::rounded;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 260.0;
/// Room for what stands on the axes: left, right, top, bottom.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// Grid lines on each axis, about.
const STEPS: f64 = 5.0;
/// More points than this cannot be seen: the largest of neighbours stays.
const POINTS_MAX: usize = 1000;

/// Lines over the same axes.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    /// Units.
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// Of the upward axis.
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
}

/// One line.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Of the upward axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// Each power of ten as high as the next.
    Logarithmic,
}

/// Bars in groups, each bar one time.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) groups: &'a [(&'a str, &'a [f64])],
}

/// From values to places on the paper.
struct Axes {
    scale: Scale,
    x: (f64, f64),
    y: (f64, f64),
}

impl Plot<'_> {
    /// With its title and its legend.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            return String::new();
        }
        let axes = Axes::around(points(), self.scale);
        let mut svg = begin(self.title);
        axes.grid(&mut svg, self.x, self.y);
        for line in &self.lines {
            let points = thinned(&line.points);
            let at =
                points.iter().map(|&(x, y)| format!("{:.1},{:.1}", axes.across(x), axes.up(y)));
            let at: Vec<String> = at.collect();
            put(
                &mut svg,
                format_args!(
                    "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" points=\"{}\"/>",
                    line.colour,
                    at.join(" "),
                ),
            );
        }
        let names = self.lines.iter().map(|line| (line.name.as_str(), line.colour));
        legend(&mut svg, names);
        svg.push_str("</svg>\n");
        svg
    }
}

impl Bars<'_> {
    /// With its title, a colour for each group.
    pub(super) fn svg(&self) -> String {
        let all: Vec<(usize, f64)> = self
            .groups
            .iter()
            .enumerate()
            .flat_map(|(at, group)| group.1.iter().map(move |&value| (at, value)))
            .collect();
        let points: Vec<(f64, f64)> =
            (0_u64..).zip(&all).map(|(place, &(_, value))| (rounded(place) + 1.0, value)).collect();
        if points.is_empty() {
            return String::new();
        }
        let mut axes = Axes::around(points.iter(), Scale::Linear);
        axes.x = (0.0, axes.x.1 + 1.0);
        let mut svg = begin(self.title);
        axes.grid(&mut svg, "time", self.unit);
        let width = (axes.across(1.0) - axes.across(0.0)) * 0.8;
        for ((x, y), (group, _)) in points.iter().zip(&all) {
            let colour = COLOURS.iter().cycle().nth(*group).unwrap_or(&"#888");
            let (left, top) = (axes.across(*x) - width / 2.0, axes.up(*y));
            put(
                &mut svg,
                format_args!(
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
                 fill=\"{colour}\"><title>{y:.0} {}</title></rect>",
                    HEIGHT - BOTTOM - top,
                    self.unit,
                ),
            );
        }
        let names = self.groups.iter().map(|group| group.0).zip(COLOURS.iter().copied().cycle());
        legend(&mut svg, names);
        svg.push_str("</svg>\n");
        svg
    }
}

impl Axes {
    fn around<'p>(points: impl Iterator<Item = &'p (f64, f64)>, scale: Scale) -> Self {
        let empty = (f64::INFINITY, f64::NEG_INFINITY);
        let wider = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (x, y) = points.fold((empty, empty), |(x, y), at| (wider(x, at.0), wider(y, at.1)));
        let y = match scale {
            Scale::Linear => (0.0, (y.1 * 1.05).max(1e-3)),
            Scale::Logarithmic => (
                10_f64.powf(y.0.max(1e-3).log10().floor()),
                10_f64.powf(y.1.max(1e-2).log10().ceil()),
            ),
        };
        let y = if y.0 < y.1 { y } else { (y.0, y.0 * 10.0) };
        Self { scale, x: (x.0.min(0.0), x.1.max(1e-3)), y }
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (y - self.y.0) / (self.y.1 - self.y.0),
            Scale::Logarithmic => {
                (y.max(self.y.0).log10() - self.y.0.log10()) / (self.y.1.log10() - self.y.0.log10())
            }
        };
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, svg: &mut String, x_unit: &str, y_unit: &str) {
        let heights = match self.scale {
            Scale::Linear => steps(self.y.0, self.y.1),
            Scale::Logarithmic => powers(self.y.0, self.y.1),
        };
        for value in heights {
            let y = self.up(value);
            put(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    y + 4.0,
                    shown(value),
                ),
            );
        }
        for value in steps(self.x.0, self.x.1) {
            put(
                svg,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                    self.across(value),
                    HEIGHT - BOTTOM + 16.0,
                    shown(value),
                ),
            );
        }
        put(
            svg,
            format_args!(
                "<text x=\"{}\" y=\"{HEIGHT}\" text-anchor=\"end\">{}</text>\
             <text x=\"4\" y=\"{}\">{}</text>",
                WIDTH - RIGHT,
                escaped(x_unit),
                TOP + 2.0,
                escaped(y_unit),
            ),
        );
    }
}

fn begin(title: &str) -> String {
    format!("<h2>{}</h2>\n<svg viewBox=\"0 0 {WIDTH} {}\">", escaped(title), HEIGHT + 24.0)
}

fn legend<'a>(svg: &mut String, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut x = LEFT;
    for (name, colour) in names {
        put(
            svg,
            format_args!(
                "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
                HEIGHT + 10.0,
                x + 17.0,
                HEIGHT + 16.0,
                escaped(name),
            ),
        );
        x += 130.0;
    }
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.write_fmt(what).expect("a string takes everything");
}

/// Round numbers between two others.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let rough = ((high - low) / STEPS).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|s| *s >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil() * step;
    std::iter::successors(Some(first), |at| Some(at + step)).take_while(|at| *at <= high).collect()
}

/// Powers of ten between two others, themselves among them.
fn powers(low: f64, high: f64) -> Vec<f64> {
    std::iter::successors(Some(low), |at| Some(at * 10.0))
        .take_while(|at| *at <= high * 1.001)
        .collect()
}

/// `1500` as `1.5k`.
fn shown(value: f64) -> String {
    let text = match value.abs() {
        large if large >= 1e6 => format!("{:.2}M", value / 1e6),
        large if large >= 1e3 => format!("{:.1}k", value / 1e3),
        large if large >= 10.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    };
    let (digits, unit) = text.split_at(text.find(['M', 'k']).unwrap_or(text.len()));
    if !digits.contains('.') {
        return text;
    }
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Few enough points: of neighbours the largest.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS_MAX).max(1);
    let largest = |chunk: &[(f64, f64)]| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(each).filter_map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_numbers() {
        assert_eq!(steps(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(powers(0.1, 100.0).len(), 4);
        for (value, text) in [(0.0, "0"), (0.5, "0.5"), (40.0, "40"), (1500.0, "1.5k"), (2e6, "2M")]
        {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn a_long_line_keeps_its_peaks() {
        let mut points: Vec<(f64, f64)> = (0..5000).map(|x| (f64::from(x), 1.0)).collect();
        points[4321].1 = 9.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.iter().any(|point| point.1 > 8.0));
    }

    #[test]
    fn nothing_makes_no_plot() {
        let plot = Plot { title: "t", x: "s", y: "ms", scale: Scale::Linear, lines: Vec::new() };
        assert_eq!(plot.svg(), "");
    }
}
