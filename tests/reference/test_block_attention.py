"""Block attention: passages are read each by itself, and a question sees all of them and no other question."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench import Component, ConfigError, Passage, Question, create
from reference.data.row import Row, Turn
from reference.model import layout
from reference.model.clara import Clara
from reference.model.layout import PADDING, SEPARATOR, visible
from reference.model.passes import filled, sight
from reference.model.prompts import Encoded, memory_block
from reference.objectives.memory_slots import with_memories
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch
from reference.systems.serving import document
from reference.training.loop import train
from reference.weights import checkpoint
from reference.weights.manifest import read_manifest
from tests.reference.test_model import FAMILIES, random_backbone
from tests.reference.trainee import Pairs, config, documents_of, losses, new_model, settings_of_model

CHECK = settings(max_examples=40, deadline=None, derandomize=True)
TEXTS = [
    "Ann Lee\nAnn Lee is a painter from Oslo.",
    "Oslo\nOslo is the capital of Norway, and has been for long. It lies by the sea.",
    "Bo\nBo.",
]
TURNS = (Turn("Who is it?", "Ann Lee"), Turn("Where was the painter born?", "in Oslo"), Turn("When?", "1984"))
ORDERS = list(itertools.permutations(range(len(TEXTS))))
ALIKE = {"rtol": 1e-4, "atol": 1e-5}


def make(backbone, attention="block", kind="lora"):
    """As if trained: adapters are not zero."""
    memory = Memory(rate=8, document_tokens=32, count="length")
    model_config = ModelConfig(adapters=Adapters(kind=kind, rank=2, alpha=4), memory=memory, attention=attention)
    model = Clara(backbone, model_config)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.role("generator").trainable().values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def attentive(backbone):
    """As new, a random backbone hardly looks at anything but the last token."""
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            if "_proj" in name and parameter.ndim == 2:
                parameter.mul_(10)
    return backbone


@pytest.fixture(params=FAMILIES)
def family(request, tokenizer):
    return attentive(random_backbone(request.param, tokenizer))


@pytest.fixture
def backbone(tokenizer):
    return attentive(random_backbone("llama", tokenizer))


def passages(model, kind):
    """Three passages as blocks, and the vectors for the memory places of each."""
    if kind == "text":
        return model.prompter.documents(TEXTS), [torch.zeros(0, 32)] * len(TEXTS)
    vectors = [torch.randn(count, 32, generator=torch.Generator().manual_seed(count)) for count in (4, 1, 2)]
    return [memory_block(len(one)) for one in vectors], vectors


def encoded(model, blocks, turns=TURNS[:1], stage="instruct"):
    return model.prompter.encode(Row("r", (), tuple(turns)), blocks, stage)


def logits(model, rows, memories):
    with torch.no_grad():
        return model.read(rows, memories).logits_PV


def in_order(model, kind, order):
    """Logits of the answer to one question behind the passages in some order."""
    blocks, vectors = passages(model, kind)
    row = encoded(model, [blocks[place] for place in order])
    return logits(model, [row], [torch.cat([vectors[place] for place in order])])


# --- who sees whom, and from where it counts ------------------------------------------------------------------------


def test_a_prompt_drawn_by_hand():
    mask_BTT, positions_BT = visible(np.array([[0, 1, 1, 2, 2, 2, -1, -1, -2]]))
    assert positions_BT.tolist() == [[0, 1, 2, 1, 2, 3, 4, 5, 4]]  # questions count on from the longer passage
    assert ["".join("x" if seen else "." for seen in row) for row in mask_BTT[0]] == [
        "x........",  # the opening
        "xx.......",  # a passage of two tokens
        "xxx......",
        "x..x.....",  # one of three
        "x..xx....",
        "x..xxx...",
        "xxxxxxx..",  # a question of two
        "xxxxxxxx.",
        "xxxxxx..x",  # another question
    ]


@pytest.mark.parametrize("segments", [[0, 0, 0, -1, -1], [-1, -1], [0, 1, 1, 1, -1, -1], [1, 1, -1], [0]])
def test_with_one_passage_or_none_every_token_sees_all_before_it(segments):
    mask_BTT, positions_BT = visible(np.array([segments]))
    assert np.array_equal(mask_BTT[0], np.tri(len(segments), dtype=bool))
    assert positions_BT[0].tolist() == list(range(len(segments)))


@st.composite
def prompts(draw):
    lengths = st.lists(st.integers(1, 4), max_size=4)
    segments = [0] * draw(st.integers(0, 3))
    for number, length in enumerate(draw(lengths), 1):
        segments += [number] * length
    for number, length in enumerate(draw(lengths), 1):
        segments += [-number] * length
    return segments or [0]


@CHECK
@given(st.lists(prompts(), min_size=1, max_size=4), st.booleans())
def test_padding_on_either_side_sees_something_is_seen_by_nobody_and_moves_nothing(rows, left):
    mask_BTT, positions_BT = visible(layout.pad(rows, PADDING, left))
    assert mask_BTT.any(2).all()  # a row of attention that sees nothing would be NaN
    width = mask_BTT.shape[1]
    for row, mask_TT, positions_T in zip(rows, mask_BTT, positions_BT, strict=True):
        own = slice(width - len(row), width) if left else slice(0, len(row))
        there = np.zeros(width, bool)
        there[own] = True
        alone_TT, alone_T = (part[0] for part in visible(np.array([row])))
        assert np.array_equal(mask_TT[own, own], alone_TT)
        assert np.array_equal(positions_T[own], alone_T)
        assert not mask_TT[own][:, ~there].any()
        assert positions_T.min() >= 0 and positions_T.max() < 2 * width


@CHECK
@given(prompts())
def test_every_pair_of_places_is_as_the_words_say(row):
    mask_TT, positions_T = (part[0] for part in visible(np.array([row])))
    opening, longest = row.count(0), max((row.count(number) for number in row if number > 0), default=0)
    for place, segment in enumerate(row):
        for other, theirs in enumerate(row):
            seen = theirs == segment or theirs == 0 or (segment < 0 < theirs)
            assert mask_TT[place, other] == (seen and other <= place)
        start = 0 if segment == 0 else opening if segment > 0 else opening + longest
        assert positions_T[place] == start + place - row.index(segment)


# --- reading --------------------------------------------------------------------------------------------------------


def test_causal_attention_is_the_default_and_gives_no_mask(backbone):
    assert ModelConfig().attention == "causal"
    model = make(backbone, "causal")
    assert sight(model.config.attention, np.array([[0, 1, 2, -1]]), torch.zeros(1, 4, 32)) == ()
    row = encoded(model, passages(model, "text")[0])
    plain = model.role("generator").lm(torch.tensor([row.ids])).logits[0]
    at = [place - 1 for place, label in enumerate(row.labels) if label != -100]
    torch.testing.assert_close(logits(model, [row], None), plain[at], **ALIKE)


@pytest.mark.parametrize("kind", ["text", "memory"])
def test_one_passage_or_none_is_read_as_causal_attention_reads_it(family, kind):
    causal, block = make(family, "causal"), make(family)
    blocks, vectors = passages(block, kind)
    rows = [encoded(block, []), encoded(block, blocks[:1])]
    memories = [vectors[0][:0], vectors[0]]
    torch.testing.assert_close(logits(block, rows, memories), logits(causal, rows, memories), **ALIKE)


@pytest.mark.parametrize("kind", ["text", "memory"])
def test_the_states_of_a_passage_depend_on_neither_the_others_nor_its_place(family, kind):
    def states(model, order):
        blocks, vectors = passages(model, kind)
        prompt = model.prompter.question_prompt("Who?", [blocks[place] for place in order])
        role, segments_BT = model.role("generator"), np.array([prompt.segments])
        memories = [torch.cat([vectors[place] for place in order])]
        with torch.no_grad():
            inputs_BTH = filled(role, np.array([prompt.ids]), memories, [0], model.separator)
            states_TH = role(inputs_BTH, *sight(model.config.attention, segments_BT, inputs_BTH))[0][0]
        return {place: states_TH[segments_BT[0] == number] for number, place in enumerate(order, 1)}

    model, causal = make(family), make(family, "causal")
    for place in range(len(TEXTS)):
        alone = states(model, [place])[place]
        for order in ORDERS:
            torch.testing.assert_close(states(model, order)[place], alone, **ALIKE)
    assert not torch.allclose(states(causal, (1, 0))[0], states(causal, (0, 1))[0], atol=0.03)


@pytest.mark.parametrize("kind", ["text", "memory"])
def test_the_order_of_passages_leaves_the_answer_s_logits_unchanged(family, kind):
    model, causal = make(family), make(family, "causal")
    first = in_order(model, kind, ORDERS[0])
    for order in ORDERS[1:]:
        torch.testing.assert_close(in_order(model, kind, order), first, **ALIKE)
    assert not torch.allclose(in_order(causal, kind, ORDERS[-1]), in_order(causal, kind, ORDERS[0]), atol=0.03)


@pytest.mark.parametrize("kind", ["text", "memory"])
def test_a_question_sees_every_passage(backbone, kind):
    model = make(backbone)
    before = in_order(model, kind, ORDERS[0])
    for place in range(len(TEXTS)):
        blocks, vectors = passages(model, kind)
        if kind == "text":
            blocks[place][0] += 1
        else:
            vectors[place] = vectors[place] + 1
        changed = logits(model, [encoded(model, blocks)], [torch.cat(vectors)])
        assert (changed - before).abs().max() > 0.03


@pytest.mark.parametrize("kind", ["text", "memory"])
def test_questions_in_one_row_are_each_answered_as_if_asked_alone(family, kind):
    model, causal = make(family), make(family, "causal")
    blocks, vectors = passages(model, kind)
    packed = encoded(model, blocks, TURNS)
    alone = [encoded(model, blocks, [turn]) for turn in TURNS]
    memories = torch.cat(vectors)
    with torch.no_grad():
        together, apart = model.read([packed], [memories]), model.read(alone, [memories] * len(TURNS))
    assert torch.equal(together.labels_P, apart.labels_P) and torch.equal(together.weights_P, apart.weights_P)
    torch.testing.assert_close(together.logits_PV, apart.logits_PV, **ALIKE)
    mixed = logits(causal, [packed], [memories]) - logits(causal, alone, [memories] * len(TURNS))
    assert mixed.abs().max() > 0.03


@pytest.mark.parametrize("stage", ["text", "pretrain"])
def test_questions_that_are_targets_are_written_as_if_alone_but_for_the_token_that_opens_them(backbone, stage):
    """What opens a further question is predicted from the answer before it, whose end is where it is asked."""
    model = make(backbone)
    blocks, vectors = passages(model, "memory")
    memories = torch.cat(vectors)
    packed = logits(model, [encoded(model, blocks, TURNS, stage)], [memories])
    alone = [logits(model, [encoded(model, blocks, [turn], stage)], [memories]) for turn in TURNS]
    torch.testing.assert_close(packed[: len(alone[0])], alone[0], **ALIKE)
    parts = packed.split([len(part) for part in alone])
    for part, expected in zip(parts[1:], alone[1:], strict=True):
        torch.testing.assert_close(part[1:], expected[1:], **ALIKE)


def test_rows_of_any_length_are_read_together_as_one_by_one(family):
    model = make(family)
    blocks, vectors = passages(model, "memory")
    rows, memories = [], []
    for number in range(40):
        order = ORDERS[number % 6][: number % 4]
        turn = Turn("Who " * (number % 7 + 1), "Ann Lee")
        rows.append(encoded(model, [blocks[place] for place in order], [turn]))
        memories.append(torch.cat([torch.zeros(0, 32), *(vectors[place] for place in order)]))
    out = logits(model, rows, memories)
    assert out.isfinite().all()
    alone = [logits(model, [row], [one]) for row, one in zip(rows, memories, strict=True)]
    torch.testing.assert_close(out, torch.cat(alone), **ALIKE)


# --- answering ------------------------------------------------------------------------------------------------------


def read_again(model, prompt, vectors, most):
    """Greedy decoding that reads prompt and answer anew for every token."""
    ids, segments = list(prompt.ids), list(prompt.segments)
    for _ in range(most):
        length = len(ids)
        row = Encoded([*ids, 0], [*segments, -1], [-100] * length + [0], [0.0] * length + [1.0])
        token = int(logits(model, [row], [vectors])[0].argmax())
        if token in model.prompter.ends:
            break
        ids.append(token)
        segments.append(-1)
    return tuple(ids[len(prompt) :])


def asked(model, number):
    """Prompts of three to no passages, text and memories among each other."""
    out, memories = [], []
    texts, (blocks, vectors) = passages(model, "text")[0], passages(model, "memory")
    for n in range(number):
        order = ORDERS[n % 6][: 3 - n % 4]
        chosen = [texts[place] if (n + place) % 3 == 0 else blocks[place] for place in order]
        out.append(model.prompter.question_prompt("Who " * (n % 5 + 1), chosen))
        given_vectors = [3 * vectors[place] for place in order if (n + place) % 3]
        memories.append(torch.cat([torch.zeros(0, 32), *given_vectors]))
    return out, memories


def test_answers_in_a_batch_are_those_one_by_one_and_those_of_reading_all_anew_for_every_token(family):
    model = make(family)
    prompts_, memories = asked(model, 7)
    together = model.answer(prompts_, memories, max_new_tokens=8)
    assert len({answer.ids for answer in together}) == 7
    for prompt, vectors, answer in zip(prompts_, memories, together, strict=True):
        assert answer.ids == model.answer([prompt], [vectors], max_new_tokens=8)[0].ids
        assert answer.ids == read_again(model, prompt, vectors, 8)


def test_rows_that_end_early_leave_the_others_as_they_are(backbone):
    model = make(backbone)
    prompts_, memories = asked(model, 12)
    free = [answer.ids for answer in model.answer(prompts_, memories, max_new_tokens=10)]
    model.prompter.__dict__["ends"] = frozenset({free[0][4], free[2][3], free[5][0]})
    stopped = model.answer(prompts_, memories, max_new_tokens=10)
    for before, answer in zip(free, stopped, strict=True):
        cut = [at for at, token in enumerate(before) if token in model.prompter.ends]
        assert answer.ids == before[: cut[0] if cut else 10]
    assert len({len(answer.ids) for answer in stopped}) > 2


# --- checkpoints and systems ----------------------------------------------------------------------------------------


def saved(tiny, folder: Path, attention: str) -> Clara:
    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
    model_config = ModelConfig(
        backbone=Backbone(scratch=shape),
        adapters=Adapters(kind="full"),
        memory=Memory(rate=16, document_tokens=64),
        attention=attention,
    )
    model = Clara(tiny, model_config, ("compressor", "reasoner", "generator"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.role("generator").parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    checkpoint.save(model, folder)
    return model


def answers(name: str, folder: Path, corpus: dict[str, Passage], questions: list[Question]) -> list[Any]:
    options = {"checkpoint": str(folder), "retriever": "given", "k": "4", "max_new_tokens": "8"}
    system = create("system", Component(name, options))
    system.index(corpus)
    return list(system.answer(questions))


@pytest.fixture(scope="module")
def corpus(world_texts):
    pairs = [text.split("\n", 1) for text in world_texts[:24]]
    return {str(number): Passage(str(number), *pair) for number, pair in enumerate(pairs)}


@pytest.mark.parametrize("name", ["clara", "tiny-text"])
def test_systems_answer_alike_whatever_the_order_of_passages_if_the_checkpoint_reads_in_blocks(
    name, tiny, corpus, tmp_path
):
    ids = list(corpus)
    forth = [Question(str(n), f"Who is {corpus[str(n)].title}?", tuple(ids[n : n + 4])) for n in range(12)]
    back = [Question(one.id, one.text, one.candidates[::-1]) for one in forth]
    same = {}
    for attention in ("block", "causal"):
        saved(tiny, tmp_path / attention, attention)
        there, here = (answers(name, tmp_path / attention, corpus, questions) for questions in (forth, back))
        assert all(answer.status in ("ok", "truncated") for answer in (*there, *here))
        same[attention] = [one.text == other.text for one, other in zip(there, here, strict=True)]
    assert all(same["block"]) and not all(same["causal"])


def test_a_system_says_what_the_model_itself_says(tiny, corpus, tmp_path):
    model = saved(tiny, tmp_path / "c", "block")
    question = Question("q", "Who was it?", ("0", "1", "2"))
    [answer] = answers("tiny-text", tmp_path / "c", corpus, [question])
    blocks = model.prompter.documents([document(corpus[one]) for one in question.candidates])
    assert answer.text == model.answer([model.prompter.question_prompt("Who was it?", blocks)], None, 8)[0].text


def test_a_checkpoint_keeps_how_its_reader_sees(tiny, tmp_path):
    model = saved(tiny, tmp_path / "c", "block")
    again = checkpoint.load(tmp_path / "c")
    assert again.config.attention == read_manifest(tmp_path / "c").model.attention == "block"
    assert torch.equal(in_order(again, "text", ORDERS[2]), in_order(model, "text", ORDERS[2]))


def test_a_checkpoint_from_before_there_was_a_choice_is_causal(tiny, tmp_path):
    model = saved(tiny, tmp_path / "c", "causal")
    path = tmp_path / "c" / "manifest.json"
    tables = json.loads(path.read_text())
    del tables["model"]["attention"]
    path.write_text(json.dumps(tables))
    old = checkpoint.load(tmp_path / "c")
    assert old.config.attention == "causal"
    assert torch.equal(in_order(old, "text", ORDERS[2]), in_order(model, "text", ORDERS[2]))
    path.write_text(json.dumps(tables | {"model": {**tables["model"], "attention": "blocks"}}))
    with pytest.raises(ConfigError, match=r"'blocks'.*model\.attention"):
        checkpoint.load(tmp_path / "c")


# --- training -------------------------------------------------------------------------------------------------------


def trained(out, stage, rows=None, kind="lora", **changes):
    model_config = msgspec.structs.replace(settings_of_model(kind, count="length"), attention="block")
    model = new_model(model_config)
    rows = Pairs(documents_of(stage)) if rows is None else rows
    train(config(model_config, stage, **changes), stage, rows, out, model)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("stage", ["text", "pretrain", "instruct", "joint"])
def test_activation_checkpointing_changes_no_step(stage, tmp_path):
    weights = []
    for again in (False, True):
        parallel = {"micro_batch": 4, "activation_checkpointing": again}
        weights.append(trained(tmp_path / str(again), stage, steps=2, parallel=parallel))
    before = dict(new_model(settings_of_model(count="length")).named_parameters())
    moved = [name for name, tensor in weights[0].items() if name in before and not torch.equal(tensor, before[name])]
    assert any(name.startswith("roles.generator") for name in moved)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=0, atol=1e-6)
    assert losses(tmp_path / "False") == pytest.approx(losses(tmp_path / "True"), abs=1e-6)


@pytest.mark.parametrize("stage", ["text", "instruct"])
def test_one_batch_is_learned_by_heart(stage, tmp_path):
    rows = Pairs(3, among=8)
    changes = {"optimiser": {"learning_rate": 1e-2, "warmup_fraction": 0.05}, "parallel": {"micro_batch": 8}}
    changes |= {"question_weight": 0.0, "mse_weight": 0.001, "save_every": 1000}
    trained(tmp_path, stage, rows, "full", steps=130, **changes)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["cross_entropy"] < 0.05


@pytest.mark.parametrize("attention", ["block", "causal"])
def test_chosen_documents_of_any_number_of_vectors_are_blocks_of_their_own(backbone, attention):
    model = make(backbone, attention)
    placed = with_memories(encoded(model, [memory_block(0)] * 3), [3, 0, 2])
    assert placed == encoded(model, [memory_block(3), [SEPARATOR], memory_block(2)])


def test_eager_attention_gives_the_same_answers_and_logits(family):
    model, found = make(family), {}
    for way in ("sdpa", "eager"):
        model.role("generator").lm.set_attn_implementation(way)
        found[way] = in_order(model, "text", ORDERS[0])
    assert torch.allclose(found["sdpa"], found["eager"], atol=1e-4)
