"""`groups P --by similarity` on real photographs: real vectors, real previews, and what stays when one scans again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageEnhance

from conftest import write_series
from pickroom.cli import main
from pickroom.core.errors import StoreError
from pickroom.core.records import Recommendation
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features.encoder import EncoderSpec
from pickroom.features.store import VectorRow, VectorStore, save_spec
from pickroom.groups.image_features import fingerprint
from pickroom.groups.strategies import Similarity
from pickroom.images import decode
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups, images, recommendations
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project, Workspace

SPEC = EncoderSpec("pixels", "8x8", "", None, 192, 0, 0, 0, "", "float32")
SIMILAR = Similarity(cosine=0.9)


def write_takes(folder: Path, photographs: int, takes: int = 3, suffix: str = "jpg") -> list[list[str]]:
    """Photographs, each as several takes of nearly the same; names without stage or time."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(photographs):
        whole = load(PHOTOGRAPHS[number]).convert("RGB").resize((120, 120))
        names = []
        for take in range(takes):
            names.append(f"{PHOTOGRAPHS[number].name}_{take}.{suffix}")
            ImageEnhance.Brightness(whole.crop((take, 0, 112 + take, 112))).enhance(1 - take / 25).save(
                folder / names[-1]
            )
        made.append(names)
    return made


def embed(project: Project, leave_out: str = "") -> Project:
    """Vectors of a plain encoder: the 8 x 8 thumbnail, less its mean. Stored as any encoder's are."""
    save_spec(project.workspace, SPEC, {})
    rows = []
    with open_read_only(project.database) as connection:
        for image in images.readable(connection):
            if image.filename == leave_out:
                continue
            small = decode.read_rgb(project.path(image.directory, image.filename)).resize((8, 8))
            values = np.asarray(small, np.float32)
            vector = (values - values.mean((0, 1))).ravel()
            name = (image.filename, image.sha256)
            rows.append(
                VectorRow(*name, image.width, image.height, image.file_size, image.mtime_ns, vector, None, None)
            )
    VectorStore(project.workspace, SPEC, project.id).append(rows)
    return project.with_manifest(encoder=SPEC.encoder_id)


def names_of(report: projects.ScanReport) -> list[list[str]]:
    return sorted(sorted(group.filenames) for group in report.groups)


def test_similar_takes_become_groups_and_every_image_is_counted(workspace: Workspace, images_folder: Path) -> None:
    takes = write_takes(images_folder / "anna", 5) + write_takes(images_folder / "bob", 1, 1, "png")
    project, report = projects.start(workspace, "p", images_folder)
    assert report.groups == ()
    report = projects.rescan(embed(project), by=SIMILAR)
    assert names_of(report) == sorted(takes[:5])
    assert {u.filename: u.reason for u in report.ungrouped} == {
        takes[5][0]: "no other image with a vector in its folder"
    }
    assert report.images == sum(len(g.images) for g in report.groups) + len(report.ungrouped)
    assert any("cosine 0.900" in note for note in report.notes)


def test_groups_by_similarity_wait_like_any_other(workspace: Workspace, images_folder: Path) -> None:
    write_takes(images_folder, 2)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    projects.rescan(project, by=SIMILAR)
    with closing(ReviewSession(project)) as session:
        for key in ("1", "2", "Shift+Enter", "Shift+Enter"):
            session.press(key)
        assert session.last_result is not None and session.last_result.counts == {"approve": 2}
    assert len(list((images_folder / "selected").iterdir())) == 2


def test_scanning_again_by_the_same_rule_changes_nothing(workspace: Workspace, images_folder: Path) -> None:
    write_takes(images_folder, 4)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    first = projects.rescan(project, by=SIMILAR)
    assert projects.rescan(project, by=SIMILAR) == first


def test_stages_and_similarity_leave_each_others_groups_alone(workspace: Workspace, images_folder: Path) -> None:
    staged = write_series(images_folder, [(1, 2)])
    takes = write_takes(images_folder, 2)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    both = projects.rescan(project, by=SIMILAR)
    assert names_of(both) == sorted([*staged, *takes])
    again = projects.rescan(project)
    assert again.groups == both.groups
    assert projects.rescan(project, by=SIMILAR).groups == both.groups
    with open_read_only(project.database) as connection:
        assert list(groups.kinds(connection).values()).count("similar") == 2


