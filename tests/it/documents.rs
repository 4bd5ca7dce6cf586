//! The documents: links and anchors lead somewhere, pages stay short, and the tables say what the program does.

use sms_proxy::{
    http::{CONSOLE_ROUTES, Guard, METRICS_ROUTE, ROUTES, Reason, SANDBOX_ROUTE},
    provider::flowroute::CODES,
    settings::SETTINGS,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// The most lines of the README, and of any other page.
const README_LINES: usize = 250;
const PAGE_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder whose names have this extension, as paths from the root.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {extension} files in {folder}");
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from));
    pages
}

/// The lines of a page outside of fenced code.
fn prose(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    };
    page.lines().filter(is_prose).collect()
}

/// A line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of the links of a page.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(page) {
        let line = without_code(line);
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(inline.map(|(target, _)| target.to_owned()));
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        links.extend(definition.map(|(_, target)| target.to_owned()));
    }
    links
}

/// The anchors of a page, by GitHub's rule: lower case, spaces become hyphens, punctuation goes, and a repeated one gets a
/// number.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for line in prose(page) {
        let heading = line.trim_start_matches('#');
        if !(1..=6).contains(&(line.len() - heading.len())) || !heading.starts_with(' ') {
            continue;
        }
        let mut slug = String::new();
        for c in heading.trim().to_lowercase().chars() {
            match c {
                ' ' => slug.push('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => slug.push(c),
                _ => {}
            }
        }
        let times = seen.entry(slug.clone()).or_default();
        anchors.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    anchors
}

/// What is wrong with a link from a file in this folder, if anything is.
fn problem(folder: &Path, from: &Path, link: &str) -> Option<String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let mut target = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir if !target.pop() => return Some("leaves the project".into()),
            Component::ParentDir | Component::CurDir => {}
            part => target.push(part),
        }
    }
    let target = if path.is_empty() { from.to_owned() } else { target };
    if !root().join(&target).exists() {
        return Some("does not exist".into());
    }
    let anchor = anchor?;
    let is_page = target.extension().is_some_and(|extension| extension == "md");
    (!is_page || !anchors(&text(&target)).contains(anchor)).then(|| format!("has no anchor #{anchor}"))
}

/// The citations of pages in a source file: `docs/page.md`, with or without an anchor.
fn citations(source: &str) -> Vec<&str> {
    let starts = source.match_indices("docs/").map(|(at, _)| &source[at..]);
    let cited = starts.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/._-#".contains(c));
        let word = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        word.contains(".md").then_some(word)
    });
    cited.collect()
}

/// The cells of the table with this head, row by row.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "there is no table {head}");
    rows
}

