"""What cannot be loaded safely is refused with one line; what can is told apart by its content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from clara_bench.errors import BackendError
from clara_bench.read import models
from clara_bench.read.models import DEFAULT_MODEL, find, load_tokenizer, load_weights


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_folder_is_known_by_its_content(tiny_folder: Path, copied: Path) -> None:
    original = find(str(tiny_folder))
    assert find(str(copied)).fingerprint == original.fingerprint
    (copied / "generation_config.json").write_text("{}")
    assert find(str(copied)).fingerprint != original.fingerprint


@pytest.fixture
def adapter(copied: Path, tmp_path: Path) -> Path:
    """A folder as PEFT writes it, with the base that it names."""
    folder = Path(shutil.copytree(copied, tmp_path / "adapter"))
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(copied), "revision": None}))
    return folder


def test_an_adapter_is_known_by_its_base_too(adapter: Path, copied: Path) -> None:
    before = find(str(adapter)).fingerprint
    assert find(str(adapter)).fingerprint == before
    (copied / "generation_config.json").write_text("{}")
    assert find(str(adapter)).fingerprint != before


def test_an_adapter_of_an_adapter_and_one_without_its_base_are_refused(adapter: Path, copied: Path) -> None:
    shutil.copy(adapter / "adapter_config.json", copied)
    with pytest.raises(BackendError, match=r"is an adapter of .* which is an adapter too"):
        find(str(adapter))
    shutil.rmtree(copied)
    with pytest.raises(BackendError, match="no such file or folder"):
        find(str(adapter))


def test_code_that_comes_with_a_model_counts_where_it_may_run(copied: Path) -> None:
    (copied / "parts").mkdir()
    (copied / "parts" / "layers.py").write_text("one")
    before = find(str(copied), code=True).fingerprint, find(str(copied)).fingerprint
    (copied / "parts" / "layers.py").write_text("two")
    after = find(str(copied), code=True).fingerprint, find(str(copied)).fingerprint
    assert after[0] != before[0] and after[1] == before[1]


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "nowhere", "a/b/c", "x/model.gguf", "~/nowhere"])
def test_a_path_that_is_not_there_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(BackendError, match="no such file or folder"):
        find(name)


def test_pickled_weights_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    torch.save({}, copied / "pytorch_model.bin")
    with pytest.raises(BackendError, match=r"pickled weights only \(pytorch_model.bin\).*safe_serialization"):
        find(str(copied))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no weights: expected"):
        find(str(tmp_path))


def test_a_folder_that_lacks_a_shard_is_refused(copied: Path) -> None:
    (copied / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2-of-2.safetensors"}}')
    with pytest.raises(BackendError, match="no weights"):
        find(str(copied))


def test_damaged_weights_are_named(copied: Path) -> None:
    with (copied / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(BackendError, match=r"model .*cannot load a causal language model: "):
        load_weights(find(str(copied)), torch.float32)


def test_a_model_without_a_tokenizer_is_named(copied: Path) -> None:
    for file in copied.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(BackendError, match="cannot load a tokenizer"):
        load_tokenizer(find(str(copied)))


def test_code_that_comes_with_a_model_needs_the_users_word(copied: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config"}}')
    (copied / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(BackendError, match="trust_remote_code"):
        load_weights(find(str(copied)), torch.float32)


def test_a_model_that_is_no_causal_language_model_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(BackendError, match="cannot load a causal language model"):
        load_weights(find(str(copied)), torch.float32)


def test_a_state_space_model_is_refused(tmp_path: Path, build: Callable[..., Any]) -> None:
    from transformers import MambaConfig

    build(MambaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, state_size=4)).save_pretrained(tmp_path)
    with pytest.raises(BackendError, match="keeps no attention cache"):
        load_weights(find(str(tmp_path)), torch.float32)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(BackendError, match="is not a GGUF file"):
        find(str(path))


def test_a_folder_with_several_gguf_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(BackendError, match=r"holds 2 GGUF files: name one, such as .*a\.gguf"):
        find(str(tmp_path))


def test_a_damaged_gguf_file_is_named_and_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "half.gguf").write_bytes(b"GGUF" + bytes(range(200)))
    with pytest.raises(BackendError, match="cannot load a causal language model"):
        find(str(tmp_path / "half.gguf"))
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def _find_offline(name: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Find a model in a process of its own, as the hub's client reads the environment when it is imported."""
    code = f"from clara_bench.read.models import find; print(find({name!r}))"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_an_unreachable_hub_is_said_to_be_so(tmp_path: Path, environment: dict[str, str]) -> None:
    done = _find_offline("nobody/nothing", tmp_path, **environment)
    last = done.stderr.strip().splitlines()[-1]
    assert "BackendError: model 'nobody/nothing' is not in the Hugging Face cache and cannot be downloaded" in last
    assert "give a folder or a GGUF file" in last


@pytest.mark.model
def test_the_default_model_needs_no_network_and_says_what_its_weights_are(tmp_path: Path) -> None:
    done = _find_offline(DEFAULT_MODEL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "gguf:SmolLM2-135M-Instruct.Q4_1.gguf:sha256:b179c9523d0e" in done.stdout


def test_a_cached_hub_model_is_used_without_asking_the_hub(tiny_folder: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--some--model"
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    done = _find_offline("some/model", tmp_path)
    assert f"hub:some/model@{commit}" in done.stdout, done.stderr


def _snapshot(hub: Path, files: dict[str, bytes]) -> Path:
    """A snapshot as the hub's client makes it: links to blobs, which are named after their content."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = hub / "models--some--model"
    folder = repository / "snapshots" / commit
    for made in (repository / "blobs", folder, repository / "refs"):
        made.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    for name, content in files.items():
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blob = repository / "blobs" / (hashlib.sha256(content).hexdigest() if "safetensors" in name else git)
        blob.write_bytes(content)
        (folder / name).symlink_to(os.path.relpath(blob, folder))
    return folder


CACHED = {"config.json": b"{}", "tokenizer.json": b"[]", "model.safetensors": b"weights"}


def _cached_fingerprint(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    return find("some/model").fingerprint


def test_a_snapshot_of_the_hub_is_known_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _snapshot(tmp_path, CACHED)
    assert _cached_fingerprint(monkeypatch, folder) == f"hub:some/model@{folder.name}"
    for name in CACHED:  # as after a copy of the cache: later, and the same
        os.utime(folder / name, (2e9, 2e9))
    assert _cached_fingerprint(monkeypatch, folder) == f"hub:some/model@{folder.name}"


@pytest.mark.parametrize("name", CACHED)
@pytest.mark.parametrize("how", ["blob", "file", "link"])
def test_a_changed_file_in_the_hubs_cache_makes_another_model(
    how: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _snapshot(tmp_path, CACHED)
    file, other = folder / name, tmp_path / "other"
    other.write_bytes(b"{}  ")
    if how == "blob":
        file.write_bytes(b"{}  ")
        os.utime(file, (2e9, 2e9))
    elif how == "file":
        file.unlink()
        shutil.copy(other, file)
    else:
        file.unlink()
        file.symlink_to(other)
    now = _cached_fingerprint(monkeypatch, folder)
    assert now.startswith(f"hub:some/model@{folder.name}+sha256:")
    (other if how == "link" else file).write_bytes(b"{} ")
    os.utime(file, (2e9, 2e9))
    assert _cached_fingerprint(monkeypatch, folder) != now


def test_large_gguf_files_are_loaded_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "UNPACK_BYTES", 1000)
    path = tmp_path / "large.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    found = find(str(path))
    assert (found.folder, found.gguf_file) == (tmp_path, "large.gguf")
