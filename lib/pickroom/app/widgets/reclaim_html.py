"""The words of the page that frees the disk, as HTML. Pure: every name passes through `html.escape`."""

from __future__ import annotations

from html import escape

from pickroom.core.quantities import format_bytes
from pickroom.maintenance.reclaim.planning import ReclaimPlan, Share


def page(body: str) -> str:
    """A piece of the page; the style comes once, with the page itself."""
    return f'<div class="pickroom-reclaim">{body}</div>'


def sizes(planned: ReclaimPlan) -> str:
    """What can go and what stays, by project and kind, sizes first; the bars share one scale."""
    going = [share for share in planned.shares if not share.reason]
    staying = [share for share in planned.shares if share.reason]
    most = max((share.size for share in planned.shares), default=0)
    much = format_bytes(planned.size) if planned.items else "Nothing"
    parts = [f"<h3>{escape(much)} can come back</h3>"]
    if going:
        parts.append(f"<table>{''.join(_row(share, most) for share in going)}</table>")
    elif not staying:
        parts.append("<p>No project has anything set aside, archived or dropped.</p>")
    if staying:
        rows = "".join(_row(share, most) for share in staying)
        parts.append(f'<h4>Stays, because nothing proves it needless</h4><table class="stays">{rows}</table>')
    return page("".join(parts))


def line(text: str, *, error: bool = False) -> str:
    """The line under the buttons."""
    return page(f'<p class="{"error" if error else "message"}">{escape(text)}</p>')


def done(hard: bool, count: int, size: int) -> str:
    """What an execution did."""
    what = f"{count:,} item{'s' * (count != 1)}, {format_bytes(size)}"
    if hard:
        return f"Deleted for good: {what}."
    return (
        f"In the trash: {what}. The disk has its room back when the trash is emptied; until then they can be restored."
    )


def _row(share: Share, most: int) -> str:
    width = 100 * share.size / most if most else 0
    reason = f'<br><span class="reason">{escape(share.reason)}</span>' if share.reason else ""
    return (
        f'<tr><td class="number">{escape(format_bytes(share.size))}</td>'
        f'<td class="bar"><div class="share" style="width: {width:.1f}%"></div></td>'
        f'<td class="project">{escape(share.project_id)}</td>'
        f'<td>{escape(share.words)}{reason}</td><td class="number">{share.count:,}</td></tr>'
    )
