//! Archives that somebody has made to harm their reader.

use std::{fs, io::Write, path::Path};

use tar::{EntryType, Header};

use super::{
    commands::{backup, run, text, verify},
    support::hub::Hub,
};

/// Bytes of a tar's block.
const BLOCK: usize = 512;

fn pack(path: &Path, tar: &[u8]) {
    fs::write(path, packed(tar)).unwrap();
}

fn packed(tar: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// A member's head.
fn head(name: &str, kind: EntryType, bytes: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// The tar of a real archive, without the zeros at its end.
fn real(dir: &Path) -> Vec<u8> {
    let data = tempfile::tempdir().unwrap();
    let hub = Hub::start_on(data.path(), &[]);
    hub.publish("t", "event");
    let archive = dir.join("real.tar.zst");
    backup(&hub, &archive);
    let mut tar = zstd::decode_all(&fs::read(&archive).unwrap()[..]).unwrap();
    tar.truncate(tar.len() - 2 * BLOCK);
    tar
}

/// Verifies it, and returns what is said.
fn found(archive: &Path) -> String {
    let (code, found) = verify(archive);
    assert_eq!((code, &found["verdict"]), (1, &"damaged".into()), "{found}");
    let (code, _, err) = run(&["restore", "--from", text(archive), "--data", text(&archive.with_extension("data"))]);
    assert_eq!(code, 1, "{err}");
    found["findings"][0]["what"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_but_zeros_may_follow_the_last_part_of_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (tar, archive) = (real(dir.path()), dir.path().join("crafted.tar.zst"));
    for zeros in [2, 20] {
        pack(&archive, &[&tar[..], &vec![0; zeros * BLOCK]].concat());
        assert_eq!(verify(&archive).0, 0, "as tar(1) pads it");
    }
    let end = [0; 2 * BLOCK];
    let members = [
        head("../../evil", EntryType::Regular, 0),
        head("/etc/evil", EntryType::Regular, 0),
        head("evil", EntryType::Block, 0),
        b"text".to_vec(),
    ];
    for member in members {
        pack(&archive, &[&tar[..], &member, &end].concat());
        let told = found(&archive);
        assert!(member.len() < BLOCK || told.contains("after its last part"), "{member:?} {told}");
        pack(&archive, &[&tar[..], &end, &member, &end].concat());
        assert!(found(&archive).contains("after its last part"), "{member:?}");
    }
    let whole = packed(&[&tar[..], &end].concat());
    let skippable = b"\x50\x2a\x4d\x18\x04\0\0\0evil".to_vec();
    for frame in [packed(b"evil"), packed(b""), packed(&end), skippable, vec![0]] {
        fs::write(&archive, [&whole[..], &frame].concat()).unwrap();
        assert!(found(&archive).contains("after its last part"), "{frame:?}");
    }
    // More than any tar pads.
    pack(&archive, &[&tar[..], &vec![0; 4 << 20]].concat());
    assert!(found(&archive).contains("after its last part"));
}

#[test]
fn a_member_of_the_wrong_kind_or_size_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (tar, archive) = (real(dir.path()), dir.path().join("crafted.tar.zst"));
    // The mark is one member of a head and a block.
    let mark = &tar[..2 * BLOCK];
    let long = |kind| [head("././@LongLink", kind, 40 << 20), vec![b'a'; 40 << 20], tar.clone()].concat();
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        pack(&archive, &long(kind));
        let told = found(&archive);
        assert!(told.contains("wrong place") && told.len() < 300, "{} bytes: {told:.300}", told.len());
    }
    let cases = [
        ("backups/x.json".to_owned(), 301 << 20, "longer than any can be"),
        (format!("backups/{}", "x".repeat(92)), 1, "cut short"),
    ];
    for (name, bytes, told) in cases {
        pack(&archive, &[mark, &head(&name, EntryType::Regular, bytes)].concat());
        assert!(found(&archive).contains(told), "{name}: {}", found(&archive));
    }
    pack(&archive, &[&head("gapless-backup", EntryType::Regular, 32 << 10)[..], &tar[BLOCK..]].concat());
    assert!(found(&archive).contains("longer than any can be"), "{}", found(&archive));
}

#[test]
fn what_is_no_backup_is_not_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    write("notes.txt", b"plain text");
    write("empty", b"");
    write("empty.tar.zst", b"");
    for name in ["missing", "missing.tar.zst", "notes.txt", "empty", "empty.tar.zst"] {
        let path = dir.path().join(name);
        let (code, _, err) = run(&["verify", text(&path)]);
        assert!(code == 3 && err.contains("is no backup"), "{name}: {code} {err}");
        let (code, _, err) = run(&["restore", "--from", text(&path), "--data", text(&dir.path().join("data"))]);
        assert!(code == 1 && err.contains("is no backup"), "{name}: {code} {err}");
    }
    write("noise.tar.zst", b"its beginning is lost");
    assert_eq!(verify(&dir.path().join("noise.tar.zst")).0, 1, "by its name it was one");
}
