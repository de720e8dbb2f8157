"""Compressing, asking, reading and answering, on small random backbones of every supported family.

Names with a number are the tests that a faithful implementation of the method has to pass.
"""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch

from clara_bench import ConfigError
from reference.data.row import Row, Turn
from reference.model import layout, passes
from reference.model.backbone import Loaded
from reference.model.clara import Clara
from reference.model.prompts import MEMORY, memory_block
from reference.model.roles import copy_role, state
from reference.selection.similarity import cosine
from reference.selection.topk import gather, select
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Selection

FAMILIES = {"llama": "Llama", "mistral": "Mistral", "phi": "Phi3", "qwen2": "Qwen2", "qwen3": "Qwen3"}
ROLES = ("compressor", "reasoner", "generator")
TEXTS = [
    "Ann Lee\nAnn Lee is a painter from Oslo.",
    "Oslo\nOslo is the capital.",
    "Bo\nBo.",
    "The Blue Door\nThe Blue Door is a film of 1984. Its director is Ann Lee, who was born in Oslo and lives in Rome.",
    "",
]


def random_backbone(family, tokenizer, seed=0):
    import transformers as hf

    name = FAMILIES[family]
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "vocab_size": len(tokenizer), "max_position_embeddings": 2048}
    shape |= {"head_dim": 8} if family == "qwen3" else {}
    ends = {f"{kind}_token_id": tokenizer.eos_token_id for kind in ("bos", "eos", "pad")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = getattr(hf, f"{name}Config")(**shape, **ends, tie_word_embeddings=False)
        model = getattr(hf, f"{name}ForCausalLM")(config)
        torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.3)
    return Loaded(model.eval(), tokenizer, f"random:{family}:{seed}")


def make(backbone, kind="lora", roles=ROLES, learned=True, **memory):
    settings = Memory(**({"rate": 8, "document_tokens": 32} | memory))
    config = ModelConfig(backbone=Backbone(), adapters=Adapters(kind=kind, rank=2, alpha=4), memory=settings)
    model = Clara(backbone, config, roles)
    if learned:  # as if trained: each role its own, and adapters not zero
        generator = torch.Generator().manual_seed(1)
        for role in map(model.role, roles):
            for parameter in role.trainable().values():
                parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        if settings.bare:
            model.projector.weight.data += 0.1 * torch.randn(model.projector.weight.shape, generator=generator)
    return model


@pytest.fixture(params=FAMILIES)
def family(request, tokenizer):
    return random_backbone(request.param, tokenizer)


@pytest.fixture
def clara(tokenizer):
    return make(random_backbone("mistral", tokenizer))


def row(question="Who is it?", answer="Ann Lee"):
    return Row("r", (), (Turn(question, answer),))


def encoded(model, counts, question="Who is it?", answer="Ann Lee"):
    return model.prompter.encode(row(question, answer), [memory_block(count) for count in counts], "joint")


def loss_of(predictions):
    return torch.nn.functional.cross_entropy(predictions.logits_PV, predictions.labels_P)


# --- number of memory vectors, layout -------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "slots"), [(4, 64), (16, 16), (32, 8), (64, 4), (128, 2), (256, 1)])
def test_01_memory_vectors_are_document_tokens_over_rate(tiny, rate, slots):
    model = make(tiny, rate=rate, document_tokens=256)
    assert model.config.memory.slots == slots
    assert model.memory.shape == (slots, 32)
    with torch.no_grad():
        assert model.encode("compressor", [[5, 6]]).states_BMH.shape == (1, slots, 32)


def test_01_a_rate_that_leaves_no_memory_vector_is_an_error(tiny):
    with pytest.raises(ConfigError, match="leaves no memory vector"):
        make(tiny, rate=64, document_tokens=32)


@pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 257, 300])
def test_02_padded_rows_are_259_wide_and_memories_are_the_last_columns(tiny, length):
    model = make(tiny, rate=32, document_tokens=256, layout="padded")
    ids = [7] * length
    where = model._layout([model._framed(ids), model._framed([9])], model.slots_of([ids, [9]]))
    assert where.ids_BT.shape == (2, 259 + 8)
    assert np.array_equal(np.flatnonzero(where.memory_BT[0]), np.arange(259, 267))
    text = where.text_BT[0]
    assert text[: 259 - min(length + 3, 259)].sum() == 0
    assert text[:259].sum() == min(length + 3, 259)
    assert where.attended_BT[0].sum() == min(length + 3, 259) + 8
    tokens = where.ids_BT[0][text][1:]  # behind the opening
    bos, eos = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    assert tokens.tolist() == [bos, *ids, eos][:258]


