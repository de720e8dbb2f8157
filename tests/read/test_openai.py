"""A server's answers, counts and failures each become what they are, against servers on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.components.registry import Component, create
from clara_bench.errors import BackendError, ConfigError
from clara_bench.read.hf import HFReader
from clara_bench.read.openai import OpenAIReader
from clara_bench.records.results import find_runs
from clara_bench.systems.describe import reading as reading_traits
from clara_bench.types import Question, Reader, Reading

QUESTIONS = [Question(str(i), f"What is {i}?") for i in range(12)]
PASSAGE = "Oslo\nOslo is the capital of Norway."
Reply = tuple[int, Any]


def _completion(body: Any, text: str = "", **usage: int) -> Reply:
    counts = {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103, **usage}
    message = {"role": "assistant", "content": text or body["messages"][0]["content"].split("Question: ")[1][:20]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": counts,
    }


@contextmanager
def _server(reply: Callable[[Any], Reply], requests: list[Any] | None = None) -> Iterator[str]:
    """An HTTP server that answers each posted body with what `reply` makes of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if requests is not None:
                requests.append(
                    {
                        "body": body,
                        "key": self.headers["Authorization"],
                        "team": self.headers["X-Team"],
                        "path": self.path,
                    }
                )
            status, content = reply(body)
            if status <= 0:
                return self._misbehave(drip=status < 0)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "1")
            if status == 307:
                self.send_header("Location", str(content))
            self.end_headers()
            with contextlib.suppress(OSError):  # nobody waits for it any more
                self.wfile.write(data)

        def _misbehave(self, drip: bool) -> None:
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.0 200 OK\r\n" * drip)
                while drip:
                    self.wfile.write(b"X")
                    time.sleep(0.05)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _read(url: str, tokenizer: Path, contexts: tuple[str, ...] = (PASSAGE,), **options: Any) -> list[Reading]:
    reader = OpenAIReader(OpenAIReader.Options("m", url, str(tokenizer), **{"retries": 0, **options}))
    return list(reader.read(QUESTIONS, [contexts] * len(QUESTIONS)))


def test_answers_come_in_the_order_asked_whichever_is_ready_first(tiny_folder: Path) -> None:
    def reply(body: Any) -> Reply:
        number = int(body["messages"][0]["content"].split("What is ")[1].split("?")[0])
        time.sleep(0.01 * (12 - number))
        return _completion(body, f" {number}\n")

    with _server(reply) as url:
        assert [reading.text for reading in _read(url, tiny_folder)] == [str(i) for i in range(12)]


def test_requests_run_side_by_side_but_no_more_than_allowed(tiny_folder: Path) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def reply(body: Any) -> Reply:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return _completion(body)

    with _server(reply) as url:
        start = time.perf_counter()
        readings = _read(url, tiny_folder, concurrency=3)
        took = time.perf_counter() - start
    assert most == 3
    assert 12 / 3 * 0.05 <= sum(reading.usage.seconds["request"] for reading in readings) <= took


def test_usage_is_the_servers_and_evidence_is_counted_with_the_tokenizer(tiny_folder: Path) -> None:
    with _server(lambda body: _completion(body, "Oslo", prompt_tokens=77, completion_tokens=5)) as url:
        usage = _read(url, tiny_folder)[0].usage
        closed = _read(url, tiny_folder, ())[0].usage
        reader = OpenAIReader(OpenAIReader.Options("m", url, str(tiny_folder)))
    assert isinstance(reader, Reader)
    assert (usage.prompt_tokens, usage.generated_tokens) == (77, 5)
    assert usage.context_positions == usage.context_text_tokens == reader.context_tokens([[PASSAGE]])[0]
    assert (closed.prompt_tokens, closed.context_positions) == (77, 0)


def test_the_request_is_greedy_bounded_and_carries_key_and_prompt(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key")
    requests: list[Any] = []
    with _server(_completion, requests) as url:
        _read(url, tiny_folder, api_key_env="MY_KEY", max_new_tokens=9)
    first = requests[0]
    assert (first["key"], first["path"]) == ("Bearer secret-key", "/v1/chat/completions")
    body = first["body"]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 9)
    assert [turn["role"] for turn in body["messages"]] == ["user"] and PASSAGE in body["messages"][0]["content"]


