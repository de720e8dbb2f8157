"""The attention cache is found under both of its names, whichever version of transformers is installed."""

from __future__ import annotations

from typing import Any

import pytest

from clara_bench.read.attention import keeps_cache, kept, passed


class Named:
    def forward(self, input_ids: Any, cache: Any = None) -> None: ...


class NamedOnce:
    def forward(self, input_ids: Any, past_key_values: Any = None) -> None: ...


class StateSpace:
    _is_stateful = True

    def forward(self, input_ids: Any, cache: Any = None) -> None: ...


class Hybrid(StateSpace):
    def forward(self, input_ids: Any, cache: Any = None, position_ids: Any = None) -> None: ...


class Without:
    def forward(self, input_ids: Any, cache_params: Any = None) -> None: ...


@pytest.mark.parametrize(("kind", "name"), [(Named, "cache"), (NamedOnce, "past_key_values"), (Hybrid, "cache")])
def test_a_cache_goes_in_under_the_name_that_the_model_takes(kind: type, name: str) -> None:
    assert keeps_cache(kind())
    assert passed(kind(), "held") == {name: "held"}


@pytest.mark.parametrize("kind", [StateSpace, Without])
def test_a_model_without_an_attention_cache_is_known(kind: type) -> None:
    assert not keeps_cache(kind())


def test_a_cache_comes_out_under_either_name() -> None:
    class Output:
        def __init__(self, **fields: Any) -> None:
            self.__dict__ |= fields

    assert kept(Output(cache="held")) == kept(Output(past_key_values="held")) == "held"
