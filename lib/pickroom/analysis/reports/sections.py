"""A project's report, section by section: what the report notebook shows, one call a cell.

Every number comes from a named query of `pickroom.analysis`, and its name in the page contains the query's.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

from PIL import Image as PillowImage

from pickroom.analysis import figures
from pickroom.analysis.connection import Analysis, connect
from pickroom.analysis.reports import html
from pickroom.analysis.reports.html import Cell, Number, Piece, Unit
from pickroom.core.errors import ImageError, StoreError
from pickroom.images import thumbnails
from pickroom.store.workspace import Project, Workspace, utc_now

MISTAKES_SHOWN = 8
CROPS_SHOWN = 12
SESSIONS_SHOWN = 20
_EXAMPLES_SHOWN = 20

Row = dict[str, Any]


class Report(AbstractContextManager["Report"]):
    """The sections of one project's report; imported history has its own notebook."""

    def __init__(self, project: Project, analysis: Analysis) -> None:
        self.project, self.analysis = project, analysis

    def __exit__(self, *_: object) -> None:
        self.analysis.close()

    @classmethod
    def open(cls, project_id: str, home: Path | str | None = None) -> Self:
        """The report of a project of the workspace at `home` (found when None).

        Raises:
            ProjectError: no such project.
            StoreError: its database cannot be read.
        """
        workspace = Workspace.find(home)
        project = workspace.project(project_id)
        analysis = connect(workspace)
        for problem in analysis.problems:
            if problem.project_id == project_id and problem.left_out:
                analysis.close()
                raise StoreError(problem.what, doing=f"reporting on {project_id}")
        return cls(project, analysis)

    def heading(self) -> Piece:
        """The project's name and the days it covers."""
        (pace,) = self._rows("pace") or [{}]
        title = Piece(f'<p class="title">{html.label(self.project.manifest.title).html}</p>')
        first, last = (Number(f"pace.{name}", pace.get(name), "day") for name in ("first_at", "last_at"))
        if pace:
            one_day = html.words(first.value, "day") == html.words(last.value, "day")
            days = ("Decided on ", first, ".") if one_day else ("Decided from ", first, " to ", last, ".")
            when = html.paragraph(*days)
        else:
            nobody = "No group was decided by a person." if self._rows("shares") else "Nothing decided yet."
            when = html.paragraph(nobody)
        made = html.label(f"{utc_now()[:16].replace('T', ' ')} UTC").html
        return title + when + Piece(f"<p>Project {html.label(self.project.id).html}, reported on {made}.</p>")

    def overview(self) -> Piece:
        """Images in, images out, and the outcomes of groups."""
        (flow,) = self._rows("input_output") or [{}]
        shares = self._rows("shares")
        labels = {"images": "images in", "groups": "groups of candidates", "decided": "groups decided"}
        labels |= {"undecided": "groups undecided", "picked": "images picked", "set_aside": "images set aside"}
        labels |= {"crops_made": "crops made", "ungrouped": "images in no group"}
        if flow.get("ungrouped"):
            labels |= {"singles_kept": "of these kept", "singles_set_aside": "of these set aside"}
            labels |= {"unseen_singles": "of these not looked at"}
        tiles = _tiles("input_output", flow, labels)
        if not shares:
            return tiles
        kinds = {"kept": "kept as picked", "cropped": "to be cropped"}
        kinds |= {"kept_whole": "kept whole", "rejected": "rejected"}
        rows: list[Sequence[Cell]] = [
            (words, *_numbers("shares", shares[0], name, f"{name}_share share")) for name, words in kinds.items()
        ]
        drawn = html.picture(figures.shares(shares), "Shares of groups kept, cropped, kept whole and rejected")
        page = tiles + html.table(("groups", "number", "share"), rows) + drawn
        if shares[0]["by_machine"]:
            machine = _number("shares", shares[0], "by_machine")
            page += html.paragraph("Decided without a person, and in no accuracy: ", machine, " of these groups.")
        return page

    def work(self) -> Piece:
        """Pace by session, and the estimate of time saved."""
        (pace,) = self._rows("pace") or [{}]
        if not pace:
            return html.paragraph("(no session yet)")
        if pace["groups_per_hour"] is None:
            why = "a script, a demo and an import take none, and pauses are left out."
            return html.paragraph(f"No time was spent that could be measured: {why}")
        labels = {"worked_s seconds": "time at work", "sessions": "sessions"}
        labels |= {"groups_per_hour rate": "groups an hour", "images_per_hour rate": "images an hour"}
        tiles = _tiles("pace", pace, labels)
        sessions = self._rows("sessions")
        shown = sessions[-SESSIONS_SHOWN:]
        names = ("session began (UTC)", "at work", "groups", "images", "groups/h", "images/h")
        columns = ["started_at moment", "worked_s seconds", "groups", "images"]
        columns += ["groups_per_hour rate", "images_per_hour rate"]
        page = tiles + html.table(names, [_numbers(f"sessions.{row['session']}", row, *columns) for row in shown])
        if len(sessions) > len(shown):
            page += html.paragraph("The latest sessions only.")
        if len(sessions) > 1:
            page += html.picture(figures.pace(sessions), "Groups an hour, by session")
        return page + self._time_saved()

    def agreement(self) -> Piece:
        """Agreement over time, calibration, and the comparison with "highest stage"."""
        versions = self._rows("performance_by_model")
        recommended = [row for row in versions if row["selections"]]
        who = _who(recommended)
        columns = ["decisions", "correct_selections", "selections"]
        columns += [f"selection_{name} share" for name in ("accuracy", "low", "high")]
        rows: list[Sequence[Cell]] = []
        for place, row in enumerate(versions):
            name = html.label(f"{row['source']}: {row['ranker']}" if row["recommended"] else "no recommendation")
            rows.append((name, *_numbers(f"performance_by_model.{place}", row, *columns)))
        names = ("recommended by", "decisions", "pick taken", "of picks", "share", "from", "to")
        if not recommended:
            return html.paragraph("(no image picked where one was recommended)") + self._normal_and_anomaly(who)
        page = html.table(names, rows)
        page += html.paragraph(
            '"From" and "to" are the 95 % interval. A reject has no pick, and counts for nothing here.'
        )
        rolling = self._rows("rolling_100")
        if rolling:
            page += html.picture(figures.rolling(rolling), f"Share of {who}'s picks taken, over the last 100 decisions")
        return page + self._normal_and_anomaly(who) + self._calibration()

    def crops(self) -> Piece:
        """Overlap of the AI's crops with the user's, with pictures."""
        columns = ("crops", "proposed", "mean_iou score", "iou_85 share", "within_5 share", "mean_corner_error score")
        rows: list[Sequence[Cell]] = [
            (html.label(figures.crop_label(row)), *_numbers(f"crop_error.{place}", row, *columns))
            for place, row in enumerate(self._rows("crop_error"))
        ]
        names = (
            *("crops by hand", "made", "AI had proposed", "mean overlap"),
            *("overlap ≥\u00a0.85", "corners within 5\u00a0%", "corner off by"),
        )
        page = html.table(names, rows, empty="no crop by hand yet")
        asked = "SELECT * FROM crops WHERE project_id = ? AND origin = 'project' AND counts AND own_box"
        found = self.analysis.execute(asked, [self.project.id]).dicts()
        if found:
            named = [{**row, "filename": (row["directory"], row["filename"])} for row in found]
            sheet = figures.crop_sheet(named, self.preview, CROPS_SHOWN)
            proposed = any(row["ai_box"] is not None for row in found)
            ai = ", dashed red what the AI had proposed for that image" if proposed else ""
            page += html.picture(sheet, f"Crops by hand over their images: blue is the crop{ai}")
            page += html.paragraph(f"Blue is the crop made by hand{ai}.")
        return page

    def mistakes(self) -> Piece:
        """Overrides, the most confident recommendations first."""
        rows = self._rows("mistakes")
        if not rows:
            picked = any(row["selections"] for row in self._rows("performance_by_project"))
            taken = "every recommended pick was taken" if picked else "no image picked where one was recommended"
            return html.paragraph(f"({taken})")
        total, who = Number("mistakes.total", len(rows)), _who(rows)
        sure = any(row["ai_confidence"] is not None for row in rows)
        first = "the surest mistakes are these" if sure else "the latest are these"
        shown = rows[:MISTAKES_SHOWN]
        named = [{**row, "images": [(row["directory"], name) for name in row["images"]]} for row in shown]
        sheet = figures.contact_sheet(named, self.preview)
        lead = html.paragraph("In ", total, f" of the groups you took another image than {who}; {first}.")
        return lead + html.picture(sheet, f"The pick of {who} in dashed red, the user's in blue")

    def health(self) -> Piece:
        """Unfinished work, and problems with files on disk."""
        waiting = self._rows("unfinished_crops")
        (flow,) = self._rows("input_output") or [{}]
        page = Piece("")
        if flow.get("undecided"):
            undecided, groups = _numbers("input_output", flow, "undecided", "groups")
            page += html.paragraph(undecided, " of ", groups, " groups are undecided.")
        if flow.get("unseen_singles"):
            unseen = _number("input_output", flow, "unseen_singles")
            page += html.paragraph("Images in no group that you have not looked at: ", unseen, ".")
        page += html.paragraph("Crops that wait to be made: ", Number("unfinished_crops.total", len(waiting)), ".")
        if waiting:
            names = ", ".join(row["picked"] for row in waiting[:_EXAMPLES_SHOWN])
            page += Piece(f"<p>{html.label(names).html}{' …' if len(waiting) > _EXAMPLES_SHOWN else ''}</p>")
        rows: list[Sequence[Cell]] = [
            (row["what"], _number(f"data_health.{row['what']}", row, "times"), html.label(row["example"]))
            for row in self._rows("data_health")
        ]
        there = self.project.root.is_dir()
        if not there:
            page += html.paragraph("The image folder is not there: its files were not checked.")
        empty = "every file is where it should be" if there else "nothing else was found"
        return page + html.table(("what", "times", "for example"), rows, empty=empty)

    def preview(self, image: tuple[str, str]) -> PillowImage.Image | None:
        """The preview of an image by folder and name, of a cropped one its original's; None where nothing shows it."""
        if image not in self._places:
            return None
        sha256, path = self._places[image]
        try:
            data = thumbnails.read(self.project.workspace.thumbnails, sha256, self.project.root / path)
        except (ImageError, OSError):
            return None
        return PillowImage.open(io.BytesIO(data))

    @cached_property
    def _places(self) -> dict[tuple[str, str], tuple[str, str]]:
        asked = "SELECT directory, filename, sha256, path FROM images WHERE project_id = ? AND sha256 IS NOT NULL"
        found = self.analysis.execute(asked, [self.project.id]).fetchall()
        return {(directory, filename): (sha256, path) for directory, filename, sha256, path in found}

    def _rows(self, query: str) -> list[Row]:
        return [row for row in self.analysis.rows(query, self.project.id) if row.get("origin", "project") == "project"]

    def _time_saved(self) -> Piece:
        (saved,) = self._rows("time_saved") or [{}]
        if not saved or saved["picks_saved_s"] is None:
            return html.paragraph("There is not enough yet to estimate the time saved.")
        spans = [f"{name}_s seconds" for name in ("taken", "own", "picks_saved", "crop", "crops_saved")]
        taken_s, own_s, picks_saved_s, crop_s, crops_saved_s = _numbers("time_saved", saved, *spans)
        taken, own, crops_taken = _numbers("time_saved", saved, "taken", "own", "crops_taken")
        end = "." if saved["picks_saved_s"] > 0 else ": by this estimate they saved none."
        page = html.paragraph(
            *("An estimate of the time saved: a group taken as recommended took ", taken_s, " (median of ", taken),
            *("), one decided otherwise ", own_s, " (of ", own, "); in all ", picks_saved_s, end),
        )
        if saved["crops_saved_s"] is not None:
            page += html.paragraph(
                *("A crop by hand took ", crop_s, "; crops taken as proposed: ", crops_taken),
                *(", which saved ", crops_saved_s, "."),
            )
        return page

    def _normal_and_anomaly(self, who: str) -> Piece:
        (rates,) = self._rows("anomaly_rates") or [{}]
        if not rates:
            return Piece("")
        kinds = {"normal": "highest stage is best (normal)", "anomaly": "a lower stage is best (anomaly)"}
        shown = 2 if rates["normal_selections"] or rates["anomaly_selections"] else 1
        rows: list[Sequence[Cell]] = [
            (words, *_numbers("anomaly_rates", rates, f"{kind}_groups", f"{kind}_accuracy share")[:shown])
            for kind, words in kinds.items()
        ]
        highest, groups = _numbers("anomaly_rates", rates, "highest_stage_accuracy share", "groups")
        baseline = html.paragraph(
            *("Always picking the highest stage would have been right in ", highest),
            *(" of the groups with known stages (", groups),
            "), and in no anomaly." if rates["anomaly_groups"] else ").",
        )
        names = ("groups with known stages", "number", f"pick of {who} taken")[: shown + 1]
        return html.table(names, rows) + baseline

    def _calibration(self) -> Piece:
        bands = self._rows("performance_by_confidence")
        if not bands:
            return Piece("")
        rows: list[Sequence[Cell]] = []
        for band in bands:
            name = f"performance_by_confidence.{round(band['band_from'] * 10)}"
            label = html.label(f"{band['band_from']:.0%} to {band['band_to']:.0%}".replace("%", " %"))
            columns = ("selections", "mean_confidence share", "selection_accuracy share")
            rows.append((label, *_numbers(name, band, *columns)))
        table = html.table(("the AI said it was sure", "picks", "on average", "pick taken"), rows)
        rates = self._rows("anomaly_rates")
        drawn = [html.picture(figures.calibration(bands), "How often the AI was right, by how sure it was")]
        if rates:
            alt = 'The recommended picks compared with "highest stage"'
            drawn.insert(0, html.picture(figures.normal_and_anomaly(rates), alt))
        return table + html.side_by_side(*drawn)


def _who(rows: Sequence[Row]) -> str:
    """The sources of recommendations in rows, in words; both where they are mixed."""
    machine = sorted({figures.recommender(row["source"]) for row in rows}) or ["what was recommended"]
    named = {"the baseline": "the baseline (highest stage)"}
    return " or ".join(named.get(name, name) for name in machine)


def _number(query: str, row: Row, column: str) -> Number:
    """The figure of a column, given with its unit unless it is a count: "mean_iou score"."""
    name, _, unit = column.partition(" ")
    return Number(f"{query}.{name}", row.get(name), cast("Unit", unit or "count"))


def _numbers(query: str, row: Row, *columns: str) -> list[Number]:
    return [_number(query, row, column) for column in columns]


def _tiles(query: str, row: Row, labels: Mapping[str, str]) -> Piece:
    """`labels`: column, as `_number` has it -> its words."""
    return html.tiles([(words, _number(query, row, column)) for column, words in labels.items()])
