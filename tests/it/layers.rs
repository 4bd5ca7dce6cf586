//! The map in `src/lib.rs` is the architecture: every module and every arrow between modules is drawn there, and no two
//! files depend on each other in a circle.
//!
//! Read are `use` lines, inline paths and paths in macros. Neither `mod x;` nor `pub use x::Name;` is a reference: whoever
//! uses the name refers to the file behind it. Unit tests do not count, and neither does `src/main.rs`, which may use
//! everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use syn::{
    Attribute, Item, ItemUse, UseTree, Visibility,
    visit::{Visit, visit_item, visit_macro, visit_path},
};

/// The path of a module, such as `["store", "sqlite"]`; the crate's root has an empty one.
type Module = Vec<String>;

/// A file of the crate, as far as it refers to others.
#[derive(Default)]
struct File {
    /// The absolute paths that it refers to.
    refers: BTreeSet<Module>,
    /// The names that it exports again, and the absolute paths behind them.
    exports: BTreeMap<String, Module>,
}

struct Reader<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    file: File,
    /// The names that it imports, and the absolute paths behind them.
    imports: BTreeMap<String, Module>,
    /// The paths in its code, which may begin with an imported name.
    inline: Vec<Vec<String>>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_cfg_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    };
    attributes.iter().any(is_cfg_test)
}

impl Reader<'_> {
    /// The absolute path, if it leads into this crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut base = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            // The binary's files name the library.
            "crate" | "sms_proxy" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let own: Module = base.iter().cloned().chain([child.to_owned()]).collect();
                self.modules.contains(&own).then_some(())?;
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn used(&mut self, tree: &UseTree, before: &[String], exported: bool) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.used(&path.tree, &with(&path.ident), exported),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.used(tree, before, exported));
            }
            UseTree::Name(name) if name.ident == "self" => (before.to_vec(), before.last().cloned()),
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(rename) => (with(&rename.ident), Some(rename.rename.to_string())),
            UseTree::Glob(_) => (before.to_vec(), None),
        };
        let Some(path) = self.absolute(&path) else { return };
        match name {
            Some(name) if exported => _ = self.file.exports.insert(name, path),
            Some(name) => {
                self.file.refers.insert(path.clone());
                self.imports.insert(name, path);
            }
            None => _ = self.file.refers.insert(path),
        }
    }

    fn read(mut self, source: &str) -> File {
        let syntax = syn::parse_file(source).unwrap_or_else(|error| panic!("{:?}: {error}", self.module));
        self.visit_file(&syntax);
        for path in std::mem::take(&mut self.inline) {
            let named = self.imports.get(&path[0]).or_else(|| self.file.exports.get(&path[0]));
            let named = named.map(|start| start.iter().chain(&path[1..]).cloned().collect());
            self.file.refers.extend(named.or_else(|| self.absolute(&path)));
        }
        self.file
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Use(ItemUse { vis, tree, .. }) => {
                self.used(tree, &[], !matches!(vis, Visibility::Inherited));
            }
            _ => visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // Not `super` alone: it stands in `pub(super)`.
        if !matches!(segments.join("::").as_str(), "crate" | "self" | "super") {
            self.inline.push(segments);
        }
        visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string().replace(" :: ", "::");
        let words = tokens.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
        let paths = words.filter(|word| word.contains("::") && !word.starts_with(':'));
        self.inline.extend(paths.map(|path| path.split("::").map(str::to_owned).collect()));
        visit_macro(self, call);
    }
}

/// The files that each file of these sources refers to.
fn references(sources: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = sources.keys().cloned().collect();
    let read = |(module, source): (&Module, &String)| {
        let (file, imports, inline) = Default::default();
        (module.clone(), Reader { module, modules: &modules, file, imports, inline }.read(source))
    };
    let files: BTreeMap<Module, File> = sources.iter().map(read).collect();
    let resolve = |path: &Module| {
        let mut path = path.clone();
        loop {
            let depth = (0..=path.len()).rev().find(|depth| files.contains_key(&path[..*depth])).unwrap();
            let file = &files[&path[..depth]];
            let Some(target) = path.get(depth).and_then(|name| file.exports.get(name)) else {
                return path[..depth].to_vec();
            };
            path = target.iter().chain(&path[depth + 1..]).cloned().collect();
        }
    };
    let others = |(module, file): (&Module, &File)| {
        let targets = file.refers.iter().map(resolve).filter(|target| target != module).collect();
        (module.clone(), targets)
    };
    files.iter().map(others).collect()
}

