"""The conformance check passes an engine that reads memories as given, and finds each fault that others had."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from transformers import LlamaConfig, LlamaForCausalLM

from clara_bench.cli import main
from clara_bench.conformance.chat import Chat, Frame, Framed
from clara_bench.conformance.checks import conformance
from clara_bench.conformance.engines import Server, Transformers

TOLERANCE = 0.001
FRAME = Frame((7, 8, 9), (10, 11))
"""What the server's chat template puts around a message: `<s> user :` and `</s> assistant`."""
TEMPLATE = "{% for m in messages %}<s> user : {{ m['content'] }} {% endfor %}</s> assistant"


@pytest.fixture(scope="module")
def weights() -> LlamaForCausalLM:
    """A language model with random weights, whose answers depend on every position."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=256, initializer_range=0.3, **sizes)).eval()


@pytest.fixture
def table(weights: LlamaForCausalLM) -> torch.Tensor:
    return weights.get_input_embeddings().weight.detach()


class Broken(Transformers):
    """An engine with one fault."""

    fault = ""
    before: Any = None
    reads = 0

    def read_embeddings(self, embeddings: Any) -> Any:
        self.reads += 1
        if self.fault == "a cache whose keys leave embeddings out":
            self.before = self.before or super().read_embeddings(embeddings)
            return self.before
        if self.fault == "a cache that compares all but the last block":
            self.before = embeddings if self.before is None else self.before
            same = torch.equal(self.before[:80], embeddings[:80])
            return super().read_embeddings(self.before if same else embeddings)
        if self.fault == "noise":
            return super().read_embeddings(embeddings + 0.5 * self.reads)
        return super().read_embeddings(embeddings * 0.5)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("a cache whose keys leave embeddings out", "two memories of equal length differ"),
        ("a cache that compares all but the last block", "memories that differ in 16 vectors differ"),
        ("noise", "the same memory twice agrees"),
        ("embeddings that are scaled", "a memory of token embeddings is the text"),
    ],
)
def test_each_fault_is_found(weights: LlamaForCausalLM, table: torch.Tensor, fault: str, found: str) -> None:
    engine = Broken(weights)
    engine.fault = fault
    told = conformance(engine, Transformers(weights), table, TOLERANCE)
    assert not told.passed
    assert found in [check.name for check in told.checks if not check.passed]


def test_transformers_passes(weights: LlamaForCausalLM, table: torch.Tensor) -> None:
    told = conformance(Transformers(weights), Transformers(weights), table, TOLERANCE)
    assert told.passed, told
    assert len(told.checks) == 5
    assert told.prefix_caching == "off"


Change = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def served(weights: LlamaForCausalLM, change: Change = dict, cached: int | None = None) -> Iterator[str]:
    """A server on loopback with vLLM's and SGLang's interfaces, which reads with transformers."""
    engine = Transformers(weights)
    framed = Framed(engine, FRAME, weights.get_input_embeddings().weight.detach())

    def read(body: dict[str, Any]) -> dict[int, float]:
        if "messages" in body:
            [[part]] = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
            assert part["type"] == "prompt_embeds" and body["logprobs"] is True
            return dict(framed.read_embeddings(torch.load(io.BytesIO(base64.b64decode(part["data"])))))
        if "prompt_embeds" in body:
            return dict(engine.read_embeddings(torch.load(io.BytesIO(base64.b64decode(body["prompt_embeds"])))))
        if "input_embeds" in body:
            return dict(engine.read_embeddings(torch.tensor(body["input_embeds"])))
        return dict(engine.read_ids(body.get("prompt") or body["input_ids"]))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = read(body)
            usage = {"prompt_tokens_details": {"cached_tokens": cached}}
            if self.path == "/v1/chat/completions":
                assert body["max_tokens"] == 1 and body["return_tokens_as_token_ids"] and body["model"] == "tiny"
                likely = [{"token": f"token_id:{token}", "logprob": value} for token, value in found.items()]
                reply = {"choices": [{"logprobs": {"content": [{"top_logprobs": likely}]}}], "usage": usage}
            elif self.path == "/v1/completions":
                assert body["max_tokens"] == 1 and body["return_tokens_as_token_ids"] and body["model"] == "tiny"
                logprobs = {"top_logprobs": [{f"token_id:{token}": value for token, value in found.items()}]}
                reply = {"choices": [{"logprobs": logprobs}], "usage": usage}
            else:
                assert self.path == "/generate" and body["return_logprob"]
                told = [[[value, token, None] for token, value in found.items()]]
                reply = {"meta_info": {"output_top_logprobs": told, "cached_tokens": cached}}
            data = json.dumps(change(reply)).encode()
            self.send_response(200 if "error" not in change(reply) else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.mark.parametrize(("api", "path"), [("vllm", "/v1"), ("sglang", "")])
@pytest.mark.parametrize(("cached", "said"), [(None, "not told"), (0, "off"), (64, "on")])
def test_a_server_passes_by_either_interface(
    weights: LlamaForCausalLM, table: torch.Tensor, api: str, path: str, cached: int | None, said: str
) -> None:
    with served(weights, cached=cached) as url:
        told = conformance(Server(url + path, "tiny", api), Transformers(weights), table, TOLERANCE)
    assert told.passed, told
    assert told.prefix_caching == said


def chat_passes(weights: LlamaForCausalLM, table: torch.Tensor, ours: Frame, change: Change = dict) -> Any:
    with served(weights, change, cached=64) as url:
        engine = Chat(Server(f"{url}/v1", "tiny"), ours)
        reference = Framed(Transformers(weights), ours, table)
        return conformance(engine, reference, table, TOLERANCE, ahead=len(ours.before))


def test_a_server_passes_by_chat_completions(weights: LlamaForCausalLM, table: torch.Tensor) -> None:
    told = chat_passes(weights, table, FRAME)
    assert told.passed, told
    assert told.prefix_caching == "on"
    assert told.engine.endswith("(chat)")


def test_a_template_that_the_server_renders_otherwise_is_found(weights: LlamaForCausalLM, table: torch.Tensor) -> None:
    told = chat_passes(weights, table, Frame((7, 9, 8), FRAME.after))
    assert [check.name for check in told.checks if not check.passed] == ["a memory of token embeddings is the text"]


@pytest.fixture
def chat_folder(weights: LlamaForCausalLM, tmp_path: Path) -> Path:
    """A model with a tokenizer of words whose template gives `FRAME`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "user", ":", "</s>", "assistant"]
    vocabulary = {"[UNK]": 0} | {word: token for token, word in enumerate(words, 7)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    weights.save_pretrained(tmp_path / "chat")
    fast.save_pretrained(tmp_path / "chat")
    return tmp_path / "chat"


def test_the_command_checks_chat_completions_with_the_models_own_template(
    weights: LlamaForCausalLM, chat_folder: Path
) -> None:
    with served(weights) as url:
        done = invoke(f"{url}/v1", "--api", "chat", "--model", str(chat_folder), "--served-as", "tiny", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["checks"]) == 5


def test_chat_completions_of_a_model_without_a_template_are_refused(
    weights: LlamaForCausalLM, chat_folder: Path
) -> None:
    (chat_folder / "chat_template.jinja").unlink()
    done = invoke("http://127.0.0.1:9/v1", "--api", "chat", "--model", str(chat_folder))
    assert done.exit_code == 2
    assert "has no chat template. Leave --api chat out" in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda reply: {"error": {"message": "prompt_embeds is off"}}, "prompt_embeds is off"),
        (lambda reply: {"choices": [{"logprobs": {"content": []}}]}, "Expected choices[0].logprobs.content"),
        (lambda reply: {}, "its reply is no chat completion"),
    ],
)
def test_what_a_servers_chat_cannot_do_is_said(
    weights: LlamaForCausalLM, chat_folder: Path, change: Change, said: str
) -> None:
    with served(weights, change) as url:
        done = invoke(f"{url}/v1", "--api", "chat", "--model", str(chat_folder), "--served-as", "tiny")
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.fixture
def folder(weights: LlamaForCausalLM, tmp_path: Path) -> Path:
    weights.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, ["conformance", *words])


