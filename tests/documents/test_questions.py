"""Questions from the tables that people have, with answers and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clara_bench.errors import DataError
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source, TaskData

TASK = 'schema = 1\nname = "mine"\nversion = 1\nreader = "generic"\ndata = "{}"\n'
ROWS: list[dict[str, Any]] = [
    {"id": "a1", "question": "Who, if anyone, wrote Emma?", "answer": "Jane Austen", "kind": "who"},
    {"id": "a2", "question": "When?", "answer": '["1815", "in 1815"]', "kind": "when"},
    {"id": "a3", "question": "Why?", "answer": "", "kind": ""},
]


def load(path: Path) -> TaskData:
    task = path.with_name("task.toml")
    task.write_text(TASK.format(path.name), encoding="utf-8")
    return sources.load(definitions.load(str(task)), Source())


def as_csv(path: Path) -> Path:
    import csv

    file = path / "q.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as opened:
        writer = csv.DictWriter(opened, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return file


def as_tsv(path: Path) -> Path:
    file = path / "q.tsv"
    file.write_text("\n".join("\t".join(row.values()) for row in [dict(zip(ROWS[0], ROWS[0], strict=True)), *ROWS]))
    return file


def as_xlsx(path: Path) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in ([], list(ROWS[0]), *(list(row.values()) for row in ROWS), [None, None, None, None]):
        book.active.append(cells)
    book.save(path / "q.xlsx")
    return path / "q.xlsx"


def as_parquet(path: Path) -> Path:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        row | {"answer": answers} for row, answers in zip(ROWS, (["Jane Austen"], ["1815", "in 1815"], []), strict=True)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path / "q.parquet")
    return path / "q.parquet"


def as_jsonl(path: Path) -> Path:
    rows = [
        {"id": "a1", "question": ROWS[0]["question"], "answer": "Jane Austen", "kind": "who"},
        {"id": "a2", "question": "When?", "answers": ["1815", "in 1815"], "kind": "when"},
        {"id": "a3", "question": "Why?"},
    ]
    (path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path / "q.jsonl"


@pytest.mark.parametrize("write", [as_csv, as_tsv, as_xlsx, as_parquet, as_jsonl], ids=lambda one: one.__name__)
def test_every_kind_of_table_gives_the_same_questions(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = load(write(tmp_path)).examples
    assert [(e.question.id, e.question.text, e.gold.answers, e.gold.kind) for e in found] == [
        ("a1", "Who, if anyone, wrote Emma?", ("Jane Austen",), "who"),
        ("a2", "When?", ("1815", "in 1815"), "when"),
        ("a3", "Why?", (), None),
    ]


def test_a_question_is_all_that_a_table_needs_and_its_id_does_not_depend_on_the_order(tmp_path: Path) -> None:
    file = tmp_path / "q.csv"
    file.write_text("Question\nWhy?\nWho?\n")
    first = {e.question.text: e.question.id for e in load(file).examples}
    file.write_text("Question\nWho?\n\nWhen?\nWhy?\n")
    second = {e.question.text: e.question.id for e in load(file).examples}
    assert {text: second[text] for text in first} == first


def test_numbers_and_dates_of_a_sheet_are_texts(tmp_path: Path) -> None:
    import datetime

    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (
        ["id", "query", "ground truth"],
        [7, "How many?", 1984.0],
        [8, "When?", datetime.datetime(2020, 5, 1)],
    ):
        book.active.append(cells)
    book.create_sheet("More").append(["x"])
    book.save(tmp_path / "q.xlsx")
    with pytest.warns(UserWarning, match="sheet 'Sheet' is read, not 'More'"):
        found = load(tmp_path / "q.xlsx").examples
    assert [(e.question.id, e.gold.answers) for e in found] == [("7", ("1984",)), ("8", ("2020-05-01",))]


def test_columns_that_nobody_reads_are_named(tmp_path: Path) -> None:
    file = tmp_path / "q.csv"
    file.write_text("question;answer;Notes;page\nWhy?;x;y;3\n")
    with pytest.warns(UserWarning, match=r"q.csv: columns left unread: Notes, page"):
        load(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", b"text,answer\nWhy?,x\n", "no column of questions. Expected 'question'; found text, answer"),
        ("q.csv", b"question,answer\nWhy?,x,y\n", "row 2: 3 fields, the header names 2"),
        ("q.csv", b"question,question\nWhy?,x\n", "its header names a column twice"),
        ("q.csv", b"question,answer\n,x\n", "the question is empty"),
        ("q.csv", b"question\nWhy?\nWhy?\n", "have the same id"),
        ("q.csv", b"question\n", "no questions"),
        ("q.csv", b"", "no rows"),
        ("q.csv", b"question\nZ\xfcrich\n", "not UTF-8"),
        ("q.csv", b'question\n"Why?\n', "the table cannot be read"),
        ("q.xlsx", b"PK\x03\x04 nothing", "the table cannot be read"),
        ("q.parquet", b"PAR1", "the table cannot be read"),
        ("q.jsonl", b'{"question": "Why?", "answers": [""]}\n', "an answer is empty"),
        ("q.jsonl", b'{"question": "Why?", "anwsers": ["x"]}\n', "unknown"),
    ],
)
def test_a_table_that_is_of_no_use_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        load(tmp_path / name)
    assert message in str(raised.value) and "q." in str(raised.value)


def test_a_parquet_file_of_a_data_sets_own_columns_is_read_by_its_own_reader(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    row = {
        "id": "h", "question": "Who?", "answer": "Bo", "type": "bridge",
        "supporting_facts": {"title": ["A"], "sent_id": [0]},
        "context": {"title": ["A", "B"], "sentences": [["Bo."], ["Al."]]},
    }  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "validation.parquet")
    data = sources.load(definitions.load("hotpotqa"), Source(str(tmp_path / "validation.parquet")))
    assert data.examples[0].gold.facts == (("A", 0),)
