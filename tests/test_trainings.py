"""Several trainings of a system are one row, and a claim about a method needs trainings of both."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from clara_bench import metrics
from clara_bench.cli import main
from clara_bench.errors import ConfigError
from clara_bench.metrics.differences import of_methods, over_tasks
from clara_bench.metrics.statistics import Column
from clara_bench.records.results import Run, find_runs
from clara_bench.records.trainings import grouped
from clara_bench.reporting import comparison, leaderboard, pairs, views
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.scored import Remembering, Scorer
from clara_bench.statistics.trainings import methods, spread

ROOT = Path(__file__).parent.parent
LATENTS = ROOT / "results" / "latents" / "nq"


@pytest.fixture(scope="module")
def latents() -> list[Run]:
    """The published trainings of three compressors, over NQ's gold passages."""
    names = ("gold-salient", "gold-cocom", "gold-pooled", "gold-icae")
    return [run for run in find_runs(LATENTS) if run.manifest["system"]["label"].startswith(names)]


def column(values: list[float], name: str = "em") -> Column:
    return Column(metrics.get(name), values, [1.0] * len(values), len(values), 0, None)


def test_published_trainings_that_differ_in_a_seed_are_one_system_and_other_recipes_are_not(latents) -> None:
    found = {one.label: [run.manifest["system"]["label"] for run in one.runs] for one in grouped(latents)}
    assert found["gold-cocom"] == ["gold-cocom", "gold-cocom-seed1", "gold-cocom-seed2"]
    assert {label: len(runs) for label, runs in found.items()} == {
        "gold-cocom": 3, "gold-icae": 1, "gold-pooled": 3, "gold-salient": 3, "gold-salient-no-mse": 1,
        "gold-salient-simple": 1,
    }  # fmt: skip
    assert all(len(one.runs) == 1 for one in grouped(latents, "run"))


def changed(run: Run, label: str, **options: object) -> Run:
    system = run.manifest["system"]
    told = {**system, "label": label, "options": {**system["options"], **options}}
    return Run(run.path / label / str(options), {**run.manifest, "system": told})  # type: ignore[typeddict-item]


def test_draws_with_other_seeds_are_one_system_and_other_weights_under_one_label_are_not(latents) -> None:
    run = latents[0]
    assert len(grouped([changed(run, "a", seed=seed) for seed in (0, 1, 2)])) == 1
    assert len(grouped([changed(run, "a", checkpoint=name) for name in "xy"])) == 2
    assert len(grouped([changed(run, "a", checkpoint=name) for name in "xy"], "label")) == 1
    assert len(grouped([changed(run, "a", k=5), changed(run, "a-seed1", k=6)])) == 2
    assert len(grouped([run, replace(run, path=run.path / "again")])) == 2  # nothing says what differs


def test_a_leaderboard_shows_trainings_as_one_row_with_both_variances_apart(latents) -> None:
    [board] = leaderboard.boards(latents, ["em"])
    row = next(row for row in board.rows if row.label == "gold-salient")
    apart = [row.metrics["em"].mean for row in leaderboard.boards(latents, ["em"], by="run")[0].rows
             if row.label.startswith("gold-salient") and row.label[-1] in "t12"]  # fmt: skip
    assert row.metrics["em"].mean == pytest.approx(fmean(apart))
    assert (row.spread["em"].lowest, row.spread["em"].highest) == (min(apart), max(apart))
    assert row.metrics["em"].ci95 != row.spread["em"].ci95
    [table] = views.tables([board], views.View(columns=("em",)))
    shown = next(line[1].text for line in table.groups[0].rows if line[0].text == "gold-salient (3 seeds)")
    assert re.fullmatch(r"93\.7 (±\d\.\d|\(.*\)) \[90\.0–95\.6\]", shown)
    assert views.SEEDS in views.notes([table])


def test_the_spread_over_trainings_is_student_s() -> None:
    means = [0.652, 0.702, 0.736]
    low, high = stats.t.interval(0.95, 2, fmean(means), stats.sem(means))
    assert spread(means).ci95 == pytest.approx((low, high))


def test_trainings_alone_are_compared_as_welch_does_and_questions_add_their_variance() -> None:
    one, other = [0.64, 0.70, 0.74], [0.60, 0.61, 0.66, 0.59]
    found = methods(one, other, 0.0, 500)
    welch = stats.ttest_ind(other, one, equal_var=False)
    low, high = welch.confidence_interval()
    assert found.p == pytest.approx(welch.pvalue)
    assert found.ci95_trainings == pytest.approx((low, high))
    wider = methods(one, other, 0.02, 500)
    assert wider.ci95_trainings == found.ci95_trainings
    assert wider.ci95[1] - wider.ci95[0] > 2 * 1.96 * 0.02
    assert wider.p > found.p


