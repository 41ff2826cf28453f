"""The first steps: an account, then its confirmation."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.runtime import runtime_of
from web.sessions import HOME_OF_MEMBERS, OptionalPerson, visitor

router = APIRouter()


@router.get("/inscription")
async def sign_up(request: Request, person: OptionalPerson) -> Response:
    if person:
        return to(HOME_OF_MEMBERS)
    return await _sign_up_page(request, blank())


@router.post("/inscription")
async def open_account(request: Request, form: SentForm) -> Response:
    form.require(email="Indiquez votre adresse e-mail.")
    if not form.secret("password"):
        form.fail("password", "Choisissez un mot de passe.")
    if not form.checked("consent"):
        form.fail(
            "consent", "Cochez cette case pour créer votre compte : il repose sur votre accord."
        )
    if not form.failed:
        body = {
            "email": form.value("email"),
            "password": form.secret("password"),
            "notice_version": form.value("notice_version"),
        }

        async def open_it() -> None:
            await visitor(request).post("identity/accounts", body)

        try:  # one mail for a double click, and another one for another address or password
            await runtime_of(request).once(f"{form.key}.{hash(tuple(body.values()))}", open_it)
        except ApiError as refused:
            form.refuse(refused, at="" if refused.errors else "password")
        else:
            return to("/inscription/message-envoye")
    return await _sign_up_page(request, form)


async def _sign_up_page(request: Request, form: Form) -> Response:
    """The version of the notice in the form is the one that this page shows (N2.4)."""
    notice = await runtime_of(request).public("privacy/notice")
    about = await declared(request, "identity", "account")
    return page(request, "joining/sign_up.html", form=form, notice=notice, about=about)


@router.get("/inscription/message-envoye")
async def look_at_your_mail(request: Request) -> Response:
    return page(request, "joining/mailed.html")


@router.get("/inscription/confirmation")
async def confirm(request: Request, token: str = "") -> Response:
    """A button, since programs that look for viruses follow links too."""
    return page(request, "joining/confirm.html", form=blank(token=token))


@router.post("/inscription/confirmation")
async def confirm_address(request: Request, form: SentForm) -> Response:
    try:
        await visitor(request).post("identity/accounts/verify", {"token": form.value("token")})
    except ApiError as refused:
        if refused.status not in {410, 422}:
            raise
        return page(request, "joining/expired.html", status=410)
    return to("/connexion?suite=/inscription/suite", done="confirmation")
