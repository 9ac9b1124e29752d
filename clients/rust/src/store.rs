//! Where a cursor is kept.

use std::{io, path::PathBuf, pin::Pin};

use crate::BoxError;

/// What a [`CursorStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps a cursor where it outlives the process: in a file, or in the same transaction as the results. It belongs to one
/// subscription. An error ends the subscription.
pub trait CursorStore: Send + Sync {
    /// The cursor; `None` if there is none yet.
    fn get(&self) -> StoreFuture<'_, Option<String>>;

    /// Keeps `cursor`. It is not called again before it has finished. When the subscription is dropped, the future may be, too.
    fn set<'a>(&'a self, cursor: &'a str) -> StoreFuture<'a, ()>;
}

/// Keeps a cursor in a file, which is replaced and synchronized each time.
#[derive(Debug)]
pub struct FileStore(PathBuf);

impl FileStore {
    /// A file of its own for each subscription. Its directory exists. `<file>.new` is used as well.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self(file.into())
    }
}

impl CursorStore for FileStore {
    fn get(&self) -> StoreFuture<'_, Option<String>> {
        Box::pin(async {
            match tokio::fs::read_to_string(&self.0).await {
                Ok(text) if text.trim().is_empty() => Ok(None),
                Ok(text) if is_id(text.trim()) => Ok(Some(text.trim().to_owned())),
                // It would be replaced.
                Ok(_) => {
                    Err(format!("{} has something else than a cursor; name another file", self.0.display()).into())
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn set<'a>(&'a self, cursor: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut new = self.0.clone().into_os_string();
            new.push(".new");
            let (new, file, text) = (PathBuf::from(new), self.0.clone(), format!("{cursor}\n"));
            // One task, so that a dropped future does not leave half of it undone.
            let written = tokio::task::spawn_blocking(move || {
                let mut out = std::fs::File::create(&new)?;
                io::Write::write_all(&mut out, text.as_bytes())?;
                // Else the file may be empty after a power failure.
                out.sync_data()?;
                std::fs::rename(new, file)
            });
            Ok(written.await??)
        })
    }
}

/// Whether a text looks like an id: `<epoch>-<number>`.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(epoch, number)| {
        let all = |text: &str, of: fn(u8) -> bool| !text.is_empty() && text.bytes().all(of);
        all(epoch, |byte| byte.is_ascii_alphanumeric()) && all(number, |byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_keeps_the_last_cursor() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cursor");
        let store = FileStore::new(&file);
        assert_eq!(store.get().await.expect("none yet"), None);
        for cursor in ["abcd-1", "abcd-2"] {
            store.set(cursor).await.expect("kept");
        }
        assert_eq!(FileStore::new(&file).get().await.expect("kept").as_deref(), Some("abcd-2"));
        FileStore::new(directory.path()).get().await.expect_err("a directory is no file");
        for mine in ["a list of mine\n", "abcd-1\nabcd-2\n", "abcd"] {
            std::fs::write(&file, mine).expect("written");
            let refused = store.get().await.expect_err("no cursor").to_string();
            assert!(refused.contains("something else than a cursor"), "{refused}");
        }
    }
}
