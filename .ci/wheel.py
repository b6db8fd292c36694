"""Build the sdist and the wheel, look inside, resolve for other machines, install into an empty environment, use it.

    python .ci/wheel.py [--lowest]

Needs uv (`make env` installs it) and a package index: packages come from uv's cache where they are in it. Everything
lies in a temporary folder that is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = [sys.executable, "-m", "uv", "--no-config"]
MOST_MB = 900  # of the installed base, in megabytes of 10^6 bytes
PYTHONS = ("3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-apple-darwin")
KEYS = "1\n2\na\nx\nq\n" + "a\n" * 50 + "Shift+Enter\nShift+Enter\n"
NO_NETWORK = re.compile(r"dns error|client error \(Connect\)|network (is )?unreachable|timed out", re.IGNORECASE)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lowest", action="store_true", help="install the lowest versions that pyproject.toml allows")
    lowest = options.parse_args().lowest
    with tempfile.TemporaryDirectory(prefix="pickroom-wheel-") as name:
        folder = Path(name).resolve()
        wheel = build(folder)
        if not lowest:
            resolve(wheel)
        program = install(wheel, folder / "env", lowest=lowest)
        use(program, folder)
        if not lowest:
            uvx(wheel, folder)


def build(folder: Path) -> Path:
    """The wheel, built from the sdist, which is built from the files that git knows; both hold what they should."""
    names = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT).split("\0")
    tracked = {name for name in names if name and (ROOT / name).is_file()}
    source = folder / "source"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    dist = folder / "dist"
    run([*UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", dist, source])
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    package = {name.removeprefix("lib/") for name in tracked if name.startswith("lib/pickroom/")}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    check("wheel", {name for name in held if ".dist-info/" not in name}, package)
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"lib/{name}" for name in package} | {"pyproject.toml", "README.md", "LICENSE"}
    check("sdist", held & wanted, wanted)
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return wheel


def check(what: str, held: set[str], wanted: set[str]) -> None:
    if held != wanted:
        sys.exit(f"the {what} lacks {sorted(wanted - held)[:9]} and has {sorted(held - wanted)[:9]} too much")


def resolve(wheel: Path) -> None:
    """Each Python finds a wheel of every package, extras included, on Linux and macOS; the base is without PyTorch."""
    # macOS 14 is what the newest wheels are built for; uv would take 13
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    command = [*UV, "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:"]

    def found(extras: str, *options: str) -> str:
        return run([*command, *options, "-"], stdin=f"pickroom{extras} @ {wheel.as_uri()}", env=environment)

    where = [(python, platform) for python in PYTHONS for platform in PLATFORMS]
    with ThreadPoolExecutor() as pool:
        base = pool.submit(found, "", "--universal")
        every = pool.map(lambda one: found("[all]", "--python-version", one[0], "--python-platform", one[1]), where)
        for (python, platform), text in zip(where, every, strict=True):
            count = len(re.findall(r"^\w", text, re.MULTILINE))
            print(f"pickroom[all], Python {python}, {platform}: {count} packages, each has a wheel")
    if brought := re.findall(r"^(?:torch|nvidia|ray)\b.*", base.result(), re.MULTILINE):
        sys.exit(f"the base brings {brought}")


def install(wheel: Path, env: Path, *, lowest: bool) -> Path:
    """The installed program `pickroom`, in an environment that holds nothing else."""
    run([*UV, "venv", "--quiet", "--python", sys.executable, env])
    python = env / "bin" / "python"
    resolution = ["--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml"] if lowest else []
    run([*UV, "pip", "install", "--quiet", "--python", python, *resolution, wheel])
    size = sum(path.lstat().st_size for path in env.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    print(f"the base takes {size:.0f} MB installed, of {MOST_MB} MB at most")
    if size > MOST_MB:
        sys.exit("the base is too large")
    if shutil.which("torch", path=str(env / "bin")) or list(env.glob("lib/*/site-packages/torch")):
        sys.exit("PyTorch is in the base")
    return env / "bin" / "pickroom"


def use(program: Path, folder: Path) -> None:
    """From the demo to a finalised batch, vectors, a ranker and a report, with no checkout and no workspace around."""
    (home := folder / "home").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}

    def pickroom(*arguments: str, keys: str = "") -> str:
        return run([program, *arguments], cwd=home, env=environment, stdin=keys)

    print(pickroom("demo", home, "--groups", "60", "--decided", "0", "--long-side", "96", "--no-review"), end="")
    print(pickroom("review", "demo", "--keys", "-", keys=KEYS), end="")
    pickroom("embed", "demo", "--encoder", "bundled")
    status = json.loads(pickroom("status", "demo", "--json"))
    (workspace,) = (path.parents[1] for path in home.rglob("data/projects"))
    vectors = list(workspace.glob("data/ai_data/embeddings/*/demo/*.parquet"))
    selected = list(workspace.glob("demo_images/**/selected/*.*"))
    if not vectors or not selected or any(batch["done"] != batch["operations"] for batch in status["batches"]):
        sys.exit(f"{len(vectors)} files of vectors, {len(selected)} of selected images, batches: {status['batches']}")
    trained = pickroom("train", "ranker", "demo")
    if not list(workspace.glob("data/ai_data/models/ranker_v1.npz")):
        sys.exit(f"no ranker exists: {trained}")
    print(trained.splitlines()[0])
    print(pickroom("recommend", "demo"), pickroom("report", "demo"), pickroom("doctor"), sep="", end="")


def uvx(wheel: Path, folder: Path) -> None:
    """The command of the README for those who want to try it."""
    tool = [*UV, "tool", "run", "--quiet", "--isolated", "--python", sys.executable, "--from", wheel, "pickroom"]
    print(
        run(
            [*tool, "demo", folder / "tried", "--groups", "14", "--decided", "12", "--long-side", "96", "--no-review"],
            cwd=folder,
        ),
        end="",
    )


def run(command: list[object], stdin: str = "", **options: object) -> str:
    """What a command prints; ends this program with what it said where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode == 0:
        return str(done.stdout)
    if NO_NETWORK.search(done.stderr):
        sys.exit(f"the package index cannot be reached, so the wheel was not checked further:\n{done.stderr}")
    sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
