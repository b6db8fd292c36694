"""Checks of the machine: Python, packages, accelerator, weights, DuckDB, browser, JupyterLab."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pickroom.app import lab
from pickroom.cli import console
from pickroom.cli.doctor.workspaces import Finding
from pickroom.core.errors import PickroomError
from pickroom.images import raw
from pickroom.storage import leftovers
from pickroom.store.workspace import package_notebooks

with console.lazily():  # a broken package is a finding
    from pickroom.analysis import queries, tables
    from pickroom.features import bundled, device
    from pickroom.store import connect

LOCK = Path(__file__).parents[4] / "requirements.lock"  # only an editable install of a checkout has it there
LOWEST, HIGHEST = (3, 11), (3, 14)  # pyproject.toml, requires-python; the Makefile, PYTHONS
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # as the tests look for one
REMAKE = "run: make env" if LOCK.is_file() else f"run: {sys.executable} -m pip install --upgrade pickroom"
# widget libraries: without their JupyterLab part a widget is an empty line
LAB_EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget", "ipycanvas")
# where OpenCLIP's registry has the default model; its files begin so
_OPENCLIP_REPOSITORY = "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)(?P<marker>\s*;)?")
_NAMED = 5  # packages named in a line


def look() -> Iterator[Finding]:
    """Every check of the machine, quick ones first."""
    yield python(sys.version_info[:2])
    yield packages(LOCK) if LOCK.is_file() else required_packages()
    yield jupyter(Path(sys.prefix) / "share" / "jupyter" / "labextensions")
    yield browser()
    yield duckdb_sqlite()
    yield accelerator()
    yield bundled_weights()
    yield openclip_weights()
    yield raw_files()


def python(version: tuple[int, ...]) -> Finding:
    """Whether the pinned packages are built for this Python."""
    text = platform.python_version()
    if version < LOWEST:
        return Finding("python", "fail", f"{text} is too old", "make a new environment with 3.11 or newer: make env")
    if version > HIGHEST:
        what = f"{text}: not every pinned package has been built for it"
        return Finding("python", "warn", what, "if an import fails: make env PYTHON=/path/to/python3.13")
    return Finding("python", "ok", text)


def packages(lock: Path) -> Finding:
    """Whether the installed packages are those that the lock pins.

    An entry with a marker may be for another platform: it is compared only where it is installed.
    """
    text = lock.read_text(encoding="utf-8")
    pinned: dict[str, set[str]] = defaultdict(set)
    needed = set()
    for match in filter(None, map(_PIN.match, text.splitlines())):
        pinned[match["name"]].add(match["version"])
        if not match["marker"]:
            needed.add(match["name"])
    installed = {name: _version(name) for name in pinned}
    missing = sorted(name for name in needed if installed[name] is None)
    # a local build has a mark: 2.15.0+cpu is 2.15.0
    other = sorted(f"{n} {v}" for n, v in installed.items() if v and v.partition("+")[0] not in pinned[n])
    if missing:
        return Finding("packages", "fail", f"{len(missing)} are missing: {_some(missing)}", REMAKE)
    if other:
        return Finding("packages", "warn", f"{len(other)} are not the pinned version: {_some(other)}", REMAKE)
    return Finding("packages", "ok", f"{sum(v is not None for v in installed.values())} as requirements.lock pins them")


def required_packages() -> Finding:
    """Whether every package that the installed wheel requires, without its extras, is installed."""
    names = [_NAME.match(text) for text in importlib.metadata.requires("pickroom") or () if "extra ==" not in text]
    installed = {match[0]: _version(match[0]) for match in names if match}
    missing = sorted(name for name, version in installed.items() if version is None)
    if missing:
        return Finding("packages", "fail", f"{len(missing)} are missing: {_some(missing)}", REMAKE)
    return Finding("packages", "ok", f"{len(installed)} that pickroom requires")


def jupyter(extensions: Path) -> Finding:
    """Whether JupyterLab is installed with its settings and the browser part of every widget."""
    try:
        version = importlib.metadata.version("jupyterlab")
        settings = Path(lab.__file__).parent / "server" / "labconfig" / "page_config.json"
        json.loads(settings.read_text(encoding="utf-8"))
    except importlib.metadata.PackageNotFoundError:
        return Finding("jupyterlab", "fail", "it is not installed", REMAKE)
    except (OSError, ValueError) as error:
        return Finding("jupyterlab", "fail", f"its settings cannot be read: {error}", REMAKE)
    missing = [name for name in LAB_EXTENSIONS if not (extensions / name / "package.json").is_file()]
    if missing:
        return Finding("jupyterlab", "fail", f"the desks would stay empty without {', '.join(missing)}", REMAKE)
    count = len(package_notebooks())
    return Finding("jupyterlab", "ok", f"{version}, {count} notebooks, and what the desks draw with")


def browser(which: Callable[[str], str | None] = shutil.which) -> Finding:
    """Whether the tests of the desks can run; the desks themselves run in any browser."""
    found = next(filter(None, map(which, BROWSERS)), None)
    if found is None:
        what = "no Chromium: make test skips the tests of the desks, which themselves open in any browser"
        return Finding("browser", "warn", what, "on Debian: apt-get install chromium")
    return Finding("browser", "ok", found)


def duckdb_sqlite() -> Finding:
    """Whether analysis can read a project's database, without the network: one is made, attached and read."""
    try:
        with leftovers.Folder("pickroom-doctor-") as folder:
            path = folder / "new.db"
            connect.create(path).close()
            with closing(tables.open_engine()) as engine:
                if not tables.load_sqlite(engine):
                    what = "DuckDB's SQLite extension is missing: analysis reads databases another, slower way"
                    return Finding("duckdb", "warn", what, REMAKE)
                engine.execute(f"ATTACH {queries.quoted(path)} AS other (TYPE sqlite, READ_ONLY)")
                row = engine.execute("SELECT count(*) FROM other.ai_decisions").fetchone()
                version = engine.execute("SELECT version()").fetchone()
    except Exception as error:  # noqa: BLE001 (a broken package raises anything; the finding says what)
        return Finding("duckdb", "fail", f"it cannot be used: {_said(error)}", REMAKE)
    if row != (0,) or version is None:
        return Finding("duckdb", "fail", f"it read {row} from an empty table", REMAKE)
    return Finding("duckdb", "ok", f"{version[0]} reads SQLite, offline")


