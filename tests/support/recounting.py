"""Every number of a report counted again: plain sqlite3 and plain Python, nothing of `pickroom.analysis`."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import mean, median
from typing import Any

from pickroom.core.geometry import corners_match
from pickroom.core.naming import IMAGE_EXTENSIONS, parse_name, stem_of
from pickroom.core.records import CropBox
from pickroom.store.workspace import Project

Row = dict[str, Any]
FIVE_MINUTES = timedelta(minutes=5)
PAUSE_S = 120  # and longer: the user was away


def iou(a: CropBox, b: CropBox) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    overlap = width * height
    return overlap / (a.area + b.area - overlap)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def share(hits: int, of: int) -> float | None:
    return hits / of if of else None


def wilson(hits: int, of: int) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval, as Wikipedia writes it."""
    if not of:
        return None, None
    z, p = 1.959963984540054, hits / of
    centre, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return max((centre - half) / (1 + z * z / of), 0), min((centre + half) / (1 + z * z / of), 1)


def numbers(project: Project) -> dict[str, Any]:
    """Name in the report -> value, for everything that it may show."""
    with closing(sqlite3.connect(project.database)) as connection:
        connection.row_factory = sqlite3.Row

        def table(query: str) -> list[Row]:
            return [dict(row) for row in connection.execute(query)]

        context = {row["group_id"]: row for row in table("SELECT * FROM decision_context")}
        touched = {row["group_id"]: row["updated_at"] for row in table("SELECT * FROM review_state")}
        members = Counter(row["group_id"] for row in table("SELECT * FROM group_members"))
        decisions = table("SELECT * FROM ai_decisions ORDER BY group_id")
        images = table("SELECT * FROM images")
        grouped = {(row["directory"], row["filename"]) for row in table("SELECT * FROM group_members")}
        groups = [row["group_id"] for row in table("SELECT * FROM groups")]
        crops = table("SELECT * FROM crops")
        operations = table("SELECT * FROM file_operations")
    for row in decisions:
        own = context.get(row["group_id"], {})
        row |= {name: own.get(name) for name in ("input", "source", "milliseconds", "crop_input", "dropped_at")}
        row["names"] = json.loads(row["images"])
        row["stages"] = [parse_name(name).stage for name in row["names"]]
        row["ranker"] = json.loads(own.get("versions", "{}")).get("ranker", "unknown")
        row["at"] = _decided_at(row["group_id"], row["timestamp"], touched)
    kept = [row for row in context.values() if row["outcome"] == "keep"]
    found: dict[str, Any] = {}
    found |= _flow(images, grouped, groups, context, decisions, kept, members, crops)
    found |= _shares(decisions, kept)
    found |= _sessions(decisions, kept, members, touched)
    found |= _time_saved(decisions, crops)
    found |= _agreement(decisions)
    found |= _crops(decisions, crops)
    found |= _health(project, images, operations, decisions)
    return found


def _decided_at(group_id: str, timestamp: str, touched: dict[str, str]) -> datetime:
    return min(moment(touched.get(group_id, timestamp)), moment(timestamp))


def _flow(images, grouped, groups, context, decisions, kept, members, crops) -> Row:
    whole = sum(members[row["group_id"]] for row in kept)
    taken = [row for row in decisions if row["user_action"] != "reject"]
    dropped = sum(row["dropped_at"] is not None for row in decisions)
    latest = {row["group_id"] or row["filename"] for row in crops}
    decided = sum(group_id in context for group_id in groups)
    values = {
        "images": len(images),
        "grouped": len(grouped),
        "ungrouped": sum((row["directory"], row["filename"]) not in grouped for row in images),
        "unseen_singles": sum((row["directory"], row["filename"]) not in grouped for row in images),
        "groups": len(groups),
        "decided": decided,
        "undecided": len(groups) - decided,
        "picked": len(taken) + whole - dropped,
        "set_aside": sum(len(row["names"]) - (row in taken) for row in decisions) + dropped,
        "crops_made": len(latest)
        + sum(
            row["final_crop_coords"] is not None and row["group_id"] not in {c["group_id"] for c in crops}
            for row in decisions
        ),
    }
    return {f"input_output.{name}": value for name, value in values.items()}


def _shares(decisions, kept) -> Row:
    total = len(decisions) + len(kept)
    found: Row = {}
    for name, action in (("kept", "approve"), ("cropped", "crop"), ("rejected", "reject")):
        count = sum(row["user_action"] == action for row in decisions)
        found |= {f"shares.{name}": count, f"shares.{name}_share": share(count, total)}
    machine = sum(row["input"] == "auto" for row in (*decisions, *kept))
    return found | {
        "shares.kept_whole": len(kept),
        "shares.kept_whole_share": share(len(kept), total),
        "shares.by_machine": machine,
    }


def look(milliseconds: int | None) -> float | None:
    """Seconds; None where they are not known, or hold a pause."""
    return milliseconds / 1000 if milliseconds and milliseconds < 1000 * PAUSE_S else None


