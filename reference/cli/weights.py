"""Commands that read and write weights and memories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clara_bench.io.terminal import note, say
from reference.cli.options import FOLDER, ROLES, config_of, part_of, settings
from reference.settings.overrides import read_overrides


@click.command()
@click.argument("checkpoint")
@click.argument("documents", type=FOLDER)
@click.option("--store", required=True, type=FOLDER, help="Folder of the store; filled further if it is there.")
@click.option("--precision", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16", "int8"]), help="How a number is kept.")  # fmt: skip
@click.option("--part", default="1/1", show_default=True, metavar="I/N",
              help="Only the I-th of N parts: so N processes fill one store.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="A torch device; auto: the GPU if there is one.")
@click.option("--workers", type=click.IntRange(1), metavar="N",
              help="Compress in N processes of this machine; with --ray, in N actors.")  # fmt: skip
@click.option("--ray", metavar="ADDRESS", help="Compress in actors of a Ray cluster: its address, auto, or local.")
def encode(
    checkpoint: str,
    documents: Path,
    store: Path,
    precision: Any,
    part: str,
    device: str,
    workers: int | None,
    ray: str | None,
) -> None:
    """Compress DOCUMENTS with CHECKPOINT into a store.

    DOCUMENTS is JSONL of title and text, also as .gz. The same command resumes.

    \b
    Example:
      clara-reference encode runs/tiny/joint/best corpus.jsonl --store memories
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/tiny/joint/best -o store=memories
    Several processes, or machines and then one store:
      clara-reference encode tiny-8x corpus.jsonl --store memories --workers 4
      clara-reference encode tiny-8x corpus.jsonl --store memories-2 --part 2/4
      clara-reference merge memories-1 memories-2 --store memories
    """
    from clara_bench.workers.choice import pool
    from reference.systems.encode import fill

    filled, built = fill(checkpoint, documents, store, precision, part_of(part), device, pool(workers, ray))
    for name in built.rebuilt:
        note(f"{store / name}: was damaged and is built anew")
    say(
        f"{store}: {built.added} of {built.texts} documents compressed now, {len(filled)} stored, "
        f"{filled.bytes_per_document:.0f} bytes each"
    )


@click.command()
@click.argument("stores", nargs=-1, required=True, type=FOLDER)
@click.option("--store", required=True, type=FOLDER, help="Folder of the merged store; filled further if it is there.")
def merge(stores: tuple[Path, ...], store: Path) -> None:
    """Merge STORES that were filled on different disks.

    Stores of another compressor, rate or precision and damaged ones are refused.

    \b
    Example:
      clara-reference merge memories-1 memories-2 --store memories
    """
    from reference.memory.merge import merge as merged

    found = merged(stores, store)
    say(f"{store}: {len(found)} documents from {len(stores)} stores")


@click.command()
@click.argument("checkpoint", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--role", "roles", multiple=True, type=ROLES, help="Role to keep; repeatable; by default all.")
@click.option("--dtype", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16", "int8"]), help="Numbers in the files.")  # fmt: skip
def export(checkpoint: Path, out: Path, roles: Sequence[str], dtype: Any) -> None:
    """Export CHECKPOINT in 16 or 8 bits.

    Writes OUT with the weights, the log and the training history.

    \b
    Example:
      clara-reference export runs/tiny/joint-8x/best shipped/tiny-8x
      clara-reference export runs/tiny/text/best shipped/tiny-text --role generator
    """
    from reference.weights import export as library

    size = library.export(checkpoint, out, roles, dtype)
    say(f"{out}: {size / 1e6:.1f} MB")


@click.command()
@click.argument("checkpoint", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--role", default="generator", show_default=True, type=ROLES, help="Whose weights.")
@click.option("--dtype", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16"]), help="Numbers in the file.")  # fmt: skip
def adapter(checkpoint: Path, out: Path, role: str, dtype: Any) -> None:
    """Write a role of CHECKPOINT as LoRA weights for PEFT.

    The reader `hf` takes them with `-o reader.adapter=OUT`.

    \b
    Example:
      clara-reference adapter runs/reader/text/last runs/reader/adapter
      clara-bench run -t nq -s rag -o reader.adapter=runs/reader/adapter --setting distractor --limit 5
    """
    from reference.weights.adapter import write_adapter

    size = write_adapter(checkpoint, role, out, dtype)
    say(f"{out}: {size / 1e6:.1f} MB")


@click.command("import")
@click.argument("config")
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--unpickle", is_flag=True, help="Read .pth files: tensors and plain containers only, but pickles still.")
@settings
def import_(config: str, folder: Path, out: Path, unpickle: bool, overrides: Sequence[str]) -> None:
    """Convert Apple's published weights to a checkpoint.

    Reads FOLDER and writes OUT; CONFIG names the backbone. FOLDER is the folder of one compression rate, with adapters
    and decoder_first_last_layers, .safetensors or .pth.

    \b
    Example:
      clara-reference import mistral-7b CLaRa-7B-E2E/compression-16 runs/apple-16 --unpickle
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/apple-16 --setting distractor
    """
    from reference.published import convert as library

    roles = library.convert(config_of(config, read_overrides(overrides)), folder, out, unpickle)
    say(f"{out}: {', '.join(roles)}; official weights, unverified")


@click.command("import-naver")
@click.argument("source")
@click.argument("out", type=FOLDER)
@click.option("--backbone", default="", help="Hub id or folder, in the place of the one that the weights name.")
@click.option("--dtype", default="bfloat16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16"]), help="Of the backbone's numbers.")  # fmt: skip
@click.option("--unpickle", is_flag=True, help="Read .pth files: tensors and plain containers only, but pickles still.")
def import_naver(source: str, out: Path, backbone: str, dtype: Any, unpickle: bool) -> None:
    """Convert naver's PISCO or COCOM to a checkpoint.

    SOURCE is a hub id or a folder.

    \b
    Examples:
      clara-reference import-naver naver/pisco-mistral runs/pisco --unpickle
      clara-reference import-naver naver/cocom-v1-16-mistral-7b runs/cocom-16
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/pisco -o retriever=bm25
    """
    from reference.published import convert as library

    roles = library.convert_naver(source, out, backbone, dtype, unpickle)
    say(f"{out}: {', '.join(roles)}; official weights, unverified")
