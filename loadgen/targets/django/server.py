"""A Django server with its own sessions and its own CSRF middleware, under gunicorn.

It shows what authbench has to do at such a server: read the token out of the page with the login
form, send it back with the cookie that it is bound to, and use what the login sets anew: the
session, and the CSRF cookie. Sessions are in the process's memory (the cache backend), so that no
database is measured along with them; hence one worker process, with threads.
"""

import json
import os
import re
import secrets
import sys

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SESSION_COOKIE_AGE=15 * 60,
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # By default it forgets sessions beyond the first 300.
            "OPTIONS": {"MAX_ENTRIES": 10_000_000},
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse  # noqa: E402
from django.middleware.csrf import rotate_token  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.crypto import constant_time_compare  # noqa: E402
from django.views.decorators.http import require_http_methods  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402

USERS_MAX = 10_000_000
CART_MAX = 10

FORM = engines["django"].from_string(
    """<!DOCTYPE html>
<html lang="en">
<head><title>Log in</title></head>
<body>
<form method="post" action="/login">{% csrf_token %}
<label>Name <input name="username"></label>
<label>Password <input name="password" type="password"></label>
<button>Log in</button>
</form>
</body>
</html>
"""
)


def is_user(username, password):
    """user-N has the password password-N; a real server keeps a slow hash of each."""
    match = re.fullmatch(r"user-(0|[1-9][0-9]{0,7})", username)
    number = match[1] if match else "nobody"
    right = constant_time_compare(password, f"password-{number}")
    return match is not None and int(number) < USERS_MAX and right


def user_of(request):
    return request.session.get("user")


def unauthorized():
    return JsonResponse({"error": "unauthorized"}, status=401)


@require_http_methods(["GET", "POST"])
def login(request):
    if request.method == "GET":
        return HttpResponse(FORM.render({}, request))
    username = request.POST.get("username", "")
    if not is_user(username, request.POST.get("password", "")):
        return HttpResponse("wrong name or password", status=401)
    # What django.contrib.auth.login does: a new key for the session, a new CSRF token.
    request.session.cycle_key()
    rotate_token(request)
    request.session["user"] = username
    request.session["cart"] = []
    return HttpResponseRedirect("/me")


@require_http_methods(["GET"])
def me(request):
    user = user_of(request)
    return JsonResponse({"user": user}) if user else unauthorized()


@require_http_methods(["GET", "POST"])
def cart(request):
    user = user_of(request)
    if not user:
        return unauthorized()
    if request.method == "POST":
        try:
            item = str(json.loads(request.body)["item"])[:64]
        except (ValueError, KeyError, TypeError):
            return JsonResponse({"error": "malformed_json"}, status=400)
        request.session["cart"] = [*request.session["cart"], item][-CART_MAX:]
    return JsonResponse({"user": user, "items": request.session["cart"]})


@require_http_methods(["POST"])
def logout(request):
    if not user_of(request):
        return unauthorized()
    request.session.flush()
    return HttpResponse(status=204)


urlpatterns = [
    path("login", login),
    path("me", me),
    path("cart", cart),
    path("logout", logout),
]


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
        return get_wsgi_application()

    @staticmethod
    def ready(server):
        port = server.LISTENERS[0].sock.getsockname()[1]
        print(f"ready http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    Server().run()
