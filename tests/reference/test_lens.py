"""The lens shows what is in a memory, and its statistics tell that from chance."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from reference.lens import report
from reference.lens.logit_lens import Lens, Named, Piece, better, decode, draw, named, normal, pieces_of, render
from reference.model.backbone import load, train_tokenizer
from reference.model.clara import Clara
from reference.model.prompts import Encoded, memory_block
from reference.objectives.losses import contrastive, cross_entropy_sum
from reference.selection.similarity import cosine
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch

SYLLABLES = "ba do ke li mu na po ri sa to vu ze fi go ha je".split()
ASKED_OF_IN_TRAINING, ASKED_OF_IN_TEST = ("work", "born"), "home"


class Toy(NamedTuple):
    """People who live somewhere, do something and were born sometime, each described in four words."""

    documents: list[str]
    untrained: Any
    model: Any
    """Trained to write documents from their memories, then to find a person's document by two kinds of question."""
    found_before: Named
    found_after: Named
    """What the lenses of a third kind of question name, before the reasoner was trained and after."""

    def lenses(self, model, texts, role):
        return decode(model, model.compress(texts, role=role), role, top=10)

    def pieces(self, texts):
        return [pieces_of(self.model.tokenizer, text) for text in texts]


@pytest.fixture(scope="module")
def toy():
    documents, people = made_up()
    model = new_model(documents, people)
    untrained = new_model(documents, people)
    torch.manual_seed(0)
    learn_to_write(model, documents, steps=75)
    model.add_role("reasoner", like="compressor")
    before = found(model, documents, people)
    learn_to_find(model, documents, people, steps=75)
    return Toy(documents, untrained, model, before, found(model, documents, people))


def made_up():
    dice = random.Random(0)
    words = list(dict.fromkeys("".join(dice.choices(SYLLABLES, k=2)) for _ in range(200)))
    people, values = words[:60], [words[60:85], words[85:110], words[110:135]]
    return [" ".join([person, *map(dice.choice, values)]) for person in people], people


def new_model(documents, people):
    asked = [f" {word}" for word in (*ASKED_OF_IN_TRAINING, ASKED_OF_IN_TEST) for _ in range(9)]
    texts = [f" {word}" for text in documents for word in text.split() for _ in range(3)]
    tokenizer = train_tokenizer(texts + asked, 600)
    shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
    config = ModelConfig(adapters=Adapters(kind="full"), memory=Memory(rate=4, document_tokens=16))
    return Clara(load(Backbone(scratch=shape), 0, tokenizer), config)


def learn_to_write(model, documents, steps):
    ids = model.prompter.documents(documents)
    place = memory_block(4)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(steps):
        taken = random.Random(step).sample(ids, 30)
        rows = [
            Encoded(place + row, [1] * 5 + [-1] * len(row), [-100] * 5 + row, [0.0] * 5 + [1.0] * len(row))
            for row in taken
        ]
        read = model.read(rows, model.encode("compressor", taken).states_BMH)
        loss = cross_entropy_sum(read.logits_PV, read.labels_P, read.weights_P)
        descend(optimiser, loss[0] / loss[1])


def learn_to_find(model, documents, people, steps):
    memories = model.flatten(model.compress(documents))
    questions = [f"{person} {word}" for person in people for word in ASKED_OF_IN_TRAINING]
    ids = model.prompter.documents(questions)
    positives = torch.eye(len(people), dtype=torch.bool).repeat_interleave(2, 0)
    optimiser = torch.optim.Adam(model.role("reasoner").trainable().values(), 3e-3)
    for step in range(steps):
        taken = random.Random(step).sample(range(len(ids)), 32)
        queries = model.flatten(model.query([ids[number] for number in taken]))
        scores = cosine(queries, memories.expand(len(taken), -1, -1))
        descend(optimiser, contrastive(scores, positives[taken], 0.05))


