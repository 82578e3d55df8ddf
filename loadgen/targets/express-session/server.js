// An Express server with sessions: express-session with its MemoryStore, and a CSRF token kept in
// the session (the synchroniser token pattern).
//
// It shows what authbench has to do at such a server: fetch a token and the cookie of the session
// it belongs to, log in with both, and use the new session and its new token from then on. The
// MemoryStore is one process's memory; express-session says itself that it is not for production.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import express from "express";
import session from "express-session";

const USERS_MAX = 10_000_000;
const CART_MAX = 10;
const port = Number(process.env.PORT ?? process.argv[2] ?? 3000);

const digest = (text) => createHash("sha256").update(String(text)).digest();
const equal = (a, b) => timingSafeEqual(digest(a), digest(b));
const newToken = () => randomBytes(24).toString("base64");

// user-N has the password password-N. A real server keeps a slow hash of each; this one is about
// what comes after the login.
function isUser(username, password) {
  const number = /^user-(0|[1-9][0-9]{0,7})$/.exec(String(username))?.[1];
  const right = equal(password, `password-${number}`);
  return number !== undefined && Number(number) < USERS_MAX && right;
}

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
  const item = String(request.body?.item ?? "").slice(0, 64);
  request.session.cart = [...request.session.cart, item].slice(-CART_MAX);
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

const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) {
    throw error;
  }
  console.log(`ready http://127.0.0.1:${server.address().port}`);
});
// As behind a proxy: idle connections stay open for longer than the users of a load think.
server.keepAliveTimeout = 65_000;
server.headersTimeout = 66_000;
