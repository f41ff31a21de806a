"""Messages over ZeroMQ through the whole data path into a real server."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers import manifest, read_zcap, wait_until
from redis_fixture import RunningServer, running_server
from simplon_messages import (
    array2,
    bslz4,
    end1,
    end2,
    header1,
    image1,
    image2,
    pack2,
    pixels,
    start2,
)

from eigerwatch import masks
from eigerwatch.config import Settings, load_settings
from eigerwatch.consumer import Consumer
from eigerwatch.errors import LeaseError
from eigerwatch.model import FrameFlag
from eigerwatch.sections import RegionSettings
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader

SETTLE_S = 0.4
FINAL = ("finished", "stopped_early")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


class Site:
    """A consumer in a thread, a detector's PUSH socket, and the store between."""

    def __init__(self, server: RunningServer, tmp_path: Path) -> None:
        self.server = server
        self.endpoint = f"ipc://{tmp_path}/stream"
        self.replay_endpoint = f"ipc://{tmp_path}/replay"
        self.context: zmq.Context[Any] = zmq.Context()
        self.detector = self._push(self.endpoint)
        self.player = self._push(self.replay_endpoint)
        self.reader = Reader(server.client())
        self.consumer: Consumer | None = None
        self.thread: threading.Thread | None = None
        self.problem: BaseException | None = None
        self.settings = self._settings(tmp_path)

    def _push(self, endpoint: str) -> Any:
        socket = self.context.socket(zmq.PUSH)
        socket.linger = 0
        socket.bind(endpoint)
        return socket

    def _settings(self, tmp_path: Path) -> Settings:
        return load_settings(
            stream={"endpoint": self.endpoint},
            replay={"endpoint": self.replay_endpoint},
            series={"settle_s": SETTLE_S},
            store={"url": self.server.url, "data_dir": tmp_path / "data"},
            reduce={"threads": 2},
        )

    def start(self, **sections: dict[str, Any]) -> None:
        settings = self.settings
        for name, values in sections.items():
            section = getattr(settings, name).model_copy(update=values)
            settings = settings.model_copy(update={name: section})
        self.consumer = Consumer(settings, self.server.url)

        def work() -> None:
            assert self.consumer is not None
            try:
                self.consumer.run()
            except LeaseError as exc:
                self.problem = exc

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def stop(self) -> None:
        if self.consumer is not None and self.thread is not None:
            self.consumer.stop()
            self.thread.join()
            self.thread = None

    def close(self) -> None:
        self.stop()
        self.context.destroy(0)

    def send(self, *messages: list[bytes], socket: Any = None) -> None:
        for parts in messages:
            (socket or self.detector).send_multipart(parts)

    def status(self) -> dict[str, Any]:
        assert self.consumer is not None
        return self.consumer.status()

    def series(self, n: int = 1) -> list[SeriesInfo]:
        return wait_until(
            lambda: (s := self.reader.series()) and len(s) == n and s,
            what=f"{n} series",
        )

    def settled(
        self, condition: Callable[[SeriesInfo], Any] = lambda i: i.state in FINAL
    ) -> SeriesInfo:
        def check() -> SeriesInfo | None:
            found = self.reader.series()
            return found[0] if found and condition(found[0]) else None

        return wait_until(check, what="the series' state")