def test_group_that_lost_an_image_is_made_anew(workspace: Workspace, images_folder: Path) -> None:
    takes = write_takes(images_folder, 2)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    before = projects.rescan(project, by=SIMILAR)
    (images_folder / takes[0][0]).unlink()
    assert names_of(projects.rescan(project)) == sorted(takes[1:])  # no image of it is lost: they wait ungrouped
    after = projects.rescan(project, by=SIMILAR)
    assert names_of(after) == sorted([takes[0][1:], takes[1]])
    assert after.missing == ()
    assert set(before.groups) & set(after.groups)  # the other group keeps its id


def test_pictures_of_one_colour_are_in_no_group(workspace: Workspace, images_folder: Path) -> None:
    takes = write_takes(images_folder, 1)
    for name, grey in (("white", 250), ("snow", 240), ("black", 1)):  # a gradient of 4 steps, which their vectors share
        steps = np.broadcast_to(grey + np.arange(96) // 24, (96, 96)).astype(np.uint8)
        PillowImage.fromarray(steps).convert("RGB").save(images_folder / f"{name}.png")
    project = embed(projects.start(workspace, "p", images_folder)[0])
    report = projects.rescan(project, by=SIMILAR)
    assert names_of(report) == sorted(takes)
    assert {u.filename: u.reason for u in report.ungrouped} == dict.fromkeys(
        ("white.png", "snow.png", "black.png"), "no vector: it is of nearly one colour, with nothing to compare"
    )


def test_image_without_a_vector_says_why(workspace: Workspace, images_folder: Path) -> None:
    takes = write_takes(images_folder, 3)
    odd = takes[0][0]
    project = embed(projects.start(workspace, "p", images_folder)[0], leave_out=odd)
    report = projects.rescan(project, by=Similarity(cosine=0.9, bits=0))
    assert {u.filename: u.reason for u in report.ungrouped} == {odd: "no vector: not embedded yet: pickroom embed p"}


def test_project_without_vectors_is_told_how_to_make_them(workspace: Workspace, images_folder: Path) -> None:
    write_takes(images_folder, 1)
    project, _ = projects.start(workspace, "p", images_folder)
    with pytest.raises(StoreError, match="pickroom embed p"):
        projects.rescan(project, by=SIMILAR)


def test_gap_parts_takes_that_lie_far_apart_in_time(workspace: Workspace, images_folder: Path) -> None:
    whole = load(PHOTOGRAPHS[0]).convert("RGB").resize((96, 96))
    images_folder.mkdir(exist_ok=True)
    for minute in (0, 2, 50):
        whole.save(images_folder / f"20250803_06{minute:02d}00_take.png")
    project = embed(projects.start(workspace, "p", images_folder)[0])
    near = projects.rescan(project, by=Similarity(gap=timedelta(minutes=5)))
    assert [len(group.images) for group in near.groups] == [2]
    assert "no similar image within 5 minutes" in near.ungrouped[0].reason
    assert [len(group.images) for group in projects.rescan(project, by=Similarity()).groups] == [3]


def test_fingerprint_bears_another_size_and_format(tmp_path: Path) -> None:
    whole = load(PHOTOGRAPHS[0]).convert("RGB")
    whole.resize((160, 160)).save(tmp_path / "small.jpg", quality=60)
    one, other = fingerprint(whole), fingerprint(decode.read_rgb(tmp_path / "small.jpg"))
    assert 0 <= one < 1 << 64
    assert (one ^ other).bit_count() <= 6
    unlike = fingerprint(load(PHOTOGRAPHS[4]).convert("RGB"))
    assert (one ^ unlike).bit_count() > 12


# ------------------------------------------------------------------------------------------------ the user's own


def review(project: Project, keys: list[str]) -> None:
    with closing(ReviewSession(project)) as session:
        for key in [*keys, "Shift+Enter", "Shift+Enter"]:
            session.press(key)


def test_agreement_with_decided_groups_is_reported_and_tunes(workspace: Workspace, images_folder: Path) -> None:
    count, folders = len(PHOTOGRAPHS), 4
    for folder in range(folders):  # each folder its own names
        for names in write_takes(images_folder / f"f{folder}", count, 2):
            for name in names:
                (images_folder / f"f{folder}" / name).rename(images_folder / f"f{folder}" / f"{folder}_{name}")
    project = embed(projects.start(workspace, "p", images_folder)[0])
    assert len(projects.rescan(project, by=SIMILAR).groups) == count * folders
    kept_apart = 5  # key K
    review(project, ["k"] * kept_apart + ["1"] * (count * folders - kept_apart))
    stood = count * folders - kept_apart
    plain = projects.rescan(project, by=SIMILAR)
    precision = stood / (stood + kept_apart)  # what the user took apart is alike all the same
    assert plain.notes[-1].startswith(f"on the {stood} groups that you decided and {kept_apart} that you took apart")
    assert f"precision {precision:.3f}, recall 1.000" in plain.notes[-1]
    loose = projects.rescan(project, by=Similarity(cosine=-1.0))
    assert "cosine -1.000" in loose.notes[-2] and f1_of(loose) < f1_of(plain)
    tuned = projects.rescan(project, by=Similarity(cosine=-1.0, tune=True))
    assert "cosine -1.000" not in tuned.notes[-2] and f1_of(tuned) >= f1_of(plain)


def f1_of(report: projects.ScanReport) -> float:
    return float(report.notes[-1].partition("F1 ")[2].split()[0])


def test_what_the_machine_decided_does_not_tune(workspace: Workspace, images_folder: Path) -> None:
    write_takes(images_folder, 3)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    projects.rescan(project, by=SIMILAR)
    review(project, ["1"] * 3)
    assert projects.rescan(project, by=Similarity(tune=True)).notes[0].endswith("3 of 30 groups")
    with closing(connect(project.database)) as connection, transaction(connection):
        connection.execute("UPDATE decision_context SET input = 'auto'")
    report = projects.rescan(project, by=Similarity(tune=True))
    assert report.notes[0].endswith("0 of 30 groups") and len(report.notes) == 2


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Run a command in this process: (exit code, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(workspace.root)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capsys.readouterr()

    return call


def test_command_groups_by_similarity(run: Callable, workspace: Workspace, images_folder: Path) -> None:
    takes = write_takes(images_folder, 3)
    embed(projects.start(workspace, "p", images_folder)[0])
    code, out, _ = run("groups", "p", "--by", "similarity", "--cosine", "0.9", "--json")
    assert code == 0
    assert sorted(sorted(group["images"]) for group in json.loads(out)["groups"]) == sorted(takes)
    code, out, _ = run("groups", "p", "--by", "similarity", "--cosine", "0.9")
    assert "9 images = 9 in 3 groups + 0 ungrouped" in out and "linked from cosine 0.900" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--by", "colour"), "use --by stage or similarity"),
        (("--tune",), "add --by similarity"),
        (("--hash-distance", "3"), "add --by similarity"),
        (("--by", "similarity", "--cosine", "1.5"), "a cosine lies in"),
        (("--by", "similarity", "--hash-distance", "-1"), "0-64 bits"),
        (("--by", "similarity", "--gap", "0"), "minutes is not possible"),
        (("--by", "similarity"), "pickroom embed p"),
    ],
)
def test_wrong_use_is_one_line(
    run: Callable, workspace: Workspace, images_folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    write_takes(images_folder, 1)
    projects.start(workspace, "p", images_folder)
    code, out, err = run("groups", "p", *arguments)
    assert code != 0 and out == ""
    assert says in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_recommendation_of_a_kept_group_stays(workspace: Workspace, images_folder: Path) -> None:
    write_takes(images_folder, 1)
    project = embed(projects.start(workspace, "p", images_folder)[0])
    (group,) = projects.rescan(project, by=SIMILAR).groups
    spoken = Recommendation(group.group_id, "model", 0, confidence=0.8)
    with closing(connect(project.database)) as connection, transaction(connection):
        recommendations.upsert(connection, [spoken])
    projects.rescan(project)
    projects.rescan(project, by=SIMILAR)
    with open_read_only(project.database) as connection:
        assert recommendations.of_groups(connection, [group.group_id]) == {group.group_id: spoken}