def descend(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def found(model, documents, people):
    questions = [f"{person} {ASKED_OF_IN_TEST}" for person in people]
    lenses = decode(model, model.compress(questions, role="reasoner"), "reasoner", top=10)
    pieces = [[pieces_of(model.tokenizer, text) for text in texts] for texts in (documents, questions)]
    return named(lenses, *pieces, permutations=2000)


def test_30_the_lens_of_a_trained_documents_memory_names_its_words(toy):
    passages = toy.pieces(toy.documents)
    after = named(toy.lenses(toy.model, toy.documents, "compressor"), passages, permutations=2000)
    before = named(toy.lenses(toy.untrained, toy.documents, "compressor"), passages, permutations=2000)
    assert after.share > 3 * after.random_share
    assert after.p_value < 0.001
    assert better(after, before) < 0.001


def test_30_a_trained_question_names_words_of_its_document_that_it_lacks(toy):
    before, after = toy.found_before, toy.found_after
    assert after.p_value < 0.01
    assert after.share > 1.3 * after.random_share
    assert after.p_value < before.p_value, "a question cannot name what nobody told the reasoner"
    assert better(after, before) < 0.05


def test_30_states_are_normed_already_so_the_head_alone_gives_the_models_own_words(toy):
    role = toy.model.role("compressor")
    ids = torch.tensor([toy.model.tokenizer(" " + toy.documents[0])["input_ids"]])
    with torch.no_grad():
        states, _ = role(role.embed(ids))
        expected = role.lm(input_ids=ids).logits[0].softmax(-1)
    (lens,) = decode(toy.model, [states[0]], "compressor", top=5)
    for slot, row in zip(lens.slots, expected, strict=True):
        words = {normal(toy.model.tokenizer.decode([token])): float(row[token]) for token in row.topk(5).indices}
        assert [piece.text for piece in slot] == [word for word in words if word]
        assert all(abs(piece.probability - words[piece.text]) < 1e-6 for piece in slot)


def test_memories_of_any_precision_and_length_can_be_decoded(toy):
    memories = toy.model.compress(toy.documents[:2])
    exact = decode(toy.model, memories, top=3)
    halves = decode(toy.model, [memory.half() for memory in memories], top=3)
    assert [len(lens.slots) for lens in halves] == [4, 4]
    assert sum(one.pieces == other.pieces for one, other in zip(exact, halves, strict=True)) >= 1
    assert decode(toy.model, [memories[0][:1]])[0].slots[0]
    assert decode(toy.model, []) == []


def test_spellings_of_a_word_are_one_and_marks_are_none():
    assert [normal(piece) for piece in (" Oslo", "oslo", "OSLO ", "\n", ".", "a", "’s", "42", "�")] == [
        *["oslo"] * 3,
        *[""] * 4,
        "42",
        "",
    ]


def lens_of(*words):
    return Lens((tuple(Piece(word, 0.1) for word in words),))


def test_shares_are_those_counted_by_hand():
    lenses = [lens_of("oslo", "norway", "fjord", "bruno"), lens_of("lima", "norway")]
    passages = [frozenset({"bruno", "oslo", "norway"}), frozenset({"anna", "lima"})]
    questions = [frozenset({"bruno", "where"}), frozenset({"anna", "where"})]
    result = named(lenses, passages, questions, permutations=100)
    # Lens 1: oslo and norway of 4 (bruno is in the question); nothing of passage 2.
    # Lens 2: lima of 2; norway is in passage 1.
    assert result.shares_Q.tolist() == [0.5, 0.5]
    assert result.random_Q.tolist() == [0.0, 0.5]
    assert (result.share, result.random_share) == (0.5, 0.25)
    assert 0.4 < result.p_value < 0.6, "of two orders one is the right one"


def test_chance_is_called_chance():
    dice = random.Random(1)
    words = [f"w{number}" for number in range(40)]
    p_values = []
    for seed in range(40):
        lenses = [lens_of(*dice.sample(words, 8)) for _ in range(20)]
        passages = [frozenset(dice.sample(words, 8)) for _ in range(20)]
        p_values.append(named(lenses, passages, permutations=200, seed=seed).p_value)
    assert 0.3 < np.mean(p_values) < 0.7
    assert sum(p < 0.05 for p in p_values) <= 6


def test_a_lens_is_not_better_than_itself_and_naming_common_words_is_no_gain():
    def result(own, others):
        return Named(float(np.mean(own)), float(np.mean(others)), 0.5, np.array(own), np.array(others))

    base = result([0.1, 0.2, 0.3] * 10, [0.1] * 30)
    assert better(base, base) == 1.0
    everywhere = result([0.5, 0.6, 0.7] * 10, [0.5] * 30)  # more of its passage, and just as much of any other
    assert better(everywhere, base) == 1.0
    assert better(result([0.3, 0.4, 0.5] * 10, [0.1] * 30), base) < 0.001


def test_an_empty_lens_names_nothing():
    result = named([lens_of(), lens_of("oslo")], [frozenset({"oslo"})] * 2, permutations=10)
    assert result.shares_Q.tolist() == [0.0, 1.0]


def test_one_question_is_too_few_to_tell_chance():
    with pytest.raises(ValueError, match="two or more"):
        named([lens_of("oslo")], [frozenset({"oslo"})])
    with pytest.raises(ValueError, match="equally many, got 2 lenses, 1 passages"):
        named([lens_of("oslo")] * 2, [frozenset({"oslo"})])


def test_text_marks_what_is_found_and_what_was_asked():
    text = render(lens_of("oslo", "bruno", "lima"), frozenset({"oslo", "bruno"}), frozenset({"bruno"}))
    assert text == "  0  +oslo  =bruno   lima"


def test_the_picture_holds_the_words_in_their_colours(toy, tmp_path):
    lens = Lens((*lens_of("oslo", "bruno").slots, *lens_of("$x_2", "<b>").slots))
    systems = {"trained": toy.found_after, "untrained": toy.found_before}
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(tmp_path / "lens.svg", lens, frozenset({"oslo"}), frozenset({"bruno"}), "Where is Bruno?", systems)
        draw(tmp_path / "alone.png", lens, frozenset({"oslo"}))
    picture = (tmp_path / "lens.svg").read_text()
    for word in ("oslo", "bruno", "&lt;b&gt;", "Where is Bruno?", "untrained", f"p = {toy.found_after.p_value:.2g}"):
        assert word in picture
    assert (tmp_path / "alone.png").read_bytes().startswith(b"\x89PNG")


def test_30_memories_of_documents_by_the_weights_that_ship_name_their_words():
    seen = report.look("tiny-8x", report.questions_of(40, 300))
    documents = seen.shares[report.DOCUMENTS]
    assert documents.share > 1.2 * documents.random_share and documents.p_value < 0.01
