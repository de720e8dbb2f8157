"""Synthetic encyclopaedias and questions about them, which no model can have memorised.

    from clara_bench.worlds import WorldConfig, generate
    world = generate("hotpotqa", WorldConfig(seed=1, questions=100, passages=2000))
    world.rows, world.corpus        what HotpotQA's own files hold
    world.forms, world.facts(id)    the same in symbolic form

In the order in which a world is made: config, knowledge (what is true), passages (how it is told), questions
(plans, then words), rows and schemas (the raw forms), forms (symbols), world. Then diagnostics (what a guesser
scores), lessons (questions about every fact of a passage: material for training compressors), and scenes
(passages with questions over all of them, without end: for training readers).
"""

from clara_bench.worlds.audit import MARGIN, SHORTCUTS, Finding, audit, practice
from clara_bench.worlds.config import VERSION, WorldConfig
from clara_bench.worlds.diagnostics import coin_flip, coin_flip_line, gate, guesses
from clara_bench.worlds.forms import Fact, Form, Step
from clara_bench.worlds.lessons import Lesson, paraphrase, questions_about
from clara_bench.worlds.scenes.generator import Scenes
from clara_bench.worlds.scenes.scene import Asked, Scene, SceneConfig, Told
from clara_bench.worlds.world import World, generate

__all__ = [
    "MARGIN",
    "SHORTCUTS",
    "VERSION",
    "Asked",
    "Fact",
    "Finding",
    "Form",
    "Lesson",
    "Scene",
    "SceneConfig",
    "Scenes",
    "Step",
    "Told",
    "World",
    "WorldConfig",
    "audit",
    "coin_flip",
    "coin_flip_line",
    "gate",
    "generate",
    "guesses",
    "paraphrase",
    "practice",
    "questions_about",
]
