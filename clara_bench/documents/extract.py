"""From a file to its title and text: Markdown, plain text, HTML, PDF."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.errors import DataError, MissingDependency
from clara_bench.io.cache import cache_dir, digest, write_atomic
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import read_json

INVISIBLE = ("script", "style", "noscript", "template", "head", "title")
BLOCKS = (
    "address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr",
    "ul",
)  # fmt: skip
"""Elements after which a new paragraph begins."""


class Document(msgspec.Struct, frozen=True):
    """Title and text of a file."""

    title: str
    text: str
    """Paragraphs, one a line."""


def read_document(path: Path) -> Document:
    """The file's title, or its name where it has none, and its text.

    Raises:
        DataError: it cannot be read.
        MissingDependency: the library for its format is not installed.
    """
    data = read_bytes(path)
    found = _READERS[path.suffix.lower()](data, path)
    title = " ".join(_clean(found.title).split())[:300]
    return Document(title or path.stem, tidy(found.text))


def tidy(text: str) -> str:
    r"""Paragraphs, one a line, with single blanks and without control characters.

    >>> tidy("A line\nand its end.\n\n\n  Another ")
    'A line and its end.\nAnother'
    """
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", _clean(text)))
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)


def _clean(text: str) -> str:
    """The text without characters that a file cannot hold or a terminal would execute."""
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]|[\ud800-\udfff]", " ", text.replace("\r\n", "\n"))


def _plain(data: bytes, path: Path) -> Document:
    return Document("", _decoded(data, path))


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte 0x{data[error.start]:02x}). Save the file as UTF-8") from error


def _markdown(data: bytes, path: Path) -> Document:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingDependency("reading Markdown", "markdown-it-py", "documents") from error
    text = _decoded(data, path)
    matter = re.match(r"---\n(.*?)\n---\s*(\n|$)", text.replace("\r\n", "\n"), flags=re.S)
    body = text.replace("\r\n", "\n")[matter.end() :] if matter else text
    named = re.search(r"^title:\s*(.+?)\s*$", matter[1], flags=re.M) if matter else None
    with _errors(path, "Markdown"):
        html = MarkdownIt("commonmark").enable("table").render(body)
    page = _page(html, path)
    return Document(named[1].strip("\"'") if named else page.title, page.text)


def _html(data: bytes, path: Path) -> Document:
    try:
        from bs4.dammit import EncodingDetector
    except ImportError as error:
        raise MissingDependency("reading HTML and Markdown", "beautifulsoup4", "documents") from error
    body, named = EncodingDetector.strip_byte_order_mark(data)
    name = named or EncodingDetector.find_declared_encoding(body, is_html=True, search_entire_document=True) or "utf-8"
    try:  # as browsers do, who take Latin-1 for Windows-1252; a guess would garble names in silence
        return _page(body.decode("cp1252" if name.lower() in LATIN_1 else name), path)
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError(f"{path}: not in the encoding '{name}'. Save the file as UTF-8") from error


LATIN_1 = ("iso-8859-1", "iso8859-1", "latin-1", "latin1", "us-ascii", "ascii")


def _page(text: str, path: Path) -> Document:
    """Title and visible text of HTML."""
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise MissingDependency("reading HTML and Markdown", "beautifulsoup4", "documents") from error
    with _errors(path, "HTML"), warnings.catch_warnings(action="ignore"):
        page = BeautifulSoup(text, "html.parser")
        named = page.title or page.h1
        title = named.get_text(" ") if named else ""
        for element in page(INVISIBLE):
            element.decompose()
        for element in page(BLOCKS):
            element.append("\n\n")
        for element in page(("br", "td", "th")):
            element.insert_after(" ")
        return Document(title, page.get_text())


def _pdf(data: bytes, path: Path) -> Document:
    """Cached, for it takes a tenth of a second a page."""
    try:
        import pypdf
    except ImportError as error:
        raise MissingDependency("reading PDF", "pypdf", "documents") from error
    key = digest(["1", pypdf.__version__, hashlib.sha256(data).digest()])
    kept = cache_dir("documents") / f"{key}.json"
    if kept.is_file():
        return read_json(kept, Document, "Remove the file, it is made anew")
    with _errors(path, "PDF"), _quiet("pypdf"):
        pdf = pypdf.PdfReader(io.BytesIO(data))
        text = "\n\n".join(page.extract_text() for page in pdf.pages)
        found = Document(_title_of(pdf), re.sub(r"(?<=\w)-\n(?=[a-zß-öø-ÿ])", "", _clean(text)))
    write_atomic(kept, msgspec.json.encode(found))
    return found


def _title_of(pdf: Any) -> str:
    """The title that the writer of the file gave it, unless a program named it after its own file."""
    title = str(pdf.metadata.title or "") if pdf.metadata else ""
    is_file_name = re.search(r"\.\w{2,4}$|^untitled|^microsoft word", title.strip(), flags=re.I)
    return "" if is_file_name else title


@contextlib.contextmanager
def _errors(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever the libraries come upon in a broken file
        raise DataError(
            f"{path}: {kind} that cannot be read: {type(error).__name__}: {str(error)[:200]}. Repair it or remove it"
        ) from error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library from telling of each small fault that it gets over."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


_READERS: Mapping[str, Callable[[bytes, Path], Document]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}

SUFFIXES = tuple(_READERS)
"""Suffixes of documents."""