def accelerator() -> Finding:
    """Which device embeds and trains."""
    if importlib.util.find_spec("torch") is None:
        what = "PyTorch is not installed: only the OpenCLIP encoder needs it"
        return Finding("accelerator", "ok", f"{what} (pip install 'pickroom[learn]')")
    try:
        best = device.present()[0]
        words = device.device_words(best)
    except Exception as error:  # noqa: BLE001 (as above: a broken PyTorch raises anything)
        return Finding("accelerator", "fail", f"PyTorch cannot be used: {_said(error)}", REMAKE)
    if best == "cpu":
        return Finding("accelerator", "ok", f"none, so the {words}: only embedding takes longer")
    return Finding("accelerator", "ok", words)


def bundled_weights() -> Finding:
    """Whether the encoder that comes with the packages loads."""
    try:
        tower = bundled.load()
    except PickroomError as error:
        return Finding("bundled encoder", "fail", error.what, error.hint)
    except Exception as error:  # noqa: BLE001 (damaged weights raise anything)
        return Finding("bundled encoder", "fail", f"it does not load: {_said(error)}", REMAKE)
    return Finding("bundled encoder", "ok", f"{tower.source} loads, offline")


def raw_files() -> Finding:
    """Whether RAW files can be read."""
    if not raw.can_read("a.dng"):
        return Finding("RAW files", "ok", "not read, since rawpy is not installed (pip install 'pickroom[raw]')")
    return Finding("RAW files", "ok", f"read by rawpy {_version('rawpy')}")


def openclip_weights() -> Finding:
    """Whether OpenCLIP's usual weights are on this machine; nothing is fetched."""
    here = "the bundled encoder needs none"
    given = os.environ.get("PICKROOM_OPENCLIP")
    if given:
        folder = Path(given).expanduser()
        if (folder / "open_clip_config.json").is_file() and _weights(folder):
            return Finding("openclip weights", "ok", f"in {folder}")
        what = f"PICKROOM_OPENCLIP names {folder}, which holds no open_clip_config.json with weights next to it"
        return Finding("openclip weights", "fail", what, f"set it to such a folder, or unset it: {here}")
    # where Hugging Face keeps what it fetched (huggingface.co/docs/huggingface_hub, environment variables)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    if any(_weights(folder) for folder in (cache / _OPENCLIP_REPOSITORY / "snapshots").glob("*")):
        return Finding("openclip weights", "ok", "in the cache of Hugging Face")
    return Finding("openclip weights", "ok", "not on this machine; only --encoder openclip needs them")


def _weights(folder: Path) -> bool:
    return any(path.suffix in (".safetensors", ".bin", ".pt") for path in folder.glob("open_clip*"))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", and {more} more" if more > 0 else "")


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
