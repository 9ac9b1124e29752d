//! A Debian machine whose first process is systemd, in namespaces: no virtual machine and no container engine is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    namespaces::{Namespaces, directory},
    support::eventually,
};

/// The root that tests/install.sh makes by mmdebstrap.
const ROOT: &str = "target/debian-root.tar";

/// A machine that has booted. Its network is its own loopback.
pub(crate) struct Machine {
    inside: Option<Namespaces>,
    directory: tempfile::TempDir,
    cgroup: PathBuf,
}

/// Puts the process into the cgroup below which systemd then makes its own: the last argument, after the script and the root.
const BEFORE: &str = "echo $$ > \"$3/cgroup.procs\"";

/// Mounts what systemd expects of its machine, makes `$0` its root, and becomes systemd. By pivot_root, because a process in a
/// chroot may not make user namespaces (`PrivateUsers=`); and shared, because credentials are mounted in another namespace.
const BOOT: &str = r#"
root=$0
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
hostname machine
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
mount --make-rshared /
exec /usr/bin/env -i container=gapless-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
"#;

impl Machine {
    /// Boots one. Waits until systemd has started everything.
    pub(crate) fn boot() -> Self {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(ROOT);
        assert!(archive.exists(), "there is no {ROOT}, which tests/install.sh makes");
        let directory = directory();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let unpacked = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&root).status().unwrap();
        assert!(unpacked.success());
        // Of cgroup v2, also where the machine has v1 beside it.
        let all = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        let all =
            all.into_iter().find(|path| path.join("cgroup.procs").exists() && path.join("cgroup.controllers").exists());
        let cgroup = all.expect("cgroup v2 is mounted").join(format!("gapless-test-{:08x}", fastrand::u32(..)));
        fs::create_dir(&cgroup).unwrap();
        let log = directory.path().join("boot.log");
        let inside = Namespaces::start(BEFORE, BOOT, &[&root, &cgroup], &log);
        let machine = Self { inside: Some(inside), directory, cgroup };
        eventually("systemd answers", || machine.inside().output(&["systemctl", "is-system-running"]).status.success());
        machine
    }

    fn inside(&self) -> &Namespaces {
        self.inside.as_ref().expect("it runs")
    }

    /// Runs a program there, which must succeed; returns its stdout.
    pub(crate) fn run(&self, program: &[&str]) -> String {
        self.inside().run(program)
    }

    /// Whether a program succeeds there.
    pub(crate) fn succeeds(&self, program: &[&str]) -> bool {
        self.inside().output(program).status.success()
    }

    /// Starts a shell script there that goes on; its output is in the file `name` of [`Machine::path`].
    pub(crate) fn begin(&self, name: &str, script: &str) {
        self.write(&format!("/var/{name}.sh"), script);
        let start = format!("cd /; setsid bash /var/{name}.sh > /var/{name} 2>&1 &");
        self.run(&["sh", "-c", &start]);
    }

    /// A path of the machine as one of ours. `/run` and `/tmp` are its own.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join("root").join(inside.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    /// A property of the hub's service.
    pub(crate) fn property(&self, name: &str) -> String {
        self.run(&["systemctl", "show", "--property", name, "--value", "gapless.service"]).trim().into()
    }

    /// What the hub has logged.
    pub(crate) fn journal(&self) -> String {
        self.run(&["journalctl", "--unit=gapless.service", "--no-pager", "--lines=200"])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.inside.take());
        // Its processes end a moment later.
        for _ in 0..100 {
            if remove_cgroups(&self.cgroup).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Removes the cgroup and those below it, which are empty.
fn remove_cgroups(cgroup: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_cgroups(&path)?;
        }
    }
    fs::remove_dir(cgroup)
}