def test_the_key_is_in_no_description_and_no_message(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key")
    refusal = 400, {"error": {"message": "bad key secret-key"}}
    with _server(lambda body: _completion(body) if _number(body) else refusal) as url:
        readings = _read(url, tiny_folder, api_key_env="MY_KEY")
        described = OpenAIReader(OpenAIReader.Options("m", url, str(tiny_folder), "MY_KEY")).describe()
    assert readings[0].status == "error" and "secret" not in str(readings) and "secret" not in str(described)


def test_evidence_beyond_the_limit_is_cut_and_said_to_be(tiny_folder: Path) -> None:
    requests: list[Any] = []
    with _server(_completion, requests) as url:
        reading = _read(url, tiny_folder, (PASSAGE, "Rome is old. " * 50), max_prompt_tokens=150)[0]
    assert reading.status == "truncated"
    assert 0 < reading.usage.context_positions < reading.usage.context_text_tokens
    content = requests[0]["body"]["messages"][0]["content"]
    assert PASSAGE in content and content.count("Rome is old.") < 50 and "Short answer:" in content


def test_a_server_that_cuts_prompts_unasked_is_found_out(tiny_folder: Path) -> None:
    with _server(lambda body: _completion(body, "x", prompt_tokens=5)) as url:
        reading = _read(url, tiny_folder)[0]
    assert reading.status == "truncated" and reading.usage.context_positions == 5 < reading.usage.context_text_tokens


def test_a_busy_server_is_tried_again(tiny_folder: Path) -> None:
    seen: dict[str, int] = {}

    def reply(body: Any) -> Reply:
        content = body["messages"][0]["content"]
        seen[content] = seen.get(content, 0) + 1
        return _completion(body, "late") if seen[content] == 3 else (429 if seen[content] == 1 else 500, {})

    with _server(reply) as url:
        assert {reading.text for reading in _read(url, tiny_folder, retries=2)} == {"late"}


def test_a_question_the_server_refuses_fails_alone(tiny_folder: Path) -> None:
    def reply(body: Any) -> Reply:
        refused = "What is 3?" in body["messages"][0]["content"]
        return (400, {"error": {"message": "too long"}}) if refused else _completion(body, "fine")

    with _server(reply) as url:
        readings = _read(url, tiny_folder)
    assert [i for i, reading in enumerate(readings) if reading.status == "error"] == [3]
    assert "HTTP 400" in str(readings[3].error) and "too long" in str(readings[3].error)
    assert readings[3].usage.context_positions > 0


def test_a_question_that_takes_too_long_times_out_alone(tiny_folder: Path) -> None:
    given_up = threading.Event()

    def reply(body: Any) -> Reply:
        if "What is 3?" in body["messages"][0]["content"]:
            given_up.wait(60)
        return _completion(body, "fine")

    with _server(reply) as url:
        readings = _read(url, tiny_folder, timeout_seconds=2, concurrency=4)
        given_up.set()
    assert [i for i, reading in enumerate(readings) if reading.status == "timeout"] == [3]
    assert "2 seconds" in str(readings[3].error) and readings[3].text == ""


def _number(body: Any) -> int:
    return int(body["messages"][0]["content"].split("What is ")[1].split("?")[0])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
def test_a_server_that_answers_none_of_the_first_questions_ends_the_run(tiny_folder: Path, status: int) -> None:
    requests: list[Any] = []
    refused = f"none of the first 5 questions: HTTP {status}: .*the model's name 'm' and the key in .OPENAI_API_KEY"
    with (
        _server(lambda body: (status, {"error": {"message": "no"}}), requests) as url,
        pytest.raises(BackendError, match=refused),
    ):
        _read(url, tiny_folder, concurrency=1)
    assert len(requests) in {5, 6}  # the next one may be on its way


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html>hello</html>", "its reply is no chat completion: not JSON"),
        ([], "its reply is no chat completion: expected object, got array"),
        ({"error": {"message": "no such model"}}, "its reply has no choices: .*no such model"),
        ({"choices": []}, "its reply has no choices"),
        ({"choices": "x", "usage": {}}, r"expected array \| null"),
        ({"choices": [{"message": {"content": 5}}]}, "content"),
        ({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}, ">= 0"),
    ],
)
def test_a_reply_that_is_none_fails_its_question_with_what_it_is(tiny_folder: Path, content: Any, said: str) -> None:
    with _server(lambda body: (200, content) if _number(body) in {1, 5} else _completion(body, "fine")) as url:
        readings = _read(url, tiny_folder)
    assert [i for i, reading in enumerate(readings) if reading.status == "transport"] == [1, 5]
    assert re.search(said, readings[1].error or "") and {r.text for r in readings} == {"", "fine"}


