"""What is broken is refused in one line that says where."""

from __future__ import annotations

import copy
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clara_bench.datasets import read, read_aliases, read_corpus, read_rows
from clara_bench.errors import DataError, UnknownName

DATA = Path(__file__).parent.parent / "data"
HOTPOT = "hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz"


def hotpot(change: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    rows = copy.deepcopy(read_rows(DATA / HOTPOT))
    change(rows)
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[2].update(answer=5), "dev.json: row 3: expected str at $.answer, got int"),
        (lambda rows: rows[1].pop("answer"), "dev.json: row 2: object missing required field answer"),
        (lambda rows: rows[1].pop("_id"), "dev.json: row 2: missing required field _id"),
        (lambda rows: rows[0].update(question="  "), "dev.json: row 1: the question is empty"),
        (lambda rows: rows[0].update(answer=""), "dev.json: row 1: an answer is empty"),
        (lambda rows: rows[3].update(_id=rows[0]["_id"]), "dev.json: rows 1 and 4 have the same id"),
        (lambda rows: rows[0]["context"][2].append("x"), "row 1: expected array of length 2 at $.context[2], got 3"),
        (lambda rows: rows[0]["supporting_facts"][1].reverse(), "expected str at $.supporting_facts[1][0], got int"),
        (lambda rows: rows.clear(), "dev.json: no questions"),
        (lambda rows: rows[0].pop("context"), "not a known format of hotpotqa"),
    ],
)
def test_a_broken_row_is_named_with_its_field(change: Callable[[list[dict[str, Any]]], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read("hotpotqa", hotpot(change), "dev.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reader", "row", "message"),
    [
        ("nq", {"question": "q", "answer": []}, "row 1: there is no answer"),
        ("nq", {"question": "q", "answer": ["a", " "]}, "row 1: an answer is empty"),
        ("nq", {"question": "q", "answer": "a"}, "expected array at $.answer, got str"),
        ("generic", {"id": "", "question": "q", "answers": ["a"]}, "row 1: the id is empty"),
        ("generic", {"id": 1, "question": "q", "answers": ["a"]}, "expected str | null at $.id, got int"),
        ("generic", {"id": "1", "question": "q", "answers": ["a"], "passages": [{"txt": "p"}]}, "$.passages[0]"),
        ("generic", {"id": "1", "question": "q", "answers": ["a"], "suporting": []},
         "unknown key 'suporting'. Did you mean 'supporting'?"),
        ("hotpotqa", {"_id": "1", "question": "q", "answer": "a", "supporting_facts": {"title": ["t"], "sent_id": []},
                      "context": []}, "1 titles for 0 sentence indices"),
        ("hotpotqa", {"_id": "1", "question": "q", "answer": "a", "supporting_facts": [],
                      "context": {"title": [], "sentences": [["s"]]}}, "0 titles for 1 paragraphs"),
        ("2wikimultihopqa", {"_id": "1", "question": "q", "answer": "a", "supporting_facts": [],
                             "evidences": [["a", "b", "c"]], "evidences_id": [["Q1", "b", "Q2"], ["Q1", "b", "Q2"]]},
         "2 evidences_id for 1 evidences"),
    ],
)  # fmt: skip
def test_each_reader_refuses_what_its_rows_cannot_say(reader: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(reader, [row], "file.jsonl")
    assert message in str(caught.value) and str(caught.value).startswith("file.jsonl")


def test_the_same_nq_question_twice_is_refused_with_both_rows() -> None:
    row = {"question": "who", "answer": ["me"]}
    with pytest.raises(DataError, match="rows 1 and 3 have the same id"):
        read("nq", [row, {"question": "what", "answer": ["it"]}, row], "nq.jsonl")


def test_one_passage_id_for_two_texts_is_refused() -> None:
    passages = [{"id": "p", "text": "one"}, {"id": "p", "text": "other"}]
    with pytest.raises(DataError, match="'p' stands for two different texts"):
        read("generic", [{"id": "1", "question": "q", "answers": ["a"], "passages": passages}], "x.jsonl")


def test_an_unknown_reader_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'hotpotqa'"):
        read("hotpot", [{}], "x.json")


def test_rows_of_another_data_set_are_refused_with_the_keys_that_were_found() -> None:
    with pytest.raises(DataError, match="row 1 has _id, answer, context"):
        read("musique", read_rows(DATA / HOTPOT), "dev.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"id": "1"}\n{"id": \n', "a.jsonl: line 2: "),
        ("a.jsonl", b'{"id": "1"}\n\n"text"\n', "a.jsonl: line 3: expected object, got str"),
        ("a.json", b'[{"id": "1"}, 7]', "a.json: row 2: expected object, got int"),
        ("a.json", b'[{"id": "1"}', "a.json: not JSON: input data was truncated"),
        ("a.jsonl", b'{"id": "\xff"}', "a.jsonl: line 1: "),
        ("a.jsonl", b"{broken", "a.jsonl: line 1: not JSON: "),
        ("a.jsonl", b'{"id": ' + b"[" * 100_000, "a.jsonl: line 1: nested too deeply"),
        ("a.jsonl", rb'{"id": "\ud800 and more"}', "a.jsonl: line 1: not JSON: "),
        ("a.jsonl.gz", b"not gzip", "a.jsonl.gz: not a whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"id": "1"}' * 99)[:-9], "a.jsonl.gz: not a whole gzip file"),
        ("a.csv", b"a,b", "a.csv: cannot tell what it holds"),
        ("a.txt", b"question without a tab", "a.txt: line 1: expected a question, a tab"),
        ("a.txt", b"question\t__import__('os')", "a.txt: line 1: expected a question, a tab"),
        ("a.tsv", b"question\t['a'", "a.tsv: line 1: expected a question, a tab"),
        ("a.tsv", b"question\t" + b"-" * 100_000 + b"1", "a.tsv: line 1: expected a question, a tab"),
        ("a.tsv", b"question\t['\\ud800']", "a.tsv: line 1: expected a question, a tab"),
        ("a.tsv", b"question\t{'a', 'b'}", "a.tsv: line 1: expected a Python list of answers, got set"),
    ],
)
def test_an_unreadable_file_is_named_with_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / name)
    assert message in str(caught.value)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl: cannot be read: No such file"):
        read_rows(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b'{"id": "1", "text": "a"}\n{"id": "1", "text": "b"}\n', "line 2: id '1' occurs twice"),
        (b'{"id": "1", "title": "a"}\n', "line 1: object missing required field text"),
        (b'{"id": 1, "text": "a"}\n', "line 1: expected str | null at $.id, got int"),
        (b"", "no passages"),
    ],
)
def test_a_broken_corpus_is_refused(tmp_path: Path, rows: bytes, message: str) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(rows)
    with pytest.raises(DataError) as caught:
        read_corpus(tmp_path / "corpus.jsonl")
    assert message in str(caught.value)


