"""A model directory on disk: verified first, loaded second.

`VerifiedModel` has one constructor path, `read_model_directory`. It holds the very
bytes whose digest was checked, so the file cannot change between check and use.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cell.contracts.errors import ModelError, ModelMissingError
from policies.manifest import MANIFEST_NAME, Manifest, parse_manifest

MAX_MANIFEST_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class VerifiedModel:
    """A model whose manifest parsed and whose bytes match its digest.

    Attributes:
        directory: where it was read from.
        manifest: the parsed manifest.
        model_bytes: content of the model file.
    """

    directory: Path
    manifest: Manifest
    model_bytes: bytes

    @property
    def label(self) -> str:
        """Name and version for the record."""
        return f"{self.manifest.name}-{self.manifest.version}"


def read_model_directory(directory: Path) -> VerifiedModel:
    """Read and verify one model directory.

    Raises:
        ModelError: something is missing, truncated, malformed or altered; the message
            names the file and what to do.
    """
    if not directory.is_dir():
        raise ModelMissingError(
            f"{directory}: no such model directory; check policy.directory and "
            "policy.live, or train the model"
        )
    manifest_path = directory / MANIFEST_NAME
    text = _read_bytes(manifest_path, MAX_MANIFEST_BYTES)
    try:
        manifest = parse_manifest(text.decode("utf-8"), str(manifest_path))
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{manifest_path}: is not UTF-8 text; export the model again"
        ) from error
    model_path = directory / manifest.model_file
    model_bytes = _read_bytes(model_path, MAX_MODEL_BYTES)
    _check_digest(model_path, model_bytes, manifest.model_sha256)
    return VerifiedModel(directory, manifest, model_bytes)


def list_model_directories(root: Path) -> list[Path]:
    """Return the directories below `root` that hold a manifest, sorted by name."""
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST_NAME}"))


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ModelMissingError(
            f"{path}: file is missing; restore it or export the model again"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); check the file and its rights"
        ) from error
    if len(content) > limit:
        raise ModelError(f"{path}: larger than {limit} bytes, refused")
    return content


def _check_digest(path: Path, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., the manifest says {expected[:12]}...: "
            "the file is damaged, truncated or not the one described; restore it"
        )
