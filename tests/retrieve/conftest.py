"""A small encyclopaedia that every retriever test searches, and a cache that each test starts empty."""

from pathlib import Path

import pytest

from clara_bench.types import Passage

FACTS = {
    "oslo": ("Oslo", "Oslo is the capital of Norway and lies at the head of the Oslofjord."),
    "bergen": ("Bergen", "Bergen is a city on the west coast of Norway, known for rain and seven mountains."),
    "grieg": ("Edvard Grieg", "Edvard Grieg was a Norwegian composer born in Bergen, who wrote the Peer Gynt suites."),
    "ibsen": ("Henrik Ibsen", "Henrik Ibsen wrote the play Peer Gynt and lived for many years in Italy."),
    "nansen": ("Fridtjof Nansen", "Fridtjof Nansen was an explorer who drifted across the Arctic Ocean in the Fram."),
    "fram": ("Fram", "Fram is a wooden ship built by Colin Archer for expeditions to the polar regions."),
    "curie": ("Marie Curie", "Marie Curie discovered polonium and radium and won two Nobel Prizes."),
    "radium": ("Radium", "Radium is a radioactive chemical element with atomic number 88."),
    "lisbon": ("Lisbon", "Lisbon is the capital of Portugal, on the estuary of the Tagus."),
    "tagus": ("Tagus", "The Tagus is the longest river of the Iberian Peninsula; it flows into the Atlantic."),
    "bee": ("Honey bee", "Honey bees live in colonies and tell each other by dancing where flowers are."),
    "frisch": ("Karl von Frisch", "Karl von Frisch decoded the dance of the honey bee and shared a Nobel Prize."),
    "blank": ("", "!!!"),
}


@pytest.fixture
def corpus() -> dict[str, Passage]:
    return {key: Passage(key, title, text) for key, (title, text) in FACTS.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
