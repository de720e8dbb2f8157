"""The training loop: it learns, it does not mind how it is cut up, and it goes on where it was stopped."""

from __future__ import annotations

import copy
import json
import resource
import signal
from pathlib import Path

import msgspec
import pytest
import torch

from clara_bench import BackendError, BenchError, ConfigError, DataError
from clara_bench.io.cache import locked
from reference.data.row import Row, Turn
from reference.objectives.stages import LEARNING
from reference.training.loop import Diverged, train
from reference.training.resume import State
from reference.weights import checkpoint
from reference.weights.manifest import read_manifest
from tests.reference.trainee import (
    KEYS,
    VALUES,
    Pairs,
    config,
    documents_of,
    launch,
    losses,
    new_model,
    settings_of_model,
)

STEP = 8  # rows a step


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As many as the processes that are started here have: sums over threads round another way.

    Of the module's scope, so that it comes before the runs that tests share.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(
    out,
    stage="pretrain",
    kind="lora",
    dropout=0.0,
    rows=None,
    model=None,
    seed=0,
    remembered=None,
    evaluate=None,
    data=None,
    **changes,
):
    """Train a tiny model; returns it."""
    model_settings = settings_of_model(kind, dropout)
    model = new_model(model_settings, seed=seed) if model is None else model
    rows = Pairs(documents_of(stage)) if rows is None else rows
    train(config(model.config, stage, **changes), stage, rows, out, model, remembered, evaluate, data=data)
    return model


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, other, exactly: bool = True, **tolerance) -> bool:
    assert one.keys() == other.keys()
    if exactly:
        return all(torch.equal(one[name], other[name]) for name in one)
    return all(torch.allclose(one[name], other[name], **tolerance) for name in one)


STEPS_BY_HEART = {"joint": 130, "reinforce": 100}