def test_the_command_shows_the_checks_and_ends_with_1_if_one_fails(weights: LlamaForCausalLM, folder: Path) -> None:
    done = invoke("transformers", "--model", str(folder), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["prefix_caching"] == "off"

    def alike(reply: dict[str, Any]) -> dict[str, Any]:
        reply["choices"][0]["logprobs"]["top_logprobs"] = [{"token_id:7": -0.1}]
        return reply

    with served(weights, alike, cached=64) as url:
        done = invoke(f"{url}/v1", "--model", str(folder), "--served-as", "tiny")
    assert done.exit_code == 1
    assert "two memories of equal length differ" in done.output
    assert "prefix caching on" in done.output
    assert "Turn its prefix caching off" in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda reply: {"error": {"message": "prompt_embeds is off"}}, "prompt_embeds is off"),
        (lambda reply: {"choices": [{}]}, "its reply has no log-probabilities"),
        (
            lambda reply: {"choices": [{"logprobs": {"top_logprobs": [{"Oslo": -1}]}}]},
            "names token 'Oslo', expected token_id",
        ),
        (lambda reply: {}, "its reply is no completion"),
    ],
)
def test_what_a_server_cannot_do_is_said(weights: LlamaForCausalLM, folder: Path, change: Change, said: str) -> None:
    with served(weights, change) as url:
        done = invoke(f"{url}/v1", "--model", str(folder), "--served-as", "tiny")
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_server_that_is_gone_and_an_engine_that_is_none_are_refused(weights: LlamaForCausalLM, folder: Path) -> None:
    with served(weights) as url:
        pass
    done = invoke(f"{url}/v1", "--model", str(folder))
    assert done.exit_code == 2 and "Check that the server runs" in done.output
    done = invoke("tgi", "--model", str(folder))
    assert done.exit_code == 2 and "'tgi' is no engine. Expected transformers, vllm" in done.output


def test_without_vllm_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    done = invoke("vllm", "--model", str(folder))
    assert done.exit_code == 2
    assert "pip install vllm or, on CPUs, make engines" in done.output
