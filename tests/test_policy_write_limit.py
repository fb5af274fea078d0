"""How often the configuration may be written over the wire."""

from gateway.policy.write_limit import MAX_WRITERS, MAX_WRITES, WINDOW_S, WriteLimit

ME, OTHER = ("device", "192.0.2.1"), (None, "192.0.2.1")


def test_thirty_in_a_minute_and_then_how_long_to_wait():
    limit = WriteLimit()
    assert [limit.wait_s(ME, at) for at in range(MAX_WRITES)] == [None] * MAX_WRITES

    assert limit.wait_s(ME, 40) == 20
    assert limit.wait_s(OTHER, 40) is None
    assert limit.wait_s(ME, WINDOW_S) is None
    assert limit.wait_s(ME, WINDOW_S) == 1


def test_who_wrote_least_recently_is_forgotten_first():
    limit = WriteLimit()
    for _ in range(MAX_WRITES):
        limit.wait_s(ME, 0)
    for number in range(MAX_WRITERS):
        limit.wait_s((None, str(number)), 0)

    assert limit.wait_s(ME, 0) is None
