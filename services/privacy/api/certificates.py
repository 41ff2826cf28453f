"""The certificate of an erasure: signed data for machines, a document for people."""

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from joserfc import jws

from chassis.auth import OPTIONAL
from chassis.errors import NotFoundError
from chassis.session import SessionDep, runtime_of
from services.privacy.api.erasures import AskedAt
from services.privacy.api.negotiation import negotiate
from services.privacy.credentials import certificate_key
from services.privacy.errors import NotYetProvenError
from services.privacy.messages.certificates import DOCUMENT, certificate_pdf
from services.privacy.queries import erasures as queries
from services.privacy.schemas.erasures import SignedCertificate

router = APIRouter(prefix="/api/privacy", tags=["certificates"])

_JSON, _PDF = "application/json", "application/pdf"


@router.get(
    "/certificates/{erasure_id}",
    openapi_extra=OPTIONAL,
    response_model=SignedCertificate,
    responses={200: {"content": {_PDF: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def certificate(
    session: SessionDep,
    response: Response,
    erasure_id: UUID,
    asked_at: AskedAt,
    accept: Annotated[str | None, Header(max_length=1000)] = None,
) -> SignedCertificate | Response:
    """The signed proof, as JSON or as PDF; it does not exist while one step is open."""
    wanted = negotiate(accept, _JSON, _PDF)
    found = await queries.erasure(session, erasure_id=erasure_id)
    if found is None and asked_at is None:
        raise NotFoundError
    if found is None or found.certificate is None:
        raise NotYetProvenError("Consultez l'état de l'effacement, puis revenez.")
    if wanted == _PDF:
        return Response(
            await asyncio.to_thread(certificate_pdf, found.certificate),
            media_type=_PDF,
            headers={
                "Content-Disposition": f'attachment; filename="{DOCUMENT}"',
                "Vary": "Accept",
            },
        )
    response.headers["Vary"] = "Accept"
    payload = jws.extract_compact(found.certificate.encode()).payload
    return SignedCertificate(certificate=json.loads(payload), jws=found.certificate)


@router.get("/certificates-keys")
async def keys(request: Request) -> dict[str, Any]:
    """The public keys of certificates (RFC 7517). Keep a copy obtained elsewhere to verify offline."""
    settings = runtime_of(request).settings
    key = certificate_key(settings.secrets_dir / "certificates.pem")
    return {"keys": [key.as_dict(private=False)]}
