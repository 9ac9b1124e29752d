//! The chart's pod: its limits on itself, its end, and the configuration in it, which the real hub accepts and runs with.

use std::{fs, path::Path, process::Command};

use rcgen::generate_simple_self_signed;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    chart::{CASES, Case, documents, template},
    child::{Child, here, tool},
    run::run,
    support::{
        eventually,
        hub::Hub,
        wire::{self, Incoming},
    },
};

/// What the chart renders for a case.
struct Rendered(Vec<Value>);

impl Rendered {
    fn of(case: Case, set: &[&str]) -> Self {
        Self(documents(&case.rendered(set)))
    }

    fn object(&self, kind: &str) -> &Value {
        let found = self.0.iter().find(|object| object["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    }

    /// The StatefulSet or the Deployment.
    fn workload(&self) -> &Value {
        let of = |kind| self.0.iter().find(|object| object["kind"] == kind);
        of("StatefulSet").or_else(|| of("Deployment")).unwrap()
    }

    fn template(&self) -> &Value {
        &self.workload()["spec"]["template"]
    }

    fn pod(&self) -> &Value {
        &self.template()["spec"]
    }

    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    fn toml(&self) -> &str {
        self.object("ConfigMap")["data"]["gapless.toml"].as_str().unwrap()
    }

    /// The value of a key at the top of the file.
    fn top(&self, key: &str) -> &str {
        let line = self.toml().lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_else(|| panic!("no {key}")).trim_matches('"')
    }
}

/// The files of a pod, and its configuration with their places on this machine.
struct Files {
    place: TempDir,
}

impl Files {
    fn of(rendered: &Rendered) -> Self {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let made = generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        write("tls/tls.crt", &made.cert.pem());
        write("tls/tls.key", &made.signing_key.serialize_pem());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        write("secrets/login/key.pem", &key.public_key_pem());
        write("secrets/gapless-nats/password", "p0");
        // A seed of an NKEY, made for this test.
        write("secrets/nkey/seed", "SUAIHLF4XJVYXEWVJEMCWGQSIQXLJFQRRMOFXDZGNVOCMZ3JUSDQTCSVZA");
        write("secrets/roots/ca.pem", &made.cert.pem());
        write("site/index.html", "");
        let files = Self { place };
        let toml = rendered
            .toml()
            .replace("/etc/gapless/", &files.path(""))
            .replace("\"/site\"", &format!("{:?}", files.path("site")));
        write_config(&files, &toml);
        files
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.place.path().display())
    }

    fn config(&self) -> String {
        self.path("gapless.toml")
    }
}

fn write_config(files: &Files, toml: &str) {
    fs::write(files.config(), toml).unwrap();
}

#[test]
fn the_hub_accepts_the_configuration_of_every_case() {
    for case in CASES {
        let rendered = Rendered::of(case, &[]);
        let files = Files::of(&rendered);
        let mut check = Command::new(env!("CARGO_BIN_EXE_gapless"));
        check.args(["check", "--offline", "--config", &files.config()]).env("OPENAI_API_KEY", "sk-0");
        // The image's variables, in place of which come the pod's; both have precedence over the file.
        let image = fs::read_to_string(here("deploy/Dockerfile")).unwrap();
        let set = image.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
        let set: Vec<_> = set.map(|one| one.split_once('=').unwrap()).collect();
        assert!(set.len() > 2, "the image's variables were not found");
        check.envs(set);
        for variable in rendered.container()["env"].as_array().unwrap() {
            let (name, value) = (variable["name"].as_str().unwrap(), variable["value"].as_str());
            if let Some(value) = value.filter(|_| name != "GAPLESS_CONFIG") {
                check.env(name, value);
            }
        }
        let effective = run(&mut check, "").sound();
        assert!(!effective.contains("has no effect"), "{case:?}: {effective}");
        // What the chart sets is in force, and not what the image sets.
        for key in ["listen", "engine", "drain"] {
            let line = format!("{key} = \"{}\"", rendered.top(key));
            let found = effective.lines().any(|one| one.starts_with(&line) && one.contains("gapless.toml:"));
            assert!(found, "{case:?}: no {line} in {effective}");
        }
        assert!(effective.contains("gapless.toml"), "{effective}");
    }
}

/// A file is where the configuration looks for it: each secret that it names is mounted.
#[test]
fn every_file_that_the_configuration_names_is_mounted() {
    for case in CASES {
        let rendered = Rendered::of(case, &[]);
        let mounts: Vec<&str> = rendered.container()["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["mountPath"].as_str().unwrap())
            .collect();
        let volumes = rendered.pod()["volumes"].as_array().unwrap().iter().chain(
            rendered.workload()["spec"]["volumeClaimTemplates"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|claim| &claim["metadata"]),
        );
        let volumes: Vec<&Value> = volumes.map(|volume| &volume["name"]).collect();
        for mount in rendered.container()["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(&&mount["name"]), "{case:?}: {mount} is of no volume");
        }
        for path in rendered.toml().split('"').filter(|text| text.starts_with('/')) {
            assert!(
                mounts.iter().any(|mount| Path::new(path).starts_with(mount)),
                "{case:?}: {path} is not in {mounts:?}"
            );
        }
        let config = rendered.container()["env"][0]["value"].as_str().unwrap();
        assert!(mounts.iter().any(|mount| Path::new(config).starts_with(mount)), "{config}");
    }
}

/// SIGKILL comes after the delay, the drain, and the 4 s that the hub may take beyond it.
#[test]
fn a_pod_is_given_longer_than_its_drain() {
    // The shortest and the longest drain, and those of the cases.
    let with = |case: Case, set: &str| (case, set.to_owned());
    let extremes = [CASES[0], CASES[3]].map(|case| [0, 600].map(|drain| with(case, &format!("drainSeconds={drain}"))));
    for (case, set) in extremes.into_iter().flatten().chain(CASES.map(|case| with(case, "replicas=1"))) {
        let rendered = Rendered::of(case, &[&set]);
        let drain: u64 = rendered.top("drain").strip_suffix('s').unwrap().parse().unwrap();
        let asked = set.strip_prefix("drainSeconds=").map(|text| text.parse().unwrap());
        assert_eq!(drain, asked.unwrap_or(drain));
        let delay = rendered.container().pointer("/lifecycle/preStop/sleep/seconds");
        let delay = delay.map_or(0, |seconds| seconds.as_u64().unwrap());
        assert_eq!(delay > 0, case.hubs, "only several hubs wait until they are out of the Service");
        let grace = rendered.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace > delay + drain + 4, "{case:?}: {grace} s for {delay} s and {drain} s");
    }
}

#[test]
fn a_pod_has_no_privilege_and_writes_nothing_but_its_volume() {
    for case in CASES {
        let rendered = Rendered::of(case, &[]);
        let (pod, container) = (rendered.pod(), rendered.container());
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let own = &container["securityContext"];
        assert_eq!(own["allowPrivilegeEscalation"], false);
        assert_eq!(own["readOnlyRootFilesystem"], true);
        assert_eq!(own["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert!(own.get("privileged").is_none());
        // The image's user is the chart's.
        let image = fs::read_to_string(here("deploy/Dockerfile")).unwrap();
        let user = &pod["securityContext"];
        assert!(image.contains(&format!("USER {}:{}\n", user["runAsUser"], user["runAsGroup"])));
        let writable = container["volumeMounts"].as_array().unwrap().iter().filter(|mount| mount["readOnly"] != true);
        let writable: Vec<_> = writable.map(|mount| mount["mountPath"].as_str().unwrap()).collect();
        let wanted: &[&str] = match case.values {
            "claim" => &["/data", "/site"],
            _ if case.hubs => &[],
            _ => &["/data"],
        };
        assert_eq!(writable, wanted, "{case:?}");
    }
}

/// The commands of "A larger volume" and the runbooks name the objects of the release `hub`.
#[test]
fn the_documents_name_the_objects_of_the_chart() {
    let rendered = Rendered::of(CASES[0], &[]);
    let set = rendered.object("StatefulSet");
    let name = set["metadata"]["name"].as_str().unwrap();
    let claim = set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"].as_str().unwrap();
    let text = fs::read_to_string(here("docs/OPERATIONS.md")).unwrap();
    for command in [
        format!("kubectl patch pvc {claim}-{name}-0 "),
        format!("kubectl get pvc {claim}-{name}-0 "),
        format!("kubectl delete statefulset {name} --cascade=orphan\n"),
        format!("`kubectl delete pod {name}-0`"),
    ] {
        assert!(text.contains(&command), "docs/OPERATIONS.md lacks {command}");
    }
}

/// An upgrade replaces it, and a node that is drained lets go of it.
#[test]
fn a_pod_that_is_not_ready_can_be_replaced() {
    for case in CASES {
        let rendered = Rendered::of(case, &[]);
        if !case.hubs {
            assert_eq!(rendered.workload()["spec"]["podManagementPolicy"], "Parallel", "{case:?}");
        }
        for budget in rendered.0.iter().filter(|object| object["kind"] == "PodDisruptionBudget") {
            assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{case:?}");
        }
    }
}

#[test]
fn another_configuration_is_another_pod() {
    let case = CASES[0];
    let checksum =
        |set: &[&str]| Rendered::of(case, set).template()["metadata"]["annotations"]["checksum/config"].clone();
    let first = checksum(&[]);
    assert!(first.as_str().is_some_and(|text| text.len() == 64), "{first}");
    assert_ne!(first, checksum(&["config.stream.keepalive=\"5s\""]));
    assert_ne!(first, checksum(&["drainSeconds=11"]));
    assert_eq!(first, checksum(&["service.port=81"]));
}

/// A hub that runs with the configuration, on a free port and over a store of the test.
fn started(rendered: &Rendered) -> (Hub, Files) {
    let files = Files::of(rendered);
    // Without TLS, so that the test's own client reaches it; without providers, whose keys are in the environment.
    let toml = fs::read_to_string(files.config()).unwrap();
    let toml = toml.split("\n[tls]\n").next().unwrap();
    let kept: Vec<&str> = toml.lines().filter(|line| !line.starts_with("providers = ")).collect();
    write_config(&files, &kept.join("\n"));
    (Hub::start_with(&["--config", &files.config(), "--drain", "1s"]), files)
}

/// A request as the kubelet and Prometheus send it: by the pod's address.
fn asked(hub: &Hub, path: &str, credential: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 10.1.2.3:8080\r\n{credential}connection: close\r\n\r\n");
    Incoming::read(wire::send(hub.address, request.as_bytes()), false).unwrap().status
}

/// Kubernetes asks without a credential.
#[test]
fn a_hub_answers_the_probes_of_its_pod() {
    for case in CASES.into_iter().filter(|case| !case.hubs) {
        let rendered = Rendered::of(case, &[]);
        let (hub, _files) = started(&rendered);
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let path = rendered.container()[probe]["httpGet"]["path"].as_str().unwrap();
            assert_eq!(asked(&hub, path, ""), 200, "{case:?} {probe}");
        }
        if let Some(monitor) = rendered.0.iter().find(|object| object["kind"] == "ServiceMonitor") {
            let endpoint = &monitor["spec"]["endpoints"][0];
            let path = endpoint["path"].as_str().unwrap();
            if endpoint.get("authorization").is_some() {
                assert_eq!(asked(&hub, path, ""), 401, "{case:?}");
                assert_eq!(asked(&hub, path, "authorization: Bearer deploy-token\r\n"), 200, "{case:?}");
            } else {
                assert_eq!(asked(&hub, path, ""), 200, "{case:?}");
            }
        }
    }
}

/// The labels that Prometheus gives the pods of two releases, of the same name in two namespaces.
fn scraped(monitor: &Value) -> Vec<Value> {
    let relabelings = monitor["spec"]["endpoints"][0]["relabelings"].to_string();
    // Prometheus' own names of the fields.
    let relabelings = relabelings.replace("sourceLabels", "source_labels").replace("targetLabel", "target_label");
    let target = |namespace: &str| {
        let labels = format!(
            r#"{{"__meta_kubernetes_namespace":"{namespace}","__meta_kubernetes_service_name":"hub-gapless","__meta_kubernetes_pod_name":"hub-gapless-0"}}"#
        );
        format!(r#"{{"targets":["10.0.0.1:8080"],"labels":{labels}}}"#)
    };
    let config = format!(
        r#"{{"scrape_configs":[{{"job_name":"hubs","static_configs":[{},{}],"relabel_configs":{relabelings}}}]}}"#,
        target("events"),
        target("other")
    );
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("prometheus.yml");
    fs::write(&path, config).unwrap();
    let mut promtool = Command::new(tool("promtool"));
    promtool.args(["check", "service-discovery", "--timeout=1s"]).arg(path).arg("hubs");
    let found: Value = serde_json::from_str(&run(&mut promtool, "").sound()).unwrap();
    found.as_array().unwrap().iter().map(|target| target["labels"].clone()).collect()
}

/// Alerts and dashboard tell hubs apart by job and instance.
#[test]
fn releases_of_one_name_in_two_namespaces_are_told_apart() {
    let mut seen = 0;
    for case in CASES {
        let rendered = Rendered::of(case, &[]);
        for monitor in rendered.0.iter().filter(|object| object["kind"] == "ServiceMonitor") {
            let labels = scraped(monitor);
            for key in ["job", "instance"] {
                let name = if key == "job" { "hub-gapless" } else { "hub-gapless-0" };
                let mut found: Vec<&str> = labels.iter().map(|labels| labels[key].as_str().unwrap()).collect();
                found.sort_unstable();
                assert_eq!(found, [format!("events/{name}"), format!("other/{name}")], "{case:?} {key}");
            }
            seen += 1;
        }
    }
    assert!(seen > 1, "no case has a monitor");
}

/// What `helm install` prints.
fn notes(case: Case) -> String {
    // `helm template` leaves the notes out, and `helm install` needs a cluster: a template of the test includes them.
    let copy = tempfile::tempdir().unwrap();
    run(Command::new("cp").arg("-r").arg(here("deploy/helm/gapless")).arg(copy.path()), "").sound();
    let chart = copy.path().join("gapless");
    let shown = "kind: Notes\ntext: {{ include (print .Template.BasePath \"/NOTES.txt\") . | toJson }}\n";
    fs::write(chart.join("templates/notes.yaml"), shown).unwrap();
    let values = ["--values".into(), here(&format!("tests/deploy/values/{}.yaml", case.values))];
    let rendered = template(&chart.display().to_string(), "1.37", &values, &[]).sound();
    let notes = documents(&rendered).into_iter().find(|object| object["kind"] == "Notes").unwrap();
    notes["text"].as_str().unwrap().into()
}

#[test]
fn the_commands_of_the_notes_publish_and_read_an_event() {
    for case in [CASES[0], CASES[1]] {
        let rendered = Rendered::of(case, &[]);
        let (hub, _files) = started(&rendered);
        let notes = notes(case);
        assert!(notes.contains("kubectl -n events port-forward service/hub-gapless 8080:"), "{notes}");
        // The hub of the test is without TLS, and at another port.
        let here = notes.replace("https://", "http://").replace("127.0.0.1:8080", &hub.address.to_string());
        let commands: Vec<&str> = here.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
        let [subscribe, publish] = commands[..] else { panic!("{notes}") };
        let shell = |line: &str| {
            let mut command = Command::new(tool("sh"));
            command.args(["-c", &format!("exec {line}")]).env("TOKEN", "deploy-token");
            command
        };
        let reader = Child::spawn(&mut shell(subscribe));
        run(&mut shell(publish), "").sound();
        eventually("the event is read", || reader.lines().contains(&"data: Hello".to_owned()));
    }
}
