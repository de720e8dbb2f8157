"""Other ways from a document to its memory, each against the same worked out by hand.

Of every form: the shape of memories, what learns, that nothing is drawn, and that no other document of a batch matters.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clara_bench import ConfigError
from clara_bench.text import by_salience
from reference.data.row import Row, Turn
from reference.model.prompts import memory_block
from reference.model.recurrent import segments
from reference.objectives.stages import LEARNING as STAGES
from reference.objectives.stages import Stage
from reference.selection.words import Chooser
from reference.settings.config import load
from reference.settings.shipped import config_file
from reference.training.deepspeed import count_parameters
from reference.training.plan import plan
from reference.weights import checkpoint
from tests.reference.test_model import TEXTS, make, random_backbone
from tests.reference.test_stages import moved, rows_of, stage_of, total_of

FORMS = [
    {"form": "tokens"},
    {"form": "pooled"},
    {"form": "last"},
    {"form": "tokens", "mask": "bidirectional"},
    {"form": "pooled", "mask": "bidirectional"},
    {"form": "recurrent", "segment_tokens": 10},
    {"form": "recurrent", "segment_tokens": 10, "positions": "spread"},
]
PROJECTED = {"form": "projected", "rate": 32}


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


@pytest.mark.parametrize("memory", [*FORMS, PROJECTED])
def test_04_a_memory_is_the_same_whatever_else_is_in_the_batch(mistral, world_texts, memory):
    memory = {"rate": 4, **memory}
    model = make(mistral, **memory)
    documents = model.prompter.documents([*TEXTS, *world_texts[:6]])
    with torch.no_grad():
        together = model.encode("compressor", documents)
        for row, ids in enumerate(documents):
            alone = model.encode("compressor", [ids])
            torch.testing.assert_close(together.states_BMH[row], alone.states_BMH[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(together.summary_BH[row], alone.summary_BH[0], rtol=1e-4, atol=1e-5)
    again = make(random_backbone("mistral", model.tokenizer), **memory)
    for one, other in zip(model.compress(TEXTS), again.compress(TEXTS), strict=True):
        assert torch.equal(one, other)


LEARNING = {"tokens": {"compressor", "memory"}, "recurrent": {"compressor", "memory"}, "pooled": {"compressor"},
            "last": {"compressor"}}  # fmt: skip


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
    from reference.model import layout

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
    ({"model": {"memory": {"form": "recurrent", "segment_tokens": 0}}}, "expected int >= 1"),
])  # fmt: skip
def test_settings_that_segments_cannot_have_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load(config_file("debug"), settings)


def test_a_model_of_segments_in_padded_rows_is_refused(tiny):
    with pytest.raises(ConfigError, match="knows no segments"):
        make(tiny, form="recurrent", layout="padded")


# --- projected ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["bucketed", "padded"])
@pytest.mark.parametrize("count", ["nominal", "length"])
def test_a_projected_memory_is_one_vector_made_of_the_mean_state(mistral, world_texts, count, layout):
    model = make(mistral, **PROJECTED, count=count, layout=layout)
    documents = model.prompter.documents([*TEXTS, *world_texts[:4]])
    with torch.no_grad():
        found = model.encode("compressor", documents)
        plain = make(mistral).encode("compressor", documents)
        first, _, second = model.projector
        inner_BH = torch.nn.functional.gelu(plain.summary_BH @ first.weight.T + first.bias)
        expected_BH = inner_BH @ second.weight.T + second.bias
    assert found.states_BMH.shape == (9, 1, 32) and found.mask_BM.all()
    torch.testing.assert_close(found.states_BMH[:, 0], expected_BH, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.summary_BH, plain.summary_BH, rtol=1e-4, atol=1e-5)


def projecting(name: str, kind: str = "lora", **changes) -> Stage:
    return stage_of(name, kind, memory={"form": "projected", "rate": 16}, **changes)


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize(("freeze", "learn"), [
    ((), {"projector", "generator"}), (("generator",), {"projector"}), (("compressor",), {"generator"}),
])  # fmt: skip
def test_13_the_projector_learns_in_the_compressors_place(kind, freeze, learn):
    stage = projecting("pretrain", kind, freeze=list(freeze))
    total_of(stage, rows_of("pretrain")).backward()
    assert _learned(stage) == learn | ({"separator"} if kind == "full" and "generator" in learn else set())
    assert not stage.model.role("compressor").training


def _learned(stage: Stage) -> set[str]:
    """Parts that have gradients: roles and vectors by their names, the projector's weights together."""
    owner = {id(p): role for role in stage.model.roles for p in stage.model.role(role).trainable().values()}
    there = {n: p for n, p in stage.named_parameters() if p.grad is not None and p.grad.any()}
    return {owner.get(id(p), n.split(".")[1]) for n, p in there.items()}


