"""A little of the fuzzing of the whole intake (`python -m tests.fuzz --target intake` does more)."""

import pytest

from shared.broker import EmbeddedBroker, connect
from tests.fuzz.intake import Plant, play, play_on_rabbitmq
from tests.fuzz.tally import Tally


def test_whatever_is_sent_is_accepted_refused_or_parked_and_nothing_is_left_or_unsound(database: str) -> None:
    plant, tally = Plant(EmbeddedBroker(), database), Tally("intake", 5)
    play(plant, tally, 250)
    plant.close()
    assert tally.findings == []
    assert {result.partition(" ")[0] for result in tally.results} >= {"accepted", "rejected", "parked", "told_again"}


@pytest.mark.usefixtures("rabbitmq")
def test_whatever_a_client_can_send_to_rabbitmq_is_taken_from_its_queue(database: str, vhost_url: str) -> None:
    plant, tally = Plant(connect(vhost_url), database), Tally("rabbitmq", 6)
    play_on_rabbitmq(plant, vhost_url, tally, 100)
    plant.close()
    assert tally.findings == []
    assert tally.results["accepted"]
