use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::TEXT;
use crate::http::{
    api::{
        keys::{self, CREDENTIAL},
        mercure::settings::DISCOVERY_PATH,
        routes::{Route, TABLE},
    },
    message::problem::Code,
};

/// Keys of an object of `paths` that are methods.
const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

fn document() -> Value {
    serde_json::from_str(TEXT).expect("JSON")
}

/// What a reference of the document names, or the value itself.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(target) => document.pointer(target.strip_prefix('#').expect("within the document")).expect(target),
        None => value,
    }
}

/// Every operation, by its path and its method.
fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path item") {
            if METHODS.contains(&&**method) {
                found.insert((path.clone(), method.clone()), operation);
            }
        }
    }
    found
}

/// A path of the table as OpenAPI writes it: without `*`, as it has no parameter of several segments.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

/// The text strings of an array; none where there is no array.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().expect("text"))
}

/// HEAD and OPTIONS are described once, in the words at the top. OpenAPI 3.1 has no QUERY.
#[test]
fn every_route_and_method_is_described_and_no_other() {
    let document = document();
    let described: BTreeSet<_> = operations(&document).into_keys().collect();
    let served = TABLE.iter().flat_map(|(path, _, methods)| {
        let methods = methods.split(", ").filter(|method| !["HEAD", "OPTIONS", "QUERY"].contains(method));
        methods.map(|method| (template(path), method.to_lowercase()))
    });
    assert_eq!(described, served.collect());
    for (path, _, methods) in TABLE {
        assert_eq!(methods.contains("GET"), methods.contains("HEAD"), "the words say that each GET has a HEAD: {path}");
    }
}

#[test]
fn every_query_key_is_a_parameter_and_no_other() {
    let document = document();
    let mut keys = BTreeMap::new();
    for (path, methods, known) in keys::ALL {
        for method in methods {
            // The token is a security scheme, and the cursor is a key of its own.
            let mut known: BTreeSet<&str> = known.known.iter().copied().filter(|key| *key != CREDENTIAL).collect();
            if ["/events", "/runs/{run}/events"].contains(&path) && *method == "get" {
                known.insert("last_event_id");
            }
            keys.insert((path.to_owned(), (*method).to_owned()), known);
        }
    }
    for (name, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| resolved(&document, parameter));
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        let described: BTreeSet<&str> = in_query.map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        assert_eq!(described, keys.remove(&name).unwrap_or_default(), "{name:?}");
    }
    assert_eq!(keys, BTreeMap::new(), "they are keys of no operation");
}

#[test]
fn every_problem_is_described_with_its_status() {
    let document = document();
    let status = |text: &str| Code::ALL.iter().find(|code| code.as_str() == text).expect(text).status().as_u16();
    let mut described: BTreeSet<&str> = texts(&document["x-problem-codes"]).collect();
    for (name, operation) in operations(&document) {
        for (key, response) in operation["responses"].as_object().expect("responses") {
            let response = resolved(&document, response);
            let codes: Vec<&str> = texts(&response["x-problem-codes"]).collect();
            let is_error = key.parse::<u16>().is_ok_and(|status| status >= 400);
            assert_eq!(is_error, !codes.is_empty(), "{name:?}, {key}: an error, and only an error, has its codes");
            for code in codes {
                assert_eq!(key, &status(code).to_string(), "{name:?}: the status of {code}");
                assert!(response["description"].as_str().is_some_and(|words| words.contains(code)), "{name:?}: {code}");
                described.insert(code);
            }
        }
    }
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(described, all, "each of them is at an operation, or of every path");
    for schema in ["Problem", "LineProblem"] {
        let listed = &document["components"]["schemas"][schema]["properties"]["code"]["x-extensible-enum"];
        assert_eq!(texts(listed).collect::<BTreeSet<_>>(), all, "{schema}");
    }
}

#[test]
fn every_operation_has_a_name_a_summary_a_tag_and_its_security() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().map(|tag| tag["name"].as_str().expect("a name")).collect();
    let public = |route| {
        matches!(route, Route::Health | Route::Ready | Route::Console | Route::Docs | Route::OpenApi | Route::Site)
    };
    let public: BTreeSet<String> = TABLE
        .iter()
        .filter(|(path, route, _)| public(*route) || *path == DISCOVERY_PATH)
        .map(|(path, ..)| template(path))
        .collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name:?} has no operationId"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|words| !words.is_empty()), "{id} has no summary");
        assert!(texts(&operation["tags"]).all(|tag| tags.contains(tag)), "{id} has an unknown tag");
        assert_eq!(texts(&operation["tags"]).count(), 1, "{id} has one tag");
        let without = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(without, public.contains(&name.0), "{id}: whether it reads a credential");
    }
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    assert_eq!(schemes["query"]["name"], CREDENTIAL);
    assert_eq!(schemes.len() + 1, document["security"].as_array().expect("ways").len(), "each, or none");
}

#[test]
fn the_description_is_of_this_version() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// Every parameter and every body in JSON has an example; `tests/openapi` checks that they are valid.
#[test]
fn whatever_is_sent_has_an_example() {
    let document = document();
    let has_example = |value: &Value| value.get("example").or(value.get("examples")).is_some();
    for ((path, method), operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(&document, parameter);
            assert!(has_example(parameter), "{method} {path}: {}", parameter["name"]);
        }
        for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(has_example(content) || media_type == "*/*", "{method} {path}: {media_type}");
        }
    }
}
