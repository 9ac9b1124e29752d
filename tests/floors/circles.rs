//! The modules of one parent form no circle. A file beside others is a module, and so is a directory; what a parent's
//! own file defines is the module `mod`, because a child that uses it depends on it like on a sibling.
//!
//! Every path in shipped code counts: after `crate::`, `super::`, `self::`, and after the name of a child module. A
//! name that a parent only re-exports counts as the module that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources, word};

/// Dependencies between the modules of one parent.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every module by its path, with the names that it re-exports, and their paths.
type Modules = BTreeMap<String, BTreeMap<String, String>>;

/// The module of a file, as `http::net`.
fn module_of(source: &Source) -> String {
    source.path.strip_suffix("/mod").unwrap_or(&source.path).replace('/', "::")
}

/// The statements of a file that re-export names, and the rest of its code.
fn split_reexports(source: &Source) -> (Vec<String>, String) {
    // A visibility is no use.
    let text = source.lines.join(" ").replace("pub(in crate::", "pub(in ");
    let (mut reexports, mut rest) = (Vec::new(), String::new());
    for statement in text.split_inclusive(';') {
        let at = statement.find("use ").filter(|at| statement[..*at].trim_start().starts_with("pub"));
        match at {
            Some(at) if !statement[..at].contains('{') => {
                reexports.push(statement[at + 4..].trim_end_matches(';').into());
            }
            _ => rest.push_str(statement),
        }
    }
    (reexports, rest)
}

/// The paths that a path with groups stands for: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn flatten(path: &str) -> Vec<String> {
    let Some((before, group)) = path.split_once('{') else {
        let plain = path.split(" as ").next().unwrap().trim();
        return vec![plain.strip_suffix("::self").unwrap_or(plain).into()];
    };
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().unwrap().push(c);
            }
        }
    }
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    items.flat_map(|item| flatten(&format!("{}{item}", before.trim()))).collect()
}

/// Every path of at least two names in a piece of code.
fn paths(code: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = code[at..].find(|c: char| c.is_alphabetic() || c == '_').map(|start| at + start) {
        let end = code[start..].find(|c: char| !is_name(c) && c != ':').map_or(code.len(), |length| start + length);
        at = end;
        if code[..start].ends_with(':') && !code[..start].ends_with(": ") || !code[start..end].contains("::") {
            continue;
        }
        let path = code[start..end].trim_end_matches(':');
        if code[start..end].ends_with("::") && code[end..].starts_with('{') {
            found.extend(flatten(&format!("{path}::{}", &code[end..])));
            at = end + 1;
        } else {
            found.push(path.into());
        }
    }
    found
}

/// The path from the crate's root that `path` stands for in `module`; `None` for a name of another crate, or a local
/// one.
fn absolute(path: &str, module: &str, modules: &Modules) -> Option<String> {
    let mut names: Vec<&str> = module.split("::").collect();
    let mut rest = path;
    match word(path) {
        "crate" => {
            names.clear();
            rest = rest.strip_prefix("crate::")?;
        }
        "self" => rest = rest.strip_prefix("self::")?,
        "super" => {
            while let Some(above) = rest.strip_prefix("super::") {
                names.pop();
                rest = above;
            }
        }
        child if modules.contains_key(&format!("{module}::{child}")) => {}
        _ => return None,
    }
    Some(names.into_iter().chain(rest.split("::")).collect::<Vec<_>>().join("::"))
}

/// The module that defines what a path from the root names.
fn definer(path: &str, modules: &Modules) -> Option<String> {
    let mut path = path.to_owned();
    // As many steps as a chain of re-exports may have.
    for _ in 0..5 {
        let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
        let end = ends.filter(|at| modules.contains_key(&path[..*at])).max()?;
        let (module, item) = (path[..end].to_owned(), word(path[end..].trim_start_matches(':')).to_owned());
        match modules[&module].get(&item) {
            Some(target) => path.clone_from(target),
            None => return Some(module),
        }
    }
    None
}

