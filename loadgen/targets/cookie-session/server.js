// An Express server whose sessions are in signed cookies: cookie-session.
//
// The server keeps nothing of a login: user and cart travel in the cookie `session`, and the cookie
// `session.sig` has its signature, so a client must keep both and take new ones from answers. A
// logout clears the browser's cookies only: a copy of them stays good for as long as the key.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import cookieSession from "cookie-session";
import express from "express";

const USERS_MAX = 10_000_000;
const CART_MAX = 10;
const port = Number(process.env.PORT ?? process.argv[2] ?? 3000);

const digest = (text) => createHash("sha256").update(String(text)).digest();
const equal = (a, b) => timingSafeEqual(digest(a), digest(b));

// user-N has the password password-N. A real server keeps a slow hash of each; this one is about
// what comes after the login.
function isUser(username, password) {
  const number = /^user-(0|[1-9][0-9]{0,7})$/.exec(String(username))?.[1];
  const right = equal(password, `password-${number}`);
  return number !== undefined && Number(number) < USERS_MAX && right;
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
// JSON alone: a form of another site cannot send it, and SameSite keeps the cookies from such a form.
app.use(express.json({ limit: "16kb" }));
app.use(
  cookieSession({
    name: "session",
    keys: [randomBytes(32).toString("hex")],
    // Without `secure`, because this is plain HTTP on the loopback interface.
    httpOnly: true,
    sameSite: "lax",
    maxAge: 15 * 60 * 1000,
  }),
);

app.post("/login", (request, response) => {
  const { username, password } = request.body ?? {};
  if (!isUser(username, password)) {
    response.status(401).json({ error: "invalid_credentials" });
    return;
  }
  request.session = { user: username, cart: [] };
  response.json({ user: username });
});

app.get("/me", requireUser, (request, response) => {
  response.json({ user: request.session.user });
});

app.get("/cart", requireUser, (request, response) => {
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/cart", requireUser, (request, response) => {
  const item = String(request.body?.item ?? "").slice(0, 64);
  request.session.cart = [...request.session.cart, item].slice(-CART_MAX);
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/logout", requireUser, (request, response) => {
  request.session = null;
  response.status(204).end();
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
