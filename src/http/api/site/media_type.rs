//! The content type of a file, by its extension.

use std::path::Path;

/// Extensions in lower case, each with its type. Text is UTF-8.
const TYPES: [(&[&str], &str); 27] = [
    (&["html", "htm"], "text/html; charset=utf-8"),
    (&["js", "mjs"], "text/javascript; charset=utf-8"),
    (&["css"], "text/css; charset=utf-8"),
    (&["json", "map"], "application/json"),
    (&["webmanifest"], "application/manifest+json"),
    (&["txt", "log"], "text/plain; charset=utf-8"),
    (&["md"], "text/markdown; charset=utf-8"),
    (&["csv"], "text/csv; charset=utf-8"),
    (&["xml"], "text/xml; charset=utf-8"),
    (&["svg"], "image/svg+xml"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["avif"], "image/avif"),
    (&["ico"], "image/x-icon"),
    (&["woff"], "font/woff"),
    (&["woff2"], "font/woff2"),
    (&["ttf"], "font/ttf"),
    (&["otf"], "font/otf"),
    (&["mp3"], "audio/mpeg"),
    (&["ogg"], "audio/ogg"),
    (&["wav"], "audio/wav"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
    (&["pdf"], "application/pdf"),
    (&["wasm"], "application/wasm"),
];

/// The content type of a file with this path. An unknown one is bytes: browsers store it, and run nothing.
pub(super) fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|text| text.to_str()).unwrap_or_default().to_ascii_lowercase();
    let known = TYPES.iter().find(|(extensions, _)| extensions.contains(&extension.as_str()));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_has_one_type_in_either_case() {
        assert_eq!(media_type(Path::new("a/b.JS")), "text/javascript; charset=utf-8");
        assert_eq!(media_type(Path::new("a/b.svg")), "image/svg+xml");
        assert_eq!(media_type(Path::new("a/html")), "application/octet-stream");
        let mut all: Vec<&str> = TYPES.iter().flat_map(|(extensions, _)| *extensions).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
