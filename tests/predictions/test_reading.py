"""What each row of a file answers, which passages it names, and what is refused by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import DataError
from clara_bench.predictions import Predictions, read_predictions
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source, TaskData

ROWS: list[dict[str, Any]] = [{"id": f"q{i}", "answer": c} for i, c in enumerate(["Oslo", "Rome", "Paris", "wrong"])]


@pytest.fixture
def data(capitals: Path) -> TaskData:
    return sources.load(definitions.load(str(capitals)), Source())


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(data: TaskData, tmp_path: Path, rows: list[Any], **options: Any) -> Predictions:
    return read_predictions(jsonl(tmp_path / "p.jsonl", rows), data, **options)


def retrieved(found: Predictions) -> list[list[str]]:
    return [[ranked.passage_id for ranked in record.answer.retrieved or ()] for record in found.records]


# MuSiQue: two questions of one text, pairs of one id, paragraphs by number, a paragraph listed twice.


def musique(folder: Path, *changes: dict[str, Any]) -> TaskData:
    paragraphs = [("A", "alpha"), ("B", "beta"), ("A", "Alpha!"), ("C", "gamma"), ("D", "delta")]
    row = {
        "id": "2hop__1_2", "question": "Which?", "answer": "gamma",
        "paragraphs": [
            {"idx": number, "title": title, "paragraph_text": text, "is_supporting": title in "BC"}
            for number, (title, text) in enumerate(paragraphs)
        ],
        "question_decomposition": [{"question": "a", "answer": "b"}, {"question": "c", "answer": "gamma"}],
    }  # fmt: skip
    file = jsonl(folder / "musique.jsonl", [row | change for change in changes or ({},)])
    return sources.load(definitions.load("musique"), Source(str(file)))


def test_a_number_means_the_place_in_the_row_also_behind_a_passage_that_is_listed_twice(tmp_path: Path) -> None:
    data = musique(tmp_path)
    by_title = read(data, tmp_path, [{"id": "2hop__1_2", "answer": "x", "retrieved": ["C", "D"]}])
    by_number = read(data, tmp_path, [{"id": "2hop__1_2", "answer": "x", "retrieved": [3, 4]}])
    assert retrieved(by_number) == retrieved(by_title)


def test_a_title_names_its_passage_however_its_accents_are_spelled(tmp_path: Path) -> None:
    paragraphs = [
        {"idx": number, "title": title, "paragraph_text": title, "is_supporting": number == 0}
        for number, title in enumerate(("Zoë", "Zoe\u0301"))
    ]
    data = musique(tmp_path, {"paragraphs": paragraphs})
    found = read(data, tmp_path, [{"id": "2hop__1_2", "answer": "x", "retrieved": ["Zoe\u0308", "Zoé"]}])
    assert retrieved(found) == [list(data.examples[0].question.candidates or ())]


def test_the_number_that_the_data_set_gives_counts_and_not_the_place(tmp_path: Path) -> None:
    paragraphs = [
        {"idx": number, "title": title, "paragraph_text": title, "is_supporting": title == "B"}
        for number, title in ((7, "B"), (3, "C"))
    ]
    data = musique(tmp_path, {"paragraphs": paragraphs})
    found = read(data, tmp_path, [{"id": "2hop__1_2", "predicted_answer": "x", "predicted_support_idxs": [7]}])
    assert [fact.title for fact in found.records[0].answer.support or ()] == list(data.examples[0].gold.supporting)


def test_supporting_paragraphs_may_be_named_by_number_title_or_id(tmp_path: Path) -> None:
    data = musique(tmp_path)
    gold = data.examples[0].gold.supporting
    for support in ([["1", 0], ["3", 0]], [["B", 0], ["C", 0]], [1, 3], ["B", "C"], sorted(gold)):
        found = read(data, tmp_path, [{"id": "2hop__1_2", "answer": "x", "support": support}])
        assert {fact.title for fact in found.records[0].answer.support or ()} == gold, support
    with pytest.raises(DataError, match="supporting passage 'Z' is not a passage id, title or number"):
        read(data, tmp_path, [{"id": "2hop__1_2", "answer": "x", "support": ["Z"]}])


def test_an_answer_that_names_a_text_which_two_questions_share_is_refused(tmp_path: Path) -> None:
    data = musique(tmp_path, {}, {"id": "2hop__3_4", "answer": "delta"})
    with pytest.raises(DataError, match=r"fits 2 questions, '2hop__1_2' and '2hop__3_4'\. Give each row its id"):
        read(data, tmp_path, [{"question": "Which?", "answer": "gamma"}])
    found = read(data, tmp_path, [{"question": "Which?", "answer": "gamma"}, {"question": "Which?", "answer": "delta"}])
    assert [(record.id, record.answer.text) for record in found.records] == [
        ("2hop__1_2", "gamma"),
        ("2hop__3_4", "delta"),
    ]


def test_pairs_of_one_id_are_told_apart_by_the_order_or_by_our_own_ids_and_else_refused(tmp_path: Path) -> None:
    row = {"id": "2hop__1_2", "predicted_support_idxs": []}
    data = musique(tmp_path, {"answerable": False}, {})
    ordered = [row | {"predicted_answerable": False}, row | {"predicted_answerable": True}]
    own = [
        {"id": "2hop__1_2", "predicted_answerable": "true"},
        {"id": "2hop__1_2#unanswerable", "predicted_answerable": 0},
    ]
    for rows in (ordered, own):
        found = read(data, tmp_path, rows)
        assert {record.id: record.answer.answerable for record in found.records} == {
            "2hop__1_2#unanswerable": False,
            "2hop__1_2": True,
        }
    for rows in (ordered[:1], [*ordered, ordered[0]]):
        with pytest.raises(DataError, match="fits 2 questions"):
            read(data, tmp_path, rows)


# Everything else on ten capitals.


def test_questions_are_found_by_text_where_the_ids_are_others(data: TaskData, tmp_path: Path) -> None:
    rows = [{"id": 7, "question": "  what is the capital of ITALY", "answer": "Rome"}]
    assert [record.id for record in read(data, tmp_path, rows).records] == ["q1"]


def test_a_file_in_the_datas_order_needs_no_names_but_must_be_whole(data: TaskData, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([f"city {number}" for number in range(10)]))
    found = read_predictions(path, data)
    assert [(record.id, record.answer.text) for record in found.records][3] == ("q3", "city 3")
    assert "answers are taken in the data's order" in found.notes
    path.write_text(json.dumps(["Oslo", "Rome"]))
    with pytest.raises(DataError, match="neither id nor question, and 2 rows for 10 questions"):
        read_predictions(path, data)


def test_a_row_with_more_than_one_id_is_found_by_the_one_that_the_data_know(data: TaskData, tmp_path: Path) -> None:
    rows = [{"id": 0, "question_id": "q3", "answer": "x"}]
    assert [record.id for record in read(data, tmp_path, rows).records] == ["q3"]


@pytest.mark.parametrize("name", ["1", 1])
def test_a_name_that_could_be_two_passages_is_refused_until_it_is_said_which(name: str | int, tmp_path: Path) -> None:
    passages = [{"id": id, "title": f"T{id}", "text": f"text {id}"} for id in ("2", "1", "0")]
    jsonl(tmp_path / "d.jsonl", [{"id": "q", "question": "Q?", "answers": ["x"], "passages": passages[:2]}])
    (tmp_path / "t.toml").write_text(
        'schema = 1\nname = "t"\nversion = 1\nreader = "generic"\ndata = "d.jsonl"\n', encoding="utf-8"
    )
    data = sources.load(definitions.load(str(tmp_path / "t.toml")), Source())
    rows = [{"id": "q", "answer": "x", "retrieved": [2, name]}]
    assert retrieved(read(data, tmp_path, rows, named_by="id")) == [["2", "1"]]
    rows = [{"id": "q", "answer": "x", "retrieved": [0, name]}]
    assert retrieved(read(data, tmp_path, rows, named_by="number")) == [["2", "1"]]
    passages[0]["id"] = "x2"
    passages[1]["id"] = "0"
    jsonl(tmp_path / "d.jsonl", [{"id": "q", "question": "Q?", "answers": ["x"], "passages": passages[:2]}])
    data = sources.load(definitions.load(str(tmp_path / "t.toml")), Source())
    with pytest.raises(DataError, match=r"'0' may be the id of '0' or the number of 'x2'\. Say which with --named-by"):
        read(data, tmp_path, [{"id": "q", "answer": "x", "retrieved": ["0"]}])


def test_an_id_of_another_collection_is_not_taken_for_ours(data: TaskData, tmp_path: Path) -> None:
    passage = {"id": "p1", "title": "Oslo", "text": "Oslo is the capital of Norway."}
    rows = [{"id": "q0", "answer": "x", "ctxs": [passage, {"id": "p9", "title": "Bergen", "text": "Bergen is rainy."}]}]
    found = read(data, tmp_path, rows)
    assert retrieved(found)[0][0] == "p0"
    assert retrieved(found)[0][1].startswith("unknown:")
    assert any("1 of 2 retrieved passages are not in the data" in note for note in found.notes)
    assert found.records[0].answer_ranks == (1,)


def test_passages_of_another_cut_are_searched_for_the_answer_and_not_scored_as_missed(
    data: TaskData, tmp_path: Path
) -> None:
    rows = [{"id": "q0", "answer": "x", "ctxs": [{"id": 5, "title": "Norway", "text": "Its capital is Oslo, a port."}]}]
    found = read(data, tmp_path, rows)
    assert found.without == {"passages"}
    assert found.records[0].answer_ranks == (1,)


def test_support_that_belongs_to_other_data_is_refused_and_not_scored_as_wrong(tmp_path: Path) -> None:
    file = Path(__file__).parent.parent / "data/hotpotqa/dev/hotpot_dev_distractor_v1.slice.json.gz"
    data = sources.load(definitions.load("hotpotqa"), Source(str(file), corpus="none"))
    id = data.examples[0].question.id
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"answer": {id: "x"}, "sp": {id: [["Atlantis", 0]]}}))
    with pytest.raises(DataError, match="none of its 1 supporting passages is in the data, the first is 'Atlantis'"):
        read_predictions(path, data)


def test_rows_of_the_data_with_a_prediction_beside_it_do_not_lend_it_their_gold(tmp_path: Path) -> None:
    folder = Path(__file__).parent.parent / "data"
    file = folder / "2wikimultihopqa/dev/dev.slice.json.gz"
    data = sources.load(definitions.load("2wikimultihopqa"), Source(str(file), corpus="none"))
    rows = [row | {"prediction": "x"} for row in json.loads(gzip.decompress(file.read_bytes()))]
    found = read(data, tmp_path, rows)
    assert {record.answer.text for record in found.records} == {"x"}
    assert all(record.answer.evidences is record.answer.support is None for record in found.records)


def test_a_questions_own_passages_are_not_taken_for_retrieved_ones(data: TaskData, tmp_path: Path) -> None:
    passages = [{"id": "p0", "text": "Oslo is the capital of Norway.", "supporting": True}]
    found = read(data, tmp_path, [{"id": "q0", "prediction": "Oslo", "answers": ["Oslo"], "passages": passages}])
    assert found.records[0].answer.retrieved is None
    assert "left unread: answers, passages" in found.notes


def test_answers_that_are_the_references_to_the_letter_are_told(data: TaskData, tmp_path: Path) -> None:
    rows = [{"id": example.question.id, "answer": example.gold.answers[0]} for example in data.examples]
    assert any("is the data's own, to the letter" in note for note in read(data, tmp_path, rows).notes)
    assert not any("to the letter" in note for note in read(data, tmp_path, ROWS).notes)


def test_records_of_a_run_are_refused_with_the_way_to_score_them(data: TaskData, tmp_path: Path) -> None:
    record = {"id": "q0", "answer": {"text": "Oslo", "status": "ok", "usage": {}, "retrieved": None}}
    with pytest.raises(DataError, match=r"a record of a run\. Score the folder of the run: clara-bench score FOLDER"):
        read(data, tmp_path, [record])


def test_a_run_is_ranked_by_score_as_trec_eval_ranks_it(data: TaskData, tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("q0 Q0 p2 1 1.5 x\nq0 Q0 p1 2 2.5 x\nq0 Q0 p3 3 1.5 x\nq1 Q0 p4 7 0.1 x\n")
    found = read_predictions(path, data)
    assert retrieved(found) == [["p1", "p3", "p2"], ["p4"]]
    assert any("in 1 of 2 questions ranks and scores disagree" in note for note in found.notes)
    path.write_text("q0 Q0 p2 1 1.5 x\nq0 Q0 p2 2 1.0 x\n")
    with pytest.raises(DataError, match="row 2: question 'q0' has passage 'p2' twice"):
        read_predictions(path, data)


def test_a_failed_question_is_failed_and_not_wrong(data: TaskData, tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "Oslo"}}]}
    rows = [
        {"custom_id": "q0", "response": {"status_code": 200, "body": body}, "error": None},
        {"custom_id": "q1", "response": {"status_code": 500, "body": {"error": {"message": "overloaded"}}}},
        {"custom_id": "q2", "response": None, "error": {"code": "batch_expired"}},
    ]
    answers = [record.answer for record in read(data, tmp_path, rows).records]
    assert [(answer.status, answer.text) for answer in answers] == [("ok", "Oslo"), ("error", ""), ("error", "")]
    assert "overloaded" in (answers[1].error or "")


def test_an_answer_of_null_is_no_answer_and_is_said_so(data: TaskData, tmp_path: Path) -> None:
    found = read(data, tmp_path, [{"id": "q0", "answer": None}, {"id": "q1", "answer": "Rome"}])
    assert [record.id for record in found.records] == ["q1"]
    assert "1 rows say nothing of their question: it counts as not answered" in found.notes


def test_the_prediction_counts_where_the_reference_stands_beside_it(data: TaskData, tmp_path: Path) -> None:
    found = read(data, tmp_path, [{"id": "q0", "answer": "Oslo", "prediction": "Bergen", "level": "easy"}])
    assert found.records[0].answer.text == "Bergen"
    assert found.notes == ("took 'prediction' as answer", "left unread: answer, level")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "q77", "answer": "x"}], "row 1: question 'q77' is not in the data"),
        ([ROWS[0], ROWS[0]], "row 2: a second answer to question 'q0'"),
        ([{"id": "q0"}], "row 1: no answer, nothing retrieved"),
        ([{"id": "q0", "answer": 3}], "row 1: expected str at $.answer, got int"),
        ([{"id": "q0", "answer": ["a", "b"]}], "row 1: 2 answers at $.answer. Expected one"),
        ([{"id": "q0", "answer": {"text": "a"}}], "row 1: expected str at $.answer, got dict"),
        ([{"id": "q0", "answer": "x", "retreived": []}], "unknown field retreived. Did you mean 'retrieved'"),
        ([{"id": "q0", "anwser": "x"}], "unknown field anwser. Did you mean 'answer'"),
        ([{"id": "q0", "answer": "x", "retrieved": ["Atlantis"]}], "retrieved passage 'Atlantis'"),
        ([{"id": "q0", "answer": "x", "retrieved": [True]}], "expected a passage's id, title or text"),
        ([{"id": "q0", "answer": "x", "retrieved": [{"rank": 1}]}], "without id, title or text: it has rank"),
        ([{"id": "q0", "answer": "x", "support": [["Oslo", -1]]}], "expected a title and the number of a sentence"),
        ([{"id": "q0", "answer": "x", "evidences": [["a", "b"]]}], "expected lists of subject, relation and object"),
        ([{"answer": "x"}], "row 1: neither id nor question"),
        ([{"id": "q0", "question": "Why?", "answer": "x"}], "id 'q0' is the question 'What is the capital of Nor"),
        ([{"id": "q0", "answer": "x", "retrieved": ["9" * 5000]}], "row 1: retrieved passage '999"),
        ([{"id": "q0", "output": "x", "response": "y"}], "both 'output' and 'response' may be the answer"),
        ([{"id": "q0", "answer": "x", "supporting_facts": []}], "a row of the data set itself, because of its key"),
        ([ROWS[0], 5], "line 2: expected object, got int"),
        ([], "no rows"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(data: TaskData, tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(data, tmp_path, rows)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Oslo\nRome\n", "unknown format"),
        (b"[1, 2]", "unknown format"),
        (b"id,answer\nq0,Oslo,Norway\n", "row 2: 3 fields, the header names 2"),
        (b"id,answer,answer\nq0,Oslo,Rome\n", "row 2: the head names 'answer' twice"),
        (b'{"q0": "Oslo", "q1": "Rome", "q0": "Lima"}', "the key 'q0' comes twice. Keep one of them"),
        (b'{"answer": {"q0": "Oslo", "q0": "Lima"}, "sp": {}}', "the key 'q0' comes twice"),
        (b"id,note\nq0,Oslo\n", "no answer, nothing retrieved"),
        (b"q0 Q0 p1 1 nan x\n", "unknown format"),
        (b"PK\x03\x04 and then nothing", "the archive cannot be read"),
        (b'{"answer": {"q0": "x"}, "sp_scores": {}}', "unknown key 'sp_scores' beside answer"),
        (b'{"version": 2, "status": "success", "eval": {}, "plan": {}}', "a log of inspect without samples"),
        (b'{"q0": {"p1": 1.5, "p2": "x"}}', "row 1: no answer, nothing retrieved and no support"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_file_is_named(data: TaskData, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_predictions(path, data)
    assert message in str(raised.value)
    assert "p.json" in str(raised.value)


# The command.


def score(capitals: Path, content: bytes, *more: str, name: str = "p.jsonl") -> tuple[int, str, str]:
    path = capitals.with_name(name)
    path.write_bytes(content)
    done = CliRunner().invoke(main, ["score", str(capitals), str(path), *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_a_strangers_answers_are_scored_with_the_gold_as_denominator(capitals: Path) -> None:
    code, out, said = score(capitals, lines(ROWS), "--json")
    assert code == 0
    found = json.loads(out)
    assert found["em"]["mean"] == pytest.approx(0.3)
    assert (found["em"]["n"], found["em"]["failed"]) == (10, 6)
    assert set(found["em"]) == {"mean", "ci95", "n", "unscored", "failed"}
    assert "recall@1" not in found
    assert "p.jsonl: read as rows: 4 of 10 questions" in said


def test_a_strangers_ranking_is_scored_by_passage_id_or_title(capitals: Path) -> None:
    rows = [{**ROWS[0], "retrieved": ["p0", "p1"]}, {**ROWS[1], "retrieved": ["Paris", "Rome"]}]
    code, out, _ = score(capitals, lines(rows), "--json", "--setting", "distractor", "-m", "recall@1", "-m", "recall@2")
    assert code == 0
    assert json.loads(out)["recall@1"]["mean"] == pytest.approx(0.1)
    assert json.loads(out)["recall@2"]["mean"] == pytest.approx(0.2)


def test_answers_of_rankings_alone_are_left_out_and_not_zero(capitals: Path) -> None:
    code, out, said = score(capitals, b"q0 Q0 p0 1 2.5 x\n", "--json", "-m", "em", "-m", "recall@1")
    assert code == 0
    assert list(json.loads(out)) == ["recall@1"]
    assert "not applicable to these answers: em" in said


def test_a_file_for_all_questions_may_be_scored_on_some(capitals: Path) -> None:
    code, out, said = score(capitals, lines(ROWS), "--json", "--limit", "5")
    assert code == 0
    assert json.loads(out)["em"]["n"] == 5
    assert "answers to questions left out of the sample" in said


def test_a_row_may_hold_any_character_and_numbers_as_ids(capitals: Path) -> None:
    rows = [{"id": "q0", "answer": "Oslo\u2028\u0085"}, {"id": "q1", "answer": "Rome", "retrieved": [1, "p2"]}]
    assert score(capitals, lines(rows), "--setting", "distractor")[0] == 0


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"id": "q0", "answer": "Oslo"}\n',
        b'\r\n{"id": "q0", "answer": "Oslo"}\r\n \r\n',
        b"\xef\xbb\xbfid,answer\r\nq0,Oslo\r\n",
        b"\nid;answer\r\n\r\nq0;Oslo",
    ],
    ids=["byte order mark", "windows lines", "table of Excel", "table with blank lines"],
)
def test_a_file_saved_on_windows_is_read(capitals: Path, content: bytes) -> None:
    code, out, _ = score(capitals, content, "--json")
    assert code == 0
    assert json.loads(out)["em"]["mean"] == 0.1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_file_in_another_encoding_is_refused_by_row(capitals: Path, encoding: str) -> None:
    code, _, said = score(capitals, '{"id": "q0", "answer": "Zürich"}\n'.encode(encoding))
    assert code == 2
    assert "p.jsonl: row 1: " in said
