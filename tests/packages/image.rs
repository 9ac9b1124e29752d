//! The image of `deploy/Dockerfile`: built by buildah without an engine and without a registry, and run in namespaces as an
//! engine would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    namespaces::{self, Namespaces, directory},
    support::eventually,
};

/// The image, in a store of its own.
struct Image {
    directory: tempfile::TempDir,
    config: Value,
    root: PathBuf,
}

fn buildah(store: &Path, arguments: &[&str]) -> String {
    let (root, run) = (store.join("root"), store.join("run"));
    let out = Command::new("buildah")
        .arg("--root")
        .arg(root)
        .arg("--runroot")
        .arg(run)
        .args(["--storage-driver", "vfs"])
        .args(arguments)
        .env("BUILDAH_ISOLATION", "chroot")
        .output()
        .expect("buildah, which tests/install.sh installs");
    assert!(out.status.success(), "buildah {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().into()
}

impl Image {
    /// Builds it: the Dockerfile's last stage, with the binary that is there in place of its first stage, which compiles.
    fn build() -> Self {
        let directory = directory();
        let (store, parts) = (directory.path().join("store"), directory.path().join("parts"));
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(project.join("deploy/image-root.sh"))
            .arg(env!("CARGO_BIN_EXE_gapless"))
            .arg(parts.join("image"))
            .status();
        assert!(made.unwrap().success());
        let empty = directory.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let (file, stage) = (project.join("deploy/Dockerfile"), format!("build={}", parts.display()));
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let arguments = [
            "bud",
            "--format",
            "docker",
            "--build-context",
            &stage,
            "-f",
            &text(&file),
            "-t",
            "gapless",
            &text(&empty),
        ];
        buildah(&store, &arguments);
        let config: Value = serde_json::from_str(&buildah(&store, &["inspect", "--type", "image", "gapless"])).unwrap();
        let container = buildah(&store, &["from", "gapless"]);
        let root = buildah(&store, &["mount", &container]).into();
        Self { directory, config: config["Docker"]["config"].clone(), root }
    }

    fn words(&self, pointer: &str) -> Vec<String> {
        let list = self.config.pointer(pointer).and_then(Value::as_array).unwrap();
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    /// Runs it as an engine does: read-only, as its user, with its environment, and with a volume at /data.
    fn run(&self, environment: &[&str]) -> Namespaces {
        let volume = self.directory.path().join("volume");
        fs::create_dir_all(&volume).unwrap();
        let user = self.config["User"].as_str().unwrap();
        let (id, group) = user.split_once(':').unwrap();
        std::os::unix::fs::chown(&volume, id.parse().ok(), group.parse().ok()).unwrap();
        let mut words = self.words("/Env");
        words.extend(environment.iter().map(|&word| word.to_owned()));
        words.extend([self.words("/Entrypoint"), self.words("/Cmd")].concat());
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        // The program env is not in the image, so the shell sets the environment, and chroot becomes the hub.
        let (variables, command): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.contains('='));
        let exports = variables.iter().map(|variable| format!("export {variable}\n")).collect::<Vec<_>>().concat();
        let script = format!(
            "root=$0\nip link set lo up\nmount --bind \"$root\" \"$root\"\nmount -t proc proc \"$root/proc\"\n\
             mount --bind \"$1\" \"$root/data\"\nmount -o remount,ro,bind \"$root\"\nchroot=$(command -v chroot)\n\
             unset $(env | sed -n 's/^\\([A-Za-z_]*\\)=.*/\\1/p' | grep -v '^PATH$')\n{exports}\
             exec \"$chroot\" --userspec={user} --groups= \"$root\" {}",
            command.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        );
        fs::create_dir_all(self.root.join("proc")).unwrap();
        Namespaces::start("", &script, &[&self.root, &volume], &self.log())
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The health check of the image.
    fn health(&self) -> Vec<String> {
        let words = self.words("/Healthcheck/Test");
        assert_eq!(words[0], "CMD");
        words[1..].to_vec()
    }
}

#[test]
fn the_image_runs_read_only_without_privileges_and_its_health_check_tells_the_truth() {
    if !namespaces::are_allowed() {
        return;
    }
    let image = Image::build();
    let mut container = image.run(&["GAPLESS_OPEN=true"]);
    let health = image.health();
    let health: Vec<&str> = health.iter().map(|word| &**word).collect();
    let environment = image.words("/Env");
    // As an engine runs the check: with the container's environment and user. nsenter has no program of the image.
    let check = |container: &Namespaces| {
        let mut command = Command::new("timeout");
        command.args([
            "20",
            "nsenter",
            "--target",
            &container.pid().to_string(),
            "--mount",
            "--pid",
            "--net",
            "--root",
            "--wd=/",
        ]);
        command.args(["--setuid=10001", "--setgid=10001"]).args(&health).env_clear();
        command.envs(environment.iter().filter_map(|variable| variable.split_once('='))).env("GAPLESS_OPEN", "true");
        command.output().unwrap().status.code()
    };
    eventually("it is healthy", || check(&container) == Some(0));

    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    for line in ["Uid:\t10001\t10001\t10001\t10001", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap().split('\t').next_back(), Some("1"));
    let publish = ["gapless", "publish", "kept", "in the volume"];
    container.run(&publish);

    // A hub that is stopped does not answer its check.
    let pid = Pid::from_raw(container.pid().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(check(&container), Some(1));
    kill_process(pid, Signal::CONT).unwrap();

    // As PID 1 it has no default for a signal: it must handle it.
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(container.wait(), Some(0), "{}", fs::read_to_string(image.log()).unwrap());

    let container = image.run(&["GAPLESS_OPEN=true"]);
    eventually("it is healthy", || check(&container) == Some(0));
    let kept = container.run(&["gapless", "tail", "kept", "--from", "earliest", "--count", "1"]);
    assert_eq!(kept.trim(), "in the volume");
}

#[test]
fn without_credentials_or_open_the_image_says_what_is_missing() {
    if !namespaces::are_allowed() {
        return;
    }
    let image = Image::build();
    let mut container = image.run(&[]);
    assert_eq!(container.wait(), Some(78));
    let said = fs::read_to_string(image.log()).unwrap();
    assert!(said.contains("0.0.0.0:8080 is reachable from other machines"), "{said}");
}
