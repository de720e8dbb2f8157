"""What each stage computes and which weights it moves."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from clara_bench import ConfigError, DataError
from reference.data.row import Row, Turn
from reference.model.passes import Predictions
from reference.objectives import choosing, stages
from reference.objectives.candidates import Kept
from reference.objectives.losses import share_of_batch
from reference.objectives.stages import LEARNING, Stage
from reference.selection.similarity import cosine
from reference.selection.topk import Selected
from reference.settings.config import RETRIEVING
from reference.weights.initialization import set_out
from tests.reference.trainee import Pairs, config, documents_of, new_model, settings_of_model


def stage_of(name: str, kind: str = "lora", roles=("compressor", "generator"), remembered=None, memory=None, **changes):
    """A stage around a tiny model whose adapters are all different from nothing."""
    model_settings = settings_of_model(kind, **(memory or {}))
    settings = config(model_settings, name, **changes).stages[name]
    model = new_model(model_settings, roles)
    stage = Stage(set_out(_stirred(model), settings), settings, remembered)
    if kind == "lora":
        _stirred(model, [role for role in model.roles if role not in roles])
    return stage


def _stirred(model, roles=None):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for role in model.roles if roles is None else roles:
            for name, parameter in model.role(role).trainable().items():
                if "lora_B" in name:  # else the other half of each adapter has no gradient yet
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        if model.config.memory.bare:
            model.projector.weight.copy_(torch.randn(model.projector.weight.shape, generator=generator) * 0.1)
    return model


def rows_of(name: str, number: int = 6) -> list[Row]:
    rows = Pairs(documents_of(name))
    return [rows[position] for position in range(number)]


def total_of(stage: Stage, rows) -> torch.Tensor:
    """The loss of one batch, as the loop makes it of one micro-batch."""
    batch = stage.prepare(rows)
    loss = stage(batch)
    main = share_of_batch(loss.cross_entropy, "token", batch.weight, 1)
    return main + share_of_batch(loss.extra, "token", batch.extra_weight, 1)


def moved(stage: Stage) -> dict[str, str]:
    """Where there are gradients after a backward pass: all, some or none of each part's parameters."""
    parts = defaultdict(list)
    owner = {id(p): role for role in stage.model.roles for p in stage.model.role(role).trainable().values()}
    for name, parameter in stage.named_parameters():
        there = parameter.grad is not None and bool(parameter.grad.any())
        parts[owner.get(id(parameter), name.removeprefix("model.") if name.count(".") == 1 else "base")].append(there)
    return {part: "all" if all(found) else "some" if any(found) else "none" for part, found in parts.items()}


@pytest.fixture
def rewards(monkeypatch):
    """Rewards that differ: an untrained generator gets nothing right, so that every draw is as bad as another."""
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(choosing, "right_share", lambda read, rows: torch.rand(rows, generator=generator))


EXPECTED = {  # with adapters; everything that is not named: none
    "text": {"generator"},
    "pretrain": {"compressor", "generator", "memory"},
    "instruct": {"compressor", "generator", "memory"},
    "joint": {"reasoner", "generator"},
    "supervised": {"reasoner"},
    "reinforce": {"reasoner", "generator"},
}
MARKERS = {"pretrain": {"opening", "separator"}, "instruct": {"opening", "separator"}}  # full copies learn them too
READING = {"joint": {"separator"}, "reinforce": {"separator"}}


@pytest.mark.parametrize("name", list(LEARNING))
def test_13_14_gradients_reach_what_the_stage_trains_and_nothing_else(name, rewards):
    stage = stage_of(name)
    total_of(stage, rows_of(name)).backward()
    found = moved(stage)
    assert {part for part, share in found.items() if share == "all"} == EXPECTED[name]
    assert {share for part, share in found.items() if part not in EXPECTED[name]} == {"none"}
    assert "base" in found


@pytest.mark.parametrize("name", list(LEARNING))
def test_full_copies_learn_whole_and_their_markers_with_them(name, rewards):
    stage = stage_of(name, "full")
    total_of(stage, rows_of(name)).backward()
    expected = EXPECTED[name] | MARKERS.get(name, set()) | READING.get(name, set())
    assert {part for part, share in moved(stage).items() if share != "none"} == expected


