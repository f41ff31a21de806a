"""The page, the API's documentation and their files, all served from here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

import structlog
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from eigerwatch.web.plotly_assets import (
    Asset,
    plotly_script,
    plotly_styles,
    style_ids,
)
from eigerwatch.web.security import CONTENT_SECURITY_POLICY

log = structlog.get_logger(__name__)

STATIC = Path(str(resources.files("eigerwatch.web"))) / "static"
_METHODS = ["GET", "HEAD"]


class OwnFiles(StaticFiles):
    """Our own files: kept by browsers, but asked for changes every time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file that browsers revalidate."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Pages:
    """The routes for browsers."""

    def __init__(self) -> None:
        script = plotly_script()
        styles = plotly_styles(script)
        self._assets = {script.name: script}
        self.policy = CONTENT_SECURITY_POLICY
        if styles is None:
            log.warning("plotly.js keeps its styles unlike known, inline ones allowed")
            self.policy += "; style-src 'self' 'unsafe-inline'"
            link = ""
        else:
            self._assets[styles.name] = styles
            link = (
                '<link rel="stylesheet" id="plotly.js-style-global" '
                f'class="no-inline-styles" href="/assets/{styles.name}">'
            )
        stand_ins = "".join(
            f'<template id="{i}"></template>' for i in style_ids(script)
        )
        self._with_plots = {
            "plotly_script": f"/assets/{script.name}",
            "plotly_styles": link + stand_ins,
        }
        self._index = self._page("index.html")
        self._runs = self._page("runs.html")

    def _page(self, name: str) -> str:
        page = (STATIC / name).read_text(encoding="utf-8")
        return Template(page).substitute(self._with_plots)

    def router(self) -> APIRouter:
        """Return the routes; they are no part of the API's documentation."""
        router = APIRouter(include_in_schema=False)

        @router.api_route("/", methods=_METHODS)
        def index() -> Response:
            return HTMLResponse(self._index, headers={"Cache-Control": "no-cache"})

        @router.api_route("/runs", methods=_METHODS)
        def runs() -> Response:
            return HTMLResponse(self._runs, headers={"Cache-Control": "no-cache"})

        @router.api_route("/docs", methods=_METHODS)
        def docs() -> Response:
            page = (STATIC / "docs.html").read_text(encoding="utf-8")
            return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

        @router.api_route("/favicon.ico", methods=_METHODS)
        def icon() -> Response:
            content = (STATIC / "icon.svg").read_bytes()
            return Response(content, media_type="image/svg+xml")

        @router.api_route("/assets/{name}", methods=_METHODS)
        def asset(name: str, request: Request) -> Response:
            found = self._assets.get(name)
            if found is None:
                return Response("no such file", 404, media_type="text/plain")
            return _immutable(found, request)

        return router


def _immutable(asset: Asset, request: Request) -> Response:
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    accepted = request.headers.get("accept-encoding", "")
    if "gzip" in accepted:
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)
