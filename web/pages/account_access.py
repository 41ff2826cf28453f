"""Getting in and out: signing in, signing out, a forgotten password."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import sessions
from web.forms import SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import OptionalPerson, local_path, visitor

router = APIRouter()


@router.get("/connexion")
async def login(request: Request, person: OptionalPerson, suite: str = "") -> Response:
    """`suite`: the page to go to afterwards, one of ours."""
    if person:
        return to(local_path(suite))
    return page(request, "login.html", form=blank(suite=local_path(suite, otherwise="")))


@router.post("/connexion")
async def sign_in(request: Request, form: SentForm) -> Response:
    email, password = form.value("email"), form.secret("password")
    form.require(email="Indiquez votre adresse e-mail.")
    if not password:
        form.fail("password", "Indiquez votre mot de passe.")
    if form.failed:
        return page(request, "login.html", form=form)
    try:
        secret = await sessions.sign_in(request, email=email, password=password)
    except ApiError as refused:
        if refused.status == 401:
            form.title = "Adresse ou mot de passe incorrect."
            form.fail(
                "email", "Vérifiez l'adresse, ou inscrivez-vous si vous n'avez pas de compte."
            )
            form.fail("password", "Vérifiez le mot de passe, majuscules comprises.")
        else:
            form.refuse(refused)
        return page(request, "login.html", form=form)
    answer = to(local_path(form.value("suite")))
    sessions.set_cookie(answer, secret)
    return answer


@router.post("/deconnexion")
async def sign_out(request: Request, person: OptionalPerson) -> Response:
    """Also from a page of a session that is over: then there is nothing left to end."""
    if person:
        try:
            await person.api.delete("identity/sessions/current")
        except ApiError as refused:
            if refused.status != 401:
                raise
    answer = to("/", done="deconnexion")
    sessions.clear_cookie(request, answer)
    return answer


@router.get("/mot-de-passe/oubli")
async def forgotten(request: Request) -> Response:
    return page(request, "password/forgotten.html", form=blank())


@router.post("/mot-de-passe/oubli")
async def ask_for_reset(request: Request, form: SentForm) -> Response:
    if form.require(email="Indiquez l'adresse e-mail de votre compte."):
        try:
            await visitor(request).post("identity/password-resets", {"email": form.value("email")})
        except ApiError as refused:
            form.refuse(refused)
        else:
            return to("/mot-de-passe/message-envoye")
    return page(request, "password/forgotten.html", form=form)


@router.get("/mot-de-passe/message-envoye")
async def reset_mailed(request: Request) -> Response:
    return page(request, "password/mailed.html")


@router.get("/mot-de-passe/nouveau")
async def new_password(request: Request, token: str = "") -> Response:
    return page(request, "password/new.html", form=blank(token=token))


@router.post("/mot-de-passe/nouveau")
async def reset_password(request: Request, form: SentForm) -> Response:
    password = form.secret("password")
    if not password:
        form.fail("password", "Choisissez un mot de passe.")
    if not form.failed:
        try:
            await visitor(request).post(
                "identity/password-resets/confirm",
                {"token": form.value("token"), "password": password},
            )
        except ApiError as refused:
            if refused.slug == "link-expired" or "token" in refused.errors:
                return page(request, "password/expired.html", status=410)
            form.refuse(refused, at="password")
        else:
            answer = to("/connexion", done="mot-de-passe")
            sessions.clear_cookie(request, answer)
            return answer
    return page(request, "password/new.html", form=form)