def per_hour(count: int, seconds: float, groups: int) -> float | None:
    return count / seconds * 3600 if seconds and seconds >= groups / 5 else None


def _sessions(decisions, kept, members, touched) -> Row:
    events = [(row["at"], row["group_id"], len(row["names"]), row["milliseconds"], row["input"]) for row in decisions]
    events += [
        (
            _decided_at(r["group_id"], r["decided_at"], touched),
            r["group_id"],
            members[r["group_id"]],
            r["milliseconds"],
            r["input"],
        )
        for r in kept
    ]
    runs: list[list[tuple]] = []
    for event in sorted(event for event in events if event[4] != "auto"):
        if not runs or event[0] - runs[-1][-1][0] > FIVE_MINUTES:
            runs.append([])
        runs[-1].append(event)
    found: Row = {}
    worked = []
    for number, run in enumerate(runs, start=1):
        took = {run[0][1]: look(run[0][3])}
        for one, event in pairwise(run):
            gap = (event[0] - one[0]).total_seconds()
            took[event[1]] = gap if gap < PAUSE_S else look(event[3])
        timed_groups = [event for event in run if took[event[1]] is not None]
        seconds = sum(spent for spent in took.values() if spent is not None)
        worked.append((run, timed_groups, seconds))
        pictures = sum(event[2] for event in run)
        found |= {
            f"sessions.{number}.started_at": run[0][0],
            f"sessions.{number}.worked_s": seconds,
            f"sessions.{number}.groups": len(run),
            f"sessions.{number}.images": pictures,
            f"sessions.{number}.groups_per_hour": per_hour(len(timed_groups), seconds, len(run)),
            f"sessions.{number}.images_per_hour": per_hour(sum(e[2] for e in timed_groups), seconds, len(run)),
        }
    if runs:
        seconds, everything = sum(spent for *_, spent in worked), [event for run in runs for event in run]
        paced = [(own, spent) for run, own, spent in worked if spent and spent >= len(run) / 5]
        looked, at_it = [event for own, _ in paced for event in own], sum(spent for _, spent in paced)
        found |= {
            "pace.first_at": everything[0][0],
            "pace.last_at": everything[-1][0],
            "pace.sessions": len(runs),
            "pace.worked_s": seconds,
            "pace.groups_per_hour": len(looked) / at_it * 3600 if at_it else None,
            "pace.images_per_hour": sum(e[2] for e in looked) / at_it * 3600 if at_it else None,
        }
    return found


def _time_saved(decisions, crops) -> Row:
    looks: dict[bool, list[float]] = {True: [], False: []}
    for row in decisions:
        if row["input"] != "auto" and row["user_action"] != "reject" and look(row["milliseconds"]) is not None:
            taken = row["selection_match"] == 1 and row["input"] != "blind"
            looks[taken].append(look(row["milliseconds"]))
    pages = Counter(moment(row["made_at"]) for row in crops if row["input"] == "desk")
    undrawn = {moment(row["made_at"]) for row in crops if row["box_source"] in ("ai", "default")}
    times = sorted(pages)
    by_hand = [
        (after - before).total_seconds() / pages[after]
        for before, after in pairwise(times)
        if after - before <= FIVE_MINUTES and after not in undrawn
    ]
    applied = sum(row["box_source"] == "ai_all" for row in crops)
    found: Row = {"time_saved.taken": len(looks[True]), "time_saved.own": len(looks[False])}
    found["time_saved.taken_s"] = median(looks[True]) if looks[True] else None
    found["time_saved.own_s"] = median(looks[False]) if looks[False] else None
    if looks[True] and looks[False]:
        found["time_saved.picks_saved_s"] = len(looks[True]) * (median(looks[False]) - median(looks[True]))
    found["time_saved.crops_taken"] = applied
    if by_hand:
        found["time_saved.crop_s"] = median(by_hand)
        found["time_saved.crops_saved_s"] = applied * median(by_hand)
    return found


