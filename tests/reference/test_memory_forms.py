"""Other ways from a document to its memory, each against the same worked out by hand.

Of every form: the shape of memories, what learns, that nothing is drawn, and that no other document of a batch matters.
"""

from __future__ import annotations

import pytest
import torch

from clara_bench import ConfigError
from reference.config import load
from reference.recurrent import segments
from reference.shipped import config_file
from tests.reference.test_model import TEXTS, make, random_backbone
from tests.reference.test_stages import moved, rows_of, stage_of, total_of

FORMS = [
    {"form": "tokens"},
    {"form": "pooled"},
    {"form": "recurrent", "segment_tokens": 10},
    {"form": "recurrent", "segment_tokens": 10, "positions": "spread"},
]


@pytest.fixture
def mistral(tokenizer):
    return random_backbone("mistral", tokenizer)


# --- every form -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", FORMS)
@pytest.mark.parametrize("count", ["nominal", "length"])
def test_01_a_document_has_as_many_vectors_in_every_form(mistral, memory, count):
    model, plain = make(mistral, count=count, **memory), make(mistral, count=count)
    documents = [[5] * length for length in (0, 1, 9, 16, 30, 50)]
    found, expected = model.encode("compressor", documents), plain.encode("compressor", documents)
    assert found.states_BMH.shape == expected.states_BMH.shape == (6, 4, 32)
    assert torch.equal(found.mask_BM, expected.mask_BM)
    assert torch.equal(found.states_BMH.abs().sum(2) > 0, found.mask_BM)
    assert found.summary_BH.shape == (6, 32) and found.summary_BH.dtype == torch.float32


