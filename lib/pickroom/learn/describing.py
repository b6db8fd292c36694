"""A version in words: what it was made from, how it does beside its baselines, whether it recommends. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pickroom.learn.evaluation import Evaluation
from pickroom.learn.metrics import WINDOW
from pickroom.learn.models import DEFAULT_TASKS
from pickroom.learn.picks.task import FIRST_MARKS, MARKS
from pickroom.learn.tasks import Task


def lines_of(task: Task, version: int, metadata: Mapping[str, Any]) -> list[str]:
    """The short report of a version, from its metadata."""
    data, counts = metadata["data"], metadata["data"]["used"]
    if task.name == "ranker":
        learned, how = f"{counts['learned']} {task.unit} learned", f"headline: {metadata['headline']}"
    else:
        sides = "the whole project held out" if metadata["split"]["by"] == "project" else "split by group"
        learned = f"{counts['train']} {task.unit} learned from, {metadata['fitted']}"
        how = f"{counts['held_out']} held out ({sides})"
    lines = [
        f"{task.name} v{version}: {task.plain(metadata['metrics'], metadata['baselines'])}",
        f"{task.name} v{version} of {', '.join(metadata['projects'])}: {learned}, {how}, {metadata['seconds']:.0f} s",
    ]
    left_out = Counter[str]()
    for project in data["projects"].values():
        left_out.update(project["left_out"])
    left_out.update(data["without_features"])
    if left_out:
        lines.append("left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.most_common()))
    if task.name == "ranker":
        lines += [f"{name}: {task.words(scored)}" for name, scored in metadata.get("splits", {}).items()]
        lines += marks(metadata["metrics"])
    else:
        lines.append(f"held out: {task.words(metadata['metrics'])}")
    lines += [f"  {name}: {task.words(scored)}" for name, scored in metadata["baselines"].items()]
    previous = metadata["previous"]
    if previous and previous["metrics"]:
        lines.append(
            f"  v{previous['version']} on the {previous['rows']} of them it was not trained on: "
            f"{task.words(previous['metrics'])}; v{version} there: {task.words(previous['new'])}"
        )
    for one in metadata["tried"]:
        kept = " (kept)" if one["chosen"] else ""
        lines.append(f"  anomaly weight {one['setting']:g}{kept}: {task.words(one['held_out'])}")
    verdict = metadata["verdict"]
    state = "it recommends from now on" if verdict["current"] else "kept, and not used"
    need = verdict.get("crop_or_none")
    if need is not None and not need["counts"]:
        lines.append(
            f"it does not predict whether a crop is needed: right in {need['new']:.0%}, "
            f"the same answer for all in {need['majority']:.0%}; its boxes are judged by themselves"
        )
    return [*lines, f"{state}: {verdict['reason']}"]


def marks(scored: Mapping[str, Any]) -> list[str]:
    """The success marks for picks, each as reached or not (docs/LESSONS.md)."""
    found = []
    for title, least in (("first version", FIRST_MARKS), ("success", MARKS)):
        parts = [
            f"{kind} {value:.0%} of {share:.0%} ({'' if value >= share else 'not '}reached)"
            for kind, share in least.items()
            if (value := scored[kind]["value"]) is not None
        ]
        found += [f"mark for {title}: {', '.join(parts)}"] if parts else []
    return found


def evaluation_lines(found: Evaluation) -> list[str]:
    """Every version on every project beside its baselines, then the sample, group by group."""
    lines = []
    for one in found.versions:
        head = f"{one.kind} v{one.version}{' (current)' if one.current else ''} on {one.project_id}"
        if not one.metrics:
            lines.append(f"{head}: {one.note}")
            continue
        task = DEFAULT_TASKS[one.kind]
        left_out = f", {one.seen} it was fitted on left out" if one.seen else ""
        lines.append(f"{head}, {one.rows} {task.unit}{left_out}: {task.words(one.metrics)}")
        lines += [f"  {name}: {task.words(scored)}" for name, scored in one.baselines.items()]
        if one.rolling:
            lines.append(f"  over the last {min(len(one.rolling), WINDOW)}: {one.rolling[-1]:.3f}")
    for entry in found.sample:
        lines.append(sample_line(entry))
    if found.log:
        right = sum(entry["selection_match"] for entry in found.sample)
        lines.append(f"the person's pick in {right} of {len(found.sample)}; logged in {found.log}")
    return lines


def sample_line(entry: Mapping[str, Any]) -> str:
    """One group of a sample: the person's pick and crop beside the models'."""
    same = "same" if entry["selection_match"] else "OTHER"
    parts = [
        f"{entry['group_id']}: person {entry['user_selected_index'] + 1}, "
        f"AI {entry['ai_selected_index'] + 1} ({entry['ai_confidence']:.0%}): {same}"
    ]
    if entry["crop_iou"] is not None:
        person, ai = (_box_words(entry[name]) for name in ("final_crop_coords", "ai_crop_coords"))
        parts.append(f"crop of the person's pick: person {person}, AI {ai}: overlap {entry['crop_iou']:.2f}")
    return "; ".join(parts)


def _box_words(box: list[float] | None) -> str:
    return "none" if box is None else "[" + " ".join(f"{edge:.2f}" for edge in box) + "]"