@pytest.mark.parametrize("name", list(LEARNING))
def test_21_one_batch_is_learned_by_heart_in_every_stage(name, tmp_path):
    fast = {"learning_rate": 1e-2, "warmup_fraction": 0.05}
    changes = {
        "steps": STEPS_BY_HEART.get(name, 70),
        "save_every": 1000,
        "parallel": {"micro_batch": 8},
        "mse_weight": 0.001,
        "optimiser": fast,
    }
    rows = Pairs(2 if name == "reinforce" else documents_of(name), among=8)  # drawn are both of two, in any order
    run(tmp_path, name, "full", rows=rows, selection={"k": 2, "temperature": 0.02}, question_weight=0.0, **changes)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["loss" if name == "supervised" else "cross_entropy"] < 0.05


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A generator that has learned to read single memories, which a store gave; the rest of the model is untrained."""
    out = tmp_path_factory.mktemp("reader")
    optimiser = {"learning_rate": 5e-3}
    changes = {"steps": 100, "batch": 32, "save_every": 1000, "parallel": {"micro_batch": 32}, "selection": {"k": 1}}
    run(out, "joint", "full", rows=Pairs(1), remembered=stored, freeze=["reasoner"], optimiser=optimiser, **changes)
    return out / "last"


def stored(texts):
    """Memories as a store might have them: a vector that stands for the key, one that stands for the value."""
    vectors = torch.randn(len(KEYS) + len(VALUES), 32, generator=torch.Generator().manual_seed(0))
    return [torch.stack([vectors[KEYS.index(text[0])], vectors[len(KEYS) + VALUES.index(text[1])]]) for text in texts]


def recalls(reader, out, **changes) -> list[float]:
    model = new_model(settings_of_model("full"), ("compressor", "generator"))
    checkpoint.restore(model, reader, ("compressor", "generator"))
    fixed = {"batch": 32, "save_every": 1000, "parallel": {"micro_batch": 32}, "reasoner_start": "random"}
    rows, optimiser = Pairs(4), {"learning_rate": 3e-3}
    run(out, "joint", model=model, rows=rows, remembered=stored, optimiser=optimiser, **fixed, **changes)
    return [json.loads(line)["recall@1"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("estimator, temperature", [("straight-through", 0.3), ("reinforce", 0.1)])
def test_21_answers_alone_teach_retrieval(reader, tmp_path, estimator, temperature):
    recall = recalls(reader, tmp_path, steps=80, selection={"k": 1, "temperature": temperature, "estimator": estimator})
    assert sum(recall[:2]) / 2 < 0.45  # chance is 0.25
    assert sum(recall[-8:]) / 8 > 0.9


def test_21_a_frozen_reasoner_stays_at_chance(reader, tmp_path):
    recall = recalls(reader, tmp_path, steps=40, selection={"k": 1}, freeze=["reasoner"])
    assert 0.1 < sum(recall[-16:]) / 16 < 0.4  # 0.25, of 512 questions


@pytest.mark.parametrize("name", ["text", "pretrain", "instruct", "joint", "supervised"])
def test_20_a_step_is_the_same_however_it_is_cut_into_micro_batches(name, tmp_path):
    updates = {}
    for micro in (8, 4, 1):
        model = run(
            tmp_path / str(micro), name, rows=Mixed(documents_of(name)), parallel={"micro_batch": micro}, steps=2
        )
        updates[micro] = weights(model)
    assert same(updates[8], updates[4], False, atol=2e-5) and same(updates[8], updates[1], False, atol=2e-5)
    assert losses(tmp_path / "8") == pytest.approx(losses(tmp_path / "1"), abs=1e-5)


def test_20_the_released_form_averages_micro_batches_and_so_depends_on_the_cut(tmp_path):
    for micro in (8, 4):
        parallel = {"micro_batch": micro}
        run(tmp_path / str(micro), rows=Mixed(1), parallel=parallel, steps=1, ce_form="micro-batch", mse_weight=0.0)
        run(tmp_path / f"token{micro}", rows=Mixed(1), parallel=parallel, steps=1, mse_weight=0.0)
    whole, cut = losses(tmp_path / "8")[0], losses(tmp_path / "4")[0]
    assert whole == pytest.approx(losses(tmp_path / "token8")[0], abs=1e-6)
    assert abs(whole - cut) > 1e-3


class Mixed(Pairs):
    """Pairs whose answers have very different lengths, so that a mean of means is not the mean."""

    def __getitem__(self, position):
        row = super().__getitem__(position)
        turn = row.turns[0]
        return Row(
            row.id, row.documents, (Turn(turn.question, turn.answer * (1 + position % 8)),), positives=row.positives
        )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run with dropout, and the weights it ends with."""
    out = tmp_path_factory.mktemp("uninterrupted")
    return out, weights(run(out, "joint", dropout=0.1, steps=7))


def logged(out) -> list[dict]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith("seconds")} for line in lines]


def test_24_a_run_that_was_asked_to_stop_goes_on_bit_by_bit(uninterrupted, tmp_path):
    with pytest.raises(SystemExit) as left:
        run(tmp_path, "joint", dropout=0.1, steps=7, rows=Pairs(4, at=(4 * STEP + 2, signal.SIGTERM)))
    assert left.value.code == 128 + signal.SIGTERM
    assert len(logged(tmp_path)) == 5  # the step that had begun was ended, and saved
    resumed = weights(run(tmp_path, "joint", dropout=0.1, steps=7))
    assert logged(tmp_path) == logged(uninterrupted[0])
    assert same(resumed, uninterrupted[1])


def test_24_ctrl_c_saves_too(uninterrupted, tmp_path):
    before = signal.getsignal(signal.SIGINT)  # a shell starts what it sends to the background with SIG_IGN
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "joint", dropout=0.1, steps=7, rows=Pairs(4, at=(STEP, signal.SIGINT)))
    assert signal.getsignal(signal.SIGINT) is before
    assert same(weights(run(tmp_path, "joint", dropout=0.1, steps=7)), uninterrupted[1])


def test_24_a_killed_run_goes_on_from_its_last_save(uninterrupted, tmp_path):
    task = {"out": str(tmp_path), "stage": "joint", "kind": "lora", "dropout": 0.1, "changes": {"steps": 7}}
    (process,) = launch(1, **task, signal="SIGKILL", at_step=5)
    output, _ = process.communicate(timeout=300)
    assert (process.returncode, output) == (-signal.SIGKILL, "")  # and nothing was printed
    assert len(logged(tmp_path)) == 5 and not (tmp_path / "best").exists()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')  # as a kill may leave it
    torn = tmp_path / "resume" / "step-0000006"
    torn.mkdir()
    (torn / "mp_rank_00_model_states.pt").write_bytes(b"half of a")
    assert same(weights(run(tmp_path, "joint", dropout=0.1, steps=7)), uninterrupted[1])
    assert logged(tmp_path) == logged(uninterrupted[0])
    assert [path.name for path in (tmp_path / "resume").iterdir() if path.is_dir()] == ["step-0000007"]