def test_13_pretraining_trains_every_memory_row_and_leaves_the_base_alone():
    stage = stage_of("pretrain", memory={"count": "length"})
    base = {n: p.detach().clone() for n, p in stage.named_parameters() if not p.requires_grad}
    optimiser = torch.optim.AdamW(stage.trainable_groups())
    long = [Row("long", ("a" * 16,), (Turn("A", "1"),))]  # fills both memory slots
    total_of(stage, long).backward()
    rows_MH = stage.model.memory.grad
    assert rows_MH is not None and bool(rows_MH.any(1).all()) and len(rows_MH) == stage.model.config.memory.slots
    optimiser.step()
    after = dict(stage.named_parameters())
    assert base and all(torch.equal(after[name], before) for name, before in base.items())


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_14_joint_training_does_not_change_a_single_memory(kind):
    stage = stage_of("joint", kind)
    texts = [document for row in rows_of("joint") for document in row.documents]
    before, fingerprint = stage.model.compress(texts), stage.model.fingerprint("compressor")
    frozen = {n: p.detach().clone() for n, p in stage.named_parameters() if not p.requires_grad}
    optimiser = torch.optim.AdamW(stage.trainable_groups(), lr=1e-2)
    for _ in range(3):
        total_of(stage, rows_of("joint")).backward()
        assert all(p.grad is None for p in stage.model.role("compressor").trainable().values())
        assert stage.model.memory.grad is None
        optimiser.step()
        optimiser.zero_grad()
    cached, fresh = stage.remembered(texts), stage.model.compress(texts)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(before, cached, fresh, strict=True))
    assert stage.model.fingerprint("compressor") == fingerprint
    assert all(torch.equal(dict(stage.named_parameters())[name], value) for name, value in frozen.items())


def _reasoner_gradient(stage: Stage, rows) -> float:
    stage.zero_grad()
    total_of(stage, rows).backward()
    gradients = [p.grad for p in stage.model.role("reasoner").trainable().values() if p.grad is not None]
    return float(sum(gradient.abs().sum() for gradient in gradients))


def test_15_the_reasoner_learns_through_the_selection_alone(monkeypatch):
    stage, rows = stage_of("joint"), rows_of("joint")
    whole = _reasoner_gradient(stage, rows)
    same = [Row(row.id, (row.documents[0],) * 4, row.turns) for row in rows]
    assert _reasoner_gradient(stage, same) < 1e-4 * whole
    select = choosing.select

    def detached(*given, **settings) -> Selected:
        selected = select(*given, **settings)
        return selected._replace(weights_BKN=selected.weights_BKN.detach())

    monkeypatch.setattr(choosing, "select", detached)
    assert whole > 0 and _reasoner_gradient(stage, rows) == 0


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_16_the_reasoner_starts_as_the_compressor(kind):
    stage = stage_of("joint", kind, roles=("compressor", "generator")).eval()
    model = stage.model
    if kind == "lora":
        model.add_role("reasoner", like="compressor")
    documents = [f"{key}{value}" for key in "abcd" for value in "0123"]
    memories_NE, queries_NE = model.flatten(model.compress(documents)), model.flatten(model.query(documents))
    scores_NN = cosine(queries_NE, memories_NE[None].expand(len(documents), -1, -1))
    torch.testing.assert_close(queries_NE, memories_NE)
    torch.testing.assert_close(scores_NN.diagonal(), torch.ones(16))
    assert scores_NN.argmax(1).tolist() == list(range(16))


def test_18_what_is_frozen_has_no_dropout_and_what_learns_has():
    stage = Stage(
        set_out(new_model(settings_of_model(dropout=0.5)), config(settings_of_model(), "joint").stages["joint"]),
        config(settings_of_model(), "joint").stages["joint"],
    )
    for mode in (stage.train, lambda: stage.train(False), stage.train):
        mode()
        compressor, reasoner = stage.model.role("compressor"), stage.model.role("reasoner")
        assert not any(module.training for module in compressor.modules())
        assert {module.training for module in reasoner.modules()} == {stage.training}


