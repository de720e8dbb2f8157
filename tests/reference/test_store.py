"""The store gives back what the compressor made, survives kills and damage, and refuses another model's memories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from clara_bench import BackendError, ConfigError, DataError
from reference.data.row import Row, Turn
from reference.memory.lookup import Identity, Index
from reference.memory.store import COST, Store
from reference.model.clara import Clara
from reference.model.prompts import memory_block
from reference.objectives.stages import Stage
from reference.settings.config import ROLES, Adapters, Memory, ModelConfig, Selection, TrainConfig

SHARD, DOCUMENTS = 16, 50

BUILDER = """
import os, signal, sys
import msgspec
from transformers import AutoTokenizer
from reference.model.backbone import load
from reference.settings.config import Backbone, Memory, ModelConfig, Scratch
from reference.model.clara import Clara
from reference.memory.store import Store

shape = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")
backbone = load(Backbone(scratch=shape), 0, AutoTokenizer.from_pretrained("tokenizer"))
model = Clara(backbone, ModelConfig(memory=Memory(rate=32, document_tokens=64)), roles=("compressor",))
texts = msgspec.json.decode(open("texts.json", "rb").read())
left, sync = -1, os.fsync

def fsync(handle):  # at this moment a file's bytes are there, its name is not
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)

os.fsync = fsync
print("ready", flush=True)
for line in sys.stdin:
    folder, files = line.split()
    left = int(files)
    Store.create(folder, model).build(model, texts, shard_documents=16)
    print("done", flush=True)
