"""From a folder of images to groups with vectors, next to version 0.1 and to three programs that do a part of it.

Every step is a process of its own, in turns, on the same copies of the files, which the system has in memory. The
seconds of the processor (user and system, child processes too) are what counts: other programs on the machine stretch
the clock's. The other programs make no vectors, and look for no faces unless their models are installed:

- bppicker (`bpp analyze`): scores of sharpness, exposure and composition, perceptual hashes
- argus-curator (`argus-curator scan`): scores of sharpness and size, perceptual hashes, groups
- imagededup (`PHash`): perceptual hashes, pairs

Pickroom's command `index` does the same in one process, and compares the images of each group, too; its row has the
`start` that comes first. Before it counts, each program runs once on a few images, which compiles its modules, as
installing it does.

They are installed by uv when they are first needed, into an environment of their own in the cache folder. Version 0.1
is taken from this repository's history, and runs in this environment, which has its packages. The optional faces are
left out, which version 0.1 does not have.

    python benchmarks/peers.py [--quick] [--files DIR] [--rounds N] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from _measure import finish, median, table

PACKAGES = ("bppicker==0.2.1", "argus-curator[cli]==0.6.0", "imagededup==0.3.3.post2")
VERSION_0_1 = "6f83437"
REPOSITORY = Path(__file__).parents[1]
IMAGES = (".jpg", ".jpeg", ".png")
QUICK, WARM = 40, 6  # images of a short run, and of the one that does not count
# of version 0.1's seconds of the processor, at most
START_SHARE, EMBED_SHARE = 0.65, 1 / 3
# MiB, at most
IN_ONE = "start and index"
PEAKS = {"start": 120, "embed": 600, "recommend": 120}

OURS = """
import sys
from pickroom.features import faces
sys.modules.update(dict.fromkeys(faces._MODULES))
from pickroom.cli import main
sys.argv[0] = "pickroom"
main()
"""
THEIRS = "import sys; from pickroom.cli import main; sys.argv[0] = 'pickroom'; main()"
IMAGEDEDUP = """
import sys
from imagededup.methods import PHash
hasher = PHash(verbose=False)
hasher.find_duplicates(encoding_map=hasher.encode_images(sys.argv[1]))
"""


BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}  # written, whatever the shell says


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process and its children took: of the processor, by the clock, and in memory at the most."""

    cpu: float
    wall: float
    peak_mib: float


