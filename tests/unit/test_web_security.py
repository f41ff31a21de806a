from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from memory_store import MemoryStore
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect

from eigerwatch.sections import WebSettings
from eigerwatch.web.application import create_app
from eigerwatch.web.own_files import STATIC, OwnFiles
from eigerwatch.web.plotly_assets import plotly_script, plotly_styles
from eigerwatch.web.security import same_origin

BASE = "http://127.0.0.1:8000"
LIVE = "ws://127.0.0.1:8000/api/v1/live"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(MemoryStore(), WebSettings()), base_url=BASE) as client:
        yield client


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/api/v1/series", "/static/page.js"])
def test_foreign_host_names_are_refused(
    client: TestClient, host: str, path: str
) -> None:
    assert client.get(path, headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:8000"])
def test_own_host_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/series", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:9999",
        "null",
        "https://localhost.evil.example",
        "file://",
        "http://[",
    ],
)
def test_websocket_refuses_other_origins(client: TestClient, origin: str) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(LIVE, headers={"origin": origin}),
    ):
        pass
    assert refused.value.code == 1008


def test_websocket_serves_own_page_and_programs(client: TestClient) -> None:
    for headers in ({"origin": BASE}, {}):
        with client.websocket_connect(LIVE, headers=headers) as socket:
            assert socket.receive_json()["t"] == "hello"


def test_origin_behind_a_proxy_must_be_an_allowed_name() -> None:
    headers = Headers({"host": "127.0.0.1:8000", "origin": "https://beam.site.org"})
    assert same_origin(headers, ("beam.site.org",))
    assert same_origin(headers, ("*.site.org",))
    assert not same_origin(headers, ("127.0.0.1",))
    cross = Headers({"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site"})
    assert not same_origin(cross, ("127.0.0.1",))


def test_cross_site_posts_are_refused(client: TestClient) -> None:
    headers = {"origin": "http://evil.example"}
    assert client.post("/api/v1/series", headers=headers).status_code == 403
    assert client.post("/api/v1/series").status_code == 405


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/docs", "/api/v1/series", "/api/v1/runs", "/nowhere"]
)
def test_policy_forbids_inline_and_foreign_content(
    client: TestClient, path: str
) -> None:
    policy = client.get(path).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_is_loaded_from_elsewhere(client: TestClient) -> None:
    files = [f for f in STATIC.iterdir() if f.suffix in (".js", ".css", ".html")]
    texts = {f.name: f.read_text() for f in files}
    texts.update({path: client.get(path).text for path in ("/", "/runs", "/docs")})
    for name, text in texts.items():
        # The name of SVG's elements looks like an address and is none.
        text = text.replace("http://www.w3.org/2000/svg", "")
        found = re.findall(r"""(?:https?:)?//[\w.-]+\.\w+""", text)
        assert not found, name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write", text)
        if name.startswith("/"):
            assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", text)


def test_plotly_comes_compressed_and_for_ever(client: TestClient) -> None:
    name = r'="(/assets/plotly-[^"]+\.js)"'
    path = re.search(f"src{name}", client.get("/runs").text)
    ahead = re.search(f'rel="preload".* href{name}', client.get("/").text)
    assert path is not None
    assert ahead is not None
    assert ahead[1] == path[1]
    response = client.get(path[1], headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "immutable" in response.headers["cache-control"]
    assert len(response.content) > 1_000_000
    plain = client.get(path[1], headers={"accept-encoding": "identity"})
    assert plain.content == response.content
    assert client.get("/assets/other.js").status_code == 404


def test_own_files_are_kept_until_one_of_them_changes(
    client: TestClient, tmp_path: Path
) -> None:
    page = client.get("/").text
    found = re.search(r'type="module" src="(/static/(\w+)/page\.js)"', page)
    assert found is not None
    response = client.get(found[1])
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["content-encoding"] == "gzip"
    assert response.content == (STATIC / "page.js").read_bytes()
    # A page of before a restart: the newest of that name, for now.
    for other in ("/static/page.js", f"/static/{'0' * 16}/page.js"):
        assert client.get(other).headers["cache-control"] == "no-cache"
        assert client.get(other).content == response.content
    assert client.get(f"/static/{found[2]}/other.js").status_code == 404

    files = {"a.js": 'import "./b.js";', "b.js": "export {};", "c.css": "p {}"}
    roots = [OwnFiles(STATIC).root]
    for changed in ("", "a.js", "b.js", "c.css"):
        for name, text in files.items():
            (tmp_path / name).write_text(text + "\n" * (name == changed))
        roots.append(OwnFiles(tmp_path).root)
    assert found[1].startswith(roots[0])
    assert len(set(roots)) == len(roots)


@pytest.mark.parametrize("page", ["page.js", "runs.js"])
def test_modules_are_loaded_ahead_all_of_them(client: TestClient, page: str) -> None:
    html = client.get("/" if page == "page.js" else "/runs").text
    ahead = re.findall(r'rel="modulepreload" href="/static/\w+/([\w-]+\.js)"', html)
    assert len(ahead) == len(set(ahead)) > 10
    needed = set()
    for name in (page, *ahead):
        text = (STATIC / name).read_text(encoding="utf-8")
        needed |= set(re.findall(r'"\./([\w-]+\.js)"', text))
    assert set(ahead) == needed - {page}


def test_plotly_style_rules_are_found() -> None:
    styles = plotly_styles(plotly_script())
    assert styles is not None
    text = styles.content.decode()
    assert ".js-plotly-plot .plotly .main-svg {position:absolute;" in text
    assert text.count("{") == text.count("}") > 50
    assert not re.search(r"(^|[ ,])[XY][ ,{]", text, re.MULTILINE)


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/docs", "/favicon.ico", "/static/page.js"]
)
def test_head_answers_like_get(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/static/../api.py", "/static/%2e%2e/api.py", "/static//etc/passwd"]
)
def test_files_outside_static_are_not_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (400, 404)


def test_api_is_described_completely(client: TestClient) -> None:
    api = json.loads(client.get("/openapi.json").text)
    assert "/api/v1/series/{series}/statistics" in api["paths"]
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], path
            if method == "delete" and "204" in operation["responses"]:
                continue
            done = {"get": "200", "post": "201", "put": "200"}.get(method, "200")
            assert operation["responses"][done].get("content"), path