def test_02_bucketed_rows_put_the_memory_right_behind_the_text(tiny):
    model = make(tiny)
    documents = [[5] * length for length in (0, 3, 10)]
    where = model._layout([model._framed(ids) for ids in documents], model.slots_of(documents))
    assert where.plain
    assert where.positions_BT.tolist() == [list(range(17))] * 3
    assert where.ids_BT.shape == (3, 10 + 3 + 4)
    for row_, length in enumerate((0, 3, 10)):
        assert np.flatnonzero(where.memory_BT[row_]).tolist() == list(range(length + 3, length + 7))
        assert where.text_BT[row_].sum() == length + 3
        assert where.opening_P[row_] == row_ * 17


def test_memory_places_may_be_spread_over_the_document(tiny):
    model = make(tiny, positions="spread")
    documents = [[5] * length for length in (1, 9)]
    where = model._layout([model._framed(ids) for ids in documents], model.slots_of(documents))
    placed = [row[at].tolist() for row, at in zip(where.positions_BT, where.memory_BT, strict=True)]
    assert placed == [[1, 2, 3, 4], [3, 6, 9, 12]]  # quarters of 4 and of 12 tokens
    assert where.positions_BT[where.text_BT].tolist() == [*range(4), *range(12)]


def test_memories_spread_over_the_document_know_its_order(tiny):
    model = make(tiny, positions="spread")
    one, other = model.encode("compressor", [[5, 6, 7, 8], [8, 7, 6, 5]]).states_BMH
    assert not torch.allclose(one, other, atol=1e-3)
    assert not torch.allclose(one, make(tiny).encode("compressor", [[5, 6, 7, 8]]).states_BMH[0], atol=1e-3)


def test_pooled_memories_are_the_means_of_equal_parts_of_the_document(tiny):
    model = make(tiny, form="pooled")
    documents = [[5, 6, 7, 8, 9], [4]]
    with torch.no_grad():
        memories = model.encode("compressor", documents)
        ids = torch.tensor([model._framed(documents[0])])
        opened_BTH = torch.cat([model.opening[None, None], model.role("compressor").embed(ids)], dim=1)
        (states_TH,) = model.role("compressor")(opened_BTH)[0]
    parts = [states_TH[start : start + 2].mean(0) for start in range(0, 8, 2)]
    torch.testing.assert_close(memories.states_BMH[0], torch.stack(parts), rtol=1e-4, atol=1e-5)
    assert memories.states_BMH[1].abs().sum(1).min() > 0


