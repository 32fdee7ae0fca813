"""Files that appear whole or not at all, paths that stay inside their folder, and fingerprints of values."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from .errors import SpatialAlignError

_LONGEST_NAME = 80
_LONGEST_PART = 200  # most systems take 255 bytes; endings such as .safetensors are added
_PORTS = (f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *_PORTS}
_WHY_NOT = {
    errno.EACCES: "the folder or file is read-only for you; choose another folder or change its permissions",
    errno.EPERM: "the folder or file is read-only for you; choose another folder or change its permissions",
    errno.EROFS: "the disk is read-only; choose a folder on another disk",
    errno.ENOSPC: "the disk is full; free some space and start again",
    errno.EDQUOT: "your disk quota is used up; free some space and start again",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.EEXIST: "a file stands where a folder is needed; choose another folder",
    errno.EISDIR: "a folder stands where the file should go; choose another name",
    errno.EFBIG: "the file is larger than the disk or your limit (`ulimit -f`) allows; choose a folder on another disk",
}

_READING = {
    errno.ENOENT: "it is not there any more",
    errno.EIO: "the disk reports a fault",
    errno.EINVAL: "it cannot be read",
}


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, that becomes `path` when the block ends well.

    The folder is made when it is missing. Whatever stood at `path` stays until the new file is complete and
    flushed to disk; after an error the temporary file is gone. Raises SpatialAlignError for a read-only
    folder or a full disk, before the block runs where that can be known.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.part{path.suffix}")
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write a whole file or none; text is UTF-8 with its line ends kept. Errors as `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def contained(root: str | Path, *parts: str | Path) -> Path:
    """`root` joined with `parts`, links and `..` resolved; SpatialAlignError when that leaves `root`."""
    shown = "/".join(str(part) for part in parts)
    try:
        base = os.path.realpath(root)
        target = os.path.realpath(os.path.join(base, *parts))
        inside = os.path.commonpath([base, target]) == base
    except ValueError:  # another drive, or a null byte
        inside = False
    if not inside:
        raise SpatialAlignError(
            f"The path {shown!r} leads outside the folder {str(root)!r}; choose one inside it, without '..'."
        )
    return Path(target)


def linked(root: str | Path, *names: str) -> Path:
    """`root` joined with plain names that a request or widget writes; links that stand there are followed.

    The decision about links: whoever can make a link in ComfyUI's folders (output/loras on another disk, a linked
    run folder or CSV) owns this computer and means it; no node or route makes one. So the *names* must not leave the
    folder, whatever stands on the disk: each is one part, no "..", slash, backslash, drive or null byte. What lies
    *inside a run folder* travels between people in archives, which may hold links that nobody meant; those paths go
    through `contained`, which resolves links first. SpatialAlignError for any other name.
    """
    for name in names:
        if name in ("", ".", "..") or re.search(r"[/\\\x00]|^[A-Za-z]:", name):
            raise SpatialAlignError(
                f"The path {name!r} leads outside the folder {str(root)!r}; choose one inside it, without '..'."
            )
    return Path(root, *names)


def name_fault(name: str) -> str | None:
    """Why no file or folder may have this name, to follow "because"; None for a good one.

    The same on every system, since runs travel between machines: what Windows forbids is refused on Linux too.
    """
    if not name.strip():
        return "it is empty"
    found = re.search(r"[<>:\"|?*/\\\x00-\x1f\x7f]", name)
    if found:
        return f"it holds the character {found[0]!r}, which some systems forbid"
    if name != name.rstrip(". ") or name != name.lstrip():
        return "it begins or ends with a space, or ends with a dot"
    if name.split(".")[0].rstrip().lower() in _WINDOWS_DEVICES:
        return "Windows keeps that name for a device"
    if len(os.fsencode(name)) > _LONGEST_PART:
        return f"it is longer than {_LONGEST_PART} bytes"
    return None


def check_writable(target: Path, what: str) -> None:
    """Find out before long work whether `target` can be written after it. SpatialAlignError saying what is in the way.

    Makes the folder when it is missing, and writes and removes a small file there.
    """
    if target.is_dir():
        raise SpatialAlignError(f"Cannot write {what} {target}: a folder stands there; choose another name.")
    probe = target.with_name(f".{uuid.uuid4().hex[:12]}.probe")
    try:
        with _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(bytes(1 << 16))
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def check_folder(folder: Path, what: str) -> None:
    """Find out before long work whether `what` can be written into `folder`, there or to be made; makes nothing.

    SpatialAlignError when the folder is read-only, the disk full, or a file stands in its place.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    probe = there / f".{uuid.uuid4().hex[:12]}.probe"
    try:
        probe.write_bytes(bytes(1 << 16))
    except OSError as error:
        why = why_not(error)
        if why is None:
            raise
        raise SpatialAlignError(f"Cannot write {what} into {folder}: {why}.") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


