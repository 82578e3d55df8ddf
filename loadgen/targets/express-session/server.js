// An Express server with sessions: express-session with its MemoryStore, and a CSRF token kept in
// the session (the synchroniser token pattern).
//
// It shows what authbench has to do at such a server: fetch a token and the cookie of the session
// it belongs to, log in with both, and use the new session and its new token from then on. The
// MemoryStore is one process's memory; express-session says itself that it is not for production.

import { randomBytes } from "node:crypto";

import express from "express";
import session from "express-session";

import { equal, isUser, listen, withItem } from "../frame.mjs";

const newToken = () => randomBytes(24).toString("base64");

function requireToken(request, response, next) {
  const presented = request.get("X-CSRF-Token") ?? request.body?._csrf ?? "";
  const expected = request.session.csrf;
  if (expected === undefined || !equal(presented, expected)) {
    response.status(403).json({ error: "csrf" });
    return;
  }
  next();
}

function requireUser(request, response, next) {
  if (request.session.user === undefined) {
    response.status(401).json({ error: "unauthorized" });
    return;
  }
  next();
}

const app = express();
app.disable("x-powered-by");
app.use(express.json({ limit: "16kb" }));
app.use(express.urlencoded({ extended: false, limit: "16kb" }));
app.use(
  session({
    secret: randomBytes(32).toString("hex"),
    resave: false,
    saveUninitialized: false,
    // Without `secure`, because this is plain HTTP on the loopback interface.
    cookie: { httpOnly: true, sameSite: "lax", maxAge: 15 * 60 * 1000 },
  }),
);

app.get("/csrf", (request, response) => {
  request.session.csrf ??= newToken();
  response.json({ csrf: request.session.csrf });
});

app.post("/login", requireToken, (request, response, next) => {
  const { username, password } = request.body ?? {};
  if (!isUser(username, password)) {
    response.status(401).json({ error: "invalid_credentials" });
    return;
  }
  // A session of before the login may be known to someone else: the user gets a new one.
  request.session.regenerate((error) => {
    if (error) {
      next(error);
      return;
    }
    request.session.user = username;
    request.session.csrf = newToken();
    request.session.cart = [];
    response.json({ user: username, csrf: request.session.csrf });
  });
});

app.get("/me", requireUser, (request, response) => {
  response.json({ user: request.session.user });
});

app.get("/cart", requireUser, (request, response) => {
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/cart", requireUser, requireToken, (request, response) => {
  request.session.cart = withItem(request.session.cart, request);
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/logout", requireUser, requireToken, (request, response, next) => {
  request.session.destroy((error) => {
    if (error) {
      next(error);
      return;
    }
    response.clearCookie("connect.sid").status(204).end();
  });
});

listen(app);