@pytest.mark.parametrize("form, positions", [("tokens", "after"), ("tokens", "spread"), ("pooled", "after")])
def test_02_both_layouts_give_the_same_memories(family, world_texts, form, positions):
    bucketed = make(family, rate=4, document_tokens=32, positions=positions, form=form)
    padded = make(family, rate=4, document_tokens=32, layout="padded", positions=positions, form=form)
    texts = [*TEXTS, *world_texts[:4]]
    for ours, theirs in zip(bucketed.compress(texts), padded.compress(texts), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    documents = bucketed.prompter.documents(texts)
    with torch.no_grad():
        ours, theirs = (model.encode("compressor", documents).summary_BH for model in (bucketed, padded))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


# --- memories -------------------------------------------------------------------------------------------------------


def test_03_memory_is_the_normed_final_state_at_the_memory_places(family):
    model = make(family)
    ids = model.prompter.document(TEXTS[0])
    lm = model.role("compressor").lm
    table = lm.get_input_embeddings()
    bos, eos = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    with torch.no_grad():
        text = table(torch.tensor([bos, *ids, eos]))
        inputs = torch.cat([model.opening[None], text, model.memory])[None]
        expected = lm(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-1][0]
        got = model.encode("compressor", [ids])
    torch.testing.assert_close(got.states_BMH[0], expected[-4:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got.summary_BH[0], expected[:-4].mean(0), rtol=1e-5, atol=1e-5)
    normed = lm.base_model.norm(torch.randn(3, 32) * 50)
    assert got.states_BMH.norm(dim=-1).max() < 3 * normed.norm(dim=-1).max()


def test_03_a_query_is_its_memory_laid_end_to_end(clara):
    with torch.no_grad():
        memories = clara.query(["Who is Ann Lee?", "Where?"])
        flat = clara.flatten(memories)
    assert memories.states_BMH.shape == (2, 4, 32)
    assert flat.shape == (2, 4 * 32)
    assert torch.equal(flat[1, 32:64], memories.states_BMH[1, 1])


def test_04_memory_does_not_depend_on_the_batch_its_order_or_padding(family, world_texts):
    model = make(family, rate=4, document_tokens=64)
    texts = [*TEXTS, *world_texts[:40]]
    together = model.compress(texts)
    shuffled = model.compress(texts[::-1], batch_tokens=300)[::-1]
    with torch.no_grad():
        differentiable = model.encode("compressor", model.prompter.documents(texts)).states_BMH
    for number, text in enumerate(texts):
        alone = model.compress([text])[0]
        for other in (together[number], shuffled[number], differentiable[number]):
            torch.testing.assert_close(other, alone, rtol=1e-4, atol=1e-5)


def test_04_memory_depends_on_every_token(clara):
    ids = clara.prompter.document(TEXTS[0])
    changed = [ids] + [[*ids[:at], ids[at] + 1, *ids[at + 1 :]] for at in range(len(ids))]
    with torch.no_grad():
        states = clara.encode("compressor", changed).states_BMH
    assert (states[1:] - states[0]).abs().flatten(1).amax(1).min() > 1e-4


def test_memory_by_length_gives_short_documents_fewer_vectors(tiny):
    model = make(tiny, count="length")
    documents = [[], [5], [5] * 8, [5] * 9, [5] * 32, [5] * 90]
    assert model.slots_of(documents) == [1, 1, 1, 2, 4, 4]
    with torch.no_grad():
        memories = model.encode("compressor", documents)
    assert memories.states_BMH.shape == (6, 4, 32)
    assert memories.mask_BM.sum(1).tolist() == [1, 1, 1, 2, 4, 4]
    assert memories.states_BMH[~memories.mask_BM].abs().sum() == 0
    assert memories.states_BMH[memories.mask_BM].abs().sum(-1).min() > 0
    flat = model.flatten(memories)
    assert torch.equal(
        flat, model.flatten([m[:n] for m, n in zip(memories.states_BMH, [1, 1, 1, 2, 4, 4], strict=True)])
    )


def test_mean_similarity_compares_the_mean_of_the_vectors_that_are_there(tiny):
    model = make(tiny, count="length", similarity="mean")
    with torch.no_grad():
        memories = model.encode("compressor", [[5], [5] * 20])
    flat = model.flatten(memories)
    assert flat.shape == (2, 32)
    assert torch.equal(flat[0], memories.states_BMH[0, 0])
    torch.testing.assert_close(flat[1], memories.states_BMH[1, :3].mean(0))


def test_late_interaction_compares_each_vector_of_a_question_with_the_nearest_of_a_document(tiny):
    model = make(tiny, count="length", similarity="late")
    with torch.no_grad():
        memories = model.encode("compressor", [[5], [5] * 20, [9, 8, 7, 6] * 5])
        flat_BE = model.flatten(memories)
        scores_BN = model.score(flat_BE, flat_BE.expand(3, -1, -1))
    own = [m_MH[mask_M] for m_MH, mask_M in zip(memories.states_BMH, memories.mask_BM, strict=True)]
    nearest = torch.cosine_similarity(own[1][:, None], own[2][None], dim=-1).amax(1)
    assert scores_BN[1, 2] == pytest.approx(float(nearest.clamp_min(0).sum()) / 4, abs=1e-5)  # 4 slots, one is empty
    assert scores_BN.diagonal().tolist() == pytest.approx([1 / 4, 3 / 4, 3 / 4], abs=1e-5)


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
def test_05_places_hold_memories_bit_exactly_and_nothing_else_changes(family, k):
    model = make(family)
    memories = torch.randn(k * 4, 32)
    ids = np.array([model.prompter.question_prompt("Who?", [memory_block(4)] * k).ids])
    role = model.role("generator")
    with torch.no_grad():
        filled = passes.filled(role, ids, [memories], [0], model.separator)[0]
        plain = role.embed(torch.from_numpy(np.maximum(ids, 0)))[0]
    places, separators = ids[0] == MEMORY, ids[0] == layout.SEPARATOR
    assert torch.equal(filled[places], memories)
    assert torch.equal(filled[separators], model.separator.detach().expand(k, -1))
    assert torch.equal(filled[~places & ~separators], plain[~places & ~separators])


def test_05_filling_places_leaves_the_embeddings_and_the_memories_unwritten(clara):
    table = clara.role("generator").lm.get_input_embeddings().weight
    before, memories = table.clone(), torch.randn(4, 32)
    copy = memories.clone()
    clara.read([encoded(clara, [4])], [memories])
    assert torch.equal(table, before)
    assert torch.equal(memories, copy)


@pytest.mark.parametrize("given", [0, 4, 12])
def test_05_a_wrong_number_of_memories_raises(clara, given):
    for memories in ([torch.randn(given, 32)], torch.randn(1, given, 32)):
        with pytest.raises(ValueError, match=f"row 0 has 8 memory places, {given} memory vectors"):
            clara.read([encoded(clara, [4, 4])], memories)
        with pytest.raises(ValueError, match="row 0 has 8"):
            clara.answer([clara.prompter.question_prompt("Who?", [memory_block(4)] * 2)], memories)


def test_05_memory_places_without_memories_raise(clara):
    with pytest.raises(ValueError, match="row 0 has 4 memory places, 0 memory vectors"):
        clara.read([encoded(clara, [4])])


def test_reading_scores_targets_and_nothing_else_as_a_plain_forward_pass_does(family):
    model = make(family)
    rows = [
        encoded(model, [4] * k, answer=answer) for k, answer in ((1, "Ann"), (3, "in the year of 1984"), (0, "yes"))
    ]
    memories = [torch.randn(4 * k, 32) for k in (1, 3, 0)]
    with torch.no_grad():
        out = model.read(rows, memories)
        assert len(out.logits_PV) == sum(label != -100 for r in rows for label in r.labels)
        for number, (one, vectors) in enumerate(zip(rows, memories, strict=True)):
            inputs = passes.filled(model.role("generator"), np.array([one.ids]), [vectors], [0], model.separator)
            logits = model.role("generator").lm(inputs_embeds=inputs).logits[0]
            at = [place for place, label in enumerate(one.labels) if label != -100]
            mine = out.rows_P == number
            torch.testing.assert_close(out.logits_PV[mine], logits[[place - 1 for place in at]], rtol=1e-4, atol=1e-5)
            assert out.labels_P[mine].tolist() == [one.labels[place] for place in at]
            assert out.weights_P[mine].tolist() == [one.weights[place] for place in at]


def test_many_rows_read_in_parts_come_back_in_their_order(clara):
    rows = [encoded(clara, [4], question="Who " * (n % 7 + 1), answer=str(n)) for n in range(40)]
    memories = torch.randn(40, 4, 32)
    with torch.no_grad():
        out = clara.read(rows, memories)
        assert out.rows_P.tolist() == sorted(out.rows_P.tolist())
        for number in (0, 13, 39):
            alone = clara.read([rows[number]], memories[number : number + 1])
            mine = out.rows_P == number
            assert torch.equal(out.labels_P[mine], alone.labels_P)
            torch.testing.assert_close(out.logits_PV[mine], alone.logits_PV, rtol=1e-4, atol=1e-5)


def test_the_generator_reads_plain_text_too(family):
    model = make(family)
    blocks = model.prompter.documents(TEXTS[:2])
    one = model.prompter.encode(row(), blocks, "text", question_weight=0)
    with torch.no_grad():
        out = model.read([one])
        logits = model.role("generator").lm(torch.tensor([one.ids])).logits[0]
    at = [place - 1 for place, label in enumerate(one.labels) if label != -100]
    torch.testing.assert_close(out.logits_PV, logits[at], rtol=1e-4, atol=1e-5)


def test_11_permuted_candidates_are_chosen_alike_and_leave_answer_logits_unchanged(clara, world_texts):
    texts, questions = world_texts[:10], ["Who directed it?", "Where is Ann Lee from?"]
    order = torch.tensor([3, 7, 0, 9, 1, 8, 2, 6, 4, 5])
    with torch.no_grad():
        memories = clara.flatten(clara.compress(texts))
        queries = clara.flatten(clara.query(questions))
        out = []
        for candidates in (memories, memories[order]):
            candidates_BNE = candidates.expand(2, -1, -1)
            chosen = select(cosine(queries, candidates_BNE), Selection(k=3))
            vectors = gather(chosen, candidates_BNE).unflatten(-1, (4, 32)).flatten(1, 2)
            rows = [encoded(clara, [4] * 3, question=question) for question in questions]
            out.append((chosen.indices_BK, clara.read(rows, vectors).logits_PV))
    (first, logits), (second, permuted) = out
    assert torch.equal(order[second], first)
    assert torch.equal(logits, permuted)


# --- training graph -------------------------------------------------------------------------------------------------


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def pretraining_loss(model, texts=TEXTS[:4]):
    memories = model.encode("compressor", model.prompter.documents(texts))
    rows = [encoded(model, [4], answer=f"Ann {number}") for number in range(len(texts))]
    return loss_of(model.read(rows, memories.states_BMH))


def test_13_pretraining_teaches_both_adapters_and_the_memory_embeddings_and_nothing_else(family):
    model = make(family, roles=("compressor", "generator"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pretraining_loss(model).backward()
    reached = gradients(model)
    assert set(reached) == {n for n in before if "lora_" in n} | {"memory"}
    assert all(gradient.abs().sum() > 0 for gradient in reached.values())
    assert (reached["memory"].abs().sum(1) > 0).all()
    optimiser.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name not in reached), name


def test_reading_in_passes_pads_less_and_changes_neither_losses_nor_gradients(clara):
    lengths = (1, 90, 2, 80, 3, 70, 1, 60, 2, 50, 3, 40)
    rows = [encoded(clara, [4], question="Who " * length, answer=str(length)) for length in lengths]
    memories, read = torch.randn(len(rows), 4, 32), []
    clara.role("generator").register_forward_pre_hook(lambda _, given: read.append(given[0].shape[:2].numel()))
    together = clara.read(rows, memories)
    torch.nn.functional.cross_entropy(together.logits_PV, together.labels_P, reduction="sum").backward()
    assert sum(read) < 0.7 * len(rows) * max(len(one.ids) for one in rows)
    ours = {name: gradient.clone() for name, gradient in gradients(clara).items()}
    clara.zero_grad()
    for number, one in enumerate(rows):
        alone = clara.read([one], memories[number : number + 1])
        torch.testing.assert_close(together.logits_PV[together.rows_P == number], alone.logits_PV, rtol=0, atol=1e-5)
        torch.nn.functional.cross_entropy(alone.logits_PV, alone.labels_P, reduction="sum").backward()
    for name, gradient in gradients(clara).items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_13_full_copies_learn_throughout_and_the_backbone_not_at_all(tiny):
    model = make(tiny, kind="full", roles=("compressor", "generator"))
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    pretraining_loss(model).backward()
    assert set(gradients(model)) == {name for name, _ in model.named_parameters()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.model.state_dict().items())


def test_16_a_copied_reasoner_encodes_a_document_exactly_as_the_compressor_does(family, world_texts):
    model = make(family, roles=("compressor", "generator"))
    model.add_role("reasoner", like="compressor")
    for name, tensor in state(model.role("reasoner")).items():
        assert torch.equal(tensor, state(model.role("compressor"))[name])
    texts = world_texts[:6]
    documents = model.prompter.documents(texts)
    with torch.no_grad():
        memories = model.flatten(model.encode("compressor", documents))
        queries = model.flatten(model.query(texts))
        scores = cosine(queries, memories.expand(6, -1, -1))
    assert torch.equal(queries, memories)
    torch.testing.assert_close(scores.diagonal(), torch.ones(6), rtol=0, atol=1e-5)
    assert scores.argmax(1).tolist() == list(range(6))


def joint_loss(model, roles):
    """One graph through two roles, or three: compressed documents chosen by the question, then read."""
    if len(roles) == 2:
        return pretraining_loss(model)
    documents = model.flatten(model.encode("compressor", model.prompter.documents(TEXTS[:4])))
    queries = model.flatten(model.query(["Who directed it?", "Where?"]))
    candidates = documents.expand(2, -1, -1)
    chosen = select(cosine(queries, candidates), Selection(k=2, temperature=0.2))
    vectors = (chosen.weights_BKN @ candidates).unflatten(-1, (4, 32)).flatten(1, 2)
    return loss_of(model.read([encoded(model, [4, 4], answer=answer) for answer in ("Ann", "Oslo")], vectors))


@pytest.mark.parametrize("roles", [("compressor", "generator"), ROLES], ids=["two", "three"])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_17_gradients_agree_with_and_without_activation_checkpointing(family, kind, roles):
    model = make(family, kind=kind, roles=roles).train()
    losses, found = [], []
    for checkpointing in (False, True):
        model.checkpoint_activations(checkpointing)
        model.zero_grad()
        torch.manual_seed(3)  # the dropout of the adapters
        loss = joint_loss(model, roles)
        loss.backward()
        losses.append(loss.item())
        found.append(gradients(model))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert set(found[0]) == set(found[1])
    assert all(any(name.startswith(f"roles.{role}.") for name in found[0]) for role in roles)
    for name, gradient in found[0].items():
        assert (gradient - found[1][name]).norm() <= 1e-5 * gradient.norm() + 1e-12, name


def test_17_checkpointing_keeps_fewer_activations(tokenizer):
    model = make(random_backbone("llama", tokenizer), roles=("compressor", "generator")).train()
    kept = []
    for checkpointing in (False, True):
        model.checkpoint_activations(checkpointing)
        kept.append(0)

        def count(tensor):
            kept[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            pretraining_loss(model)
    assert kept[1] < 0.6 * kept[0]


def test_18_no_public_call_changes_a_weight_a_mode_or_a_gradient_flag(clara):
    def snapshot():
        modes = {name: module.training for name, module in clara.named_modules()}
        flags = {name: parameter.requires_grad for name, parameter in clara.named_parameters()}
        return modes, flags, {name: tensor.clone() for name, tensor in clara.state_dict().items()}

    prompt = clara.prompter.question_prompt("Who?", [memory_block(4)])
    calls = [
        lambda: clara.compress(TEXTS),
        lambda: clara.encode("compressor", [[5, 6]]),
        lambda: clara.query(["Who?"]),
        lambda: clara.read([encoded(clara, [4])], torch.randn(1, 4, 32)),
        lambda: clara.answer([prompt], torch.randn(1, 4, 32), max_new_tokens=3),
        lambda: clara.fingerprint(),
        lambda: clara.compress(None),  # fails on the way
    ]
    for training in (True, False):
        clara.train(training)
        clara.role("compressor").eval()
        before = snapshot()
        for call in calls:
            with contextlib.suppress(TypeError):
                call()
            after = snapshot()
            assert after[:2] == before[:2]
            assert all(torch.equal(tensor, before[2][name]) for name, tensor in after[2].items())


def test_18_compression_has_no_dropout_even_in_training_mode(clara):
    expected = clara.compress(TEXTS)
    clara.train()
    assert all(torch.equal(a, b) for a, b in zip(clara.compress(TEXTS), expected, strict=True))
    with torch.no_grad():
        noisy = [clara.encode("compressor", [[5, 6, 7]]).states_BMH for _ in range(2)]
    assert not torch.equal(*noisy)


def test_compression_and_answers_leave_no_graph_behind(clara):
    assert not any(memory.requires_grad for memory in clara.compress(TEXTS))
    assert clara.query(["Who?"]).states_BMH.requires_grad


# --- answering ------------------------------------------------------------------------------------------------------


def greedy(model, prompt, memories, most):
    """Token by token, one prompt, without a cache."""
    role, ids = model.role("generator"), list(prompt.ids)
    with torch.no_grad():
        for _ in range(most):
            embeddings = passes.filled(role, np.array([ids]), memories, [0], model.separator)
            token = int(role.logits(role(embeddings)[0][:, -1]).argmax())
            if token in model.prompter.ends:
                break
            ids.append(token)
    return tuple(ids[len(prompt) :])


def test_26_answers_in_a_batch_are_those_of_one_by_one(family):
    model = make(family)
    prompts, memories = [], []
    for number, k in enumerate((1, 3, 0, 2, 1)):
        prompts.append(model.prompter.question_prompt("Who " * (number + 1), [memory_block(4)] * k))
        memories.append(3 * torch.randn(4 * k, 32, generator=torch.Generator().manual_seed(number)))
    together = model.answer(prompts, memories, max_new_tokens=8)
    assert len({answer.ids for answer in together}) > 1
    for prompt, vectors, answer in zip(prompts, memories, together, strict=True):
        alone = model.answer([prompt], [vectors], max_new_tokens=8)[0]
        assert answer.ids == alone.ids == greedy(model, prompt, [vectors], 8)
        assert answer.text == alone.text


def test_26_rows_that_end_early_leave_the_others_as_they_are(tokenizer):
    model = make(random_backbone("llama", tokenizer))
    ks = [number % 3 for number in range(12)]
    prompts = [model.prompter.question_prompt("Who " * (n % 4 + 1), [memory_block(4)] * k) for n, k in enumerate(ks)]
    memories = [3 * torch.randn(4 * k, 32, generator=torch.Generator().manual_seed(n)) for n, k in enumerate(ks)]
    free = [answer.ids for answer in model.answer(prompts, memories, max_new_tokens=10)]
    model.prompter.__dict__["ends"] = frozenset({free[0][4], free[2][3]})
    stopped = model.answer(prompts, memories, max_new_tokens=10)
    lengths = set()
    for before, answer in zip(free, stopped, strict=True):
        cut = [at for at, token in enumerate(before) if token in model.prompter.ends]
        assert answer.ids == before[: cut[0] if cut else 10]
        assert answer.truncated == (not cut)
        lengths.add(len(answer.ids))
    assert len(lengths) > 1


def test_a_trained_target_is_generated_word_for_word_and_ends(tokenizer):
    model = make(random_backbone("llama", tokenizer), kind="full", roles=("compressor", "generator"), learned=False)
    answers = ("Ann Lee", "in Oslo")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    documents = model.prompter.documents(TEXTS[:2])
    for _ in range(60):
        memories = model.encode("compressor", documents).states_BMH
        loss = loss_of(model.read([encoded(model, [4], answer=answer) for answer in answers], memories))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    prompts = [model.prompter.question_prompt("Who is it?", [memory_block(4)])] * 2
    said = model.answer(prompts, model.compress(TEXTS[:2]), max_new_tokens=10)
    assert tuple(answer.text for answer in said) == answers
    assert not any(answer.truncated for answer in said)
    assert all(answer.prefill_seconds > 0 and answer.decode_seconds > 0 for answer in said)


def test_nothing_to_do_is_done(clara):
    assert clara.compress([]) == []
    assert [tuple(part.shape) for part in clara.encode("compressor", [])] == [(0, 4, 32), (0, 4), (0, 32)]
    assert clara.answer([]) == []


# --- identity -------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_what_decides_a_memory(tokenizer):
    model = make(random_backbone("mistral", tokenizer))
    first = model.fingerprint("compressor")
    assert first == make(random_backbone("mistral", tokenizer)).fingerprint("compressor")
    assert first == make(random_backbone("mistral", tokenizer), layout="padded", similarity="mean").fingerprint()
    others = {make(random_backbone("mistral", tokenizer), **change).fingerprint() for change in (
        {"rate": 4}, {"document_tokens": 40}, {"count": "length"}, {"positions": "spread"}, {"form": "pooled"},
        {"learned": False},
    )}  # fmt: skip
    others |= {model.fingerprint("reasoner"), make(random_backbone("mistral", tokenizer, seed=1)).fingerprint()}
    copy_role(model.role("reasoner"), model.role("generator"))
    assert model.fingerprint() == first
    model.memory.data[0, 0] += 1e-3
    assert len(others | {first, model.fingerprint()}) == 10


def test_a_missing_role_is_named(tiny):
    model = make(tiny, roles=("generator",))
    with pytest.raises(ConfigError, match="no role 'reasoner', only generator"):
        model.query(["Who?"])


def test_a_bfloat16_model_compresses_reads_and_answers(tokenizer):
    backbone = random_backbone("mistral", tokenizer)
    model = make(backbone._replace(model=backbone.model.to(torch.bfloat16)))
    memories = model.compress(TEXTS[:2])
    assert {memory.dtype for memory in memories} == {torch.bfloat16}
    assert model.encode("compressor", [[5]]).summary_BH.dtype == torch.float32
    pretraining_loss(model).backward()
    assert model.memory.grad.abs().sum() > 0
    prompt = model.prompter.question_prompt("Who?", [memory_block(4)])
    assert len(model.answer([prompt] * 2, memories, max_new_tokens=4)) == 2


def test_a_tokenizer_without_an_opening_token_serves(tokenizer):
    bare = copy.deepcopy(tokenizer)
    bare.bos_token = None  # as Qwen's
    model = make(random_backbone("qwen2", bare))
    assert model._framed([5, 6]) == [5, 6, bare.eos_token_id]
    assert len(model.compress(TEXTS)) == len(TEXTS)