/// The names in the first column of a table, without their backticks.
fn names(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        let folder = page.parent().unwrap();
        for link in links(&text(&page)) {
            problems.extend(
                problem(folder, &page, &link).map(|what| format!("{}: {link} {what}", page.display())),
            );
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_citation_of_a_page_in_the_source_leads_somewhere() {
    let mut problems = Vec::new();
    for file in files("src", "rs").into_iter().chain(files("local-sqlite", "sql")) {
        for cited in citations(&text(&file)) {
            let problem = problem(Path::new(""), &file, cited);
            problems.extend(problem.map(|what| format!("{}: {cited} {what}", file.display())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    let page = "# A\n[x](#a) [y](docs/nowhere.md)\n```\n[z](code.md)\n```\n`[z](code.md)` [`w`](docs/api.md#nothing)\n";
    let broken: Vec<_> = links(page)
        .into_iter()
        .map(|link| (problem(Path::new(""), Path::new("README.md"), &link), link))
        .collect();
    let broken: Vec<_> = broken.iter().map(|(problem, link)| (link.as_str(), problem.as_deref())).collect();
    let expected = [
        ("#a", Some("has no anchor #a")),
        ("docs/nowhere.md", Some("does not exist")),
        ("docs/api.md#nothing", Some("has no anchor #nothing")),
    ];
    assert_eq!(broken, expected);
    assert_eq!(
        problem(Path::new("docs"), Path::new("docs/api.md"), "../../etc"),
        Some("leaves the project".into())
    );
    assert_eq!(problem(Path::new("docs"), Path::new("docs/api.md"), "../README.md#licence"), None);
}

#[test]
fn anchors_follow_the_rule_of_github() {
    let page = "# `/tn`: the pool\n## What it is\n### What it is\n#not a heading\n```\n# code\n```\n## A_b, c-d & e\n";
    let expected = ["tn-the-pool", "what-it-is", "what-it-is-1", "a_b-c-d--e"];
    assert_eq!(anchors(page), expected.map(String::from).into());
}

#[test]
fn citations_are_found_in_source_text() {
    let source = "//! As described (docs/reliability.md#outcomes). See docs/api.md.\n//! mydocs/ docs/x.rs docs/aws.md";
    assert_eq!(citations(source), ["docs/reliability.md#outcomes", "docs/api.md", "docs/aws.md"]);
}

#[test]
fn pages_stay_short() {
    for page in pages() {
        let most = if page == Path::new("README.md") { README_LINES } else { PAGE_LINES };
        let lines = text(&page).lines().count();
        assert!(lines <= most, "{} has {lines} lines, more than {most}", page.display());
    }
}

#[test]
fn the_readme_links_every_page() {
    let links: BTreeSet<_> = links(&text("README.md"))
        .into_iter()
        .map(|link| link.split('#').next().unwrap_or_default().to_owned())
        .collect();
    for page in pages().iter().filter(|page| *page != Path::new("README.md")) {
        assert!(links.contains(page.to_str().unwrap()), "the README does not link {}", page.display());
    }
}

#[test]
fn the_page_on_settings_lists_every_setting_with_its_default() {
    let settings: BTreeMap<&str, Option<&str>> =
        SETTINGS.iter().map(|setting| (setting.name, setting.default)).collect();
    let rows = table(&text("docs/settings.md"), "| variable | default | meaning |");
    assert_eq!(sorted(names(&rows)), Vec::from_iter(settings.keys().map(|name| (*name).to_owned())));
    for row in rows {
        let [name, default, _] = &row[..] else { panic!("{row:?} has not three cells") };
        match settings[name.trim_matches('`')] {
            Some(value) => assert!(default.contains(&format!("`{value}`")), "{name}: {default}, not {value}"),
            None => assert!(
                default == "–" || !default.starts_with('`') || default.contains(" if "),
                "{name}: {default}"
            ),
        }
    }
}

#[test]
fn the_readme_has_settings_of_the_page_on_settings() {
    let head = "| variable | default | meaning |";
    let rows = table(&text("docs/settings.md"), head);
    let defaults: BTreeMap<_, _> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    for row in table(&text("README.md"), head) {
        for name in row[0].split(", ") {
            assert_eq!(defaults.get(name), Some(&row[1].as_str()), "{name}");
        }
    }
}

#[test]
fn the_page_on_the_api_lists_every_route_and_who_may_call_it() {
    let mut documented = BTreeSet::new();
    for row in table(&text("docs/api.md"), "| path | methods | who may call |") {
        for method in row[1].split(", ") {
            let guarded = row[2].contains("API key");
            documented.insert((
                method.trim_matches('`').to_owned(),
                row[0].trim_matches('`').to_owned(),
                guarded,
            ));
        }
    }
    let routes = ROUTES.iter().chain(CONSOLE_ROUTES).chain([&SANDBOX_ROUTE, &METRICS_ROUTE]);
    let routes =
        routes.map(|route| (route.method.to_owned(), route.path.to_owned(), route.guard == Guard::ApiKey));
    assert_eq!(documented, routes.collect());
}

#[test]
fn the_page_on_the_api_lists_every_error_reason_with_its_status() {
    let rows = table(&text("docs/api.md"), "| `reason` | status | meaning |");
    let documented: BTreeSet<_> =
        rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone())).collect();
    let reasons =
        Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), reason.status().as_str().to_owned()));
    assert_eq!(documented, reasons.collect());
}

#[test]
fn the_page_on_flowroute_lists_every_code_with_its_meaning() {
    let listed = table(&text("docs/flowroute.md"), "| code | meaning |");
    let known: Vec<Vec<String>> =
        CODES.iter().map(|(code, meaning)| vec![code.to_string(), (*meaning).to_owned()]).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let sources: String = files("tests", "rs").into_iter().map(text).collect();
    let page = text("SECURITY.md");
    let words: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let named = words.into_iter().filter(|word| {
        word.matches('_').count() > 3
            && word.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    });
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 15, "{named:?}");
    for test in named {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}
