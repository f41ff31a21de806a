from __future__ import annotations

import json
import os
import signal
import threading

import numpy as np
import pytest
import zmq
from unit.eigersim.sim_decode import image_of, message_of, total_of

from eigersim.cli import main

SIZE = ["--detector", "96x64"]


def pull(endpoint, ends, received, on_image=lambda n: None):
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.rcvtimeo = 10_000
        socket.connect(endpoint)
        while ends:
            message = message_of(socket.recv_multipart())
            received.append(message)
            ends -= message["type"] == "end"
            if message["type"] == "image":
                on_image(message["image_id"])


def run(tmp_path, *options, ends=1, on_image=lambda n: None):
    """Run the command with a consumer; return exit code and messages."""
    endpoint = f"ipc://{tmp_path}/s"
    received = []
    thread = threading.Thread(target=pull, args=(endpoint, ends, received, on_image))
    thread.start()
    code = main(["run", "--endpoint", endpoint, "--wait-s", "10", *options])
    thread.join()
    return code, received


def test_run_sends_series_and_tells_the_truth(tmp_path, capsys):
    code, received = run(
        tmp_path,
        *SIZE,
        *"--frames 30 --series 2 --pause-s 0 --frame-rate 0 --scenario demo".split(),
        *("--truth", str(tmp_path / "truth")),
        *("--summary", str(tmp_path / "summary.json")),
        ends=2,
    )
    assert code == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("frames sent=60 late=0 dropped=0 series=2 seconds=")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["sent"] == 60
    assert [s["frames"] for s in summary["series"]] == [30, 30]
    starts = [m for m in received if m["type"] == "start"]
    assert [s["series_id"] for s in starts] == [1, 2]
    assert [s["unique_id"] for s in summary["series"]] == [
        m["series_unique_id"] for m in starts
    ]
    for series_id in (1, 2):
        totals = np.load(tmp_path / "truth" / f"series_{series_id}.npy")
        assert totals.dtype == np.uint64
        assert totals.tolist() == [
            total_of(image_of(m["data"]["threshold_1"]))
            for m in received
            if m["type"] == "image" and m["series_id"] == series_id
        ]
        facts = json.loads(
            (tmp_path / "truth" / f"series_{series_id}.json").read_text()
        )
        assert facts["features"]["topup"]["first"] == 15
        assert facts["sent"] == 30


def test_a_signal_ends_the_series_in_good_order(tmp_path, capsys):
    def interrupt(image_id):
        if image_id == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    code, received = run(
        tmp_path,
        *SIZE,
        *"--frames 100000 --series 0 --frame-rate 100".split(),
        *("--truth", str(tmp_path / "truth")),
        on_image=interrupt,
    )
    assert code == 0
    assert received[-1]["type"] == "end"
    sent = sum(m["type"] == "image" for m in received)
    assert f"frames sent={sent} " in capsys.readouterr().out
    assert np.load(tmp_path / "truth" / "series_1.npy").size == sent < 100_000
    assert signal.getsignal(signal.SIGTERM) == before


def test_dropped_frames_are_counted_and_marked(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eigersim.push._START_WAIT_S", 0.01)
    monkeypatch.setattr("eigersim.push._END_WAIT_S", 0.01)
    options = "--frames 5 --frame-rate 1000".split()
    endpoint = ["--endpoint", f"ipc://{tmp_path}/s"]
    truth = tmp_path / "truth"
    assert main(["run", *endpoint, *SIZE, *options, "--truth", str(truth)]) == 0
    assert "sent=0 late=0 dropped=5 series=1" in capsys.readouterr().out
    assert np.load(truth / "series_1.sent.npy").tolist() == [False] * 5
    assert np.load(truth / "series_1.npy").size == 5


def test_a_made_dataset_can_be_replayed(tmp_path):
    master = tmp_path / "a_master.h5"
    options = "--frames 6 --frames-per-file 4 --leave-out-frame 2".split()
    assert main(["make-dataset", str(master), *SIZE, *options]) == 0
    code, received = run(tmp_path, "--master", str(master), "--recorded-rate")
    assert code == 0
    with np.load(master.with_suffix(".truth.npz")) as truth:
        expected = truth["total"]
    images = [m for m in received if m["type"] == "image"]
    assert [m["image_id"] for m in images] == [0, 1, 3, 4, 5]
    for m in images:
        total = total_of(image_of(m["data"]["threshold_1"]))
        assert total == expected[m["image_id"]]
    assert received[0]["user_data"]["eigersim"]["mode"] == "replay"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--detector", "5m"], "there is no detector '5m'"),
        (["run", *SIZE, "--endpoint", "tcp://nowhere"], "cannot bind tcp://nowhere"),
        (["run", *SIZE, "--channels", "difference"], "cannot be simulated"),
        (
            "run --stream v1 --channels threshold_1,threshold_2".split(),
            "stream v1 carries one channel",
        ),
        (["run", *SIZE, "--dtype", "uint8", "--mean-counts", "250"], "does not fit"),
        (["run", "--master", "/nowhere_master.h5"], "cannot read /nowhere_master.h5"),
        (["run", "--recorded-rate"], "need a --master"),
        (["make-dataset", "x.h5"], "must end in _master.h5"),
        (["make-dataset", "/proc/x_master.h5", *SIZE], "cannot write"),
        (["run", "--frames", "0"], "--frames"),
        (["run", "--nonsense"], "--nonsense"),
    ],
)
def test_user_errors_are_one_sentence_and_exit_2(arguments, message, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_rates_that_contradict_each_other_are_refused(tmp_path, capsys):
    master = tmp_path / "a_master.h5"
    assert main(["make-dataset", str(master), *SIZE, "--frames", "1"]) == 0
    rates = ["--recorded-rate", "--frame-rate", "5"]
    assert main(["run", "--master", str(master), *rates]) == 2
    assert "contradict" in capsys.readouterr().err


def test_help_and_no_command(capsys):
    assert main(["--help"]) == 0
    assert "make-dataset" in capsys.readouterr().out
    assert main([]) == 2
