"""Locks of files: what several processes hold together."""

from __future__ import annotations

from pathlib import Path

from pickroom.storage.locking import SharedLock


def test_shared_lock_tells_whether_others_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "window_p.lock"
    first = SharedLock(path)
    assert first.is_alone()
    second = SharedLock(path)
    assert (first.is_alone(), second.is_alone(), first.is_alone()) == (False, False, False)
    second.close()
    assert first.is_alone()
    third = SharedLock(path)
    assert not first.is_alone()
    first.close()
    assert third.is_alone()
    third.close()
