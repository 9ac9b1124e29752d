//! The Helm chart: it renders what Kubernetes accepts, in both modes, and refuses what could not work.

use std::{collections::BTreeSet, fs, path::Path};

use gapless::config::KEYS;
use serde_json::Value;

use crate::{
    child::here,
    run::{Ran, installed, run},
};

const CHART: &str = "deploy/helm/gapless";

/// The oldest Kubernetes that the chart is for, and the newest whose schemas there are.
const KUBERNETES: [&str; 2] = ["1.30", "1.37"];

/// Keys that the chart sets itself, or that have no use in a pod.
const OWN_KEYS: [&str; 12] = [
    "admin.listen",
    "data",
    "drain",
    "engine",
    "listen",
    "tls.acme",
    "tls.acme_contact",
    "tls.acme_directory",
    "tls.acme_roots",
    "tls.cert",
    "tls.key",
    "unix_mode",
];

/// An installation: a file in `values/`, upon `values-jetstream.yaml` or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) values: &'static str,
    pub(crate) hubs: bool,
}

pub(crate) const CASES: [Case; 5] = [
    Case { values: "open", hubs: false },
    Case { values: "guarded", hubs: false },
    Case { values: "claim", hubs: false },
    Case { values: "hubs", hubs: true },
    Case { values: "hubs-many", hubs: true },
];

impl Case {
    /// What it adds to the command line.
    fn arguments(self) -> Vec<String> {
        let upon = self.hubs.then(|| here(&format!("{CHART}/values-jetstream.yaml")));
        let own = here(&format!("tests/deploy/values/{}.yaml", self.values));
        upon.into_iter().chain([own]).flat_map(|file| ["--values".into(), file]).collect()
    }

    /// The manifests.
    pub(crate) fn rendered(self, set: &[&str]) -> String {
        template(CHART, KUBERNETES[1], &self.arguments(), set).sound()
    }
}

fn helm(arguments: &[&str], more: &[String]) -> Ran {
    run(installed("target/go/helm").args(arguments).args(more), "")
}

pub(crate) fn template(chart: &str, kubernetes: &str, values: &[String], set: &[&str]) -> Ran {
    let chart = if chart.starts_with('/') { chart.into() } else { here(chart) };
    let set: Vec<String> = set.iter().flat_map(|one| ["--set-json".into(), (*one).into()]).collect();
    let more: Vec<String> = values.iter().cloned().chain(set).collect();
    helm(&["template", "hub", &chart, "--namespace", "events", "--kube-version", kubernetes], &more)
}

/// The documents of a YAML stream.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let reads = "import json, sys, yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)";
    let text = run(installed("target/deploy-venv/bin/python").args(["-c", reads]), yaml).sound();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn helm_has_nothing_to_say_about_the_chart() {
    for values in [vec![]].into_iter().chain(CASES.map(Case::arguments)) {
        let said = helm(&["lint", "--strict", "--quiet", &here(CHART)], &values).sound();
        assert!(!said.contains("WARNING") && !said.contains("ERROR"), "{said}");
    }
}

/// Every field exists and has a value of its type, and none that must be there is missing.
#[test]
fn kubernetes_knows_every_object_old_and_new() {
    let mut own = Vec::new();
    for case in CASES {
        let objects = documents(&case.rendered(&[]));
        let kinds: BTreeSet<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        let runs = if case.hubs { "Deployment" } else { "StatefulSet" };
        for kind in ["ConfigMap", "Service", runs] {
            assert!(kinds.contains(kind), "{case:?}: {kinds:?} has no {kind}");
        }
        for object in objects {
            if object["kind"] == "ServiceMonitor" {
                run(installed("target/go/shapes").arg("ServiceMonitor"), &object.to_string()).sound();
            } else {
                own.push(format!("---\n{object}\n"));
            }
        }
    }
    for version in KUBERNETES {
        let mut validate = installed("target/deploy-venv/bin/kubernetes-validate");
        let arguments = ["--strict", "--kubernetes-version", version, "/dev/stdin"];
        let said = run(validate.args(arguments), &own.concat()).sound();
        let passed = said.lines().filter(|line| line.contains(" passed ") && line.ends_with(version));
        assert_eq!(passed.count(), own.len(), "{said}");
    }
}

