"""Files of our own, kept in memory, under names that change with their content."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from web.headers import IMMUTABLE

FOLDER = Path(__file__).with_name("static")
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class File:
    content: bytes
    packed: bytes
    media_type: str


_files: dict[str, File] = {}
_addresses: dict[str, str] = {}

for _path in sorted(FOLDER.glob("*.*")):
    _content = _path.read_bytes()
    _name = f"{_path.stem}.{hashlib.sha256(_content).hexdigest()[:12]}{_path.suffix}"
    _kind = mimetypes.guess_type(_path.name)[0] or "application/octet-stream"
    _packed = gzip.compress(_content, mtime=0)
    _files[_name] = File(content=_content, packed=_packed, media_type=_kind)
    _addresses[_path.name] = f"/static/{_name}"


def address(name: str) -> str:
    """Where a file is, for as long as it does not change; raises `KeyError` for one that is not."""
    return _addresses[name]


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """One file. An old name is gone: no page that is shown still has it."""
    found = _files.get(name)
    if found is None:
        raise HTTPException(404)
    packed = "gzip" in request.headers.get("accept-encoding", "") and len(found.packed) < len(
        found.content
    )
    headers = {"Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
    if packed:
        headers["Content-Encoding"] = "gzip"
    body = found.packed if packed else found.content
    return Response(body, media_type=found.media_type, headers=headers)


@router.get("/favicon.ico")
async def icon() -> Response:
    """Asked for by programs that read no page."""
    return RedirectResponse(address("mark.svg"), 308)