@pytest.mark.parametrize("zero", [0, 2, 3])
def test_24_saves_hold_what_learns_and_nothing_of_the_backbone(zero, tmp_path):
    run(tmp_path, "joint", steps=1, parallel={"zero": zero, "micro_batch": 4})
    (file,) = (tmp_path / "resume" / "step-0000001").glob("*model_states.pt")
    names = torch.load(file, weights_only=False)["module"]
    assert len(names) == 2 * 2 * 14  # reasoner and generator, two halves of each of 14 adapters
    assert all(".lora_" in name and ".compressor." not in name for name in names)


def test_24_a_full_disk_is_told_and_the_last_save_stands(uninterrupted, tmp_path):
    def fill(model, step):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000 if step > 4 else limits[0], limits[1]))
        return {}

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(BackendError, match=r"cannot save .* Make room"):
            run(tmp_path, "joint", dropout=0.1, steps=7, evaluate=fill, evaluate_every=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    settings = {"dropout": 0.1, "steps": 7, "evaluate_every": 1}
    assert same(weights(run(tmp_path, "joint", **settings)), uninterrupted[1])


@pytest.mark.parametrize("zero, precision", [(0, "bf16"), (2, "fp32"), (3, "fp32")])
def test_24_every_way_of_spreading_resumes(zero, precision, tmp_path):
    changes = {"steps": 4, "parallel": {"zero": zero, "precision": precision, "micro_batch": 4}}
    whole = weights(run(tmp_path / "whole", **changes))
    with pytest.raises(SystemExit):
        run(tmp_path / "cut", **changes, rows=Pairs(1, at=(2 * STEP, signal.SIGTERM)))
    resumed = run(tmp_path / "cut", **changes)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    if zero < 3:
        assert same(weights(resumed), whole)


def test_all_ways_of_spreading_learn_alike(tmp_path):
    for zero, offload in [(0, False), (1, False), (2, False), (2, True), (3, False)]:
        parallel = {"zero": zero, "offload": offload, "micro_batch": 2}
        run(
            tmp_path / f"{zero}{offload}",
            "joint",
            "full",
            parallel=parallel,
            steps=4,
            optimiser={"reasoner_factor": 0.5},
        )
    plain = losses(tmp_path / "0False")
    assert plain[-1] < plain[0]
    for other in ("1False", "2False", "2True", "3False"):
        assert losses(tmp_path / other) == pytest.approx(plain, abs=1e-5)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """Two processes that train by ZeRO-2, stopped by a signal to the first after four of six steps."""
    out = tmp_path_factory.mktemp("ranks")
    changes = {"steps": 6, "parallel": {"zero": 2, "micro_batch": 2}}
    task = {"out": str(out), "stage": "pretrain", "kind": "lora", "dropout": 0.0, "changes": changes}
    processes = launch(2, **task, signal="SIGTERM", at_step=3)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM] * 2, outputs
    assert outputs == ["", ""]
    return out, changes


