"""Flash messages."""

from __future__ import annotations

import pickle

import pytest

from coatcheck.flashes import LEVELS, FlashMessage


@pytest.mark.parametrize("level", LEVELS)
def test_a_constructor_for_each_preset_level(level: str) -> None:
    """``FlashMessage.success(...)`` and its three siblings set the level, with or without a title."""
    make = getattr(FlashMessage, level)

    assert make("Saved") == FlashMessage(level, "Saved", None)
    assert make("Saved", title="Done") == FlashMessage(level, "Saved", "Done")
    assert make("Saved").css_class == f"flash-{level}"


def test_any_text_is_a_level() -> None:
    """Applications have categories of their own."""
    assert FlashMessage("my-category", "x").css_class == "flash-my-category"


def test_with_title_makes_another_message() -> None:
    """A message cannot be changed; one under another title is a new one."""
    plain = FlashMessage.info("x")

    titled = plain.with_title("Hello")

    assert (titled.title, plain.title) == ("Hello", None)
    with pytest.raises(AttributeError):
        plain.title = "Hello"  # type: ignore[misc]


def test_repr_does_not_show_the_text() -> None:
    """What is said to a user is session data."""
    flash = FlashMessage.error("private", title="private too")

    assert repr(flash) == "FlashMessage(level='error', ...)"
    assert "private" not in f"{flash} {[flash]}"


def test_what_cannot_be_a_level_or_title() -> None:
    """Level and title are text, and the error says what was given."""
    with pytest.raises(TypeError, match="int"):
        FlashMessage(3, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes"):
        FlashMessage("info", "x", b"title")  # type: ignore[arg-type]


def test_flashes_are_values() -> None:
    """Messages compare by what they hold, and can be pickled and hashed."""
    flash = FlashMessage("info", "x", "t")

    assert pickle.loads(pickle.dumps(flash)) == flash
    assert len({flash, FlashMessage.info("x", "t"), FlashMessage.info("y")}) == 2
