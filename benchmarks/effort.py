"""How much is measured: enough to trust a median, or enough to see that it works."""

from __future__ import annotations

from attrs import frozen


@frozen
class Effort:
    """How often things are done.

    Args:
        rounds: Of each comparison; what is compared takes turns within a round.
        handshakes: In a round.
        requests: In a round.
        sessions: Idle ones, to weigh them.
        starts: Of each program.
        approvals: Timed one by one.
        devices: On file where many are.
        questions: To a node, in a round.
        endured: Requests whose traces in memory are looked for.
        pages: Visits of a browser that was never there.
    """

    rounds: int
    handshakes: int
    requests: int
    sessions: int
    starts: int
    approvals: int
    devices: int
    questions: int
    endured: int
    pages: int


FULL = Effort(
    rounds=9,
    handshakes=150,
    requests=1600,
    sessions=1000,
    starts=7,
    approvals=20,
    devices=10_000,
    questions=300,
    endured=100_000,
    pages=15,
)
QUICK = Effort(
    rounds=2,
    handshakes=10,
    requests=160,
    sessions=50,
    starts=1,
    approvals=3,
    devices=1000,
    questions=20,
    endured=2_000,
    pages=2,
)