@pytest.fixture(scope="module")
def one_rank(two_ranks, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    return out, weights(run(out, **two_ranks[1]))


def test_27_two_processes_learn_as_one(two_ranks, one_rank):
    assert len(losses(two_ranks[0])) == 4
    assert losses(two_ranks[0]) == pytest.approx(losses(one_rank[0])[:4], abs=1e-5)


def test_27_one_process_goes_on_where_two_were_stopped(two_ranks, one_rank):
    out, changes = two_ranks
    assert msgspec.json.decode((out / "resume/state.json").read_bytes(), type=State).ranks == 2
    model = run(out, **changes)
    assert losses(out) == pytest.approx(losses(one_rank[0]), abs=1e-5)
    assert same(weights(model), one_rank[1], False, atol=1e-5)


class Planted:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(("zero", "moved"), [(0, False), (1, False), (1, True), (3, False)])
def test_code_planted_in_a_save_is_refused_and_never_run(tmp_path, zero, moved):
    out, changes = tmp_path / "run", {"steps": 6, "parallel": {"zero": zero, "micro_batch": 4}}
    with pytest.raises(SystemExit):
        run(out, **changes, rows=Pairs(1, at=(3 * STEP, signal.SIGTERM)))
    if moved:  # so that it is converted
        path = out / "resume" / "state.json"
        state = msgspec.json.decode(path.read_bytes(), type=State)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(state, ranks=2)))
    saves = list((out / "resume").rglob("*.pt"))
    assert saves
    for save in saves:
        torch.save({**torch.load(save, weights_only=False), "planted": Planted(tmp_path / "ran")}, save)
    with pytest.raises(BenchError, match=r"cannot be resumed from|not converted"):
        run(out, **changes)
    assert not (tmp_path / "ran").exists()


def test_27_a_universal_checkpoint_keeps_rates_and_moments_of_both_groups_under_zero_3(tmp_path):
    changes = {"steps": 6, "parallel": {"zero": 3, "micro_batch": 4}, "optimiser": {"reasoner_factor": 0.2}}
    run(tmp_path / "whole", "joint", "full", **changes)
    with pytest.raises(SystemExit):
        run(tmp_path / "moved", "joint", "full", **changes, rows=Pairs(4, at=(3 * STEP, signal.SIGTERM)))
    path = tmp_path / "moved" / "resume" / "state.json"
    state = msgspec.json.decode(path.read_bytes(), type=State)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(state, ranks=2)))  # so that it is converted
    run(tmp_path / "moved", "joint", "full", **changes)
    before, after = logged(tmp_path / "whole"), logged(tmp_path / "moved")
    for one, other in zip(before, after, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_two_trainings_never_write_to_one_folder(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(BackendError, match="another process is writing to"):
        run(tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["lock"]
    run(tmp_path / "run", steps=1)


def test_evaluations_do_not_change_what_is_learned(tmp_path):
    def noisy(model, step):
        assert not model.training
        torch.manual_seed(1)
        model.compress(["a1"])
        return {"score": torch.rand(()).item()}

    plain = weights(run(tmp_path / "plain", dropout=0.1, steps=4))
    assert same(weights(run(tmp_path / "judged", dropout=0.1, steps=4, evaluate=noisy, evaluate_every=1)), plain)


def test_the_best_checkpoint_is_the_one_that_scored_highest(tmp_path):
    seen, scores = {}, {2: 0.5, 4: 0.9, 6: 0.7, 7: 0.9}

    def judge(model, step):
        seen[step] = weights(model)
        return {"other": -step, "score": scores[step]}

    model = run(tmp_path, steps=7, evaluate_every=2, evaluate=judge)
    best, last = checkpoint.load(tmp_path / "best"), checkpoint.load(tmp_path / "last")
    assert same(weights(best), seen[4]) and same(weights(last), weights(model))
    manifest = read_manifest(tmp_path / "best")
    assert (manifest.training["step"], manifest.training["scores"]) == (4, {"other": -4, "score": 0.9})
    lines = [line for line in logged(tmp_path) if "evaluation" in line]
    assert [(line["step"], line["evaluation"]["score"]) for line in lines] == list(scores.items())


def test_without_an_evaluation_the_last_is_the_best(tmp_path):
    model = run(tmp_path, steps=3, evaluate_every=1)
    assert same(weights(checkpoint.load(tmp_path / "best")), weights(model))
    assert any((tmp_path / "tensorboard").iterdir())


def test_a_finished_run_is_not_trained_again(tmp_path):
    run(tmp_path, steps=2)
    before = (tmp_path / "log.jsonl").read_bytes()
    run(tmp_path, steps=2, rows=Pairs(1, never=(0, signal.SIGKILL)))
    assert (tmp_path / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "other, named",
    [
        ({"steps": 9}, r"settings\.steps is 2, not 9"),
        ({"optimiser": {"learning_rate": 0.5}}, r"settings\.optimiser\.learning_rate is 0\.01, not 0\.5"),
        ({"kind": "full"}, r"model\.adapters\.kind is 'lora', not 'full'"),
        ({"model": new_model(settings_of_model(), seed=3)}, r"start\.compressor is "),
    ],
)
def test_another_run_in_the_same_folder_is_refused(other, named, tmp_path):
    run(tmp_path, steps=2)
    with pytest.raises(ConfigError, match=f"another run was begun here: {named}"):
        run(tmp_path, **{"steps": 2, **other})


MADE = {"seed": 3, "documents": [1.0, 2.0], "first": {"single": 1.0}}


@pytest.mark.parametrize(
    "other, named",
    [
        ({**MADE, "seed": 4}, r"data\.seed is 3, not 4"),
        ({**MADE, "documents": [1.0]}, r"data\.documents is \[1\.0, 2\.0\], not \[1\.0\]"),
        ({**MADE, "first": {"single": 0.5}}, r"data\.first\.single is 1\.0, not 0\.5"),
        ({**MADE, "worlds": 1}, r"data\.worlds is absent, not 1"),
        ({"path": "rows.jsonl"}, r"data\.documents is \[1\.0, 2\.0\], not absent"),
        ({}, r"data\.documents is \[1\.0, 2\.0\], not absent"),
    ],
)
def test_a_run_on_other_data_is_refused_and_the_option_named(other, named, tmp_path):
    run(tmp_path, steps=2, data=MADE)
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=f"another run was begun here: {named}") as refused:
        run(tmp_path, steps=2, data=other)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "log.jsonl").read_bytes() == before
    run(tmp_path, steps=2, data=copy.deepcopy(MADE))
    assert read_manifest(tmp_path / "best").training["data"] == MADE


def test_a_run_that_was_begun_before_data_and_attention_were_kept_goes_on(tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path, steps=4, rows=Pairs(1, at=(STEP, signal.SIGTERM)))
    path = tmp_path / "stage.json"
    tables = json.loads(path.read_text())
    del tables["data"], tables["model"]["attention"]
    path.write_text(json.dumps(tables))
    run(tmp_path, steps=4, data=MADE)
    assert len(logged(tmp_path)) == 4


def test_a_run_may_go_on_in_other_micro_batches(tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path / "cut", steps=4, rows=Pairs(1, at=(STEP, signal.SIGTERM)))
    run(tmp_path / "cut", steps=4, parallel={"micro_batch": 8}, save_every=1)
    run(tmp_path / "whole", steps=4)
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)


