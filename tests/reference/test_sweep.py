"""Sweeps: which trainings they are made of, in which order, and the table of what their logs say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp, ttest_ind

from clara_bench import ConfigError
from reference.settings.config import Config, load
from reference.settings.shipped import config_file
from reference.sweeps import differences
from reference.sweeps.cells import cells, config_of
from reference.sweeps.table import HEAD, table

TWO = {"sweep": {"stages": ["five"], "estimators": ["gates", "reinforce"], "seeds": [0, 1]}}


def small() -> Config:
    return load(config_file("estimators"), TWO)


def test_every_estimator_has_the_first_seed_before_any_has_the_second():
    names = [(cell.rate, cell.estimator, cell.seed) for cell in cells(small())]
    assert names[:4] == [(16, "gates", 0), (16, "reinforce", 0), (16, "gates", 1), (16, "reinforce", 1)]
    assert {rate for rate, *_ in names[4:]} == {8} and len(names) == 8


def test_cells_differ_in_rate_estimator_and_seed_alone():
    whole = load(config_file("estimators"))
    made = [(cell, config_of(whole, cell)) for cell in cells(whole)]
    assert len(made) == 2 * 2 * 3 * len(whole.sweep.estimators)
    for cell, own in made:
        settings = own.stages[cell.stage]
        assert own.model.memory.rate == cell.rate and settings.start == whole.sweep.starts[str(cell.rate)]
        assert (settings.selection.estimator, settings.seed) == (cell.estimator, cell.seed)
        assert own.data[cell.stage]["seed"] == cell.seed
        assert settings.freeze == ("generator",) and settings.selection.draws == "set"
    same = {(own.stages[cell.stage].steps, own.stages[cell.stage].batch, own.stages[cell.stage].optimiser)
            for cell, own in made}  # fmt: skip
    assert len(same) == 1


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"estimators": []}, "sweep.estimators is empty"),
        ({"stages": ["choose"]}, "'choose' has no estimator. Expected stages of type 'joint'"),
        ({"stages": ["six"]}, "no stage 'six'"),
        ({"starts": {"fast": "tiny-8x"}}, "'fast' is no rate"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused(changes: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        list(cells(load(config_file("estimators"), {"sweep": changes})))


def log(out: Path, name: str, *lines: dict) -> None:
    (out / name).mkdir(parents=True)
    (out / name / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "ha')


def scores(em: float, first: float, fifth: float) -> dict[str, float]:
    return {"score": em, "em": em, "recall@1": first, "recall@5": fifth}


def test_the_table_has_means_and_ranges_over_the_trainings_that_reached_a_step(tmp_path: Path):
    step = {"loss": 1.0, "seconds": 2.0, "cpu_seconds": 0.5}
    first = {"step": 25, "evaluation": scores(0.2, 0.3, 0.5)}
    log(tmp_path, "16x-five-gates-0", {"step": 1, **step}, {"step": 25, **step}, first,
        {"step": 50, "evaluation": scores(0.4, 0.3, 0.5)})  # fmt: skip
    log(
        tmp_path,
        "16x-five-gates-1",
        {"step": 1, **step, "seconds": 5.0},
        {"step": 25, "evaluation": scores(0.3, 0.5, 0.7)},
    )
    (tmp_path / "16x-five.start.json").write_text(json.dumps(scores(0.1, 0.2, 0.4)))
    quality = {"cosine": 0.488, "auc": None, "raised": 1.0, "questions": 8}
    (tmp_path / "16x-five.gradients.json").write_text(json.dumps({"exact swap": quality, "gates": quality}))
    assert len(HEAD) == 12
    assert table(small(), tmp_path) == [
        ["16", "five", "start", "0", "", "0.200", "0.400", "0.100", "", "", "", ""],
        ["16", "five", "gates", "25", "2", "0.400 (0.30 to 0.50)", "0.600 (0.50 to 0.70)", "0.250 (0.20 to 0.30)",
         "3.00", "0.50", "0.49", ""],
        ["16", "five", "gates", "50", "1", "0.300", "0.500", "0.400", "3.00", "0.50", "0.49", ""],
    ]  # fmt: skip


def test_a_sweep_without_a_training_has_an_empty_table(tmp_path: Path):
    assert table(small(), tmp_path) == []


def test_estimators_are_compared_over_trainings_after_the_last_step_that_all_reached(tmp_path: Path):
    for estimator, ems in {"gates": (0.30, 0.34), "reinforce": (0.50, 0.52)}.items():
        for seed, em in enumerate(ems):
            log(tmp_path, f"16x-five-{estimator}-{seed}", {"step": 25, "evaluation": scores(em, em, 0.5)},
                *([{"step": 50, "evaluation": scores(0.9, 0.9, 0.9)}] if estimator == "gates" else []))  # fmt: skip
    em = next(one for one in differences.differences(small(), tmp_path) if one.score == "em")
    expected = ttest_ind([0.50, 0.52], [0.30, 0.34], equal_var=False)
    assert (em.estimator, em.baseline) == ("reinforce", "gates")
    assert em.mean == pytest.approx(0.19) and em.p == pytest.approx(expected.pvalue)
    assert em.low < em.mean < em.high
    rows = differences.table(small(), tmp_path)
    assert [row[4] for row in rows] == ["recall@1", "EM"]  # recall@5 never differs
    assert float(rows[1][7]) >= em.p and len(rows[0]) == len(differences.HEAD)


def test_over_rates_trainings_of_one_rate_and_seed_are_compared_with_each_other(tmp_path: Path):
    config = load(config_file("estimators"), {"sweep": {"stages": ["five"], "estimators": ["gates", "reinforce"]}})
    ends = {"gates": {16: (0.30, 0.34), 8: (0.60, 0.66)}, "reinforce": {16: (0.35, 0.36), 8: (0.62, 0.70)}}
    for estimator, rates in ends.items():
        for rate, ems in rates.items():
            for seed, em in enumerate(ems):
                found = {"step": 25, "evaluation": scores(em, 0.5, 0.5)}
                log(tmp_path, f"{rate}x-five-{estimator}-{seed}", found)
    (em,) = differences.paired(config, tmp_path)
    expected = ttest_1samp([0.05, 0.02, 0.02, 0.04], 0)
    assert (em.rate, em.estimator, em.score) == ("16 and 8", "reinforce", "em")
    assert em.mean == pytest.approx(0.0325) and em.p == pytest.approx(expected.pvalue)
    assert differences.paired_table(config, tmp_path)[0][-1] == "higher"


def test_one_training_says_nothing_of_an_estimator(tmp_path: Path):
    for estimator in ("gates", "reinforce"):
        log(tmp_path, f"16x-five-{estimator}-0", {"step": 25, "evaluation": scores(0.3, 0.3, 0.5)})
    assert differences.table(small(), tmp_path) == []