def test_false_claims_about_methods_are_at_most_one_in_twenty() -> None:
    """Three trainings each of two methods that do not differ, on questions that differ in difficulty."""
    dice = np.random.default_rng(0)
    found = []
    for _ in range(300):
        hard = dice.beta(2, 2, 200)
        sides = [[np.clip(hard + dice.normal(0, 0.05), 0, 1) for _ in range(3)] for _ in range(2)]
        drawn = [[column((dice.random(200) < p).astype(float).tolist()) for p in side] for side in sides]
        less = of_methods(*drawn, [str(n) for n in range(200)])
        found.append(less.p is not None and less.p < 0.05)
    assert fmean(found) <= 0.07


def test_one_training_against_several_says_nothing_of_the_method_and_the_table_says_so(latents) -> None:
    root = str(LATENTS)
    both = CliRunner().invoke(main, ["compare", "gold-salient", "gold-cocom", "--root", root, "-m", "em", "--wide"])
    assert both.exit_code == 0, both.output
    assert "gold-cocom (3 seeds)" in both.output
    assert "over trainings" in both.output
    uneven = CliRunner().invoke(main, ["compare", "gold-salient", "gold-icae", "--root", root, "-m", "em"])
    assert "say nothing of the method" in " ".join(uneven.output.split())
    words = ["compare", "gold-salient", "gold-cocom", "--root", root, "-m", "em", "--group-by", "run", "--json"]
    [alone] = json.loads(CliRunner().invoke(main, words).output).values()
    assert alone["em"]["trainings"] == [1, 1]
    assert alone["em"]["ci95_trainings"] is None


def test_means_over_tasks_are_compared_with_a_stratified_interval(latents) -> None:
    root = str(ROOT / "results")
    words = ["compare", "gold-truncate-4x", "gold-random-drop-4x", "--root", root, "-m", "f1", "--over-tasks", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    [(name, found)] = json.loads(done.output).items()
    assert name == "gold/gold-random-drop-4x over 2wikimultihopqa+hotpotqa+musique+nq"
    each = [
        compare(*(next(r for r in find_runs(ROOT / "results" / task) if r.manifest["system"]["label"] == label)
                  for label in ("gold-truncate-4x", "gold-random-drop-4x")), ["f1"])["f1"]
        for task in ("nq", "hotpotqa", "musique", "2wikimultihopqa")
    ]  # fmt: skip
    assert found["f1"]["mean"] == pytest.approx(fmean(one.mean for one in each))
    assert found["f1"]["n"] == 400
    assert found["f1"]["ci95"][1] - found["f1"]["ci95"][0] < min(one.ci95[1] - one.ci95[0] for one in each if one.ci95)


def test_tasks_of_other_sizes_count_the_same_in_a_test_over_tasks() -> None:
    small, large = [1.0] * 12 + [0.0] * 8, [0.0] * 400
    pairs = [([column([0.0] * 20)], [column(small)]), ([column(large)], [column(large)])]
    found = over_tasks(pairs)
    assert found.mean == pytest.approx(0.3)
    assert found.p == pytest.approx(2 * 0.5**12)


def test_means_over_one_task_are_refused() -> None:
    with pytest.raises(ConfigError, match="no system was compared on several tasks"):
        pairs.over_tasks([], pairs.Way(Scorer()))


def test_questions_that_need_one_passage_count_as_one_observation(latents) -> None:
    runs = [next(run for run in latents if run.manifest["system"]["label"] == name)
            for name in ("gold-salient", "gold-icae")]  # fmt: skip
    one, other = ([system] for system in grouped(runs))
    scorer = Remembering(Scorer())
    alone, together = (
        comparison.compare_systems(one[0], other[0], ["em"], scorer, by_passage)["em"] for by_passage in (False, True)
    )
    assert alone.mean == together.mean
    assert alone.ci95 != together.ci95
    shared = scorer(runs[0], ["em"]).shared
    assert 1 < len(set(shared)) < len(shared)
    needed: dict[str, set[int]] = {}
    for example, label in zip(runs[0].examples, shared, strict=True):
        for passage_id in example.gold.supporting:
            needed.setdefault(passage_id, set()).add(label)
    assert all(len(labels) == 1 for labels in needed.values())


def test_a_copied_question_moves_no_interval_when_questions_are_clustered() -> None:
    values = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    once = Column(metrics.get("em"), values, [1.0] * 8, 8, 0, list(range(8)))
    twice = Column(metrics.get("em"), values * 2, [1.0] * 16, 16, 0, list(range(8)) * 2)
    assert once.summary().ci95 == pytest.approx(twice.summary().ci95)