def test_a_server_that_hangs_up_on_some_questions_fails_those_alone(tiny_folder: Path) -> None:
    def reply(body: Any) -> Reply:
        return (0, "") if _number(body) == 3 else _completion(body, "fine")

    with _server(reply) as url:
        readings = _read(url, tiny_folder)
    assert [i for i, reading in enumerate(readings) if reading.status == "transport"] == [3]
    assert "isconnected" in str(readings[3].error)


def test_a_slow_first_answer_is_waited_for_though_later_questions_fail(tiny_folder: Path) -> None:
    def reply(body: Any) -> Reply:
        if _number(body):
            return 400, {"error": {"message": "no"}}
        time.sleep(0.5)
        return _completion(body, "fine")

    with _server(reply) as url:
        assert [reading.status for reading in _read(url, tiny_folder)] == ["ok", *["error"] * 11]


def test_a_server_that_drips_bytes_is_cut_off_in_time(tiny_folder: Path) -> None:
    start = time.perf_counter()
    with (
        _server(lambda body: (-1, "")) as url,
        pytest.raises(BackendError, match=r"no whole answer within 0\.5 seconds"),
    ):
        _read(url, tiny_folder, timeout_seconds=0.5)
    assert time.perf_counter() - start < 20


def test_what_a_server_answers_is_handed_over_before_the_rest_is_there(tiny_folder: Path) -> None:
    held = threading.Event()

    def reply(body: Any) -> Reply:
        if _number(body) == 3:
            held.wait(60)
        return _completion(body, "fine")

    with _server(reply) as url:
        reader = OpenAIReader(OpenAIReader.Options("m", url, str(tiny_folder), retries=0))
        readings = reader.read_each(QUESTIONS, [()] * 12)
        early = [next(readings)[0] for _ in range(11)]
        held.set()
        assert 3 not in early and [place for place, _ in readings] == [3]


def test_no_redirection_is_followed_with_a_key(tiny_folder: Path) -> None:
    with (
        _server(lambda body: (307, "http://127.0.0.1:1/elsewhere")) as url,
        pytest.raises(BackendError, match=r"HTTP 307: it redirects to http://127.0.0.1:1/elsewhere, which is not"),
    ):
        _read(url, tiny_folder, concurrency=1)