/// Between them the cases have every kind of object that the chart can have.
#[test]
fn the_cases_have_every_template() {
    let all: String = CASES.map(|case| case.rendered(&[])).concat();
    for entry in fs::read_dir(here(&format!("{CHART}/templates"))).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_manifest = Path::new(&name).extension().is_some_and(|ending| ending == "yaml");
        let rendered = all.contains(&format!("# Source: gapless/templates/{name}\n"));
        assert!(rendered || !is_manifest, "no case renders {name}");
    }
}

#[test]
fn what_could_not_work_is_refused_with_the_reason() {
    let hubs = here(&format!("{CHART}/values-jetstream.yaml"));
    let open = "config.open=true";
    let secret = r#"config.access.issuers=[{"issuer":"https://login.example","algorithms":["HS256"],"key":"0123"}]"#;
    for (set, reason) in [
        (&[open, "replicas=2"][..], "exactly one hub"),
        (&[open, "engine=\"jetstream\""], "set config.nats.servers"),
        (&[open, "engine=\"memory\""], "engine"),
        (&["engine=\"sled\""], "the hub has no credential"),
        (&["config.access.tokens=[{\"name\":\"a\"}]", "serviceMonitor.enabled=true"], "serviceMonitor.tokenSecret"),
        (&[open, "ingress.enabled=true"], "ingress.hosts"),
        (&[secret], "a ConfigMap is no place for one"),
        (&[open, "config.listen=\"0.0.0.0:1\""], "listen"),
        (&[open, "config.stream.keepaliv=\"1s\""], "keepaliv"),
        (&[open, "config.stream.topics=1.5"], "topics"),
        (&[open, "config.retention.rules=[{\"max_events\":1.5}]"], "1.5 is no whole number"),
        (&[open, "config.limits.holder_runs=true"], "holder_runs"),
        (&[open, "drainSeconds=601"], "drainSeconds"),
    ] {
        let refused = template(CHART, KUBERNETES[1], &[], set);
        assert_ne!(refused.code, Some(0), "{set:?} is accepted");
        assert!(refused.stderr.contains(reason), "{set:?}: {}", refused.stderr);
    }
    let refused = template(CHART, KUBERNETES[1], &["--values".into(), hubs], &["engine=\"sled\"", open]);
    assert!(refused.stderr.contains("replicas is 3"), "{}", refused.stderr);
    let too_old = template(CHART, "1.24", &[], &[open]);
    assert!(too_old.stderr.contains("requires kubeVersion"), "{}", too_old.stderr);
}

/// An issuer with this key.
fn issuer(algorithm: &str, key: &str) -> String {
    let issuer = serde_json::json!({ "issuer": "https://login.example", "algorithms": [algorithm], "key": key });
    format!("config.access.issuers=[{issuer}]")
}

const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n";