def test_a_folder_that_is_in_use_may_be_refused(tmp_path):
    model = new_model(settings_of_model())
    plain = config(model.config, "pretrain", steps=1)
    train(plain, "pretrain", Pairs(1), tmp_path, model, resume=False)
    with pytest.raises(ConfigError, match="training was begun here"):
        train(plain, "pretrain", Pairs(1), tmp_path, new_model(model.config), resume=False)


def test_a_damaged_save_is_named(tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path, steps=4, rows=Pairs(1, at=(STEP, signal.SIGTERM)))
    (file,) = (tmp_path / "resume" / "step-0000002").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"step-0000002: cannot be resumed from .* to start over"):
        run(tmp_path, steps=4)


def test_a_loss_that_is_not_a_number_stops_training(tmp_path):
    model = new_model(settings_of_model())
    with torch.no_grad():
        model.memory.fill_(float("nan"))
    with pytest.raises(Diverged, match="the loss of step 1 is nan"):
        run(tmp_path, model=model)
    assert not (tmp_path / "resume").exists()


class TooLarge(Pairs):
    def __getitem__(self, position):
        raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_device_too_small_is_told_with_what_to_lower(tmp_path):
    with pytest.raises(BackendError, match=r"too small \(CUDA out of memory\.\)\. Lower parallel\.micro_batch"):
        run(tmp_path, rows=TooLarge(1))


def test_what_cannot_be_trained_here_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        run(tmp_path, parallel={"precision": "fp16", "micro_batch": 4})
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="choose another folder"):
        run(tmp_path / "file")


def test_a_stage_that_is_not_in_the_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no stage 'joint' in the config"):
        train(config(settings_of_model(), "pretrain"), "joint", Pairs(1), tmp_path)
