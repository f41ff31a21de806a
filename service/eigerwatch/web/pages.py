"""The page, the API's documentation and their files, all served from here."""

from __future__ import annotations

from string import Template

import structlog
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from eigerwatch.web.assets import answer, not_found
from eigerwatch.web.own_files import ROOT, STATIC, OwnFiles
from eigerwatch.web.plotly_assets import plotly_script, plotly_styles, style_ids
from eigerwatch.web.security import CONTENT_SECURITY_POLICY

log = structlog.get_logger(__name__)

_METHODS = ["GET", "HEAD"]


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
        self._own = OwnFiles()
        self.root = self._own.root
        """Folder of our own files, another one after every change of them."""
        self._links = {
            "plotly_script": f"/assets/{script.name}",
            "plotly_styles": link + stand_ins,
        }
        self._index = self._page("index.html", "page.js")
        self._runs = self._page("runs.html", "runs.js")
        self._docs = self._page("docs.html", "docs.js")

    def _page(self, name: str, script: str) -> str:
        root = self._own.root
        # All at once, instead of one depth of imports after the other.
        ahead = "\n".join(
            f'<link rel="modulepreload" href="{root}/{module}">'
            for module in self._own.modules(script)
        )
        page = (STATIC / name).read_text(encoding="utf-8")
        return Template(page).substitute(self._links, own=root, modules=ahead)

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
            return HTMLResponse(self._docs, headers={"Cache-Control": "no-cache"})

        @router.api_route("/favicon.ico", methods=_METHODS)
        def icon() -> Response:
            content = (STATIC / "icon.svg").read_bytes()
            return Response(content, media_type="image/svg+xml")

        @router.api_route("/assets/{name}", methods=_METHODS)
        async def asset(name: str, request: Request) -> Response:
            found = self._assets.get(name)
            return answer(found, request) if found else not_found()

        @router.api_route(ROOT + "/{path:path}", methods=_METHODS)
        async def own(path: str, request: Request) -> Response:
            found = self._own.find(path)
            if found is None:
                return not_found()
            file, newest = found
            return answer(file, request, for_ever=newest)

        return router