def _agreement(decisions) -> Row:
    persons = [row for row in decisions if row["input"] != "auto"]
    picks = [row for row in persons if row["selection_match"] is not None]
    found: Row = {"mistakes.total": sum(row["selection_match"] == 0 for row in persons)}
    by_version: dict[tuple[str, str], list[Row]] = {}
    for row in persons:
        by_version.setdefault((row["source"] or "unknown", row["ranker"]), []).append(row)
    ordered = sorted(by_version.items(), key=lambda item: (min(row["at"] for row in item[1]), item[0]))
    for place, (_, own) in enumerate(ordered):
        name = f"performance_by_model.{place}"
        flags = [row["selection_match"] for row in own if row["selection_match"] is not None]
        low, high = wilson(sum(flags), len(flags))
        found |= {
            f"{name}.decisions": len(own),
            f"{name}.selections": len(flags),
            f"{name}.correct_selections": sum(flags),
            f"{name}.selection_accuracy": share(sum(flags), len(flags)),
            f"{name}.selection_low": low,
            f"{name}.selection_high": high,
        }
    known = [
        row
        for row in persons
        if row["user_action"] != "reject" and None not in row["stages"] and row["stages"].count(max(row["stages"])) == 1
    ]
    if known:
        best = [row["stages"].index(max(row["stages"])) == row["user_selected_index"] for row in known]
        found |= {
            "anomaly_rates.groups": len(known),
            "anomaly_rates.highest_stage_accuracy": share(sum(best), len(known)),
        }
        for name, wanted in (("normal", True), ("anomaly", False)):
            own = [row for row, is_best in zip(known, best, strict=True) if is_best is wanted]
            flags = [row["selection_match"] for row in own if row["selection_match"] is not None]
            found[f"anomaly_rates.{name}_groups"] = len(own)
            found[f"anomaly_rates.{name}_accuracy"] = share(sum(flags), len(flags))
    bands: dict[int, list[Row]] = {}
    for row in picks:
        if row["ai_confidence"] is not None:
            bands.setdefault(min(math.floor(row["ai_confidence"] * 10 + 1e-9), 9), []).append(row)
    for band, own in bands.items():
        found |= {
            f"performance_by_confidence.{band}.selections": len(own),
            f"performance_by_confidence.{band}.mean_confidence": mean(row["ai_confidence"] for row in own),
            f"performance_by_confidence.{band}.selection_accuracy": mean(row["selection_match"] for row in own),
        }
    return found


def _crops(decisions, crops) -> Row:
    by_id = {row["group_id"]: row for row in decisions}
    latest: dict[str, Row] = {}
    for row in sorted(crops, key=lambda row: row["batch"]):
        latest[row["group_id"] or row["filename"]] = row
    kinds: dict[tuple, list[tuple[CropBox, CropBox | None]]] = {}
    for row in latest.values():
        if row["box_source"] in ("ai_all", "default"):
            continue
        own = by_id.get(row["group_id"])
        proposed = None
        side = "none"
        if own is not None:
            if own["ai_crop_coords"] and own["ai_selected_index"] == own["user_selected_index"]:
                proposed = CropBox(*json.loads(own["ai_crop_coords"]))
            width, height = own["image_width"], own["image_height"]
            side = "landscape" if width > height else "portrait" if width < height else "square"
        stage = parse_name(row["filename"]).stage
        key = (stage is None, stage, side)
        kinds.setdefault(key, []).append((CropBox(*json.loads(row["box"])), proposed))
    found: Row = {}
    for place, (_, pairs) in enumerate(sorted(kinds.items())):
        both = [(box, ai) for box, ai in pairs if ai is not None]
        overlaps = [iou(box, ai) for box, ai in both]
        off = [max(abs(a - b) for a, b in zip(x.to_list(), y.to_list(), strict=True)) for x, y in both]
        found |= {
            f"crop_error.{place}.crops": len(pairs),
            f"crop_error.{place}.proposed": len(both),
            f"crop_error.{place}.mean_iou": mean(overlaps) if both else None,
            f"crop_error.{place}.iou_85": share(sum(value >= 0.85 for value in overlaps), len(both)),
            f"crop_error.{place}.within_5": share(sum(corners_match(*pair) for pair in both), len(both)),
            f"crop_error.{place}.mean_corner_error": mean(off) if both else None,
        }
    return found


def _health(project, images, operations, decisions) -> Row:
    waiting = [
        row
        for row in decisions
        if row["final_crop_coords"] is None
        and row["dropped_at"] is None
        and (row["user_action"] == "crop" or (row["user_action"] == "approve" and row["ai_crop_accepted"] == 1))
    ]
    paths = [path for path in project.root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in paths if path.suffix[1:].lower() in IMAGE_EXTENSIONS]
    desk = {path.parent / stem_of(path.name) for path in pictures if path.parent.name in ("crop", "crop_auto")}
    sidecars = {path.parent / stem_of(path.name) for path in paths if path.suffix == ".decision"}
    known = {row["filename"] for row in images}
    there = {path.name for path in pictures}
    placed = {row["destination"] for row in operations}
    found = {
        "image without its sidecar": len(desk - sidecars),
        "sidecar without its image": len(sidecars - desk),
        "image that no scan has met": sum(
            path.name not in known and path.relative_to(project.root).as_posix() not in placed for path in pictures
        ),
        "image that is nowhere": sum(row["sha256"] is not None and row["filename"] not in there for row in images),
        "image without a vector": sum(row["sha256"] is not None for row in images),
        "image that cannot be read": sum(row["sha256"] is None for row in images),
        "file operation not finished": sum(row["state"] == "planned" for row in operations),
        "decision without its context": sum(row["input"] is None for row in decisions),
    }
    return {"unfinished_crops.total": len(waiting)} | {
        f"data_health.{what}.times": times for what, times in found.items() if times
    }


def same(ours: Any, theirs: Any) -> bool:
    """Equal, numbers to the last few bits: sums are taken in another order."""
    if isinstance(ours, float) or isinstance(theirs, float):
        return ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return ours == theirs
