"""Made-up encyclopaedias with questions over them, which nobody can have memorised.

    from clara_bench.worlds import WorldConfig, generate
    world = generate("hotpotqa", WorldConfig(seed=1, questions=100, passages=2000))
    world.rows, world.corpus        what HotpotQA's own files hold
    world.forms, world.facts(id)    the same in symbols

Modules, in the order in which a world is made: config, draw (seeded choices), names, ontology (types and
relations), encyclopaedia and facts (what is true), templates and prose (passages), plans, chains and
comparisons (questions before they have words), phrases and asking (words), candidates, rows and schemas
(the raw forms), forms (symbols), world; then diagnostics (what a guesser scores; a test of reading),
lessons (questions about every fact of a passage, and paraphrases: material for training compressors), and
scene, further, complexes and scenes (passages with questions over all of them, without end: for training readers).
"""

from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.diagnostics import coin_flip, coin_flip_line, gate
from clara_bench.worlds.forms import Fact, Form, Step
from clara_bench.worlds.lessons import Lesson, paraphrase, questions_about
from clara_bench.worlds.scenes.generator import Scenes
from clara_bench.worlds.scenes.scene import Asked, Scene, SceneConfig, Told
from clara_bench.worlds.world import World, generate

__all__ = [
    "Asked",
    "Fact",
    "Form",
    "Lesson",
    "Scene",
    "SceneConfig",
    "Scenes",
    "Step",
    "Told",
    "World",
    "WorldConfig",
    "coin_flip",
    "coin_flip_line",
    "gate",
    "generate",
    "paraphrase",
    "questions_about",
]
