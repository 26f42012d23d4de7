"""Folders that `datasets` saves with `save_to_disk`: their splits and files, told without that package."""

from pathlib import Path

from graftwork.core.errors import IntegrityError, Problem, SpecError, did_you_mean
from graftwork.core.files import read_json

STATE, SPLITS = "state.json", "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved `folder`."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def saved_files(folder: Path, split: str | None) -> list[Path]:
    """The Arrow files of a saved data set, in order.

    Raises:
        SpecError: it has several splits and none is asked for, or it has not the one that is.
        IntegrityError: what it says of itself is no JSON, or names files outside of it or none.
    """
    if (folder / SPLITS).is_file():
        folder = folder / _split(folder, split)
    elif split is not None and split != (saved := _told(folder / STATE, "_split")):
        known = [saved] if isinstance(saved, str) else []
        raise SpecError([Problem("split", split, f"one of {', '.join(known)}" if known else "none: it has no splits")])
    return [_inside(folder, entry) for entry in _list(_told(folder / STATE, "_data_files"), folder / STATE)]


def _split(folder: Path, split: str | None) -> str:
    names = [str(name) for name in _list(_told(folder / SPLITS, "splits"), folder / SPLITS)]
    if split is None and len(names) == 1:
        return _inside(folder, names[0]).name
    if split not in names:
        hint = did_you_mean(split, names) if split else "Say which with split."
        raise SpecError([Problem("split", split, f"one of {', '.join(names)}", hint)])
    return _inside(folder, split).name


def _told(path: Path, key: str) -> object:
    content = read_json(path)
    return content.get(key) if isinstance(content, dict) else None


def _list(value: object, path: Path) -> list[object]:
    if not isinstance(value, list):
        raise IntegrityError(f"{path} does not say what is in its folder. Save the data set again.")
    return value


def _inside(folder: Path, entry: object) -> Path:
    """A file or folder in `folder`; a name that leads out of it is refused."""
    name = entry.get("filename") if isinstance(entry, dict) else entry
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise IntegrityError(f"{folder} names {name!r}, which is no file in it. Save the data set again.")
    if not (folder / name).exists():
        raise IntegrityError(f"{folder / name} is missing, which its folder says it holds. Copy the folder again.")
    return folder / name
