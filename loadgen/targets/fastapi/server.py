"""A FastAPI server with bearer tokens: PyJWT, HS256, under uvicorn.

The login is the form of OAuth2's password grant, as in FastAPI's tutorial. The token carries the
user and nothing is kept of a login, so a logout cannot end it before it expires.
"""

import hmac
import os
import re
import secrets
import sys
import time
from typing import Annotated

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel

USERS_MAX = 10_000_000
CART_MAX = 10
EXPIRES_IN_S = 15 * 60
ALGORITHM = "HS256"
KEY = secrets.token_bytes(32)
PARTIES = {"issuer": "authbench", "audience": "authbench"}

# The shop's data, which a real server has in a database. It is not a session: it is found by user.
carts: dict[str, list[str]] = {}

app = FastAPI(openapi_url=None)
bearer = OAuth2PasswordBearer(tokenUrl="token")


class Item(BaseModel):
    item: str


def is_user(username: str, password: str) -> bool:
    """user-N has the password password-N; a real server keeps a slow hash of each."""
    match = re.fullmatch(r"user-(0|[1-9][0-9]{0,7})", username)
    number = match[1] if match else "nobody"
    right = hmac.compare_digest(password.encode(), f"password-{number}".encode())
    return match is not None and int(number) < USERS_MAX and right


def unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


async def user_of(token: Annotated[str, Depends(bearer)]) -> str:
    try:
        # The algorithm is named here: a token must not choose its own.
        claims = jwt.decode(
            token, KEY, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]}, **PARTIES
        )
    except jwt.InvalidTokenError:
        raise unauthorized("invalid token") from None
    return claims["sub"]


User = Annotated[str, Depends(user_of)]


@app.post("/token")
async def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]):
    if not is_user(form.username, form.password):
        raise unauthorized("wrong name or password")
    now = int(time.time())
    claims = {
        "sub": form.username,
        "iss": PARTIES["issuer"],
        "aud": PARTIES["audience"],
        "iat": now,
        "exp": now + EXPIRES_IN_S,
    }
    encoded = jwt.encode(claims, KEY, ALGORITHM)
    return {"access_token": encoded, "token_type": "bearer", "expires_in": EXPIRES_IN_S}


@app.get("/me")
async def me(user: User):
    return {"user": user}


@app.get("/cart")
async def cart(user: User):
    return {"user": user, "items": carts.get(user, [])}


@app.post("/cart")
async def add(user: User, item: Item):
    carts[user] = [*carts.get(user, []), item.item[:64]][-CART_MAX:]
    return {"user": user, "items": carts[user]}


@app.post("/logout", status_code=204)
async def logout(user: User):
    """The client forgets its token; the server has nothing to forget."""
    return Response(status_code=204)


class Server(uvicorn.Server):
    """uvicorn, which says when it is ready and where."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            print(f"ready http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    port = os.environ.get("PORT") or (sys.argv[1] if len(sys.argv) > 1 else "8000")
    # As behind a proxy: idle connections stay open for longer than the users of a load think.
    config = uvicorn.Config(
        app, port=int(port), log_level="warning", access_log=False, timeout_keep_alive=65
    )
    Server(config).run()
