//! Tables in Markdown and pictures in SVG.

use std::{
    fmt::{Display, Formatter, Result, Write as _},
    path::Path,
};

/// What a part has measured.
pub(crate) struct Figures {
    pub(crate) table: Table,
    /// A picture in SVG.
    pub(crate) picture: Option<String>,
    pub(crate) aims: Vec<Aim>,
    /// Lines of the README.
    pub(crate) lines: Vec<String>,
    /// What they mean for a user: sentences at the head of docs/benchmarks.md.
    pub(crate) meaning: String,
}

impl Figures {
    pub(crate) fn of(table: Table) -> Self {
        Self { table, picture: None, aims: Vec::new(), lines: Vec::new(), meaning: String::new() }
    }
}

/// A figure that has an aim.
pub(crate) struct Aim {
    what: &'static str,
    measured: f64,
    bound: f64,
    is_minimum: bool,
}

impl Aim {
    pub(crate) fn at_least(what: &'static str, bound: f64, measured: f64) -> Self {
        Self { what, measured, bound, is_minimum: true }
    }

    pub(crate) fn at_most(what: &'static str, bound: f64, measured: f64) -> Self {
        Self { what, measured, bound, is_minimum: false }
    }

    /// A row of the table of aims.
    pub(crate) fn row(&self) -> Vec<String> {
        let Self { what, measured, bound, is_minimum } = self;
        let is_reached = if *is_minimum { measured >= bound } else { measured <= bound };
        let wanted = format!("{} {bound}", if *is_minimum { "at least" } else { "at most" });
        vec![
            (*what).into(),
            wanted,
            format!("{measured:.2}"),
            if is_reached { "yes" } else { "**no**" }.into(),
        ]
    }
}

/// Puts figures into a document, in place of those between the comments with this name.
pub(crate) fn replace(document: &Path, name: &str, figures: &str) {
    let text = std::fs::read_to_string(document).expect("the document");
    let [begin, end] = [format!("<!-- figures: {name} -->\n"), format!("<!-- end: {name} -->")];
    let (before, rest) = text.split_once(&begin).expect("the comment before the figures");
    let (_, after) = rest.split_once(&end).expect("the comment behind the figures");
    let text = format!("{before}{begin}{}\n{end}{after}", figures.trim_end());
    std::fs::write(document, text).expect("the document");
}

/// The machine, and how busy others keep it.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (system, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let day = chrono::Utc::now().format("%Y-%m-%d");
    let system: Vec<&str> = system.split('.').take(2).collect();
    let system = system.join(".");
    format!("{day}, {cores} cores of {model}, Linux {system}, load average {load} before the first turn")
}

/// The middle of these values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table with a head.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let head: Vec<String> = head.iter().map(|&cell| cell.into()).collect();
        let line = vec!["---".to_owned(); head.len()];
        Self { rows: vec![head, line] }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub(crate) fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.rows[0].len(), String::new());
        eprintln!("{}", cells.join(" | "));
        self.rows.push(cells);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for row in &self.rows {
            match row[0].as_str() {
                "---" => writeln!(f, "|{}|", row.join("|"))?,
                _ => writeln!(f, "| {} |", row.join(" | "))?,
            }
        }
        Ok(())
    }
}

const COLOURS: [&str; 3] = ["#b8c4ce", "#6b8ba4", "#c2410c"];
const HEIGHT: f64 = 200.0;

/// Groups of bars, one for each series.
pub(crate) struct Chart<'a> {
    title: &'a str,
    series: &'a [&'a str],
    groups: Vec<(String, Vec<f64>)>,
}

impl<'a> Chart<'a> {
    pub(crate) fn new(title: &'a str, series: &'a [&'a str]) -> Self {
        Self { title, series, groups: Vec::new() }
    }

    pub(crate) fn group(&mut self, name: &str, bars: Vec<f64>) {
        self.groups.push((name.into(), bars));
    }

    pub(crate) fn svg(&self) -> String {
        let most = self.groups.iter().flat_map(|(_, bars)| bars).fold(0.0_f64, |most, &bar| most.max(bar));
        let wide = self.series.len() * 48 + 24;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} 290\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"16\" y=\"22\" font-size=\"14\">{}</text>\n",
            self.groups.len() * wide + 32,
            self.title
        );
        for (group, (name, bars)) in self.groups.iter().enumerate() {
            let left = 16 + group * wide;
            for (n, &bar) in bars.iter().enumerate() {
                let (tall, x) = (bar / most * HEIGHT, left + n * 48);
                let top = 245.0 - tall;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{top:.0}\" width=\"44\" height=\"{tall:.0}\" fill=\"{}\"/>\
                     <text x=\"{}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"10\">{bar:.0}</text>",
                    COLOURS[n % COLOURS.len()],
                    x + 22,
                    top - 4.0
                );
            }
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"260\" text-anchor=\"middle\">{name}</text>",
                left + wide / 2 - 14
            );
        }
        for (n, name) in self.series.iter().enumerate() {
            let x = 16 + n * 190;
            let colour = COLOURS[n % COLOURS.len()];
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"270\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"279\">{name}</text>",
                x + 16
            );
        }
        svg + "</svg>\n"
    }
}
