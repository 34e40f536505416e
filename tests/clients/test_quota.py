"""What questions cost, by the server's word and by the simulator's."""

import concurrent.futures
import threading

import pytest

from conftest import BIG
from processes import Server, Simulator
from rpc import NEWEST_FIRST, OLDEST_FIRST, Client, at, filters_of

HOUR = {"seconds": 3600}
DECRYPT = [[{"field": "EventName", "values": ["Decrypt"]}]]
DENIED = [[{"field": "errorCode", "operator": "CONTAINS", "values": ["Denied"]}]]
QUESTIONS = {
    "everything": {},
    "oldest first": {"order": OLDEST_FIRST},
    "a span": {"start_time": at(1688990000), "end_time": at(1688991000)},
    "an attribute": {"filters": filters_of(DECRYPT)},
    "a field of the record": {"filters": filters_of(DENIED), "page_size": 20},
    "either": {"filters": filters_of(DECRYPT + DENIED)},
    "an attribute, oldest first": {"filters": filters_of(DECRYPT), "order": OLDEST_FIRST},
}


def walk(client, simulator, question):
    """All pages: their records, and what each cost by both accounts."""
    found, costs = [], []
    question = {"page_size": 500, "max_staleness": HOUR, **question}
    while True:
        before = simulator.requests()
        page = client.page(**question)
        costs.append((page.stats.upstream_calls, simulator.requests() - before))
        found += [event.record for event in page.events]
        if not page.next_page_token:
            return found, costs
        question["page_token"] = page.next_page_token


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_the_same_again_costs_nothing(simulator, question):
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            found, costs = walk(client, simulator, question)
            assert [told for told, _ in costs] == [counted for _, counted in costs]
            assert found and sum(told for told, _ in costs) > 0
            again, costs = walk(client, simulator, question)
            assert again == found
            assert costs == [(0, 0)] * len(costs)


def test_a_part_of_what_is_held_costs_nothing(simulator):
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            walk(client, simulator, {})
            for question in QUESTIONS.values():
                _, costs = walk(client, simulator, question)
                assert costs == [(0, 0)] * len(costs)


def test_settled_time_costs_nothing_however_fresh_it_must_be(simulator):
    question = {"end_time": at(1700000000), "max_staleness": {"seconds": 0}}
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            found, costs = walk(client, simulator, question)
            # a page of AWS has fifty, and nothing is read twice
            assert sum(told for told, _ in costs) <= -(-len(found) // 50) + 1
            _, costs = walk(client, simulator, question)
            assert costs == [(0, 0)] * len(costs)
            # the present is asked for again
            before = simulator.requests()
            page = client.page(max_staleness={"seconds": 0}, page_size=1)
            assert page.stats.upstream_calls == simulator.requests() - before == 1


@pytest.mark.parametrize("question", [
    {"page_size": 1000},
    {"page_size": 1000, "order": OLDEST_FIRST, "start_time": at(1688900000)},
    {"page_size": 1000, "filters": filters_of(DENIED), "start_time": at(1688900000)},
], ids=["newest", "oldest", "filtered"])
def test_twenty_at_once_cost_as_much_as_one(records, question):
    # slow enough that all of them are there before the first is answered
    with Simulator("--fault", "slow=1", "--slow-by", "30ms") as simulator:
        def ask_at_once(count):
            """What so many cold questions cost: told, counted; their pages."""
            with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
                clients = [Client(server) for _ in range(count)]
                start = threading.Barrier(count)

                def ask(client):
                    start.wait()
                    return client.page(**question)

                before = simulator.requests()
                with concurrent.futures.ThreadPoolExecutor(count) as pool:
                    pages = list(pool.map(ask, clients))
                counted = simulator.requests() - before
                for client in clients:
                    client.channel.close()
                told = sum(page.stats.upstream_calls for page in pages)
                return told, counted, [[e.record for e in page.events] for page in pages]

        alone = ask_at_once(1)
        assert alone[0] == alone[1] > 5 and alone[2][0]
        told, counted, pages = ask_at_once(20)
        assert (told, counted) == alone[:2]
        assert all(page == alone[2][0] for page in pages)


def test_the_quota_of_a_scope_is_kept(records):
    """Two a second, on a simulator that throttles whoever asks more often."""
    with Simulator(rate=2) as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]], rate=2) as server:
            with Client(server) as client:
                page = client.page(page_size=200, order=NEWEST_FIRST)
                assert len(page.events) >= 150
                counted = simulator.operation(*BIG)
                assert counted["requests"] == page.stats.upstream_calls
                # a clock of another process may tick a little differently
                assert counted["throttled"] <= 1
