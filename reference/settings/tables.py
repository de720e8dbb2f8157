"""The tables [data.NAME] of a config: data sources of a stage's rows, with typed keys.

    text, instruct                  `Readings`: one to five passages, several questions over all of them
    pretrain                        `Studies`: one passage; simple questions, complex ones, a paraphrase, or itself
    joint, supervised, reinforce    `Choices`: one question, 20 candidates, and which of them it needs

or, for any stage, `File`, and for all but pretrain `Official`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from clara_bench import ConfigError
from clara_bench.io.parsing import convert
from clara_bench.worlds import VERSION

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
WorldVersion = Annotated[int, msgspec.Meta(ge=1, le=VERSION)]
Chain = Literal["none", "values", "titles"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Any of these tables."""


class File(Table, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of rows (see data/paper_forms.py)."""

    path: str
    together: bool = False
    """Make one row of lines that follow each other with the same id and documents."""


class Official(Table, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A data set's own training file."""

    official: str
    """Its path."""


class Worlds(Table, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which worlds rows are made from, and what a target holds."""

    seed: int = 0
    worlds: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    """Number of different worlds, repeated with new questions; 0: an endless sequence of new worlds."""
    rows_per_world: Count = 4000
    """Consecutive rows from one world."""
    passages: Count = 2000
    """Of each world."""
    tier: Literal["easy", "hard"] = "hard"
    split: Literal["train", "dev"] = "train"
    """Names of dev worlds never occur in train worlds; use dev for evaluation."""
    version: WorldVersion = 1
    """Of the worlds; see `clara_bench.worlds.WorldConfig`."""
    chain: Chain = "none"
    """What `Turn.chain` holds. values: what is found out before the answer, "Ann Lee ; 1960" or, where two are
    compared, "1960 , 1972 ; <". titles: every fact with the passage it is from, "Ann Lee : 1960"."""


class Readings(Worlds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Several passages and questions over all of them; see `clara_bench.worlds.SceneConfig`."""

    documents: tuple[Weight, ...] = (1, 1, 1, 1, 1)
    """Weight of one passage, of two, and so on."""
    questions: Count = 6
    first: dict[str, Weight] | None = None
    further: dict[str, Weight] | None = None
    others: dict[str, Weight] | None = None
    contested: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7


class Studies(Worlds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One passage: the three kinds of the paper's salient compressor pretraining."""

    questions: Count = 6
    """Maximum number per row."""
    simple: Weight = 1.0
    """Weight of rows with questions for one fact each."""
    complex: Weight = 1.0
    """Weight of rows with questions about two facts, or about a fact that depends on another one."""
    paraphrase: Weight = 1.0
    """Weight of rows whose target is a paraphrase of the passage."""
    reconstruction: Weight = 0.0
    """Weight of rows whose target is the passage itself: what auto-encoding compressors learn (ICAE, COCOM)."""

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """Of simple and complex questions, paraphrases and reconstructions."""
        return self.simple, self.complex, self.paraphrase, self.reconstruction


class Choices(Worlds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question and its candidates."""

    candidates: Count = 20
    first: dict[str, Weight] | None = None
    """Weight of each kind of question; see `clara_bench.worlds.SceneConfig`."""


OPTIONS: dict[str, type[Worlds]] = {
    "text": Readings,
    "pretrain": Studies,
    "instruct": Readings,
    "joint": Choices,
    "supervised": Choices,
    "reinforce": Choices,
}


def read_table(stage: str, table: Mapping[str, Any], where: str) -> Table:
    """Parse a table for a kind of stage.

    Raises:
        ConfigError: an unknown stage or key, or a value of the wrong type or out of range; begins with `where`.
    """
    if stage not in OPTIONS:
        raise ConfigError(f"{where}: no such stage. Known: {', '.join(OPTIONS)}")
    kind: type[Table] = File if "path" in table else Official if "official" in table else OPTIONS[stage]
    if kind is Official and stage == "pretrain":
        raise ConfigError(f"{where}: official files hold no rows for pretraining. Give a path, or options of worlds")
    return convert(dict(table), kind, where, error=ConfigError)
