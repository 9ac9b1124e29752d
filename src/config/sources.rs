//! Precedence of the sources: flag, environment, file. The default is below them.

use std::collections::BTreeMap;

use super::{
    KEYS,
    environment::Environment,
    file::FileEntry,
    flags::Flags,
    origin::{SourceValue, ValueOrigin},
};

/// `RUST_LOG` sets the log level when `GAPLESS_LOG_LEVEL` is not set, because Rust users try it first.
const LEVEL: (&str, &str) = ("log.level", "RUST_LOG");

/// The values of every key by its path, highest precedence first.
pub(super) fn candidates(
    flags: &Flags,
    environment: &Environment,
    mut file: BTreeMap<String, FileEntry>,
) -> BTreeMap<String, Vec<SourceValue>> {
    let of_key = KEYS.iter().map(|key| {
        let path = key.path();
        let flag = flags.get(&path);
        let flag = flag.map(|text| SourceValue { text: Ok(text.to_owned()), origin: ValueOrigin::Flag(key.flag()) });
        let fallback = (path == LEVEL.0).then(|| variable(environment, LEVEL.1.into())).flatten();
        let entry = file.remove(&path);
        let entry = entry.map(|entry| SourceValue { text: Ok(entry.text), origin: ValueOrigin::File(entry.locations) });
        let all = [flag, variable(environment, key.variable()), fallback, entry].into_iter().flatten().collect();
        (path, all)
    });
    of_key.collect()
}

/// The value of a variable. An empty one counts as unset, see [`Environment`].
fn variable(environment: &Environment, name: String) -> Option<SourceValue> {
    let text = environment.get(&name)?.to_str().map(str::to_owned).ok_or("is not UTF-8");
    Some(SourceValue { text, origin: ValueOrigin::Environment(name) })
}
