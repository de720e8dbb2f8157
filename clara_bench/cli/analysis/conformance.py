"""clara-bench conformance: whether an inference engine reads memories as given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clara_bench.io.terminal import note, print_table, say, say_json

if TYPE_CHECKING:
    from clara_bench.conformance.checks import Conformance, Engine


@click.command()
@click.argument("target", metavar="ENGINE")
@click.option("--model", required=True, metavar="MODEL", help="Hub id, folder or GGUF file of the model that it runs.")
@click.option("--served-as", metavar="NAME", help="The model's name at the server. Default: MODEL.")
@click.option("--api", type=click.Choice(["vllm", "chat", "sglang"]), default="vllm", show_default=True,
              help="A server's interface: vLLM's /completions or /chat/completions, SGLang's /generate.")  # fmt: skip
@click.option("--tolerance", default=0.05, show_default=True, help="Nats by which the same prompt may differ.")
@click.option("--prefix-caching/--no-prefix-caching", default=True, show_default=True,
              help="How vllm is started in this process; a server is as it was started.")  # fmt: skip
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds a server's key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def conformance(target: str, model: str, served_as: str | None, tolerance: float, as_json: bool, **how: Any) -> None:
    """Check that ENGINE reads memories as given.

    ENGINE is vllm or transformers, in this process, or the address of a server. Two different memories of equal length
    must give different log-probabilities, the same memory twice the same, and a memory made of token embeddings those
    of the text. Some prefix caches leave embeddings out of their keys, and answer one memory with another. Exit code 1
    if a check fails.

    \b
    Examples:
      clara-bench conformance transformers --model HuggingFaceTB/SmolLM2-135M-Instruct
      clara-bench conformance http://localhost:8000/v1 --model Qwen/Qwen2.5-1.5B-Instruct
      clara-bench conformance http://localhost:8000/v1 --api chat --model Qwen/Qwen2.5-1.5B-Instruct
      clara-bench conformance http://localhost:30000 --api sglang --model Qwen/Qwen2.5-1.5B-Instruct
    """
    import msgspec
    import torch

    from clara_bench.conformance.chat import Chat, Framed
    from clara_bench.conformance.checks import conformance as checked
    from clara_bench.conformance.engines import Transformers
    from clara_bench.read.models import find, load_weights

    found = find(model)
    weights = load_weights(found, torch.float32)
    table = weights.get_input_embeddings().weight.detach()
    engine = _engine(target, found, served_as or model, weights, how)
    if isinstance(engine, Chat):
        reference = Framed(Transformers(weights), engine.frame, table)
        told = checked(engine, reference, table, tolerance, ahead=len(engine.frame.before))
    else:
        told = checked(engine, Transformers(weights), table, tolerance)
    if as_json:
        say_json(msgspec.to_builtins(told))
    else:
        _show(told)
    if not told.passed:
        raise SystemExit(1)


def _engine(target: str, model: Any, served_as: str, weights: Any, how: dict[str, Any]) -> Engine:
    from clara_bench.conformance.chat import Chat, frame
    from clara_bench.conformance.engines import InVLLM, Transformers, server

    if target == "transformers":
        return Transformers(weights)
    if target == "vllm":
        return InVLLM.load(model, how["prefix_caching"])
    if how["api"] == "chat":
        return Chat(server(target, served_as, "vllm", how["api_key_env"]), frame(model))
    return server(target, served_as, how["api"], how["api_key_env"])


def _show(told: Conformance) -> None:
    rows = [
        [check.name, f"{check.apart:.4f}", check.expected, "yes" if check.passed else "NO"] for check in told.checks
    ]
    print_table(["check", "difference in nats", "expected", "passed"], rows)
    say(f"{told.engine}: prefix caching {told.prefix_caching}")
    if not told.passed:
        note("Memories must not be read with this engine as it runs. Turn its prefix caching off and check again")