def run(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Taken:
    """Run a program to its end; its words are shown where it fails."""
    with (folder / "words").open("w+b") as words:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=words,
            stderr=words,
            cwd=folder,
            env={**os.environ, **environment, **BYTECODE},
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            sys.exit(f"{' '.join(map(str, command[:4]))}: {words.read().decode(errors='replace')[-2000:]}")
    unit = 1 << 10 if sys.platform == "linux" else 1 << 20  # macOS counts in bytes
    return Taken(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / unit)


def peers_environment(cache: Path) -> Path:
    """The folder of the programs' own environment, made where it is not there."""
    folder, listed = cache / "environment", "\n".join(PACKAGES)
    done = folder / "packages.txt"
    if not done.exists() or done.read_text() != listed:
        print(f"Installing {', '.join(PACKAGES)} into {folder}", file=sys.stderr)
        uv = [sys.executable, "-m", "uv"]
        python = ["--python", str(folder / "bin" / "python")]
        for words in (["venv", "--clear", "--quiet", str(folder)], ["pip", "install", "--quiet", *python, *PACKAGES]):
            if subprocess.run([*uv, *words]).returncode:
                sys.exit(f"the programs to compare with could not be installed into {folder}: is there a network?")
        done.write_text(listed)
    return folder


def version_0_1(cache: Path) -> Path:
    """The folder of version 0.1's package, taken from the history where it is not there."""
    folder = cache / f"pickroom-{VERSION_0_1}"
    if not folder.exists():
        archive = subprocess.run(
            ["git", "-C", REPOSITORY, "archive", VERSION_0_1, "lib"], check=True, stdout=subprocess.PIPE
        )
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", part], input=archive.stdout, check=True)
        part.rename(folder)
    return folder / "lib"


def copy_images(source: Path, folder: Path, most: int | None) -> int:
    """Copy images into one folder, numbered: not every program looks into folders. How many."""
    folder.mkdir()
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGES)
    for number, path in enumerate(found[:: max(1, len(found) // most) if most else 1][:most]):
        shutil.copyfile(path, folder / f"{number:05d}{path.suffix.lower()}")
    return len(list(folder.iterdir()))


def measure(images: Path, home: Path, cache: Path) -> dict[tuple[str, str], Taken]:
    """(program, step) -> what it took, of each program once."""
    environment, earlier = peers_environment(cache), version_0_1(cache)
    found: dict[tuple[str, str], Taken] = {}
    programs = (
        ("Pickroom", OURS, {"PYTHONPATH": str(REPOSITORY / "lib")}),
        ("version 0.1", THEIRS, {"PYTHONPATH": str(earlier)}),
    )
    steps = {
        "start": ("start", "p", "--images", images),
        "embed": ("embed", "p", "--encoder", "bundled"),
        "groups": ("groups", "p", "--by", "similarity"),
        "recommend": ("recommend", "p"),
    }
    for program, code, variables in programs:
        own = home / program.replace(" ", "-")
        own.mkdir()
        for step, words in steps.items():
            variables = {**variables, "PICKROOM_HOME": str(own)}
            found[program, step] = run([sys.executable, "-c", code, *words], variables, own)
    own = home / "in-one"
    own.mkdir()
    variables = {**programs[0][2], "PICKROOM_HOME": str(own)}
    first, then = (
        run([sys.executable, "-c", OURS, *words], variables, own) for words in (steps["start"], ("index", "p"))
    )
    found["Pickroom", IN_ONE] = Taken(first.cpu + then.cpu, first.wall + then.wall, max(first.peak_mib, then.peak_mib))
    own = home / "others"
    own.mkdir()
    programs_of = environment / "bin"
    others = {
        ("bppicker", "analyze"): [programs_of / "bpp", "analyze", "--input", images, "--out", own / "bpp"],
        ("argus-curator", "scan"): [programs_of / "argus-curator", "scan", images],
        ("imagededup", "PHash"): [programs_of / "python", "-c", IMAGEDEDUP, images],
    }
    for key, command in others.items():
        found[key] = run(command, {}, own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} images")
    parser.add_argument("--files", type=Path, help="a folder of images; else the demo's photographs")
    parser.add_argument("--rounds", type=int, default=1, help="how often each program runs; medians are shown")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("pickroom-benchmarks")))
    args = parser.parse_args()
    source = args.files or REPOSITORY / "lib" / "pickroom" / "demo" / "photos"
    rounds = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="pickroom-peers-") as folder:
        count = copy_images(source, Path(folder) / "images", QUICK if args.quick else None)
        copy_images(source, Path(folder) / "few", WARM)
        (Path(folder) / "warm").mkdir()
        measure(Path(folder) / "few", Path(folder) / "warm", args.cache)
        for number in range(args.rounds):
            home = Path(folder) / f"round-{number}"
            home.mkdir()
            rounds.append(measure(Path(folder) / "images", home, args.cache))
    taken = {
        key: Taken(*(median([getattr(one[key], name) for one in rounds]) for name in Taken.__slots__))
        for key in rounds[0]
    }
    whole = {
        program: sum(taken[program, step].cpu for step in ("start", "embed", "groups"))
        for program in ("Pickroom", "version 0.1")
    }
    rows = [("", "seconds of the processor", "by the clock; memory at the most")]
    rows += [
        (f"{program}, {step}", f"{one.cpu:.2f}", f"{one.wall:.2f} s; {one.peak_mib:.0f} MiB")
        for (program, step), one in taken.items()
    ]
    rows += [(f"{program}, to groups with vectors", f"{cpu:.2f}", "") for program, cpu in whole.items()]
    table(f"{count} images, {os.cpu_count()} cores, load {load:.1f} to {os.getloadavg()[0]:.1f}", rows)
    figures = {
        f"{program}_{step}_{name}".replace(" ", "_").lower(): getattr(one, name)
        for (program, step), one in taken.items()
        for name in Taken.__slots__
    }
    figures |= {"images": count, "to_groups_cpu": whole["Pickroom"], "version_0.1_to_groups_cpu": whole["version 0.1"]}
    missed = []
    for step, share in (("start", START_SHARE), ("embed", EMBED_SHARE)):
        ratio = taken["Pickroom", step].cpu / taken["version 0.1", step].cpu
        figures[f"{step}_share"] = ratio
        if ratio > share:
            missed.append(f"{step} takes {ratio:.2f} of version 0.1's seconds, more than {share:.2f}")
    if whole["Pickroom"] >= taken["bppicker", "analyze"].cpu:
        missed.append(
            f"to groups with vectors {whole['Pickroom']:.1f} s, bppicker {taken['bppicker', 'analyze'].cpu:.1f}"
        )
    for step, most in PEAKS.items():
        if taken["Pickroom", step].peak_mib > most:
            missed.append(f"{step} takes {taken['Pickroom', step].peak_mib:.0f} MiB, more than {most}")
    finish(figures, missed)


if __name__ == "__main__":
    main()