@pytest.mark.parametrize("name", list(LEARNING))
def test_20_losses_are_sums_that_do_not_mind_how_the_batch_is_cut(name):
    stage, rows = stage_of(name), rows_of(name, 8)
    whole = stage.prepare(rows)
    parts = [stage.prepare(rows[:1]), stage.prepare(rows[1:4]), stage.prepare(rows[4:])]
    assert sum(part.weight for part in parts) == whole.weight
    assert sum(part.extra_weight for part in parts) == whole.extra_weight
    torch.manual_seed(0)
    joined = stage(whole)
    if name == "reinforce":  # draws differ from one cut to another; the twin of straight-through does not
        return
    cut = [stage(part) for part in parts]
    for term in ("cross_entropy", "extra"):
        torch.testing.assert_close(sum(getattr(part, term).total for part in cut), getattr(joined, term).total)
        assert float(sum(getattr(part, term).weight for part in cut)) == float(getattr(joined, term).weight)
    assert joined.logs.keys() == cut[0].logs.keys()


@pytest.mark.parametrize("name", list(LEARNING))
def test_what_a_batch_weighs_is_known_before_it_is_computed(name):
    stage, rows = stage_of(name, question_weight=0.25), rows_of(name)
    batch = stage.prepare(rows)
    loss = stage(batch)
    assert float(loss.cross_entropy.weight) == pytest.approx(batch.weight)
    if float(loss.extra.weight):
        assert float(loss.extra.weight) == batch.extra_weight
    again = stage(rows)
    if name != "reinforce":
        torch.testing.assert_close(again.cross_entropy.total, loss.cross_entropy.total)


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("name", list(LEARNING))
def test_trainable_and_frozen_are_all_parameters(name, kind):
    stage = stage_of(name, kind, optimiser={"reasoner_factor": 0.1, "learning_rate": 1e-3})
    groups = stage.trainable_groups()
    trainable = {id(parameter) for group in groups for parameter in group["params"]}
    frozen = {id(parameter) for parameter in stage.parameters() if not parameter.requires_grad}
    assert trainable.isdisjoint(frozen)
    assert trainable | frozen == {id(parameter) for parameter in stage.parameters()}
    rates = [1e-4] if name == "supervised" else [1e-3, 1e-4] if name in RETRIEVING else [1e-3]
    assert [group["lr"] for group in groups] == pytest.approx(rates)


def test_a_projector_learns_at_its_own_multiple_of_the_rate():
    asked = {"projector_factor": 8.0, "learning_rate": 1e-3}
    stage = stage_of("pretrain", optimiser=asked, memory={"form": "chosen", "rate": 4, "document_tokens": 32})
    *others, projector = stage.trainable_groups()
    assert projector == {"params": [stage.model.projector.weight], "lr": pytest.approx(8e-3)}
    assert [group["lr"] for group in others] == [1e-3]


def test_frozen_roles_do_not_learn():
    stage = stage_of("joint", freeze=["reasoner"])
    total_of(stage, rows_of("joint")).backward()
    assert {part for part, share in moved(stage).items() if share != "none"} == {"generator"}
    stage = stage_of("pretrain", freeze=["compressor"])
    total_of(stage, rows_of("pretrain")).backward()
    assert {part for part, share in moved(stage).items() if share != "none"} == {"generator"}  # nor memory embeddings
    with pytest.raises(ConfigError, match="leaves nothing that learns"):
        stage_of("supervised", freeze=["reasoner"])


def test_rows_of_several_questions_are_refused_where_one_chooses():
    row = Row("r7", ("a1", "b2"), (Turn("A", "1"), Turn("B", "2")))
    with pytest.raises(DataError, match="row 'r7': stage 'joint' takes one question a row, not 2"):
        stage_of("joint").prepare([row])


