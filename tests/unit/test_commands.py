from __future__ import annotations

import json
from typing import Any

import pytest

from eigerwatch.chooser import Chooser
from eigerwatch.commands import Commands
from eigerwatch.config import Settings
from eigerwatch.errors import StoreError
from eigerwatch.sections import FilterSettings, ReplaySettings
from eigerwatch.selection import Selector
from eigerwatch.store.commanded import NextSettings, ReplayState
from eigerwatch.store.control import ControlCommand


class Kept:
    """What the store keeps, in memory."""

    def __init__(self) -> None:
        self.away = False
        self.settings: NextSettings | None = None

    def write_settings(self, settings: NextSettings) -> None:
        if self.away:
            raise StoreError("Redis is away")
        self.settings = settings

    def write_replay(self, state: ReplayState) -> None:
        raise AssertionError("nothing is replayed here")


class Desk:
    def __init__(self) -> None:
        self.kept = Kept()
        self.chooser = Chooser(Settings())
        self.used: list[Selector] = []
        self.chooser.users = [self.used.append]
        kept: Any = self.kept
        control: Any = None
        self.commands = Commands(control, kept, self.chooser, ReplaySettings())

    def give(self, command: str, **settings: Any) -> str:
        fields = {"settings": json.dumps(settings), "by": "Ann"}
        given = ControlCommand("1-0", 1, command, fields)
        return self.commands._carry_out(given)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_choice_is_stored_and_used(desk):
    assert desk.give("settings.change", filter={"low": 3}) == ""
    assert desk.used[-1].filter_settings == FilterSettings(low=3)
    assert desk.used[-1].changes == {"filter": {"low": 3}}
    assert desk.kept.settings == desk.chooser.current
    assert desk.kept.settings.by == "Ann"
    assert desk.give("settings.reset") == ""
    assert desk.used[-1].filter_settings == FilterSettings()
    assert desk.used[-1].changes is None


@pytest.mark.parametrize("command", ["settings.change", "settings.reset"])
def test_what_cannot_be_stored_does_not_hold(desk, command):
    assert desk.give("settings.change", filter={"low": 3}) == ""
    before = desk.chooser.current
    desk.kept.away = True
    with pytest.raises(StoreError):
        desk.give(command, filter={"low": 8})
    assert desk.chooser.current == desk.kept.settings == before
    assert desk.used[-1].filter_settings == FilterSettings(low=3)


def test_a_wrong_choice_changes_nothing(desk):
    assert desk.give("settings.change", filter={"low": 3}) == ""
    told = len(desk.used)
    assert "low" in desk.give("settings.change", filter={"low": -1})
    assert desk.chooser.current == desk.kept.settings
    assert desk.chooser.current.changes == {"filter": {"low": 3}}
    assert len(desk.used) == told


def test_a_series_goes_on_as_it_began_whatever_was_chosen_since(desk):
    assert desk.give("settings.change", filter={"low": 3}) == ""
    began = desk.chooser.selector_of({"filter": {"low": 1}})
    assert began.filter_settings == FilterSettings(low=1)
    assert desk.chooser.selector_of(None).filter_settings == FilterSettings()
    # Fields of meta that are not ours.
    for foreign in ({"filter": 3}, {"x": {}}, {"filter": {"low": "many"}}):
        assert desk.chooser.selector_of(foreign).filter_settings == FilterSettings()
