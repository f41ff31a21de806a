"""Settings of the next series, chosen on the page; a running series keeps its own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from eigerwatch.countable import Changes, as_json, changed, plain
from eigerwatch.errors import ConfigError
from eigerwatch.runs import described_regions
from eigerwatch.store.commanded import NextSettings
from eigerwatch.store.info import json_of
from eigerwatch.web import command_schemas as schemas
from eigerwatch.web.command_schemas import MOST_AUTHOR
from eigerwatch.web.ordering import REFUSALS, CommandStore, needed, order
from eigerwatch.web.parameters import PROBLEMS
from eigerwatch.web.pictured import read_facts
from eigerwatch.web.watch import Watch


def create_router(watch: Watch, commands: CommandStore | None) -> APIRouter:
    """Return the routes of the next series' settings."""
    router = APIRouter(
        prefix="/api/v1/settings/next",
        tags=["settings"],
        responses={**PROBLEMS, **REFUSALS},
    )

    def kept() -> NextSettings:
        found = needed(commands).settings()
        if found is None:
            raise HTTPException(
                503, "no service has said its settings; start it with 'eigerwatch run'"
            )
        return found

    @router.get("")
    def next_settings() -> schemas.NextSettings:
        """Return what the next series is counted with, and what the file says."""
        return _told(kept(), watch)

    @router.put("")
    def choose(wanted: schemas.NewSettings) -> schemas.NextSettings:
        """Choose what the next series is counted with; a running one keeps its own.

        The choice holds until it is undone, also when the service is started anew.
        """
        changes = {
            "filter": {"low": wanted.low, "high": wanted.high},
            "regions": {"rois": wanted.rois, "rings": wanted.rings},
        }
        try:
            limits, regions = changed(kept().file, changes)
        except ConfigError as exc:
            raise HTTPException(422, str(exc).removeprefix("page: ")) from exc
        told = {"filter": plain(limits), "regions": plain(regions)}
        clean = {
            name: {key: told[name][key] for key in keys}
            for name, keys in changes.items()
        }
        fields = {"settings": as_json(clean), "by": wanted.author}
        order(watch, needed(commands), "settings.change", fields)
        return _told(kept(), watch)

    @router.delete("")
    def undo(
        author: Annotated[str, Query(max_length=MOST_AUTHOR)] = "",
    ) -> schemas.NextSettings:
        """Let the settings file hold again for the next series."""
        order(watch, needed(commands), "settings.reset", {"by": author})
        return _told(kept(), watch)

    return router


def _told(kept: NextSettings, watch: Watch) -> schemas.NextSettings:
    in_effect = None if kept.problem else kept.changes
    file = _countable(kept.file, None)
    try:
        chosen = _countable(kept.file, kept.changes)
    except ConfigError:  # which is why it is not in effect
        chosen = file
    return schemas.NextSettings(
        file=file,
        next=_countable(kept.file, in_effect),
        chosen=chosen,
        changed=kept.changes is not None,
        by=kept.by,
        changed_ms=kept.changed_ms or None,
        problem=kept.problem,
        running=_running(watch, in_effect),
    )


def _countable(file: Changes, changes: Changes | None) -> schemas.Countable:
    limits, regions = changed(file, changes)
    told = plain(regions)
    return schemas.Countable(
        low=limits.low, high=limits.high, rois=told["rois"], rings=told["rings"]
    )


def _running(watch: Watch, in_effect: Changes | None) -> schemas.Running | None:
    info = watch.look(max_age_s=1.0).series
    if info is None:
        return None
    versions = described_regions(info)
    regions: tuple[dict[str, Any], ...] = versions.get(max(versions, default=0), ())
    began_with = json_of(info.meta.get("changes"), dict) or None
    channel = info.channels[0] if info.channels else None
    png = None if channel is None else watch.reader.preview(info.key, channel)
    pictured = None if png is None else read_facts(png)
    return schemas.Running(
        series=info.key,
        state=info.state,
        low=info.filter_low,
        high=info.filter_high,
        regions=[str(r.get("name", "")) for r in regions if not r.get("module")],
        as_next=began_with == in_effect,
        channel=channel,
        picture=None if pictured is None else list(pictured.covers),
    )
