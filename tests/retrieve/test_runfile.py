import gzip
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clara_bench.components.registry import Component, create, effective_options
from clara_bench.errors import ConfigError, DataError
from clara_bench.reporting import scoring
from clara_bench.retrieve.runfile import RunFile, read_run, write_run
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.candidates import FirstStage, freeze
from clara_bench.types import Answer, Passage, Question, Ranked, Record, Setting

DATA = Path(__file__).parent.parent / "data" / "hotpotqa" / "dev"

Corpus = dict[str, Passage]
Rankings = dict[str, tuple[Ranked, ...]]

RANKINGS: Rankings = {
    "q2": (Ranked("oslo", 0.1 + 0.2), Ranked("bergen", 1e-300), Ranked("bee", -3.0)),
    "q10": (Ranked("tagus", 12.0),),
}

ids = st.text(st.characters(codec="utf-8", exclude_categories=("Zs", "Zl", "Zp", "Cc")), min_size=1, max_size=8)
scores = st.floats(allow_nan=False, allow_infinity=False)
runs = st.dictionaries(ids, st.dictionaries(ids, scores, min_size=1, max_size=5), min_size=1, max_size=5)


@given(runs)
def test_any_run_reads_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, run: dict[str, dict[str, float]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec"
    rankings = {
        qid: tuple(sorted((Ranked(pid, score) for pid, score in ranking.items()), key=lambda r: -r.score))
        for qid, ranking in run.items()
    }
    write_run(path, rankings, "any")
    assert read_run(path) == rankings
    assert list(read_run(path)) == list(rankings)


def test_the_file_is_plain_trec(tmp_path: Path) -> None:
    write_run(tmp_path / "run.trec", RANKINGS, "mine")
    assert (tmp_path / "run.trec").read_text() == (
        "q2 Q0 oslo 1 0.30000000000000004 mine\n"
        "q2 Q0 bergen 2 1e-300 mine\n"
        "q2 Q0 bee 3 -3.0 mine\n"
        "q10 Q0 tagus 1 12.0 mine\n"
    )


def test_the_same_rankings_give_the_same_compressed_bytes(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec.gz", RANKINGS, "mine")
    write_run(tmp_path / "b.trec.gz", RANKINGS, "mine")
    assert (tmp_path / "a.trec.gz").read_bytes() == (tmp_path / "b.trec.gz").read_bytes()
    assert read_run(tmp_path / "a.trec.gz") == RANKINGS


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ({"q 1": (Ranked("p", 1.0),)}, "'q 1' cannot stand in a TREC file"),
        ({"q": (Ranked("New York", 1.0),)}, "'New York' cannot stand"),
        ({"q": (Ranked("New\u00a0York", 1.0),)}, "cannot stand"),
        ({"": (Ranked("p", 1.0),)}, "'' cannot stand"),
        ({"q": (Ranked("p", 1.0), Ranked("p", 0.5))}, "question 'q' holds a passage twice"),
        ({"q": (Ranked("p", float("nan")),)}, "score nan is not a finite number"),
        ({"q": (Ranked("p", 1.0), Ranked("r", 2.0))}, "'r' is ranked behind 'p' with a higher score"),
    ],
)
def test_what_the_format_cannot_carry_is_refused_and_nothing_is_written(
    tmp_path: Path, rankings: Rankings, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_run(tmp_path / "run.trec", rankings, "mine")
    assert list(tmp_path.iterdir()) == []


def test_ranks_are_the_order_and_equal_scores_leave_it(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q Q0 third 3 1.0 x\nq Q0 first 1 5.0 x\n\tq   Q0\tsecond 2 1.0 x\n")
    assert [ranked.passage_id for ranked in read_run(path)["q"]] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q Q0 p 1 1.0 x\nq Q0 p2 2 0.5\n", "line 2: 5 fields. Expected 'question Q0 passage rank score tag'"),
        ("q Q0 p 1 1.0 x\n\n", "line 2: 0 fields"),
        ("q Q0 p one 1.0 x\n", "line 1: rank 'one' must be a whole number"),
        ("q Q0 p 1 high x\n", "score 'high' a finite number"),
        ("q Q0 p 1 nan x\n", "a finite number"),
        ("q Q0 p 1 1.0 x\nq Q0 p 2 0.9 x\n", "line 2: question 'q' has rank 2 or passage 'p' twice"),
        ("q Q0 p 1 1.0 x\nq Q0 r 1 0.9 x\n", "rank 1 or passage 'r' twice"),
        ("q Q0 p 1 1.0 x\nq Q0 r 2 1.5 x\n", r"'r' is ranked behind 'p' with a higher score \(1.5, 1.0\). trec_eval"),
    ],
)
def test_a_bad_run_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_run(path)


