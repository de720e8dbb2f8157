"""Data written by a teacher is covered, checked and complete; what fails is named, and a run that stops goes on."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clara_bench import BackendError, ConfigError, DataError
from clara_bench.worlds import World, WorldConfig, generate
from reference.data.documents import read_documents
from reference.data.row import Row
from reference.data.row_files import read_pretrain
from reference.synthesis.parts import Part
from reference.synthesis.prompts import BadReply, read_list, read_verdict
from reference.synthesis.synthesize import Statistics, synthesize, table, words
from reference.synthesis.teacher import Settings, Teacher, Written
from tests.reference.scholar import Scholar, serving

COUNT = 4


@pytest.fixture(scope="module")
def world() -> World:
    return generate("nq", WorldConfig(questions=1, passages=200))


@pytest.fixture
def scholar(world: World) -> Scholar:
    return Scholar(world, COUNT)


def settings(url: str, **options: Any) -> Settings:
    return Settings(**{"model": "m", "base_url": url, "retries": 0, "timeout_seconds": 20, **options})


def kept(scholar: Scholar, document: str) -> list[tuple[str, str]]:
    return [pair for pair in scholar.pairs[document].items() if not scholar.mistaken(pair[0])]


def test_questions_cover_every_fact_and_wrong_answers_are_left_out(scholar: Scholar, tmp_path: Path) -> None:
    with serving(scholar) as url:
        found = synthesize(scholar.documents, tmp_path / "rows.jsonl", settings(url, kinds=("simple",)))
    rows = list(read_pretrain(tmp_path / "rows.jsonl"))
    assert [row.documents for row in rows] == [(document,) for document in scholar.documents]
    for row in rows:
        assert sorted((turn.question, turn.answer) for turn in row.turns) == sorted(kept(scholar, row.documents[0]))
    mistaken = sum(scholar.mistaken(one) for document in scholar.documents for one in scholar.pairs[document])
    assert mistaken > 0 and found[0].rejected == mistaken + COUNT  # and one question a document that it cannot answer
    assert found[0].rounds > 2 * COUNT


def test_all_three_kinds_are_written_with_their_statistics(scholar: Scholar, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl.gz"
    with serving(scholar) as url:
        found = synthesize(scholar.documents, out, settings(url))
    rows = list(read_pretrain(out))
    assert [row.kind for row in rows] == ["qa", "qa", "paraphrase"] * COUNT
    assert [row.turns[0].answer for row in rows[2::3]] == list(scholar.paraphrases.values())
    assert [one.kind for one in found] == ["simple", "complex", "paraphrase"]
    for number, one in enumerate(found):
        own = rows[number::3]
        assert (one.examples, one.dropped, one.pairs) == (COUNT, 0, sum(len(row.turns) for row in own))
        assert one.input_length == sum(map(words, scholar.documents))
        texts = [text for row in own for turn in row.turns for text in (turn.question, turn.answer)]
        assert one.output_length == sum(map(words, texts))
    assert sum(one.calls for one in found) == len(scholar.prompts)
    lengths = [len(body["messages"][0]["content"].split()) for body in scholar.prompts]
    assert sum(one.prompt_tokens for one in found) == sum(lengths)
    assert "pairs per document" in table(found)


def test_judgements_are_made_at_temperature_zero(scholar: Scholar) -> None:
    with serving(scholar) as url:
        Teacher(settings(url, temperature=0.9)).write("simple", scholar.documents[0])
    for body in scholar.prompts:
        judged = body["messages"][0]["content"].startswith(("Answer each", "Judge each"))
        assert body["temperature"] == (0 if judged else 0.9)


def test_complex_questions_are_asked_for_and_judged_as_such(scholar: Scholar) -> None:
    with serving(scholar) as url:
        Teacher(settings(url)).write("complex", scholar.documents[0])
    prompts = [body["messages"][0]["content"] for body in scholar.prompts]
    assert "two or more pieces" in prompts[0]
    assert all("one sentence alone" in prompt for prompt in prompts if prompt.startswith("Judge each"))


def test_rows_do_not_depend_on_how_many_are_written_at_once(scholar: Scholar, tmp_path: Path) -> None:
    with serving(scholar) as url:
        for concurrency in (1, 8):
            synthesize(scholar.documents, tmp_path / f"{concurrency}", settings(url, concurrency=concurrency))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "8").read_bytes()


def test_a_run_that_the_server_broke_off_goes_on_to_the_same_rows(scholar: Scholar, tmp_path: Path) -> None:
    with serving(scholar) as url:
        whole = synthesize(scholar.documents, tmp_path / "whole", settings(url))
        needed = len(scholar.prompts)
        scholar.prompts.clear()
        scholar.dies_after = needed // 2
        with pytest.raises(BackendError, match=r"refuses requests for 'm': HTTP 503.*run again to go on"):
            synthesize(scholar.documents, tmp_path / "broken", settings(url, concurrency=2))
        assert not (tmp_path / "broken").exists()
        scholar.dies_after = None
        scholar.prompts.clear()
        again = synthesize(scholar.documents, tmp_path / "broken", settings(url))
    assert len(scholar.prompts) < 0.8 * needed
    assert again == whole and (tmp_path / "broken").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_killed_run_goes_on_to_the_same_rows(scholar: Scholar, tmp_path: Path) -> None:
    (tmp_path / "documents.json").write_text(json.dumps(scholar.documents))
    script = (
        "import json, sys; from pathlib import Path; from reference.synthesis.synthesize import synthesize\n"
        "from reference.synthesis.teacher import Settings; folder, url = Path(sys.argv[1]), sys.argv[2]\n"
        "documents = json.loads((folder / 'documents.json').read_text())\n"
        "synthesize(documents, folder / 'killed', Settings(model='m', base_url=url, concurrency=2))\n"
    )
    journal = tmp_path / "killed.journal"
    root = Path(__file__).parent.parent.parent
    with serving(scholar) as url:
        synthesize(scholar.documents, tmp_path / "whole", settings(url))
        scholar.seconds = 0.02
        run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), url], cwd=root)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        done = journal.read_bytes()
        assert 3 < done.count(b"\n") < 3 * COUNT
        journal.write_bytes(done + b'{"number":3,"text":"ab')  # as a kill in the middle of a line leaves it
        scholar.seconds = 0.0
        synthesize(scholar.documents, tmp_path / "killed", settings(url))
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert len(journal.read_bytes().splitlines()) == 1 + 3 * COUNT


def test_documents_may_be_added_and_kinds_too(scholar: Scholar, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    with serving(scholar) as url:
        synthesize(scholar.documents[:2], out, settings(url, kinds=("simple",)))
        before = len(scholar.prompts)
        synthesize(scholar.documents[:2], out, settings(url, kinds=("simple",)))
        assert len(scholar.prompts) == before
        synthesize(scholar.documents[:3], out, settings(url, kinds=("simple", "paraphrase")))
    assert [row.kind for row in read_pretrain(out)] == ["qa", "paraphrase"] * 3


def test_merged_parts_are_the_file_of_one_run(scholar: Scholar, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    scholar.refused[scholar.documents[1]] = 400  # a dropped document is merged too
    with serving(scholar) as url:
        expected = synthesize(scholar.documents, whole, settings(url))
        for first in (2, 1, 3):
            synthesize(scholar.documents, out, settings(url), part=Part(first, 3))
        asked = len(scholar.prompts)
        found = synthesize(scholar.documents, out, settings(url), merged=3)
        assert synthesize(scholar.documents, out, settings(url), merged=3) == found
    assert len(scholar.prompts) == asked and found == expected
    assert out.read_bytes() == whole.read_bytes()
    documents = [row.documents[0] for row in read_pretrain(tmp_path / "part-1-of-3-rows.jsonl")]
    assert documents == [scholar.documents[0]] * 3 + [scholar.documents[3]] * 3


def test_parts_that_do_not_fit_are_refused_and_nothing_is_written(scholar: Scholar, tmp_path: Path) -> None:
    out, first = tmp_path / "rows.jsonl", tmp_path / "part-1-of-2-rows.jsonl"
    journals = [tmp_path / f"part-{number}-of-2-rows.jsonl.journal" for number in (1, 2)]
    with serving(scholar) as url:
        synthesize(scholar.documents, out, settings(url), part=Part(1, 2))
        with pytest.raises(DataError, match=r"part-2-of-2-rows\.jsonl\.journal: not found.*--part 2/2"):
            synthesize(scholar.documents, out, settings(url), merged=2)
        synthesize(scholar.documents[:2], out, settings(url), part=Part(2, 2))
        with pytest.raises(DataError, match=r"part-2-of-2-rows\.jsonl: unfinished, number 3 is missing.*--part 2/2"):
            synthesize(scholar.documents, out, settings(url), merged=2)
        synthesize(scholar.documents, out, settings(url), part=Part(2, 2))
        with pytest.raises(ConfigError, match=r"begun with model 'm', now 'n'"):
            synthesize(scholar.documents, out, settings(url, model="n"), merged=2)
        assert not out.exists() and first.exists()
        right = journals[1].read_bytes()
        journals[1].write_bytes(journals[0].read_bytes())
        with pytest.raises(DataError, match=r"part-2-of-2-rows\.jsonl\.journal: holds number [024], which is of"):
            synthesize(scholar.documents, out, settings(url), merged=2)
        journals[1].write_bytes(right)
        synthesize(scholar.documents[:1], out, settings(url))
        with pytest.raises(ConfigError, match=r"rows\.jsonl\.journal: there already"):
            synthesize(scholar.documents, out, settings(url), merged=2)


def test_a_journal_of_other_settings_or_documents_is_refused(scholar: Scholar, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    with serving(scholar) as url:
        synthesize(scholar.documents[:2], out, settings(url))
        with pytest.raises(ConfigError, match=r"rows\.journal: begun with model 'm', now 'n'; rounds 10, now 3"):
            synthesize(scholar.documents[:2], out, settings(url, model="n", rounds=3))
        with pytest.raises(DataError, match=r"document \d is another one"):
            synthesize(scholar.documents[1:3], out, settings(url))
        (tmp_path / "rows.journal").write_text("{}\n")
        with pytest.raises(DataError, match="not a journal"):
            synthesize(scholar.documents[:2], out, settings(url))


def test_a_document_that_the_server_refuses_is_dropped_with_the_reason(scholar: Scholar, tmp_path: Path) -> None:
    scholar.refused[scholar.documents[1]] = 400
    results: list[Written] = []
    with serving(scholar) as url:
        found = synthesize(scholar.documents, tmp_path / "rows", settings(url), results.append)
    assert [(one.examples, one.dropped) for one in found] == [(COUNT - 1, 1)] * 3
    reasons = {written.dropped for written in results if written.dropped}
    assert len(results) == 3 * COUNT and len(reasons) == 1 and "HTTP 400" in reasons.pop()
    assert scholar.documents[1] not in {row.documents[0] for row in read_pretrain(tmp_path / "rows")}


class Never(Scholar):
    """Always finds something more to ask."""

    def further(self, questions: list[str], asked: list[str]) -> list[str]:
        return [f"What else, number {len(self.prompts)}?"]


class Mute(Scholar):
    """Writes no JSON, and paraphrases by repeating."""

    def reply(self, prompt: str, document: str) -> str:
        return document


class Liar(Scholar):
    """Paraphrases another document."""

    def rewrite(self, document: str) -> str:
        others = [other for other in self.documents if other != document]
        return self.paraphrases[others[0]]


@pytest.mark.parametrize(
    ("teacher", "kind", "why", "rounds"),
    [
        (Never, "simple", "the last round still found something to ask", 4),
        (Mute, "complex", "no JSON list in '", 4),
        (Mute, "paraphrase", "no paraphrase was judged to state the same facts in other words", 4),
        (Liar, "paraphrase", "no paraphrase was judged to state the same facts in other words", 4),
    ],
)
def test_what_does_not_come_about_is_dropped_after_so_many_rounds(
    world: World, teacher: type[Scholar], kind: Any, why: str, rounds: int
) -> None:
    scholar = teacher(world, 2)
    with serving(scholar) as url:
        written = Teacher(settings(url, rounds=rounds)).write(kind, scholar.documents[0])
    assert written.dropped.startswith(why) and written.rounds == rounds and written.calls == len(scholar.prompts)


def test_a_reply_that_was_cut_is_not_taken_for_whole(scholar: Scholar) -> None:
    with serving(scholar) as url:
        written = Teacher(settings(url, max_tokens=5, rounds=2)).write("simple", scholar.documents[0])
    assert written.dropped == "a reply was cut after 5 tokens (max_tokens)" and written.questions == []


def test_a_server_that_is_not_there_or_is_another_says_so(scholar: Scholar, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(BackendError, match=r"cannot reach .* run again to go on"):
        synthesize(scholar.documents, tmp_path / "rows", settings(url))
    scholar.refused[scholar.documents[0]] = 401
    with serving(scholar) as url, pytest.raises(BackendError, match=r"HTTP 401.*OPENAI_API_KEY"):
        Teacher(settings(url)).write("simple", scholar.documents[0])


def test_the_key_is_sent_and_never_shown(scholar: Scholar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    scholar.refused[scholar.documents[0]] = 401
    scholar.answer = lambda body: (401, "wrong key sk-secret")  # type: ignore[method-assign]
    with serving(scholar) as url, pytest.raises(BackendError, match=r"wrong key \*\*\*"):
        Teacher(settings(url, api_key_env="TEACHER_KEY")).write("simple", scholar.documents[0])


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('Sure!\n```json\n["a [b]", 3]\n```', ["a [b]", "3"]),
        ('<think>["no"]</think>[" yes "]', ["yes"]),
        ("[]", []),
        ("", None),
        ("none", None),
        ("]a[", None),
        ('["a"', None),
        ('[{"q": "a"}]', None),
        ('["a"] and ["b"]', None),
    ],
)
def test_lists_are_read_from_what_models_write_and_never_guessed(reply: str, read: list[str] | None) -> None:
    if read is None:
        with pytest.raises(BadReply):
            read_list(reply)
    else:
        assert read_list(reply) == read


def test_a_list_of_another_length_and_an_undecided_verdict_are_refused() -> None:
    with pytest.raises(BadReply, match="a list of 1, expected 2"):
        read_list('["a"]', 2)
    assert read_verdict("**Yes**, they do", "yes", "no") and not read_verdict("no", "yes", "no")
    for reply in ("", "It depends", "yesterday", "not quite"):
        with pytest.raises(BadReply, match="neither yes nor no"):
            read_verdict(reply, "yes", "no")


@pytest.mark.parametrize(
    "options", [{"rounds": 0}, {"model": ""}, {"kinds": ()}, {"base_url": "localhost"}, {"concurrency": 0}]
)
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="synthesize"):
        settings(**{"url": "http://localhost", **options})


def test_documents_are_read_with_their_titles_or_from_rows(tmp_path: Path) -> None:
    lines = [{"title": "T", "text": "t", "id": 1}, {"text": "u"}, {"docs": ["v", "w"], "question": []}]
    path = tmp_path / "documents.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    assert list(read_documents(path)) == ["T\nt", "u", "v", "w"]
    (tmp_path / "bad").write_text('{"text": "a"}\n{"title": "T"}\n')
    with pytest.raises(DataError, match="bad: line 2: no document"):
        list(read_documents(tmp_path / "bad"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_documents(tmp_path / "missing"))


def test_the_table_shows_means_per_kept_example() -> None:
    found = Statistics("simple", examples=4, dropped=1, pairs=30, input_length=380, output_length=600, calls=50)
    cells = [line.split()[-1] for line in table([found]).splitlines()]
    assert cells[:5] == ["simple", "4", "7.50", "95.00", "150.00"] and "10.00" in cells
    assert table([Statistics("complex")]).count(" -") == 7


def test_rows_are_named_by_their_document(scholar: Scholar, tmp_path: Path) -> None:
    with serving(scholar) as url:
        synthesize(scholar.documents[:2], tmp_path / "rows", settings(url, kinds=("paraphrase",)))
    names = [row.id for row in read_pretrain(tmp_path / "rows")]
    assert len(set(names)) == 2 and all(name.endswith("-paraphrase") for name in names)
    assert all(isinstance(row, Row) for row in read_pretrain(tmp_path / "rows"))
