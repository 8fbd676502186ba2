//! One picture of the report. It draws what it is given and reads no key.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::report::{Filter, Report, Traffic};

/// Below this share of success a row stands out.
const WELL: f64 = 0.99;
const NUMBER_WIDTH: u16 = 10;
const NAME_WIDTH: u16 = 24;

/// What there is to see.
#[derive(Debug)]
pub struct State {
    /// Who is looked at.
    pub admin: String,
    /// `None` before the second look.
    pub report: Option<Report>,
    /// The last look failed; what is shown is older.
    pub error: Option<String>,
}

pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let rows = state.report.as_ref().map_or(0, |report| report.traffic.len());
    let rows = u16::try_from(rows + 1).unwrap_or(u16::MAX);
    let [head, traffic, _, filters, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Max(rows),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(headline(state)), head);
    if let Some(report) = &state.report {
        frame.render_widget(table(&Traffic::HEADER, report.traffic.iter().map(traffic_row).collect()), traffic);
        if !report.filters.is_empty() {
            frame.render_widget(table(&Filter::HEADER, report.filters.iter().map(filter_row).collect()), filters);
        }
    }
    let foot_line = match &state.error {
        Some(error) => Line::styled(format!("error: {error}"), bad()),
        None => Line::styled("q: quit", Style::new().add_modifier(Modifier::DIM)),
    };
    frame.render_widget(Paragraph::new(foot_line), foot);
}

fn headline(state: &State) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let told = match &state.report {
        None => "looking…".to_owned(),
        Some(report) => {
            let listeners = report.traffic.iter().filter(|row| row.cluster.is_none());
            let per_second: f64 = listeners.map(|row| row.per_second).sum();
            format!("{per_second:.0} requests/s over {:.0} s", report.seconds)
        }
    };
    Line::from(vec![Span::styled("tamis", strong), Span::raw(format!(" {}  {told}", state.admin))])
}

fn table<'a>(header: &[&'a str], rows: Vec<Row<'a>>) -> Table<'a> {
    let widths = std::iter::once(Constraint::Min(NAME_WIDTH))
        .chain(std::iter::repeat_n(Constraint::Length(NUMBER_WIDTH), header.len().saturating_sub(1)));
    let style = Style::new().add_modifier(Modifier::BOLD);
    Table::new(rows, widths).header(Row::new(header.iter().map(|name| Cell::from(*name))).style(style))
}

fn traffic_row(traffic: &Traffic) -> Row<'static> {
    let mut style = Style::new();
    if traffic.cluster.is_none() {
        style = style.add_modifier(Modifier::BOLD);
    }
    if traffic.success.is_some_and(|share| share < WELL) {
        style = style.patch(bad());
    }
    Row::new(traffic.cells().into_iter().map(Cell::from)).style(style)
}

fn filter_row(filter: &Filter) -> Row<'static> {
    let style = if filter.failed_per_second > 0.0 { bad() } else { Style::new() };
    Row::new(filter.cells().into_iter().map(Cell::from)).style(style)
}

/// In reverse where colours are not wanted.
fn bad() -> Style {
    if std::env::var_os("NO_COLOR").is_some() {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new().fg(Color::Red)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::report::tests::looks;
    use super::*;

    /// What stands on a screen of this size.
    fn drawn(width: u16, height: u16, state: &State) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, state)).expect("it draws");
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    fn state(error: Option<&str>) -> State {
        let (before, now) = looks();
        let report = Some(Report::between(&before, &now));
        State { admin: "http://127.0.0.1:9901".to_owned(), report, error: error.map(str::to_owned) }
    }

    #[test]
    fn listeners_clusters_and_filters_are_there() {
        let lines = drawn(110, 14, &state(None));
        assert_eq!(lines[0], "tamis http://127.0.0.1:9901  10 requests/s over 10 s");
        for (at, cells) in [
            (2, &["LISTENER / CLUSTER", "REQ/S", "SUCCESS", "P50", "P95", "P99", "ACTIVE", "CONNS"][..]),
            (3, &["edge", "10", "95.00", "%", "263", "us", "500", "us", "8.2", "ms", "3", "7"]),
            (4, &["(none)", "0", "-", "-", "-", "-"]),
            (5, &["users", "10", "95.00", "%"]),
            (7, &["FILTER", "CALLS/S", "TIME/CALL", "FAILED/S", "FAILED"]),
            (8, &["gate", "10", "40", "us", "0", "2"]),
        ] {
            let found: Vec<_> = lines[at].split_whitespace().collect();
            let expected: Vec<_> = cells.iter().flat_map(|cell| cell.split(' ')).collect();
            assert!(found.starts_with(&expected), "{at}: {}", lines[at]);
        }
        assert_eq!(lines[13], "q: quit");
    }

    #[test]
    fn a_look_that_failed_is_told_and_what_was_known_stays() {
        let lines = drawn(80, 12, &state(Some("cannot connect")));
        assert_eq!(lines[11], "error: cannot connect");
        assert!(lines[3].starts_with("edge"), "{lines:?}");
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (10, 3), (200, 1), (3, 50)] {
            drawn(width, height, &state(None));
            drawn(width, height, &State { admin: String::new(), report: None, error: None });
        }
    }
}
