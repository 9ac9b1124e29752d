//! Reading a file of bounded size.

use std::{io::Read, path::Path};

/// Reads a file of at most `max` bytes.
pub(crate) fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes)).map_err(describe)?;
    if bytes.len() as u64 > max {
        return Err(format!("{} has more than {max} bytes; is it the right file?", path.display()));
    }
    Ok(bytes)
}