@pytest.fixture
def site(server: RunningServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(server, tmp_path)
    yield made
    made.close()


def expected(image: np.ndarray[Any, Any]) -> int:
    return int(image.sum(dtype=np.uint64))


def images(n: int) -> list[np.ndarray[Any, Any]]:
    return [pixels(seed=i) for i in range(n)]


def v1_series(n: int, series: int = 1, **changes: Any) -> list[list[bytes]]:
    frames = [image1(series, i, bslz4(image)) for i, image in enumerate(images(n))]
    return [header1(series, nimages=n, **changes), *frames, end1(series)]


def v2_image(image_id: int, **changes: Any) -> list[bytes]:
    data = {"threshold_1": array2(pixels(seed=image_id))}
    return pack2(image2(image=image_id, **{"data": data} | changes))


def v2_series(n: int) -> list[list[bytes]]:
    frames = [v2_image(i) for i in range(n)]
    return [pack2(start2(number_of_images=n)), *frames, pack2(end2())]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_series_is_stored_frame_by_frame(site: Site, version: str) -> None:
    site.start()
    site.send(*(v1_series if version == "v1" else v2_series)(20))
    info = site.settled()
    assert info.state == "finished"
    assert info.source == "live"
    (channel,) = info.ledgers
    assert channel == {"v1": "image", "v2": "threshold_1"}[version]
    ledger = info.ledgers[channel]
    assert (ledger.stored, ledger.missing, ledger.rejected) == (20, 0, 0)
    rows = site.reader.rows(info.key, channel)
    assert rows["total"].tolist() == [expected(image) for image in images(20)]
    assert (rows["kept"] == 40).all()
    assert (rows["flags"] & FrameFlag.STORED).all()
    steps = np.diff(rows["start_ns"])
    assert (steps == {"v1": 0, "v2": 2_000_000}[version]).all()
    kinds = [event.kind for event in site.reader.events(info.key)]
    assert kinds == ["start", "end"]


def test_several_channels_are_kept_apart(site: Site) -> None:
    site.start()
    low, high = images(2)
    data = {"threshold_1": array2(low), "threshold_2": array2(high)}
    site.send(
        pack2(start2(number_of_images=1, channels=["threshold_1", "threshold_2"])),
        pack2(image2(data=data)),
        pack2(end2()),
    )
    info = site.settled()
    totals = {
        channel: site.reader.rows(info.key, channel)["total"].tolist()
        for channel in info.ledgers
    }
    assert totals == {"threshold_1": [expected(low)], "threshold_2": [expected(high)]}


def test_holes_are_declared_and_nothing_closes_them(site: Site) -> None:
    """Catalogue row 12."""
    site.start()
    sent = [0, 1, 4, 5, 9]
    site.send(
        pack2(start2(number_of_images=10)),
        *(v2_image(i) for i in sent),
        pack2(end2()),
    )
    info = site.settled()
    ledger = info.ledgers["threshold_1"]
    assert (ledger.stored, ledger.missing, ledger.outstanding) == (5, 5, 0)
    rows = site.reader.rows(info.key, "threshold_1")
    assert np.flatnonzero(rows["flags"]).tolist() == sent
    gaps = [
        (event.fields["first"], event.fields["last"])
        for event in site.reader.events(info.key)
        if event.kind == "gap"
    ]
    assert gaps == [("2", "3"), ("6", "8")]


def test_bad_payloads_cost_only_their_frame(site: Site) -> None:
    site.start()
    good = bslz4(pixels())
    bad = good[:-3]
    site.send(
        header1(nimages=4),
        image1(frame=0),
        image1(frame=1, blob=bad),
        image1(frame=2, shape=[8, 6]),
        image1(frame=3),
        end1(),
    )
    info = site.settled()
    ledger = info.ledgers["image"]
    assert (ledger.stored, ledger.rejected, ledger.missing) == (2, 2, 0)
    assert info.state == "finished"
    reasons = site.reader.rejected(info.key, "image")
    assert sorted(reasons) == [1, 2]
    assert reasons[1].startswith("payload: ")


def test_malformed_messages_are_counted_by_kind(site: Site) -> None:
    """Catalogue rows 18 and 19."""
    site.start()
    site.send([b"\x00\x01garbage"], [b'{"htype": "dnonsense-1.0"}'], [b"\xa1"])
    site.send(*v1_series(2))
    info = site.settled()
    assert info.ledgers["image"].stored == 2
    assert sum(site.status()["rejected_messages"].values()) == 3


def test_a_repeated_frame_is_compared_and_the_first_one_kept(site: Site) -> None:
    """Catalogue row 13."""
    site.start()
    first, other = pixels(seed=0), pixels(seed=99)
    site.send(
        header1(nimages=2),
        image1(frame=0, blob=bslz4(first)),
        image1(frame=0, blob=bslz4(first)),
        image1(frame=0, blob=bslz4(other)),
        image1(frame=1),
        end1(),
    )
    info = site.settled()
    ledger = info.ledgers["image"]
    assert (ledger.stored, ledger.duplicates, ledger.conflicts) == (2, 2, 1)
    row = site.reader.rows(info.key, "image")[0]
    assert row["total"] == expected(first)
    assert row["flags"] & FrameFlag.CONFLICT


def test_replays_have_their_own_endpoint_and_name(site: Site) -> None:
    """Catalogue row 70."""
    site.start()
    site.send(*v2_series(3), socket=site.player)
    info = site.settled()
    assert info.key.startswith("replay:")
    assert info.origin is not None


def test_a_consumer_takes_up_what_its_predecessor_left(site: Site) -> None:
    """Catalogue rows 7 and 38."""
    site.start()
    site.send(header1(nimages=6), *(image1(frame=i) for i in (0, 1, 3)))
    site.settled(lambda info: info.ledgers["image"].stored == 3)
    site.stop()
    site.start()
    site.send(*(image1(frame=i) for i in (2, 4, 5)), end1())
    info = site.settled()
    assert len(site.reader.series()) == 1
    ledger = info.ledgers["image"]
    assert (ledger.stored, ledger.missing, ledger.duplicates) == (6, 0, 0)
    assert info.state == "finished"


def whole_mask(*rows: int) -> np.ndarray[Any, Any]:
    mask = np.zeros((5, 8), "<u4")
    mask[list(rows)] = 2
    return mask


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("compression", [None, "bslz4"])
def test_the_detectors_mask_is_applied_and_kept(
    site: Site, version: str, compression: str | None
) -> None:
    """And outlives the consumer, as the header does."""
    site.start()
    mask = whole_mask(1, 4)
    if version == "v1":
        begin = header1(detail="all", mask=mask, nimages=4)
        frames = [
            image1(frame=i, blob=bslz4(image)) for i, image in enumerate(images(4))
        ]
        channel, end = "image", end1()
    else:
        arrays = {"threshold_1": array2(mask, compression)}
        begin = pack2(start2(number_of_images=4, pixel_mask=arrays))
        frames = [v2_image(i) for i in range(4)]
        channel, end = "threshold_1", pack2(end2())
    site.send(begin, *frames[:2])
    site.settled(lambda info: info.ledgers and info.ledgers[channel].stored == 2)
    site.stop()
    site.start()
    site.send(*frames[2:], end)
    info = site.settled()
    rows = site.reader.rows(info.key, channel)
    assert set(rows["masked"]) == {16}
    assert set(rows["settings"]) == {0}
    expected_totals = [expected(image[[0, 2, 3]]) for image in images(4)]
    assert rows["total"].tolist() == expected_totals
    kept = site.reader.mask(info.key, channel)
    assert kept is not None
    assert (masks.unpacked(kept) == (mask != 0)).all()
    (version_0,) = json.loads(info.meta["settings"])
    assert version_0["mask_from"] == ["detector"]
    assert version_0["masked"] == 16


def test_a_mask_that_cannot_be_decoded_costs_only_itself(site: Site) -> None:
    site.start()
    arrays = {"threshold_1": array2(whole_mask(1), data=bslz4(whole_mask(1))[:-1])}
    site.send(
        pack2(start2(number_of_images=1, pixel_mask=arrays)), v2_image(0), pack2(end2())
    )
    info = site.settled()
    assert site.reader.rows(info.key, "threshold_1")["masked"].tolist() == [0]
    assert site.status()["rejected_messages"] == {"pixel mask": 1}


def test_regions_are_stored_beside_the_sums(site: Site) -> None:
    """And a header that comes late moves none of them."""
    rois = RegionSettings.model_validate(
        {
            "rois": [
                {"name": "left", "rectangle": [0, 5, 0, 3]},
                {"name": "right", "rectangle": [0, 5, 3, 8]},
            ],
            "rings": 2,
        }
    )
    site.settings = site.settings.model_copy(update={"regions": rois})
    site.start()
    geometry = {
        "beam_center_x": 4,
        "beam_center_y": 2,
        "detector_translation": [0, 0, 0.1],
        "pixel_size_x": 7.5e-5,
        "pixel_size_y": 7.5e-5,
        "incident_wavelength": 1.0,
    }
    site.send(v2_image(0))
    site.settled(lambda info: info.ledgers["threshold_1"].stored == 1)
    site.send(
        pack2(start2(number_of_images=3, **geometry)),
        *(v2_image(i) for i in (1, 2)),
        pack2(end2()),
    )
    info = site.settled()
    rows = site.reader.region_rows(info.key, "threshold_1")
    assert rows.shape == (3, 4)
    sums = [(expected(i[:, :3]), expected(i[:, 3:])) for i in images(3)]
    assert [tuple(row) for row in rows["total"][:, :2].tolist()] == sums
    assert rows["kept"][:, :2].tolist() == [[15, 25]] * 3
    assert rows["total"][0, 2:].tolist() == [0, 0]
    both = rows["total"][1:, 2:].sum(axis=1).tolist()
    assert both == [expected(image) for image in images(3)[1:]]
    assert site.reader.rows(info.key, "threshold_1")["settings"].tolist() == [0, 1, 1]
    (event, late) = [e for e in site.reader.events(info.key) if e.kind == "settings"]
    assert "no resolution rings" in event.fields["notes"]
    assert (late.fields["version"], late.fields["first"]) == ("1", "1")


def test_the_newest_image_is_shown_now_and_then(site: Site) -> None:
    site.start(reduce={"preview_s": 0.2})
    site.send(header1(), image1(frame=0))
    info = site.settled(lambda info: info.ledgers and info.ledgers["image"].stored == 1)
    first = wait_until(lambda: site.reader.preview(info.key, "image"), what="preview")
    assert b'"image_id": 0' in first
    numbers = itertools.count(1)

    def another() -> bool:
        site.send(image1(frame=next(numbers)))
        return site.reader.preview(info.key, "image") != first

    wait_until(another, what="second preview")


def test_shapes_that_change_all_the_time_are_refused(site: Site) -> None:
    site.start()
    site.send(pack2(start2(number_of_images=300)))
    for i in range(300):
        data = {"threshold_1": array2(np.ones((1, i + 1), "<u2"), None)}
        site.send(pack2(image2(image=i, data=data)))
    site.send(pack2(end2()))
    info = site.settled()
    ledger = info.ledgers["threshold_1"]
    assert (ledger.stored, ledger.rejected) == (256, 44)
    reasons = set(site.reader.rejected(info.key, "threshold_1").values())
    assert reasons == {
        "contradiction: type or shape of the images of this series change too often"
    }


def test_a_second_consumer_is_refused_by_name(site: Site) -> None:
    """Catalogue row 46."""
    site.start()
    with pytest.raises(LeaseError, match="stop that process first"):
        Consumer(site.settings, site.server.url)


def test_frames_survive_a_server_that_is_killed(site: Site) -> None:
    """Catalogue row 48."""
    site.start()
    site.send(header1(nimages=40), *(image1(frame=i) for i in range(10)))
    site.settled(lambda info: info.ledgers["image"].stored == 10)
    site.server.kill()
    site.send(*(image1(frame=i) for i in range(10, 30)))
    wait_until(lambda: site.status()["images_reduced"] == 30, what="frames reduced")
    wait_until(lambda: site.status()["writer"]["last_error"], what="complaint")
    site.server.start()
    site.send(*(image1(frame=i) for i in range(30, 40)), end1())
    info = site.settled()
    assert info.ledgers["image"].stored == 40
    assert info.ledgers["image"].missing == 0


def test_ingest_does_not_wait_for_a_frozen_server(site: Site) -> None:
    """Catalogue row 49."""
    site.start()
    site.send(header1(nimages=30), image1(frame=0))
    site.settled(lambda info: info.ledgers["image"].stored == 1)
    with site.server.frozen():
        site.send(*(image1(frame=i) for i in range(1, 30)), end1())
        wait_until(lambda: site.status()["images_reduced"] == 30, 3.0, "frames reduced")
    assert site.settled().ledgers["image"].stored == 30


def test_an_untouched_copy_of_the_stream_is_forwarded(
    site: Site, tmp_path: Path
) -> None:
    tee = f"ipc://{tmp_path}/tee"
    site.start(stream={"tee": tee})
    socket = site.context.socket(zmq.PULL)
    socket.linger = 0
    socket.connect(tee)
    messages = v1_series(3)
    wait_until(lambda: site.status()["sources"]["live"]["connected"], what="link")
    site.send(*messages)
    copies = []
    for _ in messages:
        assert socket.poll(5000)
        copies.append(socket.recv_multipart())
    assert copies == messages
    site.settled()
    socket.close()


def test_a_link_closed_for_an_oversize_message_is_made_anew(site: Site) -> None:
    """Catalogue row 41."""
    site.start(stream={"max_message_mb": 1})
    site.send(header1(nimages=2), image1(frame=0))
    site.settled(lambda info: info.ledgers["image"].stored == 1)
    site.send([bytes(2_000_000)])
    wait_until(
        lambda: site.status()["sources"]["live"]["connections"] >= 2, 15, "a new link"
    )
    site.send(image1(frame=1), end1())
    assert site.settled().ledgers["image"].stored == 2


def test_reading_stops_at_the_memory_bound(site: Site) -> None:
    """Catalogue row 45: what is not read waits with the sender."""
    site.start(reduce={"max_pending_mb": 1})
    site.send(*v1_series(50))
    assert site.settled().ledgers["image"].stored == 50


def test_numbers_that_start_again_are_another_series(site: Site) -> None:
    """Catalogue row 9."""
    site.start()
    site.send(*v1_series(3))
    site.settled()
    site.send(*v1_series(5))
    found = site.series(2)
    newest = site.settled(lambda i: i.state in FINAL and i.ledgers["image"].stored == 5)
    assert {i.key for i in found} > {newest.key}
    older = next(i for i in site.reader.series() if i.key != newest.key)
    assert older.ledgers["image"].stored == 3


@pytest.mark.realdata
@pytest.mark.parametrize("entry", manifest()["entries"], ids=lambda e: e["file"][:-5])
def test_recorded_streams_come_out_as_published(
    site: Site, entry: dict[str, Any]
) -> None:
    site.start(filter={"low": 0, "high": 4500})
    site.send(*read_zcap(entry["file"]))
    wanted: dict[int, dict[int, dict[str, Any]]] = {}
    for frame in entry["frames"]:
        wanted.setdefault(frame["series"], {})[frame["frame"]] = frame
    found = (
        wait_until(
            lambda: (
                (s := site.reader.series())
                and len(s) == len(wanted)
                and all(i.state in FINAL for i in s)
                and s
            ),
            what="series to end",
        )
        if entry["file"] != "eiger1_4m_v1_bslz4_u16.zcap"
        else [
            # This recording has no end of series.
            site.settled(lambda i: i.ledgers and i.ledgers["image"].stored == 3)
        ]
    )
    for info in found:
        frames = wanted[info.series_id]
        for channel in info.ledgers:
            rows = site.reader.rows(info.key, channel)
            for image_id, frame in frames.items():
                row = rows[image_id]
                published = frame["ranges"]["0-4500"]
                assert row["total"] == published["sum"]
                assert row["kept"] == published["n_in"]
                assert row["sentinel"] == frame["n_eq_max_of_dtype"]
                excluded = int(row["sentinel"]) + int(row["above"]) + int(row["below"])
                assert excluded == published["n_excluded"]