def test_rows_may_have_different_numbers_of_candidates():
    stage = stage_of("joint", selection={"k": 2})
    rows = [Row("few", ("a1", "b2"), (Turn("A", "1"),)), Row("many", ("a1", "c3", "b2", "d4"), (Turn("A", "1"),))]
    together = stage(rows).cross_entropy.total
    torch.testing.assert_close(together, sum(stage([row]).cross_entropy.total for row in rows))
    with pytest.raises(ConfigError, match=r"selection\.k is 3, but a question has only 2 candidates"):
        stage_of("joint", selection={"k": 3})(rows)


@pytest.mark.parametrize("similarity", ["flattened", "mean"])
def test_documents_have_memories_by_their_length_if_so_asked(similarity):
    memory = {"rate": 4, "count": "length", "similarity": similarity}
    stage = stage_of("joint", memory=memory, selection={"k": 2})
    rows = [Row("r", ("a1", "abcdefgh12", "b"), (Turn("A", "1"),), positives=(0,))]
    loss = stage(rows)
    assert torch.isfinite(loss.cross_entropy.total)
    loss.cross_entropy.total.backward()
    assert moved(stage)["reasoner"] == "all"
    pretrain = stage_of("instruct", memory=memory)
    assert torch.isfinite(total_of(pretrain, rows))


def test_chosen_documents_are_read_best_first():
    memories = {"a1": torch.eye(2, 32), "b2": torch.eye(2, 32).roll(5, 1), "c3": torch.eye(2, 32).roll(9, 1)}
    stage = stage_of("joint", remembered=lambda texts: [memories[text] for text in texts], selection={"k": 3}).eval()
    read = stage.model.read
    seen = {}

    def noting(rows, vectors=None, role="generator"):
        seen["vectors"] = vectors
        return read(rows, vectors, role)

    stage.model.read = noting
    stage([Row("r", ("a1", "b2", "c3"), (Turn("A", "1"),))])
    query_1E = stage.model.flatten(stage.model.query(["A"]))
    scores_N = cosine(query_1E, torch.stack([memory.flatten() for memory in memories.values()])[None])[0]
    ordered = [list(memories.values())[n] for n in scores_N.argsort(descending=True)]
    assert torch.equal(seen["vectors"][0], torch.cat(ordered))


def test_recall_counts_the_known_relevant_documents():
    memories = {
        text: torch.nn.functional.one_hot(torch.tensor([n, n + 8]), 32).float() for n, text in enumerate("abcd")
    }
    stage = stage_of("supervised", remembered=lambda texts: [memories[text] for text in texts], selection={"k": 2})
    query = memories["b"] + 0.5 * memories["d"]
    stage.model.query = lambda questions: torch.stack([query] * len(questions)).requires_grad_()
    stage.model.flatten = lambda states, of="documents": states.flatten(1)
    turn = (Turn("A", "1"),)
    rows = [
        Row("both", tuple("abcd"), turn, positives=(1, 3)),
        Row("first", tuple("abcd"), turn, positives=(1,)),
        Row("missed", tuple("abcd"), turn, positives=(0,)),
        Row("unknown", tuple("abcd"), turn),
    ]
    logs = stage(rows).logs  # chosen are b, d of every row
    assert [float(value) for value in logs["recall@1"]] == [0.5 + 1 + 0, 3]
    assert [float(value) for value in logs["recall@2"]] == [1 + 1 + 0, 3]


def test_memories_are_compressed_once_and_the_oldest_make_room():
    stage = stage_of("joint")
    asked = []
    compress = stage.model.compress
    stage.model.compress = lambda texts: asked.append(list(texts)) or compress(texts)
    kept = Kept(stage.model, most=2)
    first = kept(["a1", "b2", "a1"])
    assert torch.equal(first[0], first[2])
    torch.testing.assert_close(first[1], compress(["b2"])[0])  # batches of another shape round another way
    assert [memory.shape for memory in kept(["b2", "c3"])] == [(2, 32)] * 2
    kept(["a1"])
    assert asked == [["a1", "b2"], ["c3"], ["a1"]]


