"""Alarms: begun by decisions, held while they flap, seen by people, kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import wait_until
from memory_alarms import MemoryAlarms
from memory_store import MemoryStore

from eigerwatch.analysis.targets import NO_LIMITS, Check, Decision, Judged
from eigerwatch.errors import AcknowledgedError, StoreError, UnknownAlarmError
from eigerwatch.framecache import FrameCache
from eigerwatch.sections import AnalysisSettings, TargetSettings, WebSettings
from eigerwatch.store.alarms import Alarm
from eigerwatch.web.alarms import AlarmWatch
from eigerwatch.web.application import create_app
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.beam import Beam
from eigerwatch.web.watch import Watch

KEY = "live:01JABC"
HOLD_OFF_S = 10.0


class Bench:
    """A watch of alarms whose decisions and clock a test gives."""

    def __init__(self, alarms: MemoryAlarms | None, **targets: Any) -> None:
        self.store = MemoryStore()
        self.store.beat()
        self.store.open(KEY)
        self.store.append(KEY, [1, 2, 3])
        self.kept = alarms
        self.targets = TargetSettings(hold_off_s=HOLD_OFF_S, **targets)
        self.now_s = 100.0
        self.series = KEY
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart."""
        frames = FrameCache(self.store)
        assessor = Assessor(
            self.store, frames, None, AnalysisSettings(), TargetSettings()
        )
        watch = Watch(self.store, frames, assessor)
        self.watch = AlarmWatch(watch, self.targets, self.kept, lambda: self.now_s)

    def say(self, judged: Judged, after_s: float = 1.0) -> None:
        self.now_s += after_s
        self.watch._watch._situation = None
        self.watch.look(Beam(self.series, "threshold_1", judged, None, 0.0))

    @property
    def lasting(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.watch.brief["lasting"]
        return found

    def all(self) -> list[Alarm]:
        return self.watch.alarms(100)


def broken(**values: float) -> Judged:
    """Return a no-go by these figures, each with a limit of 1 %."""
    checks = tuple(
        Check(name, value, 1.0, False, f"{name} {value:g} %, limit 1 %")
        for name, value in values.items()
    )
    return Judged(Decision.NO_GO, "; ".join(c.text for c in checks), checks)


GO = Judged(Decision.GO, "within all limits: CV", ())
NO_BEAM = Judged(Decision.NO_BEAM, "no beam", ())
UNKNOWN = Judged(Decision.UNKNOWN, "not enough data", ())


@pytest.fixture
def kept() -> MemoryAlarms:
    return MemoryAlarms()


@pytest.fixture
def bench(kept: MemoryAlarms) -> Bench:
    return Bench(kept)


def test_an_alarm_begins_and_ends_with_its_figures(
    bench: Bench, kept: MemoryAlarms
) -> None:
    bench.say(GO)
    assert bench.lasting is None
    assert kept.entries == []
    bench.say(broken(CV=1.5))
    assert bench.lasting is not None
    assert bench.lasting["series"] == KEY
    assert bench.lasting["decision"] == "no_go"
    assert bench.lasting["now"] == ["CV 1.5 %, limit 1 %"]
    bench.say(broken(CV=2.5))
    bench.say(broken(CV=1.2))
    bench.say(GO)
    assert bench.lasting is not None
    assert bench.lasting["now"] == []
    bench.say(GO, after_s=HOLD_OFF_S)
    assert bench.lasting is None
    (alarm,) = bench.all()
    assert alarm.ended_ms is not None
    assert alarm.ended_ms >= alarm.began_ms
    assert alarm.ending == "nothing is wrong any more"
    (reason,) = alarm.reasons
    assert (reason.name, reason.value, reason.limit) == ("CV", 1.5, 1.0)
    assert reason.worst == 2.5
    assert not alarm.acknowledged
    assert kept.kinds() == ["begin", "end"]


def test_flapping_makes_one_alarm(bench: Bench, kept: MemoryAlarms) -> None:
    for _ in range(200):
        bench.say(broken(CV=1.5))
        bench.say(GO, after_s=HOLD_OFF_S / 2)
    assert kept.kinds() == ["begin"]
    bench.say(GO, after_s=HOLD_OFF_S)
    assert kept.kinds() == ["begin", "end"]
    bench.say(broken(CV=1.5))
    assert kept.kinds() == ["begin", "end", "begin"]
    assert len(bench.all()) == 2


def test_a_closed_shutter_ends_an_alarm_and_is_none(bench: Bench) -> None:
    bench.say(broken(CV=1.5))
    bench.say(NO_BEAM)
    bench.say(NO_BEAM, after_s=HOLD_OFF_S)
    assert bench.lasting is None
    assert len(bench.all()) == 1


def test_what_is_not_known_changes_nothing(bench: Bench) -> None:
    bench.say(broken(CV=1.5))
    bench.say(UNKNOWN, after_s=5 * HOLD_OFF_S)
    bench.say(UNKNOWN, after_s=5 * HOLD_OFF_S)
    assert bench.lasting is not None
    bench.store.update(KEY, state="stalled")
    bench.say(GO, after_s=5 * HOLD_OFF_S)
    assert bench.lasting is not None
    bench.store.update(KEY, state="finished")
    bench.say(broken(CV=1.5))
    bench.say(broken(CV=1.5), after_s=HOLD_OFF_S)
    assert bench.lasting is None


def test_limits_that_are_gone_end_an_alarm(bench: Bench) -> None:
    bench.say(broken(CV=1.5))
    bench.start()
    for _ in range(2):
        bench.say(Judged(Decision.UNKNOWN, NO_LIMITS, ()), after_s=HOLD_OFF_S)
    assert bench.lasting is None


def test_another_series_ends_an_alarm(bench: Bench) -> None:
    bench.say(broken(CV=1.5))
    bench.series = "live:01JNEW"
    bench.say(UNKNOWN)
    assert bench.lasting is None
    assert bench.all()[0].ending == "another series is watched"
    bench.say(broken(CV=1.5))
    assert [alarm.series for alarm in bench.all()] == ["live:01JNEW", KEY]


def test_a_new_reason_alarms_anew(bench: Bench, kept: MemoryAlarms) -> None:
    bench.say(broken(CV=1.5))
    (alarm,) = bench.all()
    bench.watch.acknowledge(alarm.id, "Eva", "seen")
    assert bench.lasting is not None
    assert bench.lasting["acknowledged"]
    bench.say(broken(CV=1.6))
    assert bench.lasting["acknowledged"]
    bench.say(broken(CV=1.6, drift=3))
    assert not bench.lasting["acknowledged"]
    assert [r["name"] for r in bench.lasting["reasons"]] == ["CV", "drift"]
    bench.watch.acknowledge(alarm.id, "Udo", "")
    # A reason that has been gone for long is a new one when it returns.
    bench.say(broken(CV=1.6))
    bench.say(broken(CV=1.6), after_s=HOLD_OFF_S)
    assert bench.lasting["acknowledged"]
    bench.say(broken(CV=1.6, drift=4))
    assert not bench.lasting["acknowledged"]
    assert len(bench.all()) == 1
    authors = [said["author"] for said in bench.lasting["acknowledgements"]]
    assert authors == ["Eva", "Udo"]
    assert kept.kinds().count("reasons") == 2


def test_the_source_gives_alarm_where_it_shall(kept: MemoryAlarms) -> None:
    bench = Bench(kept, source_alarm=True)
    bench.say(UNKNOWN)
    assert bench.lasting is None
    bench.store.update(KEY, state="stalled")
    bench.say(UNKNOWN)
    assert bench.lasting is not None
    (reason,) = bench.lasting["reasons"]
    assert reason["name"] == "source"
    assert reason["text"].startswith("stalled: no frame for")
    bench.store.update(KEY, state="collecting")
    bench.say(UNKNOWN)
    bench.say(UNKNOWN, after_s=HOLD_OFF_S)
    assert bench.lasting is None
    bench.store.drop_lease()
    bench.say(UNKNOWN)
    assert bench.lasting["reasons"][0]["text"].startswith("error: no consumer")


def test_the_source_gives_no_alarm_by_default(bench: Bench) -> None:
    bench.store.update(KEY, state="stalled")
    bench.say(UNKNOWN)
    bench.store.drop_lease()
    bench.say(UNKNOWN)
    assert bench.all() == []


def test_a_restart_goes_on_with_what_lasts(bench: Bench, kept: MemoryAlarms) -> None:
    bench.say(broken(CV=1.5))
    (before,) = bench.all()
    bench.watch.acknowledge(before.id, "Eva", "I know")
    bench.start()
    bench.say(broken(CV=1.5))
    assert kept.kinds() == ["begin", "acknowledge"]
    assert bench.lasting is not None
    assert bench.lasting["id"] == before.id
    assert bench.lasting["acknowledgements"][0]["comment"] == "I know"
    bench.say(GO)
    bench.say(GO, after_s=HOLD_OFF_S)
    assert bench.lasting is None
    bench.start()
    bench.say(GO)
    (alarm,) = bench.all()
    assert alarm.ended_ms is not None
    assert alarm.acknowledged
    assert alarm.reasons[0].worst == 1.5


def test_a_store_that_is_away_gets_it_later(bench: Bench, kept: MemoryAlarms) -> None:
    bench.say(GO)
    kept.away = True
    bench.say(broken(CV=1.5))
    assert bench.lasting is not None
    (alarm,) = bench.all()
    with pytest.raises(StoreError):
        bench.watch.acknowledge(alarm.id, "Eva", "")
    assert not bench.lasting["acknowledged"]
    kept.away = False
    bench.say(broken(CV=1.5))
    assert kept.kinds() == ["begin"]
    bench.say(broken(CV=1.5))
    assert kept.kinds() == ["begin"]
    assert len(bench.all()) == 1


def test_nothing_begins_before_the_history_is_known(kept: MemoryAlarms) -> None:
    kept.away = True
    bench = Bench(kept)
    bench.say(broken(CV=1.5))
    assert bench.lasting is None
    kept.away = False
    bench.say(broken(CV=1.5))
    assert bench.lasting is not None


def test_without_a_store_the_history_is_in_memory() -> None:
    bench = Bench(None)
    bench.say(broken(CV=1.5))
    (alarm,) = bench.all()
    assert bench.watch.acknowledge(alarm.id, "", "").acknowledged
    assert not bench.watch.kept


def test_acknowledging_what_is_not_there_or_done(bench: Bench) -> None:
    with pytest.raises(UnknownAlarmError, match="no alarm 'x'"):
        bench.watch.acknowledge("x", "", "")
    bench.say(broken(CV=1.5))
    (alarm,) = bench.all()
    bench.watch.acknowledge(alarm.id, "Eva", "")
    with pytest.raises(AcknowledgedError, match="already by Eva"):
        bench.watch.acknowledge(alarm.id, "Udo", "")


# ---- the API ----

HOSTILE = "<b>x</b>"


@pytest.fixture
def client(kept: MemoryAlarms) -> Iterator[TestClient]:
    store = MemoryStore()
    store.beat()
    store.open(KEY)
    rng = np.random.default_rng(1)
    store.append(KEY, rng.normal(1e6, 2e4, 500).astype(np.uint64))
    targets = TargetSettings(cv_percent=0.1)
    app = create_app(store, WebSettings(), targets=targets, alarms=kept)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def lasting_of(client: TestClient) -> Any:
    return client.get("/api/v1/alarms").json()["lasting"]


def test_history_and_acknowledging_in_the_api(
    client: TestClient, kept: MemoryAlarms
) -> None:
    alarm = wait_until(lambda: lasting_of(client), what="alarm")
    assert alarm["series"] == KEY
    (reason,) = alarm["reasons"]
    assert reason["name"] == "CV"
    assert reason["value"] > reason["limit"] == 0.1
    url = f"/api/v1/alarms/{alarm['id']}/acknowledge"
    said = {"author": "Eva", "comment": HOSTILE}
    response = client.post(url, json=said)
    assert response.status_code == 201
    assert response.json()["acknowledged"]
    assert response.json()["acknowledgements"][0]["comment"] == HOSTILE
    response = client.post(url, json=said)
    assert response.status_code == 409
    assert "already by Eva" in response.json()["detail"]
    told = client.get("/api/v1/alarms", params={"limit": 1}).json()
    assert told["kept"]
    assert told["lasting"]["acknowledged"]
    assert told["alarms"][0]["id"] == alarm["id"]
    assert len(told["now"]) == 1
    assert kept.kinds() == ["begin", "acknowledge"]


def test_what_the_api_refuses(client: TestClient, kept: MemoryAlarms) -> None:
    alarm = wait_until(lambda: lasting_of(client), what="alarm")
    url = f"/api/v1/alarms/{alarm['id']}/acknowledge"
    assert client.post("/api/v1/alarms/1-1/acknowledge", json={}).status_code == 404
    assert client.post(url, json={"comment": "x" * 2001}).status_code == 422
    assert client.post(url, json={"who": "me"}).status_code == 422
    foreign = {"Origin": "http://evil.example"}
    assert client.post(url, json={}, headers=foreign).status_code == 403
    kept.away = True
    response = client.post(url, json={})
    assert response.status_code == 503
    assert "store" in response.json()["detail"]
    kept.away = False
    assert not lasting_of(client)["acknowledged"]


def test_pages_are_told_at_once(client: TestClient) -> None:
    wait_until(lambda: lasting_of(client), what="alarm")
    with client.websocket_connect("ws://127.0.0.1/api/v1/live") as socket:
        while True:
            message = socket.receive()
            if '"t":"state"' in (message.get("text") or "").replace(" ", ""):
                break
    assert '"lasting"' in message["text"]
    assert '"CV"' in message["text"]