def test_a_file_that_is_no_text_or_no_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"q Q0 p 1 1.0 x\n" * 1)
    for name, content in {
        "a.gz": b"q Q0 p 1 1.0 x\n",
        "b.gz": whole[:-6],
        "c.trec": b"\xff\xfe q Q0 p 1 1.0\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"not a whole gzip file|not UTF-8"):
            read_run(tmp_path / name)
    with pytest.raises(DataError, match=r"none\.trec: cannot be read: No such file"):
        read_run(tmp_path / "none.trec")


@pytest.fixture
def stored(tmp_path: Path, corpus: Corpus) -> RunFile:
    write_run(tmp_path / "run.trec.gz", RANKINGS, "mine")
    retriever: RunFile = create("retriever", Component("run-file", {"path": str(tmp_path / "run.trec.gz")}))
    assert retriever.index(corpus).passages == 13
    return retriever


def test_a_stored_run_answers_for_its_questions(stored: RunFile) -> None:
    rankings = stored.retrieve([Question("q10", "?"), Question("q2", "?")], 2)
    assert rankings == [[("tagus", 12.0)], list(RANKINGS["q2"][:2])]


def test_what_the_run_does_not_name_was_not_found(stored: RunFile) -> None:
    (ranking,) = stored.retrieve([Question("q2", "?")], 100)
    assert ranking == list(RANKINGS["q2"])


def test_a_stored_run_keeps_to_the_candidates(stored: RunFile) -> None:
    some, none = stored.retrieve([Question("q2", "?", ("tagus", "bee", "oslo")), Question("q2", "?", ())], 5)
    assert [ranked.passage_id for ranked in some] == ["oslo", "bee"]
    assert none == []


def test_a_candidate_corpus_may_be_smaller_than_the_run(stored: RunFile, corpus: Corpus) -> None:
    stored.index({key: corpus[key] for key in ("bee", "tagus")})
    (ranking,) = stored.retrieve([Question("q2", "?", ("tagus", "bee"))], 5)
    assert [ranked.passage_id for ranked in ranking] == ["bee"]
    with pytest.raises(DataError, match="passage 'oslo', ranked for question 'q2', is not in the corpus of 2"):
        stored.retrieve([Question("q2", "?")], 5)


def test_questions_and_candidates_it_does_not_know_are_refused(stored: RunFile) -> None:
    with pytest.raises(DataError, match="no ranking for question 'q3'"):
        stored.retrieve([Question("q3", "?")], 5)
    with pytest.raises(DataError, match="candidate passage 'atlantis'"):
        stored.retrieve([Question("q2", "?", ("atlantis",))], 5)


def test_a_question_without_a_line_found_nothing_where_that_is_said(stored: RunFile, corpus: Corpus) -> None:
    silent = RunFile(replace(stored.options, missing="nothing"))
    silent.index(corpus)
    assert silent.retrieve([Question("q3", "?"), Question("q10", "?")], 5) == [[], [("tagus", 12.0)]]


def test_a_changed_run_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    write_run(path, RANKINGS, "mine")
    pinned = effective_options("retriever", Component("run-file", {"path": str(path)}))
    assert len(pinned["sha256"]) == 64
    write_run(path, {"q": (Ranked("bee", 1.0),)}, "mine")
    with pytest.raises(ConfigError, match="not the same run"):
        create("retriever", Component("run-file", pinned))


def test_a_run_without_rankings_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("")
    with pytest.raises(DataError, match="no rankings"):
        create("retriever", Component("run-file", {"path": str(tmp_path / "run.trec")}))


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="option 'path' is required"):
        create("retriever", Component("run-file"))
    with pytest.raises(ConfigError, match="no such run file"):
        create("retriever", Component("run-file", {"path": str(tmp_path)}))


@pytest.mark.parametrize("setting", ["corpus", "distractor"])
def test_recall_on_a_run_of_two_passages_is_that_of_trec_eval(tmp_path: Path, setting: Setting) -> None:
    """Relevant among the two named, over relevant, whatever the cutoff: nothing is filled up to it."""
    data = sources.load(
        definitions.load("hotpotqa"), sources.Source(str(DATA / "hotpot_dev_distractor_v1.slice.json.gz"))
    )
    named = {e.question.id: e.question.candidates[3:5] for e in data.examples if e.question.candidates}
    write_run(tmp_path / "two.trec", {q: (Ranked(a, 2.0), Ranked(b, 1.0)) for q, (a, b) in named.items()}, "two")
    examples = freeze(data, data.examples, setting, FirstStage()).examples
    retriever = create("retriever", Component("run-file", {"path": str(tmp_path / "two.trec")}))
    retriever.index(data.corpus)
    found = retriever.retrieve([example.question for example in examples], 10)
    records = [Record(e.question.id, Answer("", tuple(ranking))) for e, ranking in zip(examples, found, strict=True)]
    scores = scoring.score(examples, records, ["recall@2", "recall@5", "recall@10"], "hotpotqa", setting).metrics
    shares = [len(e.gold.supporting & set(named[e.question.id])) / len(e.gold.supporting) for e in examples]
    assert 0 < fmean(shares) < 1
    assert [summary.mean for summary in scores.values()] == pytest.approx([fmean(shares)] * 3, abs=1e-12)