@pytest.mark.parametrize("memory", FORMS)
def test_04_a_memory_is_the_same_whatever_else_is_in_the_batch(mistral, world_texts, memory):
    model = make(mistral, rate=4, **memory)
    documents = model.prompter.documents([*TEXTS, *world_texts[:6]])
    with torch.no_grad():
        together = model.encode("compressor", documents)
        for row, ids in enumerate(documents):
            alone = model.encode("compressor", [ids])
            torch.testing.assert_close(together.states_BMH[row], alone.states_BMH[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(together.summary_BH[row], alone.summary_BH[0], rtol=1e-4, atol=1e-5)
    again = make(random_backbone("mistral", model.tokenizer), rate=4, **memory)
    for one, other in zip(model.compress(TEXTS), again.compress(TEXTS), strict=True):
        assert torch.equal(one, other)


LEARNING = {"tokens": {"compressor", "memory"}, "recurrent": {"compressor", "memory"}, "pooled": {"compressor"}}


@pytest.mark.parametrize("memory", FORMS)
@pytest.mark.parametrize("freeze", [(), ("generator",), ("compressor",)])
def test_13_gradients_reach_what_the_form_trains_and_nothing_else(memory, freeze):
    stage = stage_of("pretrain", memory={**memory, "segment_tokens": 2}, freeze=list(freeze))
    total_of(stage, rows_of("pretrain")).backward()
    expected = {"generator"} - set(freeze) | (set() if "compressor" in freeze else LEARNING[memory["form"]])
    assert {part for part, share in moved(stage).items() if share == "all"} == expected
    assert {share for part, share in moved(stage).items() if part not in expected} == {"none"}


# --- recurrent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [1, 3, 8, 100])
@pytest.mark.parametrize("length", [1, 2, 7, 40])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_segments_share_out_the_document_and_its_slots(length, count, longest):
    row = list(range(length))
    parts = segments(row, count, longest)
    assert [token for part in parts for token in part.ids] == row
    assert [slot for part in parts for slot in range(part.first, part.first + part.slots)] == list(range(count))
    assert min(part.slots for part in parts) > 0
    assert len(parts) == count or max(len(part.ids) for part in parts) <= longest


@pytest.mark.parametrize("positions", ["after", "spread"])
@pytest.mark.parametrize("count", ["nominal", "length"])
def test_one_segment_is_the_document_followed_by_memory_embeddings(mistral, world_texts, count, positions):
    plain = make(mistral, rate=4, count=count, positions=positions)
    model = make(mistral, rate=4, count=count, positions=positions, form="recurrent", segment_tokens=100)
    documents = plain.prompter.documents([*TEXTS, *world_texts[:4]])
    with torch.no_grad():
        for ours, theirs in zip(*(one.encode("compressor", documents) for one in (model, plain)), strict=True):
            assert torch.equal(ours, theirs)


def test_later_segments_are_read_behind_the_vectors_of_earlier_ones(mistral):
    model = make(mistral, form="recurrent", segment_tokens=5)
    document = [5, 6, 7, 8, 9, 10, 11, 12, 13]
    lm = model.role("compressor").lm
    embed = lm.get_input_embeddings()
    with torch.no_grad():
        row = model._framed(document)  # 11 tokens: segments of 3, 4 and 4 with 1, 1 and 2 of the 4 slots
        vectors, states = model.memory[:0], []
        front = model.opening[None]
        for (start, stop), (first, last) in zip([(0, 3), (3, 7), (7, 11)], [(0, 1), (1, 2), (2, 4)], strict=True):
            inputs = torch.cat([front, embed(torch.tensor(row[start:stop])), model.memory[first:last]])[None]
            out = lm(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-1][0]
            own = out[len(vectors) : len(out) - (last - first)]
            states.append(own)
            vectors = torch.cat([vectors, out[len(out) - (last - first) :]])
            front = vectors
        found = model.encode("compressor", [document])
    torch.testing.assert_close(found.states_BMH[0], vectors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.summary_BH[0], torch.cat(states).mean(0), rtol=1e-4, atol=1e-5)
    assert len(torch.cat(states)) == len(row) + 1  # the opening counts, vectors in front do not


def test_memory_places_are_spread_over_their_own_segment(mistral):
    from reference import layout

    where = layout.documents([[5] * 4, [5] * 2], [2, 1], 4, spread=True, first=[2, 3])
    placed = [row[at].tolist() for row, at in zip(where.positions_BT, where.memory_BT, strict=True)]
    assert placed == [[4, 6], [5]]  # behind 2 vectors the halves of 4 tokens, behind 3 the end of 2
    assert where.text_BT.sum(1).tolist() == [4, 2] and where.front_BT.sum(1).tolist() == [2, 3]


def test_the_last_vectors_depend_on_the_first_segment_through_its_vectors_alone(mistral):
    model = make(mistral, form="recurrent", segment_tokens=5)
    one, other = [5, 6, 7, 8, 9, 10, 11, 12, 13], [15, 6, 7, 8, 9, 10, 11, 12, 13]
    states_BMH = model.encode("compressor", [one, other]).states_BMH
    assert not torch.allclose(states_BMH[0, 3], states_BMH[1, 3], atol=1e-5)
    (gradient_MH,) = torch.autograd.grad(states_BMH[0, 3].square().sum(), model.memory)
    assert bool(gradient_MH.any(1).all())  # through the states of all earlier slots


@pytest.mark.parametrize(("settings", "message"), [
    ({"model": {"memory": {"form": "recurrent", "layout": "padded"}}}, "layout 'padded' knows no segments"),
    ({"model": {"memory": {"form": "recurrent"}}, "stages": {"text": {"parallel": {"zero": 3}}}}, "zero is 3"),
    ({"model": {"memory": {"form": "recurrent", "segment_tokens": 0}}}, "Expected `int` >= 1"),
])  # fmt: skip
def test_settings_that_segments_cannot_have_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load(config_file("debug"), settings)


def test_a_model_of_segments_in_padded_rows_is_refused(tiny):
    with pytest.raises(ConfigError, match="knows no segments"):
        make(tiny, form="recurrent", layout="padded")