def test_paraphrases_are_asked_for_in_words_that_vary_from_step_to_step():
    stage = stage_of("pretrain")
    row = Row("p", ("a1",), (Turn("", "1 a"),), "paraphrase")
    prompts = [tuple(stage.prepare([row], step).encoded[0].ids) for step in range(12)]
    assert len(set(prompts)) > 2
    assert prompts[3] == tuple(stage.prepare([row], 3).encoded[0].ids)


def test_the_mse_weighs_as_much_as_the_config_says():
    rows = rows_of("pretrain")
    plain, heavy = stage_of("pretrain", mse_weight=0.1)(rows), stage_of("pretrain", mse_weight=0.4)(rows)
    torch.testing.assert_close(heavy.extra.total, 4 * plain.extra.total)
    torch.testing.assert_close(plain.extra.total.detach(), 0.1 * plain.logs["mse"].total)
    summed = stage_of("pretrain", mse_form="sum")(rows)
    torch.testing.assert_close(summed.extra.total, 32 * plain.extra.total)


def test_reinforce_rewards_draws_and_lets_no_answer_loss_through_to_the_reasoner(rewards):
    stage, rows = stage_of("reinforce", selection={"k": 1, "temperature": 0.5}), rows_of("reinforce", 16)
    loss = stage(rows)
    loss.cross_entropy.total.backward(retain_graph=True)
    assert moved(stage)["reasoner"] == "none"
    loss.extra.total.backward()
    assert moved(stage)["reasoner"] == "all"
    assert float(loss.logs["reward"].weight) == 16


def test_the_reward_is_the_share_of_the_answer_that_comes_out_right():
    logits_PV = torch.eye(5)[[1, 2, 3, 4, 0]]
    read = Predictions(logits_PV, torch.tensor([1, 2, 0, 4, 4]), torch.ones(5), torch.tensor([0, 0, 0, 1, 1]))
    assert choosing.right_share(read, 2).tolist() == pytest.approx([2 / 3, 1 / 2])


def test_a_reasoner_learns_by_late_interaction():
    stage = stage_of("joint", memory={"similarity": "late"})
    stage.centre(Pairs(documents_of("joint")))
    total_of(stage, rows_of("joint")).backward()
    assert stage.model.centres.any() and moved(stage)["reasoner"] == "all"


@pytest.mark.parametrize("slots", [{}, {"count": "length"}])
def test_a_centred_similarity_leaves_out_the_means_that_were_found_before_the_first_step(slots):
    stage = stage_of("joint", memory={"similarity": "centred", **slots})
    source = Pairs(documents_of("joint"))
    assert not stage.model.centres.any()
    stage.centre(source)
    centres = stage.model.centres.clone()
    texts = list(dict.fromkeys(text for place in range(stages.CENTRED) for text in source[place].documents))
    flat_NE = stage.model.flatten(stage.model.compress(texts))
    assert flat_NE.mean(0).abs().max() < 1e-4
    questions = [source[place].turns[0].question for place in range(stages.CENTRED)]
    flat_BE = stage.model.flatten(stage.model.compress(questions, role="reasoner"), "questions")
    assert flat_BE.mean(0).abs().max() < 1e-4
    total_of(stage, rows_of("joint")).backward()
    assert moved(stage)["reasoner"] == "all"
    stage.centre(source)
    assert torch.equal(stage.model.centres, centres), "later stages keep them"


def test_a_flattened_similarity_knows_no_means():
    stage = stage_of("joint")
    stage.centre(Pairs(documents_of("joint")))
    assert not stage.model.centres.any() and "centres" not in stage.model.vectors()


def test_recall_in_training_is_of_the_best_documents_whatever_noise_the_estimator_adds():
    rows, seen = rows_of("joint", 32), {}
    for estimator in ("straight-through", "reinforce", "gumbel"):
        stage = stage_of("joint", selection={"k": 1, "estimator": estimator, "temperature": 5.0})
        for seed in range(4):
            torch.manual_seed(seed)
            seen[estimator, seed] = float(stage(rows).logs["recall@1"].total)
    assert len(set(seen.values())) == 1, seen