@contextlib.contextmanager
def last_step(done: str) -> Iterator[None]:
    """Around the last write of long work: an error also says what is done already, a whole sentence."""
    try:
        yield
    except (SpatialAlignError, OSError) as error:
        why = str(error) if isinstance(error, SpatialAlignError) else f"{why_not(error) or error}."
        raise SpatialAlignError(f"{why} {done}") from error


def safe_name(text: str) -> str:
    """A file or folder name for any text: plain names stay as they are, others get a hash against collisions."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:_LONGEST_NAME].strip(".") or "_"
    if name.split(".")[0].lower() in _WINDOWS_DEVICES:
        name = f"_{name}"
    if name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def fingerprint(value: Any) -> str:
    """16 hex digits that stand for a value: equal values, equal digits, on every machine.

    Takes JSON values, dataclasses, enums, paths, bytes, sets, NumPy scalars and arrays, and containers of
    them; a tuple equals the list of its items. TypeError for anything else.
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def content_digest(path: Path) -> str | None:
    """16 hex digits of the file's content; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, (bytes, bytearray)):
        return hashlib.sha256(value).hexdigest()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not isinstance(key, Enum) for key in value):
            return {key: _plain(item) for key, item in value.items()}
        return sorted(([_plain(key), _plain(item)] for key, item in value.items()), key=json.dumps)
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=json.dumps)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    raise TypeError(f"A {type(value).__name__} has no fingerprint.")


def why_not(error: BaseException) -> str | None:
    """What the system's refusal means and what helps, to follow a colon; None where it is not about disk or
    permission. Safetensors tells of any in words of its own."""
    if isinstance(error, OSError):
        return _WHY_NOT.get(error.errno or 0)
    found = re.search(r"\(os error (\d+)\)", str(error))
    return _WHY_NOT.get(int(found[1])) or os.strerror(int(found[1])) if found else None


def cause(error: BaseException) -> str:
    """Why a file could not be read or written, in plain words, to stand in brackets or behind a colon.

    What libraries say of their own insides ("pop from empty list", "[Errno 2] ...") tells nobody anything.
    """
    if isinstance(error, SpatialAlignError):
        return str(error).rstrip(".")
    if isinstance(error, OSError):
        return why_not(error) or _READING.get(error.errno or 0, "it cannot be read")
    if isinstance(error, json.JSONDecodeError):
        return f"it is not valid JSON from line {error.lineno} on"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, KeyError) and error.args:
        return f"{str(error.args[0])!r} is missing in it"
    if type(error).__name__ == "SafetensorError":
        return why_not(error) or "it is cut short, or not a safetensors file"
    if type(error) is ValueError and (text := str(error).strip()):
        return text.splitlines()[0][:_LONGEST_PART].rstrip(".")
    return "it does not hold what it should"


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = why_not(error)
        if why is None or not _concerns(error, path):
            raise
        raise SpatialAlignError(f"Cannot write {path}: {why}.") from error
    except Exception as error:
        why = why_not(error)
        if why is None or isinstance(error, SpatialAlignError):
            raise
        raise SpatialAlignError(f"Cannot write {path}: {why}.") from error


def _concerns(error: OSError, path: Path) -> bool:
    """Whether the error is about `path`, its folder or its temporary file, not about a file the block
    reads."""
    if not isinstance(error.filename, str):
        return True
    named = Path(error.filename)
    return named.parent == path.parent or named in path.parents or named == path


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder
        return
    with contextlib.suppress(OSError):  # some network disks refuse; the rename itself has happened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
