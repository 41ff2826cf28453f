"""The definitions that operators import let everybody hear and say what they must, and no more."""

from tests.mutants import queues, reach


def test_everybody_hears_and_may_say_what_they_must() -> None:
    handled = queues.wired()
    assert not reach.missing(queues.definitions(handled), handled)
