"""What every form of memory must keep to: its rows are each by itself, and exactly what its form trains learns.

Documents of one batch differ in length here, so that there is padding to go wrong.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from reference.data.row import Row, Turn
from reference.model import layout
from reference.objectives import choosing
from reference.objectives.stages import LEARNING, Stage
from reference.settings.config import RETRIEVING
from tests.reference.test_model import ROLES, TEXTS, make, random_backbone
from tests.reference.test_stages import rows_of, stage_of, total_of

FORMS = {
    "tokens": {"form": "tokens"},
    "spread": {"form": "tokens", "positions": "spread"},
    "pooled": {"form": "pooled"},
    "pooled-spread": {"form": "pooled", "positions": "spread"},
    "recurrent": {"form": "recurrent", "segment_tokens": 3},
    "recurrent-spread": {"form": "recurrent", "segment_tokens": 3, "positions": "spread"},
    "projected": {"form": "projected"},
    "residual": {"form": "residual"},
    "residual-of-one-layer": {"form": "residual", "layers": 1},
    "chosen": {"form": "chosen", "mask": "bidirectional"},  # causally, nothing sees what follows the last token chosen
    "chosen-of-one-layer": {"form": "chosen", "mask": "bidirectional", "layers": 1},
}
every_form = pytest.mark.parametrize("memory", FORMS.values(), ids=FORMS)
counts = pytest.mark.parametrize("count", ["nominal", "length"])
kinds = pytest.mark.parametrize("kind", ["lora", "full"])


def with_rate(memory, document_tokens=32, rate=4):
    """The settings with a rate that the form can have."""
    rate = document_tokens if memory["form"] == "projected" else rate
    return {"document_tokens": document_tokens, "rate": rate, **memory}


def short(memory):
    """The settings for documents of sixteen tokens, in segments of two where the form has segments."""
    return with_rate({**memory, "segment_tokens": 2} if "segment_tokens" in memory else memory, 16, 8)


def layouts(memory):
    """Layouts that the form knows."""
    return ("bucketed",) if memory["form"] == "recurrent" else ("bucketed", "padded")


@pytest.fixture
def rewards(monkeypatch):
    """Rewards that differ, see test_stages."""
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(choosing, "right_share", lambda read, rows: torch.rand(rows, generator=generator))


# --- padding and batches --------------------------------------------------------------------------------------------


@counts
@every_form
def test_04_in_any_batch_and_layout_a_document_has_the_memory_it_has_alone(tokenizer, world_texts, memory, count):
    texts = [*TEXTS, *world_texts[:8]]
    for kind_of_layout in layouts(memory):
        model = make(random_backbone("mistral", tokenizer), count=count, layout=kind_of_layout, **with_rate(memory))
        ids = model.prompter.documents(texts)
        together, shuffled = model.compress(texts), model.compress(texts[::-1], batch_tokens=90)[::-1]
        with torch.no_grad():
            encoded = model.encode("compressor", ids)
        for row, (text, slots) in enumerate(zip(texts, model.slots_of(ids), strict=True)):
            [alone] = model.compress([text])
            assert alone.shape == (slots, 32)
            assert int(encoded.mask_BM[row].sum()) == slots and not encoded.states_BMH[row, slots:].any()
            for other in (together[row], shuffled[row], encoded.states_BMH[row, :slots]):
                torch.testing.assert_close(other, alone, rtol=1e-4, atol=1e-5)


def other_padding(plain, changed):
    """`layout.documents` with other ids where nothing is attended to; how many is noted."""

    def documents(*given, **settings):
        where = plain(*given, **settings)
        padding_BT = ~where.attended_BT
        changed.append(int(padding_BT.sum()))
        return where._replace(ids_BT=np.where(padding_BT, 11, where.ids_BT))

    return documents


@counts
@every_form
def test_04_what_stands_in_padding_reaches_no_memory(tokenizer, monkeypatch, memory, count):
    documents = [[5, 6, 7], [8] * 21, [9], []]
    for kind_of_layout in layouts(memory):
        model = make(random_backbone("mistral", tokenizer), count=count, layout=kind_of_layout, **with_rate(memory))
        changed = []
        with torch.no_grad():
            before = model.encode("compressor", documents)
            with monkeypatch.context() as patched:
                patched.setattr(layout, "documents", other_padding(layout.documents, changed))
                after = model.encode("compressor", documents)
        assert sum(changed) > 0
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def unequal_rows():
    """Rows whose documents, prompts and targets are all of other lengths."""
    documents = ["a1", "abcdefgh12", "b2a1", "c3" * 6]
    return [Row(text, (text,), (Turn(text[:4].upper(), text[1] * n),)) for n, text in enumerate(documents, 1)]


@kinds
@counts
@every_form
def test_20_losses_and_gradients_are_sums_over_rows_of_any_length(memory, count, kind):
    stage = stage_of("pretrain", kind, memory={**with_rate(memory, 16), "count": count}).eval()
    rows = unequal_rows()

    def found(parts):
        stage.zero_grad()
        totals = torch.zeros(2)
        for part in parts:
            loss = stage(stage.prepare(part))
            (loss.cross_entropy.total + loss.extra.total).backward()
            totals += torch.stack([loss.cross_entropy.total.detach(), loss.extra.total.detach()])
        return totals, {name: p.grad.clone() for name, p in stage.named_parameters() if p.grad is not None}

    whole, gradients = found([rows])
    alone, summed = found([[row] for row in rows])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == summed.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, summed[name], rtol=1e-3, atol=1e-4, msg=name)


# --- what learns ----------------------------------------------------------------------------------------------------


def parts_of(stage: Stage, parameters) -> set[str]:
    """The parts that parameters belong to: roles and vectors by their names, a projector's weights together."""
    owner = {id(p): role for role in stage.model.roles for p in stage.model.role(role).trainable().values()}
    names = {id(p): n for n, p in stage.named_parameters()}
    return {owner.get(id(p), names[id(p)].split(".")[1]) for p in parameters}


