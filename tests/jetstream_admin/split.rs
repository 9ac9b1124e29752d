//! A split of the replicas: the files of one server are put back, as a disk that lies about its writes does it.

use std::{fs, path::Path};

use crate::{
    command::{Other, check, gapless, settled},
    nats_cluster::NatsCluster,
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            fs::copy(&from, to.join(name)).unwrap();
        }
    }
}

/// Stores so many events that begin with `text`.
fn store_events(cluster: &NatsCluster, count: usize, text: &str) {
    let other = Other::new(cluster);
    for n in 0..count {
        other.store("gapless.e.t", &[], &format!("{text}{n}"));
    }
}

#[test]
fn replicas_with_different_events_at_one_position_are_found() {
    let mut cluster = NatsCluster::start();
    gapless(&cluster, &["jetstream", "init"]).sound();
    store_events(&cluster, 10, "one");
    settled(&cluster, &[]);
    let store = cluster.dir().join("n0");
    let kept = cluster.dir().join("kept");
    (0..3).for_each(|node| cluster.terminate(node));
    copy(&store, &kept);

    // n0 and n1 acknowledge six events, while n2 is away.
    cluster.restart(0);
    cluster.restart(1);
    store_events(&cluster, 6, "two");
    cluster.kill(0);
    cluster.kill(1);
    // n0 loses them. With n2 it makes a majority, which knows nothing of them.
    fs::remove_dir_all(&store).unwrap();
    copy(&kept, &store);
    cluster.restart(0);
    cluster.restart(2);
    store_events(&cluster, 3, "three");
    cluster.restart(1);
    cluster.wait_healthy();

    // A server that comes back is told apart from one that differs.
    for _ in 0..30 {
        let found = check(&cluster, 3, &[]);
        if found.code == 1 {
            assert!(found.codes().contains(&"split".to_owned()), "{found:?}");
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("{:?}", check(&cluster, 3, &[]));
}