/// Everybody who may read ConfigMaps would read it, also when the hub then refuses the configuration. The message does not repeat it.
#[test]
fn a_secret_is_refused_before_it_is_in_a_config_map() {
    let private = PUBLIC.replace("PUBLIC", "PRIVATE").replace("MCow", "hunter2");
    let jwk = |more: &str| format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"AA"}},{{"kty":"RSA"{more}}}]}}"#);
    let hubs = ["engine=\"jetstream\"", "config.nats.servers=[\"nats://n:4222\"]"].map(String::from);
    let with = |set: &str| -> Vec<String> { hubs.iter().cloned().chain([set.to_owned()]).collect() };
    for set in [
        with(r#"config.nats.servers=["nats://n:4222","nats://hub:hunter2@n:4222"]"#),
        with(r#"config.nats.servers=["hub:hunter2@n:4222"]"#),
        with(r#"config.nats.servers=["nats://hub:hunt/hunter2@n:4222"]"#),
        with(r#"config.nats.monitor=["http://hub:hunter2@n:8222"]"#),
        vec![r#"config.relay.providers={"lab":{"url":"https://key:hunter2@lab.example/v1"}}"#.into()],
        vec![r#"config.relay.providers={"lab":{"url":"https://lab.example/v1?key=hunter2"}}"#.into()],
        vec![r#"config.relay.providers={"lab":{"url":"https://lab.example","key":"hunter2"}}"#.into()],
        vec![r#"config.access.issuers=[{"issuer":"a","jwks":"https://a:hunter2@login.example/keys"}]"#.into()],
        vec![issuer("HS256", "hunter2")],
        // The hub refuses a secret for EdDSA, when everybody has read it.
        vec![issuer("EdDSA", "hunter2")],
        vec![issuer("EdDSA", &private)],
        vec![issuer("EdDSA", &format!("{PUBLIC}{private}"))],
        vec![issuer("RS256", &jwk(r#","d":"hunter2""#))],
        vec![issuer("RS256", &jwk(r#","k":"hunter2""#))],
        vec![issuer("RS256", "{\"hunter2")],
    ] {
        let set: Vec<&str> = ["config.open=true"].into_iter().chain(set.iter().map(String::as_str)).collect();
        let refused = template(CHART, KUBERNETES[1], &[], &set);
        assert_ne!(refused.code, Some(0), "{set:?} is accepted");
        assert!(refused.stderr.contains("a ConfigMap is no place for one"), "{set:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{set:?}: {}", refused.stderr);
    }
    for set in [
        with(r#"config.nats.monitor=["http://n:8222"]"#),
        vec![r#"config.relay.providers={"lab":{"url":"https://lab.example/@cf/v1","key_env":"KEY"}}"#.into()],
        vec![issuer("EdDSA", PUBLIC)],
        vec![issuer("RS256", &jwk(""))],
    ] {
        let set: Vec<&str> = ["config.open=true"].into_iter().chain(set.iter().map(String::as_str)).collect();
        template(CHART, KUBERNETES[1], &[], &set).sound();
    }
}

/// The schema of the values has each key of the hub, with its kind, and no other.
#[test]
fn the_schema_has_every_key_of_the_hub() {
    let text = fs::read_to_string(here(&format!("{CHART}/values.schema.json"))).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeSet::new();
    for (name, entry) in schema["properties"]["config"]["properties"].as_object().unwrap() {
        match entry["properties"].as_object() {
            None => drop(found.insert(name.clone())),
            Some(keys) => found.extend(keys.keys().map(|key| format!("{name}.{key}"))),
        }
    }
    let own: BTreeSet<String> = OWN_KEYS.map(Into::into).into();
    let wanted: BTreeSet<String> = KEYS.iter().map(gapless::config::ConfigKey::path).collect();
    assert!(wanted.is_superset(&own), "{own:?} has a key that the hub does not have");
    let wanted: BTreeSet<String> = wanted.difference(&own).cloned().collect();
    assert_eq!(found, wanted);

    for key in KEYS.iter().filter(|key| !own.contains(&key.path())) {
        let config = &schema["properties"]["config"]["properties"];
        let entry = if key.section == "hub" { &config[key.name] } else { &config[key.section]["properties"][key.name] };
        let is_switch = entry["$ref"] == "#/$defs/switch";
        assert_eq!(is_switch, key.is_switch, "{}", key.path());
    }
}

#[test]
fn the_chart_installs_this_version() {
    let text = fs::read_to_string(here(&format!("{CHART}/Chart.yaml"))).unwrap();
    let chart = &documents(&text)[0];
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["kubeVersion"], format!(">={}.0-0", KUBERNETES[0]));
}
