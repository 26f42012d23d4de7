"""Keys at the door: verified once in a while, in a thread, by one request for all; their text is kept nowhere."""

import asyncio
import threading

import pytest

from graftwork.core.errors import DeniedError
from graftwork.registry.access.roles import principal
from graftwork.serving.http import keys as module
from graftwork.serving.http.errors import ApiError
from graftwork.serving.http.keys import Keys


class Book:
    """Who holds which key; counts how often it is asked, and may be made to wait."""

    def __init__(self, **holders):
        self.holders, self.asked, self.gate = holders, [], threading.Event()
        self.gate.set()

    def __call__(self, text):
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append(text)
        assert self.gate.wait(10)
        if text not in self.holders:
            raise DeniedError("no")
        return principal(self.holders[text], ["viewer"])


class Clock:
    """Stands still until it is told to go on."""

    now = 0.0

    def __call__(self):
        return self.now


def bearer(text):
    return f"Bearer {text}"


def test_a_verified_key_is_believed_for_a_while_and_no_longer():
    book, clock = Book(k="kim"), Clock()
    keys = Keys(book, clock, 5.0)

    async def ask():
        for clock.now in (0.0, 4.9):
            assert (await keys.holder(bearer("k"))).actor == "kim"
        assert book.asked == ["k"]
        del book.holders["k"]
        clock.now = 5.0
        with pytest.raises(ApiError) as refused:
            await keys.holder(bearer("k"))
        assert refused.value.status == 401
        assert len(book.asked) == 2

    asyncio.run(ask())


def test_a_wrong_key_is_looked_at_once_in_a_while_too():
    book = Book()
    keys = Keys(book, Clock(), 5.0)

    async def ask():
        for _ in range(5):
            with pytest.raises(ApiError):
                await keys.holder(bearer("wrong"))
        assert book.asked == ["wrong"]

    asyncio.run(ask())


def test_many_requests_with_one_key_wait_for_one_look():
    book = Book(k="kim")
    keys = Keys(book, Clock(), 5.0)
    book.gate.clear()

    async def ask():
        waiting = [asyncio.create_task(keys.holder(bearer("k"))) for _ in range(20)]
        await asyncio.sleep(0)
        book.gate.set()
        assert {who.actor for who in await asyncio.gather(*waiting)} == {"kim"}
        assert book.asked == ["k"]

    asyncio.run(ask())


def test_a_key_that_held_before_waits_behind_no_strange_ones():
    book, clock = Book(k="kim"), Clock()
    keys = Keys(book, clock, 5.0)

    async def ask():
        await keys.holder(bearer("k"))
        clock.now = 6.0
        book.gate.clear()
        strange = [asyncio.create_task(keys.holder(bearer(f"s{i}"))) for i in range(module.MOST_WAITING + 10)]
        known = asyncio.create_task(keys.holder(bearer("k")))
        try:
            async with asyncio.timeout(5):
                while "k" not in book.asked[1:]:
                    await asyncio.sleep(0)
        finally:
            book.gate.set()
        assert (await known).actor == "kim"
        told = await asyncio.gather(*strange, return_exceptions=True)
        assert {one.status for one in told} == {401, 503}

    asyncio.run(ask())


def test_nothing_keeps_the_text_of_a_key():
    keys = Keys(Book(secret="kim"), Clock(), 5.0)
    asyncio.run(keys.holder(bearer("secret")))
    assert "secret" not in repr(keys._kept)
    assert not keys._under_way


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic a2lt", "gw_key"])
def test_what_is_no_key_is_not_looked_at(header):
    book = Book()
    with pytest.raises(ApiError) as refused:
        asyncio.run(Keys(book, Clock(), 5.0).holder(header))
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"] == "Bearer"
    assert not book.asked
