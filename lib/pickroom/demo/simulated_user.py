"""The simulated user of the demo: decides groups blind, so that a model can be trained at once."""

from collections.abc import Callable, Sequence
from contextlib import closing

from pickroom.core.errors import ConflictError
from pickroom.demo.plan import Truth, stream
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import ConsistencyConfig
from pickroom.features.consistency_store import consistency_of
from pickroom.features.sources import FeatureSources
from pickroom.files import cropping
from pickroom.indexing.pipeline import embed
from pickroom.learn import progress as learning
from pickroom.learn.picks import current
from pickroom.learn.picks.task import PickTask
from pickroom.learn.recommending import recommend
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.review_state import REVIEW
from pickroom.store.workspace import Project

Progress = Callable[[int, int], None]  # groups done, groups in all
NOTES = "trained on {} decisions of a simulated user, images damaged on purpose"  # of the project, for the deck
BATCH = 60  # groups to a finalise
_SECONDS = (1.0, 0.5)  # mean and spread of the logarithm of the seconds a look takes: about 3, a few of them 8
_PAST = 0x9A57  # a stream of its own: a demo with decisions has the pictures of one without


def decide(project: Project, truths: Sequence[Truth], count: int, seed: int, progress: Progress | None = None) -> None:
    """Decide the first `count` groups of the queue blind, as the simulated user, and make the crops.

    Raises:
        ConflictError: a batch was held back, a crop was not made, or a group is missing or unknown; earlier decisions
            stay.
    """
    by_names = {frozenset(known.images): known for known in truths}
    random, now, done = stream(seed, _PAST), 0.0, 0

    def clock() -> float:
        """Advances by the time that a user would have looked at a group."""
        return now

    while done < count:
        size = min(BATCH, count - done)
        with closing(ReviewSession(project, batch_size=size, blind=True, clock=clock)) as session:
            shown = list(session.groups)
            _require(bool(shown), project, f"group {done + 1} was not made whole")
            orders = []
            for group in shown:
                now += float(random.lognormal(*_SECONDS))
                known = by_names.get(frozenset(group.filenames))
                _require(known is not None, project, f"the hidden reviewer knows nothing of group {group.group_id}")
                assert known is not None
                keys = {"approve": "1234", "crop": "qwer", "reject": "xxxx"}[known.action]
                session.press(keys[group.filenames.index(known.images[known.pick])])
                if known.box is not None:
                    orders.append(cropping.Order("crop", known.images[known.pick], known.box))
            for key in ("Shift+Enter", "Shift+Enter"):
                session.press(key)
            finalised = session.last_result is not None and not session.last_result.held
            _require(finalised, project, "a batch was not made whole")
        if orders:
            with closing(connect(project.database)) as connection:
                made = cropping.submit(project, connection, orders)
            _require(len(made.done) == len(orders), project, "a crop was not made whole")
        done += len(shown)
        if progress is not None:
            progress(done, count)


def _require(holds: bool, project: Project, what: str) -> None:
    if not holds:
        hint = "delete the demo's folder, and make it again"
        raise ConflictError(what, doing="making the demo", subject=project.workspace.root, hint=hint)


def learn(project: Project, progress: Progress | None = None) -> str:
    """Train the preference model on the decisions made, recommend for the groups that wait; the result in words.

    The review opens at the surest pick below the highest stage that has a named defect. The crop model is left to the
    first finalise: it takes longer than the demo may, and more crops than it has.

    Args:
        progress: called after each group whose images were compared.

    Raises:
        PickroomError: an image cannot be read, or the disk is full.
    """
    workspace = project.workspace
    embed(project)
    project = workspace.project(project.id)  # it knows its encoder now
    task, sources = PickTask(), FeatureSources([project])
    with open_read_only(project.database) as connection:
        every = groups.every(connection, project.id)
    # all groups in one go of every core, rather than those decided first
    consistency_of([Candidates.of(group) for group in every], sources, ConsistencyConfig(), progress)
    _, lines = current.update(workspace, [project.id], task)
    told = recommend(project).words
    with closing(connect(project.database)) as connection, transaction(connection):
        waiting = groups.queue(connection, project.id)
        made = recommendations.of_groups(connection, [group.group_id for group in waiting])
        named = [(made[g.group_id], len(g.images)) for g in waiting if made[g.group_id].anomaly_flags]
        lower = [one for one, count in named if one.selected_index is not None and one.selected_index < count - 1]
        if lower:
            REVIEW.set_cursor(connection, max(lower, key=lambda one: one.confidence or 0.0).group_id)
    return "\n".join((*lines, *told.splitlines()))


def require_learned(project: Project) -> None:
    """Raise ConflictError where the making of a demo was interrupted before its model had learned."""
    finished = not project.manifest.notes or learning.read_summary(project.workspace) is not None
    _require(finished, project, "it was interrupted")
