//! The success rate of each policy, second by second, as an SVG.

use crate::{Run, SECONDS, SLOW_FROM};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
/// Left, top, right and bottom of what is inside of the axes.
const FRAME: (f64, f64, f64, f64) = (60.0, 40.0, 740.0, 290.0);
/// The lowest rate that is shown, in percent.
const LOWEST: f64 = 80.0;
const COLOURS: [&str; 3] = ["#d62728", "#1f77b4", "#2ca02c"];

pub fn svg(runs: &[Run]) -> String {
    let (left, top, right, bottom) = FRAME;
    let x = |second: u64| left + (right - left) * second as f64 / SECONDS as f64;
    let y = |rate: f64| bottom - (bottom - top) * (rate.max(LOWEST) - LOWEST) / (100.0 - LOWEST);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <rect x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f3f3f3\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#666666\">one endpoint takes 2 s</text>\n",
        x(SLOW_FROM),
        right - x(SLOW_FROM),
        bottom - top,
        x(SLOW_FROM) + 6.0,
        bottom - 8.0,
    );
    for rate in [80.0, 85.0, 90.0, 95.0, 100.0] {
        svg += &format!(
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#cccccc\"/>\n\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{rate} %</text>\n",
            y(rate),
            left - 6.0,
            y(rate) + 4.0,
        );
    }
    for second in (0..=SECONDS).step_by(5) {
        svg += &format!("<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>\n", x(second), bottom + 18.0);
    }
    svg += &format!("<text x=\"{left}\" y=\"20\">answered within 1 s, by the second in which the request was sent</text>\n");
    for (number, (run, colour)) in runs.iter().zip(COLOURS).enumerate() {
        let point = |second| format!("{:.1},{:.1}", x(second), y(run.success(second..second + 1)));
        let points: Vec<_> = (0..SECONDS).map(point).collect();
        let at = left + 140.0 * number as f64;
        let (end, words, line, below) = (at + 20.0, at + 26.0, HEIGHT - 12.0, HEIGHT - 8.0);
        svg += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <line x1=\"{at}\" x2=\"{end}\" y1=\"{line}\" y2=\"{line}\" stroke=\"{colour}\" stroke-width=\"3\"/>\n\
             <text x=\"{words}\" y=\"{below}\">{}</text>\n",
            points.join(" "),
            run.name,
        );
    }
    svg + "</svg>\n"
}
