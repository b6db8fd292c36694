"""Import picks and crops from two folders: the original images, and those that the user kept.

Only files count: AI proposals are ignored, a group of which no image was kept gives no decision, and a crop that is not
found in its original's pixels has no coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from contextlib import ExitStack, closing
from pathlib import Path

from pickroom.core.errors import UsageError
from pickroom.core.records import UserAction
from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment, Clues
from pickroom.history.logged_paths import ProjectNames, given_project
from pickroom.history.pairing import ComparedPair, ImageSource, Progress, compare_all, open_source, pair
from pickroom.history.parsed_rows import ParsedRows, pick_key
from pickroom.history.report import FileReport
from pickroom.history.skip_reasons import Skip
from pickroom.history.staging import StagedImport
from pickroom.store.legacy import Match
from pickroom.store.workspace import Workspace

UNREADABLE = "one of the two images cannot be read"
NOTHING_TO_LEARN = "in no group, and not cropped: nothing to learn"
LARGER = "larger than its original: what was done to it is not known"
NO_BOX = "an image was cropped, but where is not known: its coordinates are NULL"
_ACTIONS: dict[str | None, UserAction] = {"same": "approve", "smaller": "crop"}
UNDECIDED = "a group of ORIGINAL has no final image: it stays undecided"


def read_pair(
    workspace: Workspace, original: Path, final: Path, project: str, progress: Progress | None = None
) -> StagedImport:
    """Compare the original images with those that were kept. The caller closes the result.

    Args:
        original, final: folders, or zips, which are read in place.
        project: whose images they are; it need not be started.

    Raises:
        UsageError: one of the two cannot be used, belongs to another project, or holds folders of other projects.
        ProjectError: `project` is not a valid name, or a manifest is damaged.
        StoreError: a database of the project cannot be read.
    """
    given = given_project(workspace, project)
    names = ProjectNames.of(workspace, [given])
    originals, finals = _open_both(workspace, original, final, given, names)
    with closing(originals), closing(finals), ExitStack() as until_read:
        matches: list[Match] = []
        staged = until_read.enter_context(StagedImport(workspace, matches))
        pairs, unpaired, undecided = pair(originals, finals)
        rows = Counter(Clues().key((each.original.directory, each.final.directory)) for each in pairs)
        assignment = Assignment(names, rows, given=given, only_siblings=True)
        assignment.require_agreement("compare the folders of one project at a time")
        report = FileReport(finals.name, f"final images of {originals.name}")
        report.rows = len(finals.items) + len(finals.left_out)
        for left in finals.left_out:
            report.skip(UNREADABLE, repr(f"{left.directory}/{left.filename}: {left.reason}"))
        for item, reason in unpaired:
            report.skip(reason, repr(item.path))
        if undecided:
            report.notes[UNDECIDED] = undecided
        parsed = ParsedRows(assignment, staged.add_file(finals.name, numbered=False), report)
        known, boxed = staged.known(given)
        compared = compare_all(originals, finals, pairs, given, boxed, progress)
        for line, found in enumerate(compared, start=1):
            staged.contents |= found.contents
            if found.match is not None:
                matches.append(found.match)
            try:
                _add(found, parsed, known, boxed, line)
            except Skip as skip:
                what = found.pair.final.path + (f": {found.problem}" if found.problem else "")
                report.skip(skip.reason, repr(what))
        staged.store(parsed)
        staged.finish([parsed], assignment)
        until_read.pop_all()
    return staged


def _open_both(
    workspace: Workspace, original: Path, final: Path, given: str, names: ProjectNames
) -> tuple[ImageSource, ImageSource]:
    folders = original.expanduser().resolve(), final.expanduser().resolve()
    doing = "comparing original and final images"
    if folders[0] == folders[1]:
        raise UsageError("ORIGINAL and FINAL are the same", doing=doing, subject=folders[0])
    for folder in folders:
        named = names.in_folder(folder.name.removesuffix(".zip"))
        if named and given not in named:
            raise UsageError(f"this is named like project {min(named)}, not {given}", doing=doing, subject=folder)
        for other in workspace.projects():
            if other.id != given and other.manifest.root and (folder == other.root or other.root in folder.parents):
                what = f"this is in the folder of project {other.id}"
                raise UsageError(what, doing=doing, subject=folder, hint="one project only")
    # one of them may be inside the other
    first, second = (open_source(folder, frozenset(folders) - {folder}) for folder in folders)
    return first, second


def _add(
    found: ComparedPair, parsed: ParsedRows, known: Mapping[tuple[str, str], str], boxed: Set[str], line: int
) -> None:
    """Add the rows of one pair; raises Skip when it gives none, or none that is new."""
    original, final = found.pair.original, found.pair.final
    project = parsed.project([original.directory, final.directory])
    if found.size is None:
        raise Skip(UNREADABLE)
    cropped, name, moment = found.change == "smaller", original.filename, final.modified
    box = found.match.box if found.match else None
    if found.pair.group:
        images, index = [item.filename for item in found.pair.group], found.pair.group.index(original)
        reason = known.get((name, pick_key(one for one in images if one != name)))
        if reason is None:
            action = _ACTIONS.get(found.change)
            if action is None:
                parsed.report.notes[LARGER] += 1
            elif cropped and box is None:
                parsed.report.notes[NO_BOX] += 1
            crop_time = moment if cropped else None
            parsed.add_pick(project, images, index, action, found.size, moment, line, box, crop_time)
            return
        if box is None:
            raise Skip(reason)
    elif not cropped:
        raise Skip(NOTHING_TO_LEARN)
    elif name in boxed:
        raise Skip(skip_reasons.IMPORTED)
    parsed.add_crop(project, name, box, found.size, moment, line)
