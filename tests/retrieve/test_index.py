import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clara_bench.errors import DataError
from clara_bench.retrieve.index import Rows, best, corpus_digest, ensure
from clara_bench.types import Passage, Question


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0]), max_size=40), st.integers(1, 45))
def test_best_is_a_full_sort_cut_at_k_with_ties_in_the_order_of_rows(scores: list[float], k: int) -> None:
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    assert best(np.array(scores), k).tolist() == expected


def test_digest_depends_on_every_field_and_not_on_the_order_of_storage(corpus: dict[str, Passage]) -> None:
    whole = corpus_digest(corpus)
    assert corpus_digest(dict(reversed(corpus.items()))) == whole
    for changed in (
        Passage("oslo", "Oslo.", corpus["oslo"].text),
        Passage("oslo", "Oslo", corpus["oslo"].text + " "),
        Passage("oslo", "Oslo " + corpus["oslo"].text, ""),
    ):
        assert corpus_digest({**corpus, "oslo": changed}) != whole
    assert corpus_digest({key: value for key, value in corpus.items() if key != "bee"}) != whole


def test_allowed_rows_are_the_candidates_each_once(corpus: dict[str, Passage]) -> None:
    rows = Rows(corpus)
    allowed = rows.allowed(Question("q", "?", ("oslo", "bee", "oslo")))
    assert allowed is not None
    assert [rows.ids[row] for row in allowed] == ["bee", "oslo"]
    assert rows.allowed(Question("q", "?")) is None


def test_unknown_candidate_is_named_with_its_question(corpus: dict[str, Passage]) -> None:
    with pytest.raises(DataError, match="question 'q7': candidate passage 'nowhere' is not in the corpus of 13"):
        Rows(corpus).allowed(Question("q7", "?", ("oslo", "nowhere")))


def _write(folder: Path) -> None:
    (folder / "numbers.bin").write_bytes(b"0123456789")
    (folder / "words.json").write_text("{}")


def test_a_whole_index_is_kept(tmp_path: Path) -> None:
    assert not ensure(tmp_path / "entry", _write)
    assert ensure(tmp_path / "entry", lambda folder: pytest.fail("built again"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "numbers.bin").unlink(),
        lambda entry: (entry / "numbers.bin").write_bytes(b"01234"),
        lambda entry: (entry / "numbers.bin").write_bytes(b"0123456780"),
        lambda entry: (entry / "stray.bin").write_bytes(b""),
        lambda entry: (entry / "manifest.json").unlink(),
        lambda entry: (entry / "manifest.json").write_text('{"schema": 1, "sha'),
        lambda entry: (entry / "manifest.json").write_text("[]"),
    ],
)
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: object) -> None:
    entry = tmp_path / "entry"
    ensure(entry, _write)
    damage(entry)  # type: ignore[operator]
    assert not ensure(entry, _write)
    assert sorted(path.name for path in entry.iterdir()) == ["manifest.json", "numbers.bin", "words.json"]
    assert (entry / "numbers.bin").read_bytes() == b"0123456789"
    assert json.loads((entry / "manifest.json").read_text())["schema"] == 1


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        _write(folder)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        ensure(tmp_path / "entry", fail)
    assert list(tmp_path.iterdir()) == []