/// The graph of each parent.
fn graphs(sources: &[Source]) -> BTreeMap<String, Graph> {
    let mut modules: Modules = sources.iter().map(|source| (module_of(source), BTreeMap::new())).collect();
    for source in sources {
        let module = module_of(source);
        let paths = split_reexports(source).0.into_iter().flat_map(|path| flatten(&path));
        let targets = paths.filter_map(|path| absolute(&path, &module, &modules));
        let named = targets.map(|target| (target.rsplit("::").next().unwrap().to_owned(), target)).collect();
        modules.insert(module, named);
    }
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for source in sources {
        let from = module_of(source);
        let used = paths(&split_reexports(source).1).into_iter();
        let used = used.filter_map(|path| definer(&absolute(&path, &from, &modules)?, &modules));
        for to in used.filter(|to| *to != from) {
            let (ours, theirs): (Vec<&str>, Vec<&str>) = (from.split("::").collect(), to.split("::").collect());
            let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            if shared > 0 {
                let child = |names: &[&str]| (*names.get(shared).unwrap_or(&"mod")).to_owned();
                let graph = graphs.entry(ours[..shared].join("::")).or_default();
                graph.entry(child(&ours)).or_default().insert(child(&theirs));
            }
        }
    }
    graphs
}

/// The modules that `from` depends on, directly or through others.
fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = next.pop() {
        for used in graph.get(&module).into_iter().flatten() {
            if found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}

/// The circles of a graph: sets of modules that all depend on each other.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let circle = |module: &String| -> BTreeSet<String> {
        let others = reached(graph, module).into_iter();
        others.filter(|other| reached(graph, other).contains(module)).collect()
    };
    graph.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_modules_form_a_circle() {
    let graphs = graphs(&sources());
    let edges: usize = graphs.values().flat_map(Graph::values).map(BTreeSet::len).sum();
    assert!(graphs.len() > 15 && edges > 300, "the uses were not found: {edges} in {} parents", graphs.len());
    let found = graphs.iter().flat_map(|(parent, graph)| {
        circles(graph).into_iter().map(move |circle| {
            let uses = circle.iter().map(|module| (module, graph[module].intersection(&circle).collect::<Vec<_>>()));
            format!("the modules of {parent} depend on each other: {:?}", uses.collect::<BTreeMap<_, _>>())
        })
    });
    assert_eq!(found.collect::<Vec<_>>(), [""; 0], "break the circle");
}

#[test]
fn a_circle_is_found_through_every_kind_of_path() {
    let source = |path: &str, code: &str| Source {
        path: path.into(),
        lines: code.lines().map(Into::into).collect(),
        types: Vec::new(),
        length: 0,
    };
    let circles_of = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let sources: Vec<Source> = files.iter().map(|(path, code)| source(path, code)).collect();
        graphs(&sources).values().flat_map(circles).map(|circle| circle.into_iter().collect()).collect()
    };
    let parent = ("p/mod", "mod a;\nmod b;\npub use b::B;\npub struct P;");
    for uses in ["use super::b::B;", "use super::{x, b::{self, c}};", "fn f() { super::B }", "use crate::p::{B, P};"] {
        let back = [parent, ("p/a", uses), ("p/b/mod", "mod c;"), ("p/b/c", "use super::super::a::A;")];
        assert_eq!(circles_of(&back), [["a", "b"]], "{uses}");
        let forth = [parent, ("p/a", uses), ("p/b/mod", "mod c;"), ("p/b/c", "use crate::q::A;"), ("q", "")];
        assert!(circles_of(&forth).is_empty(), "{uses}");
    }
    let parent = ("p/mod", "mod a;\nfn f() { a::g() }\npub struct P;");
    assert_eq!(circles_of(&[parent, ("p/a", "use super::P;")]), [["a", "mod"]]);
    assert!(circles_of(&[parent, ("p/a", "use std::a::P;\npub(in crate::p) fn f() {}")]).is_empty());
}
