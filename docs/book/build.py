"""Builds docs/ and what belongs to it into a book with search, in target/book, and checks every link in it.

The sources stay as GitHub shows them. For the book their links are rewritten: a document is its page, a file of deploy/ is a page
with its text, any other file of the repository is its name, without a link. Needs mdbook, and Python alone.
"""

import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "docs/book"
SOURCE = ROOT / "target/book-source"
OUTPUT = ROOT / "target/book"

# Files that a reader of the book needs at hand become pages of it, unless they are longer than this.
SHOWN = ("deploy/", "tests/clients/curl.sh")
SHOWN_BYTES = 40_000
LANGUAGES = {".yml": "yaml", ".yaml": "yaml", ".py": "python", ".sh": "sh", ".service": "ini", ".socket": "ini", ".conf": "nginx", ".json": "json"}
PICTURES = (".png", ".svg")
LINK = re.compile(r"(!?)\[((?:[^\[\]`]|`[^`]*`|!\[[^\]]*\]\([^)]*\))*)\]\(([^()\s]+)\)")

problems = []


def problem(text):
    problems.append(text)


class Book:
    def __init__(self):
        self.pages = {}  # a document of the repository: its page
        self.files = {}  # a file of the repository that the book shows: its page

    def read_summary(self):
        """The order of pages is docs/SUMMARY.md."""
        text = (ROOT / "docs/SUMMARY.md").read_text()
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path = os.path.normpath(os.path.join("docs", target))
            self.pages[path] = page_of(path)
        return text

    def target(self, document, link):
        """Where a link of a document leads in the book; None: nowhere."""
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or link.startswith("#"):
            return link
        path = os.path.normpath(os.path.join(os.path.dirname(document), parts.path))
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        if not (ROOT / path).exists():
            problem(f"{document}: {link} leads nowhere")
            return None
        if path in ("README.md", "docs/SUMMARY.md"):
            path = "docs/README.md"
        if path in self.pages:
            return relative(self.pages[document], self.pages[path]) + anchor
        if path.endswith(PICTURES):
            copy = path.removeprefix("docs/")
            (SOURCE / "src" / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, SOURCE / "src" / copy)
            return relative(self.pages[document], copy)
        if path.startswith(SHOWN) and (ROOT / path).is_file() and (ROOT / path).stat().st_size <= SHOWN_BYTES:
            self.files[path] = f"files/{path}.md"
            return relative(self.pages[document], self.files[path])
        if path.endswith(".md"):
            problem(f"{document}: {link} is a document that docs/SUMMARY.md lacks")
        return None

    def rewrite(self, document, text):
        def link(found):
            picture, label, target = found.groups()
            label = LINK.sub(link, label)
            there = self.target(document, target)
            if there is None:
                path = os.path.normpath(os.path.join(os.path.dirname(document), target))
                return f'<span class="file" title="{path}">{label}</span>'
            return f"{picture}[{label}]({there})"

        lines, fence = [], None
        for line in text.splitlines():
            mark = re.match(r"( *)(```+)(.*)", line)
            if fence is None and mark:
                fence = mark[2]
                language, _, name = mark[3].strip().partition(" ")
                if re.fullmatch(r"[\w./-]+\.\w+", name):
                    lines += [f'{mark[1]}<p class="filename">{name}</p>', ""]
                line = f"{mark[1]}{mark[2]}{language}"
            elif fence is not None:
                if line.strip() == fence:
                    fence = None
            elif not line.startswith("    "):
                line = replace_outside_code(line, link)
            lines.append(line)
        return "\n".join(lines) + "\n"


def page_of(path):
    if path == "docs/README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path.removesuffix("/README.md") + ".md" if path.endswith("/README.md") else path


def relative(page, to):
    return os.path.relpath(to, os.path.dirname(page) or ".")


def replace_outside_code(line, link):
    """Replaces links, but for those that stand within a code span."""
    spans = [span.span() for span in re.finditer(r"(`+)(?:(?!\1).)*\1", line)]
    within = lambda found: any(start < found.start() < end for start, end in spans)
    return LINK.sub(lambda found: found[0] if within(found) else link(found), line)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def stage():
    shutil.rmtree(SOURCE, ignore_errors=True)
    book = Book()
    summary = book.read_summary()
    for document, page in book.pages.items():
        write(SOURCE / "src" / page, book.rewrite(document, (ROOT / document).read_text()))
    summary = re.sub(r"\]\(([^)]+)\)", lambda found: f"]({book.pages[os.path.normpath(os.path.join('docs', found[1]))]})", summary)
    summary += "\n# Files\n\n- [Files of the repository](files/index.md)\n"
    index = "# Files of the repository\n\nFiles that these pages speak of:\n\n"
    for path, page in sorted(book.files.items()):
        text = (ROOT / path).read_text()
        language = LANGUAGES.get(pathlib.Path(path).suffix, "text")
        write(SOURCE / "src" / page, f"# {path}\n\n````{language}\n{text.rstrip()}\n````\n")
        summary += f"  - [{path.removeprefix('deploy/')}]({page})\n"
        index += f"- [{path}]({page.removeprefix('files/')})\n"
    write(SOURCE / "src/files/index.md", index)
    write(SOURCE / "src/SUMMARY.md", summary)
    for name in ("book.toml", "style.css"):
        shutil.copyfile(HERE / name, SOURCE / name)


def build():
    shutil.rmtree(OUTPUT, ignore_errors=True)
    run = subprocess.run(["mdbook", "build", str(SOURCE), "--dest-dir", str(OUTPUT)], capture_output=True, text=True)
    said = run.stdout + run.stderr
    for line in said.splitlines():
        if re.search(r"\b(WARN|ERROR)\b", line):
            problem(f"mdbook: {line.strip()}")
    if run.returncode:
        sys.exit(f"{said}mdbook ended with {run.returncode}")


class Page(html.parser.HTMLParser):
    """The ids of a built page, where it leads to, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads = {None}, [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in ("link", "script", "img", "source", "iframe", "video", "audio", "object"):
            self.loads += [attributes[name] for name in ("href", "src", "srcset", "data") if attributes.get(name)]


def check():
    pages = {path: Page(path) for path in OUTPUT.rglob("*.html")}
    for path, page in pages.items():
        name = path.relative_to(OUTPUT)
        if name.name in ("404.html", "toc.html"):
            continue
        for target in page.loads:
            if re.match(r"(\w+:)?//", target):
                problem(f"{name} loads {target}")
        for target in page.links + page.loads:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or target.startswith("//"):
                continue
            there = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchor = urllib.parse.unquote(parts.fragment)
            if not there.is_file():
                problem(f"{name}: {target} leads nowhere")
            elif anchor and there in pages and anchor not in pages[there].ids:
                problem(f"{name}: {target} has no such heading")
    for path in OUTPUT.rglob("*.css"):
        for target in re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]+\)|@import[^;]+//[^;]+;", path.read_text()):
            problem(f"{path.relative_to(OUTPUT)} loads {target}")
    return len(pages)


def main():
    if shutil.which("mdbook") is None:
        sys.exit("no mdbook: `make install` gets it from PyPI, or: cargo install --locked mdbook@0.5.4")
    stage()
    build()
    count = check()
    if problems:
        sys.exit("\n".join(dict.fromkeys(problems)) + f"\nthe book has {len(dict.fromkeys(problems))} problems")
    print(f"{count} pages in {OUTPUT.relative_to(ROOT)}: open {OUTPUT.relative_to(ROOT)}/index.html")


main()
