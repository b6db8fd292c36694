"""One small demo made once for all tests of this folder; nobody may change it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pickroom.demo.plan import DemoConfig, Truth
from pickroom.demo.project import make_images

SMALL = DemoConfig(groups=20, seed=7, long_side=128)  # 20: one full run, in which the rates hold exactly


@dataclass(frozen=True)
class Demo:
    home: Path
    truths: list[Truth]

    @property
    def images(self) -> Path:
        return self.home / "demo_images"

    def path_of(self, filename: str) -> Path:
        """Where an image lies; fails when its name is met in two folders."""
        (path,) = self.images.glob(f"*/{filename}")
        return path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo")
    return Demo(home, make_images(home, SMALL))
