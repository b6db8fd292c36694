"""Whether a model is better than another, at any time: a bet on each group, made before its pick is known. Pure.

An e-process (Waudby-Smith and Ramdas 2023): if the model is right no more often than its rival, the wealth of a gambler
who bets on it is expected not to grow, so it ever reaches 20 with a probability of at most 1/20 (Ville 1939), however
often somebody looks. The gambler splits the money between several shares of the wealth to bet each time.
"""

from dataclasses import dataclass, field

import numpy as np

ENOUGH = 20.0
_SHARES = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7])


@dataclass(slots=True)
class Bet:
    """Attributes: logs: (6,) float64, the log wealth of each share; groups: bets made."""

    logs: np.ndarray = field(default_factory=lambda: np.zeros(len(_SHARES)))
    groups: int = 0

    def on(self, right: np.ndarray, rival: np.ndarray) -> None:
        """Bet that a model is right more often than its rival.

        Args:
            right, rival: (N,) in [0, 1], of the same groups; neither had learned their picks.
        """
        for ahead in (np.asarray(right, np.float64) - rival).tolist():
            self.logs = self.logs + np.log1p(_SHARES * ahead)
            self.groups += 1

    @property
    def value(self) -> float:
        """The e-value so far; 1 before the first bet."""
        return float(np.exp(min(self.logs.max(), 600.0)) * np.exp(self.logs - self.logs.max()).mean())