"""


class Builder:
    """Another process that builds stores when told to."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUILDER],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.hear() == "ready\n"

    def build(self, folder: Path, killed_at_file: int = 0) -> None:
        """Tell it to build; it writes store.json first, then shards."""
        self.process.stdin.write(f"{folder} {killed_at_file}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        return self.process.stdout.readline()

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def builder(tokenizer, world_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("builder")
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "texts.json").write_bytes(msgspec.json.encode(world_texts[:DOCUMENTS]))
    running = Builder(folder)
    yield running
    running.stop()


@pytest.fixture
def model(tiny):
    config = ModelConfig(memory=Memory(rate=32, document_tokens=64))
    return Clara(tiny, config, roles=("compressor", "generator"))


@pytest.fixture
def texts(world_texts):
    return world_texts[:DOCUMENTS]


def built(model, folder, texts, precision="bfloat16"):
    store = Store.create(folder, model, precision)
    store.build(model, texts, shard_documents=SHARD)
    return store


def files(folder):
    """Every file of a store but those that say how long compressing took."""
    kept = (path for path in folder.iterdir() if not path.name.startswith(".") and not path.name.endswith(COST))
    return {path.name: path.read_bytes() for path in kept}


def close(left, right):
    """Equal but for the last place of a bfloat16: sums round differently in batches of other shapes."""
    return all(torch.allclose(one.float(), other.float(), 2**-7, 1e-6) for one, other in zip(left, right, strict=True))


def test_25_generating_from_texts_tensors_and_the_store_is_the_same(model, texts, tmp_path):
    documents = texts[:SHARD]
    fresh = [memory.bfloat16() for memory in model.compress(documents)]
    kept = built(model, tmp_path / "store", documents).get(documents)
    assert all(torch.equal(one, other) for one, other in zip(fresh, kept, strict=True))

    prompts = [
        model.prompter.question_prompt(f"Who is {n}?", [memory_block(2), memory_block(2)]) for n in range(SHARD // 2)
    ]

    def generated(memories):
        rows = [torch.cat(memories[row : row + 2]) for row in range(0, SHARD, 2)]
        return [(answer.ids, answer.text) for answer in model.answer(prompts, rows, max_new_tokens=8)]

    one_by_one = [model.compress([text])[0] for text in documents]
    assert close(one_by_one, kept)
    from_store = generated(kept)
    assert any(ids for ids, _ in from_store)
    assert from_store == generated(fresh) == generated(one_by_one)


def test_25_int8_differs_by_half_a_step_at_most(model, texts, tmp_path):
    fresh = model.compress(texts[:SHARD])
    kept = built(model, tmp_path / "store", texts[:SHARD], "int8").get(texts[:SHARD])
    for exact, rounded in zip(fresh, kept, strict=True):
        step = exact.abs().amax(1, keepdim=True) / 127
        assert rounded.dtype == torch.float32
        assert ((exact - rounded).abs() <= step * 0.5001).all()
        assert not torch.equal(exact, rounded)


def test_float32_keeps_every_bit(model, texts, tmp_path):
    kept = built(model, tmp_path / "store", texts[:SHARD], "float32").get(texts[:SHARD])
    assert all(torch.equal(*pair) for pair in zip(model.compress(texts[:SHARD]), kept, strict=True))


def test_memories_of_any_length_come_back_in_the_order_asked_for(tiny, texts, tmp_path):
    config = ModelConfig(memory=Memory(rate=8, document_tokens=64, count="length"))
    model = Clara(tiny, config, roles=("compressor",))
    texts = ["", "One", *texts]
    store = built(model, tmp_path / "store", texts)
    asked = [*reversed(texts), texts[3], texts[3]]
    kept = store.get(asked)
    expected = model.compress(asked)
    assert len({len(memory) for memory in kept}) > 2
    assert [memory.shape for memory in kept] == [memory.shape for memory in expected]
    assert close(kept, expected)


def test_what_is_asked_for_may_be_written_to(model, texts, tmp_path):
    store = built(model, tmp_path / "store", texts[:3])
    before = store.get(texts[:1])[0]
    store.get(texts[:1])[0].zero_()
    assert torch.equal(store.get(texts[:1])[0], before)
    assert store.get(texts[:1], torch.float16)[0].dtype == torch.float16


def test_equal_texts_are_stored_once(model, texts, tmp_path):
    store = Store.create(tmp_path / "store", model)
    twice = [text for text in texts for _ in range(2)] + texts
    done = store.build(model, iter(twice), shard_documents=7)
    assert (done.texts, done.added, len(store)) == (3 * len(texts), len(texts), len(texts))
    again = store.build(model, texts)
    assert (again.added, len(store)) == (0, len(texts))


def test_progress_ends_at_the_number_of_texts(model, texts, tmp_path):
    seen: list[int] = []
    store = Store.create(tmp_path / "store", model)
    store.build(model, [*texts, texts[0]], seen.append, SHARD)
    assert seen == sorted(seen) and seen[-1] == len(texts) + 1
    assert [count for count in seen if count % SHARD == 0]


def test_bytes_per_document_are_those_on_disk(model, texts, tmp_path):
    for precision, number, scale in (("float32", 4, 0), ("bfloat16", 2, 0), ("float16", 2, 0), ("int8", 1, 4)):
        folder = tmp_path / precision
        store = built(model, folder, texts, precision)
        on_disk = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert store.size_bytes == on_disk
        assert store.bytes_per_document == on_disk / len(texts)
        payload = 2 * (32 * number + scale) + 32 + 4 + 8  # two vectors of 32 numbers, key, count, checksum
        headers = 600 * len(list(folder.glob("*.safetensors")))
        assert payload <= store.bytes_per_document <= payload + headers / len(texts)
        assert Store(folder).size_bytes == on_disk


def test_two_builders_at_once_do_not_corrupt(model, texts, tmp_path, builder):
    builder.build(tmp_path / "both")
    built(model, tmp_path / "both", texts)
    assert builder.hear() == "done\n"
    store = Store(tmp_path / "both")
    assert (len(store), store.check()) == (len(texts), [])
    assert close(store.get(texts), model.compress(texts))
    assert not list((tmp_path / "both").glob(".*"))


def test_a_builder_killed_while_writing_resumes_to_the_same_bytes(model, texts, tmp_path, builder):
    built(model, tmp_path / "whole", texts)
    builder.build(tmp_path / "killed", killed_at_file=6)  # the third shard; each has a file of its cost
    assert builder.process.wait(60) == -signal.SIGKILL
    assert len(list((tmp_path / "killed").glob("*.safetensors"))) == 2
    store = Store.create(tmp_path / "killed", model)
    assert len(store) == 2 * SHARD
    done = store.build(model, texts, shard_documents=SHARD)
    assert (done.added, done.rebuilt) == (len(texts) - 2 * SHARD, ())
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*")), "what the kill left is gone with the next writer"


def test_a_second_builder_leaves_out_what_the_first_has_written_meanwhile(model, texts, tmp_path):
    first, second = Store.create(tmp_path / "store", model), Store.create(tmp_path / "store", model)
    first.build(model, texts[:40], shard_documents=SHARD)
    done = second.build(model, texts[20:], shard_documents=SHARD)
    assert done.added == 10
    assert len(Store(tmp_path / "store")) == len(texts)
    assert sum(len(path.read_bytes()) for path in (tmp_path / "store").glob("*.safetensors")) == second.size_bytes


def damage_memory(content):
    content[-5] ^= 0x10


def damage_counts(content):
    length = int.from_bytes(content[:8], "little")
    place = 8 + length + json.loads(content[8 : 8 + length])["counts"]["data_offsets"][0]
    content[place], content[place + 4] = 1, 3  # the sum stays right


def damage_key(content):
    length = int.from_bytes(content[:8], "little")
    content[8 + length + json.loads(content[8 : 8 + length])["keys"]["data_offsets"][0]] ^= 1


def damage_header(content):
    content[12] ^= 0x10


def cut_short(content):
    del content[-100:]


def emptied(content):
    content.clear()


@pytest.mark.parametrize(
    "damage", [damage_memory, damage_counts, damage_key, damage_header, cut_short, emptied], ids=lambda do: do.__name__
)
def test_a_damaged_shard_is_named_and_rebuilt(model, texts, tmp_path, damage):
    built(model, tmp_path / "store", texts)
    before = files(tmp_path / "store")
    path = sorted((tmp_path / "store").glob("*.safetensors"), key=lambda path: path.stat().st_size)[-1]
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)

    store = Store(tmp_path / "store")
    assert store.check() == [path.name]
    with pytest.raises(DataError, match=path.name):
        store.get(texts)
    done = store.build(model, texts, shard_documents=SHARD)
    assert (done.rebuilt, done.added) == ((path.name,), SHARD)
    assert files(tmp_path / "store") == before
    assert store.check() == [] and not store.damaged
    assert len(store.get(texts)) == len(texts)


def test_another_compressor_rate_or_precision_is_refused(tiny, model, texts, tmp_path):
    built(model, tmp_path / "store", texts[:2])
    finer = Clara(tiny, ModelConfig(memory=Memory(rate=16, document_tokens=64)), roles=("compressor",))
    trained = Clara(tiny, model.config, roles=("compressor",))
    with torch.no_grad():
        next(parameter for parameter in trained.roles.parameters() if parameter.requires_grad).add_(1e-3)
    for other, reason in ((finer, "rate 32, not 16"), (trained, "fingerprint")):
        with pytest.raises(ConfigError, match=reason):
            Store.create(tmp_path / "store", other)
        with pytest.raises(ConfigError, match=reason):
            Store(tmp_path / "store").build(other, texts)
    with pytest.raises(ConfigError, match="keeps bfloat16, not int8"):
        Store.create(tmp_path / "store", model, "int8")
    assert len(Store(tmp_path / "store")) == 2


def test_full_copies_and_adapters_have_stores_of_their_own(tiny, model):
    copies = Clara(tiny, ModelConfig(memory=model.config.memory, adapters=Adapters(kind="full")), roles=("compressor",))
    assert Identity.of(copies) != Identity.of(model)


def test_a_missing_document_is_an_error_that_shows_it(model, texts, tmp_path):
    store = built(model, tmp_path / "store", texts[:2])
    with pytest.raises(DataError, match=r"1 of 3 documents are not stored, such as 'Nowhere"):
        store.get([texts[0], "Nowhere\nis not here", texts[1]])
    assert texts[0] in store and "Nowhere" not in store
    assert store.get([]) == []


def test_a_folder_without_a_store_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Store(tmp_path)
    (tmp_path / "store.json").write_text('{"schema": 2}')
    with pytest.raises(DataError, match=r"store\.json: .* Build the store first"):
        Store(tmp_path)


def test_an_unwritable_folder_is_an_error_without_a_traceback(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot write"):
        Store.create(tmp_path / "file", model)


def test_numbers_that_are_not_finite_are_refused(model, texts, tmp_path):
    with torch.no_grad():
        model.memory[1, 3] = float("nan")
    store = Store.create(tmp_path / "store", model)
    with pytest.raises(DataError, match="number that bfloat16 cannot"):
        store.build(model, texts)
    assert not list((tmp_path / "store").glob("*.safetensors"))
    with pytest.raises(ConfigError, match="shard_documents is 0"):
        store.build(model, texts, shard_documents=0)


def test_many_documents_are_found_without_a_dictionary_of_all(model, tmp_path):
    keys = [number.to_bytes(32, "little") for number in range(70_000)] + [b"\0" * 31 + b"x", b"x" + b"\0" * 31]
    index = Index()
    index.add(keys[:69_990], 0)
    index.add(keys[69_000:], 69_000)
    assert len(index._keys) > 60_000
    assert len(index) == len(set(keys))
    assert (index.find(keys)[:70_000] == range(70_000)).all()
    assert index.find([b"y" * 32, b"x" * 32]).tolist() == [-1, -1]


def test_joint_training_reads_from_the_store_as_if_it_compressed_by_itself(tiny, texts, tmp_path):
    def loss_and_gradient(precision):
        model = Clara(tiny, ModelConfig(memory=Memory(rate=32, document_tokens=64)), roles=ROLES)
        store = built(model, tmp_path / precision, texts, precision) if precision else None
        selection = Selection(k=2)
        stage = Stage(model, TrainConfig(stage="joint", selection=selection), store.get if store else None).eval()
        result = stage(rows)
        result.cross_entropy.total.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        return result.cross_entropy.total.item(), torch.cat([gradient.flatten() for gradient in gradients])

    rows = [Row(str(n), tuple(texts[n : n + 5]), (Turn("Who was born?", "Nobody"),)) for n in range(4)]
    loss, gradient = loss_and_gradient("")
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.02), ("int8", 0.02)):
        stored_loss, stored_gradient = loss_and_gradient(precision)
        assert stored_loss == pytest.approx(loss, rel=tolerance)
        assert torch.nn.functional.cosine_similarity(gradient, stored_gradient, dim=0) > 1 - tolerance
