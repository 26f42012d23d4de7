"""Pages of the cache: never lost, never two owners who write, found again by what they hold."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.serving.engine.pages import PAGE_TOKENS, empty, found, given_back, kept, keys_of, num_pages_for, taken

TEXTS = st.tuples(st.sampled_from("ab"), st.integers(0, 70), st.lists(st.integers(0, 1), min_size=1, max_size=300))


@given(st.lists(st.tuples(TEXTS, st.booleans(), st.integers(0, 3)), max_size=25))
def test_any_traffic_keeps_every_page_in_one_place(requests):
    pages, held, held_under = empty(12), [], {}
    for (content, in_front, prompt_T), ends_one, extra in requests:
        keys = keys_of(content, in_front, prompt_T)
        shared = found(pages, keys)
        needed = num_pages_for(in_front + len(prompt_T) + extra * PAGE_TOKENS)
        before = pages
        made = taken(pages, shared, needed - len(shared))
        if made is None:
            assert needed - len(shared) > before.num_available - sum(page in before.idle for page in shared)
        else:
            pages, own = made
            assert len(set(own)) == needed
            for number, page in enumerate(own[: len(shared)]):
                assert held_under[page] == keys[number]
            for number, key in enumerate(keys):
                pages = kept(pages, own[number], key)
                if pages.key_of.get(own[number]) == key:
                    held_under[own[number]] = key
            held.append(own)
        if ends_one and held:
            pages = given_back(pages, held.pop(0))
        pages.check()
    for own in held:
        pages = given_back(pages, own)
    pages.check()
    assert pages.num_available == 12


def test_a_page_that_others_read_is_never_given_to_a_writer():
    pages, own = taken(empty(2), (), 1)
    pages = kept(pages, own[0], b"a")
    pages, again = taken(pages, found(pages, [b"a"]), 0)
    assert again == own
    pages = given_back(pages, own)
    assert taken(pages, (), 2) is None
    pages = given_back(pages, again)
    assert taken(pages, (), 2) is not None


def test_who_was_used_longest_ago_goes_first():
    pages = empty(2)
    for key in (b"a", b"b"):
        pages, own = taken(pages, (), 1)
        pages = given_back(kept(pages, own[0], key), own)
    pages, own = taken(pages, found(pages, [b"a"]), 0)
    pages = given_back(pages, own)
    pages, _ = taken(pages, (), 1)
    assert found(pages, [b"a"])
    assert not found(pages, [b"b"])


def test_keys_tell_content_front_and_every_token_before():
    prompt = list(range(200))
    whole = keys_of("one", 0, prompt)
    assert len(whole) == 3
    assert len(keys_of("one", 0, prompt[:192])) == 2
    assert keys_of("one", 0, prompt[:130]) == whole[:2]
    assert not set(keys_of("two", 0, prompt)) & set(whole)
    assert keys_of("one", 0, [9, *prompt[1:]])[-1] != whole[-1]
    assert keys_of("one", 0, [*prompt[:191], 9, *prompt[192:]])[:2] == whole[:2]
    assert keys_of("one", 10, prompt)[0] != whole[0]
    assert keys_of("one", 0, [1, 23] * 40) != keys_of("one", 0, [12, 3] * 40)
