from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clara_bench import ConfigError
from clara_bench.components.registry import Component, create, discover, effective_options, load, parse_options, sharing
from clara_bench.errors import UnknownName


class Sample:
    @dataclass(frozen=True, slots=True)
    class Options:
        required: str
        k: int = 5
        rate: float = 0.5
        loud: bool = False
        ratio: float | None = None
        retriever: Component = Component("bm25")
        compressor: Component | None = None
        tags: tuple[str, ...] = field(default=())

        def __post_init__(self) -> None:
            if self.k < 1:
                raise ValueError(f"k must be at least 1, got {self.k}")


def parse(**given: str) -> Sample.Options:
    options: Sample.Options = parse_options(Sample, {key.replace("__", "."): v for key, v in given.items()}, "sample")
    return options


def test_options_are_read_from_text_by_their_types() -> None:
    options = parse(required="x", k="7", rate="0.25", loud="true", ratio="4")
    assert (options.required, options.k, options.rate, options.loud, options.ratio) == ("x", 7, 0.25, True, 4.0)
    assert parse(required="x", ratio="none").ratio is None


def test_a_dotted_option_reaches_the_nested_component() -> None:
    options = parse(required="x", retriever="dense", retriever__model="m", retriever__batch_size="8")
    assert options.retriever == Component("dense", {"model": "m", "batch_size": "8"})
    assert parse(required="x", retriever__k1="1.2").retriever == Component("bm25", {"k1": "1.2"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"required": "x", "kk": "1"}, "sample: unknown option 'kk'. Did you mean 'k'?"),
        ({"required": "x", "k": "many"}, "option 'k': expected int"),
        ({"required": "x", "k": "0"}, "sample: k must be at least 1, got 0"),
        ({"k": "1"}, "option 'required' is required: add -o required=VALUE"),
        ({"required": "x", "k.a": "1"}, "option 'k' is not a component"),
        ({"required": "x", "compressor.rate": "2"}, "no compressor is chosen: add -o compressor=NAME"),
        ({"required": "x", "retriver.model": "m"}, "unknown option 'retriver'. Did you mean 'retriever'?"),
    ],
)
def test_a_wrong_option_says_what_and_how_to_mend_it(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_options(Sample, given, "sample")
    assert message in str(caught.value)


def test_a_component_without_options_refuses_them() -> None:
    class Plain:
        pass

    assert parse_options(Plain, {}, "plain") is None
    with pytest.raises(ConfigError, match="plain takes no options, got: k"):
        parse_options(Plain, {"k": "1"}, "plain")


def test_effective_options_resolve_nested_defaults() -> None:
    options = effective_options("system", Component("rag", {"k": "3", "retriever.k1": "0.9"}))
    assert options["k"] == 3
    assert options["retriever"]["name"] == "bm25"
    assert options["retriever"]["options"]["k1"] == 0.9
    assert options["compressor"] is None
    assert "model" in options["reader"]["options"]


def test_an_unknown_name_comes_with_the_nearest_known() -> None:
    with pytest.raises(UnknownName, match=r"unknown system 'ragg'\. Did you mean 'rag'\?"):
        load("system", "ragg")


def test_every_registered_component_imports() -> None:
    kinds = ("system", "retriever", "compressor", "reader")
    assert all(isinstance(load(kind, name), type) for kind in kinds for name in discover(kind))


def test_a_plugin_file_that_breaks_says_why(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import no_such_module_here\n")
    with pytest.raises(ConfigError, match="does not import: ModuleNotFoundError"):
        load("system", f"{file}:Any")
    with pytest.raises(ConfigError, match="no such file"):
        load("system", f"{tmp_path}/absent.py:Any")
    file.write_text("class Mine: pass\n")
    with pytest.raises(UnknownName, match=r"unknown class 'Mime'\. Did you mean 'Mine'\?"):
        load("system", f"{file}:Mime")


def test_a_module_beside_a_plugin_file_is_told_how_to_be_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import beside_mine.part\nclass Mine: pass\n")
    (tmp_path / "beside_mine.py").write_text("")
    with pytest.raises(ConfigError, match=f"cannot import 'beside_mine', which is beside it .* PYTHONPATH={tmp_path}"):
        load("system", f"{tmp_path / 'mine.py'}:Mine")


def test_shared_components_are_built_once_and_only_within_the_block(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text("class One: pass\n")
    chosen = Component(f"{file}:One")
    with sharing("reader"):
        assert create("reader", chosen) is create("reader", chosen)
        assert create("retriever", chosen) is not create("retriever", chosen)
    assert create("reader", chosen) is not create("reader", chosen)


@pytest.mark.parametrize("raised", ["SystemExit(3)", "GeneratorExit()", "type('Odd', (BaseException,), {})('no')"])
def test_whatever_a_plugin_raises_is_a_message_and_ctrl_c_is_not(tmp_path: Path, raised: str) -> None:
    (tmp_path / "odd.py").write_text(f"raise {raised}")
    with pytest.raises(ConfigError, match=r"does not import: (SystemExit|GeneratorExit|Odd)"):
        load("system", f"{tmp_path / 'odd.py'}:Odd")
    (tmp_path / "stopped.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("system", f"{tmp_path / 'stopped.py'}:Odd")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"rate": "nan"}, "option 'rate': expected a finite number"),
        ({"ratio": "-inf"}, "option 'ratio': expected a finite number"),
        ({"k": "9" * 30}, "option 'k': expected a number of at most 64 bits"),
    ],
)
def test_a_number_that_no_manifest_can_hold_is_refused(option: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_options(Sample, {"required": "x", **option}, "sample")