def test_a_server_that_is_not_there_ends_the_run_at_once(tiny_folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(BackendError, match=r"no answer from http://127.*Check that the server runs, base_url"):
            _read(url, tiny_folder)


def test_an_answer_of_nothing_is_called_empty(tiny_folder: Path) -> None:
    with _server(lambda body: _completion(body, " \n")) as url:
        assert {reading.status for reading in _read(url, tiny_folder)} == {"empty"}


def test_without_the_models_tokenizer_evidence_is_counted_approximately_and_said_to_be(tmp_path: Path) -> None:
    with _server(_completion) as url:
        reader = OpenAIReader(OpenAIReader.Options("closed-1", url, retries=0))
        readings = reader.read(QUESTIONS[:1], [(PASSAGE, "Å")])
        short = OpenAIReader(OpenAIReader.Options("closed-1", url, retries=0, max_prompt_tokens=40))
        [cut] = short.read(QUESTIONS[:1], [(PASSAGE, "Rome is old. " * 50)])
    assert reader.describe()["tokenizer"] == "approximate: UTF-8 bytes / 4"
    assert reading_traits(reader).token_counts == "approximate"
    assert readings[0].usage.context_positions == -(-len((PASSAGE + "\n\nÅ").encode()) // 4)
    assert reader.context_tokens([[PASSAGE, "Å"]]) == [readings[0].usage.context_text_tokens]
    assert (readings[0].status, cut.status) == ("ok", "truncated")
    assert 0 < cut.usage.context_positions < 40 < cut.usage.context_text_tokens


def test_a_tokenizer_that_is_named_must_be_there(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(BackendError, match=r"no such file or folder.*Or count approximately: tokenizer=approximate"):
        OpenAIReader(OpenAIReader.Options("m", "http://localhost:1/v1", str(tmp_path / "nowhere")))
    known = OpenAIReader(OpenAIReader.Options(str(tiny_folder), "http://localhost:1/v1"))
    assert reading_traits(known).token_counts == "" and "sha256" in known.describe()["tokenizer"]


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_what_a_server_does_not_count_is_counted_here(tiny_folder: Path, usage: Any) -> None:
    def reply(body: Any) -> Reply:
        return 200, {**_completion(body, "Oslo it is")[1], "usage": usage}

    with _server(reply) as url:
        used = _read(url, tiny_folder)[0].usage
    assert used.prompt_tokens > used.context_positions > 0 and used.generated_tokens > 0


def _modern(body: Any) -> Reply:
    """A server that refuses what newer models do."""
    if "max_tokens" in body:
        said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        return 400, {"error": {"message": said, "param": "max_tokens", "code": "unsupported_parameter"}}
    if "temperature" in body:
        return 400, {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model."}}
    return _completion(body, "fine")


def test_fields_that_a_server_refuses_are_spared_and_that_is_said(tiny_folder: Path) -> None:
    requests: list[Any] = []
    with _server(_modern, requests) as url:
        reader = OpenAIReader(OpenAIReader.Options("m", url, str(tiny_folder), retries=0, max_new_tokens=9))
        assert reader.adapted == []
        assert {reading.text for reading in reader.read(QUESTIONS, [()] * 12)} == {"fine"}
        asked = len(requests)
        reader.read(QUESTIONS, [()] * 12)
    assert len(requests) == asked + 12 and requests[-1]["body"]["max_completion_tokens"] == 9
    assert [told.partition(" refuses ")[2].partition(":")[0] for told in reader.adapted] == [
        "max_tokens",
        "temperature 0",
    ]


def test_a_refusal_for_another_reason_spares_no_field(tiny_folder: Path) -> None:
    def reply(body: Any) -> Reply:
        return (400, {"error": {"message": "too hot, by temperature"}}) if _number(body) else _completion(body)

    with _server(reply) as url:
        reader = OpenAIReader(OpenAIReader.Options("m", url, str(tiny_folder), retries=0))
        assert {reading.status for reading in reader.read(QUESTIONS, [()] * 12)} == {"ok", "error"}
    assert reader.adapted == []


def test_further_fields_and_headers_are_sent_and_values_of_headers_told_nowhere(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "team-secret")
    requests: list[Any] = []

    def reply(body: Any) -> Reply:
        return _completion(body, "team-secret?") if _number(body) else (400, {"error": {"message": "team-secret"}})

    with _server(reply, requests) as url:
        readings = _read(url, tiny_folder, headers_env="X-Team=TEAM", extra_body='{"top_k": 1, "temperature": 1}')
    assert requests[0]["team"] == "team-secret"
    assert (requests[0]["body"]["top_k"], requests[0]["body"]["temperature"]) == (1, 1)
    assert "team-secret" not in str(readings) and readings[1].text == "***?"
    with pytest.raises(ConfigError, match="headers_env: 'X-Team=NO_SUCH' names no environment variable"):
        _read("http://localhost:1/v1", tiny_folder, headers_env="X-Team=NO_SUCH")
    with pytest.raises(ConfigError, match="extra_body: expected object, got array"):
        _read("http://localhost:1/v1", tiny_folder, extra_body="[]")


def test_money_tokens_and_what_was_spared_are_in_records_totals_and_manifest(capitals: Path) -> None:
    out = capitals.parent / "runs"
    with _server(_modern) as url:
        done = CliRunner().invoke(
            main,
            ["run", "-t", str(capitals), "-s", "rag", "--data", str(capitals.with_name("capitals.jsonl")),
             "--out", str(out), "-o", "reader=openai", "-o", "reader.model=closed-1", "-o",
             f"reader.base_url={url}", "--label", "x",
             "-o", "reader.input_price=2", "-o", "reader.output_price=10", "--limit", "4"],
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "refuses temperature 0: none is sent" in done.output
    [run] = find_runs(out)
    assert len(run.manifest["sessions"][-1]["adapted"]) == 2
    assert [record.answer.usage.usd for record in run.records()] == [pytest.approx(100 * 2e-6 + 3 * 10e-6)] * 4
    [board] = json.loads(CliRunner().invoke(main, ["leaderboard", str(out), "-f", "json"]).stdout)
    [row] = board["sections"][0]["rows"]
    assert row["totals"] == {"prompt_tokens": 400, "generated_tokens": 12, "usd": pytest.approx(0.00092)}
    assert row["traits"]["token_counts"] == "approximate"
    shown = CliRunner().invoke(main, ["leaderboard", str(out), "-f", "markdown"]).stdout
    assert "x ‡" in shown and "‡: tokens of evidence counted approximately" in shown
    scored = CliRunner().invoke(main, ["score", str(run.path), "-m", "usd_per_1000"]).stdout
    assert "0.2300" in scored and "in total: 400 prompt tokens, 12 generated tokens, 0.0009 US dollars" in scored


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="option 'model' is required"):
        create("reader", Component("openai"))
    for name, value in {"concurrency": "0", "timeout_seconds": "-1", "retries": "-1", "base_url": "localhost"}.items():
        with pytest.raises(ConfigError, match=f"{name} must"):
            create("reader", Component("openai", {"model": "m", name: value}))


@contextmanager
def _transformers_serve(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_up(process, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def _wait_until_up(process: subprocess.Popen[str], url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None:
                pytest.fail(f"transformers serve ended: {process.communicate()[1][-2000:]}")
            time.sleep(0.5)
    pytest.fail("transformers serve did not come up")


@pytest.mark.model
def test_a_real_server_says_what_the_same_model_says_in_this_process() -> None:
    questions = [Question("1", "What is the capital of France?"), Question("2", "What is the capital of Norway?")]
    contexts = [(), (PASSAGE, "Vistula\nThe Vistula is the longest river in Poland.")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    local = HFReader(HFReader.Options(max_new_tokens=12))
    expected = local.read(questions, contexts)
    torch.set_num_threads(threads)
    folder = str(local.model.folder)
    with _transformers_serve(local.model.folder) as url:
        served = OpenAIReader(OpenAIReader.Options(folder, url, max_new_tokens=12)).read(questions, contexts)
    for ours, theirs in zip(expected, served, strict=True):
        assert (theirs.text, theirs.status) == (ours.text, "ok")
        assert theirs.usage.prompt_tokens == ours.usage.prompt_tokens
        assert theirs.usage.context_positions == ours.usage.context_positions
        assert theirs.usage.generated_tokens - ours.usage.generated_tokens in {0, 1}  # it counts the end of the turn


def test_several_servers_share_the_questions_and_the_least_busy_gets_the_next() -> None:
    slow, fast = [], []

    def waits(body: Any) -> Reply:
        time.sleep(0.5)
        return _completion(body)

    with _server(waits, slow) as one, _server(_completion, fast) as two:
        reader = create("reader", Component("openai", {"model": "m", "base_url": f"{one},{two}", "concurrency": "1"}))
        readings = reader.read(QUESTIONS, [[PASSAGE]] * len(QUESTIONS))
    assert all(map(str.startswith, [reading.text for reading in readings], [question.text for question in QUESTIONS]))
    assert len(slow) + len(fast) == len(QUESTIONS)
    assert 1 <= len(slow) < len(fast)


def test_a_server_that_is_gone_leaves_its_questions_to_the_others() -> None:
    asked: list[Any] = []
    with _server(_completion) as gone:
        pass
    with _server(_completion, asked) as there:
        options = {"model": "m", "base_url": f"{gone},{there}", "retries": "0", "timeout_seconds": "20"}
        readings = create("reader", Component("openai", options)).read(QUESTIONS, [[PASSAGE]] * len(QUESTIONS))
    assert {reading.status for reading in readings} == {"ok"}
    assert len(asked) == len(QUESTIONS)


def test_when_every_server_is_gone_the_message_names_one() -> None:
    with _server(_completion) as one, _server(_completion) as two:
        pass
    options = {"model": "m", "base_url": f"{one},{two}", "retries": "0", "timeout_seconds": "5"}
    with pytest.raises(BackendError, match=r"no answer from http://127\.0\.0\.1"):
        create("reader", Component("openai", options)).read(QUESTIONS, [[PASSAGE]] * len(QUESTIONS))
