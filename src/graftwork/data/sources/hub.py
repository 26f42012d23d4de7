"""Data sets from the Hugging Face hub, row by row as they arrive, through the package `datasets`."""

from collections.abc import Iterator
from typing import Any

from graftwork.core.errors import NotFoundError, Problem, SpecError, WorkError, did_you_mean
from graftwork.core.spec import parse, plain
from graftwork.data.records import Origin
from graftwork.data.source_spec import HUB, SourceSpec
from graftwork.data.sources.found import Found, Row
from graftwork.data.sources.tables import Names, named

INSTALL = "pip install 'graftwork[hub]'"


def hub_rows(source: SourceSpec) -> Iterator[Found]:
    """The rows of a data set on the hub, counted from 1.

    Raises:
        NotFoundError: `datasets` is not installed, the hub has no such data set, or cannot be reached.
        SpecError: it has several splits or subsets and the source does not say which.
        WorkError: it breaks off on the way.
    """
    try:
        import datasets
    except ImportError as error:
        raise NotFoundError(f"{source.path} needs the package datasets: {INSTALL}") from error
    name, _, revision = source.path.removeprefix(HUB).partition("@")
    data = _opened(datasets, source, name, revision or None)
    if isinstance(data, dict):
        data = data[_split(list(data), source.split)]
    return _rows(data, source.path, _failures(datasets))


def at_commit(source: SourceSpec) -> SourceSpec:
    """`source` with the commit that its name means now; itself when it is not on the hub.

    What is read can then be told, and had again.

    Raises:
        NotFoundError: the hub has no such data set, or cannot be reached.
    """
    if not source.is_on_hub:
        return source
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    failures: tuple[type[Exception], ...] = (OSError, ValueError, *HfHubHTTPError.__bases__)
    name, _, revision = source.path.removeprefix(HUB).partition("@")
    try:
        commit = HfApi().dataset_info(name, revision=revision or None).sha
    except failures as error:
        raise _not_to_be_had(source.path, error) from error
    return parse(SourceSpec, {**plain(source), "path": f"{HUB}{name}@{commit}"})


def _not_to_be_had(path: str, error: Exception) -> NotFoundError:
    hint = "Check the name; without a network, save it once with save_to_disk and name that folder."
    said = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
    return NotFoundError(f"{path} cannot be had from the hub: {said}. {hint}")


def _opened(datasets: Any, source: SourceSpec, name: str, revision: str | None) -> Any:
    try:
        return datasets.load_dataset(name, source.subset, split=source.split, revision=revision, streaming=True)
    except ValueError as error:  # how the package says that a subset or split is not there
        said = str(error).splitlines()[0][:300] if str(error) else "not there"
        given = {"subset": source.subset, "split": source.split}
        raise SpecError([Problem("subset, split", given, f"what {source.path} has", said)]) from error
    except _failures(datasets) as error:
        raise _not_to_be_had(source.path, error) from error


def _failures(datasets: Any) -> tuple[type[Exception], ...]:
    """What the package raises when a data set is not there or cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError

    of_network = HfHubHTTPError.__bases__  # of whichever package for HTTP it uses
    return (OSError, RuntimeError, EOFError, *of_network, datasets.exceptions.DatasetsError)


def _split(names: list[str], split: str | None) -> str:
    if split is None and len(names) == 1:
        return names[0]
    hint = did_you_mean(split, names) if split else "Say which with split."
    raise SpecError([Problem("split", split, f"one of {', '.join(names)}", hint)])


def _rows(data: Any, file: str, failures: tuple[type[Exception], ...]) -> Iterator[Found]:
    names = _names(data.features)
    number, each = 0, iter(data)
    while True:
        try:
            row = next(each, None)
        except failures as error:
            raise WorkError(
                f"{file} broke off after row {number}: {error}. The same request can be tried again."
            ) from error
        if row is None:
            return
        number += 1
        yield Row(Origin(file, number, "row"), named(dict(row), names))


def _names(features: Any) -> Names:
    """By column, the names of labels whose numbers are in it; none where the hub does not say."""
    return {
        column: tuple(map(str, feature.names)) for column, feature in (features or {}).items() if _is_label(feature)
    }


def _is_label(feature: Any) -> bool:
    return type(feature).__name__ == "ClassLabel" and bool(feature.names)