def test_a_misspelt_key_of_a_corpus_never_loses_its_titles(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'{"id": "1", "titel": "Oslo", "text": "a"}\n')
    with pytest.raises(DataError, match=r"line 1: unknown key 'titel'\. Did you mean 'title'"):
        read_corpus(tmp_path / "corpus.jsonl")


def test_what_a_corpus_holds_beside_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(
        b'{"id": "1", "text": "a", "url": "b"}\n{"id": "2", "text": "c", "by": 1}\n'
    )
    with pytest.warns(UserWarning, match=r"corpus\.jsonl: not read, since nothing asks for it: by, url"):
        assert len(read_corpus(tmp_path / "corpus.jsonl")) == 2


def test_a_broken_alias_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "id_aliases.json").write_text('{"Q_id": "Q1", "aliases": "Hamburg"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1: expected array at \$\.aliases, got str"):
        read_aliases(tmp_path / "id_aliases.json")


def test_byte_order_mark_blank_lines_and_carriage_returns_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1"}\r\n\r\n  \n{"id": "2"}')
    assert read_rows(path) == [{"id": "1"}, {"id": "2"}]


def test_corpus_rows_without_ids_that_say_the_same_are_one_passage(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text('[{"title": "A", "text": "Same."}, {"title": "A", "text": "same"}, {"text": "Other"}]')
    assert len(read_corpus(path)) == 2


def test_demonyms_of_the_official_alias_table_are_spellings_too(tmp_path: Path) -> None:
    (tmp_path / "id_aliases.json").write_text(
        '{"Q_id": "Q55", "aliases": ["Holland"], "demonyms": ["Dutch"]}\n{"Q_id": "Q1", "aliases": [], "demonyms": []}'
    )
    assert read_aliases(tmp_path / "id_aliases.json") == {"Q55": ("Holland", "Dutch"), "Q1": ()}
