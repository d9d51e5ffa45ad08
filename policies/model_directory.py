"""A model directory on disk: verified first, loaded second.

`VerifiedModel` has one constructor path, behind the `read_*` functions. It holds the
very bytes whose digest was checked, so the file cannot change between check and use.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cell.contracts.errors import ModelError, ModelMissingError
from policies.guardian_manifest import GuardianManifest, parse_guardian_manifest
from policies.manifest import (
    MANIFEST_NAME,
    Manifest,
    ModelManifest,
    parse_manifest,
)

MAX_MANIFEST_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 30

_Manifest_co = TypeVar("_Manifest_co", bound=ModelManifest, covariant=True)
_Manifest = TypeVar("_Manifest", bound=ModelManifest)


@dataclass(frozen=True, eq=False)
class VerifiedModel(Generic[_Manifest_co]):
    """A model whose manifest parsed and whose bytes match its digest.

    Attributes:
        directory: where it was read from.
        manifest: the parsed manifest.
        model_bytes: content of the model file.
        manifest_sha256: digest of the manifest's own file.
    """

    directory: Path
    manifest: _Manifest_co
    model_bytes: bytes
    manifest_sha256: str

    @property
    def label(self) -> str:
        """Name and version for the record."""
        return f"{self.manifest.name}-{self.manifest.version}"

    @property
    def digests(self) -> dict[Path, str]:
        """Digests of its files, as they were read."""
        return {
            self.directory / self.manifest.model_file: self.manifest.model_sha256,
            self.directory / MANIFEST_NAME: self.manifest_sha256,
        }


def read_model_directory(directory: Path) -> VerifiedModel[Manifest]:
    """Read and verify the directory of one grasp network.

    Raises:
        ModelError: something is missing, truncated, malformed or altered; the message
            names the file and what to do.
    """
    return _read(directory, parse_manifest)


def read_guardian_directory(directory: Path) -> VerifiedModel[GuardianManifest]:
    """Read and verify the directory of one Guardian network.

    Raises:
        ModelError: as above; a missing or senseless calibration is malformed too.
    """
    return _read(directory, parse_guardian_manifest)


def _read(
    directory: Path, parse: Callable[[str, str], _Manifest]
) -> VerifiedModel[_Manifest]:
    if not directory.is_dir():
        raise ModelMissingError(
            f"{directory}: no such model directory; check policy.directory, and "
            "policy.live or guardian.model, or train the model"
        )
    manifest_path = directory / MANIFEST_NAME
    text = _read_bytes(manifest_path, MAX_MANIFEST_BYTES)
    try:
        manifest = parse(text.decode("utf-8"), str(manifest_path))
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{manifest_path}: is not UTF-8 text; export the model again"
        ) from error
    model_path = directory / manifest.model_file
    model_bytes = _read_bytes(model_path, MAX_MODEL_BYTES)
    _check_digest(model_path, model_bytes, manifest.model_sha256)
    digest = hashlib.sha256(text).hexdigest()
    return VerifiedModel(directory, manifest, model_bytes, digest)


def read_any_directory(directory: Path) -> VerifiedModel[ModelManifest]:
    """Read and verify a model directory of whatever family, for the record only.

    Raises:
        ModelError: as above.
    """
    return _read(directory, _parse_any)


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


def _parse_any(text: str, origin: str) -> ModelManifest:
    try:
        is_guardian = json.loads(text).get("family") == "guardian"
    except (ValueError, AttributeError):
        is_guardian = False
    if is_guardian:
        return parse_guardian_manifest(text, origin)
    return parse_manifest(text, origin)


def _check_digest(path: Path, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., the manifest says {expected[:12]}...: "
            "the file is damaged, truncated or not the one described; restore it"
        )
