"""A folder of documents becomes passages: every format's text, cut alike everywhere, with ids that stay."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.components.registry import Component
from clara_bench.documents import Chunks, read_folder
from clara_bench.documents.chunks import _TOKEN, cut
from clara_bench.documents.extract import read_document
from clara_bench.errors import DataError
from clara_bench.running.run_config import Request
from clara_bench.running.trust import effects
from clara_bench.tasks.sources import Source

pytest.importorskip("pypdf")
pytest.importorskip("bs4")

QUICKSTART = Path(__file__).parent.parent / "data" / "quickstart"

PAGE = """\
<!doctype html><html><head><title> Berths and
prices </title><style>p { color: red }</style></head><body><nav>Home</nav><h1>Prices</h1>
<p>A berth costs <b>12</b> crowns&nbsp;a night.<br>Water is free.</p><table><tr><td>Power</td><td>3</td></tr></table>
<script>document.write("never")</script><ul><li>one</li><li>two</li></ul></body></html>
"""
NOTES = """\
---
title: "Notes of the master"
---
# Another heading

Boats *longer* than [twelve](http://x.example) metres
need a pilot.

- first
- second

| a | b |
|---|---|
| 1 | 2 |
"""


def folder_of(path: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        file = path / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_html_is_read_without_what_nobody_sees(tmp_path: Path) -> None:
    document = read_document(folder_of(tmp_path, a_html=PAGE) / "a.html")
    assert document.title == "Berths and prices"
    assert document.text.split("\n") == [
        "Home", "Prices", "A berth costs 12 crowns a night. Water is free.", "Power 3", "one", "two",
    ]  # fmt: skip


def test_html_in_another_encoding_says_so_itself(tmp_path: Path) -> None:
    page = '<meta charset="latin-1"><title>Å</title><p>Ærø'.encode("latin-1")
    assert read_document(folder_of(tmp_path, a_htm=page) / "a.htm").text == "Ærø"


def test_markdown_is_read_as_text_with_the_title_of_its_front_matter(tmp_path: Path) -> None:
    document = read_document(folder_of(tmp_path, a_md=NOTES) / "a.md")
    assert document.title == "Notes of the master"
    assert document.text.startswith("Another heading\nBoats longer than twelve metres need a pilot.\nfirst\nsecond")
    assert "---" not in document.text and "*" not in document.text
    assert read_document(folder_of(tmp_path, b_md="# Heading\ntext") / "b.md").title == "Heading"
    assert read_document(folder_of(tmp_path, c_md="text") / "c.md").title == "c"


def test_pdf_is_read_page_by_page_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    first = read_document(QUICKSTART / "harbour.pdf")
    assert first.title == "Aldmoor Harbour Rules"
    assert "must take a pilot" in first.text and "The harbour master is Ingrid Solvang" in first.text
    [kept] = (tmp_path / "cache" / "documents").iterdir()
    assert read_document(QUICKSTART / "harbour.pdf") == first
    kept.write_text("{")
    with pytest.raises(DataError, match=r"not JSON.*Remove the file, it is made anew"):
        read_document(QUICKSTART / "harbour.pdf")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF-1.4 and nothing else", "a.pdf: PDF that cannot be read"),
        ("a.pdf", b"", "a.pdf: PDF that cannot be read"),
        ("a.md", b"\xff\xfe", "a.md: not UTF-8"),
        ("a.txt", "Zürich".encode("cp1252"), "a.txt: not UTF-8 (byte 0xfc). Save the file as UTF-8"),
        ("a.html", b"<p>Z\xfcrich", "a.html: not in the encoding 'utf-8'. Save the file as UTF-8"),
        ("a.html", b'<meta charset="klingon"><p>x', "a.html: not in the encoding 'klingon'"),
    ],
)
def test_a_broken_document_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_document(tmp_path / name)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["harbour.pdf", "notes.md", "page.html"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(place=st.floats(0, 1), junk=st.binary(max_size=12), length=st.integers(0, 60))
def test_a_document_with_broken_bytes_is_read_or_named(name: str, place: float, junk: bytes, length: int) -> None:
    kinds = {
        "harbour.pdf": (QUICKSTART / "harbour.pdf").read_bytes(),
        "notes.md": NOTES.encode(),
        "page.html": PAGE.encode(),
    }
    at = int(place * len(kinds[name]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(kinds[name][:at] + junk + kinds[name][at + length :])
        try:
            document = read_document(path)
        except DataError as error:
            assert name in str(error)
        else:
            assert document.text.encode() is not None and document.title


def test_ids_are_paths_and_numbers_and_stay_when_other_documents_come(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, b_txt="one two three four five", sub__My_notes_md="x")
    (folder / "sub" / "My.notes.md").rename(folder / "sub" / "My notes.md")
    before = read_folder(folder, Chunks(3, 1)).passages
    assert list(before) == ["b.txt#1", "b.txt#2", "sub/My%20notes.md#1"]
    assert [passage.text for passage in before.values()] == ["one two three", "three four five", "x"]
    folder_of(tmp_path, a_txt="new", c__d_html="<p>new")
    after = read_folder(folder, Chunks(3, 1)).passages
    assert {id: after[id] for id in before} == before


def test_the_same_folder_elsewhere_is_the_same_corpus(tmp_path: Path) -> None:
    shutil.copytree(QUICKSTART, tmp_path / "copy")
    assert read_folder(tmp_path / "copy", Chunks()) == read_folder(QUICKSTART, Chunks())


def test_a_document_without_text_is_refused_and_not_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a_txt="text", empty_md=" \n ", blank_html="<p> </p>")
    with pytest.raises(DataError, match=r"no text in blank\.html, empty\.md\. If these are scanned pages"):
        read_folder(folder, Chunks())


def test_files_of_other_kinds_and_links_outside_are_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", a_txt="text", b_docx="x", c_docx="x", q_csv="question", _hidden_txt="no")
    (folder / "out.txt").symlink_to(folder_of(tmp_path, secret_txt="secret") / "secret.txt")
    with pytest.warns(
        UserWarning, match=r"not read as documents: \.docx \(2\), links that lead out of the folder \(1\)"
    ):
        assert list(read_folder(folder, Chunks()).passages) == ["a.txt#1"]


def test_a_document_whose_name_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes-\udcff.txt").write_text("The harbour opens at six.")
    with pytest.raises(DataError, match=r"notes-.*\.txt: its name is not UTF-8\. Rename it"):
        read_folder(tmp_path, Chunks())


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no documents\. Expected files ending in \.md"):
        read_folder(tmp_path, Chunks())


@pytest.mark.parametrize(("tokens", "overlap"), [(0, 0), (5, 5), (5, -1)])
def test_chunks_that_cannot_be_are_refused(tokens: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Chunks(tokens, overlap)


TEXTS = st.lists(st.sampled_from(["word", "ab.", "12", "東京", "—", "é", "?", "\n"]), max_size=60).map(" ".join)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=TEXTS, tokens=st.integers(1, 9), overlap=st.integers(0, 8))
def test_nothing_is_lost_and_no_passage_is_too_long(text: str, tokens: int, overlap: int) -> None:
    chunks = Chunks(tokens, min(overlap, tokens - 1))
    pieces = [_TOKEN.findall(piece) for piece in cut(text, chunks)]
    assert all(0 < len(piece) <= tokens for piece in pieces)
    joined: list[str] = []
    for piece in pieces:
        joined += piece[chunks.overlap :] if joined else piece
    assert joined == _TOKEN.findall(text)


def test_scripts_without_blanks_are_cut_too() -> None:
    assert cut("東京は日本の首都です。", Chunks(4, 1)) == ["東京は日", "日本の首", "首都です", "す。"]


def test_a_tokenizer_that_a_manifest_names_is_told_before_it_is_fetched() -> None:
    request = Request("mine.toml", Component("closed-book"), "corpus", Source(chunk={"tokenizer": "a/b"}))
    assert effects(request) == ["fetches 'a/b' from the Hugging Face hub, unless it is in the cache"]


@pytest.mark.model
def test_a_models_own_tokens_can_be_counted() -> None:
    text = " ".join(f"extraordinarily{number}" for number in range(50))
    by_words = cut(text, Chunks(20, 5))
    by_model = cut(text, Chunks(20, 5, "HuggingFaceTB/SmolLM2-135M-Instruct"))
    assert len(by_model) > len(by_words)
    assert by_model[0].startswith("extraordinarily0")
