"""A Flask server with its own sessions: a cookie signed by itsdangerous, under gunicorn.

The server keeps nothing of a login: user and cart travel in the cookie, which every answer sets
anew, since the session is permanent and its time runs from the last request. A logout clears the
browser's cookie only: a copy of it stays good until its time is over.
"""

import datetime
import hmac
import os
import re
import secrets
import sys

from flask import Flask, jsonify, request, session
from gunicorn.app.base import BaseApplication

USERS_MAX = 10_000_000
CART_MAX = 10

app = Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(32),
    MAX_CONTENT_LENGTH=16 * 1024,
    PERMANENT_SESSION_LIFETIME=datetime.timedelta(minutes=15),
    # Without SESSION_COOKIE_SECURE, because this is plain HTTP on the loopback interface.
    SESSION_COOKIE_SAMESITE="Lax",
)


def is_user(username, password):
    """user-N has the password password-N; a real server keeps a slow hash of each."""
    match = re.fullmatch(r"user-(0|[1-9][0-9]{0,7})", username)
    number = match[1] if match else "nobody"
    right = hmac.compare_digest(password.encode(), f"password-{number}".encode())
    return match is not None and int(number) < USERS_MAX and right


@app.before_request
def require_user():
    if request.endpoint != "login" and "user" not in session:
        return jsonify(error="unauthorized"), 401


@app.post("/login")
def login():
    # JSON alone: a form of another site cannot send it.
    sent = request.get_json()
    username, password = (str(sent.get(name, "")) for name in ("username", "password"))
    if not is_user(username, password):
        return jsonify(error="invalid_credentials"), 401
    session.clear()
    session.permanent = True
    session["user"] = username
    session["cart"] = []
    return jsonify(user=username)


@app.get("/me")
def me():
    return jsonify(user=session["user"])


@app.get("/cart")
def cart():
    return jsonify(user=session["user"], items=session["cart"])


@app.post("/cart")
def add():
    item = str(request.get_json().get("item", ""))[:64]
    session["cart"] = [*session["cart"], item][-CART_MAX:]
    return jsonify(user=session["user"], items=session["cart"])


@app.post("/logout")
def logout():
    session.clear()
    return "", 204


class Server(BaseApplication):
    """gunicorn, told by this program and not by a file what to do."""

    def load_config(self):
        port = os.environ.get("PORT") or (sys.argv[1] if len(sys.argv) > 1 else "8000")
        self.cfg.set("bind", f"127.0.0.1:{port}")
        self.cfg.set("workers", 1)
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", int(os.environ.get("THREADS", "8")))
        # A thread waits on no idle connection, so that there may be more of them than threads.
        self.cfg.set("keepalive", 65)
        self.cfg.set("worker_connections", 4096)
        self.cfg.set("loglevel", "warning")
        self.cfg.set("when_ready", self.ready)

    def load(self):
        return app

    @staticmethod
    def ready(server):
        port = server.LISTENERS[0].sock.getsockname()[1]
        print(f"ready http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    Server().run()