def test_nothing_learns_where_projector_and_generator_are_frozen():
    with pytest.raises(ConfigError, match="leaves nothing that learns"):
        projecting("pretrain", freeze=["compressor", "generator"])


@pytest.mark.parametrize("name", ["joint", "supervised"])
def test_14_a_reasoner_learns_through_a_projector_that_stays_as_it_is(name):
    stage = projecting(name)
    total_of(stage, rows_of(name)).backward()
    assert _learned(stage) == set(STAGES[name])


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_projector_is_optimised_planned_and_counted(kind):
    for name in STAGES:
        stage = projecting(name, kind)
        learning = {id(p) for group in stage.trainable_groups() for p in group["params"]}
        own = {id(p) for p in stage.model.projector.parameters()}
        assert len(own & learning) == (4 if name in ("pretrain", "instruct") else 0)
        assert any(key.startswith("model.projector") for key in stage.state_dict()) == bool(own & learning)


@pytest.mark.parametrize(
    "memory",
    [{"form": "projected", "rate": 128}, {"form": "recurrent"}, {"form": "pooled"}, {"form": "residual", "layers": 1}],
)
@pytest.mark.parametrize("stage", ["pretrain", "joint"])
def test_a_plan_counts_what_a_form_would_train(tiny, memory, stage):
    from reference.model.clara import Clara
    from reference.weights.initialization import set_out

    backbone = {"scratch": {"vocabulary": len(tiny.tokenizer)}}
    config = load(config_file("debug"), {"model": {"backbone": backbone, "memory": memory}})
    settings = config.stages[stage]
    model = set_out(Clara(tiny, config.model, ("generator", "compressor")), settings)
    assert plan(config, stage).counts == count_parameters(Stage(model, settings).model)


def test_22_a_projector_is_saved_loaded_and_named_by_the_fingerprint(tiny, tmp_path):
    model = make(tiny, **PROJECTED)
    before = model.fingerprint()
    model.projector[2].bias.data += 0.5
    assert model.fingerprint() != before
    checkpoint.save(model, tmp_path / "c")
    other = make(tiny, learned=False, **PROJECTED)
    assert not torch.equal(other.compress(TEXTS)[0], model.compress(TEXTS)[0])
    checkpoint.restore(other, tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(other.compress(TEXTS), model.compress(TEXTS), strict=True))
    assert other.fingerprint() == model.fingerprint()
    assert set(make(tiny).vectors()) == {"memory", "opening", "separator"}


def test_a_projector_works_in_bfloat16(tokenizer):
    backbone = random_backbone("mistral", tokenizer)
    model = make(backbone._replace(model=backbone.model.to(torch.bfloat16)), **PROJECTED)
    assert {memory.dtype for memory in model.compress(TEXTS)} == {torch.bfloat16}
    assert {memory.dtype for memory in model.to(torch.bfloat16).compress(TEXTS)} == {torch.bfloat16}


def test_a_projector_of_several_vectors_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"rate 8 is for 4 memory vectors.*expected document_tokens \(32\)"):
        make(tiny, form="projected")


# --- residual -------------------------------------------------------------------------------------------------------


def untrained(backbone, **memory):
    return make(backbone, learned=False, **{"form": "residual", "count": "length", "layers": 1, **memory})


def test_an_untrained_residual_memory_is_the_mean_of_its_parts_input_embeddings(mistral):
    model = untrained(mistral, rate=2)
    (memory_MH,) = model.encode("compressor", [[5, 6, 7, 8, 9]]).states_BMH
    embedded_TH = model.role("compressor").embed(torch.tensor([5, 6, 7, 8, 9]))
    expected = [embedded_TH[:1].mean(0), embedded_TH[1:3].mean(0), embedded_TH[3:].mean(0)]
    torch.testing.assert_close(memory_MH[:3], torch.stack(expected))


def test_an_untrained_memory_of_a_vector_a_token_is_read_as_the_text_is(mistral, world_texts):
    model = untrained(mistral, rate=1)
    ids = model.prompter.documents(world_texts[:1])[0][:20]
    model.prompter.gap = model.prompter.gap[:1]  # here two tokens of one kind; the separator is their mean
    row = Row("r", (), (Turn("Who is it?", "Ann Lee"),))
    as_text = model.prompter.encode(row, [ids], "instruct")
    as_memory = model.prompter.encode(row, [memory_block(len(ids))], "instruct")
    memories = model.encode("compressor", [ids]).states_BMH[:, : len(ids)]
    torch.testing.assert_close(model.read([as_memory], memories).logits_PV, model.read([as_text]).logits_PV)


def test_a_compressor_of_the_first_layers_has_their_weights_alone_and_loads_again(tiny, tmp_path):
    model = make(tiny, form="residual", layers=1)
    own, whole = model.role("compressor").trainable(), model.role("generator").trainable()
    assert 0 < len(own) < len(whole)
    checkpoint.save(model, tmp_path / "c")
    again = make(tiny, learned=False, form="residual", layers=1)
    checkpoint.restore(again, tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(again.compress(TEXTS), model.compress(TEXTS), strict=True))