def expected_parts(name: str, kind: str, form: str) -> set[str]:
    learn = set(LEARNING[name])
    if "compressor" in learn:
        learn |= {"pooled": set(), "projected": {"projector"}, "residual": {"projector"}, "chosen": {"projector"}}.get(
            form, {"memory"}
        )
        learn -= {"compressor"} if form == "projected" else set()
    if kind == "full":
        learn |= {"opening"} if "compressor" in learn else set()
        learn |= {"separator"} if "generator" in learn and name != "text" else set()
    return learn


@kinds
@pytest.mark.parametrize("name", list(LEARNING))
@every_form
def test_13_14_gradients_and_a_step_reach_what_stage_and_form_train_and_nothing_else(memory, name, kind, rewards):
    stage = stage_of(name, kind, memory=short(memory))
    before = {n: p.detach().clone() for n, p in stage.named_parameters()}
    total_of(stage, rows_of(name)).backward()
    expected = expected_parts(name, kind, memory["form"])
    reached = [p for p in stage.parameters() if p.grad is not None and p.grad.any()]
    assert parts_of(stage, reached) == expected
    groups = stage.trainable_groups()
    assert parts_of(stage, [p for group in groups for p in group["params"]]) == expected
    torch.optim.AdamW(groups, weight_decay=0.1).step()
    changed = [p for n, p in stage.named_parameters() if not torch.equal(p, before[n])]
    assert parts_of(stage, changed) == expected


@every_form
def test_13_every_part_of_a_memory_and_every_token_of_its_document_counts(tokenizer, memory):
    model = make(random_backbone("mistral", tokenizer), **with_rate(memory))
    ids = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    changed = [ids] + [[*ids[:at], ids[at] + 20, *ids[at + 1 :]] for at in range(len(ids))]
    with torch.no_grad():
        states_BMH = model.encode("compressor", changed).states_BMH
    assert (states_BMH[1:] - states_BMH[0]).abs().flatten(1).amax(1).min() > 1e-4
    memories = model.encode("compressor", [ids])
    assert memories.states_BMH[0].abs().sum(1).min() > 0
    if memory["form"] in ("tokens", "recurrent"):
        (gradient_MH,) = torch.autograd.grad(memories.states_BMH.square().sum(), model.memory)
        assert bool(gradient_MH.any(1).all())


@pytest.mark.parametrize("name", RETRIEVING)
@every_form
def test_14_no_memory_of_a_form_changes_while_documents_are_chosen(memory, name, rewards):
    stage = stage_of(name, "full", memory=short(memory))
    texts = [document for row in rows_of(name) for document in row.documents]
    before, fingerprint = stage.model.compress(texts), stage.model.fingerprint()
    optimiser = torch.optim.AdamW(stage.trainable_groups(), lr=1e-2)
    for _ in range(2):
        total_of(stage, rows_of(name)).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(before, stage.model.compress(texts), strict=True))
    assert stage.model.fingerprint() == fingerprint


@every_form
def test_17_gradients_of_each_form_agree_with_and_without_activation_checkpointing(tokenizer, memory):
    model = make(random_backbone("llama", tokenizer), roles=ROLES[::2], **with_rate(memory, rate=8)).train()
    if memory["form"] == "projected":
        model.role("compressor").freeze()
    found = []
    for checkpointing in (False, True):
        model.checkpoint_activations(checkpointing)
        model.zero_grad()
        torch.manual_seed(3)
        memories = model.encode("compressor", model.prompter.documents(TEXTS[:4]))
        memories.states_BMH.square().sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and found[0]
    for name, gradient in found[0].items():
        assert (gradient - found[1][name]).norm() <= 1e-5 * gradient.norm() + 1e-12, name


# --- number formats, identity ---------------------------------------------------------------------------------------


@counts
@every_form
def test_each_form_works_in_bfloat16(tokenizer, memory, count):
    backbone = random_backbone("mistral", tokenizer)
    model = make(backbone._replace(model=backbone.model.to(torch.bfloat16)), count=count, **with_rate(memory))
    exact = make(random_backbone("mistral", tokenizer), count=count, **with_rate(memory)).compress(TEXTS)
    for ours, theirs in zip(model.compress(TEXTS), exact, strict=True):
        assert ours.dtype == torch.bfloat16 and ours.shape == theirs.shape
        assert torch.cosine_similarity(ours.float(), theirs, dim=1).min() > 0.98
    assert model.encode("compressor", [[5]]).summary_BH.dtype == torch.float32


def test_the_fingerprint_tells_forms_apart(tokenizer):
    settings = [*FORMS.values(), {**FORMS["recurrent"], "segment_tokens": 4}]
    made = [make(random_backbone("mistral", tokenizer), **with_rate(memory)).fingerprint() for memory in settings]
    assert len(set(made)) == len(settings)
    model = make(random_backbone("mistral", tokenizer), **with_rate(FORMS["tokens"]))
    assert model.fingerprint() == copy.deepcopy(model).fingerprint()
