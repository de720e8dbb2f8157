"""Each metric as a module of Hugging Face evaluate."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clara_bench.metrics
from clara_bench.errors import UnknownName
from clara_bench.metrics import get, names

evaluate = pytest.importorskip("evaluate")

PATH = Path(clara_bench.metrics.__file__).with_name("evaluate_module.py")
FACT = {"title": "Rome", "sentence": 0}
TRIPLE = ["Rome", "capital of", "Italy"]
USAGE = {
    "answer": "Rome", "context_positions": 10, "context_text_tokens": 40, "prompt_tokens": 60, "generated_tokens": 2,
    "seconds": {"retrieve": 0.5, "compress": None, "prefill": 1.0, "decode": 0.5},
}  # fmt: skip

Load = Callable[..., Any]


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """`evaluate.load` of our file, with its caches in a folder that goes away, and no network."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(folder / "modules"))
        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        patch.syspath_prepend(folder / "modules")  # before the user's own, which loading other remote code puts there
        yield lambda name, **options: evaluate.load(str(PATH), name, cache_dir=str(folder), **options)


def test_answers_are_compared_with_all_their_references(load: Load):
    found = load("f1").compute(
        predictions=["the Eiffel Tower", "Rome"], references=[["Eiffel Tower", "la tour"], ["Rome city", "Oslo"]]
    )
    assert found == {"f1": pytest.approx((1 + 2 / 3) / 2)}


def test_rankings_are_compared_by_id(load: Load):
    found = load("recall@5").compute(
        predictions=[["p7", "p2"], ["a", "b", "c", "d", "e", "f"]], references=[["p2", "p9"], ["f"]]
    )
    assert found == {"recall@5": 0.25}


def test_passages_are_searched_for_the_answer(load: Load):
    texts = [["He lives in Rome.", "x"], ["y", "Oslo"], []]
    found = load("answer_recall@1").compute(predictions=texts, references=[["rome"], ["Oslo"], ["x"]])
    assert found == {"answer_recall@1": pytest.approx(1 / 3)}


def test_support_evidence_and_joint_scores_load_too(load: Load):
    other = {"title": "Italy", "sentence": 1}
    assert load("support_f1").compute(predictions=[[FACT]], references=[[FACT, other]]) == {
        "support_f1": pytest.approx(2 / 3)
    }
    steps = [[[TRIPLE, ["Roma", "capital of", "Italy"]], [["a", "b", "c"]]]]
    assert load("evidence_recall").compute(predictions=[[TRIPLE]], references=steps) == {"evidence_recall": 0.5}
    prediction = {"answer": "Rome", "support": [{"title": "ROME", "sentence": 0}], "evidences": [TRIPLE]}
    reference = {"answers": ["Rome"], "support": [FACT], "evidences": [[TRIPLE]]}
    for scorer, expected in (("2wiki", 1.0), ("hotpotqa", 0.0)):
        module = load("joint_f1", scorer=scorer)
        assert module.compute(predictions=[prediction], references=[reference]) == {"joint_f1": expected}


def test_costs_need_no_references(load: Load):
    assert load("effective_ratio_micro").compute(predictions=[USAGE]) == {"effective_ratio_micro": 4.0}
    assert load("seconds").compute(predictions=[USAGE]) == {"seconds": 2.0}


def test_the_scorer_can_be_chosen(load: Load):
    def f1(**options: str) -> float:
        return load("f1", **options).compute(predictions=["yes it is"], references=[["yes"]])["f1"]

    assert [f1(), f1(scorer="musique"), f1(scorer="hotpotqa")] == [0.5, 0.5, 0.0]


def test_predictions_can_be_added_in_batches(load: Load):
    module = load("em")
    module.add(prediction="Rome", reference=["Rome"])
    module.add_batch(predictions=["Oslo"], references=[["Rome", "Roma"]])
    assert module.compute() == {"em": 0.5}


INPUTS: dict[str, tuple[Any, Any]] = {
    "answer": ("Rome", ["Rome"]),
    "retrieval": (["p"], ["p"]),
    "answer_recall": (["in Rome"], ["Rome"]),
    "support": ([FACT], [FACT]),
    "evidence": ([TRIPLE], [[TRIPLE]]),
    "joint": ({"answer": "Rome", "support": [FACT], "evidences": [TRIPLE]},
              {"answers": ["Rome"], "support": [FACT], "evidences": [[TRIPLE]]}),
    "group": ({"answer": "Rome", "support": ["p"], "answerable": True, "contrast": False},
              {"answers": ["Rome"], "support": ["p"]}),
    "cost": (USAGE, None),
}  # fmt: skip


@pytest.mark.parametrize("name", [name.replace("@k", "@1") for name in names()])
def test_every_metric_is_a_module_and_perfect_on_a_perfect_prediction(load: Load, name: str):
    metric = get(name)
    word = name.partition("_")[0] if metric.family == "support" else name.partition("@")[0]
    prediction, reference = INPUTS.get(word, INPUTS[metric.family])
    module = load(name)
    given = {"predictions": [prediction]} | ({} if reference is None else {"references": [reference]})
    found = module.compute(**given)
    assert list(found) == [name]
    if name in ("seconds_compress", "usd_per_1000"):  # nobody timed it, nobody gave prices
        assert found[name] is None
    else:
        assert found[name] is not None if metric.family == "cost" else found[name] == 1.0
    assert metric.description == module.description


def test_an_unknown_metric_is_refused_with_the_nearest_name(load: Load):
    with pytest.raises(UnknownName, match="Did you mean 'f1_musique'"):
        load("f1_musiqe")
