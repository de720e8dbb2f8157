"""Prompts of one's own: a file or an installed name, with system message, worked examples, stop and extra fields."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from clara_bench.components import identity, registry
from clara_bench.components.registry import Component
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.read import prompts
from clara_bench.read.hf import HFReader
from clara_bench.read.openai import OpenAIReader
from clara_bench.read.prompts import PROMPTS, get_prompt, turns
from clara_bench.types import Question

FILE = """\
schema = 1
name = "terse"
version = 3
system = "You answer in one word."
with_context = "{context}\\n\\nQuestion: {question}\\nAnswer:"
closed_book = "Question: {question}\\nAnswer:"
stop = ["\\n", "Question"]

[[examples]]
question = "Who wrote Dune?"
context = "Frank Herbert wrote Dune."
answer = "Herbert"
"""
SERVER = "\n[extra_body]\ntop_p = 0.5\n"


@pytest.fixture
def terse(tmp_path: Path) -> Path:
    (tmp_path / "terse.toml").write_text(FILE, encoding="utf-8")
    return tmp_path / "terse.toml"


def test_a_file_is_a_whole_conversation(terse: Path) -> None:
    said = turns(get_prompt(str(terse)), "Where is Oslo?", "Oslo is in Norway.")
    assert [turn["role"] for turn in said] == ["system", "user", "assistant", "user"]
    assert said[1]["content"] == "Frank Herbert wrote Dune.\n\nQuestion: Who wrote Dune?\nAnswer:"
    assert said[3]["content"] == "Oslo is in Norway.\n\nQuestion: Where is Oslo?\nAnswer:"


def test_the_built_in_prompts_are_said_by_name_and_version_as_before() -> None:
    assert PROMPTS["short"].described == "short@1"


def made(path: Path, folder: Path) -> registry.Built:
    return registry.build("reader", Component("hf", {"prompt": str(path), "model": str(folder)}))


def test_the_content_of_a_prompt_is_part_of_the_identity_and_its_place_and_name_are_not(
    terse: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    one = identity.key(identity.of(made(terse, tiny_folder)))
    moved = tmp_path / "elsewhere.toml"
    moved.write_text(FILE.replace('name = "terse"', 'name = "brief"'), encoding="utf-8")
    assert identity.key(identity.of(made(moved, tiny_folder))) == one
    for old, new in (("one word", "two words"), ('"Question"]', "]"), ('Herbert"', 'Frank"'), ("Answer:", "A:")):
        moved.write_text(FILE.replace(old, new), encoding="utf-8")
        assert identity.key(identity.of(made(moved, tiny_folder))) != one, old
    said = made(terse, tiny_folder).instance.describe()["prompt"]
    assert said["name"] == "terse@3"
    assert said["content"]["system"] == "You answer in one word."


def test_hf_reads_the_conversation_through_the_chat_template_and_counts_the_evidence(
    terse: Path, tiny_folder: Path
) -> None:
    reader = HFReader(HFReader.Options(model=str(tiny_folder), prompt=str(terse), max_new_tokens=4))
    rendered = reader.render(Question("q", "where was she born?"), ("Marie Curie was born in Warsaw.",))
    text = reader.tokenizer.decode(rendered.ids)
    assert text.startswith("<s>system\nYou answer in one word.</s>\n<s>user\nFrank Herbert wrote Dune.")
    assert "<s>assistant\nHerbert</s>\n<s>user\nMarie Curie was born in Warsaw.\n\nQuestion: where" in text
    assert rendered.context_positions == len(reader.tokenizer("Marie Curie was born in Warsaw.")["input_ids"])


def test_a_model_without_a_chat_template_reads_the_examples_as_text(terse: Path, make_tokenizer) -> None:
    from clara_bench.read.render import render

    tokenizer = make_tokenizer(None)
    rendered = render(tokenizer, get_prompt(str(terse)), "who?", ("Oslo.",), None)
    text = tokenizer.decode(rendered.ids)
    assert text.endswith("Question: Who wrote Dune?\nAnswer: Herbert\n\nOslo.\n\nQuestion: who?\nAnswer:")


def test_hf_scores_an_answer_without_what_follows_a_stop(terse: Path, tiny_folder: Path) -> None:
    plain = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=12))
    question, context = Question("q", "where?"), ("Oslo is the capital of Norway.",)
    [whole] = plain.read([question], [context])
    middle = whole.text[len(whole.text) // 2]
    stopped = HFReader(HFReader.Options(model=str(tiny_folder), max_new_tokens=12))
    stopped.prompt = replace(PROMPTS["short"], stop=(middle,))
    [cut] = stopped.read([question], [context])
    assert cut.text == whole.text[: whole.text.index(middle)].strip()
    assert cut.usage.generated_tokens == whole.usage.generated_tokens
    assert cut.status in ("ok", "empty")


def test_a_template_that_refuses_a_system_message_is_an_error_that_says_so(terse: Path, make_tokenizer) -> None:
    from clara_bench.read.render import render

    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    with pytest.raises(ConfigError, match="template refuses a conversation of system, user, assistant: System role"):
        render(make_tokenizer(strict), get_prompt(str(terse)), "who?", ("Oslo.",), None)


def test_fields_for_a_server_are_refused_by_a_reader_without_one(terse: Path, tiny_folder: Path) -> None:
    terse.write_text(FILE + SERVER, encoding="utf-8")
    with pytest.raises(ConfigError, match="has an extra_body, which only a server takes"):
        HFReader(HFReader.Options(model=str(tiny_folder), prompt=str(terse)))


def test_a_server_is_sent_the_conversation_the_stops_and_the_extra_fields(terse: Path, loopback) -> None:
    terse.write_text(FILE + SERVER, encoding="utf-8")
    loopback.reply = lambda message: "Norway\nQuestion: and Rome?"
    options = OpenAIReader.Options("m", loopback.url, "approximate", prompt=str(terse), retries=0)
    [reading] = OpenAIReader(options).read([Question("q", "Where?")], [("Oslo is in Norway.",)])
    [body] = loopback.requests
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "user"]
    assert (body["stop"], body["top_p"]) == (["\n", "Question"], 0.5)
    assert reading.text == "Norway"  # the server does not honour stop
    with pytest.raises(ConfigError, match="both set top_p"):
        OpenAIReader(OpenAIReader.Options("m", prompt=str(terse), tokenizer="approximate", extra_body='{"top_p": 1}'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{context}\\n", "{context.__class__}\\n", "unknown field '{context.__class__}'"),
        ('Question: {question}\\nAnswer:"\nclosed', 'Answer:"\nclosed', "the field {question} is not in"),
        ('stop = ["\\n"', 'stop = [""', "would end every answer at once"),
        ("system =", "sytem =", "unknown key 'sytem'. Did you mean 'system'"),
        ("schema = 1", "schema = 2", "schema"),
        ('answer = "Herbert"', "", "answer"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused_with_what_is_wrong(terse: Path, old: str, new: str, message: str) -> None:
    assert old in FILE
    terse.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        get_prompt(str(terse))
    assert message in str(raised.value)
    assert str(terse) in str(raised.value)


def test_an_installed_prompt_is_found_by_its_name_and_another_is_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("short-too", "clara_bench.compress.recomp_abstractive:PROMPT", "clara_bench.prompts")
    monkeypatch.setattr(prompts, "discover", lambda kind: {"short-too": point} if kind == "prompt" else {})
    assert get_prompt("short-too").name == "summary"
    with pytest.raises(UnknownName, match="Did you mean 'short-too'"):
        get_prompt("short-to")
    with pytest.raises(ConfigError, match=r"no file|not|No such"):
        get_prompt("nowhere.toml")