/// A circle of files, if there is one.
fn circle(references: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut left = references.clone();
    // What refers to nothing that is left is in no circle.
    loop {
        let open: BTreeSet<Module> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, targets| targets.iter().any(|target| open.contains(target)));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            break;
        }
    }
    let mut walk = vec![left.keys().next().unwrap().clone()];
    loop {
        let next = left[walk.last().unwrap()].iter().find(|target| left.contains_key(*target)).unwrap();
        if let Some(start) = walk.iter().position(|module| module == next) {
            return Some(walk.split_off(start));
        }
        walk.push(next.clone());
    }
}

fn add_sources(folder: &Path, module: &Module, sources: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            add_sources(&path, &module.iter().cloned().chain([name]).collect(), sources);
            continue;
        }
        // The console's files are not Rust.
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let own = match name.as_str() {
            "main" => continue,
            "lib" | "mod" => module.clone(),
            _ => module.iter().cloned().chain([name]).collect(),
        };
        sources.insert(own, std::fs::read_to_string(&path).unwrap());
    }
}

fn crate_sources() -> BTreeMap<Module, String> {
    let mut sources = BTreeMap::new();
    add_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Vec::new(), &mut sources);
    sources
}

/// The map in `src/lib.rs`: from lines such as `//! | [`http`] | domain, service | … |` each module, and those it uses.
fn drawn(lib: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | "));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let module = cells[0].trim_matches(['[', ']']).strip_prefix('`')?.strip_suffix('`')?;
        let used = cells[1].split(", ").filter(|used| *used != "–").map(str::to_owned);
        Some((module.to_owned(), used.collect()))
    };
    rows.filter_map(row).collect()
}

#[test]
fn the_map_draws_exactly_the_modules_and_the_arrows_between_them() {
    let sources = crate_sources();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, targets) in references(&sources) {
        let Some(from) = from.first() else { continue };
        let used = targets.iter().filter_map(|target| target.first()).filter(|target| *target != from);
        arrows.entry(from.clone()).or_default().extend(used.cloned());
    }
    assert_eq!(drawn(&sources[&Vec::new()]), arrows, "left: drawn in src/lib.rs; right: in the code");
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    assert_eq!(circle(&references(&crate_sources())), None);
}

#[test]
fn a_planted_circle_is_found() {
    let module = |path: &str| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let sources = |one: &str| {
        let files = [
            ("", "pub mod a; pub mod b;"),
            ("a", "mod one; mod two; pub use one::One; pub use two::Two;"),
            ("a::one", one),
            ("a::two", "use super::One; #[cfg(test)] mod tests { use crate::b::B; }"),
            ("b", "fn f() -> crate::a::Two { todo!() }"),
        ];
        files.map(|(path, source)| (module(path), source.to_owned())).into()
    };
    assert_eq!(circle(&references(&sources("pub struct One;"))), None);
    let by_parent = circle(&references(&sources("use super::Two;"))).unwrap();
    assert_eq!(by_parent, [module("a::one"), module("a::two")]);
    let inline = circle(&references(&sources("fn f() { crate::b::g(); }"))).unwrap();
    assert_eq!(inline, [module("a::one"), module("b"), module("a::two")]);
    for code in [
        "use crate::a; fn f() -> a::Two { todo!() }",
        "fn f() { print!(\"{}\", crate::b::g()); }",
        "use super::super::b::{self as other}; fn f() -> other::B { todo!() }",
    ] {
        assert!(circle(&references(&sources(code))).is_some(), "{code}");
    }
}
