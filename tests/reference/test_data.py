"""Rows come back from a file as they went in; a bad line is named; a stop changes nothing about the order."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from clara_bench import ConfigError, DataError
from reference.data.row import Row, Turn
from reference.data.row_files import (
    Lines,
    read_instruct,
    read_joint,
    read_pretrain,
    write_instruct,
    write_joint,
    write_pretrain,
)
from reference.data.stream import Held, Stream

STUDIES = [
    Row("a", ("Ann Lee\nAnn Lee, born in 1960, ...",), (Turn("When?", "1960"), Turn("Who?", "Ann Lee", "a chain"))),
    Row("b", ("Straße\nÜber \u2028 allem",), (Turn("", "In other words"),), "paraphrase"),
]
CHOICES = [
    Row("a", ("one", "two", "three"), (Turn("Which?", "two", "one , two"),), positives=(1, 2)),
    Row("b", ("one", "two"), (Turn("Which?", "two"),)),
]


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_pretrain(STUDIES, path) == 2
    assert list(read_pretrain(path)) == STUDIES
    assert write_joint(CHOICES, path) == 2
    assert list(read_joint(path)) == CHOICES
    assert write_instruct(CHOICES, path) == 2
    assert list(read_instruct(path)) == CHOICES


def test_written_files_have_the_fields_of_the_published_ones(tmp_path: Path) -> None:
    write_pretrain(STUDIES, tmp_path / "s1")
    write_joint(CHOICES, tmp_path / "s2")
    first, second = (json.loads(line) for line in (tmp_path / "s1").read_text("utf-8").split("\n")[:2])
    assert first["data_type"] == "qa" and second["data_type"] == "paraphrase"
    assert (
        first["question"] == ["When?", "Who?"] and first["answers"] == ["1960", "Ann Lee"] and len(first["docs"]) == 1
    )
    joint = json.loads((tmp_path / "s2").read_text().split("\n")[0])
    assert (joint["question"], joint["answer"], joint["pos_index"]) == ("Which?", "two", [1, 2])


def test_several_turns_of_a_reading_become_several_lines(tmp_path: Path) -> None:
    row = Row("a", ("one", "two"), (Turn("1?", "one"), Turn("2?", "two", "chain")))
    assert write_instruct([row], tmp_path / "rows") == 2
    assert [back.turns for back in read_instruct(tmp_path / "rows")] == [(turn,) for turn in row.turns]


def test_a_published_pretraining_row_is_read(tmp_path: Path) -> None:
    line = {
        "data_type": "qa",
        "question": ["Q1?", "Q2?"],
        "answers": ["A1", "A2"],
        "docs": ["This a document about X. \n Y"],
    }
    (row,) = read_pretrain(write(tmp_path / "rows.jsonl", line))
    assert row == Row("rows.jsonl:1", tuple(line["docs"]), (Turn("Q1?", "A1"), Turn("Q2?", "A2")))


@pytest.mark.parametrize(
    "line",
    [
        {"question": "Q?", "docs": ["d"], "answer": "A", "answers": ["B"], "gold_answer": "C", "other": 1},
        {"question": "Q?", "context": ["d"], "content": ["e"], "answers": ["A", "B"]},
        {"question": "Q?", "content": ["d"], "golden_answers": ["A", "B"]},
        {"question": "Q?", "docs": ["d"], "gold_answer": "A"},
        {"question": "Q?", "docs": ["d"], "gold_answer": ["A", "B"]},
    ],
)
def test_documents_and_answers_are_found_under_the_names_the_released_loader_knows(
    tmp_path: Path, line: dict[str, object]
) -> None:
    (row,) = read_joint(write(tmp_path / "rows", line))
    assert (row.documents, row.turns) == (("d",), (Turn("Q?", "A"),))


GOOD = {"question": ["Q?"], "answers": ["A"], "docs": ["d"]}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "truncated"),
        ("[]", "expected object"),
        ("\ufeff{}", "invalid character"),
        (GOOD | {"docs": "d"}, r"expected array at \$\.docs, got str"),
        (GOOD | {"docs": ["d", "e"]}, "docs holds 2, expected one"),
        (GOOD | {"docs": []}, "docs holds 0, expected one"),
        (GOOD | {"docs": [" "]}, "an empty document"),
        (GOOD | {"answers": []}, "answers is empty"),
        (GOOD | {"answers": ["A", "B"]}, "1 in question, 2 in answers"),
        (GOOD | {"answers": [" "]}, "an empty answer"),
        (GOOD | {"question": [""]}, "an empty question"),
        (GOOD | {"data_type": "quiz"}, "invalid enum value 'quiz'"),
        (GOOD | {"chain": ["a", "b"]}, "2 in chain"),
        ({"data_type": "paraphrase", "docs": ["d"]}, "answers is empty"),
    ],
)
def test_a_bad_pretraining_line_is_named_with_the_reason(tmp_path: Path, line: object, why: str) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, "", line)
    with pytest.raises(DataError, match=f"rows.jsonl: line 3: .*{why}"):
        list(read_pretrain(path))
    with pytest.raises(DataError, match="line 3"):
        Lines(path, "pretrain")


CHOICE = {"question": "Q?", "answer": "A", "docs": ["d", "e"]}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"answer": "A", "docs": ["d"]}, "missing required field question"),
        ({"question": "Q?", "docs": ["d"]}, "no answer"),
        ({"question": "Q?", "answer": "A"}, "no docs"),
        (CHOICE | {"pos_index": [2]}, r"pos_index is \[2\], expected 0 to 1"),
        (CHOICE | {"pos_index": [-1]}, "expected 0 to 1"),
        (CHOICE | {"pos_index": [0, 0]}, "no place twice"),
        (CHOICE | {"pos_index": ["0"]}, "expected int"),
        (CHOICE | {"answer": ""}, "an empty answer"),
    ],
)
def test_a_bad_candidate_line_is_named_with_the_reason(tmp_path: Path, line: object, why: str) -> None:
    with pytest.raises(DataError, match=f"rows: line 2: .*{why}"):
        list(read_joint(write(tmp_path / "rows", CHOICE, line)))


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing: cannot be read"):
        list(read_joint(tmp_path / "missing"))
    whole = gzip.compress(json.dumps(CHOICE).encode() * 1000)
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"cut\.gz: not a whole gzip file"):
        list(read_joint(tmp_path / "cut.gz"))
    (tmp_path / "latin").write_bytes(b'{"question": "\xfc?", "answer": "A", "docs": ["d"]}')
    with pytest.raises(DataError, match="latin: line 1: not UTF-8"):
        list(read_joint(tmp_path / "latin"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DataError, match="empty: no rows"):
        Lines(tmp_path / "empty", "joint")


def test_a_row_that_the_form_cannot_hold_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write_pretrain(STUDIES, path)
    for bad in (CHOICES[0], Row("x", ("d",), ())):
        with pytest.raises(DataError, match=f"row '{bad.id}' cannot be written"):
            write_pretrain([STUDIES[0], bad], path)
    assert list(read_pretrain(path)) == STUDIES and [one.name for one in tmp_path.iterdir()] == ["rows"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_file_gives_any_row_by_position(tmp_path: Path, name: str) -> None:
    rows = [Row(f"é{number}", ("d" * number,), (Turn("Q?", "A"),)) for number in range(1, 50)]
    write_pretrain(rows, tmp_path / name)
    lines = Lines(tmp_path / name, "pretrain")
    assert lines.size == 49 and [lines[place] for place in reversed(range(49))] == rows[::-1]


def test_positions_skip_blank_lines(tmp_path: Path) -> None:
    lines = Lines(write(tmp_path / "rows", CHOICE, "", CHOICE | {"question": "R?"}), "joint")
    assert lines.size == 2 and lines[1].turns[0].question == "R?" and lines[1].id == "rows:3"


ROWS = [Row(str(number), ("d" * (1 + number * 7 % 23),), (Turn("Q?", "A"),)) for number in range(30)]


def test_every_row_is_met_once_a_pass_and_in_another_order_in_the_next() -> None:
    stream = Stream(Held(ROWS), batch=6, micro_batch=6, seed=3)
    passes = [[row.id for step in range(start, start + 5) for row in stream.rows(step)] for start in (0, 5)]
    assert all(sorted(ids) == sorted(row.id for row in ROWS) for ids in passes) and passes[0] != passes[1]
    steps = [{row.id for row in stream.rows(step)} for step in range(10)]
    assert steps[:5] != steps[5:]


def test_a_step_is_the_same_after_a_stop_and_another_under_another_seed() -> None:
    whole = Stream(Held(ROWS), 6, 2, seed=3)
    before = [whole[step] for step in range(20)]
    assert [Stream(Held(ROWS), 6, 2, seed=3)[step] for step in reversed(range(20))] == before[::-1]
    assert [Stream(Held(ROWS), 6, 2, seed=4)[step] for step in range(20)] != before


def test_the_ranks_share_out_the_same_rows_however_many_they_are() -> None:
    alone = Stream(Held(ROWS), 12, 2)
    for ranks in (1, 2, 3, 6):
        shares = [Stream(Held(ROWS), 12, 2, rank=rank, ranks=ranks)[7] for rank in range(ranks)]
        assert len({len(share) for share in shares}) == 1
        dealt = [row for micro_batches in zip(*shares, strict=True) for rows in micro_batches for row in rows]
        assert dealt == alone.rows(7)


def test_micro_batches_hold_rows_of_alike_length() -> None:
    stream = Stream(Held(ROWS), 30, 5)
    spread = [max(row.length for row in rows) - min(row.length for row in rows) for rows in stream[0]]
    assert max(spread) <= 4 and max(row.length for row in ROWS) - min(row.length for row in ROWS) == 22


def test_a_batch_that_does_not_come_out_even_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch is 6, expected a multiple of micro_batch x ranks"):
        Stream(Held(ROWS), 6, 2, ranks=2)
