"""The manifests of `deploy/kubernetes`, read and put together as kustomize does it.

Only what our kustomizations use is understood: resources, components, one namespace, images, and patches that are lists
of operations (RFC 6902: add, replace). Anything else is an AssertionError, so that nothing is left out unseen;
`test_kubernetes` compares the result with kustomize's own where that is there.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"
OVERLAYS = ("small", "large")
ALONE = ("roles.yaml", "desk.yaml", "secrets.example.yaml")
"""What is applied by itself, outside of every overlay."""

Manifest = dict[str, Any]


def overlay(name: str) -> list[Manifest]:
    """All manifests of an overlay."""
    return _built(FOLDER / "overlays" / name)


def read(file: Path) -> list[Manifest]:
    """The documents of a file."""
    return [each for each in yaml.safe_load_all(file.read_text("utf-8")) if each]


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Those of a kind, by their names."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The specification of the pods that each of these makes, by its name."""
    made = {name: each["spec"] for name, each in named(manifests, "Pod").items()}
    for kind in ("Deployment", "Job"):
        made |= {name: each["spec"]["template"]["spec"] for name, each in named(manifests, kind).items()}
    return made


def used_files() -> set[Path]:
    """Every file that an overlay is made of."""
    return {file for name in OVERLAYS for file in _files(FOLDER / "overlays" / name)}


_UNDERSTOOD = {"apiVersion", "kind", "namespace", "resources", "components", "images", "patches"}
_WITHOUT_NAMESPACE = {"Namespace"}


def _built(folder: Path) -> list[Manifest]:
    told = _kustomization(folder)
    assert told.keys() <= _UNDERSTOOD, f"{folder}: nobody here understands {told.keys() - _UNDERSTOOD}"
    manifests = [each for name in _parts(told) for each in _resource(folder / name)]
    for manifest in manifests:
        if "namespace" in told and manifest["kind"] not in _WITHOUT_NAMESPACE:
            manifest["metadata"]["namespace"] = told["namespace"]
    for patch in told.get("patches", ()):
        _patch(manifests, patch["target"], _operations(folder, patch))
    for image in told.get("images", ()):
        _name_image(manifests, image)
    return manifests


def _kustomization(folder: Path) -> Manifest:
    return read(folder / "kustomization.yaml")[0]


def _parts(told: Manifest) -> list[str]:
    return [*told.get("resources", ()), *told.get("components", ())]


def _resource(path: Path) -> list[Manifest]:
    # Anchors of YAML are one object in several places; a patch concerns one of them.
    return _built(path) if path.is_dir() else [_unshared(each) for each in read(path)]


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(each) for key, each in value.items()}
    return [_unshared(each) for each in value] if isinstance(value, list) else value


def _operations(folder: Path, patch: Manifest) -> list[Manifest]:
    text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text("utf-8")
    operations: list[Manifest] = yaml.safe_load(text)
    return operations


def _patch(manifests: list[Manifest], target: Manifest, operations: list[Manifest]) -> None:
    meant = [
        each
        for each in manifests
        if each["kind"] == target["kind"] and target.get("name") in (None, each["metadata"]["name"])
    ]
    assert meant, f"a patch is for nothing that is there: {target}"
    for manifest in meant:
        for each in operations:
            *path, last = each["path"].lstrip("/").split("/")
            place: Any = manifest
            for step in path:
                place = place[int(step) if isinstance(place, list) else step]
            _CHANGES[each["op"]](place, last, deepcopy(each["value"]))


def _add(place: Any, last: str, value: Any) -> None:
    if isinstance(place, list):
        assert last == "-", "only the end of a list is added to"
        place.append(value)
    else:
        place[last] = value


def _replace(place: Any, last: str, value: Any) -> None:
    assert last in place, f"there is no {last} to be replaced"
    place[last] = value


def _name_image(manifests: list[Manifest], image: Manifest) -> None:
    for pod in pods(manifests).values():
        for container in pod["containers"]:
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"


def _files(folder: Path) -> Iterator[Path]:
    told = _kustomization(folder)
    yield (folder / "kustomization.yaml").resolve()
    yield from ((folder / each["path"]).resolve() for each in told.get("patches", ()) if "path" in each)
    for name in _parts(told):
        path = folder / name
        yield from _files(path) if path.is_dir() else [path.resolve()]


_CHANGES: dict[str, Callable[[Any, str, Any], None]] = {"add": _add, "replace": _replace}
