"""The review's view of faces: what is known of each image on screen, and why there is nothing to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pickroom.features import faces
from pickroom.features.blocks import FACES, BlockStore
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.review.view import GroupView
from pickroom.store.workspace import Project
from support.reviewing import face_row, queue

PLACE = (0.25, 0.5, 0.125)


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project([(1, 1.5, 2), (1, 2)])


@pytest.fixture
def session(project: Project) -> Iterator[ReviewSession]:
    with closing(ReviewSession(project)) as opened:
        yield opened


def shown(session: ReviewSession) -> GroupView:
    found = session.view().group
    assert found is not None
    return found


def test_f_shows_the_face_of_each_image_that_has_one(project: Project, session: ReviewSession) -> None:
    first, second, _ = queue(project)[0].images
    BlockStore(project).append({FACES.name: [face_row(first, PLACE), face_row(second, None)]})
    assert [image.face for image in shown(session).images] == [None] * 3
    assert session.press("f").zoom == "faces"
    images = shown(session).images
    assert [image.face for image in images] == [PLACE, None, None]
    assert [image.no_face for image in images][1:] == ["No face found", "Face not measured yet"]
    assert session.press("2").zoom == "" and session.state.position == 1
    assert {image.no_face for image in shown(session).images} == {""}


def test_f_says_why_there_is_no_face_to_show(project: Project, session: ReviewSession) -> None:
    message = session.press("f").message
    assert session.state.zoom == "" and message.endswith("pickroom embed p")
    assert ("pickroom install faces" in message) == (not faces.installed())
    BlockStore(project).append({FACES.name: [face_row(image, None) for image in queue(project)[0].images]})
    assert session.press("f").message == "no face was found in these images"
    assert session.state.zoom == ""
    assert session.press("z").zoom == session.press("f").zoom == "full", "the view before stays"


def test_f_reads_what_was_measured_meanwhile(project: Project, session: ReviewSession) -> None:
    assert session.press("f").zoom == ""
    BlockStore(project).append({FACES.name: [face_row(queue(project)[0].images[0], PLACE)]})
    assert session.press("f").zoom == "faces"
