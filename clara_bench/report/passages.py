"""The texts of a run's passages, which a run does not keep: made again or read from where its data are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from clara_bench.errors import BenchError, DataError
from clara_bench.records.results import Run
from clara_bench.running.run_config import as_request
from clara_bench.tasks import definitions, sources
from clara_bench.types import Passage

Tell = Callable[[str], None]


def passages_of(run: Run, data: str | None, tell: Tell) -> Mapping[str, Passage]:
    """The run's passages; none, and a reason, where they cannot be read without asking the hub.

    Args:
        run: the run.
        data: where its data are now; None for where they were.
        tell: told why there are none.

    Raises:
        BenchError: what `data` names is not the run's data.
    """
    request = as_request(run.manifest, str(run.path))
    if data is None and (request.source.on_hub or request.source.chunk.get("tokenizer")):
        what = "they come" if request.source.on_hub else "the tokenizer that cut them may come"
        tell(f"passages are not shown: {what} from the hub, which is not asked unasked. Fetch them with --data SOURCE")
        return {}
    source = request.source if data is None else replace(request.source, data=data)
    try:
        found = sources.load(definitions.load(request.task), source)
        if found.corpus_hash != run.manifest["data"]["corpus_hash"]:
            raise DataError(f"the passages in '{source.data}' are not those of the run. Name theirs with --data")
        return found.corpus
    except BenchError as error:
        if data is not None:
            raise
        tell(f"passages are not shown: {error}")
        return {}
