//! What does not run in the test of the documents' commands, and why.

/// A command with this text is left out.
pub(crate) const LEFT: &[(&str, &str)] = &[
    ("hub.example", "a name that stands for the reader's hub"),
    ("10.0.0.1", "addresses that stand for the reader's machines"),
    ("systemctl", "needs systemd as the first process: tests/packages has it"),
    ("kubectl", "needs a cluster: tests/deploy tries the chart without one"),
    ("helm ", "needs a cluster: tests/deploy tries the chart without one"),
    ("cargo install", "builds for minutes: CI builds the program anyway"),
    ("pip install", "installs on this machine: clients/python/test.sh tries the package"),
    ("apt install", "installs on this machine: tests/packages installs the package"),
    ("deploy/image-root.sh", "needs a release build: tests/packages makes the image"),
    ("buildah", "needs root, and a release build: tests/packages makes the image"),
    ("make bench", "takes hours"),
    ("make soak", "takes half an hour"),
    ("make report", "writes docs/BENCHMARKS.md"),
    ("cargo bench", "takes half an hour"),
    ("/etc/gapless", "a folder of this machine, and a cluster of NATS: tests/jetstream_admin does the same in its own"),
    ("--engine jetstream", "needs a cluster of NATS: tests/jetstream has one"),
    ("gapless jetstream init", "needs a cluster of NATS: tests/jetstream_admin has one"),
    ("nats …", "an abbreviation"),
    ("gapless remove jobs/42/tokens", "an id of no hub: docs/PROTOCOL.md has the same request with its own"),
    ("journal.sh ", "needs a systemd journal: tests/producers has one"),
    ("cron.sh ", "a line of a crontab: tests/producers runs the same"),
    ("./ci.sh ", "a step of a CI job: tests/producers runs the same"),
    ("gapless top     ", "draws on a terminal: tests/terminal has one"),
];

/// A block whose first line begins so is no shell's.
pub(crate) const NO_SHELL: &[(&str, &str)] = &[
    ("[Service]", "lines of a unit"),
    ("NATS_NAME=", "lines of an environment file"),
    ("{\"streams\":", "an answer"),
    ("histogram_quantile(", "a query for Prometheus: tests/deploy asks a real one"),
    ("hub      100 MiB", "a formula"),
    ("3 × store.max_bytes", "a formula"),
    ("LimitNOFILE ≥", "a formula"),
];