def test_more_layers_than_the_backbone_has_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"model.memory.layers is 9, the backbone has 2. Give at most that"):
        make(tiny, form="residual", layers=9)


# --- chosen -----------------------------------------------------------------------------------------------------------

OSLO = "Oslo\nOslo is the capital of Norway. It was founded in 1040 by Harald Hardrada."


def test_an_untrained_chosen_memory_is_the_input_embeddings_of_the_chosen_tokens(mistral):
    model = untrained(mistral, form="chosen", rate=4)
    (ids,) = model.prompter.documents([OSLO])
    (memory_MH,) = model.encode("compressor", [ids]).states_BMH
    places = model._chooser.places(ids, len(memory_MH))
    embedded_MH = model.role("compressor").embed(torch.tensor([ids[place] for place in places]))
    assert len(places) == -(-32 // 4)
    torch.testing.assert_close(memory_MH, embedded_MH)


def test_a_vector_a_token_in_the_chosen_form_is_read_as_the_text_is(mistral, world_texts):
    model = untrained(mistral, form="chosen", rate=1)
    ids = model.prompter.documents(world_texts[:1])[0][:20]
    (memory_MH,) = model.encode("compressor", [ids]).states_BMH
    torch.testing.assert_close(memory_MH[: len(ids)], model.role("compressor").embed(torch.tensor(ids)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.integers(0, 99), min_size=1, max_size=60), share=st.floats(0, 1))
def test_as_many_tokens_are_chosen_as_asked_in_their_order_and_none_twice(tiny, ids, share):
    count = max(1, round(share * len(ids)))
    places = Chooser(tiny.tokenizer).places(ids, count)
    assert len(places) == count and places == sorted(set(places)) and set(places) <= set(range(len(ids)))


def test_names_and_numbers_are_chosen_before_other_words_and_each_once(mistral):
    chooser = Chooser(mistral.tokenizer)
    (ids,) = make(mistral).prompter.documents([OSLO])
    words = ["".join(chooser._pieces[ids[place]] for place in word).strip() for word in chooser.words(ids)]
    assert [words[place] for place in by_salience(words)[:5]] == ["Oslo", "Norway", "1040", "Harald", "Hardrada"]


def test_what_a_memory_adds_moves_in_small_steps(mistral):
    """One step of Adam, which moves every weight alike, adds less than a tenth of an input embedding."""
    model = untrained(mistral, form="chosen")
    with torch.no_grad():
        model.projector.weight.add_(5e-4)
        (before,), (after,) = (
            untrained(mistral, form="chosen").encode("compressor", [[5, 6, 7, 8]]).states_BMH,
            model.encode("compressor", [[5, 6, 7, 8]]).states_BMH,
        )
    assert 0 < (after - before).abs().max() < 0.1 * before.abs().max()


# --- last states, and both directions ---------------------------------------------------------------------------------


def states_of(model, ids: list[int]) -> torch.Tensor:
    """Final states of a document's own places, the opening first."""
    row = torch.tensor([model._framed(ids)])
    role = model.role("compressor")
    return role(torch.cat([model.opening[None, None].to(role.embed(row)), role.embed(row)], 1))[0][0]


def test_a_last_state_is_that_of_the_last_token_of_each_equal_part(mistral):
    model = make(mistral, form="last", rate=32)
    ids = model.prompter.document(TEXTS[0])
    with torch.no_grad():
        states_TH, memory_MH = states_of(model, ids), model.encode("compressor", [ids]).states_BMH[0]
    length, slots = len(states_TH), model.config.memory.slots
    ends = [max((slot + 1) * length // slots, slot * length // slots + 1) - 1 for slot in range(slots)]
    torch.testing.assert_close(memory_MH, states_TH[ends], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["pooled", "last", "tokens"])
@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
def test_the_first_part_sees_the_last_word_only_in_both_directions(mistral, form, mask):
    model = make(mistral, form=form, mask=mask, rate=16)
    ids = model.prompter.document(TEXTS[0])
    with torch.no_grad():
        one, other = (model.encode("compressor", [row]).states_BMH[0, 0] for row in (ids, [*ids[:-1], ids[0]]))
    unseen = mask == "causal" and form != "tokens"  # memory embeddings stand behind the document
    assert torch.allclose(one, other, rtol=1e-5, atol=1e-6) == unseen


def test_segments_are_read_causally_alone():
    with pytest.raises(ConfigError, match=r"memory.mask 'bidirectional' knows no segments"):
        load(config_file("debug"), {"model": {"memory": {"form": "recurrent", "mask": "bidirectional"}}})
